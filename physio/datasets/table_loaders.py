"""Tables of features as the inputs of scikit-learn and of PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.base import natural_sorted
from physio.datasets.feature_table import LABEL, RATING

_SEED: Final = 23


class ScikitInputs(NamedTuple):
    """Inputs of scikit-learn.

    Parameters
    ----------
    x
        Features, shape (n, f), NaN where missing.
    y
        Labels as text, or ratings, shape (n,).
    groups
        Participant of each row, with the data set where there are several, shape (n,).
    """

    x: Array
    y: Any
    groups: Any


class LoaderPair(NamedTuple):
    """Training and test rows as two `torch.utils.data.DataLoader`.

    They have no participant in common. A batch is a tensor of features, float32, shape
    (n, f), and one of targets: class numbers, or ratings as float32.
    """

    train: Any
    test: Any


def scikit(
    table: pd.DataFrame | str | Path,
    target: str = LABEL,
    columns: Sequence[str] | None = None,
) -> ScikitInputs:
    """Return ``(X, y, groups)`` of a table, for any splitter by groups.

    Rows without a label or rating are left out.

    Parameters
    ----------
    table
        Table of `physio extract`, its folder or file, or any with a column ``subject``.
    target
        ``"label"``, or the name of a rating: ``"arousal"`` or ``"rating.arousal"``.
    columns
        Features; by default all.

    Raises
    ------
    ValueError
        If the table lacks a column, or no row has the target.
    """
    table, name = _table(table), target
    if name not in table.columns and f"{RATING}{name}" in table.columns:
        name = f"{RATING}{name}"
    features = list(feature_table.features(table) if columns is None else columns)
    if lacking := [c for c in (name, "subject", *features) if c not in table.columns]:
        ratings = [c for c in map(str, table.columns) if c.startswith(RATING)]
        raise ValueError(
            f"the table has no column {lacking[0]!r}; its targets are "
            f"{', '.join([LABEL, *ratings])}"
        )
    values = table[name]
    text = name == LABEL or not pd.api.types.is_numeric_dtype(values)
    known = (values.astype(str) != "") if text else np.isfinite(values)
    rows = table[np.asarray(known & values.notna(), np.bool_)]
    if rows.empty:
        raise ValueError(f"no row of the table has a value of {name!r}")
    y = rows[name].astype(str) if text else rows[name].astype(np.float64)
    groups = rows["subject"].astype(str)
    if "dataset" in rows.columns and rows["dataset"].nunique() > 1:
        groups = rows["dataset"].astype(str) + " " + groups
    x = rows[features].to_numpy(np.float64)
    return ScikitInputs(x, y.to_numpy(), groups.to_numpy().astype(np.str_))


def torch(
    table: pd.DataFrame | str | Path,
    target: str = LABEL,
    *,
    test_participants: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    batch: int = 64,
    seed: int = _SEED,
) -> LoaderPair:
    """Return DataLoaders of a table whose participants are either trained or tested.

    Features are standardized by the training rows alone; missing ones are then 0.

    Parameters
    ----------
    table, target, columns
        As of `scikit`.
    test_participants
        Participants to test; by default a fifth of them, drawn by ``seed``.
    batch
        Rows of a batch; training batches are shuffled anew in each epoch, by ``seed``.
    seed
        Seed of all random numbers.

    Raises
    ------
    ValueError
        As of `scikit`; or if nobody would train, nobody test, or a participant is not
        in the table.
    """
    import torch as library

    x, y, groups = scikit(table, target, columns)
    test = np.isin(groups, _tested(groups, test_participants, seed))
    if test.all():
        raise ValueError("all participants are tested, so that nobody trains")
    mean, sd = _scale(x[~test])
    numbers = library.from_numpy(np.nan_to_num((x - mean) / sd).astype(np.float32))
    if y.dtype.kind == "f":
        targets = library.from_numpy(y.astype(np.float32))
    else:
        targets = library.from_numpy(np.unique(y, return_inverse=True)[1])
    generator = library.Generator().manual_seed(seed)
    data = library.utils.data
    sets = [data.TensorDataset(numbers[rows], targets[rows])
            for rows in (np.flatnonzero(~test), np.flatnonzero(test))]  # fmt: skip
    options: Mapping[str, Any] = {"shuffle": True, "generator": generator}
    return LoaderPair(
        data.DataLoader(sets[0], batch, **options), data.DataLoader(sets[1], batch)
    )


def _table(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    return table if isinstance(table, pd.DataFrame) else feature_table.read(table)


def _tested(groups: Any, wanted: Sequence[str], seed: int) -> list[str]:
    """Return the participants who are tested."""
    there = natural_sorted(set(groups.tolist()))
    if unknown := [p for p in wanted if p not in there]:
        raise ValueError(
            f"the table has no participant {unknown[0]!r}; it has {', '.join(there)}"
        )
    if wanted:
        return list(wanted)
    if len(there) < 2:
        raise ValueError(f"a split needs two participants, and the table has {there}")
    drawn = np.random.default_rng(seed).permutation(there)
    return [str(p) for p in drawn[: max(len(there) // 5, 1)]]


def _scale(x: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column, 0 and 1 without values."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x, 0).sum(axis=0) / count
    var = np.where(known, (x - mean) ** 2, 0).sum(axis=0) / count
    return mean, np.where(var > 0, np.sqrt(var), 1.0)
