"""Signals of a whole record: one channel with its gaps, means on an even grid."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array, Block, Channel
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording, computed
from physio.core.stage import MaskBadSamples, Stage, StageRunner
from physio.core.stitch import stitched
from physio.datasets.provenance import NON_CAUSAL
from physio.dsp.select_channels import SelectChannels

Flags = npt.NDArray[np.bool_]

PROVENANCE: Final = NON_CAUSAL
"""Provenance of every result: values depend on later samples, too."""

_TYPES: Final[dict[str, type]] = {
    **dict.fromkeys(("accepted", "corrected", "edited"), bool),
    **dict.fromkeys(("stream", "channel", "source"), object),
}
_ARTIFACTS: Final = (int(MissingReason.POOR_QUALITY), int(MissingReason.MARKED_BAD))


class WholeSignal(NamedTuple):
    """A channel of a whole record on an even grid.

    ``time`` (s, session clock) and ``values`` have shape (n,); ``artifact`` marks the
    missing values that were masked as artifacts, not lost.
    """

    stream: str
    channel: Channel
    rate: float
    time: Array
    values: Array
    artifact: Flags

    @property
    def key(self) -> str:
        """Name of the signal: ``<stream>/<channel>``."""
        return f"{self.stream}/{self.channel.name}"


def measured_streams(recording: Recording) -> dict[str, tuple[Block, ...]]:
    """Return the regular streams with samples, without computed ones and truths."""
    return {
        name: blocks
        for name, blocks in recording.streams.items()
        if blocks[0].info.rate
        and any(map(len, blocks))
        and not computed(name)
        and not name.startswith("session.")
        and not name.endswith(".truth")
    }


def whole_signal(
    blocks: Sequence[Block], channel: Channel, mask: Stage | None = None
) -> WholeSignal:
    """Return a channel of a stream, with samples that a mask rejects missing.

    Parameters
    ----------
    blocks
        The stream.
    channel
        One of its channels.
    mask
        Stage that returns 1 for a good and 0 for a bad sample: see `MaskBadSamples`.
    """
    return whole_signals(blocks, (channel,), mask)[0]


def whole_signals(
    blocks: Sequence[Block], channels: Sequence[Channel], mask: Stage | None = None
) -> list[WholeSignal]:
    """Return channels of a stream, in the order of the stream: see `whole_signal`."""
    names = {c.name for c in channels}
    info = blocks[0].info
    ordered = [c for c in info.channels if c.name in names]
    chosen = _through(SelectChannels(tuple(c.name for c in ordered)), blocks)
    if mask is not None:
        chosen = _through(MaskBadSamples(quality=mask), chosen)
    time, data = stitched(chosen)
    signals = []
    for channel, column in zip(ordered, data.T, strict=True):
        values = np.ascontiguousarray(column)
        artifact = np.isin(missing_reason(values), _ARTIFACTS)
        rate = float(info.rate)
        signals.append(WholeSignal(info.name, channel, rate, time, values, artifact))
    return signals


def binned(signal: WholeSignal, step: float) -> WholeSignal:
    """Return means of ``step`` s; a mean of which half is missing is missing.

    A signal with fewer samples is interpolated between samples that follow one another,
    never over a missing one.
    """
    n = len(signal.time)
    if not n:
        return signal
    if signal.rate * step < 1:
        return _interpolated(signal, step)
    index = np.floor((signal.time - signal.time[0]) / step + 1e-6).astype(int)
    size = int(index[-1]) + 1
    present = np.isfinite(signal.values)
    count = np.bincount(index[present], minlength=size)
    total = np.bincount(index[present], signal.values[present], minlength=size)
    bad = np.bincount(index, signal.artifact, minlength=size)
    need = np.bincount(index, minlength=size) / 2
    enough = (count >= need) & (count > 0)
    values = np.full(size, np.nan)
    values[enough] = total[enough] / count[enough]
    time = signal.time[0] + (np.arange(size) + 0.5) * step - 0.5 / signal.rate
    artifact = ~enough & (bad > 0)
    return signal._replace(rate=1 / step, time=time, values=values, artifact=artifact)


def runs_of(mask: npt.ArrayLike) -> list[tuple[int, int]]:
    """Return first and last + 1 of each run of true values."""
    edges = np.flatnonzero(np.diff(np.asarray(mask, np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def filled(values: Array) -> Array:
    """Return values with linear bridges over missing ones, as input of a filter.

    What a filter returns there, and next to it, is to be discarded.
    """
    present = np.isfinite(values)
    rows = np.arange(len(values))
    if not present.any():
        return np.zeros(len(values))
    return np.interp(rows, rows[present], values[present])


def mean_within(time: Array, values: Array, begin: float, end: float) -> Array:
    """Return the values from ``begin`` to before ``end`` (s)."""
    first, last = np.searchsorted(time, (begin, end))
    return values[first:last]


def joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of all parts as one table with these columns.

    Without any row they have the types that they have with rows.
    """
    full = [p for p in parts if len(p)]
    if not full:
        types = {c: _TYPES.get(c, float) for c in columns}
        return pd.DataFrame({c: np.empty(0, t) for c, t in types.items()})
    values = {c: np.concatenate([p[c].to_numpy() for p in full]) for c in columns}
    return pd.DataFrame(values)


def between_samples(wave: Array, rows: Array) -> Array:
    """Return the position of each peak between samples, by a parabola."""
    inner = (rows > 0) & (rows < len(wave) - 1)
    r = np.where(inner, rows, 1)
    before, top, after = wave[r - 1], wave[r], wave[r + 1]
    bend = before - 2 * top + after
    peaked = inner & (bend < 0) & (before <= top) & (after <= top)
    shift = 0.5 * (before - after) / np.where(peaked, bend, 1.0)
    return rows + np.where(peaked, shift, 0.0)


def _interpolated(signal: WholeSignal, step: float) -> WholeSignal:
    time = np.arange(signal.time[0], signal.time[-1] + step / 2, step)
    last = len(signal.time) - 1
    after = np.clip(np.searchsorted(signal.time, time - 1e-9), 0, last)
    before = np.maximum(after - 1, 0)
    exact = np.abs(signal.time[after] - time) < 1e-9
    before = np.where(exact, after, before)
    values = np.interp(time, signal.time, filled(signal.values))
    lost = np.isnan(signal.values[before]) | np.isnan(signal.values[after])
    values[lost] = np.nan
    artifact = lost & (signal.artifact[before] | signal.artifact[after])
    return signal._replace(rate=1 / step, time=time, values=values, artifact=artifact)


def _through(stage: Stage, blocks: Sequence[Block]) -> tuple[Block, ...]:
    runner = StageRunner(stage, blocks[0].info)
    return tuple(runner.push(block) for block in blocks)
