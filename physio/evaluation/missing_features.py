"""Scores by the rate of features that are missing at random in the test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.evaluation import statistics
from physio.evaluation.models.baselines import FoldData

RATES: Final = tuple(round(0.1 * k, 1) for k in range(11))
"""Missing rates of Zhong et al. (2025, arXiv 2506.10452)."""

CURVES: Final = "missing rates"
"""Key of the curves in the details of results."""

_OF_CONSTANTS: Final = ("r", "CCC")
_PURPOSE: Final = 8  # of the random numbers

Mask = npt.NDArray[np.bool_]
Rescored = Callable[[Mask], list[dict[str, Any]]]
"""``rescored(missing)``: results of all models with test values missing, (n, f)."""


def checked(rates: Sequence[float]) -> tuple[float, ...]:
    """Return missing rates.

    Raises
    ------
    ValueError
        If they are fewer than two, outside 0 to 1, or do not increase.
    """
    values = tuple(float(r) for r in rates)
    steps = np.diff(values)
    if len(values) < 2 or min(values) < 0 or max(values) > 1 or (steps <= 0).any():
        raise ValueError(
            f"missing_rates = {list(rates)} must be two or more increasing numbers "
            "from 0 to 1, as [0.0, 0.5, 1.0]"
        )
    return values


def area_name(metric: str) -> str:
    """Return the name of the area under a metric."""
    return f"{metric}, mean over missing rates"


def hidden(given: FoldData, names: Sequence[str], missing: Mask) -> FoldData:
    """Return the data of a fold with values of its test rows missing.

    Parameters
    ----------
    given
        Data of the fold; ``x`` are the features.
    names
        Columns of the features.
    missing
        Mask of the values, shape (n, f); training rows stay as they are.
    """
    cut = np.zeros_like(missing)
    cut[given.fold.test] = missing[given.fold.test]
    x = np.where(cut, np.nan, given.x)
    rows = given.rows.with_columns(names, x)
    return given._replace(x=x, table=rows.table, row_index=rows)


def over_rates(
    shape: tuple[int, int],
    rates: Sequence[float],
    metric: str,
    seed: int,
    rescored: Rescored,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the area under each model's metric over missing rates, and the curves.

    Each value of each test row is missing with the given rate, independently of others;
    a value that is missing at a rate is missing at all higher ones. Training rows are
    as they are. The area is the trapezoid divided by the range of rates: a mean. A
    correlation with a constant output counts as 0.

    Parameters
    ----------
    shape
        Number of rows and of features.
    rates, metric, seed
        Missing rates; name of the metric; seed of what is missing.
    rescored
        Function that trains and scores all models with test values missing.

    Returns
    -------
    list of dict, dict
        Rows of results as `physio.evaluation.statistics.summary` returns them, and
        ``metric``, ``rates`` and ``models``: the mean score of each at each rate.
    """
    rates = checked(rates)
    draw = np.random.default_rng((seed, _PURPOSE)).random(shape)
    by_rate: list[dict[str, Mapping[str, float]]] = [
        {
            r["model"]: r["per_participant"]
            for r in rescored(draw < rate)
            if r["metric"] == metric
        }
        for rate in rates
    ]
    curves, areas = {}, []
    for model, people in by_rate[0].items():
        values: Array = np.array(
            [[at[model][p] for p in people] for at in by_rate], np.float64
        )
        if metric in _OF_CONSTANTS:
            values = np.where(np.isfinite(values[0]), np.nan_to_num(values), values)
        width = rates[-1] - rates[0]
        area: Array = np.asarray(np.trapezoid(values, rates, axis=0) / width)
        known = values[:, np.isfinite(area)]
        curves[model] = np.round(known.mean(axis=1), 4).tolist() if known.size else []
        per_participant = dict(zip(people, area.tolist(), strict=True))
        areas.append(
            statistics.summary(model, area_name(metric), per_participant, seed)
        )
    return areas, {"metric": metric, "rates": list(rates), "models": curves}
