"""Scales of affect: the rated dimensions and the levels of the reported intervals."""

from typing import Final

DIMENSIONS: Final = ("valence", "arousal", "dominance")
"""Rated dimensions, each on [-1, 1], in the order of columns and arrays."""

LEVELS: Final = (0.5, 0.8, 0.95)
"""Coverage of the intervals about an estimate, as a proportion of ratings."""

SAM_POINTS: Final = 9
"""Points of the Self-Assessment Manikin scale (1 to 9)."""
