"""Forecast of skin conductance by an expert."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.inference.expert import BoundExpert
from physio.models.base import ForecastSpec
from physio.models.baseline import BaselineAccumulator

RATE: Final = 4
"""Rate of the ticks at which skin conductance is remembered (Hz)."""

FORECAST: Final = "forecast."
"""Prefix of the columns of forecast skin conductance: ``forecast.5s``."""

ENDS: Final = ("", ".low", ".high")
"""Suffixes of the columns of a horizon: expected value, and the 80 % interval."""


class EdaHistory(NamedTuple):
    """Last minute of skin conductance (uS); changed in place."""

    trace: Array  # oldest first

    def append(self, value: float) -> None:
        """Add the value of a tick."""
        self.trace[:-1] = self.trace[1:]
        self.trace[-1] = value


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Expert with a forecast, bound to the column of skin conductance; immutable.

    Parameters
    ----------
    index
        Index of the expert among the estimator's.
    expert
        The expert.
    spec
        Input and output of its model's forecast.
    column
        Column of skin conductance.
    channels
        Columns of the forecast: for each horizon the expected value (uS), and the ends
        of the 80 % interval. A forecast for 5 s ahead has a delay of -5 s.
    """

    index: int
    expert: BoundExpert
    spec: ForecastSpec
    column: int
    channels: tuple[Channel, ...]

    @classmethod
    def bind(cls, experts: tuple[BoundExpert, ...], info: StreamInfo) -> Self | None:
        """Return the only expert with a forecast, or None.

        Raises
        ------
        ValueError
            If two experts have a forecast, or its input is missing.
        """
        able = [
            (k, expert, spec)
            for k, expert in enumerate(experts)
            if (spec := expert.model.forecasts) is not None
        ]
        if not able:
            return None
        if len(able) > 1:
            names = " and ".join(repr(expert.name) for _, expert, _ in able)
            raise ValueError(
                f"{names} both forecast skin conductance: take one of them alone"
            )
        ((k, expert, spec),) = able
        column = trace_column(expert.name, spec.chain, info)
        source = info.channels[column]
        span = source.memory + spec.samples / RATE
        channels = [
            Channel(
                f"{FORECAST}{h:g}s{end}", "misc", "uS", source.delay - h, memory=span
            )
            for h in spec.horizons
            for end in ENDS
        ]
        return cls(k, expert, spec, column, tuple(channels))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Forecaster":
        return self

    def initial_state(self) -> EdaHistory:
        """Return an empty history."""
        return EdaHistory(np.full(self.spec.samples, MissingReason.WARMING_UP.nan))

    def predict(
        self,
        past: EdaHistory,
        row: Array,
        features: Array,
        baseline: BaselineAccumulator,
    ) -> Array:
        """Return the forecast at a tick, shape (channels,).

        Parameters
        ----------
        past
            History of skin conductance, to which the tick is added.
        row
            Row of the tick.
        features
            Features of the expert, as `FeatureBinding.read` returns them.
        baseline
            The participant's baseline.
        """
        past.append(row[self.column])
        level, _ = self.expert.baseline.level(baseline.total, baseline.seconds)
        forecast = self.expert.model.forecast(features - level, past.trace)
        return np.stack([forecast.middle, forecast.low, forecast.high], axis=1).ravel()


def trace_column(weights: str, chain: str, info: StreamInfo) -> int:
    """Return the column of skin conductance that a forecast reads.

    Parameters
    ----------
    weights, chain
        Names of the weights, and of the chain whose only column is skin conductance.
    info
        The stream of features.

    Raises
    ------
    ValueError
        If the rate of ticks is not `RATE`, or the chain does not have exactly one
        column.
    """
    if info.rate != RATE:
        raise ValueError(
            f"the weights {weights!r} remember {RATE} ticks a second, not "
            f"{info.rate}: give [session] rate = {RATE}"
        )
    ends = (".window_start", ".window_end")
    columns = [
        i
        for i, name in enumerate(info.names)
        if name.startswith(f"{chain}.") and not name.endswith(ends)
    ]
    if len(columns) != 1:
        raise ValueError(
            f"the weights {weights!r} want a chain {chain!r} that gives skin "
            f"conductance itself in one column, not in {len(columns)}"
        )
    return columns[0]
