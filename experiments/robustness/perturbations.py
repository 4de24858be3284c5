"""Perturbations of a sensor's signal, each with what an estimator should make of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from physio.core.block import Array, Block
from physio.core.missing import MissingReason
from physio.core.recording import Recording

Change = Callable[[Array, Array, float, np.random.Generator], Array]
"""Function of samples (n, channels), the other participant's, rate (Hz), generator."""


class Demand(StrEnum):
    """Demand on the estimate under a perturbation.

    ``SAME``: as without it. ``ABSENT``: as without the sensor. ``UNDETECTABLE``: none;
    the rate of detection is published.
    """

    SAME = "same"
    ABSENT = "absent"
    UNDETECTABLE = "undetectable"


@dataclass(frozen=True)
class Perturbation:
    """Change of a sensor's samples, and the demand, written down beforehand.

    Parameters
    ----------
    name, demand
        Its name, and the demand.
    change
        The change.
    sensors
        Sensors that it is applied to; by default all.
    """

    name: str
    demand: Demand
    change: Change
    sensors: tuple[str, ...] = ()

    def applies(self, sensor: str) -> bool:
        """Return whether the perturbation has a meaning for a sensor."""
        return not self.sensors or sensor in self.sensors


OUTSIDE: Final[Mapping[str, float]] = {
    "gsr": 200.0,
    "bio": 1e7,
    "misc": 50.0,
    "temperature": 80.0,
    "eeg": 2e5,
    "ecg": 1e7,
}
"""Value outside the range of a sensor, in its unit."""

SENSORS: Final = tuple(OUTSIDE)
"""Sensors by the kind of their channels."""


def _spread(x: Array) -> Array:
    return np.asarray(np.nanstd(x, axis=0), np.float64)


def _noise(x: Array, _other: Array, _rate: float, rng: np.random.Generator) -> Array:
    return np.nanmean(x, axis=0) + _spread(x) * rng.standard_normal(x.shape)


def _constant(x: Array, _other: Array, _rate: float, _rng: object) -> Array:
    return np.broadcast_to(np.nanmedian(x, axis=0), x.shape).copy()


def _mains(x: Array, _other: Array, rate: float, _rng: object) -> Array:
    phase = 2 * np.pi * 50.0 * np.arange(len(x))[:, None] / rate + 0.3
    return np.asarray(np.nanmean(x, axis=0) + _spread(x) * 1.4 * np.sin(phase))


def _removed(x: Array, _other: Array, _rate: float, _rng: object) -> Array:
    return np.full_like(x, MissingReason.NO_SIGNAL.nan)


def _inverted(x: Array, _other: Array, _rate: float, _rng: object) -> Array:
    return -x


def _missing(x: Array, _other: Array, _rate: float, rng: np.random.Generator) -> Array:
    return np.where(rng.random((len(x), 1)) < 0.05, np.nan, x)


def _infinite(x: Array, _other: Array, _rate: float, rng: np.random.Generator) -> Array:
    return np.where(rng.random((len(x), 1)) < 0.001, np.inf, x)


def _spikes(x: Array, _other: Array, rate: float, rng: np.random.Generator) -> Array:
    """Add a single sample of twenty standard deviations every 20 s on average."""
    at = rng.random((len(x), 1)) < 1 / (20 * rate)
    return np.where(at, x + 20 * _spread(x), x)


def _walk(x: Array, _other: Array, rate: float, rng: np.random.Generator) -> Array:
    """Return a random walk, reflected within the range of the signal."""
    low, high = np.nanpercentile(x, [1, 99], axis=0)
    span = np.maximum(high - low, 1e-9)
    steps = span * np.sqrt(0.01 / rate) * rng.standard_normal(x.shape)
    phase = np.mod((np.cumsum(steps, axis=0) / span) + rng.random(x.shape[1]), 2.0)
    return np.asarray(low + span * np.where(phase > 1, 2 - phase, phase))


def _gain(factor: float) -> Change:
    def change(x: Array, _other: Array, _rate: float, _rng: object) -> Array:
        return factor * x

    return change


def _other(x: Array, other: Array, _rate: float, _rng: object) -> Array:
    n = len(x)
    return np.resize(other, (n, other.shape[1]))[:, : x.shape[1]].copy()


def _shuffled(x: Array, _other: Array, _rate: float, rng: np.random.Generator) -> Array:
    return x[:, rng.permutation(x.shape[1])]


def _outside(kind: str) -> Change:
    def change(x: Array, _other: Array, _rate: float, _rng: object) -> Array:
        return np.full_like(x, OUTSIDE[kind])

    return change


def perturbations(sensor: str) -> tuple[Perturbation, ...]:
    """Return the perturbations of a sensor, given as the kind of its channels."""
    same, absent, free = Demand.SAME, Demand.ABSENT, Demand.UNDETECTABLE
    rows = (
        Perturbation("inverted", same, _inverted, ("bio", "ecg", "eeg", "misc")),
        Perturbation("5 % missing", same, _missing),
        Perturbation("0.1 % infinite", same, _infinite),
        Perturbation("single spikes", same, _spikes),
        Perturbation("another unit", same, _gain(1e-3), ("bio", "ecg")),
        Perturbation("removed", absent, _removed),
        Perturbation("white noise", absent, _noise),
        Perturbation("constant", absent, _constant),
        Perturbation("mains only", absent, _mains),
        Perturbation("outside the range", absent, _outside(sensor)),
        Perturbation("random walk", free, _walk),
        Perturbation("gain 0.3", free, _gain(0.3), ("gsr", "misc", "eeg")),
        Perturbation("gain 3", free, _gain(3.0), ("gsr", "misc", "eeg")),
        Perturbation("another participant", free, _other),
        Perturbation("shuffled channels", free, _shuffled, ("eeg",)),
    )
    return tuple(row for row in rows if row.applies(sensor))


def perturbed(
    recording: Recording,
    sensor: str,
    perturbation: Perturbation,
    other: Recording,
    begin: float,
    seed: int,
) -> Recording:
    """Return a recording with a perturbation of one sensor from a time on.

    Parameters
    ----------
    recording
        The recording.
    sensor
        Kind of channel of the sensor's streams.
    perturbation
        The perturbation.
    other
        Recording of another participant with the same streams.
    begin
        Time from which the signal is perturbed (s after the recording's begin).
    seed
        Seed of noise.
    """
    streams = dict(recording.streams)
    for name, blocks in recording.streams.items():
        if blocks[0].info.channels[0].kind == sensor:
            theirs = np.vstack([b.data for b in other.streams[name]])
            rng = np.random.default_rng([seed, len(name)])
            streams[name] = tuple(
                _from(b, perturbation.change, theirs, recording.begin + begin, rng)
                for b in blocks
            )
    return replace(recording, streams=streams)


def _from(
    block: Block, change: Change, other: Array, begin: float, rng: np.random.Generator
) -> Block:
    """Return a block, changed from ``begin`` (s, session clock) on."""
    rate = float(block.info.rate)
    first = int(np.searchsorted(block.times, begin))
    data = block.data.copy()
    if first < len(data):
        data[first:] = change(block.data[first:], other, rate, rng)
    return replace(block, data=data)
