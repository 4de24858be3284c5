"""Base class of simulated devices, with losses, gaps and ground truth."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from types import TracebackType
from typing import ClassVar, Self

import numpy as np

from devices.simulated.affect_trajectory import (
    CONDITION_AFFECT,
    AffectTrajectory,
    Protocol,
)
from devices.simulated.noise import SEGMENT, random_stream
from devices.simulated.participant import Participant, Preset
from devices.simulated.physiology import Physiology, PhysiologySegment
from devices.simulated.sampling import (
    AFFECT,
    LabelledEvent,
    SampleFeed,
    SampleLoss,
    Sensor,
    Truth,
)
from physio.core.block import Channel, Origin, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import Clock, Device, WallClock

_TRUTH_EVENTS: Mapping[str, tuple[Channel, ...]] = {
    "conditions": (Channel("seconds", "misc", "s"),),
    "ratings": AFFECT,
    "beats": (),
}


@dataclass(kw_only=True)
class SimulatedDevice(Device):
    """A device on a simulated participant whose true affect is known.

    Devices of one ``seed``, ``preset``, ``protocol`` and ``cycle`` (or, without one,
    ``seconds``) are on the same participant: one trajectory of affect, one train of
    beats, one respiration, each counted from the opening of the device.

    Parameters
    ----------
    name, participant, clock
        Name of the device (the prefix of its streams' names), code of the participant,
        and session clock; set by the session.
    seed
        Seed of the participant, at least 0.
    preset
        ``"published"`` or ``"exaggerated"``: see `devices.simulated`.
    protocol
        Protocol, ``"wesad"``, ``"random"`` ...: see `AffectTrajectory`.
    seconds
        Duration (s); without end by default.
    cycle
        Duration of the protocol before it repeats (s); with 0 it is ``seconds``, so
        that a short demonstration has every condition, and 600 if that has no end.
    steps
        Conditions that replace the protocol (``baseline``, ``stress``, ``amusement``,
        ``meditation``, ``rest``), each with its duration (s).
    loss
        Proportion of single samples lost at random, 0 to 1.
    gaps
        Intervals without data from any sensor (s since the beginning).
    dies
        Time at which a sensor fails for good (s), by the name of its stream without the
        device: ``{"eda": 30.0}``; with 0 it never starts.
    ground_truth
        Whether the ground truth is streamed, without losses: the stream
        ``<name>.truth`` (valence, arousal, dominance) and the events
        ``<name>.conditions`` (name and duration), ``<name>.ratings`` (self-report of a
        condition at its end), ``<name>.beats``, and the events of the device's
        sensors.
    """

    name: str = "simulated"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock, repr=False, compare=False)
    seed: int = 1
    preset: Preset = "published"
    protocol: Protocol = "wesad"
    seconds: float = inf
    cycle: float = 0.0
    steps: tuple[tuple[str, float], ...] = ()
    loss: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    dies: Mapping[str, float] = field(default_factory=dict)
    ground_truth: bool = True

    signals: ClassVar[tuple[str, ...]] = ()
    """Names of the streams that can have losses, without the device's name."""

    def __post_init__(self) -> None:
        self._feeds: tuple[SampleFeed, ...] = ()
        self._event_infos: dict[str, StreamInfo] = {}
        self._open, self._ended = False, False
        if self.seed < 0:
            raise ValueError(
                f"the seed of {self.name!r} must be 0 or more: {self.seed}"
            )
        if not 0 <= self.loss <= 1:
            raise ValueError(
                f"the loss of {self.name!r} is a proportion from 0 to 1, not "
                f"{self.loss}"
            )
        if not (self.seconds > 0 and 0 <= self.cycle < inf):
            raise ValueError(
                f"{self.name!r} must send for more than 0 s, in cycles of 0 s or more "
                f"that end; got seconds = {self.seconds}, cycle = {self.cycle}"
            )
        if unknown := [
            n for n, seconds in self.steps if n not in CONDITION_AFFECT or seconds <= 0
        ]:
            raise ValueError(
                f"{self.name!r} cannot go through {unknown[0]!r}: the conditions are "
                f"{', '.join(CONDITION_AFFECT)}, each for more than 0 s"
            )
        if bad := [gap for gap in self.gaps if not gap[0] < gap[1]]:
            raise ValueError(
                f"a gap of {self.name!r} must end after it begins, not {bad[0]}"
            )
        if unknown := [k for k in self.dies if k not in self.signals]:
            raise ValueError(
                f"{self.name!r} has no stream {unknown[0]!r} that could die; it has "
                f"{', '.join(self.signals)}"
            )

    @abstractmethod
    def _sensors(self, participant: Participant) -> tuple[Sensor, ...]:
        """Return new sensors on a participant."""

    def __enter__(self) -> Self:
        participant = Participant.draw(self.seed, self.preset)
        sensors = self._sensors(participant)
        cycle = self.cycle or (self.seconds if self.seconds < inf else 600.0)
        self._body = Physiology(
            participant, AffectTrajectory(participant, self.protocol, cycle, self.steps)
        )
        sensor_events = {
            s.event_name: s.event_channels for s in sensors if s.event_name
        }
        if self.ground_truth:
            sensors = (*sensors, Truth())
            self._event_infos = {
                k: self._events(k, v)
                for k, v in {**_TRUTH_EVENTS, **sensor_events}.items()
            }
        self._waiting: dict[str, list[LabelledEvent]] = {
            k: [] for k in self._event_infos
        }
        self._grown = 0
        self._ended = False
        self._epoch = self.clock.now()
        self._feeds = tuple(self._feed(sensor) for sensor in sensors)
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the device, ground truth included."""
        return (*(feed.info for feed in self._feeds), *self._event_infos.values())

    @property
    def ended(self) -> bool:
        """True once all of ``seconds`` has been read."""
        return self._ended

    @property
    def produced(self) -> dict[str, int]:
        """Number of samples of each stream that were taken up to the last read."""
        return {feed.info.name: feed.produced for feed in self._feeds}

    @property
    def delivered(self) -> dict[str, int]:
        """Number of samples of each stream that were read; the others are lost."""
        return {feed.info.name: feed.delivered for feed in self._feeds}

    def read(self) -> Sequence[Item]:
        """Return the items since the last call, each stream in order."""
        if not self._open:
            return ()
        now = self.clock.now()
        passed = min(now - self._epoch, self.seconds)
        while self._grown <= passed:
            self._grow()
        items: list[Item] = [block for feed in self._feeds for block in feed.due(now)]
        items.extend(self._happened(passed))
        self._ended = passed >= self.seconds
        return items

    def _grow(self) -> None:
        """Generate another segment."""
        span = self._body.advance()
        self._grown += SEGMENT
        for feed in self._feeds:
            feed.grow(span)
            events, feed.sensor.events = feed.sensor.events, []
            if feed.sensor.event_name in self._waiting:
                self._waiting[feed.sensor.event_name] += events
        if self.ground_truth:
            self._waiting["beats"] += [(float(t), "", ()) for t in _beats_within(span)]
            self._waiting["conditions"] += [
                (t, name, (long,))
                for t, name, long in span.course.conditions
                if t < self.seconds
            ]
            self._waiting["ratings"] += [
                (t, "", tuple(rating.tolist())) for t, rating in span.course.ratings
            ]

    def _happened(self, passed: float) -> Iterator[Events]:
        """Yield the events up to ``passed`` (s) that were not returned yet."""
        for name, waiting in self._waiting.items():
            n = sum(t <= passed for t, _, _ in waiting)
            if not n:
                continue
            ripe, self._waiting[name] = waiting[:n], waiting[n:]
            info = self._event_infos[name]
            data = np.array([values for _, _, values in ripe], np.float64)
            yield Events(
                info,
                self._epoch + passed,
                self._epoch + np.array([t for t, _, _ in ripe]),
                data.reshape(n, len(info.channels)),
                tuple(label for _, label, _ in ripe),
            )

    def _feed(self, sensor: Sensor) -> SampleFeed:
        """Return the stream of a sensor, with its losses."""
        rng = random_stream(self.seed, f"loss {sensor.name}")
        asked = (self.loss, self.gaps, self.dies.get(sensor.name, inf))
        losses = SampleLoss(
            rng, *(asked if sensor.name in self.signals else (0.0, (), inf))
        )
        info = StreamInfo(
            f"{self.name}.{sensor.name}",
            sensor.rate,
            sensor.channels,
            Origin.SIMULATED,
            self.participant,
            sensor.site,
            sensor.placement,
            sensor.reference,
        )
        return SampleFeed(info, sensor, self._epoch, self.seconds, losses)

    def _events(self, name: str, channels: tuple[Channel, ...]) -> StreamInfo:
        """Return an event stream of the participant."""
        full = f"{self.name}.{name}"
        return StreamInfo(
            full, Fraction(0), channels, Origin.SIMULATED, self.participant
        )


def _beats_within(span: PhysiologySegment) -> list[float]:
    """Return the times of the heartbeats within the segment itself."""
    beats = span.beats[:, 0]
    return beats[(beats > span.begin) & (beats <= span.begin + SEGMENT)].tolist()
