"""Pictograms for self-reports of affect, after the self-assessment manikin."""

from functools import lru_cache
from math import cos, pi, sin
from typing import Final

from physio.core.affect import DIMENSIONS
from physio.view.labels import ENDS

LEVELS: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Values of the five figures of a scale; ratings lie on or between them."""

_BODY: Final = "M9 44V30q0-9 9-9h8q9 0 9 9V44M13 44V31M31 44V31"


@lru_cache(maxsize=32)
def manikin(dimension: str, level: float) -> str:
    """Return a figure as SVG, in the current text colour.

    The face shows valence, eyes and chest show arousal, and the size within the frame
    shows dominance.

    Parameters
    ----------
    dimension
        ``valence``, ``arousal`` or ``dominance``.
    level
        From -1 to 1.

    Raises
    ------
    ValueError
        If there is no such figure.

    Notes
    -----
    The five figures and nine points of each scale are those of the self-assessment
    manikin (Bradley and Lang, 1994, doi:10.1016/0005-7916(94)90063-9). The drawings are
    new; the licence of the original ones does not permit redistribution.
    """
    drawn = {"valence": _face, "arousal": _chest, "dominance": _size}
    if dimension not in drawn or not -1 <= level <= 1:
        raise ValueError(
            f"there is no figure of {dimension} {level:g}: dimensions are "
            f"{', '.join(drawn)}, levels -1 to 1"
        )
    return (
        '<svg viewBox="0 0 44 44" fill="none" stroke="currentColor" '
        'stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" '
        f'aria-hidden="true">{drawn[dimension](level)}</svg>'
    )


def _face(level: float) -> str:
    bend, brow = 27 + 8 * level, 1.8 * min(level, 0.0)
    return (
        '<rect x="6" y="4" width="32" height="36" rx="15"/>'
        f'<path d="M15 {27 - 2 * level:.1f}Q22 {bend:.1f} 29 {27 - 2 * level:.1f}"/>'
        f'<path d="M13 {13 - brow:.1f}L18 {13 + brow:.1f}'
        f'M31 {13 - brow:.1f}L26 {13 + brow:.1f}"/>'
        '<circle cx="16" cy="18.5" r="1.4" fill="currentColor"/>'
        '<circle cx="28" cy="18.5" r="1.4" fill="currentColor"/>'
    )


def _chest(level: float) -> str:
    share = (level + 1) / 2
    wide = 0.3 + 2.2 * share
    eyes = "".join(
        f'<ellipse cx="{x}" cy="10" rx="1.6" ry="{wide:.2f}" fill="currentColor" '
        'stroke="none"/>'
        for x in (19, 25)
    )
    spikes = 9
    points = []
    for k in range(2 * spikes):
        r = (1.0 + 6.5 * share) * (1.0 if k % 2 == 0 else 0.5)
        angle = pi * k / spikes
        points.append(f"{22 + r * sin(angle):.1f},{33 - r * cos(angle):.1f}")
    burst = f'<polygon points="{" ".join(points)}" fill="currentColor" stroke="none"/>'
    return f'<circle cx="22" cy="10.5" r="8.5"/><path d="{_BODY}"/>{eyes}{burst}'


def _size(level: float) -> str:
    scale = 0.32 + 0.34 * (level + 1)
    side = 22 - 22 * scale
    # The line width is constant while the figure grows.
    return (
        '<rect x="1" y="1" width="42" height="42" rx="3" stroke-width="0.8"/>'
        f'<g transform="translate({side:.2f} {43 - 43 * scale:.2f}) '
        f'scale({scale:.2f})" stroke-width="{1.6 / scale:.2f}">'
        f'<circle cx="22" cy="11.5" r="8.5"/><path d="{_BODY}"/></g>'
    )


def scales() -> list[tuple[str, str, str, list[tuple[float, str]]]]:
    """Return name, names of both ends, and the five figures of each dimension."""
    return [(d, *ENDS[d], [(x, manikin(d, x)) for x in LEVELS]) for d in DIMENSIONS]
