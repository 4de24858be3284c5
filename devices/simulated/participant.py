"""Simulated participants: physiological traits and effects of affect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from devices.simulated.noise import random_stream

Preset = Literal["published", "exaggerated"]

EXAGGERATION: Final = 3.5


class Effect(NamedTuple):
    """Effect of one unit of affect: mean and standard deviation over participants."""

    mean: float
    sd: float


EFFECTS: Final[Mapping[str, Effect]] = {
    "heart.arousal": Effect(8.0, 4.0),
    "heart.valence": Effect(1.0, 1.5),
    "rsa.arousal": Effect(-0.20, 0.15),
    "breath.arousal": Effect(1.5, 1.5),
    "pulse.arousal": Effect(-0.15, 0.15),
    "transit.arousal": Effect(-8.0, 5.0),
    "level.arousal": Effect(0.10, 0.08),
    "responses.arousal": Effect(0.80, 0.35),
    "size.arousal": Effect(0.15, 0.15),
    "temperature.arousal": Effect(-0.20, 0.20),
    "motion.arousal": Effect(0.20, 0.20),
    "theta.arousal": Effect(0.05, 0.12),
    "alpha.arousal": Effect(-0.15, 0.15),
    "asymmetry.valence": Effect(0.04, 0.10),
    "beta.arousal": Effect(0.05, 0.12),
    "beta.dominance": Effect(0.02, 0.08),
    "gamma.arousal": Effect(0.0, 0.12),
    "gamma.valence": Effect(0.03, 0.12),
    "muscle.arousal": Effect(0.15, 0.20),
    "muscle.valence": Effect(-0.10, 0.15),
    "blink.arousal": Effect(0.10, 0.15),
}
"""The table of `devices.simulated`, as numbers."""

# Median and standard deviation over participants; with "ln", of the logarithm.
_TRAITS: Final[Mapping[str, tuple[float, float, str]]] = {
    "heart": (70.0, 8.0, ""),  # 1/min
    "rsa": (3.0, 0.45, "ln"),  # 1/min, half the swing
    "mayer": (1.3, 0.30, "ln"),  # 1/min
    "breath": (14.5, 2.0, ""),  # 1/min
    "transit": (0.215, 0.018, ""),  # s, R wave to foot of the pulse at the wrist
    "pulse": (45.0, 0.40, "ln"),  # as the wristband counts
    "reflection": (0.35, 0.10, ""),
    "skin": (2.2, 0.70, "ln"),  # uS
    "responses": (4.0, 0.45, "ln"),  # 1/min
    "size": (0.12, 0.60, "ln"),  # uS
    "temperature": (33.2, 1.1, ""),  # degC
    "motion": (2.0, 0.50, "ln"),  # bouts a minute
    "r.wave": (1.0, 0.25, "ln"),  # mV
    "t.wave": (0.28, 0.25, "ln"),  # mV
    "background": (8.0, 0.25, "ln"),  # uV
    "slope": (1.3, 0.20, ""),
    "alpha.freq": (10.0, 0.8, ""),  # Hz
    "alpha": (7.0, 0.45, "ln"),  # uV
    "theta": (2.6, 0.30, "ln"),  # uV
    "beta": (2.0, 0.30, "ln"),  # uV
    "gamma": (0.6, 0.35, "ln"),  # uV
    "muscle": (1.2, 0.50, "ln"),  # uV
    "blinks": (14.0, 0.45, "ln"),  # 1/min
    "blink.size": (110.0, 0.25, "ln"),  # uV
}


@dataclass(frozen=True)
class Participant:
    """One simulated participant: the same for every device of that seed.

    Parameters
    ----------
    seed
        Seed of the participant.
    preset
        Size of the effects: as published, or exaggerated for demonstrations.
    traits
        Physiological values at rest; units as in the comments of the code.
    effects
        Effects of one unit of affect on this participant: see `devices.simulated`.
    """

    seed: int
    preset: Preset
    traits: Mapping[str, float]
    effects: Mapping[str, float]

    @classmethod
    def draw(cls, seed: int, preset: Preset) -> "Participant":
        """Draw the participant of a seed."""
        rng = random_stream(seed, "traits")
        traits = {
            name: float(mid * np.exp(sd * z) if kind else mid + sd * z)
            for name, (mid, sd, kind) in _TRAITS.items()
            for z in (np.clip(rng.standard_normal(), -2.5, 2.5),)
        }
        scale = EXAGGERATION if preset == "exaggerated" else 1.0
        rng = random_stream(seed, "effects")
        effects = {
            name: float(scale * mean + sd * rng.standard_normal())
            for name, (mean, sd) in EFFECTS.items()
        }
        return cls(seed, preset, traits, effects)
