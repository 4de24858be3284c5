"""Contributions to an estimate, and to its change, by modality."""

from collections.abc import Mapping
from typing import Final

import numpy as np

MIDDLE: Final = ".contribution."
"""Middle of the columns of contributions: ``arousal.contribution.eda.scr_rate``."""


def modality_contributions(
    values: Mapping[str, float], dimension: str
) -> dict[str, float]:
    """Return the sum of the contributions of each chain's features to an estimate.

    Parameters
    ----------
    values
        Columns of an estimate by name; those without a finite value do not count.
    dimension
        ``"arousal"``, ...

    Returns
    -------
    dict
        Sums by chain; also ``participant``, the contribution of the participant's
        ratings, and ``other``.
    """
    totals: dict[str, float] = {}
    for name, value in values.items():
        head, middle, feature = name.partition(MIDDLE)
        if middle and head == dimension and np.isfinite(value):
            chain = feature.partition(".")[0]
            totals[chain] = totals.get(chain, 0.0) + float(value)
    return totals


def change_contributions(
    before: Mapping[str, float], after: Mapping[str, float], dimension: str
) -> dict[str, float]:
    """Return the contribution of each chain to the change of an estimate.

    Contributions add up to an estimate, so their differences add up to its change:
    they are as exact as the contributions. A level that a participant always has
    cancels. See experiments/reasons.

    Parameters
    ----------
    before, after
        Columns of two estimates by name.
    dimension
        ``"arousal"``, ...

    Returns
    -------
    dict
        Differences by chain, those of `modality_contributions`; empty if one of the
        two estimates is missing.
    """
    missing = [r for r in (before, after) if not np.isfinite(r.get(dimension, np.nan))]
    if missing:
        return {}
    old, new = (modality_contributions(r, dimension) for r in (before, after))
    chains = dict.fromkeys((*new, *old))
    return {k: new.get(k, 0.0) - old.get(k, 0.0) for k in chains}
