"""Samples of biosignal boards, with losses detected by the package counter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.core.timing.dejitter import fit

Numbers = npt.NDArray[np.int64]

_GROUPS: Final = (
    ("eeg_channels", "eeg", "eeg", "uV", ""),
    ("ecg_channels", "ecg", "ecg", "uV", ""),
    ("emg_channels", "emg", "emg", "uV", ""),
    ("eog_channels", "eog", "eog", "uV", ""),
    ("accel_channels", "acc", "misc", "g", "xyz"),
    ("gyro_channels", "gyro", "misc", "deg/s", "xyz"),
    ("eda_channels", "eda", "gsr", "uS", ""),
    ("ppg_channels", "ppg", "bio", "1", ""),
    ("optical_channels", "optical", "bio", "1", ""),
    ("temperature_channels", "temp", "temperature", "degC", ""),
)
"""Groups of rows of BrainFlow: stream, kind and unit, and names of axes of channels.

Many boards list their electrodes as EEG, ECG, EMG and EOG at once: a row belongs to the
first group that has it.
"""

_OTHER_UNITS: Final[Mapping[str, Mapping[str, tuple[str, float]]]] = {
    "Explore": {"acc": ("g", 1e-3), "gyro": ("deg/s", 1e-3)},
    "Shimmer3": dict.fromkeys(("acc", "gyro", "ecg", "temp"), ("counts", 1.0)),
}
"""Unit and factor of the streams of boards whose rows have another unit.

By the begin of BrainFlow's name of the board. Its driver of Mentalab's Explore gives
thousandths of g and of deg/s; that of the Shimmer3 gives counts of the converter of
all sensors but skin conductance (sources of BrainFlow 5.23).
"""

NO_BOARDS: Final = {
    "shimmer3r": "BrainFlow's driver refuses a Shimmer3R, whose protocol is another: "
    "record with Consensys and read its export, or stream it by LSL (devices.lsl)",
    "bitalino": "BrainFlow has no driver of the BITalino: switch on LSL in OpenSignals "
    "(devices.lsl), or read the file that it records",
}
"""Boards that are asked for and that BrainFlow does not support, and the remedy."""

_LARGEST: Final = 2.0**40
"""Numbers of packages and Unix times (s) above this are damaged."""

_REPEATED: Final = 0.01
"""Proportion of repeated samples above which a counter is wrong."""


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
        become the stamps of the blocks. Where the counter contradicts the time that the
        stamps span, or repeats itself, the stamps place the samples.
        """
        placed = self._placed()
        streams = {}
        for name, (channels, data) in self.signals.items():
            info = StreamInfo(
                f"{self.board}.{name}", placed.rate, channels, participant=participant
            )
            streams[info.name] = tuple(
                Block(
                    info,
                    start,
                    t0,
                    np.ascontiguousarray(data[rows]),
                    self.stamps[rows],
                )
                for rows, start, t0 in placed.runs
            ) or (Block(info, 0, 0.0, np.empty((0, len(channels)))),)
        about = {"source": source, "begin": "0.0"}
        rows = np.concatenate([np.empty(0, np.int64), *(r for r, _, _ in placed.runs)])
        if len(rows) and self.stamps[rows[0]] > 0:
            about["begin_unix"] = repr(float(self.stamps[rows[0]]))
        if len(rows) < len(self.counter):
            about["repeated"] = str(len(self.counter) - len(rows))
        if placed.note:
            about["warnings"] = f"{self.board}: {placed.note}"
        if participant:
            about["participant"] = participant
        events = self._markers(placed, participant)
        return Recording(streams, {events.info.name: events}, (), about)

    def times(self) -> Array:
        """Return the time of each row (s), shape (n,); NaN for a repeated one."""
        placed = self._placed()
        times = np.full(len(self.counter), np.nan)
        for rows, start, t0 in placed.runs:
            times[rows] = t0 + (start + np.arange(len(rows))) / float(placed.rate)
        return times

    def _placed(self) -> "_Placed":
        """Return the samples by number: by the counter, or else by the stamps."""
        rate, n = float(self.rate), len(self.counter)
        valid = bool(np.all(np.abs(self.counter) < _LARGEST))
        stamps = np.where(np.abs(self.stamps) < _LARGEST, self.stamps, 0.0)
        at = positions(self.counter, stamps, rate) if valid else np.zeros(n, np.int64)
        rows, number = _rising(at)
        stamped = len(stamps) > 1 and bool(np.all(stamps > 0))
        span = float(np.ptp(stamps)) if stamped else 0.0
        counted = (number[-1] + 1) / rate if len(number) else 0.0
        repeated = 1 - len(rows) / max(1, len(at))
        usable = valid and repeated <= _REPEATED
        has_gaps = bool(len(number)) and number[-1] >= len(number)
        apart = abs(counted - span) > 1.0 + 0.03 * span
        if usable and not (stamped and has_gaps and apart):
            cuts = np.flatnonzero(np.diff(number) != 1) + 1
            parts = zip(np.split(rows, cuts), np.split(number, cuts), strict=True)
            runs = [(r, int(n[0]), 0.0) for r, n in parts if len(r)]
            return _Placed(self.rate, runs)
        if not stamped:
            return _Placed(
                self.rate,
                [(np.arange(len(at)), 0, 0.0)],
                "the sample counter repeats itself and there are no time stamps: "
                "losses are unknown",
            )
        reason = (
            f"the sample counter repeats itself ({repeated:.0%})"
            if not usable
            else f"the sample counter spans {counted:.1f} s and the stamps {span:.1f} s"
        )
        grid = fit(stamps - stamps[0], self.rate)
        runs = [
            (np.arange(r.first, r.last), r.start, r.epoch - grid.runs[0].epoch)
            for r in grid.runs
        ]
        return _Placed(grid.rate, runs, f"{reason}: samples are placed by their stamps")

    def _markers(self, placed: "_Placed", participant: str) -> Events:
        rate = float(placed.rate)
        parts = [
            t0 + (start + np.arange(len(r))) / rate for r, start, t0 in placed.runs
        ]
        times = np.concatenate([np.empty(0), *parts])
        order = [r for r, _, _ in placed.runs]
        values = self.markers[np.concatenate([np.empty(0, np.int64), *order])]
        rows = np.flatnonzero(values)
        info = StreamInfo(
            f"{self.board}.markers",
            Fraction(0),
            (Channel("value"),),
            participant=participant,
        )
        labels = tuple(f"{v:g}" for v in values[rows])
        until = float(times[-1]) if len(times) else 0.0
        return Events(info, until, times[rows], values[rows, None].copy(), labels)


class _Placed(NamedTuple):
    """Rate (Hz), and rows, first number and start time (s) of consecutive samples."""

    rate: Fraction
    runs: list[tuple[Numbers, int, float]]
    note: str = ""


class BoardStream(NamedTuple):
    """Stream of a board: name, channels, BrainFlow's rows, and factor of the values."""

    name: str
    channels: tuple[Channel, ...]
    rows: tuple[int, ...]
    factor: float = 1.0

    def values(self, data: Array) -> Array:
        """Return the samples of the stream, shape (n, channels), of all columns."""
        values = np.ascontiguousarray(data[:, list(self.rows)])
        return values if self.factor == 1 else values * self.factor


def preset_streams(
    about: Mapping[str, Any], taken: Sequence[str] = ()
) -> list[BoardStream]:
    """Return the streams of a board's preset.

    Parameters
    ----------
    about
        BrainFlow's description of the preset.
    taken
        Names of streams that other presets have; a second ``acc`` is ``acc2``.
    """
    used: set[int] = set()
    streams = []
    name = str(about.get("name", ""))
    others = next((u for b, u in _OTHER_UNITS.items() if name.startswith(b)), {})
    for key, stream, kind, usual, axes in _GROUPS:
        unit, factor = others.get(stream, (usual, 1.0))
        rows = [r for r in about.get(key, ()) if r not in used]
        if not rows:
            continue
        used.update(rows)
        names = [f"{stream}{i + 1}" for i in range(len(rows))]
        if len(rows) == 1:
            names = [stream]
        if axes and len(rows) == len(axes):
            names = [f"{stream}.{axis}" for axis in axes]
        if stream == "eeg" and "eeg_names" in about:
            names = about["eeg_names"].split(",")[: len(rows)]
        channels = tuple(Channel(n, kind, unit) for n in names)
        label = f"{stream}2" if stream in taken else stream
        streams.append(BoardStream(label, channels, tuple(rows), factor))
    return streams


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
    value = _folded(np.round(counter).astype(np.int64))
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
    fewer = share - _share_of_zero(value[first], lengths, share) if wrap else 0
    begins = packages * share
    if fewer:
        zeros = (value[0] + (packages - 1) * step) // wrap - (value[0] - step) // wrap
        begins -= zeros * fewer
    shares = np.where(value[first] == 0, share - fewer, share)
    return np.repeat(begins, lengths) + np.minimum(
        inside, np.repeat(shares, lengths) - 1
    )


def _folded(value: Numbers) -> Numbers:
    """Return a counter; the two ranges of a Ganglion's, 1..100 and 101..200, as one.

    Its firmware 2 counts compressed packages from 1 or from 101, by the number of their
    bits, after an uncompressed one with the number 0.
    """
    after = value[1:][(value[:-1] == 0) & (value[1:] > 0)]
    if 100 < value.max() <= 200 and len(after) and _mode(after) in (1, 101):
        return np.where(value > 0, (value - 1) % 100 + 1, 0)
    return value


def _share_of_zero(value: Numbers, lengths: Numbers, share: int) -> int:
    """Return the number of samples of packages 0, which may be uncompressed."""
    zero = lengths[value == 0]
    return min(share, _mode(zero)) if len(zero) > 2 else share


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
