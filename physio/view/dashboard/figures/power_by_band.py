"""Figure of the power of the EEG by band, over time."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from bokeh.models import ColumnDataSource, Range1d

from physio.core.block import Array
from physio.view.dashboard.figures.eda_heart import expand_range
from physio.view.dashboard.figures.ring_buffer import RingBuffer
from physio.view.dashboard.figures.theme import Theme, new_time_figure, show_last
from physio.view.dashboard.session_state import SessionState

BANDS: Final = ("delta", "theta", "alpha", "beta", "gamma")
"""Bands in the order of their colours."""

_DASHES: Final = ("solid", "dashed", "solid", "dashed", "dotted")


def columns_by_band(buffer: RingBuffer | None) -> dict[str, list[int]]:
    """Return for each band the columns of differential entropy, over electrodes."""
    columns: dict[str, list[int]] = {}
    for i, name in enumerate(buffer.info.names if buffer is not None else ()):
        parts = name.split(".")
        if len(parts) == 4 and parts[1] == "de" and parts[2] in BANDS:
            columns.setdefault(parts[2], []).append(i)
    return {band: columns[band] for band in BANDS if band in columns}


def mean_power(entropy: Array) -> Array:
    """Return the power (dB, of 1 uV^2) of a band, as a mean over electrodes.

    Parameters
    ----------
    entropy
        Differential entropy (bit), shape (n, electrodes): half the binary logarithm of
        2 pi e times the power (uV^2).
    """
    power = np.exp2(2 * entropy) / (2 * np.pi * np.e)
    good = np.isfinite(power)
    total = np.where(good, power, 0.0).sum(axis=1)
    count = good.sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(power), np.nan), where=count > 0)
    return np.asarray(10 * np.log10(mean))


@dataclass
class BandPowerFigure:
    """Power of each band, as a mean over electrodes."""

    theme: Theme
    seconds: float = 120.0
    _sources: dict[str, ColumnDataSource] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        fig = self.root = new_time_figure(self.theme, y_range=Range1d(0, 1))
        for band, colour, dash in zip(BANDS, self.theme.bands, _DASHES, strict=True):
            source = self._sources[band] = ColumnDataSource({"t": [], "y": []})
            fig.line(
                "t", "y", source=source, line_color=colour, line_width=1.6,
                line_dash=dash,
            )  # fmt: skip

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        now = session.now
        begin = show_last(self.root, self.seconds, now, session.begin)
        buffer = session.features
        if buffer is None:
            return
        times, rows = buffer.window(begin, now + 1e-6)
        powers = []
        for band, columns in columns_by_band(buffer).items():
            power = mean_power(rows[:, columns])
            powers.append(power)
            self._sources[band].data = {"t": times.copy(), "y": power}
        expand_range(self.root.y_range, *powers, least=6.0)
