"""Hjorth parameters and spectral entropy of EEG."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.eeg.differential_entropy import SILENT, electrodes

Rows = npt.NDArray[np.intp]

_POOR: Final = MissingReason.POOR_QUALITY.nan
_DEVIATION: Final = STATISTICS.index("deviation")


class HjorthState(NamedTuple):
    """Windows on a signal and its two differences, and the two newest samples."""

    windows: Panes
    picks: Rows
    before: Array  # (2, electrodes)
    rate: float


@dataclass(frozen=True)
class Hjorth(Stage):
    """Activity, mobility and complexity of each electrode.

    ``activity.<electrode>`` (uV^2): variance; ``mobility.<electrode>`` (1/s): standard
    deviation of the slope divided by that of the signal, ``2 pi`` times its mean
    frequency; ``complexity.<electrode>``: mobility of the slope divided by that of the
    signal, 1 for a sine [1]_.

    Parameters
    ----------
    window
        Length of a window (s): a whole number of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of a window's samples that must be present.

    Notes
    -----
    Slopes are differences of neighbours, as in [1]_: at 10 Hz sampled with 128,
    mobility is 1 % below the true slope's. Band-pass the signal first, up to 20 Hz to
    exclude muscle activity. No delay beyond the window.

    Shape (n, channels) to (m, 3 electrodes).

    References
    ----------
    .. [1] Hjorth, EEG analysis based on time domain properties, Electroencephalography
       and Clinical Neurophysiology 29, 1970.
    """

    window: float = 4.0
    step: float = 0.25
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return three channels for each electrode."""
        state = self.initial_state(info)
        extra = 2 / float(info.rate)
        channels = (
            Channel(
                f"{name}.{c.name}", "eeg", unit, c.delay, c.memory + self.window + extra
            )
            for name, unit in (
                ("activity", "uV^2"),
                ("mobility", "1/s"),
                ("complexity", "1"),
            )
            for c in (info.channels[i] for i in state.picks)
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> HjorthState:
        """Return empty windows."""
        picks = np.array(electrodes(info))
        windows = panes(info, (self.window,), self.step, self.min_valid, 3 * len(picks))
        before = np.full((2, len(picks)), MissingReason.WARMING_UP.nan)
        return HjorthState(windows, picks, before, float(info.rate))

    def process(self, state: HjorthState, x: Array) -> Array:
        """Take in ``x``; return the outputs now due."""
        x = x[:, state.picks]
        samples = np.vstack([state.before, np.where(np.isinf(x), _POOR, x)])
        slope = _difference(samples)
        bend = _difference(slope)
        state.before[:] = samples[len(samples) - 2 :]
        rows = np.hstack([samples[2:], slope[1:], bend])
        y = slide(*state.windows, read_only(rows))[:, 0, _DEVIATION]
        signal, first, second = np.split(y, 3, axis=1)
        flat = (signal < SILENT) | (first < SILENT)
        safe = np.where(flat, 1.0, signal), np.where(flat, 1.0, first)
        mobility = np.where(flat, _POOR, first / safe[0])
        complexity = np.where(flat, _POOR, second / safe[1] / mobility)
        shown = (np.where(flat, _POOR, signal**2), mobility * state.rate, complexity)
        return np.hstack([_first_nan(v, signal, first, second) for v in shown])


def _first_nan(y: Array, *sources: Array) -> Array:
    """Return ``y``, missing wherever a source is missing, for the same reason."""
    for source in reversed(sources):
        y = np.where(np.isnan(source), source, y)
    return y


def _difference(x: Array) -> Array:
    """Return the difference of successive rows, missing where either row is missing."""
    y = x[1:] - x[:-1]
    y = np.where(np.isnan(x[:-1]), x[:-1], y)
    return np.where(np.isnan(x[1:]), x[1:], y)


@dataclass(frozen=True)
class SpectralEntropy(Stage):
    """Spectral entropy: evenness of power over frequencies; follows `Spectrum`.

    ``entropy.<electrode>``: ``-sum(p log p) / log n`` with ``p`` the proportion of the
    power at each of the ``n`` frequencies [1]_: 0 for a sine, 1 for white noise.

    Notes
    -----
    The setting ``high`` of the spectrum excludes higher frequencies. No delay beyond
    its window.

    Shape (n, frequencies times electrodes) to (n, electrodes); the unit is 1. The only
    deviation from [1]_ is the spectrum.

    References
    ----------
    .. [1] Inouye et al., Quantification of EEG irregularity by use of the entropy of
       the power spectrum, Electroencephalography and Clinical Neurophysiology 79, 1991.
    """

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each channel of the spectrum's input."""
        names, first = self._names(info)
        channels = (
            Channel(f"entropy.{name}", c.kind, "1", c.delay, c.memory)
            for name, c in zip(names, first, strict=True)
        )
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> int:
        """Return the number of channels."""
        return len(self._names(info)[0])

    def process(self, state: int, x: Array) -> Array:
        """Take in densities; return the entropy of each row."""
        parts = x.reshape(len(x), x.shape[1] // state, state)
        lost = parts[:, 0]
        total = np.where(np.isnan(lost), 1.0, parts.sum(axis=1))
        flat = total <= 0
        p = np.nan_to_num(parts) / np.where(flat, 1.0, total)[:, None]
        terms = np.where(p > 0, -p * np.log(np.where(p > 0, p, 1.0)), 0.0)
        y = terms.sum(axis=1) / np.log(parts.shape[1])
        y = np.where(flat, _POOR, y)
        return np.where(np.isnan(lost), lost, y)

    def _names(self, info: StreamInfo) -> tuple[list[str], list[Channel]]:
        if not all(name.startswith("psd.") for name in info.names):
            raise ValueError(
                f"spectral entropy is read from a spectrum: put Spectrum before it; "
                f"{info.name!r} has {', '.join(info.names)}"
            )
        apart = [name[4:].split("Hz.", 1) for name in info.names]
        names = [name for freq, name in apart if freq == apart[0][0]]
        if len(names) == len(apart):
            raise ValueError(
                f"the spectrum of {info.name!r} holds a single frequency: its power "
                f"cannot be spread"
            )
        return names, list(info.channels[: len(names)])
