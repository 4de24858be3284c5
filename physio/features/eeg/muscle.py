"""Power of muscle activity, in electrodes of the face or the scalp."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every
from physio.features.eeg.differential_entropy import (
    SILENT,
    BandFilters,
    band_filters,
    deviations,
)

_POOR: Final = MissingReason.POOR_QUALITY.nan
_KINDS: Final = ("emg", "eeg")


@dataclass(frozen=True)
class MusclePower(Stage):
    """Power above the frequencies of most EEG, where muscles dominate [1]_.

    ``muscle.<channel>``: decimal logarithm of the variance (uV^2) of the band-passed
    signal in a window. On electrodes of the face (``kind = "emg"``: zygomaticus,
    corrugator) it is facial expression; on those of the scalp it is a rival of every
    estimate from EEG above 20 Hz, of valence in particular, since smiling and frowning
    reach frontal and temporal electrodes.

    Parameters
    ----------
    window, step
        Length of a window, and time from one output to the next (s).
    low, high
        Band (Hz); its upper end is at most 0.45 of the sampling rate.
    kind
        Kind of the channels that are read: ``emg`` or ``eeg``.
    order, min_valid, bridge
        As in `physio.features.eeg.differential_entropy.DifferentialEntropy`.

    Notes
    -----
    No delay beyond the window and that of the causal filters.

    Shape (n, channels) to (m, channels of the kind). As `numpy.log10` of `numpy.var` of
    `scipy.signal.sosfilt`; there is no deviation from it.

    References
    ----------
    .. [1] Whitham et al., Scalp electrical recording during paralysis: quantitative
       evidence that EEG frequencies above 20 Hz are contaminated by EMG, Clinical
       Neurophysiology 118, 2007.
    """

    window: float = 2.0
    step: float = 0.25
    low: float = 30.0
    high: float = 95.0
    kind: str = "eeg"
    order: int = 4
    min_valid: float = 0.5
    bridge: float = 0.05

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each channel of the kind."""
        state = self.initial_state(info)
        rings = float(state.bank.limits.sum() / info.rate)
        channels = (
            Channel(
                f"muscle.{c.name}",
                c.kind,
                "log10(uV^2)",
                c.delay,
                c.memory + rings + self.window,
            )
            for c in (info.channels[i] for i in state.picks)
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BandFilters:
        """Return filters at rest and empty windows."""
        if self.kind not in _KINDS:
            raise ValueError(
                f"muscle power is of channels of kind {' or '.join(_KINDS)}, not "
                f"{self.kind!r}"
            )
        high = min(self.high, 0.45 * float(info.rate))
        if high <= self.low:
            raise ValueError(
                f"{info.name!r} has {float(info.rate):g} Hz: muscle power from "
                f"{self.low:g} Hz needs a rate above {self.low / 0.45:.0f} Hz"
            )
        settings = (self.window, self.step, self.order, self.min_valid, self.bridge)
        bands = (("muscle", self.low, high),)
        return band_filters(info, bands, settings, self.kind)

    def process(self, state: BandFilters, x: Array) -> Array:
        """Take in ``x``; return the powers now due."""
        deviation = deviations(state, x)
        silent = deviation < SILENT
        power = 2 * np.log10(np.where(silent, 1.0, deviation))
        power = np.where(silent, _POOR, power)
        return np.where(np.isnan(deviation), deviation, power)
