"""Sampling rates, measured from time stamps."""

from fractions import Fraction
from typing import Final

import numpy as np

from physio.core.block import Array, StreamInfo

FEWEST: Final = 32
"""Number of samples from which a rate can be measured."""

_SIGNALS: Final = frozenset(
    {"eeg", "ecg", "emg", "eog", "gsr", "bio", "resp", "temperature"}
)
_MOVEMENT: Final = ("acc", "gyro")
_MANY: Final = 500  # samples from which a share of repeated ones is reported
_SLOWEST: Final = 0.5  # Hz
_UNKNOWN_SLOWEST: Final = 10.0  # Hz, of numbers that could be beats or fixations


def is_signal(info: StreamInfo) -> bool:
    """Return whether a stream's channels are those of a regular signal."""
    kinds = {c.kind for c in info.channels}
    return bool(kinds & _SIGNALS) or info.name.endswith(_MOVEMENT)


def is_marker(info: StreamInfo) -> bool:
    """Return whether all channels of a stream are triggers or markers."""
    return all(c.kind == "stim" for c in info.channels)


def measured_rate(times: Array, info: StreamInfo) -> Fraction:
    """Return the rate of a stream as its samples show it (Hz), 0 if it is irregular.

    A signal without a nominal rate is regular if its samples come steadily, in bursts
    or not; of numbers of an unknown kind, each sample must be on time. Markers are
    events if they come less than half as often as their nominal rate states. Any other
    nominal rate is returned unchanged.

    Parameters
    ----------
    times
        Times of samples (s), shape (n,).
    info
        The stream, with its nominal rate.
    """
    if is_marker(info):
        expected = max(len(times) - 1, 0) / float(info.rate) if info.rate else 0.0
        rare = len(times) > 1 and np.ptp(times) > 2 * expected
        return Fraction(0) if rare else info.rate
    if info.rate or len(times) < FEWEST:
        return info.rate
    return _steady(np.sort(times), signal=is_signal(info))


def needs_measurement(info: StreamInfo) -> bool:
    """Return whether the kind of a live stream follows only from its samples."""
    if is_marker(info):
        return info.rate > 0
    return not info.rate and is_signal(info)


def live_rate(times: Array, info: StreamInfo, seconds: float) -> Fraction:
    """Return the rate of a live stream as its first ``seconds`` show it (Hz)."""
    if is_marker(info):
        rare = len(times) < seconds * info.rate / 2
        return Fraction(0) if rare else info.rate
    return _steady(np.sort(times), signal=True) if len(times) > 4 else info.rate


def kind_note(info: StreamInfo, rate: Fraction) -> list[str]:
    """Return a sentence if a stream is regular or not against its nominal rate.

    Parameters
    ----------
    info
        The stream, with its nominal rate.
    rate
        Its rate as measured (Hz).
    """
    if rate and not info.rate:
        return [f"{info.name} states no rate; it measures {float(rate):g} Hz"]
    if info.rate and not rate:
        return [
            f"{info.name} states {float(info.rate):g} Hz, but its markers come "
            "irregularly: they are events"
        ]
    return []


def _steady(times: Array, *, signal: bool) -> Fraction:
    """Return the rate of samples that come steadily, 0 of others."""
    steps = np.diff(times)
    if signal:
        reach = max(min(FEWEST // 2, len(times) // 2), min(len(times) // 4, 1000))
        spans = (times[reach:] - times[:-reach]) / reach
        period = float(np.median(spans))
        low, high = np.quantile(spans, [0.1, 0.9])
        regular = high - low < 0.2 * period
    else:
        period = float(np.median(steps))
        regular = float(np.mean(np.abs(steps - period) < 0.2 * period)) > 0.8
    slowest = _SLOWEST if signal else _UNKNOWN_SLOWEST
    if not regular or not 0 < period <= 1 / slowest:
        return Fraction(0)
    return rounded_rate(1 / period)


def rounded_rate(rate: float) -> Fraction:
    """Return a measured rate (Hz): a whole number within 0.5 %, else four digits."""
    if rate >= 1 and abs(round(rate) / rate - 1) < 0.005:
        return Fraction(round(rate))
    return Fraction(f"{rate:.4g}")


def repeated_note(names: str, repeated: int, samples: int) -> list[str]:
    """Return a sentence if more than 1 % of the samples repeat others.

    Parameters
    ----------
    names
        Names of the streams.
    repeated, samples
        Number of repeated samples, and of all that came.
    """
    if samples < _MANY or repeated <= 0.01 * samples:
        return []
    return [
        f"repeated: {repeated} of {samples} samples of {names} repeat others and are "
        "dropped: check the device's connection and its counter"
    ]
