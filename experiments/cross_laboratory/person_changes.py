"""Features as changes from a person's own first rest."""

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.evaluation.row_index import RowIndex
from physio.models.baseline import transform

FIRST = 8
"""Windows of the first rest: four and a half minutes."""


def first_rest(table: pd.DataFrame) -> Array:
    """Return the mask of each person's first windows, shape (n,)."""
    people = RowIndex(table).participants
    order = table.groupby(people)["start_s"].rank(method="first")
    return np.asarray(order <= FIRST)


def person_changes(
    table: pd.DataFrame, transforms: dict[str, str]
) -> tuple[pd.DataFrame, Array]:
    """Return a table whose features are changes from the mean of the first rest.

    Parameters
    ----------
    table
        Windows in order of time.
    transforms
        Transform of each feature: see `physio.models.baseline.transform`. A feature
        without a value in the first rest is missing for that person.

    Returns
    -------
    DataFrame, ndarray
        The table, and the mask of the rows of first rests.
    """
    names = list(transforms)
    x = transform(table[names].to_numpy(np.float64), list(transforms.values()))
    people, rest = RowIndex(table).participants, first_rest(table)
    changed = np.full_like(x, np.nan)
    for person in np.unique(people):
        rows = people == person
        values = x[rows & rest]
        known = np.isfinite(values)
        total = np.where(known, values, 0).sum(axis=0)
        count = known.sum(axis=0)
        level = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        changed[rows] = x[rows] - level
    return table.assign(**dict(zip(names, changed.T, strict=True))), rest
