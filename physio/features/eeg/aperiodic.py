"""Aperiodic slope of the EEG spectrum."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage

_POOR: Final = MissingReason.POOR_QUALITY.nan
_LEAST: Final = 5  # frequencies of a fit


class SpectrumShape(NamedTuple):
    """Layout of a spectrum's columns: frequencies (Hz) by channels."""

    names: tuple[str, ...]
    log_frequencies: Array  # (frequencies,), decimal logarithm
    within: tuple[int, int]  # first frequency of the fit, and that after its last


@dataclass(frozen=True)
class AperiodicSlope(Stage):
    """Exponent and offset of the aperiodic part of each spectrum; follows `Spectrum`.

    ``exponent.<electrode>`` and ``offset.<electrode>``: ``log10 psd = offset - exponent
    log10 f``, a line fitted to the frequencies without an oscillation [1]_.

    Parameters
    ----------
    low, high
        Lowest and highest frequency of the fit (Hz).
    rounds
        Fits, each without the frequencies that lie above the line before by more than
        the median distance of those below it.

    Notes
    -----
    Deviations from [1]_: frequencies with oscillations are left out, instead of
    modelled as Gaussian peaks, and there is no knee; on noise with an alpha peak, the
    exponent is within 0.1 of that of ``fooof``. Power above 30 Hz is
    partly muscle. No delay beyond the window of the spectrum.

    Shape (n, frequencies times electrodes) to (n, 2 electrodes).

    References
    ----------
    .. [1] Donoghue et al., Parameterizing neural power spectra into periodic and
       aperiodic components, Nature Neuroscience 23, 2020.
    """

    low: float = 2.0
    high: float = 40.0
    rounds: int = 4

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return two channels for each channel of the spectrum's input."""
        shape = self.initial_state(info)
        channels = (
            Channel(f"{part}.{name}", c.kind, unit, c.delay, c.memory)
            for part, unit in (("exponent", "1"), ("offset", "log10(uV^2/Hz)"))
            for name, c in zip(shape.names, info.channels, strict=False)
        )
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> SpectrumShape:
        """Return the layout of the spectrum."""
        if not all(name.startswith("psd.") for name in info.names):
            raise ValueError(
                f"the aperiodic slope is read from a spectrum: put Spectrum before it; "
                f"{info.name!r} has {', '.join(info.names)}"
            )
        apart = [name[4:].split("Hz.", 1) for name in info.names]
        names = tuple(name for freq, name in apart if freq == apart[0][0])
        frequencies = np.array([float(f) for f, _ in apart[:: len(names)]])
        inside = np.flatnonzero((frequencies >= self.low) & (frequencies <= self.high))
        if len(inside) < _LEAST or frequencies[inside[0]] <= 0:
            raise ValueError(
                f"the spectrum of {info.name!r} has {len(inside)} frequencies from "
                f"{self.low:g} to {self.high:g} Hz: a slope needs {_LEAST} above 0 Hz"
            )
        first, last = int(inside[0]), int(inside[-1]) + 1
        return SpectrumShape(names, np.log10(frequencies[first:last]), (first, last))

    def process(self, state: SpectrumShape, x: Array) -> Array:
        """Take in densities; return exponent and offset of each row."""
        width = len(state.names)
        first, last = state.within
        power = x.reshape(len(x), x.shape[1] // width, width)[:, first:last]
        lost = power[:, 0]
        known = ~np.isnan(lost)
        flat = known & ~(power > 0).all(axis=1)
        safe = np.where((power > 0) & known[:, None], power, 1.0)
        heights = np.log10(safe)
        slope, offset = _fit(state.log_frequencies, heights, self.rounds)
        parts = [
            np.where(known, np.where(flat, _POOR, part), lost)
            for part in (-slope, offset)
        ]
        return np.hstack(parts)


def _fit(at: Array, heights: Array, rounds: int) -> tuple[Array, Array]:
    """Return slope and offset of lines through heights, shape (n, frequencies, c)."""
    used = np.ones(heights.shape)
    at = at[:, None]
    slope, offset = _line(at, heights, used)
    for _ in range(rounds - 1):
        off = heights - offset[:, None] - slope[:, None] * at
        below = np.where(off < 0, -off, np.nan)
        some = (off < 0).any(axis=1)
        below[:, 0] = np.where(some, below[:, 0], 0.0)
        limit = np.nanmedian(below, axis=1)
        used = np.where(off <= limit[:, None], 1.0, 0.0)
        enough = used.sum(axis=1) >= _LEAST
        used = np.where(enough[:, None], used, 1.0)
        slope, offset = _line(at, heights, used)
    return slope, offset


def _line(at: Array, heights: Array, used: Array) -> tuple[Array, Array]:
    """Return slope and offset of the least-squares lines through the points used."""
    count = used.sum(axis=1)
    middle = (used * at).sum(axis=1) / count
    height = (used * heights).sum(axis=1) / count
    apart = at - middle[:, None]
    across = (used * apart * apart).sum(axis=1)
    slope = (used * apart * (heights - height[:, None])).sum(axis=1) / across
    return slope, height - slope * middle
