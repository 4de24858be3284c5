"""Streaming stage: entropies of the sub-bands of lifting steps."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.lifting.lifting_filters import TAPS, lag, wavelet
from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.jit import njit
from physio.dsp.window import every, panes
from physio.features.eeg.differential_entropy import SILENT, electrodes

Counts = npt.NDArray[np.int64]
Steps = tuple[tuple[tuple[float, ...], ...], ...]

_WARMING: Final = MissingReason.WARMING_UP.nan
_LOST: Final = MissingReason.NO_SIGNAL.nan
_POOR: Final = MissingReason.POOR_QUALITY.nan


class LiftingState(NamedTuple):
    """Newest samples of each lifting step, and sums of the sub-bands in panes."""

    taps: Array  # (levels, steps, taps)
    lags: Counts  # (steps,): delay of the samples that a step changes
    even: Array  # (levels, channels): an even sample whose odd one is due
    odd_due: Counts  # (levels,): 1 where the next sample is odd
    changed: Array  # (levels, steps, taps, channels): samples that a step changes
    read: Array  # (levels, steps, taps, channels): samples that a step reads
    sums: Array  # (panes, 4, levels, channels): n, n with missing, sums of y, yy
    lost: Array  # (channels,): the newest NaN
    clock: Counts  # (4,): samples, outputs, step as p / q samples
    share: float  # of a window's coefficients that must be present
    picks: npt.NDArray[np.intp]


@njit(cache=True)
def _split(state: LiftingState, pane: Array, current: Array) -> None:
    """Take in a sample of all channels; add the coefficients now due to the pane."""
    levels, steps, size, channels = state.changed.shape
    for level in range(levels):
        if state.odd_due[level] == 0:
            state.even[level] = current
            state.odd_due[level] = 1
            return
        state.odd_due[level] = 0
        even, odd = state.even[level].copy(), current.copy()
        for step in range(steps):
            changed, read = state.changed[level, step], state.read[level, step]
            taps = state.taps[level, step]
            for c in range(channels):
                for k in range(size - 1, 0, -1):
                    changed[k, c] = changed[k - 1, c]
                    read[k, c] = read[k - 1, c]
                changed[0, c] = odd[c] if step % 2 == 0 else even[c]
                read[0, c] = even[c] if step % 2 == 0 else odd[c]
                mixed = 0.0
                for k in range(size):
                    mixed += taps[k] * read[k, c]
                late = changed[state.lags[step], c]
                if step % 2 == 0:
                    odd[c] = late - mixed
                else:
                    even[c] = late + mixed
        for c in range(channels):
            pane[1, level, c] += 1
            if not np.isnan(odd[c]):
                pane[0, level, c] += 1
                pane[2, level, c] += odd[c]
                pane[3, level, c] += odd[c] * odd[c]
            current[c] = even[c]


@njit(cache=True)
def _entropies(state: LiftingState, y: Array) -> None:
    """Write the entropy of the window that ends now, shape (levels, channels)."""
    count, _, levels, channels = state.sums.shape
    warming = state.clock[1] < count
    for c in range(channels):
        reason = state.lost[c]
        for level in range(levels):
            n, due, s, ss = 0.0, 0.0, 0.0, 0.0
            for k in range(count):
                pane = state.sums[(state.clock[1] + 1 + k) % count]
                n += pane[0, level, c]
                due += pane[1, level, c]
                s += pane[2, level, c]
                ss += pane[3, level, c]
            if warming or n < state.share * due or n < 2:
                y[level, c] = _WARMING if warming else reason
                continue
            variance = ss / n - (s / n) * (s / n)
            if variance < SILENT * SILENT:
                y[level, c] = _POOR
            else:
                y[level, c] = 0.5 * np.log2(2 * np.pi * np.e * variance)


@njit(cache=True)
def _run(state: LiftingState, x: Array) -> Array:
    """Take in samples; return the entropies now due, (m, levels, channels)."""
    count, _, levels, channels = state.sums.shape
    p, q = state.clock[2], state.clock[3]
    out = np.empty((len(x) * q // p + 1, levels, channels))
    current = np.empty(channels)
    m = 0
    for i in range(len(x)):
        at = state.clock[1] % count
        for c in range(channels):
            v = x[i, c]
            if not np.isfinite(v):
                v = v if np.isnan(v) else _LOST
                state.lost[c] = v
            current[c] = v
        _split(state, state.sums[at], current)
        if state.clock[0] == -((-state.clock[1] * p) // q):
            _entropies(state, out[m])
            m += 1
            state.clock[1] += 1
            state.sums[state.clock[1] % count] = 0.0
        state.clock[0] += 1
    return out[:m]


@dataclass(frozen=True)
class LiftingEntropy(Stage):
    """Entropy of each electrode in the sub-bands of an octave tree of lifting steps.

    Parameters
    ----------
    steps
        Taps of each level and step: steps predict odd samples from even ones, and
        update even ones from the result, in turn.
    window, step
        Length of a window, a whole number of steps, and time between outputs (s).
    min_valid
        Proportion of a window's coefficients that must be present.

    Notes
    -----
    Half the binary logarithm of ``2 pi e`` times the variance of a sub-band's
    coefficients in the window. The filters are finite: a missing sample is forgotten
    after their length. Output channels are ``lifting.<level>.<electrode>``, in bits;
    their delay is that of the symmetrical wavelet at which learning starts. Shape (n,
    channels) to (m, levels times electrodes).
    """

    steps: Steps = tuple(tuple(map(tuple, level)) for level in wavelet().tolist())
    window: float = 4.0
    step: float = 2.0
    min_valid: float = 0.5

    def __post_init__(self) -> None:
        sizes = {len(taps) for level in self.steps for taps in level}
        counts = {len(level) for level in self.steps}
        if sizes != {TAPS} or len(counts) != 1:
            raise ValueError(
                f"lifting needs levels with as many steps of {TAPS} taps; there are "
                f"levels of {sorted(counts)} steps of {sorted(sizes)} taps"
            )

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each level of each electrode."""
        rate, steps = float(info.rate), len(self.steps[0])
        channels, reach, late = [], 0.0, 0.0
        for level in range(len(self.steps)):
            part = 2 ** (level + 1) / rate  # seconds of a sample of a part
            reach += (1 + sum(lag(k) for k in range(steps))) * part
            delay = late + part * sum(lag(k) for k in range(0, steps, 2))
            late += part * sum(lag(k) for k in range(1, steps, 2))
            channels += [
                Channel(
                    f"lifting.{level + 1}.{source.name}",
                    "eeg",
                    "bit",
                    source.delay + delay,
                    source.memory + reach + self.window + self.step,
                )
                for source in (info.channels[i] for i in electrodes(info))
            ]
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> LiftingState:
        """Return empty windows; coefficients are missing until the filters are full."""
        picks = np.array(electrodes(info))
        taps = np.ascontiguousarray(self.steps, np.float64)
        levels, steps, size = taps.shape
        window = panes(info, (self.window,), self.step, self.min_valid, 1)
        count, n = len(window.sums), len(picks)
        return LiftingState(
            taps,
            np.array([lag(k) for k in range(steps)], np.int64),
            np.full((levels, n), _WARMING),
            np.zeros(levels, np.int64),
            np.full((levels, steps, size, n), _WARMING),
            np.full((levels, steps, size, n), _WARMING),
            np.zeros((count, 4, levels, n)),
            np.full(n, _WARMING),
            window.clock.copy(),
            self.min_valid,
            picks,
        )

    def process(self, state: LiftingState, x: Array) -> Array:
        """Take in ``x``; return the entropies now due."""
        y = _run(state, np.ascontiguousarray(x[:, state.picks]))
        return np.asarray(y).reshape(len(y), state.even.size)
