"""Methods paragraph of a session, with references, for use in a publication."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Block
from physio.core.json_table import stored_config
from physio.core.recording import (
    BASELINE_START,
    CALIBRATION,
    MARKERS,
    Recording,
    base_name,
    baseline_marker,
)
from physio.inference.baseline_use import baseline_uses
from physio.models import model_card
from physio.models.model_card import ModelCard
from physio.view.labels import estimated_dimensions, joined

REFERENCES: Final[Mapping[str, str]] = {
    "Boucsein et al., 2012": "Boucsein W, Fowles DC, Grimnes S, Ben-Shakhar G, Roth "
    "WT, Dawson ME, Filion DL (2012). Publication recommendations for electrodermal "
    "measurements. Psychophysiology 49(8), 1017-1034.",
    "Bradley & Lang, 1994": "Bradley MM, Lang PJ (1994). Measuring emotion: the "
    "Self-Assessment Manikin and the semantic differential. Journal of Behavior "
    "Therapy and Experimental Psychiatry 25(1), 49-59.",
    "Duan et al., 2013": "Duan R-N, Zhu J-Y, Lu B-L (2013). Differential entropy "
    "feature for EEG-based emotion classification. IEEE/EMBS Conference on Neural "
    "Engineering, 81-84.",
    "Russell, 1980": "Russell JA (1980). A circumplex model of affect. Journal of "
    "Personality and Social Psychology 39(6), 1161-1178.",
    "Task Force, 1996": "Task Force of the European Society of Cardiology and the "
    "North American Society of Pacing and Electrophysiology (1996). Heart rate "
    "variability: standards of measurement. Circulation 93(5), 1043-1065.",
    "Vaha-Ypya et al., 2015": "Vaha-Ypya H, Vasankari T, Husu P, Suni J, Sievanen H "
    "(2015). A universal, accurate intensity-based classification of different "
    "physical activities using raw data of accelerometer. Clinical Physiology and "
    "Functional Imaging 35(1), 64-70.",
}
"""References that the clauses below cite."""

_CLAUSES: Final[Mapping[str, str]] = {
    "EegQuality": "EEG channels that were flat (within {flat} uV), out of range "
    "({wild} uV) or saturated were excluded for that time",
    "EdaQuality": "skin conductance outside {low} to {high} uS, or changing by more "
    "than {rise} uS/s, was excluded",
    "EdaVariation": "skin conductance that did not change, or varied as noise does, "
    "for {window} s was excluded",
    "DifferentialEntropy": "differential entropy (Duan et al., 2013) was computed for "
    "the bands {bands} in windows of {window} s every {step} s",
    "EdaFeatures": "skin conductance was separated into tonic level (SCL) and phasic "
    "component, and responses (SCR) of at least {threshold} uS were counted "
    "(Boucsein et al., 2012)",
    "EdaDecomposition": "skin conductance was decomposed into tonic and phasic "
    "components and their driver by convex optimization (Boucsein et al., 2012)",
    "BeatDetection": "heart beats were detected and compared with a template "
    "(similarity of at least {min_confidence})",
    "PulseRateTracker": "the pulse rate was tracked from spectrum and beats of the "
    "pulse wave and from acceleration, with its standard deviation",
    "HeartRate": "the heart rate over {window} s was computed where at least "
    "{accepted:.0%} of the intervals were measured",
    "BeatToBeatVariability": "RMSSD over {window} s (Task Force, 1996) was computed "
    "from at least {min_pairs} pairs of successive accepted intervals",
    "Actigraphy": "movement is the standard deviation of the magnitude of acceleration "
    "over {window} s (Vaha-Ypya et al., 2015)",
    "Temperature": "mean and slope of the skin temperature were computed",
    "Notch": "line noise at {freq} Hz was removed by a notch filter",
    "Bandpass": "signals were filtered from {low} to {high} Hz (Butterworth, causal)",
}
"""Clause for each stage, with its settings."""


class SessionFacts(NamedTuple):
    """Facts of a session, for the sentences of its methods.

    ``version``: that of this package that recorded the session; empty if another
    program did. ``chains``: names of the chains that gave values. ``dimensions``: those
    with estimates. ``baseline``: what features were measured against, in words.
    """

    version: str = ""
    chains: Collection[str] = ()
    dimensions: Sequence[str] = ()
    baseline: str = ""


def methods_paragraph(
    config: Mapping[str, Any], version: str, facts: SessionFacts
) -> tuple[str, list[str]]:
    """Return a paragraph on the methods of a session, and the references it cites.

    Only what happened is stated: a chain or an estimate without any value is omitted.

    Parameters
    ----------
    config
        Settings of the session file, as a recording contains them.
    version
        Version of this package, which processed the signals.
    facts
        What happened in the session.
    """
    if facts.version:
        sentences = [f"Signals were recorded with physio-affect {facts.version}."]
    else:
        sentences = []
    clauses = dict(_chain_clauses(config.get("chains", {})))
    used = {name: clauses[name] for name in clauses if name in facts.chains}
    if used or facts.dimensions:
        sentences.append(f"They were processed with physio-affect {version}.")
        if not facts.version:
            sentences = [f"Signals were processed with physio-affect {version}."]
    for name, text in used.items():
        sentences.append(f"{name}: {text[0].upper()}{text[1:]}.")
    keys = [key for key in REFERENCES if any(key in s for s in sentences)]
    references = [REFERENCES[key] for key in keys]
    if facts.dimensions:
        baseline = f", relative to {facts.baseline}" if facts.baseline else ""
        sentences.append(
            f"{joined(facts.dimensions).capitalize()} (Russell, 1980) were estimated "
            "as the predictive distribution of the participant's own rating on the "
            "Self-Assessment Manikin (Bradley & Lang, 1994), scaled to [-1, 1]"
            f"{baseline}; they are estimates of a self-report, not measurements of "
            "emotion."
        )
        references += [REFERENCES["Bradley & Lang, 1994"], REFERENCES["Russell, 1980"]]
    for name, card in _cards(_experts(config), facts):
        sentences.append(
            f"The weights {name!r} were trained on: {card.data.rstrip('.')} "
            f"({card.origin} participants)."
        )
        if not card.citation.startswith("none"):
            references.append(card.citation)
    return " ".join(sentences), sorted(dict.fromkeys(references))


def session_facts(
    recording: Recording,
    estimates: Block | None,
    streams: Iterable[Mapping[str, Any]] = (),
    features: Block | None = None,
) -> SessionFacts:
    """Return the facts of a session, from its recording and its results.

    Parameters
    ----------
    recording
        The recording.
    estimates
        The estimates, None without any.
    streams
        Entries of `physio.online.session_table.SessionTable.rows`.
    features
        The features, None without any.
    """
    about = recording.metadata
    recorder = "" if "replayed" in about else about.get("physio-affect", "")
    chains = [p["chain"] for row in streams for p in row["computed"] if p["share"]]
    names = estimated_dimensions(estimates.info) if estimates is not None else ()
    finite = [
        n for n in names
        if estimates is not None and np.isfinite(estimates.column(n)).any()
    ]  # fmt: skip
    return SessionFacts(recorder, chains, finite, _baseline(recording, features))


def _baseline(recording: Recording, features: Block | None) -> str:
    """Return what the features of a session were measured against, in words."""
    uses = baseline_uses(recording, features, stored_config(recording.metadata))
    known = {(u.begin, u.end) for u in uses if u.begin == u.begin}
    spans = sorted(
        f"{begin - recording.begin:.0f} to {end - recording.begin:.0f} s"
        for begin, end in known
    )
    seconds = f" ({', '.join(spans)})" if spans else ""
    return f"{_baseline_kind(recording)}{seconds}"


def _baseline_kind(recording: Recording) -> str:
    named = recording.events.items()
    events = [(base_name(name), e) for name, e in named if len(e)]
    markers = [label for name, e in events if name == MARKERS for label in e.labels]
    if any(baseline_marker(label) == BASELINE_START for label in markers):
        return "the participant's resting baseline"
    if any(name == CALIBRATION for name, _ in events):
        return "an earlier calibration of the participant"
    return "the beginning of the session, as no resting baseline was marked"


def _experts(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the experts of the estimator, or of the estimator of each participant."""
    estimator = config.get("estimator", {})
    tables = [estimator, *(v for v in estimator.values() if isinstance(v, Mapping))]
    experts = [
        e for t in tables for e in t.get("experts", ()) if isinstance(e, Mapping)
    ]
    return list({str(e.get("weights")): e for e in experts}.values())


def _chain_clauses(chains: Any, participant: str = "") -> Iterator[tuple[str, str]]:
    """Yield key and clauses of each chain, also of those of several participants."""
    for name, chain in chains.items() if isinstance(chains, Mapping) else ():
        if not isinstance(chain, Mapping):
            continue
        if "stages" not in chain and not participant:
            yield from _chain_clauses(chain, name)
        elif clauses := list(_stage_clauses(chain.get("stages", ()))):
            key = f"{participant}.{name}" if participant else name
            yield key, "; ".join(clauses)


def _cards(
    experts: Sequence[Mapping[str, Any]], facts: SessionFacts
) -> Iterator[tuple[str, ModelCard]]:
    """Yield name and card of the weights of each expert that could give estimates."""
    chains = {chain.rpartition(".")[2] for chain in facts.chains}
    for expert in experts:
        try:
            card = model_card.load(expert["weights"]).card
        except (ValueError, OSError, KeyError):
            continue
        reads = {column.partition(".")[0] for column, _ in card.columns}
        if set(card.supports) & set(facts.dimensions) and reads & chains:
            yield expert["weights"].rpartition("/")[2], card


def _stage_clauses(stage: Any) -> Iterator[str]:
    """Yield the clauses of a stage and of the stages inside it."""
    if isinstance(stage, Mapping):
        name = str(stage.get("use", "")).rpartition(":")[2]
        for value in stage.values():
            yield from _stage_clauses(value)
        if name in _CLAUSES:
            try:
                settings = {k: _formatted(v) for k, v in stage.items()}
                yield _CLAUSES[name].format(**settings)
            except (KeyError, ValueError, TypeError):  # settings of another version
                yield f"{name} was applied"
    elif isinstance(stage, list | tuple):
        for part in stage:
            yield from _stage_clauses(part)


def _formatted(value: Any) -> Any:
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return ", ".join(f"{n} {low:g}-{high:g} Hz" for n, low, high in value)
    return value
