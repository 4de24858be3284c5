"""Physics-informed network on shuffled rows of all participants (it leaks).

See `experiments.wesad.pinn_paper_protocol`: these rows leak, and so do its figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.wesad.eda_forecast import EdaForecast
from experiments.wesad.multitask import CLASSES, Multitask, Physics, physics
from physio.core.block import Array
from physio.datasets import feature_table
from physio.evaluation.models.baselines import FoldData
from physio.models.pinn import PinnConfig


@dataclass(frozen=True)
class PaperRowsData:
    """Rows as the network reads them.

    Parameters
    ----------
    data
        The data set.
    x
        Features, scaled over all rows, shape (n, f).
    past, ahead
        Skin conductance of the last minute (uS), shape (n, samples), and 5 s later,
        shape (n, 1).
    labels
        Labels of the rows' conditions, shape (n,).
    scale
        Lowest and highest conductance (uS); the target is the position between them.
    """

    data: Any
    x: Array
    past: Array
    ahead: Array
    labels: Any
    scale: tuple[float, float]


def scaled(x: Array, usable: npt.NDArray[np.bool_]) -> Array:
    """Return features standardized by mean and spread over all usable rows.

    A missing value counts as the mean.
    """
    mean, spread = np.nanmean(x[usable], axis=0), np.nanstd(x[usable], axis=0)
    return np.asarray(np.nan_to_num((x - mean) / np.maximum(spread, 1e-9)))


def networks(
    target: str,
    rows: PaperRowsData,
    parts: Mapping[str, slice],
    horizon: float,
    epochs: int,
    rate: float,
) -> dict[str, Any]:
    """Return networks by name, each with a subset of the features.

    Parameters
    ----------
    target
        ``"condition"`` or ``"eda"``, as in
        `experiments.wesad.pinn_paper_protocol.PaperRows`.
    rows
        See `PaperRowsData`.
    parts
        Features that each network reads, by the description of the subset.
    horizon
        Horizon of ``rows.ahead`` (s).
    epochs, rate
        Number of epochs, and learning rate.
    """
    models: dict[str, Any] = {}
    for k, (inputs, columns) in enumerate(parts.items()):
        if target == "eda" and "signals" not in inputs:
            continue  # a forecaster always reads the trace
        for name, weight in (("network", 0.02), ("network without physics", 0.0)):
            if k and not weight:
                continue  # once is enough
            config = PinnConfig(horizons=(horizon,), width=64, physics=weight)
            if target == "condition":
                of = _physics(rows.data)
                learner = Multitask(rows.past, rows.ahead, of, config, epochs, rate)
                model: Any = Seeing(learner, rows.x[:, columns])
            else:
                model = _skin(rows, columns, config, epochs, rate)
            models[f"{name}, {inputs}"] = model
    return models


@dataclass(frozen=True, eq=False)
class Seeing:
    """A model that reads ``x`` in place of the table's features."""

    model: Any
    x: Array

    def __call__(self, given: FoldData) -> Array:
        predicted: Array = self.model(given._replace(x=self.x))
        return predicted


@dataclass(frozen=True, eq=False)
class Between:
    """A forecaster whose output (uS) is rescaled from a range to 0 to 1."""

    model: Any
    low: float
    high: float

    def __call__(self, given: FoldData) -> Array:
        return np.asarray((self.model(given) - self.low) / (self.high - self.low))


def _skin(
    rows: PaperRowsData,
    columns: slice,
    config: PinnConfig,
    epochs: int,
    rate: float,
) -> Between:
    x = rows.x[:, columns]
    names = np.array([str(v).split(" ")[0] for v in rows.labels])
    labels = np.array([CLASSES.index(c) if c in CLASSES else -1 for c in names])
    parameters = physics(rows.data, CLASSES)
    sized = replace(config, features=x.shape[1])
    (horizon,) = config.horizons
    model = EdaForecast(horizon, rows.ahead, x, labels, parameters, sized, epochs, rate)
    return Between(Seeing(model, rows.past), *rows.scale)


def _physics(data: Any) -> Any:
    def of(classes: Sequence[str]) -> Physics:
        return physics(data, classes)

    return of


def labels(table: Any) -> Any:
    """Return the label of each row, empty where it has none, shape (n,)."""
    return table[feature_table.LABEL].fillna("").to_numpy()
