"""Choice of how the contributions of a model's features are computed live."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np

from physio.core.block import Array
from physio.inference.expert import FeatureGroups
from physio.models.base import Model
from physio.models.shapley import MOST, GroupReasons

_REPEATS: Final = 5  # measurements of the duration of a prediction


def group_reasons(
    model: Model, columns: Sequence[str], z: Array, budget: float = 0.002
) -> GroupReasons | None:
    """Return Shapley values by groups for a model without contributions of its own.

    Parameters
    ----------
    model
        Model; if it defines `Model.explain`, the result is None.
    columns
        Names of its features.
    z
        Features of training moments, shape (n, f). Where the model has no answer
        without all features, absent ones are replaced by their mean.
    budget
        Time that contributions may take in a tick (s). A model that is slower than this
        for all subsets of groups is evaluated over several ticks.
    """
    if type(model).explain is not Model.explain:
        return None
    groups = FeatureGroups.at_most(columns, MOST)
    known = np.isfinite(z)
    mean = np.where(known, z, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    missing, spread = np.where(groups.index == 0, np.nan, mean), np.zeros(len(mean))
    took = []
    for _ in range(_REPEATS):
        begun = perf_counter()
        answer = model.predict(mean, spread)[0]
        took.append(perf_counter() - begun)
    try:
        partial = model.predict(missing, spread)[0]
        complete = not np.isfinite(partial[np.isfinite(answer)]).all()
    except ValueError:
        complete = True
    per_tick = max(int(budget / max(min(took), 1e-9)), 1)
    per_tick = 2 ** (per_tick.bit_length() - 1)  # a measurement differs a little
    subsets = 2 ** len(groups.names)
    return GroupReasons(
        groups.index, min(per_tick, subsets), mean if complete else None
    )
