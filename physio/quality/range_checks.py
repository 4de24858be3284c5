"""Masks of valid samples by range, slope and level: 1 is good, 0 is bad."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit

Counts = npt.NDArray[np.int64]

_PANES: Final = 10  # in the time over which a range is taken
_SHORTEST: Final = Fraction(1, 4)  # s over which changes and lasting faults are judged


class Ranges(NamedTuple):
    """Range of each channel in each tenth of a window."""

    low: Array  # (panes, channels): pane k in row k % panes
    high: Array  # (panes, channels)
    counts: Counts  # (panes, channels): samples not missing
    clock: Counts  # (2,): samples, samples in a pane
    limits: Array  # (3,): least and greatest range, rail


@njit(cache=True)
def _check_range(
    low: Array, high: Array, counts: Counts, clock: Counts, limits: Array, x: Array
) -> Array:
    """Check each sample, shape (n, channels), by the range of the previous samples."""
    panes, channels = low.shape
    width = clock[1]
    y = np.empty_like(x)
    rest = np.empty((2, channels))  # range of all panes but the one being filled
    there = np.empty(channels, np.int64)
    for i in range(len(x)):
        slot = clock[0] // width % panes
        if i == 0 or clock[0] % width == 0:
            for c in range(channels):
                if clock[0] % width == 0:
                    low[slot, c], high[slot, c], counts[slot, c] = np.inf, -np.inf, 0
                rest[0, c], rest[1, c], there[c] = np.inf, -np.inf, 0
                for p in range(panes):
                    if p != slot:
                        rest[0, c] = min(rest[0, c], low[p, c])
                        rest[1, c] = max(rest[1, c], high[p, c])
                        there[c] += counts[p, c]
        clock[0] += 1
        for c in range(channels):  # without branches: channels are vectorized
            v = x[i, c]
            least, most = low[slot, c], high[slot, c]
            least = v if v < least else least
            most = v if v > most else most
            low[slot, c], high[slot, c] = least, most
            counts[slot, c] += v == v
            least = rest[0, c] if rest[0, c] < least else least
            most = rest[1, c] if rest[1, c] > most else most
            full = 2 * (there[c] + counts[slot, c]) >= (panes - 1) * width
            flat = (most - least < limits[0]) & full
            bad = flat | (most - least > limits[1]) | (abs(v) >= limits[2])
            good = 0.0 if bad else 1.0
            y[i, c] = good if v == v else v
    return y


@dataclass(frozen=True)
class EegQuality(Stage):
    """Mask of EEG samples from electrodes that are not flat, railed or loose.

    Parameters
    ----------
    flat
        Least range (uV) over the last ``window`` s; below it an electrode is dead. The
        default, 0.5 uV, is the lowest activity that BrainVision Analyzer's raw data
        inspection accepts.
    wild
        Greatest range (uV); above it an electrode is loose, or the participant moves.
        The default, 500 uV, accepts blinks of 100 to 300 uV.
    rail
        Limit of the amplifier, as a distance from 0 (uV): by default that of the
        ADS1299 at a gain of 24, 187.5 mV, less one part in a thousand (Texas
        Instruments, SBAS499).
    window
        Length of the window of a range (s).

    Notes
    -----
    Ranges are taken over the present tenth of ``window`` and the nine before it. A flat
    electrode is detected once half of these samples are present. The offset of an
    electrode, tens of mV on an amplifier coupled to d.c., does not matter. There is no
    delay.

    y(t) = 1 where flat <= max - min <= wild over the window and abs(x(t)) < rail, else
    0; NaN where x is. Shape (n, channels) to (n, channels), unit 1. The rule is ours;
    the window is its only deviation from its sources.
    """

    flat: float = 0.5
    wild: float = 500.0
    rail: float = 187312.0
    window: float = 1.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        for c in info.channels:
            if (c.kind, c.unit) != ("eeg", "uV"):
                raise ValueError(
                    f"the quality of EEG is judged in uV, but {c.name!r} of "
                    f"{info.name!r} is {c.kind} in {c.unit}"
                )
        seconds = float(self.initial_state(info).clock[1] * _PANES / info.rate)
        return masks(info, seconds)

    def initial_state(self, info: StreamInfo) -> Ranges:
        """Return no ranges."""
        if not (0 <= self.flat < self.wild and self.window > 0):
            raise ValueError(
                f"the quality of {info.name!r} needs 0 <= flat < wild and a width "
                f"above 0: {self.flat}, {self.wild}, {self.window}"
            )
        n = len(info.channels)
        width = ceil(info.rate * Fraction(str(self.window)) / _PANES)
        return Ranges(
            np.full((_PANES, n), np.inf),
            np.full((_PANES, n), -np.inf),
            np.zeros((_PANES, n), np.int64),
            np.array([0, width], np.int64),
            np.array([self.flat, self.wild, self.rail]),
        )

    def process(self, state: Ranges, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(_check_range(*state, x))


class LimitState(NamedTuple):
    """State of the check by limits for each channel."""

    recent: Array  # (n + 2, channels): sample i in row i % (n + 2); n, of 0.25 s
    alone: Counts  # (n + 2, channels): whether that sample was the first bad one
    odd: Counts  # (channels,): bad samples up to the newest one
    since: Counts  # (channels,): samples since the last bad ones that lasted
    clock: Counts  # (2,): samples, samples of a hold
    limits: Array  # (3,): low, high, greatest change over the recent samples


@njit(cache=True)
def _check_limits(
    recent: Array,
    alone: Counts,
    odd: Counts,
    since: Counts,
    clock: Counts,
    limits: Array,
    x: Array,
) -> Array:
    """Check each sample, shape (n, channels), by its value and its change."""
    y = np.empty_like(x)
    size, hold = len(recent), clock[1]
    n = size - 2
    for i in range(len(x)):
        at = clock[0] % size
        start, earlier = (clock[0] + 2) % size, (clock[0] + 1) % size
        clock[0] += 1
        for c in range(x.shape[1]):
            v, before = x[i, c], recent[start, c]
            if alone[start, c]:  # a single bad sample is no reference
                before = recent[earlier, c]
            recent[at, c] = v
            outside = v < limits[0] or v > limits[1]
            # A value outside says nothing of its successor, unless it lasted.
            known = limits[0] <= before <= limits[1] or since[c] <= hold
            bad = outside or (known and abs(v - before) > limits[2])
            odd[c] = odd[c] + 1 if bad else 0
            alone[at, c] = odd[c] == 1
            lasts = odd[c] >= max(n, 2) and bad
            since[c] = 0 if lasts else since[c] + 1
            good = 0.0 if bad or since[c] <= hold else 1.0
            y[i, c] = v if np.isnan(v) else good
    return y


def _limit_state(
    info: StreamInfo, low: float, high: float, rise: float, hold: float
) -> LimitState:
    samples = int(info.rate * Fraction(str(hold)))
    if not (low < high and rise > 0 and hold >= 0):
        raise ValueError(
            f"the quality of {info.name!r} needs low < high, a rise above 0 and a hold "
            f"of at least 0: {low}, {high}, {rise}, {hold}"
        )
    channels, n = len(info.channels), _recent(info)
    return LimitState(
        np.full((n + 2, channels), np.nan),
        np.zeros((n + 2, channels), np.int64),
        np.zeros(channels, np.int64),
        np.full(channels, samples, np.int64),
        np.array([0, samples], np.int64),
        np.array([low, high, rise * n / float(info.rate)]),
    )


def _recent(info: StreamInfo) -> int:
    """Return the number of samples over which limits are judged: 0.25 s or more."""
    return max(ceil(info.rate * _SHORTEST), 1)


def _limit_memory(info: StreamInfo, state: LimitState) -> float:
    """Return the time (s) for which a sample can affect later ones."""
    return (int(state.clock[1]) + len(state.recent) - 1) / float(info.rate)


def masks(info: StreamInfo, seconds: float) -> StreamInfo:
    """Return a mask for each channel, whose memory is longer by ``seconds``."""
    channels = (
        Channel(c.name, "misc", "1", c.delay, c.memory + seconds) for c in info.channels
    )
    return info.with_channels(None, *channels)


@dataclass(frozen=True)
class EdaQuality(Stage):
    """Mask of skin conductance within the limits of skin.

    Parameters
    ----------
    low, high
        Range of skin conductance (uS); below it the electrodes are off the skin. Values
        from ``low`` to 0.05 uS, which [1]_ excludes, are those of dry electrodes: they
        are kept, and `EdaFeatures` tells their proportion.
    rise
        Fastest permitted change (uS/s), over 0.25 s or one sample if that is longer.
    hold
        Time after a fault in which the next samples are bad too (s).

    Notes
    -----
    Limits and method are those of [1]_, but for ``low``: a wristband off the wrist
    gives at most 0.005 uS, and half of the exams of some participants lies below 0.05
    (exam_stress). Ours is causal, so that ``hold`` applies only
    after a fault, and skin temperature, if measured, is checked on its own stream. The
    result does not depend on the sampling rate: a change is judged over d = 0.25 s, so
    that the noise of a fast converter is no jump, and ``hold`` follows only faults that
    last as long. A single value out of range, as a 0 that a device inserts now and
    then, and a single spike are masked alone. There is no delay.

    y(t) = 1 where low <= x <= high and abs(x(t) - x(t - d)) <= d rise, and where for
    ``hold`` s no violation lasted d (two samples at least), else 0. Shape (n, channels)
    to (n, channels), unit 1.

    References
    ----------
    .. [1] Kleckner et al., Simple, transparent, and flexible automated quality
       assessment procedures for ambulatory electrodermal activity data, IEEE
       Transactions on Biomedical Engineering 65, 2018.
    """

    low: float = 0.02
    high: float = 60.0
    rise: float = 10.0
    hold: float = 5.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        for c in info.channels:
            if (c.kind, c.unit) != ("gsr", "uS"):
                raise ValueError(
                    f"the quality of skin conductance is judged in uS, but {c.name!r} "
                    f"of {info.name!r} is {c.kind} in {c.unit}"
                )
        return masks(info, _limit_memory(info, self.initial_state(info)))

    def initial_state(self, info: StreamInfo) -> LimitState:
        """Return the state before the first sample."""
        return _limit_state(info, self.low, self.high, self.rise, self.hold)

    def process(self, state: LimitState, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(_check_limits(*state, x))


@dataclass(frozen=True)
class TemperatureQuality(Stage):
    """Mask of temperatures within the limits of skin.

    A sample x(t) is good where ``low`` <= x(t) <= ``high`` and was so for ``hold`` s,
    but for single samples out of range: see `EdaQuality`.

    Parameters
    ----------
    low, high
        Range of a sensor on a living body (degC).
    hold
        Time after a fault in which the next samples are bad too (s).

    Notes
    -----
    The method is that of Kleckner et al. (see `EdaQuality`), who take 30 to 40 degC as
    the temperature under a worn sensor. Deviation: 15 to 45 degC, from the pain
    threshold of cold to that of burns, because this mask detects dead sensors and not
    cold hands: the wrists of 23 participants are between 26.3 and 36 degC (WESAD,
    Stress-Predict), below the lower limit of Kleckner et al. for minutes. Detecting
    whether a band is worn needs more than temperature: see
    `physio.quality.wristband.WearDetection`. There is no delay.

    Shape (n, channels) to (n, channels), unit 1. The two limits are ours.
    """

    low: float = 15.0
    high: float = 45.0
    hold: float = 5.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        for c in info.channels:
            if (c.kind, c.unit) != ("temperature", "degC"):
                raise ValueError(
                    f"the quality of a temperature is judged in degC, but {c.name!r} "
                    f"of {info.name!r} is {c.kind} in {c.unit}"
                )
        return masks(info, _limit_memory(info, self.initial_state(info)))

    def initial_state(self, info: StreamInfo) -> LimitState:
        """Return the state before the first sample."""
        return _limit_state(info, self.low, self.high, np.inf, self.hold)

    def process(self, state: LimitState, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(_check_limits(*state, x))
