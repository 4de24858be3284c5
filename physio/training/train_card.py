"""Weights of a training run: the final fit, its card, and the line for a session."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.counted_nouns import counted
from physio.core.recording import Recording
from physio.evaluation.metrics import LESS_IS_BETTER
from physio.models import model_card
from physio.models.base import Model
from physio.online.weights_chains import trained_chains
from physio.training.calibrated_weights import calibrate
from physio.training.learner import Learner, ProgressOf, Samples
from physio.training.moment_set import MomentSet
from physio.training.save_weights import results_text, store
from physio.training.sources import participant_of
from physio.training.train_run import (
    PreparedTraining,
    TrainingOutcome,
    rating_prior,
    resuming,
    write_results,
)

RESULTS: Final = "results"
"""Folder of the evaluation within the folder of the weights."""

_LIMITS: Final = (
    "The estimate is a rating on a scale or the name of a condition, not a feeling.",
    "The figures hold for people, devices and tasks like those of the data; on others "
    "nothing was measured.",
)


def write_weights(
    prepared: PreparedTraining,
    outcome: TrainingOutcome,
    command: str,
    progress: ProgressOf,
) -> model_card.Weights:
    """Fit the model to all moments, and write weights, card and results.

    Parameters
    ----------
    prepared, outcome
        The training, and its evaluation.
    command
        Command that repeats it, for the card.
    progress
        Callback of the learner.
    """
    moments, file = outcome.moments, prepared.file
    rows = np.arange(len(moments))
    prior = moments.prior(rows)
    z, _ = moments.inputs(prior)
    samples = moments.samples(rows, z)
    model = resuming(prepared).fit(samples, progress)
    ratings = rating_prior(moments)
    names = moments.settings.names
    extra = calibrate(moments, outcome.fits.held_out, model, z, names)
    chains = _chains(prepared, moments, model)
    card = model_card.ModelCard(
        use=f"{type(model).__module__}:{type(model).__qualname__}",
        config={},
        columns=moments.settings.columns,
        baseline=moments.settings.baseline_seconds,
        origin=outcome.origin,
        supports=file.target.dimensions,
        data=_data(prepared, moments),
        citation="; ".join(d.citation for d in prepared.data),
        licence="; ".join(d.licence for d in prepared.data),
        protocol=f"{_protocol(prepared, outcome)} {_trained_on(file.learner, samples)}",
        figures=results_text(
            [r for r in outcome.evaluation.rows if np.isfinite(r["mean"])]
        )
        | extra.figures,
        limits=(*_limits(prepared, outcome), *extra.sentences, *outcome.notes),
        command=command,
        participant=prepared.file.personal,
        scales=file.target.named,
    )
    shared = (ratings["mean"], ratings["sd"])
    arrays = dict(extra.arrays)
    for name, usual in zip(("prior.mean", "prior.sd"), shared, strict=True):
        if name in arrays:  # that of the error bars, where a dimension has some
            arrays[name] = np.where(np.isnan(arrays[name]), usual, arrays[name])
    stored = store(prepared.out, card, model, prior, shared, arrays)
    model_card.save_chains(prepared.out, chains)
    write_results(outcome, prepared.out / RESULTS)
    return stored


def _chains(
    prepared: PreparedTraining, moments: MomentSet, model: Model
) -> dict[str, Any]:
    """Return the chains of a session file of the training, as a session needs them.

    They are those of the first recording that was learned from: it has every column.
    """
    if not prepared.file.chains.get("chains"):
        return {}
    needed = moments.settings.names
    if model.forecasts is not None:
        needed = (*needed, model.forecasts.chain)
    recording = _first_learned(prepared, moments)
    plan = prepared.reader().plan(recording)
    return trained_chains(plan, recording.inputs, needed)


def _first_learned(prepared: PreparedTraining, moments: MomentSet) -> Recording:
    """Return the first recording that was learned from."""
    dataset, participant, *place = moments.recordings[0].names
    for entry in prepared.entries:
        if entry.participant not in ("", participant):
            continue
        if [entry.dataset, entry.session, entry.trial] != [dataset, *place]:
            continue
        try:
            recording = entry.load()
            if participant_of(entry, recording) == participant:
                return recording
        except (ValueError, OSError):
            continue  # another one of the same name, which was left out
    raise ValueError(
        f"{prepared.file.path.name}: a recording of {participant or dataset} could be "
        "read when its features were computed, and no longer can: restore it, and run "
        "the same command again; no weights were written"
    )


def session_line(folder: Path) -> str:
    """Return the line of a session file that uses weights."""
    text = folder.as_posix()
    text = text if "/" in text else f"./{text}"
    return f'experts = [{{ weights = "{text}" }}]'


def _data(prepared: PreparedTraining, moments: MomentSet) -> str:
    """Return the sentence on the data."""
    people = list(dict.fromkeys(moments.participants.tolist()))
    names = ", ".join(dict.fromkeys(r.names[0] for r in moments.recordings))
    text = (
        f"{names}: {counted(len(moments.recordings), 'recording')} of "
        f"{counted(len(people), 'participant')} ({', '.join(people)}), "
        f"{counted(len(moments), 'moment')}."
    )
    if held_out := prepared.file.protocol.held_out:
        text += f" {', '.join(held_out)} neither trained nor tested."
    return text


def _protocol(prepared: PreparedTraining, outcome: TrainingOutcome) -> str:
    """Return how the model was trained, evaluated and audited."""
    file, settings = prepared.file, outcome.moments.settings
    base = (
        f"relative to a baseline of {settings.baseline_seconds:g} s"
        if settings.baseline_seconds
        else "without a baseline"
    )
    kind = "Tokens" if settings.form == "tokens" else "Features"
    kind = f"Windows of {settings.window:g} s" if settings.window else kind
    low, high = file.target.scale
    target = ", ".join(
        f"{d} ({low:g} to {high:g})" if d == c
        else f"{d} (the rating {c!r}, {low:g} to {high:g})"
        for d, c in file.target.columns.items()
    ) or "; ".join(
        f"{k}: {', '.join(v)}" for k, v in file.target.classes.items()
    )  # fmt: skip
    audit = outcome.evaluation.audit
    remarks = " ".join(f"{f.kind}: {f.text}." for f in audit.findings)
    return (
        f"{kind} of the live chains, {base}, every {settings.every:g} s. Target: "
        f"{target}. Evaluated by {file.protocol.by} "
        f"({counted(len(outcome.evaluation.folds.folds), 'fold')}), with the features, "
        "the baselines and the answers of a session; mean over participants, 95 % "
        "bootstrap interval. Beside it: 'prior', the mean or the frequencies of the "
        "training data; 'clock', a random forest on the seconds since the start; "
        "'motion', movement alone; and a linear regression. Audit of the split: "
        f"{'nothing leaks' if audit.ok else 'it leaks'}. {remarks}"
    ).strip()


def _trained_on(learner: Learner, samples: Samples) -> str:
    """Return the sentence on the moments that train the stored weights."""
    if hasattr(learner, "trained_on"):
        return str(learner.trained_on(samples))
    return "The stored weights come from a fit to all moments."


def _limits(prepared: PreparedTraining, outcome: TrainingOutcome) -> tuple[str, ...]:
    """Return the limits of the weights."""
    limits = list(_LIMITS)
    if code := prepared.file.personal:
        limits.insert(
            0, f"Personal: trained on {code} alone, and refused in sessions of others."
        )
    limits += not_better(outcome)
    if outcome.origin != "measured":
        limits.append(
            "Trained on simulated participants: no result holds for people. On "
            "measured input they do not answer unless demo weights are allowed."
        )
    return tuple(limits)


def not_better(outcome: TrainingOutcome) -> list[str]:
    """Return a sentence on each control that the model does not clearly exceed.

    Differences are the model minus the control; of an error, more is worse.
    """
    sentences: list[str] = []
    first: dict[Any, str] = {}
    for row in outcome.evaluation.paired:
        metric = str(row["metric"])
        first.setdefault(metric.partition(":")[0], metric)
        if metric not in first.values() or row["than"] not in ("prior", "clock"):
            continue
        low, high = row["low"], row["high"]
        less = metric.rpartition(": ")[2] in LESS_IS_BETTER
        if high < 0 if less else low > 0:
            continue
        worse = low > 0 if less else high < 0
        verdict = "is worse than" if worse else "is not shown to differ from"
        sentences.append(
            f"By {metric} it {verdict} {row['than']!r}: "
            f"difference {row['mean']:.3f} ({low:.3f} to {high:.3f})."
        )
    return sentences
