"""Scales of affect: the rated dimensions and the levels of the reported intervals."""

from collections.abc import Sequence
from typing import Final

DIMENSIONS: Final = ("valence", "arousal", "dominance")
"""Rated dimensions, each on [-1, 1], in the order of columns and arrays."""

LEVELS: Final = (0.5, 0.8, 0.95)
"""Coverage of the intervals about an estimate, as a proportion of ratings."""

SAM_POINTS: Final = 9
"""Points of the Self-Assessment Manikin scale (1 to 9)."""


def scale_places(scales: Sequence[str]) -> list[int]:
    """Return the place of each scale in the arrays of a model, shape (3,).

    Valence, arousal and dominance have their own place; any other scale, as ``stress``,
    has the first that is free.

    Raises
    ------
    ValueError
        If there are more than three scales.
    """
    free = [k for k, d in enumerate(DIMENSIONS) if d not in scales]
    if len(scales) > len(DIMENSIONS):
        raise ValueError(
            f"a model estimates at most {len(DIMENSIONS)} scales, not "
            f"{', '.join(scales)}: train further weights for the others"
        )
    others = iter(free)
    return [DIMENSIONS.index(s) if s in DIMENSIONS else next(others) for s in scales]
