"""Newest samples of a signal as one row a tick, for models that read windows."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage

COUNT: Final = "count"
"""Last column: the number of the row, by which lost and repeated rows are seen."""


class _State(NamedTuple):
    held: Array  # samples of the row that is not full yet, (step, channels)
    filled: Array  # how many of them there are, then rows so far, (2,)


@dataclass(frozen=True)
class NewestSamples(Stage):
    """The samples of the last ``step`` s as a row: ``Fp1.0`` ... ``Fz.31``, ``count``.

    A model with a `physio.models.base.Model.window` joins the rows to its window. The
    samples are those of the stream, so that the window is the same however it was cut.

    Parameters
    ----------
    step
        Time between two rows (s): the time between two ticks of the session, a whole
        number of samples.

    Notes
    -----
    row k = samples k * n to (k + 1) * n - 1 of each channel, n = step * rate. Shape (n,
    channels) to (m, channels * n + 1), in the input's unit; due with the last sample,
    without a delay of its own. The form is ours: no deviation from a reference.
    """

    step: float = 0.25

    def samples(self, info: StreamInfo) -> int:
        """Return the number of samples of a row."""
        exact = Fraction(str(self.step)) * info.rate
        if exact.denominator != 1 or exact < 1:
            raise ValueError(
                f"a row of {self.step:g} s of {info.name!r} has {float(exact):g} "
                "samples: give a step that is a whole number of them, or resample"
            )
        return int(exact)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the stream of rows."""
        n = self.samples(info)
        channels = [
            replace(c, name=f"{c.name}.{k}", memory=c.memory + self.step)
            for c in info.channels
            for k in range(n)
        ]
        count = replace(info.channels[0], name=COUNT, kind="misc", unit="1", memory=0.0)
        return info.with_channels(info.rate / n, *channels, count)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return the schedule of rows, each due with its last sample."""
        n = self.samples(info)
        return OutputSchedule(Fraction(n - 1), Fraction(n))

    def initial_state(self, info: StreamInfo) -> _State:
        """Return the state before the first sample."""
        shape = self.samples(info), len(info.channels)
        return _State(np.full(shape, MissingReason.NO_SIGNAL.nan), np.zeros(2))

    def process(self, state: _State, x: Array) -> Array:
        """Take in samples; return the rows now due."""
        step, channels = state.held.shape
        held = int(state.filled[0])
        both = np.vstack([state.held[:held], x])
        rows = len(both) // step
        out = np.empty((rows, channels * step + 1))
        whole = both[: rows * step].reshape(rows, step, channels)
        out[:, :-1] = whole.transpose(0, 2, 1).reshape(rows, channels * step)
        out[:, -1] = state.filled[1] + np.arange(rows)
        lost = np.isnan(out[:, :-1]).all(axis=1)
        out[lost, -1] = out[lost, 0]
        rest = both[rows * step :]
        state.held[: len(rest)] = rest
        state.filled[:] = len(rest), state.filled[1] + rows
        return out


def window_columns(
    chain: str, channels: tuple[str, ...], step: int
) -> tuple[tuple[str, str], ...]:
    """Return the columns of a chain that ends with `NewestSamples`, for a card.

    Parameters
    ----------
    chain
        Name of the chain.
    channels
        Names of the channels, in the order in which the model reads them.
    step
        Samples of a row.
    """
    names = [f"{chain}.{c}.{k}" for c in channels for k in range(step)]
    return tuple((name, "raw") for name in (*names, f"{chain}.{COUNT}"))
