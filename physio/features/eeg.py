"""What the brain's rhythms say: differential entropy."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, Info
from physio.core.reason import Reason
from physio.core.stage import Grid, Stage
from physio.dsp.iir import Sections, butterworth, run, sections
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.column import columns, sealed

_ROWS: Final = 256  # samples filtered at a time: the filtered ones stay in the cache
_SILENT: Final = 1e-6  # uV: no amplifier is as quiet
_DEVIATION: Final = STATISTICS.index("deviation")


class Bands(NamedTuple):
    """The filters, the windows on what they let through, and what they read."""

    filters: Sections
    windows: Panes
    picks: npt.NDArray[np.intp]


@dataclass(frozen=True)
class DifferentialEntropy(Stage):
    """Differential entropy of each electrode in each band.

    Half the binary logarithm of ``2 pi e`` times the variance (uV^2) of the band-passed
    signal in a window: the entropy of a Gaussian with that variance [1]_.

    Parameters
    ----------
    width
        How long a window is (s): a whole number of hops.
    hop
        Time from one output to the next (s).
    bands
        Name, lower and upper edge (Hz) of each.
    order
        Order of the Butterworth prototype: each filter has twice as many poles.
    share
        Which part of a window's samples must be there.
    bridge
        Longest gap (s) that the filters run through: see `physio.dsp.iir.Recursive`.

    Notes
    -----
    Output channels are ``de.<band>.<electrode>``, in bits; channels of other kinds than
    ``eeg`` are passed over. An electrode without any signal in a band has no entropy:
    poor quality.

    Deviations from [1]_: the filters are causal and run on from window to window,
    instead of a Fourier transform of each; the logarithm is binary, as in most code
    that followed; windows overlap.

    References
    ----------
    .. [1] Duan, Zhu & Lu, Differential entropy feature for EEG-based emotion
       classification, IEEE/EMBS Conference on Neural Engineering 2013.
    """

    width: float = 4.0
    hop: float = 0.25
    bands: tuple[tuple[str, float, float], ...] = (
        ("theta", 4.0, 8.0),
        ("alpha", 8.0, 14.0),
        ("beta", 14.0, 31.0),
        ("gamma", 31.0, 49.0),
    )
    order: int = 4
    share: float = 0.5
    bridge: float = 0.05

    def output(self, info: Info) -> Info:
        """Return a channel for each band of each electrode."""
        filters, _, picks = self.begin(info)
        grid = self.grid(info)
        channels = []
        for (band, _, _), settle in zip(self.bands, filters.limits[1:], strict=True):
            rings = float((filters.limits[0] + settle) / info.rate)
            for source in (info.channels[i] for i in picks):
                span = source.span + rings + self.width
                name = f"de.{band}.{source.name}"
                channels.append(Channel(name, "eeg", "bit", source.delay, span))
        return info.at(info.rate / grid.hop, *channels)

    def grid(self, info: Info) -> Grid:
        """Return an output every hop."""
        return every(info, self.hop)

    def begin(self, info: Info) -> Bands:
        """Return filters at rest and empty windows."""
        picks = columns(info, "eeg")
        for i in picks:
            if info.channels[i].unit != "uV":
                raise ValueError(
                    f"the entropy of {info.name!r} needs uV, but "
                    f"{info.channels[i].name!r} is in {info.channels[i].unit}"
                )
        filters = [
            butterworth(
                info,
                "bandpass",
                self.order,
                (low, high),
                f"pass {low:g} to {high:g} Hz ({band})",
            )
            for band, low, high in self.bands
        ]
        n = len(picks)
        return Bands(
            sections(info, filters, self.bridge, n),
            panes(info, (self.width,), self.hop, self.share, n * len(filters)),
            np.array(picks),
        )

    def step(self, state: Bands, x: Array) -> Array:
        """Take in ``x``; return the entropies now due."""
        if len(state.picks) < x.shape[1]:
            x = x[:, state.picks]
        starts = range(0, max(len(x), 1), _ROWS)
        parts = [self._part(state, sealed(x[a : a + _ROWS])) for a in starts]
        return np.vstack(parts)

    def _part(self, state: Bands, x: Array) -> Array:
        passed = sealed(run(*state.filters, x))
        deviation = slide(*state.windows, passed)[:, 0, _DEVIATION]
        silent = deviation < _SILENT
        bits = np.log2(np.where(silent, 1.0, deviation) * np.sqrt(2 * np.pi * np.e))
        bits = np.where(silent, Reason.POOR_QUALITY.nan, bits)
        return np.where(np.isnan(deviation), deviation, bits)
