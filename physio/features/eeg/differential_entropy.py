"""Differential entropy of EEG frequency bands."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.filterbank import Filterbank, filterbank, spread
from physio.dsp.iir import butterworth
from physio.dsp.window import every
from physio.features.columns import columns
from physio.features.eeg.published_de import (
    WindowedFilters,
    entropies,
    windowed_filters,
)

BANDS: Final = (
    ("theta", 4.0, 8.0),
    ("alpha", 8.0, 14.0),
    ("beta", 14.0, 31.0),
    ("gamma", 31.0, 49.0),
)
"""Name, lower and upper edge (Hz) of the bands, as in RBTransformer."""

SILENT: Final = 1e-6
"""Least standard deviation (uV) of a signal: no amplifier has less noise."""

_MODES: Final = ("continuous", "paper")


class BandFilters(NamedTuple):
    """Band-pass filters with windows on their outputs, and their input columns."""

    bank: Filterbank
    picks: npt.NDArray[np.intp]


def limit_bands(
    bands: tuple[tuple[str, float, float], ...], highest: float
) -> tuple[tuple[str, float, float], ...]:
    """Return the bands, limited to frequencies up to ``highest`` Hz; 0 for no limit."""
    if not highest:
        return bands
    return tuple((b, lo, min(hi, highest)) for b, lo, hi in bands if lo < highest)


def band_filters(
    info: StreamInfo,
    bands: tuple[tuple[str, float, float], ...],
    settings: tuple[float, float, int, float, float],
    kind: str = "eeg",
) -> BandFilters:
    """Return filters at rest and empty windows for the electrodes of ``info``.

    Parameters
    ----------
    info
        The stream; its channels of kind ``eeg`` must be in uV.
    bands
        Name, lower and upper edge (Hz) of each.
    settings
        Window and step (s), order, min_valid and bridge: see `DifferentialEntropy`.
    kind
        Kind of the channels that are read.
    """
    width, hop, order, share, bridge = settings
    picks = electrodes(info, kind)
    filters = [
        butterworth(
            info, "bandpass", order, (lo, hi), f"pass {lo:g} to {hi:g} Hz ({band})"
        )
        for band, lo, hi in bands
    ]
    times = (bridge, width, hop)
    return BandFilters(
        filterbank(info, filters, len(picks), times, share), np.array(picks)
    )


def electrodes(info: StreamInfo, kind: str = "eeg") -> tuple[int, ...]:
    """Return the columns of the electrodes; raise an error if one is not in uV."""
    picks = columns(info, kind)
    for i in picks:
        if info.channels[i].unit != "uV":
            raise ValueError(
                f"the entropy of {info.name!r} needs uV, but "
                f"{info.channels[i].name!r} is in {info.channels[i].unit}"
            )
    return picks


def deviations(state: BandFilters, x: Array) -> Array:
    """Take in ``x``; return the deviations now due, shape (m, bands * electrodes)."""
    if len(state.picks) < x.shape[1]:
        x = read_only(x[:, state.picks])
    return np.asarray(spread(*state.bank, x))


@dataclass(frozen=True)
class DifferentialEntropy(Stage):
    """Differential entropy of each electrode in each band.

    Half the binary logarithm of ``2 pi e`` times the variance (uV^2) of the band-passed
    signal in a window: the entropy of a Gaussian with that variance [1]_.

    Parameters
    ----------
    window
        Length of a window (s): a whole number of steps.
    step
        Time from one output to the next (s).
    bands
        Name, lower and upper edge (Hz) of each.
    order
        Order of the Butterworth prototype: each filter has twice as many poles.
    min_valid
        Proportion of a window's samples that must be present.
    bridge
        Longest gap (s) that the filters run through: see `physio.dsp.iir.Recursive`.
    mode
        ``continuous``: filters run on from window to window, live and offline.
        ``paper``: each window is z-scored as a whole, all electrodes together, and
        filtered from rest, order 5, in the arithmetic of `scipy.signal.lfilter`: the
        values equal those of RBTransformer and TorchEEG. The output is missing for a
        window with a missing sample.
    baseline
        In the paper mode: length of the baseline (s) at the start of the stream. It is
        cut into pieces of 1 s, which are averaged and z-scored; the entropy of the
        result is subtracted from all outputs. 0 for none.
    published_rate
        In the paper mode: sampling rate (Hz) for which the filters are designed,
        regardless of the stream's; 0 for that of the stream. RBTransformer's code uses
        128 for all its data sets, so that at SEED's 200 Hz its theta band is 6.25 to
        12.5 Hz.
    highest
        Highest frequency (Hz): above 20 Hz it is largely muscle [2]_; 0 for no limit.
    kind
        Kind of the channels that are read; ``ecg`` gives a control without EEG.

    Notes
    -----
    Output channels are ``de.<band>.<electrode>``, in bits; channels of other kinds are
    skipped. The entropy of an electrode without signal in a band is missing (poor
    quality).

    Deviations from [1]_: the filters are causal and run on from window to window,
    instead of a Fourier transform of each; the logarithm is binary, as in most code
    that followed; windows overlap. No delay is added to that of the filters.

    DE = 0.5 log2(2 pi e var(x)). Shape (n, channels) to (m, bands times electrodes).

    References
    ----------
    .. [1] Duan, Zhu & Lu, Differential entropy feature for EEG-based emotion
       classification, IEEE/EMBS Conference on Neural Engineering 2013.
    .. [2] Whitham et al., Scalp electrical recording during paralysis: quantitative
       evidence that EEG frequencies above 20 Hz are contaminated by EMG, Clinical
       Neurophysiology 118, 2007.
    """

    window: float = 4.0
    step: float = 0.25
    bands: tuple[tuple[str, float, float], ...] = BANDS
    order: int = 4
    min_valid: float = 0.5
    bridge: float = 0.05
    mode: str = "continuous"
    baseline: float = 0.0
    published_rate: float = 0.0
    highest: float = 0.0
    kind: str = "eeg"

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each band of each electrode."""
        state = self.initial_state(info)
        bands = limit_bands(self.bands, self.highest)
        rings = [0.0] * len(bands)
        if isinstance(state, BandFilters):
            limits = state.bank.limits
            rings = [float((limits[0] + n) / info.rate) for n in limits[1:]]
        whole = np.inf if self.baseline else self.window
        channels = [
            Channel(
                f"de.{band}.{source.name}",
                self.kind,
                "bit",
                source.delay,
                source.memory + ring + whole,
            )
            for (band, _, _), ring in zip(bands, rings, strict=True)
            for source in (info.channels[i] for i in state.picks)
        ]
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BandFilters | WindowedFilters:
        """Return filters at rest and empty windows."""
        if self.mode not in _MODES:
            raise ValueError(
                f"entropy has no mode {self.mode!r}: there are {', '.join(_MODES)}"
            )
        bands = limit_bands(self.bands, self.highest)
        if not bands:
            raise ValueError(
                f"no band of {info.name!r} begins below {self.highest:g} Hz: "
                f"{', '.join(band for band, _, _ in self.bands)} all lie above"
            )
        if self.mode == "paper":
            rate = self.published_rate or float(info.rate)
            edges = tuple((lo, hi) for _, lo, hi in bands)
            times = (self.window, self.step, self.baseline)
            return windowed_filters(
                info, np.array(electrodes(info, self.kind)), edges, times, rate
            )
        if self.baseline or self.published_rate:
            raise ValueError(
                "a baseline and a published rate belong to the paper mode of entropy: "
                "give mode = 'paper', or leave them out"
            )
        settings = (self.window, self.step, self.order, self.min_valid, self.bridge)
        return band_filters(info, bands, settings, self.kind)

    def process(self, state: BandFilters | WindowedFilters, x: Array) -> Array:
        """Take in ``x``; return the entropies now due."""
        if isinstance(state, WindowedFilters):
            return entropies(state, x)
        deviation = deviations(state, x)
        if not len(deviation):
            return deviation
        silent = deviation < SILENT
        bits = np.log2(np.where(silent, 1.0, deviation) * np.sqrt(2 * np.pi * np.e))
        bits = np.where(silent, MissingReason.POOR_QUALITY.nan, bits)
        return np.where(np.isnan(deviation), deviation, bits)
