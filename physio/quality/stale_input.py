"""Outputs that expire when the input has been missing for some time."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, OutputSchedule, Stage, State


class InputAge(NamedTuple):
    """State of the stages, and samples since the last input."""

    inner: State
    schedule: OutputSchedule
    limit: int  # samples
    counts: npt.NDArray[np.int64]  # (3,): samples, outputs, samples since a value


@dataclass(frozen=True)
class ExpireStale(Stage):
    """Stages whose outputs are missing once their input has been missing for a time.

    A window that is half full still has a value; a sensor that was removed should not
    have one until then.

    Parameters
    ----------
    stages
        The stages, in series.
    seconds
        Time for which all channels of the input are missing until outputs are (s).

    Notes
    -----
    The reason of an expired output is that of the newest sample's first channel. There
    is no delay. Shape (n, channels) to that of the stages.
    """

    stages: tuple[Stage, ...] = ()
    seconds: float = 10.0

    @property
    def _chain(self) -> Chain:
        return Chain(self.stages)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the output stream of the stages."""
        return self._chain.output_info(info)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return the schedule of the stages."""
        return self._chain.schedule(info)

    def initial_state(self, info: StreamInfo) -> State:
        """Return the state of the stages before the first sample."""
        if not self.seconds > 0:
            raise ValueError(
                f"outputs of {info.name!r} must expire after more than 0 s, not "
                f"{self.seconds:g}"
            )
        return InputAge(
            self._chain.initial_state(info),
            self.schedule(info),
            max(int(info.rate * Fraction(str(self.seconds))), 1),
            np.zeros(3, np.int64),
        )

    def process(self, state: State, x: Array) -> Array:
        """Process ``x``; expire the outputs due long after the last value."""
        y = self._chain.process(state.inner, x)
        samples, outputs, since = state.counts.tolist()
        ages = _ages(np.asarray(np.isnan(x).all(axis=1)), since)
        if len(y) and ages.max(initial=0) > state.limit:
            due = range(outputs, outputs + len(y))
            rows = np.array([state.schedule.due(k) for k in due]) - samples
            old = ages[rows] > state.limit
            reasons = missing_reason(x[rows[old], 0])
            y = y.copy()
            for k, reason in zip(np.flatnonzero(old), reasons, strict=True):
                y[k, ~np.isnan(y[k])] = MissingReason(reason).nan
        state.counts[:2] += len(x), len(y)
        if len(x):
            state.counts[2] = ages[-1]
        return y

    def on_events(self, state: State, events: Events) -> None:
        """Pass the events to the stages."""
        self._chain.on_events(state.inner, events)


def _ages(missing: npt.NDArray[np.bool_], since: int) -> npt.NDArray[np.int64]:
    """Return the number of samples since the last present one, for each sample."""
    at = np.arange(1, len(missing) + 1)
    last = np.maximum.accumulate(np.where(missing, 0, at))
    return np.where(last > 0, at - last, at + since)
