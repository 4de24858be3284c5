"""Simulated events in which exactly one sensor is driven, in raw signals at rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy.signal import butter, sosfiltfilt

from devices.simulated import Chest, Headset, Wristband
from experiments.simulated.cohort import CHAINS
from experiments.weights import live_features
from experiments.weights.demo import record
from physio.core.block import Array, Block, StreamInfo
from physio.core.recording import Recording

DRIVEN: Final[Mapping[str, tuple[str, ...]]] = {
    "skin response": ("eda",),
    "heart rate": ("prv", "heart2"),
    "movement": ("motion",),
    "EEG": ("eeg",),
}
"""Chains that each kind of event drives."""

_ALPHA: Final = (8.0, 13.0)  # Hz
_BETA: Final = (15.0, 30.0)  # Hz
_SHAKE: Final = (0.6, 6.0)  # Hz
_RAMP: Final = 5.0  # s
_MARGIN: Final = 20.0  # s of signal for faster hearts, for each event


class EventStrength(NamedTuple):
    """Strength of the events: clear, and within what people show.

    ``responses``: SCRs in an event, each of ``size`` (uS); ``heart``: increase of the
    heart rate as a proportion; ``shake``: strength of the movement (g); ``alpha``: what
    remains of the alpha amplitude; ``beta``: increase of the beta amplitude.
    """

    responses: int = 6
    size: float = 0.4
    heart: float = 0.25
    shake: float = 0.15
    alpha: float = 0.5
    beta: float = 1.5


@dataclass(frozen=True)
class RestingParticipant:
    """A simulated participant at rest, with and without driven sensors.

    Parameters
    ----------
    seed
        Seed of the participant, and of the times of the events.
    events
        Number of events.
    seconds
        Duration of an event (s).
    apart
        Time from an event to the next (s).
    before
        Time before the first event (s).
    strength
        Strength of the events.
    """

    seed: int
    events: int = 5
    seconds: float = 40.0
    apart: float = 130.0
    before: float = 130.0
    strength: EventStrength = field(default_factory=EventStrength)

    @cached_property
    def onsets(self) -> Array:
        """Times of the events (s)."""
        rng = np.random.default_rng((self.seed, 1))
        at = self.before + self.apart * np.arange(self.events)
        return np.asarray(at + rng.uniform(0.0, 20.0, self.events))

    @property
    def duration(self) -> float:
        """Duration of the recording (s)."""
        return self.before + self.apart * self.events

    def features(self) -> tuple[StreamInfo, Array, Array]:
        """Return the columns, and the features of rest and of driven sensors, 4 Hz."""
        recording = self._rest()
        rest = live_features.features(self._cut(recording), CHAINS)
        driven = live_features.features(self._cut(self._driven(recording)), CHAINS)
        n = min(len(rest), len(driven))
        return rest.info, rest.data[:n], driven.data[:n]

    def _rest(self) -> Recording:
        streams: dict[str, tuple[Block, ...]] = {}
        long = self.duration + _MARGIN * self.events
        devices = {"head": Headset(), "band": Wristband(), "chest": Chest()}
        for name, device in devices.items():
            worn = replace(device, seed=self.seed, protocol="rest", ground_truth=False)
            streams |= record(worn, long, name).streams
        return Recording(streams, {})

    def _cut(self, recording: Recording) -> Recording:
        streams = {}
        for name, blocks in recording.streams.items():
            end = blocks[0].t0 + self.duration
            streams[name] = tuple(b for b in blocks if not len(b) or b.times[-1] <= end)
        return Recording(streams, {})

    def _driven(self, recording: Recording) -> Recording:
        change: dict[str, Callable[[Array, Array, float], Array]] = {
            "band.eda": self._respond,
            "band.bvp": self._hasten,
            "chest.ecg": self._hasten,
            "band.acc": self._shake,
            "head.eeg": self._desynchronize,
        }
        streams = dict(recording.streams)
        for name, alter in change.items():
            blocks = streams[name]
            t0 = blocks[0].t0
            times = np.concatenate([b.times for b in blocks]) - t0
            data = np.concatenate([b.data for b in blocks])
            altered = alter(times, data, float(blocks[0].info.rate))
            ends = np.cumsum([len(b) for b in blocks])[:-1]
            streams[name] = tuple(
                replace(b, data=np.ascontiguousarray(part))
                for b, part in zip(blocks, np.split(altered, ends), strict=True)
            )
        return Recording(streams, {})

    def _during(self, t: Array) -> Array:
        """Return 1 within events and 0 outside, with ramps."""
        since = t[:, None] - self.onsets
        up = np.clip(since / _RAMP, 0.0, 1.0)
        down = np.clip((self.seconds + _RAMP - since) / _RAMP, 0.0, 1.0)
        return np.asarray((up * down).max(axis=1))

    def _respond(self, t: Array, x: Array, rate: float) -> Array:  # noqa: ARG002
        rng = np.random.default_rng((self.seed, 2))
        steps = np.arange(self.strength.responses) / self.strength.responses
        begin = self.onsets[:, None] + (self.seconds - 5.0) * steps
        begin = (begin + rng.uniform(0.0, 3.0, begin.shape)).ravel()
        u = np.maximum(t[:, None] - begin, 0.0)
        rise = np.sin(np.pi / 2 * np.minimum(u / 1.6, 1.0)) ** 2
        since = np.maximum(u - 1.6, 0.0)
        responses = rise * np.exp(-since / 40) / (1 + (since / 3.5) ** 1.8)
        return np.asarray(x + self.strength.size * responses.sum(axis=1)[:, None])

    def _hasten(self, t: Array, x: Array, rate: float) -> Array:
        faster = 1 + self.strength.heart * self._during(t)
        passed = np.concatenate([[0.0], np.cumsum(faster)[:-1]]) / rate
        return np.column_stack([np.interp(passed, t, c) for c in x.T])

    def _shake(self, t: Array, x: Array, rate: float) -> Array:
        rng = np.random.default_rng((self.seed, 3))
        moved = _band(rng.standard_normal(x.shape), _SHAKE, rate)
        moved *= self.strength.shake / moved.std(axis=0)
        return np.asarray(x + self._during(t)[:, None] * moved)

    def _desynchronize(self, t: Array, x: Array, rate: float) -> Array:
        on = self._during(t)[:, None]
        alpha, beta = (_band(x, edges, rate) for edges in (_ALPHA, _BETA))
        more = (self.strength.alpha - 1) * alpha + (self.strength.beta - 1) * beta
        return np.asarray(x + on * more)


def only(kind: str, info: StreamInfo, rest: Array, driven: Array) -> Array:
    """Return features of a session in which only the sensor of a kind is driven."""
    chains = [name.partition(".")[0] for name in info.names]
    mine = np.isin(chains, DRIVEN[kind])
    return np.where(mine, driven, rest)


def _band(x: Array, edges: tuple[float, float], rate: float) -> Array:
    return np.asarray(
        sosfiltfilt(butter(4, edges, "bandpass", fs=rate, output="sos"), x, axis=0)
    )
