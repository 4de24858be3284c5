"""Simulated EEG headset, referenced to the ears."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from devices.simulated.base import SimulatedDevice
from devices.simulated.eeg_sources import Blinks, EegSources, Muscles, electrodes
from devices.simulated.noise import random_stream, rounded, wander
from devices.simulated.participant import Participant
from devices.simulated.physiology import PhysiologySegment
from devices.simulated.sampling import Sensor
from physio.core.block import Array, Channel

CYTON: Final = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")

STEP: Final = 0.0223517
"""One step of a Cyton's converter (uV): 4.5 V, a gain of 24, 24 bits."""


class Eeg(Sensor):
    """Brain, muscles, blinks, mains hum, electrode drift and noise."""

    name, event_name = "eeg", "blinks"
    site, placement, reference = "scalp", "dry electrodes", "ears"
    event_channels = (Channel("size", "misc", "uV"), Channel("seconds", "misc", "s"))

    def __init__(self, participant: Participant, headset: "Headset") -> None:
        super().__init__()
        names, self.rate = headset.channels, headset.rate
        self.channels = tuple(Channel(name, "eeg", "uV") for name in names)
        at, rate = electrodes(names, headset.montage), float(headset.rate)
        self._brain = EegSources(participant, at, rate)
        self._muscles = Muscles(participant, at, rate)
        self._blinks = Blinks(participant, at)
        hum = random_stream(participant.seed, "hum")
        self._mains = headset.mains
        self._hum = 0.3 * np.exp(0.4 * hum.standard_normal(len(names)))
        self._drift = wander(
            random_stream(participant.seed, "electrodes"), 6.0, rate, len(names)
        )
        self._noise = random_stream(participant.seed, "electrode noise")

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the voltage of each electrode (uV), in steps of `STEP`."""
        blinks = self._blinks.advance(span)
        self.events += [(float(b[0]), "", (float(b[1]), float(b[2]))) for b in blinks]
        y = self._brain.sense(span, t) + self._muscles.sense(span, t)
        y += self._blinks.sense(t)
        y += np.sin(2 * np.pi * self._mains * t)[:, None] * self._hum
        y += 4.0 * self._drift.take(len(t))
        y += 0.4 * self._noise.standard_normal(y.shape)
        return rounded(y, STEP)


@dataclass(kw_only=True)
class Headset(SimulatedDevice):
    """A headset: ``<name>.eeg`` (uV).

    With the ground truth come the events ``<name>.blinks``: onset, amplitude at the
    frontal electrodes (uV) and duration (s).

    Parameters
    ----------
    channels
        Electrodes of the montage; by default those of an OpenBCI Cyton.
    rate
        Sampling rate (Hz), at least 64.
    montage
        A montage of MNE.
    mains
        Frequency of the mains hum (Hz); 0 for none.
    """

    channels: tuple[str, ...] = CYTON
    rate: Fraction = Fraction(250)
    montage: str = "colin27_1005"
    mains: float = 50.0

    signals: ClassVar[tuple[str, ...]] = ("eeg",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate < 64:
            raise ValueError(
                f"the rate of {self.name!r} must be 64 Hz or more, not {self.rate}"
            )
        if not self.channels:
            raise ValueError(f"{self.name!r} needs at least one channel")
        electrodes(self.channels, self.montage)

    def _sensors(self, participant: Participant) -> tuple[Sensor, ...]:
        return (Eeg(participant, self),)
