"""Sources of simulated EEG: background, rhythms, muscles and blinks."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from devices.simulated.affect_trajectory import GRID
from devices.simulated.noise import (
    Arrivals,
    band,
    random_stream,
    rhythm,
    scale_free,
    wander,
)
from devices.simulated.participant import Participant
from devices.simulated.physiology import PhysiologySegment
from physio.core.affect import DIMENSIONS
from physio.core.block import Array

_BACKGROUND: Final = 48  # sources of 1/f noise, all over the head

Effects = tuple[tuple[str, float], ...]
"""Effects on the logarithm of a power, each with its weight."""


class _Rhythm(NamedTuple):
    """Rhythm: place, frequency and bandwidth (Hz), amplitude relative to a trait.

    The frequency of alpha rhythms is relative to the participant's alpha peak.
    """

    place: str
    freq: float
    band: float
    trait: str
    share: float
    effects: Effects


_ALPHA: Final = (("alpha.arousal", 1.0),)
_BETA: Final = (("beta.arousal", 1.0), ("beta.dominance", 1.0))
_GAMMA: Final = (("gamma.arousal", 1.0), ("gamma.valence", 1.0))
_RHYTHMS: Final = (
    _Rhythm("Fz", 6.0, 2.0, "theta", 1.0, (("theta.arousal", 1.0),)),
    _Rhythm("O1", 0.0, 1.6, "alpha", 0.8, _ALPHA),
    _Rhythm("O2", 0.0, 1.6, "alpha", 0.8, _ALPHA),
    _Rhythm("Pz", 0.0, 1.6, "alpha", 0.6, _ALPHA),
    _Rhythm("F3", 0.0, 2.0, "alpha", 0.3, (*_ALPHA, ("asymmetry.valence", -0.5))),
    _Rhythm("F4", 0.0, 2.0, "alpha", 0.3, (*_ALPHA, ("asymmetry.valence", 0.5))),
    _Rhythm("C3", 0.5, 2.0, "alpha", 0.3, (("alpha.arousal", 0.5),)),
    _Rhythm("C4", 0.5, 2.0, "alpha", 0.3, (("alpha.arousal", 0.5),)),
    _Rhythm("Fz", 18.0, 7.0, "beta", 0.8, _BETA),
    _Rhythm("C3", 20.0, 7.0, "beta", 0.8, _BETA),
    _Rhythm("C4", 20.0, 7.0, "beta", 0.8, _BETA),
    _Rhythm("T7", 38.0, 12.0, "gamma", 1.0, _GAMMA),
    _Rhythm("T8", 38.0, 12.0, "gamma", 1.0, _GAMMA),
    _Rhythm("Pz", 36.0, 12.0, "gamma", 1.0, _GAMMA),
)

_MUSCLES: Final[Mapping[str, Effects]] = {
    "T7": (("muscle.arousal", 1.0),),
    "T8": (("muscle.arousal", 1.0),),
    "Fp1": (("muscle.arousal", 1.0), ("muscle.valence", 1.0)),
    "Fp2": (("muscle.arousal", 1.0), ("muscle.valence", 1.0)),
}

# Directions from the middle of the head: to the right, to the front, up.
_PLACES: Final[Mapping[str, tuple[float, float, float]]] = {
    "Fp1": (-0.30, 0.95, 0.0),
    "Fp2": (0.30, 0.95, 0.0),
    "F3": (-0.52, 0.68, 0.52),
    "Fz": (0.0, 0.74, 0.67),
    "F4": (0.52, 0.68, 0.52),
    "T7": (-1.0, 0.0, -0.1),
    "C3": (-0.68, 0.05, 0.73),
    "C4": (0.68, 0.05, 0.73),
    "T8": (1.0, 0.0, -0.1),
    "Pz": (0.0, -0.61, 0.79),
    "O1": (-0.30, -0.94, 0.16),
    "O2": (0.30, -0.94, 0.16),
    "eyes": (0.0, 0.93, -0.36),
}


def electrodes(names: tuple[str, ...], montage: str) -> Array:
    """Return the directions of electrodes from the center of the head.

    Parameters
    ----------
    names
        Names of the montage.
    montage
        A montage of MNE, ``"colin27_1005"``.

    Returns
    -------
    ndarray, shape (n, 3)
        To the right, to the front, up; of length 1.

    Raises
    ------
    ValueError
        If MNE has no such montage or the montage has no such electrode.
    """
    from mne.channels import get_builtin_montages, make_standard_montage

    if montage not in get_builtin_montages():
        raise ValueError(
            f"there is no montage {montage!r}; MNE has "
            f"{', '.join(get_builtin_montages())}"
        )
    where = make_standard_montage(montage).get_positions()["ch_pos"]
    if unknown := [name for name in names if name not in where]:
        raise ValueError(
            f"montage {montage!r} has no electrode {', '.join(unknown)}; it has "
            f"{', '.join(where)}"
        )
    everywhere = np.array(list(where.values()))
    # the sphere that fits the electrodes best: |p|^2 = 2 p.c + (r^2 - |c|^2)
    lines = np.column_stack([2 * everywhere, np.ones(len(everywhere))])
    middle = np.linalg.lstsq(lines, np.sum(everywhere**2, axis=1))[0][:3]
    directions = np.array([where[name] for name in names]) - middle
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


class EegSources:
    """Background and rhythms, mixed onto electrodes in the directions ``at``."""

    def __init__(self, participant: Participant, at: Array, rate: float) -> None:
        self._participant = participant
        slope = float(np.clip(participant.traits["slope"], 0.8, 1.9))
        self._background = scale_free(
            random_stream(participant.seed, "background"), slope, rate, _BACKGROUND
        )
        peak = participant.traits["alpha.freq"]
        self._rhythms = []
        for i, source in enumerate(_RHYTHMS):
            freq = source.freq + (peak if source.trait == "alpha" else 0.0)
            if freq + source.band < rate / 2:  # others are above the Nyquist frequency
                chance = random_stream(participant.seed, f"rhythm {i}")
                self._rhythms.append((source, rhythm(chance, freq, source.band, rate)))
        self._wax = wander(
            random_stream(participant.seed, "waxing"), 2.5, GRID, len(_RHYTHMS)
        )
        self._waxed = self._wax.take(1)
        everywhere = _lead_field(at, _sphere(_BACKGROUND), 0.55)
        everywhere /= np.linalg.norm(everywhere, axis=1, keepdims=True)
        rhythms = _lead_field(
            at, _directions(*(source.place for source, _ in self._rhythms)), 0.5
        )
        self._mixing = np.hstack(
            [participant.traits["background"] * everywhere, rhythms]
        ).T

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the potential at each electrode (uV), shape (n, electrodes)."""
        n, effects = len(t), self._participant.effects
        waxing = np.vstack([self._waxed, self._wax.take(len(span.times) - 1)])
        self._waxed = waxing[-1:]
        columns = [self._background.take(n)]
        for i, (source, process) in enumerate(self._rhythms):
            power = total_effect(span, effects, source.effects) + 0.7 * waxing[:, i]
            size = (
                self._participant.traits[source.trait]
                * source.share
                * np.exp(power / 2)
            )
            columns.append(process.take(n) * span.at(t, size)[:, None])
        return np.asarray(np.hstack(columns) @ self._mixing)


class Muscles:
    """Muscles of temples and forehead: tonic activity and bursts."""

    def __init__(self, participant: Participant, at: Array, rate: float) -> None:
        self._participant, width = participant, len(_MUSCLES)
        self._noise = band(
            random_stream(participant.seed, "muscles"), 20.0, 100.0, rate, width
        )
        self._rng = random_stream(participant.seed, "bursts")
        self._arrivals = Arrivals(self._rng, apart=2.0)
        self._bursts = np.empty((0, 2 + width))  # begin (s), length (s), strengths
        self._mixing = _lead_field(at, _directions(*_MUSCLES), 0.4).T

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the potential at each electrode (uV), shape (n, electrodes)."""
        effects, width = self._participant.effects, len(_MUSCLES)

        def rate(at: Array) -> Array:
            power = total_effect(span, effects, (("muscle.arousal", 1.0),))
            return np.minimum(np.exp(span.at(at, power)) / 75, 0.5)

        begin = self._arrivals.take(span.begin, rate)
        length = 0.8 * np.exp(0.4 * self._rng.standard_normal(len(begin)))
        strong = 10.0 * self._rng.random((len(begin), width))
        recent = self._bursts[:, 0] + self._bursts[:, 1] > span.begin
        new = np.column_stack([begin, length, strong])
        self._bursts = np.vstack([self._bursts[recent], new])
        u = (t[:, None] - self._bursts[:, 0]) / self._bursts[:, 1]
        burst = np.sin(np.pi * np.clip(u, 0.0, 1.0)) ** 2 @ self._bursts[:, 2:]
        steady = [np.exp(total_effect(span, effects, e) / 2) for e in _MUSCLES.values()]
        tone = np.column_stack([span.at(t, power) for power in steady]) + burst
        work = self._participant.traits["muscle"] * tone * self._noise.take(len(t))
        return np.asarray(work @ self._mixing)


class Blinks:
    """Blinks with fast closing and slow opening, largest at frontal electrodes."""

    def __init__(self, participant: Participant, at: Array) -> None:
        self._participant = participant
        self._rng = random_stream(participant.seed, "blinks")
        self._arrivals = Arrivals(self._rng, apart=0.5, most=2.0)
        self._active = np.empty((0, 3))  # begin (s), size (uV), length (s)
        self._mixing = _lead_field(at, _directions("eyes"), 0.45).T

    def advance(self, span: PhysiologySegment) -> Array:
        """Draw the blinks of a span; return begin (s), size (uV) and length (s)."""
        traits, effects = self._participant.traits, self._participant.effects

        def rate(at: Array) -> Array:
            power = total_effect(span, effects, (("blink.arousal", 1.0),))
            return np.minimum(traits["blinks"] / 60 * np.exp(span.at(at, power)), 2.0)

        at = self._arrivals.take(span.begin, rate)
        z = self._rng.standard_normal((len(at), 2))
        size = traits["blink.size"] * np.exp(0.2 * z[:, 0])
        new = np.column_stack([at, size, 0.3 * np.exp(0.15 * z[:, 1])])
        recent = self._active[:, 0] + self._active[:, 2] > span.begin
        self._active = np.vstack([self._active[recent], new])
        return new

    def sense(self, t: Array) -> Array:
        """Return the potential at each electrode (uV), shape (n, electrodes)."""
        begin, size, length = self._active.T
        u = np.clip((t[:, None] - begin) / length, 0.0, 1.0)
        lids = np.sin(np.pi * u**0.6) ** 2 @ size
        return np.asarray(lids[:, None] * self._mixing)


def total_effect(
    span: PhysiologySegment, gains: Mapping[str, float], effects: Effects
) -> Array:
    """Return the sum of effects (logarithm) at the times of a segment."""
    terms = [
        share * gains[name] * span.quick[:, DIMENSIONS.index(name.partition(".")[2])]
        for name, share in effects
    ]
    return np.asarray(np.sum(terms, axis=0))


def _directions(*places: str) -> Array:
    """Return the directions of places, of length 1, shape (n, 3)."""
    at = np.array([_PLACES[place] for place in places])
    return np.asarray(at / np.linalg.norm(at, axis=1, keepdims=True))


def _sphere(n: int) -> Array:
    """Return ``n`` directions spread evenly over the head without its underside."""
    up = 1 - 1.4 * (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    wide = np.sqrt(1 - up**2)
    return np.column_stack([wide * np.cos(turn), wide * np.sin(turn), up])


def _lead_field(at: Array, sources: Array, width: float) -> Array:
    """Return the gain from sources to electrodes, by the angle between them."""
    angle = np.arccos(np.clip(at @ sources.T, -1.0, 1.0))
    return np.asarray(np.exp(-((angle / width) ** 2) / 2))
