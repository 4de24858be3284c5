"""Labels, scale ends, colours and missing reasons, shared by all views."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason


class OriginLabel(NamedTuple):
    """Badge that marks the origin of numbers, and its meaning."""

    badge: str
    meaning: str


LABELS: Final = {
    Origin.SIMULATED: OriginLabel(
        "SIMULATED", "the signals are simulated: no participant was measured"
    ),
    Origin.DEMO: OriginLabel(
        "DEMO WEIGHTS",
        "trained on simulated participants: not valid for real participants",
    ),
}
"""Badges of data that are not purely measured, by their origin."""

ENDS: Final = {
    "valence": ("unpleasant", "pleasant"),
    "arousal": ("calm", "excited"),
    "dominance": ("controlled", "in control"),
}
"""Names of the ends (-1 and 1) of each scale."""

MEANING: Final = (
    "Estimated self-report of the participant on a scale from -1 to +1, ±1 SD; "
    "not a measurement of emotion."
)
"""Meaning of the estimates, shown with them."""

CONDITION: Final = "condition."
"""Prefix of the columns of a condition's probability."""

CONDITION_MEANING: Final = (
    "Conditions: probability under equal odds, given the data that the weights were "
    "trained on."
)
"""Meaning of the probabilities of conditions, shown with them."""

SCALE: Final = "scale."
"""Prefix of the columns of a named scale, as stress from 0 to 10."""

SCALE_MEANING: Final = (
    "Further scales: estimated self-report on the scale of the training data, ±1 SD."
)
"""Meaning of the estimates of named scales, shown with them."""

COLOURS: Final = {"valence": "#0072B2", "arousal": "#D55E00", "dominance": "#009E73"}
"""Colour of each dimension, for colour-vision deficiency too (Okabe, Ito)."""


def origin_labels(infos: Iterable[StreamInfo | None]) -> list[OriginLabel]:
    """Return the badges of the origins among these streams."""
    origins = {info.origin for info in infos if info is not None}
    return [label for origin, label in LABELS.items() if origin in origins]


def estimated_dimensions(info: StreamInfo) -> tuple[str, ...]:
    """Return the estimated dimensions of a stream.

    These are the `DIMENSIONS` that it has, in their order, and further columns with a
    ``<name>.sd``. Estimates of single experts (``<expert>.<name>``) are excluded.
    """
    names = [n for n in info.names if f"{n}.sd" in info.names and "." not in n]
    known = [n for n in DIMENSIONS if n in info.names]
    return (*known, *(n for n in names if n not in known))


def standard_deviation(block: Block, name: str) -> Array:
    """Return the standard deviation of each estimate, NaN if the estimator gives none.

    Parameters
    ----------
    block
        Estimates.
    name
        The dimension.

    Returns
    -------
    Array
        Shape (n,).
    """
    column = f"{name}.sd"
    if column in block.info.names:
        return block.column(column)
    return np.full(len(block), np.nan)


def condition_names(info: StreamInfo) -> tuple[str, ...]:
    """Return the conditions whose probability a stream of estimates has."""
    names = (n for n in info.names if n.startswith(CONDITION))
    return tuple(n.removeprefix(CONDITION) for n in names)


def condition_text(block: Block) -> str:
    """Return the newest probabilities of conditions: ``task 82 %, rest 18 %``.

    Where they are missing, it is the reason; without conditions it is empty.
    """
    names = condition_names(block.info)
    if not names:
        return ""
    odds = {n: float(block.column(CONDITION + n)[-1]) for n in names}
    present = {n: p for n, p in odds.items() if np.isfinite(p)}
    if not present:
        codes = missing_reason(block.column(CONDITION + names[0]))
        return f"{', '.join(names)}: missing ({reason_words(codes[-1])})"
    ranked = sorted(present, key=lambda n: -present[n])
    return ", ".join(f"{n} {100 * present[n]:.0f} %" for n in ranked)


def scale_names(info: StreamInfo) -> tuple[str, ...]:
    """Return the named scales that a stream of estimates has."""
    names = (n for n in info.names if n.startswith(SCALE) and f"{n}.sd" in info.names)
    return tuple(n.removeprefix(SCALE) for n in names)


def scale_text(block: Block) -> str:
    """Return the newest estimates of named scales: ``stress 6.1 ± 1.2 (4.6 to 7.6)``.

    In parentheses is the interval of 80 %, where there is one. Where an estimate is
    missing, it is the reason; without named scales the text is empty.
    """
    return "; ".join(f"{n} {_scale_value(block, n)}" for n in scale_names(block.info))


def _scale_value(block: Block, name: str) -> str:
    front = f"{SCALE}{name}"
    mean, sd, half = (
        float(block.column(front + end)[-1]) for end in ("", ".sd", ".ci80")
    )
    return scale_value(mean, sd, half)


def scale_value(mean: float, sd: float, half: float) -> str:
    """Return an estimate of a named scale with its interval of 80 %, or the reason."""
    if not np.isfinite(mean):
        return f"missing ({reason_words(missing_reason(np.array([mean]))[0])})"
    text = f"{mean:.1f} ± {sd:.1f}"
    return f"{text} ({mean - half:.1f} to {mean + half:.1f})" if half == half else text


def joined(names: Sequence[str]) -> str:
    """Return names as an enumeration: ``valence, arousal and dominance``."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def largest_contributions(block: Block, name: str, most: int = 3) -> str:
    """Return as text the features that contribute most to the newest estimate."""
    prefix = f"{name}.contribution."
    contributions = {
        n.removeprefix(prefix): float(block.column(n)[-1])
        for n in block.info.names
        if n.startswith(prefix)
    }
    ranked = sorted((abs(v), k) for k, v in contributions.items() if abs(v) >= 0.01)
    return ", ".join(f"{k} {contributions[k]:+.2f}" for _, k in ranked[::-1][:most])


def reason_codes(block: Block, name: str) -> Array:
    """Return the `MissingReason` of each value of a channel, shape (n,); 0: present.

    A column ``<name>.missing`` of the same block takes precedence over the reason in
    the NaN itself.
    """
    codes = missing_reason(block.column(name))
    if f"{name}.missing" in block.info.names:
        given = block.column(f"{name}.missing")
        codes[given > 0] = given[given > 0].astype(codes.dtype)
    return codes.astype(float)


def reason_words(code: float) -> str:
    """Return the words for a reason's code."""
    return MissingReason(int(code)).words
