"""Simulated wristband: EDA, blood volume pulse, acceleration, skin temperature."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

import numpy as np

from devices.simulated.base import SimulatedDevice
from devices.simulated.noise import (
    Arrivals,
    Lag,
    band,
    drift,
    random_stream,
    rounded,
    wander,
)
from devices.simulated.participant import Participant
from devices.simulated.physiology import PhysiologySegment
from devices.simulated.sampling import Sensor
from physio.core.block import Array, Channel

_FORGOTTEN: Final = 240.0  # s after which a skin conductance response has decayed


class Motion:
    """Bouts of arm movement: their strength (g) at any time of a segment."""

    def __init__(self, participant: Participant) -> None:
        self._rng = random_stream(participant.seed, "motion")
        self._arrivals = Arrivals(self._rng, apart=1.0)
        self._rate = participant.traits["motion"] / 60
        self._effect = participant.effects["motion.arousal"]
        self._bouts = np.empty((0, 3))  # begin (s), length (s), strength (g)
        self._begin = -1.0

    def strength(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the strength at times ``t`` of a segment, shape (n,)."""
        if span.begin != self._begin:
            self._advance(span)
        begin, length, strong = self._bouts.T
        u = np.clip((t[:, None] - begin) / length, 0.0, 1.0)
        return np.asarray((strong * np.sin(np.pi * u) ** 2).sum(axis=1))

    def _advance(self, span: PhysiologySegment) -> None:
        """Draw the bouts that begin in a segment."""
        self._begin = span.begin

        def rate(t: Array) -> Array:
            felt = self._effect * span.at(t, span.quick[:, 1])
            return np.minimum(self._rate * np.exp(felt), 0.5)

        at = self._arrivals.take(span.begin, rate)
        length = 2.5 * np.exp(0.6 * self._rng.standard_normal(len(at)))
        strong = 0.08 * np.exp(0.7 * self._rng.standard_normal(len(at)))
        ends = self._bouts[:, 0] + self._bouts[:, 1]
        new = np.column_stack([at, length, np.minimum(strong, 0.8)])
        self._bouts = np.vstack([self._bouts[ends > span.begin], new])


class SkinConductance(Sensor):
    """Skin conductance: a slow level (SCL), and responses (SCR) of many shapes.

    A response rises along a quarter of a squared sine and falls as
    ``exp(-u / 40) / (1 + (u / h) ** p)``: not the Bateman function that solvers assume.
    Rise time, half recovery time ``h`` and exponent ``p`` differ between responses.
    """

    name, event_name = "eda", "responses"
    site, placement = "left wrist", "ventral, dry electrodes"
    event_channels = (
        Channel("amplitude", "misc", "uS"),
        Channel("rise", "misc", "s"),
        Channel("recovery", "misc", "s"),
    )

    def __init__(self, participant: Participant, motion: Motion) -> None:
        super().__init__()
        self.rate = Fraction(4)
        self.channels = (Channel("eda", "gsr", "uS"),)
        self._participant, self._motion = participant, motion
        self._rng = random_stream(participant.seed, "skin responses")
        self._arrivals = Arrivals(self._rng, apart=0.8)
        self._level = drift(random_stream(participant.seed, "skin level"), 45.0, 4.0)
        self._contact = wander(
            random_stream(participant.seed, "skin contact"), 0.4, 4.0
        )
        self._noise = random_stream(participant.seed, "skin noise")
        rate = participant.traits["responses"]
        # one participant in ten hardly responds
        self._rest = (
            rate
            * (0.2 if random_stream(participant.seed, "skin").random() < 0.1 else 1)
            / 60
        )
        self._active = np.empty((0, 5))  # onset, amplitude, rise, half recovery, p

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the conductance (uS), in steps of 0.001."""
        self._respond(span)
        level = self._participant.effects["level.arousal"] * span.at(t, span.slow)
        level += 0.08 * self._level.take(len(t))[:, 0]
        tonic = self._participant.traits["skin"] * np.exp(level)
        y = tonic + _responses(t, self._active)
        shaken = self._motion.strength(span, t) * self._contact.take(len(t))[:, 0]
        y += 0.15 * np.minimum(tonic, 3.0) * shaken
        y += 0.002 * self._noise.standard_normal(len(t))
        return rounded(np.maximum(y, 0.0)[:, None], 0.001)

    def _respond(self, span: PhysiologySegment) -> None:
        """Draw the responses that begin in a segment."""
        effects, rng = self._participant.effects, self._rng

        def rate(t: Array) -> Array:
            felt = effects["responses.arousal"] * span.at(t, span.quick[:, 1])
            return np.minimum(self._rest * np.exp(felt), 0.5)

        at = self._arrivals.take(span.begin, rate)
        z = rng.standard_normal((len(at), 4))
        size = effects["size.arousal"] * span.at(at, span.quick[:, 1])
        new = np.column_stack(
            [
                at,
                np.minimum(
                    self._participant.traits["size"] * np.exp(size + 0.6 * z[:, 0]), 2.0
                ),
                1.6 * np.exp(0.25 * z[:, 1]),
                3.5 * np.exp(0.35 * z[:, 2]),
                np.clip(1.8 + 0.2 * z[:, 3], 1.4, 2.4),
            ]
        )
        fresh = self._active[:, 0] > span.begin - _FORGOTTEN
        self._active = np.vstack([self._active[fresh], new])
        self.events += [(float(r[0]), "", tuple(r[1:4].tolist())) for r in new]


class Pulse(Sensor):
    """Blood volume pulse: a first wave and its reflection for each beat."""

    name = "bvp"
    site, placement = "left wrist", "dorsal, optical"

    def __init__(self, participant: Participant, motion: Motion) -> None:
        super().__init__()
        self.rate = Fraction(64)
        self.channels = (Channel("bvp", "bio", "1"),)
        self._participant, self._motion = participant, motion
        self._mean = Lag(0.6, 64.0)
        self._light = wander(random_stream(participant.seed, "bvp light"), 1.0, 64.0)
        self._shake = band(random_stream(participant.seed, "bvp shake"), 0.7, 6.0, 64.0)
        self._noise = random_stream(participant.seed, "bvp noise")

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the pulse in a wristband's units, without its mean."""
        foot = span.beats[:, 0] + span.beats[:, 1]
        u = t[:, None] - foot
        first = _bump(u, 0.13, 2.2)
        again = self._participant.traits["reflection"] * _bump(u, 0.38, 11.0)
        y = self._participant.traits["pulse"] * (first + again) @ span.beats[:, 2]
        shaken = self._motion.strength(span, t) * self._shake.take(len(t))[:, 0]
        y += 250 * shaken + 2.0 * self._light.take(len(t))[:, 0]
        y += 0.8 * self._noise.standard_normal(len(t))
        y -= self._mean.follow(y[:, None])[:, 0]
        return rounded(y[:, None], 0.01)


class Acceleration(Sensor):
    """Three axes of acceleration: posture, tremor, bouts of movement."""

    name = "acc"
    site, placement = "left wrist", "dorsal"

    def __init__(self, participant: Participant, motion: Motion) -> None:
        super().__init__()
        self.rate = Fraction(32)
        self.channels = tuple(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz")
        self._motion = motion
        self._rng = random_stream(participant.seed, "posture")
        self._arrivals = Arrivals(self._rng, apart=5.0)
        self._turn = Lag(0.5, 32.0)
        self._pose = self._draw()
        self._shake = band(random_stream(participant.seed, "shake"), 0.6, 6.0, 32.0, 3)
        self._tremor = band(
            random_stream(participant.seed, "tremor"), 4.0, 12.0, 32.0, 3
        )

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the acceleration (g), in steps of 1/64 and at most 2."""
        poses = np.tile(self._pose, (len(t), 1))
        for at in self._arrivals.take(span.begin, lambda t: np.full(len(t), 1 / 90)):
            self._pose = self._draw()
            poses[t >= at] = self._pose
        gravity = self._turn.follow(poses)
        gravity /= np.linalg.norm(gravity, axis=1, keepdims=True)
        strong = self._motion.strength(span, t)[:, None]
        y = gravity + strong * self._shake.take(len(t))
        y += 0.004 * self._tremor.take(len(t))
        return rounded(np.clip(y, -2.0, 2.0), 1 / 64)

    def _draw(self) -> Array:
        """Return the direction of gravity for an arm on a table or a lap."""
        pose = np.array([-0.5, 0.2, 0.8]) + 0.35 * self._rng.standard_normal(3)
        return np.asarray(pose / np.linalg.norm(pose))


class SkinTemperature(Sensor):
    """Skin temperature, which a cool wristband takes minutes to reach."""

    name = "temp"
    site, placement = "left wrist", "ventral"

    def __init__(self, participant: Participant) -> None:
        super().__init__()
        self.rate = Fraction(4)
        self.channels = (Channel("temp", "temperature", "degC"),)
        self._participant = participant
        self._slow = wander(random_stream(participant.seed, "warmth"), 200.0, 4.0)
        self._noise = random_stream(participant.seed, "warmth noise")

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the temperature (degC), in steps of 0.02."""
        y = self._participant.traits["temperature"] - 0.6 * np.exp(-t / 150)
        y += self._participant.effects["temperature.arousal"] * span.at(t, span.thermal)
        y += 0.15 * self._slow.take(len(t))[:, 0]
        y += 0.01 * self._noise.standard_normal(len(t))
        return rounded(y[:, None], 0.02)


@dataclass(kw_only=True)
class Wristband(SimulatedDevice):
    """A wristband: ``<name>.eda`` (4 Hz, uS), ``.bvp`` (64), ``.acc`` (32), ``.temp``.

    With the ground truth come the events ``<name>.responses``: onset of each SCR, its
    amplitude (uS), rise time and half recovery time (s).
    """

    signals: ClassVar[tuple[str, ...]] = ("eda", "bvp", "acc", "temp")

    def _sensors(self, participant: Participant) -> tuple[Sensor, ...]:
        motion = Motion(participant)
        return (
            SkinConductance(participant, motion),
            Pulse(participant, motion),
            Acceleration(participant, motion),
            SkinTemperature(participant),
        )


def _responses(t: Array, responses: Array) -> Array:
    """Return the sum of all responses at times ``t``."""
    onset, size, rise, half, power = responses.T
    u = t[:, None] - onset
    up = np.sin(np.pi / 2 * np.clip(u / rise, 0.0, 1.0)) ** 2
    since = np.maximum(u - rise, 0.0)
    down = np.exp(-since / 40) / (1 + (since / half) ** power)
    return np.asarray((size * up * down).sum(axis=1))


def _bump(u: Array, peak: float, power: float) -> Array:
    """Return a wave that begins at 0, is 1 at ``peak`` (s) and fades, at ``u``."""
    x = np.maximum(u, 0.0) / peak
    return np.asarray(x**power * np.exp(power * (1 - x)))
