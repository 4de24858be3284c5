"""Error bars, novelty and reasons of weights, from the answers to held-out moments."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.counted_nouns import counted
from physio.models.base import Model
from physio.training.class_reliability import fit_reliability
from physio.training.intervals import HeldOutRatings, fit_error_bars, rating_step
from physio.training.moment_set import MomentSet
from physio.training.novelty import novelty_limit
from physio.training.reasons import group_reasons


class CalibratedWeights(NamedTuple):
    """Arrays of weights beside those of the model, and what a card says of them."""

    arrays: dict[str, Array]
    sentences: tuple[str, ...]


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
        bars, refused = _error_bars(moments, answers, units)
        arrays |= bars
        sentences += _named(refused, noun)
    if len(np.unique(units)) > 1:
        limit = novelty_limit(z, units)
        arrays |= limit.arrays()
        sentences += _named((limit.sentence(),), noun)
    if moments.classes or z.ndim > 2:
        return CalibratedWeights(arrays, tuple(sentences))
    if reasons := group_reasons(model, columns, z):
        arrays |= reasons.arrays()
    return CalibratedWeights(arrays, tuple(sentences))


def _error_bars(
    moments: MomentSet, answers: Array, units: npt.NDArray[np.str_]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return error bars of the dimensions with two units or more, and sentences."""
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
        return {}, tuple(sentences)
    spread = answers[:, picks, 1]
    bars = fit_error_bars(
        HeldOutRatings(
            answers[:, picks, 0],
            y[:, picks],
            units,
            spread if np.isfinite(spread).any() else None,
            tuple(moments.targets[k] for k in picks),
            rating_step(y),
        )
    )
    return bars.arrays(), (*sentences, *bars.sentences())


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
