"""Mask of EEG entropies whose spectrum rises with frequency, as that of mains does."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.features.eeg.differential_entropy import BANDS
from physio.quality.range_checks import masks

_JUDGED: Final = ("theta", "alpha", "beta")
_WIDTHS: Final = {name: hi - lo for name, lo, hi in BANDS if name in _JUDGED}


class BandColumns(NamedTuple):
    """Columns of the judged bands, and the electrode of each column."""

    bands: tuple[npt.NDArray[np.intp], ...]  # those of `_JUDGED`, (electrodes,) each
    electrode: npt.NDArray[np.intp]  # (channels,), the last one if not judged


@dataclass(frozen=True)
class EegSpectrum(Stage):
    """Mask of electrodes without theta and alpha, but with beta.

    Mains without EEG leak into the bands of entropies, the more the nearer these are;
    a spectrum of EEG falls with frequency [1]_.

    Parameters
    ----------
    limit
        Least ratio of the greater density of theta and alpha to that of beta.

    Notes
    -----
    The limit is ours: mains alone reach 0.0003, and EEG of four laboratories (eegmat,
    SAM 40, DASPS, Muse) hardly ever lies below 0.5, also with muscles. Hum on EEG does
    not matter. An electrode without all three bands is good. There is no delay.

    y = 0 where max(S(theta), S(alpha)) < ``limit`` S(beta), with S = 4 ** DE / width of
    the band, else 1. Shape (n, channels) to (n, channels), unit 1.

    References
    ----------
    .. [1] Donoghue et al., Parameterizing neural power spectra into periodic and
       aperiodic components, Nature Neuroscience 23, 2020.
    """

    limit: float = 0.1

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each column."""
        self.initial_state(info)
        return masks(info, 0.0)

    def initial_state(self, info: StreamInfo) -> BandColumns:
        """Return the columns of the bands."""
        if not self.limit > 0:
            raise ValueError(
                f"the spectrum of {info.name!r} needs a limit above 0: {self.limit}"
            )
        names = [
            n.split(".", 2) if n.count(".") > 1 else [n, "", n] for n in info.names
        ]
        at = {(n[1], n[2]): i for i, n in enumerate(names) if n[0] == "de"}
        judged = [
            e
            for e in dict.fromkeys(n[2] for n in names)
            if all((band, e) in at for band in _JUDGED)
        ]
        return BandColumns(
            tuple(np.array([at[b, e] for e in judged], np.intp) for b in _JUDGED),
            np.array(
                [judged.index(n[2]) if n[2] in judged else len(judged) for n in names],
                np.intp,
            ),
        )

    def process(self, state: BandColumns, x: Array) -> Array:
        """Judge ``x``."""
        theta, alpha, beta = (
            4.0 ** x[:, columns] / _WIDTHS[band]
            for band, columns in zip(_JUDGED, state.bands, strict=True)
        )
        bad = np.maximum(theta, alpha) < self.limit * beta
        good = np.column_stack([~bad, np.ones(len(x), np.bool_)])
        return np.where(np.isnan(x), x, good[:, state.electrode].astype(np.float64))
