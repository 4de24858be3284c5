"""Skin conductance of simulated participants with known parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from physio.core.block import Array


@dataclass(frozen=True)
class SkinSimulation:
    """Settings of simulated sessions, with other SCR shapes than `decompose` assumes.

    Parameters
    ----------
    minutes, parts
        Duration of a session (min), and its number of conditions of equal duration:
        rest, alternating with stress and amusement in turn.
    rate
        Sampling rate (Hz).
    times
        Shortest and longest time constant ``1 / alpha_0`` (min).
    sizes
        Smallest and largest ``beta / alpha_0`` of each condition (uS).
    responses
        SCRs per minute in each condition.
    wander, noise
        Standard deviation of the random walk of the set point in a minute, and of the
        noise of a sample (uS).
    gaps
        Number of lost stretches, of 5 s to a minute each.
    rises, falls
        Shortest and longest time constants of an SCR (s); they are drawn for each
        participant.
    """

    minutes: float = 100.0
    parts: int = 14
    rate: int = 4
    times: tuple[float, float] = (1.0, 5.0)
    sizes: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"stress": (1.0, 3.0), "amusement": (0.3, 1.2)}
    )
    responses: Mapping[str, float] = field(
        default_factory=lambda: {"baseline": 2.0, "stress": 12.0, "amusement": 6.0}
    )
    wander: float = 0.1
    noise: float = 0.01
    gaps: int = 8
    rises: tuple[float, float] = (0.5, 0.9)
    falls: tuple[float, float] = (1.8, 3.0)


@dataclass(frozen=True, eq=False)
class SimulatedEda:
    """A simulated session: measured signal and true parameters.

    ``eda`` and ``tonic`` (uS) have shape (n,); ``time`` is ``1 / alpha_0`` (min) and
    ``sizes`` ``beta / alpha_0`` (uS) of each condition; ``conditions`` are name, begin
    and end (s).
    """

    eda: Array
    tonic: Array
    time: float
    sizes: Mapping[str, float]
    conditions: tuple[tuple[str, float, float], ...]


def simulate(settings: SkinSimulation, seed: int) -> SimulatedEda:
    """Return the session of a new participant."""
    rng = np.random.default_rng(seed)
    n = int(settings.minutes * 60 * settings.rate)
    time = float(np.exp(rng.uniform(*np.log(settings.times))))
    sizes = {k: float(rng.uniform(*v)) for k, v in settings.sizes.items()}
    duration, names = settings.minutes * 60 / settings.parts, list(sizes)
    conditions = tuple(
        (
            "baseline" if k % 2 == 0 else names[k // 2 % 2],
            k * duration,
            (k + 1) * duration,
        )
        for k in range(settings.parts)
    )
    seconds = np.arange(n) / settings.rate
    moved, often = np.zeros(n), np.zeros(n)
    for name, begin, end in conditions:
        inside = (seconds >= begin) & (seconds < end)
        moved[inside], often[inside] = sizes.get(name, 0.0), settings.responses[name]
    tonic = _tonic(settings, rng, moved, time)
    eda = tonic + _phasic(settings, rng, often) + rng.normal(0, settings.noise, n)
    for begin in rng.integers(n, size=settings.gaps):
        eda[begin : begin + rng.integers(5, 60) * settings.rate] = np.nan
    return SimulatedEda(eda, tonic, time, sizes, conditions)


def _tonic(
    settings: SkinSimulation, rng: np.random.Generator, moved: Array, time: float
) -> Array:
    step = 1 / settings.rate / 60
    walk = rng.normal(0, settings.wander * np.sqrt(step), len(moved))
    aim = rng.uniform(1, 4) + np.cumsum(walk) + moved
    level = np.empty(len(moved))
    level[0] = aim[0]
    keep = np.exp(-step / time)
    for i in range(1, len(level)):
        level[i] = keep * level[i - 1] + (1 - keep) * aim[i - 1]
    return level


def _phasic(settings: SkinSimulation, rng: np.random.Generator, often: Array) -> Array:
    """Return responses of random size, with a shape specific to the participant."""
    rate = settings.rate
    hit = rng.random(len(often)) < often / 60 / rate
    driver = np.where(hit, rng.lognormal(np.log(0.2), 0.7, len(often)), 0.0)
    rise, fall = rng.uniform(*settings.rises), rng.uniform(*settings.falls)
    t = np.arange(40 * rate) / rate
    shape = (np.exp(-t / fall) - np.exp(-t / rise)) / (fall - rise)
    return np.convolve(driver, shape)[: len(often)]
