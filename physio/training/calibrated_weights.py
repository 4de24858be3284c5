"""Error bars, novelty and reasons of weights, from the answers to held-out moments."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.counted_nouns import counted
from physio.models.base import Model
from physio.training.class_reliability import fit_reliability
from physio.training.intervals import (
    HeldOutRatings,
    coverage_rows,
    cross_check,
    fit_error_bars,
    rating_step,
)
from physio.training.moment_set import MomentSet
from physio.training.novelty import novelty_limit
from physio.training.reasons import group_reasons

_FEWEST: Final = 5  # participants of whom one is left out, and four give 80 %
_LEVEL: Final = 0.8
_MOST: Final = 8  # groups whose coverage a card shows


class CalibratedWeights(NamedTuple):
    """Arrays of weights beside those of the model, and what a card says of them.

    ``figures``: the coverage of the intervals of 80 % on participants for whom they
    were not fitted, of all moments and by condition, device and data set.
    """

    arrays: dict[str, Array]
    sentences: tuple[str, ...]
    figures: dict[str, str] = {}  # noqa: RUF012  never changed


def calibrate(
    moments: MomentSet, answers: Array, model: Model, z: Array, columns: tuple[str, ...]
) -> CalibratedWeights:
    """Return error bars, a limit of novelty and reasons of a model.

    Of several participants, each counts as one; of a single one, each session. With
    fewer than two of these, the weights have none, and the card says so.

    Parameters
    ----------
    moments
        The moments.
    answers
        Answers to the moments while they were held out: see `MomentSet.outputs`; NaN
        where a moment was never tested.
    model
        The model that was fitted to all moments.
    z
        Features of all moments relative to the baseline, shape (n, f); or windows,
        shape (n, channels, samples), which have no reasons.
    columns
        Names of the features.
    """
    arrays: dict[str, Array] = {}
    figures: dict[str, str] = {}
    sentences: list[str] = []
    units, noun = _units(moments)
    tested = np.isfinite(answers.reshape(len(answers), -1)).any(axis=1)
    count = len(np.unique(units[tested]))
    if count < 2:
        sentences.append(
            f"Intervals are those of the model, not measured: with {count} {noun} held "
            "out there is nothing to calibrate them on."
        )
    elif moments.classes:
        fitted = fit_reliability(answers, np.where(tested, moments.y, -1), units)
        arrays |= fitted.calibration.arrays()
        sentences += _named(fitted.sentences(), noun)
    else:
        bars = _error_bars(moments, answers, units)
        arrays |= bars.arrays
        if bars.held_out is not None and noun == "participants":
            figures = _coverage(bars.held_out, moments)
        sentences += _named(bars.sentences, noun)
    if len(np.unique(units)) > 1:
        limit = novelty_limit(z, units)
        arrays |= limit.arrays()
        sentences += _named((limit.sentence(),), noun)
    if moments.classes or z.ndim > 2:
        return CalibratedWeights(arrays, tuple(sentences), figures)
    if reasons := group_reasons(model, columns, z):
        arrays |= reasons.arrays()
    return CalibratedWeights(arrays, tuple(sentences), figures)


class _FittedTo(NamedTuple):
    """Arrays of error bars, what a card says of them, and what they were fitted to."""

    arrays: dict[str, Array]
    sentences: tuple[str, ...]
    held_out: HeldOutRatings | None = None


def _error_bars(
    moments: MomentSet, answers: Array, units: npt.NDArray[np.str_]
) -> _FittedTo:
    """Return error bars of the scales with two units or more."""
    y, sentences = moments.y, []
    known = np.isfinite(answers[:, :, 0]) & np.isfinite(y)
    picks = []
    for k, target in enumerate(moments.targets):
        if (count := len(np.unique(units[known[:, k]]))) > 1:
            picks.append(k)
            continue
        noun = counted(count, "held-out participant")
        sentences.append(
            f"{target}: intervals are those of the model, not measured: its ratings "
            f"are of {noun}"
        )
    if not picks:
        return _FittedTo({}, tuple(sentences))
    spread = answers[:, picks, 1]
    held_out = HeldOutRatings(
        answers[:, picks, 0],
        y[:, picks],
        units,
        spread if np.isfinite(spread).any() else None,
        tuple(moments.targets[k] for k in picks),
        rating_step(y),
    )
    bars = fit_error_bars(held_out)
    every = (*sentences, *bars.sentences())
    return _FittedTo(bars.arrays(), every, held_out)


def _coverage(held_out: HeldOutRatings, moments: MomentSet) -> dict[str, str]:
    """Return the coverage of intervals of 80 %, by what the moments differ in.

    Each participant's intervals are fitted to the others. It is empty with fewer than
    five participants for a scale, and without a group of fewer than five.
    """
    known = np.isfinite(held_out.mean) & np.isfinite(held_out.y)
    if any(len(np.unique(held_out.participants[k])) < _FEWEST for k in known.T):
        return {}
    check = cross_check(held_out, (_LEVEL,))
    parts = moments.recordings
    owner = moments.owner.tolist()
    spans = np.concatenate([r.span for r in parts]).tolist()
    groups = {
        "": [""] * len(owner),
        "condition": [
            parts[i].spans[k].name for i, k in zip(owner, spans, strict=True)
        ],
        "device": [parts[i].device for i in owner],
        "data set": [parts[i].names[0] for i in owner],
    }
    figures = {}
    for kind, of in groups.items():
        if kind and not 1 < len(set(of)) <= _MOST:
            continue
        for row in coverage_rows(check, held_out, np.array(of), (_LEVEL,)):
            if row["participants"] < _FEWEST:
                continue
            where = f", {kind} {row['group']}" if kind else ""
            figures[f"{row['target']}: ratings in intervals of 80 %{where}"] = (
                f"{row['coverage']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
            )
    return figures


def _units(moments: MomentSet) -> tuple[npt.NDArray[np.str_], str]:
    """Return the participant of each moment; of a single one, the session."""
    if len(set(moments.participants)) > 1:
        return moments.participants, "participants"
    names = ["/".join(r.names[2:]) for r in moments.recordings]
    return np.array(names, np.str_)[moments.owner], "sessions"


def _named(sentences: tuple[str, ...], noun: str) -> list[str]:
    """Return sentences about sessions instead of participants, with capitals."""
    singular = noun.removesuffix("s")
    texts = (
        s.replace("participants", noun).replace("participant", singular)
        for s in sentences
    )
    return [f"{t[:1].upper()}{t[1:]}." for t in texts]
