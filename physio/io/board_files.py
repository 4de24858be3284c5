"""Samples of biosignal boards, with losses detected by the package counter."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BoardSamples:
    """The n samples of a board, as stored in a file.

    Parameters
    ----------
    board
        Name of the board, with which the names of its streams begin.
    rate
        Samples per second (Hz).
    counter
        Package number of each sample, shape (n,).
    stamps
        Time stamp of each sample in the file (Unix s), shape (n,); 0 for none.
    markers
        Marker of each sample, shape (n,); 0 for none.
    signals
        Channels and samples, shape (n, channels), of each stream: ``eeg``, ``acc``.
    """

    board: str
    rate: Fraction
    counter: Array
    stamps: Array
    markers: Array
    signals: Mapping[str, tuple[tuple[Channel, ...], Array]]

    def recording(self, source: str, participant: str) -> Recording:
        """Return the streams ``<board>.<signal>`` and the events ``<board>.markers``.

        Sample i of a stream was taken i / rate s after the first one, lost ones
        included; the file's own stamps, which are bunched and sometimes decrease,
        become the stamps of the blocks.
        """
        at = positions(self.counter, self.stamps, float(self.rate))
        rows, at = _rising(at)
        cuts = (np.flatnonzero(np.diff(at) != 1) + 1).tolist()
        streams = {}
        for name, (channels, data) in self.signals.items():
            info = StreamInfo(
                f"{self.board}.{name}", self.rate, channels, participant=participant
            )
            streams[info.name] = tuple(
                Block(info, int(n[0]), 0.0, np.ascontiguousarray(x), stamps)
                for n, x, stamps in zip(
                    np.split(at, cuts),
                    np.split(data[rows], cuts),
                    np.split(self.stamps[rows], cuts),
                    strict=True,
                )
                if len(n)
            ) or (Block(info, 0, 0.0, np.empty((0, len(channels)))),)
        about = {"source": source, "begin": "0.0"}
        if len(at) and self.stamps[rows[0]] > 0:
            about["begin_unix"] = repr(float(self.stamps[rows[0]]))
        if len(rows) < len(self.counter):
            about["repeated"] = str(len(self.counter) - len(rows))
        if participant:
            about["participant"] = participant
        events = self._markers(self.markers[rows], at, participant)
        return Recording(streams, {events.info.name: events}, (), about)

    def _markers(self, markers: Array, at: Numbers, participant: str) -> Events:
        rows = np.flatnonzero(markers)
        times = at / float(self.rate)
        info = StreamInfo(
            f"{self.board}.markers",
            Fraction(0),
            (Channel("value"),),
            participant=participant,
        )
        labels = tuple(f"{v:g}" for v in markers[rows])
        until = float(times[-1]) if len(times) else 0.0
        return Events(info, until, times[rows], markers[rows, None].copy(), labels)


def positions(counter: Array, stamps: Array, rate: float) -> Numbers:
    """Return the number of each sample, from 0, counting lost samples.

    Parameters
    ----------
    counter
        Package numbers, shape (n,). They wrap at 256 or at 100, may rise by 2, and may
        be shared by the samples of a package; these properties are inferred from the
        numbers.
    stamps
        Approximate time of each sample (s), shape (n,), from which the number of wraps
        during a loss is derived. Without stamps (0) the shortest loss is assumed.
    rate
        Samples per second (Hz).

    Returns
    -------
    ndarray of int64, shape (n,)
        A late sample has a number below that of the previous sample, and a repeated
        sample has that of its first occurrence.
    """
    if not len(counter):
        return np.empty(0, np.int64)
    value = np.round(counter).astype(np.int64)
    new = np.diff(value, prepend=value[0] - 1) != 0
    share = _mode(np.diff(np.flatnonzero(new), append=len(value)))  # have one number
    jumps = np.diff(value[new])
    step = _mode(jumps[jumps > 0])
    wrap = _wrap(value, jumps, step)
    stamped = wrap and bool(np.all(stamps > 0))
    scale = rate / share * step  # package numbers a second
    if stamped:
        # Whole rounds may be lost: the same number is then that of another package.
        new |= np.diff(stamps, prepend=stamps[0]) * scale > wrap / 2
    first = np.flatnonzero(new)
    jumps = np.diff(value[first])
    if stamped:
        half = wrap // 2
        jumps = (jumps + half) % wrap - half  # the shortest way, forwards or back
        jumps += wrap * _missed_rounds(jumps, stamps[first], wrap, scale)
    elif wrap:
        jumps %= wrap
    packages = np.concatenate([[0], np.cumsum(jumps)]) // step
    lengths = np.diff(first, append=len(value))
    inside = np.arange(len(value)) - np.repeat(first, lengths)
    return np.repeat(packages, lengths) * share + np.minimum(inside, share - 1)


def _mode(values: Numbers) -> int:
    """Return the most frequent value; 1 for none."""
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()]) if len(distinct) else 1


def _wrap(value: Numbers, jumps: Numbers, step: int) -> int:
    """Return the number at which the counter wraps; 0 if it never does."""
    reach = int(value.max() - value.min())
    back = jumps[jumps < -reach / 2]
    if len(back):
        return step - _mode(back)
    return 256 if value.max() < 256 else 0


def _missed_rounds(jumps: Numbers, stamps: Array, wrap: int, scale: float) -> Numbers:
    """Return the number of complete rounds of the counter that were lost in each jump.

    A computer that stalls gives late stamps to the samples that it reads next, and then
    catches up. Therefore the *earliest* stamps relative to the counter, before and
    after a jump, are compared.
    """
    behind = stamps * scale - np.concatenate([[0], np.cumsum(jumps)])
    missed = np.zeros(len(jumps), np.int64)
    for i in np.flatnonzero(np.abs(np.diff(behind)) > wrap / 2):
        reach = int(2 * scale + 2 * abs(behind[i + 1] - behind[i]))
        before = behind[max(0, i + 1 - reach) : i + 1].min()
        after = behind[i + 1 : i + 1 + reach].min()
        missed[i] = max(0, round((after - before) / wrap))
        behind[i + 1 :] -= wrap * missed[i]
    return missed


def _rising(at: Numbers) -> tuple[Numbers, Numbers]:
    """Return rows with each number once, in rising order, and these numbers."""
    number, rows = np.unique(at, return_index=True)
    return rows.astype(np.int64), number - (number[0] if len(number) else 0)
