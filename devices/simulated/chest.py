"""Simulated chest strap: electrocardiogram and respiration."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from devices.simulated.base import SimulatedDevice
from devices.simulated.noise import band, random_stream, rounded, wander
from devices.simulated.participant import Participant
from devices.simulated.physiology import PhysiologySegment
from devices.simulated.sampling import Sensor
from physio.core.block import Array, Channel

# Wave: amplitude (mV; relative to the participant's R or T wave), center after the R
# wave (s; relative to the root of the RR interval for T), widths on both sides (s).
_P: Final = (0.11, -0.165, 0.022, 0.026)
_Q: Final = (-0.12, -0.026, 0.009, 0.008)
_R: Final = (1.0, 0.0, 0.0105, 0.0095)
_S: Final = (-0.22, 0.027, 0.009, 0.013)
_T: Final = (1.0, 0.285, 0.052, 0.034)


class Ecg(Sensor):
    """Lead II: five asymmetric waves per beat, with respiration and noise."""

    name = "ecg"
    site, placement = "chest", "lead II"

    def __init__(self, participant: Participant, rate: Fraction) -> None:
        super().__init__()
        self.rate = rate
        self.channels = (Channel("ecg", "ecg", "mV"),)
        self._r, self._t = participant.traits["r.wave"], participant.traits["t.wave"]
        hz = float(rate)
        self._muscle = band(
            random_stream(participant.seed, "ecg muscle"), 15.0, 90.0, hz
        )
        self._base = wander(random_stream(participant.seed, "ecg baseline"), 3.0, hz)

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the voltage (mV), in steps of 1 uV."""
        r = span.beats[:, 0]
        lengths = np.sqrt(np.diff(r, prepend=r[:1] - 0.8))
        u = t[:, None] - r[None, :]
        breath = np.interp(t, span.fine, span.breath)
        y = self._r * sum(_wave(u, *wave) for wave in (_P, _Q, _R, _S))
        height, middle, before, after = _T
        y += self._t * _wave(u / lengths, height, middle, before, after)
        y *= 1 + 0.05 * breath
        y += 0.04 * breath + 0.03 * self._base.take(len(t))[:, 0]
        y += 0.012 * self._muscle.take(len(t))[:, 0]
        return rounded(y[:, None], 0.001)


class BreathingBelt(Sensor):
    """Chest belt: circumference, in half-amplitudes of a usual breath."""

    name = "resp"
    site, placement = "chest", "belt"

    def __init__(self, participant: Participant) -> None:
        super().__init__()
        self.rate = Fraction(25)
        self.channels = (Channel("resp", "resp", "1"),)
        self._slow = wander(random_stream(participant.seed, "belt"), 20.0, 25.0)
        self._noise = random_stream(participant.seed, "belt noise")

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the circumference, in steps of 0.001."""
        y = np.interp(t, span.fine, span.breath) + 0.1 * self._slow.take(len(t))[:, 0]
        y += 0.01 * self._noise.standard_normal(len(t))
        return rounded(y[:, None], 0.001)


@dataclass(kw_only=True)
class Chest(SimulatedDevice):
    """A chest strap: ``<name>.ecg`` (mV) and ``<name>.resp`` (25 Hz).

    Parameters
    ----------
    rate
        Sampling rate of the electrocardiogram (Hz), at least 50.
    """

    rate: Fraction = Fraction(250)

    signals: ClassVar[tuple[str, ...]] = ("ecg", "resp")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate < 50:
            raise ValueError(
                f"the rate of {self.name!r} must be 50 Hz or more, not {self.rate}"
            )

    def _sensors(self, participant: Participant) -> tuple[Sensor, ...]:
        return Ecg(participant, self.rate), BreathingBelt(participant)


def _wave(u: Array, height: float, middle: float, before: float, after: float) -> Array:
    """Return the sum over beats of a two-sided Gaussian, at ``u`` (n, beats)."""
    d = u - middle
    return np.asarray(
        height * np.exp(-((d / np.where(d < 0, before, after)) ** 2) / 2).sum(axis=1)
    )
