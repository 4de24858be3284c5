"""Causal recursive filters; the output is missing until their transient has decayed."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil, log
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.signal

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage
from physio.dsp.jit import njit

Counts = npt.NDArray[np.int64]

_WARMING: Final = MissingReason.WARMING_UP.nan
_LOST: Final = MissingReason.NO_SIGNAL.nan
_SUBNORMAL: Final = 1e-200  # below it a section is at rest: subnormals are slow


class Sections(NamedTuple):
    """Filters in parallel on the same channels, and their state."""

    sos: Array  # (filters, sections, 6)
    rest: Array  # (filters, sections, 2): steady state for an input of 1
    memory: Array  # (filters, sections, 2, channels)
    held: Array  # (channels,): the last valid input
    runs: Counts  # (2, channels): NaN in a row, samples since the restart
    limits: Counts  # (1 + filters,): samples to bridge, samples of settling per filter


def settling_samples(sos: Array) -> int:
    """Return the number of samples in which the slowest pole decays to 1e-3."""
    return _rest_and_settling(sos.tobytes(), len(sos))[1]


def steady_state(sos: Array) -> Array:
    """Return the state of sections for a constant input of 1, shape (sections, 2)."""
    return _rest_and_settling(sos.tobytes(), len(sos))[0]


@lru_cache(maxsize=1024)  # the forty trials of a participant use the same filters
def _rest_and_settling(design: bytes, n: int) -> tuple[Array, int]:
    """Return the steady state and the settling time of second-order sections."""
    sos = np.frombuffer(design).reshape(n, 6)
    rest = np.asarray(scipy.signal.sosfilt_zi(sos), np.float64)
    rest.flags.writeable = False
    poles = np.concatenate([np.roots(section[3:]) for section in sos])
    slowest = float(np.max(np.abs(poles)))
    return rest, ceil(log(1e-3) / log(slowest)) if slowest > 1e-3 else 1


def bridged_samples(info: StreamInfo, bridge: float) -> int:
    """Return the longest gap that a filter runs through, in samples."""
    if bridge < 0:
        raise ValueError(
            f"a filter on {info.name!r} cannot bridge {bridge} s: it must not be "
            f"below 0"
        )
    return int(info.rate * Fraction(str(bridge)))


def sections(
    info: StreamInfo, filters: list[Array], bridge: float, columns: int
) -> Sections:
    """Return filters at rest, for `run`; all have the same number of sections.

    Parameters
    ----------
    info
        The stream.
    filters
        Second-order sections of each, shape (sections, 6).
    bridge
        Longest gap (s) that they run through, with the last valid input held.
    columns
        Number of channels.
    """
    across = bridged_samples(info, bridge)
    sos = np.array(filters)
    runs = np.zeros((2, columns), np.int64)
    runs[0] = across + 1
    return Sections(
        sos,
        np.array([steady_state(f) for f in filters]),
        np.zeros((*sos.shape[:2], 2, columns)),
        np.zeros(columns),
        runs,
        np.array([across, *(settling_samples(f) for f in filters)], np.int64),
    )


@njit(cache=True)
def run(
    sos: Array,
    rest: Array,
    memory: Array,
    held: Array,
    runs: Counts,
    limits: Counts,
    x: Array,
) -> Array:
    """Filter samples, shape (n, channels), with every filter at once.

    Parameters
    ----------
    sos, rest, memory, held, runs, limits
        A state of `Sections`, changed in place.
    x
        Samples, shape (n, channels).

    Returns
    -------
    ndarray, shape (n, filters * channels)
        All channels of the first filter, then all of the second, ...
    """
    filters, stages, _ = sos.shape
    channels = x.shape[1]
    y = np.empty((len(x), filters * channels))
    v = np.empty(channels)
    for i in range(len(x)):
        for c in range(channels):
            if not np.isfinite(x[i, c]):
                runs[0, c] += 1
                continue
            held[c] = x[i, c]
            if runs[0, c] > limits[0]:
                for f in range(filters):
                    for s in range(stages):
                        memory[f, s, 0, c] = rest[f, s, 0] * held[c]
                        memory[f, s, 1, c] = rest[f, s, 1] * held[c]
                runs[1, c] = 0
            runs[0, c] = 0
        for f in range(filters):
            for c in range(channels):
                v[c] = held[c]
            for s in range(stages):
                b0, b1, b2 = sos[f, s, 0], sos[f, s, 1], sos[f, s, 2]
                a1, a2 = sos[f, s, 4], sos[f, s, 5]
                z0, z1 = memory[f, s, 0], memory[f, s, 1]
                for c in range(channels):
                    w = b0 * v[c] + z0[c]
                    w = w if abs(w) > _SUBNORMAL else 0.0
                    z0[c] = b1 * v[c] - a1 * w + z1[c]
                    z1[c] = b2 * v[c] - a2 * w
                    v[c] = w
            for c in range(channels):
                out = v[c] if runs[1, c] >= limits[1 + f] else _WARMING
                if not np.isfinite(x[i, c]):
                    out = x[i, c] if np.isnan(x[i, c]) else _LOST
                y[i, f * channels + c] = out
        for c in range(channels):
            runs[1, c] += 1
    return y


def butterworth(
    info: StreamInfo, kind: str, order: int, cutoffs: tuple[float, ...], purpose: str
) -> Array:
    """Return a Butterworth filter for ``info``, shape (sections, 6).

    Parameters
    ----------
    info
        The stream.
    kind
        ``lowpass``, ``highpass`` or ``bandpass``.
    order
        Order of the low-pass prototype.
    cutoffs
        Frequencies at which the filter passes half the power (Hz), in rising order.
    purpose
        Text for the error message: ``"pass 4 to 8 Hz"``.
    """
    edges = (0.0, *cutoffs, float(info.rate) / 2)
    if any(a >= b for a, b in pairwise(edges)):
        raise ValueError(
            f"cannot {purpose} of {info.name!r}: cutoffs must rise and lie between 0 "
            f"and {float(info.rate) / 2:g} Hz"
        )
    if not 1 <= order <= 12:
        raise ValueError(
            f"cannot {purpose} of {info.name!r} with order {order}: it must be 1 to 12"
        )
    edge = cutoffs[0] if len(cutoffs) == 1 else cutoffs
    return _designed(order, edge, kind, float(info.rate)).copy()


@lru_cache(maxsize=256)  # a data set of 1280 trials designs its filters once
def _designed(
    order: int, at: float | tuple[float, ...], kind: str, rate: float
) -> Array:
    sos = scipy.signal.butter(order, at, kind, fs=rate, output="sos")
    return np.asarray(sos, np.float64)


class Recursive(Stage):
    """Filter of second-order sections: the base class of the filters below.

    Gaps of up to ``bridge`` seconds are bridged: the filter runs on with the last valid
    sample held, and its output is the incoming NaN. After a longer gap, and at the
    start of a stream, it restarts at the next valid sample, from the steady state for
    that sample, and its output is missing (warming up) until it has settled. An
    infinite sample counts as lost. Without gaps, and once settled, the output equals
    that of `scipy.signal.sosfilt` with ``zi = sosfilt_zi(sos) * x[0]``, bit for bit
    where the compiler fuses no multiplication with an addition (x86-64), else to
    rounding.
    """

    bridge: float

    @abstractmethod
    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (sections, 6), or raise why there are none."""

    def settle(self, info: StreamInfo) -> float:
        """Return the time for which the output is missing after a restart (s).

        After this time the slowest pole has decayed to a thousandth; the time depends
        only on the settings and the sampling rate.
        """
        return settling_samples(self.design(info)) / float(info.rate)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the same stream, with the memory of the filter added."""
        memory = self.initial_state(info).limits.sum() / float(info.rate)
        channels = (replace(c, memory=c.memory + memory) for c in info.channels)
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> Sections:
        """Return the filter at rest."""
        sos = self.design(info)
        return sections(info, [sos], self.bridge, len(info.channels))

    def process(self, state: Sections, x: Array) -> Array:
        """Filter ``x``."""
        return np.asarray(run(*state, x))


@dataclass(frozen=True)
class Lowpass(Recursive):
    """Causal Butterworth low-pass filter.

    Parameters
    ----------
    high
        Cutoff at -3 dB (Hz).
    order
        Number of poles.
    bridge
        Longest gap (s) that the filter runs through: see `Recursive`.

    Notes
    -----
    abs(H(f)) = 1 / sqrt(1 + (f / high)^(2 order)), warped by the bilinear transform.
    `scipy.signal.sosfilt` on the sections of `scipy.signal.butter`, from the steady
    state of the first sample; there is no other deviation. Shape (n, channels) to (n,
    channels), in the input's unit. The delay is that of the filter at each frequency,
    and the channels do not declare it.
    """

    high: float = 1.0
    order: int = 2
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (sections, 6)."""
        purpose = f"pass up to {self.high:g} Hz"
        return butterworth(info, "lowpass", self.order, (self.high,), purpose)


@dataclass(frozen=True)
class Highpass(Recursive):
    """Causal Butterworth high-pass filter.

    Parameters
    ----------
    low
        Cutoff at -3 dB (Hz).
    order
        Number of poles.
    bridge
        Longest gap (s) that the filter runs through: see `Recursive`.

    Notes
    -----
    abs(H(f)) = 1 / sqrt(1 + (low / f)^(2 order)), warped by the bilinear transform.
    `scipy.signal.sosfilt` on the sections of `scipy.signal.butter`, from the steady
    state of the first sample; there is no other deviation. Shape (n, channels) to (n,
    channels), in the input's unit. The delay is that of the filter at each frequency,
    and the channels do not declare it.
    """

    low: float = 0.5
    order: int = 2
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (sections, 6)."""
        purpose = f"pass {self.low:g} Hz and more"
        return butterworth(info, "highpass", self.order, (self.low,), purpose)


@dataclass(frozen=True)
class Bandpass(Recursive):
    """Causal Butterworth band-pass filter.

    Parameters
    ----------
    low, high
        Cutoffs at -3 dB (Hz).
    order
        Order of the low-pass prototype: the filter has twice as many poles.
    bridge
        Longest gap (s) that the filter runs through: see `Recursive`.

    Notes
    -----
    abs(H(f)) = 1 / sqrt(1 + ((f^2 - low high) / (f (high - low)))^(2 order)), warped by
    the bilinear transform. `scipy.signal.sosfilt` on the sections of
    `scipy.signal.butter`, from the steady state of the first sample; there is no other
    deviation. Shape (n, channels) to (n, channels), in the input's unit. The delay is
    that of the filter at each frequency; the channels do not declare it.
    """

    low: float = 0.5
    high: float = 40.0
    order: int = 4
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (sections, 6)."""
        purpose = f"pass {self.low:g} to {self.high:g} Hz"
        cutoffs = (self.low, self.high)
        return butterworth(info, "bandpass", self.order, cutoffs, purpose)


@dataclass(frozen=True)
class Notch(Recursive):
    """Causal notch filter: removes one frequency, such as line noise.

    Parameters
    ----------
    freq
        Frequency to remove (Hz).
    quality
        ``freq`` over the width of the notch at -3 dB.
    bridge
        Longest gap (s) that the filter runs through: see `Recursive`.

    Notes
    -----
    The second-order notch of `scipy.signal.iirnotch`.

    H(z) = (z^2 - 2 z cos w + 1) / (z^2 - 2 r z cos w + r^2), scaled to 1 far from
    ``freq``. It begins in the steady state of the first sample; there is no other
    deviation. Shape (n, channels) to (n, channels), in the input's unit. The delay is
    that of the filter at each frequency; the channels do not declare it.
    """

    freq: float = 50.0
    quality: float = 30.0
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the sections, shape (1, 6)."""
        if not 0 < self.freq < info.rate / 2:
            raise ValueError(
                f"cannot remove {self.freq:g} Hz from {info.name!r}: a notch must lie "
                f"between 0 and {float(info.rate) / 2:g} Hz"
            )
        if not self.quality > 0:
            raise ValueError(
                f"cannot remove {self.freq:g} Hz from {info.name!r} with quality "
                f"{self.quality:g}: it must be above 0"
            )
        b, a = scipy.signal.iirnotch(self.freq, self.quality, fs=float(info.rate))
        return np.concatenate([b, a])[None, :]
