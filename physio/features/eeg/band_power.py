"""Power of EEG frequency bands."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every
from physio.features.eeg.differential_entropy import (
    BANDS,
    SILENT,
    BandFilters,
    band_filters,
    deviations,
    limit_bands,
)

_POOR: Final = MissingReason.POOR_QUALITY.nan


@dataclass(frozen=True)
class BandPower(Stage):
    """Power of each electrode in each band: the variance of the filtered signal.

    ``power.<band>.<electrode>`` (uV^2), or ``relative.<band>.<electrode>``: its
    proportion of the sum over all bands.

    Parameters
    ----------
    window, step, bands, order, min_valid, bridge, highest
        As in `physio.features.eeg.differential_entropy.DifferentialEntropy`, with the
        same filters: the entropy is ``0.5 log2(2 pi e power)``.
    relative
        Compute proportions of the sum over all bands.

    Notes
    -----
    No delay beyond the window and that of the causal filters.

    Shape (n, channels) to (m, bands times electrodes). As `numpy.var` of
    `scipy.signal.sosfilt`; there is no deviation from it.
    """

    window: float = 4.0
    step: float = 0.25
    bands: tuple[tuple[str, float, float], ...] = BANDS
    order: int = 4
    min_valid: float = 0.5
    bridge: float = 0.05
    relative: bool = False
    highest: float = 0.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each band of each electrode."""
        state = self.initial_state(info)
        rings = float(state.bank.limits.sum() / info.rate)
        name, unit = ("relative", "1") if self.relative else ("power", "uV^2")
        channels = (
            Channel(
                f"{name}.{band}.{c.name}",
                "eeg",
                unit,
                c.delay,
                c.memory + rings + self.window,
            )
            for band, _, _ in limit_bands(self.bands, self.highest)
            for c in (info.channels[i] for i in state.picks)
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BandFilters:
        """Return filters at rest and empty windows."""
        settings = (self.window, self.step, self.order, self.min_valid, self.bridge)
        return band_filters(info, limit_bands(self.bands, self.highest), settings)

    def process(self, state: BandFilters, x: Array) -> Array:
        """Take in ``x``; return the powers now due."""
        deviation = deviations(state, x)
        power = np.where(deviation < SILENT, _POOR, deviation**2)
        power = np.where(np.isnan(deviation), deviation, power)
        if not self.relative or not len(power):
            return power
        parts = power.reshape(len(power), -1, len(state.picks))
        total = np.zeros((len(power), len(state.picks)))
        for band in range(parts.shape[1]):
            total = np.where(np.isnan(total), total, total + parts[:, band])
            total = np.where(np.isnan(parts[:, band]), parts[:, band], total)
        whole = np.broadcast_to(total[:, None], parts.shape)
        y = np.where(np.isnan(whole), whole, parts / whole)
        return np.where(np.isnan(parts), parts, y).reshape(power.shape)
