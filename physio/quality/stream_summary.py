"""Summary of a whole stream: samples, losses, typical values, and plain faults.

A summary needs little memory however long the stream is, and does not depend on how the
stream is cut into blocks. `StreamSummary.faults` names what no sensor on a body gives:
no sample, missing values only, a constant, values outside the physical range.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import Events, Item
from physio.io.channel_kinds import is_helper


class PhysicalRange(NamedTuple):
    """Range of the typical value of a kind of channel in one unit, and its meaning."""

    low: float
    high: float
    below: str
    above: str


VARYING: Final = ("eeg", "ecg", "eog", "emg", "bio", "resp")
"""Kinds whose typical value is the standard deviation; of others it is the median."""

_OTHER_UNIT: Final = "another unit"
_NO_ELECTRODE: Final = "no electrode, or another unit"
RANGES: Final[Mapping[tuple[str, str], PhysicalRange]] = {
    ("gsr", "uS"): PhysicalRange(
        0.05, 60.0, "dry skin, electrodes off the skin, or another unit", _OTHER_UNIT
    ),
    ("temperature", "degC"): PhysicalRange(
        15.0, 45.0, "not on skin, or another unit", _OTHER_UNIT
    ),
    ("eeg", "uV"): PhysicalRange(
        0.2, 500.0, _NO_ELECTRODE, "a loose electrode, or another unit"
    ),
    ("ecg", "uV"): PhysicalRange(
        10.0, 5e3, "no electrode, or another unit", _OTHER_UNIT
    ),
    ("ecg", "mV"): PhysicalRange(
        0.01, 5.0, "no electrode, or another unit", _OTHER_UNIT
    ),
    ("misc", "g"): PhysicalRange(-4.0, 4.0, _OTHER_UNIT, _OTHER_UNIT),
}
"""Physical range by kind and unit.

Skin conductance: Kleckner et al. 2018; temperature and EEG as in
`physio.quality.range_checks`; ECG: IEC 60601-2-27, plus and minus 5 mV; acceleration:
gravity, with a margin (ours). EEG of less than 0.2 uV within a second is below the
noise of an amplifier on a head (ours).
"""

_CAPACITY: Final = 4096
_PENDING: Final = 20.0  # s of samples that are summarized at once
_CONSTANT: Final = 5.0  # s
_LOST: Final = 5.0  # s without a sample at the end
_LOST_SHARE: Final = 0.005  # of the stream: sensors of a device end one by one


class StreamSummary:
    """Summary of one stream, updated by its items."""

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.samples = 0
        self.lost = 0
        self.end = float("nan")
        n = len(info.channels)
        self._finite = np.zeros(n, np.int64)
        self._low, self._high = np.full(n, np.inf), np.full(n, -np.inf)
        self._values = _Thinned(n)
        self._deviations = _Thinned(n)
        self._second = max(int(info.rate), 4) if info.rate else 0
        self._partial = np.empty((0, n))
        self._pending: list[Array] = []
        self._n_pending = 0

    def push(self, item: Item) -> None:
        """Take in a block or events of the stream."""
        if isinstance(item, Events):
            self.samples += len(item)
            return
        lost = item.start - (self.samples + self.lost)
        self.samples += len(item)
        self.lost += lost
        if not len(item):
            return
        self.end = item.complete_until
        if lost:
            self._flush()
            self._partial = self._partial[:0]
        self._pending.append(item.data)
        self._n_pending += len(item)
        if self._n_pending >= _PENDING * float(self.info.rate):
            self._flush()

    def faults(self, end: float = float("nan")) -> list[str]:
        """Return a sentence on each fault; ``end`` is the end of the session (s)."""
        if not self.samples:
            return [] if not self.info.rate else ["no sample arrived"]
        if not self.info.rate:
            return []
        faults = []
        quiet, rate = end - self.end, float(self.info.rate)
        span = (self.samples + self.lost) / rate
        if quiet > max(_LOST, 3 / rate, _LOST_SHARE * span):
            faults.append(f"no sample in the last {quiet:.0f} s")
        conditions: dict[str, list[str]] = {}
        for channel, text in self._conditions():
            conditions.setdefault(text, []).append(channel.name)
        for text, names in conditions.items():
            more = f" and {len(names) - 4} more" if len(names) > 5 else ""
            faults.append(f"{', '.join(names[: 4 if more else 5])}{more}: {text}")
        return faults

    def to_dict(self) -> dict[str, Any]:
        """Return name, rate, counts and the typical values of each channel."""
        typical = self.typical()  # which summarizes all pending samples
        present = self._finite / max(self.samples, 1)
        channels = [
            {
                "name": c.name,
                "kind": c.kind,
                "unit": c.unit,
                "present": round(float(present[i]), 4),
                "statistic": statistic(c),
                "value": _plain(float(typical[i])),
            }
            for i, c in enumerate(self.info.channels)
        ]
        return {
            "name": self.info.name,
            "rate": float(self.info.rate),
            "samples": self.samples,
            "lost": self.lost,
            "channels": channels if self.info.rate else [],
        }

    def medians(self) -> Array:
        """Return the median of each channel, NaN without one, (channels,)."""
        self._flush()
        return self._values.medians()

    def typical(self) -> Array:
        """Return the typical value of each channel, NaN without one, (channels,)."""
        medians, deviations = self.medians(), self._deviations.medians()
        varying = [c.kind in VARYING for c in self.info.channels]
        return np.where(np.array(varying, bool), deviations, medians)

    def _conditions(self) -> Iterator[tuple[Channel, str]]:
        """Yield each channel that is not as a body gives it, and a description."""
        typical = self.typical()
        long = self.samples >= _CONSTANT * float(self.info.rate)
        for i, channel in enumerate(self.info.channels):
            unit = "" if channel.unit in {"", "1"} else f" {channel.unit}"
            limits = RANGES.get((channel.kind, channel.unit))
            value = float(typical[i])
            if not self._finite[i]:
                yield channel, "all values are missing"
            elif self._low[i] == self._high[i] and long and self.samples > 1:
                if channel.kind in ("misc", "stim") and is_helper(channel.name):
                    continue  # a battery, a flag or a trigger may stay as it is
                yield channel, f"constant, {self._low[i]:.4g}{unit}"
            elif limits and not limits.low <= value <= limits.high and value == value:
                is_low = value < limits.low
                bound = f"below {limits.low:g}" if is_low else f"above {limits.high:g}"
                cause = limits.below if is_low else limits.above
                name = statistic(channel)
                yield channel, f"{name} {value:.3g}{unit}, {bound}{unit}: {cause}"

    def _flush(self) -> None:
        """Summarize the pending samples."""
        if not self._pending:
            return
        x = np.vstack(self._pending)
        self._pending, self._n_pending = [], 0
        finite = np.isfinite(x)
        self._finite += finite.sum(axis=0)
        self._low = np.minimum(self._low, np.where(finite, x, np.inf).min(axis=0))
        self._high = np.maximum(self._high, np.where(finite, x, -np.inf).max(axis=0))
        self._values.add(x)
        with np.errstate(all="ignore"):  # values of any size are summarized
            self._add_deviations(x)

    def _add_deviations(self, x: Array) -> None:
        """Add the standard deviation within each whole second."""
        width = self._second
        x = np.vstack([self._partial, x])
        n = len(x) // width
        self._partial = x[n * width :].copy()
        if n:
            seconds = x[: n * width].reshape(n, width, x.shape[1])
            there = np.isfinite(seconds)
            counts = there.sum(axis=1)
            few = np.maximum(counts, 1)
            mean = np.where(there, seconds, 0.0).sum(axis=1) / few
            square = np.where(there, (seconds - mean[:, None]) ** 2, 0.0).sum(axis=1)
            enough = 2 * counts >= width
            self._deviations.add(np.where(enough, np.sqrt(square / few), np.nan))


class _Thinned:
    """Rows at equal distances, at most `_CAPACITY` of them, however many are added."""

    def __init__(self, columns: int) -> None:
        self._rows: list[Array] = []
        self._columns = columns
        self._stride, self._count = 1, 0

    def add(self, x: Array) -> None:
        first = -self._count % self._stride
        self._rows.extend(x[first :: self._stride].copy())
        self._count += len(x)
        while len(self._rows) > _CAPACITY:
            self._rows = self._rows[::2]
            self._stride *= 2

    def medians(self) -> Array:
        """Return the median of each column without the missing values."""
        rows = np.array(self._rows).reshape(len(self._rows), self._columns)
        rows = np.where(np.isfinite(rows), rows, np.nan)
        there = np.isfinite(rows).any(axis=0)
        y = np.full(self._columns, np.nan)
        if there.any():
            y[there] = np.nanmedian(rows[:, there], axis=0)
        return y


def statistic(channel: Channel) -> str:
    """Return the name of the typical value of a channel."""
    return "sd" if channel.kind in VARYING else "median"


def _plain(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
