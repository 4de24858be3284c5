"""Comb of notch filters: removes line noise and all its harmonics."""

from dataclasses import dataclass

import numpy as np
import scipy.signal

from physio.core.block import Array, StreamInfo
from physio.dsp.iir import Recursive


@dataclass(frozen=True)
class Comb(Recursive):
    """Causal comb filter: removes a frequency and all its harmonics.

    Parameters
    ----------
    freq
        Lowest frequency to remove (Hz).
    quality
        ``freq`` over the width of a notch at -3 dB; all notches have this width.
    bridge
        Longest gap (s) that the filter runs through: see `Recursive`.

    Notes
    -----
    A notch of `scipy.signal.iirnotch` for each harmonic below half the rate, one after
    another. `scipy.signal.iircomb` requires that ``freq`` divide the sampling rate, as
    60 Hz does not divide 250 Hz, and removes 0 Hz or half the rate as well.

    H(z) = H1(z) H2(z) ..., the product of the notches (see `Notch`). Deviation: the
    notches of a true comb share one equation. Shape (n, channels) to (n, channels), in
    the input's unit. The delay is that of the filter at each frequency; it is not
    declared in the channels.
    """

    freq: float = 50.0
    quality: float = 30.0
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (harmonics, 6)."""
        rate = float(info.rate)
        if not (0 < self.freq < rate / 2 and self.quality > 0):
            raise ValueError(
                f"cannot remove {self.freq:g} Hz and its harmonics from {info.name!r} "
                f"with quality {self.quality:g}: they must lie between 0 and "
                f"{rate / 2:g} Hz, and the quality above 0"
            )
        rows = []
        k = 1
        while k * self.freq < rate / 2:
            design = scipy.signal.iirnotch(k * self.freq, k * self.quality, fs=rate)
            rows.append(np.concatenate(design))
            k += 1
        return np.array(rows)
