"""The loop of a live session: devices, engine, sinks."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from physio.core import recording
from physio.core.block import Block, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.protocols import Clock, Command, Device, Sink, WallClock
from physio.core.recording import STREAM_TIMEOUT, Item, mute, stream_rejected
from physio.inference import self_report
from physio.inference.self_report import RATINGS
from physio.online.engine import STATUS, Engine, PipelineConfig, StallDetector
from physio.online.reconnect import ReconnectingDevice
from physio.online.stream_health import SleepDetector, StreamHealth

MARKERS = event_stream(recording.MARKERS)
"""What a participant marked while the session ran."""


class Session:
    """A live session, open inside a ``with`` block; iterating runs it.

    Each step of the iteration yields what came next, raw or computed: blocks and
    events of the devices in the order of their arrival, and behind each what could be
    computed from it. Nothing is awaited: a device that stays silent is declared
    silent, a sink that cannot keep up drops what it must, and neither stops the loop.

    Parameters
    ----------
    plan
        What to compute; or what tells it, once the streams are known.
    devices
        Where streams come from; opened and closed by the session.
    sinks
        Where everything goes.
    clock
        The session clock; the devices must have the same.
    poll
        How long the loop lets pass between two looks at its devices (s).
    seconds
        When to stop (s after the beginning); never by default.
    """

    def __init__(
        self,
        plan: PipelineConfig | Callable[[Sequence[StreamInfo]], PipelineConfig],
        devices: Sequence[Device],
        sinks: Sequence[Sink] = (),
        clock: Clock | None = None,
        poll: float = 0.02,
        seconds: float = np.inf,
    ) -> None:
        self.poll, self.seconds = poll, seconds
        self.clock: Clock = clock or WallClock()
        self.compute: deque[float] = deque(maxlen=100_000)
        self.ended = ""
        self._plan = plan
        self._devices = [_lasting(d, self.clock) for d in devices]
        self._sinks = list(sinks)
        self._wake = SleepDetector() if isinstance(self.clock, WallClock) else None
        self._looked = -np.inf
        self.faults: list[str] = []
        self._said: deque[Events] = deque()
        self._told: dict[str, float] = {}  # when the last of each stream was (s)
        self._refused: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for device in self._devices:
                stack.enter_context(device)
            self.begin = self.clock.now()
            streams = [info for d in self._devices for info in d.streams]
            self.plan = self._plan(streams) if callable(self._plan) else self._plan
            self.engine = Engine(self.plan, streams, self.begin)
            self.health = {i.name: StreamHealth(i) for i in streams if i.rate}
            self._watch = StallDetector(streams, self.plan.stall_timeout, self.begin)
            for sink in self._sinks:
                stack.enter_context(sink)
                sink.open_streams(streams)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.ended = f"failed: {type(error).__name__}: {error}"
        self._keep(single_event(STATUS, self.clock.now(), f"ended: {self.ended}"))
        for sink in self._sinks:
            sink.end(self.ended)
        self._stack.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Item]:
        while not self.ended:
            now = self.clock.now()
            for item in self._arrivals(now):
                yield from self._push(item)
            if now - self.begin >= self.seconds:
                self.stop("completed: the time was up")
            elif not self._devices:
                self.stop("failed: no device was left")
            elif all(d.ended for d in self._devices):
                self.stop("completed: every device had ended")
            else:
                self.clock.wait(self.poll)

    def mark(
        self, label: str, at: float | None = None, *, participant: str = ""
    ) -> None:
        """Put a marker at this moment, or where it belongs a moment ago (s).

        Of several participants, all are meant, or the one whose code is given. A text
        like ``sam 7 3 5`` is a rating: see `physio.inference.self_report.typed`.
        """
        try:
            told = self_report.typed(label, self.clock.now())
            if told is not None:
                values = told.data[0].tolist()
                self.rate(*values, label=told.labels[0], at=at, participant=participant)
                return
        except ValueError as error:
            self._say([f"not taken as a rating: {error}"])
            return
        self._tell(self._about(MARKERS, participant), at, label)

    def rate(
        self,
        valence: float = np.nan,
        arousal: float = np.nan,
        dominance: float = np.nan,
        *,
        label: str = "",
        at: float | None = None,
        participant: str = "",
    ) -> None:
        """Put in how the participant rates their own affect, on [-1, 1]; NaN: not asked.

        With the label ``sam`` it is an answer about the last moments, from which the
        estimator learns; with any other, estimates are compared with it.

        Raises
        ------
        ValueError
            If a rating is outside of the scale, or none is given; or if there are
            several participants and it is not said whose it is.
        """
        participants = self.plan.participants
        if len(participants) > 1 and not participant:
            raise ValueError(
                f"a rating is one participant's: say whose, {' or '.join(participants)}"
            )
        given = np.array([valence, arousal, dominance])
        if np.isnan(given).all() or np.any(np.abs(given) > 1):
            raise ValueError(f"a rating lies between -1 and 1: {given.tolist()}")
        self._tell(self._about(RATINGS, participant), at, label, *given.tolist())

    def inject(self, events: Events) -> None:
        """Put in what is known of a participant: it is recorded, and replayed."""
        self._said.append(events)

    def mute(self, stream: str, *, on: bool = True) -> None:
        """Compute nothing of a stream any more, or do so again; it stays recorded."""
        if stream not in self.health:
            known = ", ".join(self.health) or "none at all"
            raise ValueError(f"cannot mute {stream!r}: the streams are {known}")
        self._said.append(mute(stream, self.clock.now(), on=on))

    def stop(self, why: str = "completed") -> None:
        """End the session with the present step."""
        self.ended = self.ended or why

    def _arrivals(self, now: float) -> Iterator[Item]:
        for device in tuple(self._devices):
            try:
                yield from device.read()
                self._say(getattr(device, "notices", list)())
            except Exception as error:  # one device's bug must not end the session
                self._devices.remove(device)
                self.faults.append(f"a device stopped: {error}")
                yield single_event(STATUS, now, self.faults[-1])
        for sink in self._sinks:  # the recording has things to say of the disk
            self._say(getattr(sink, "notices", list)())
            for wish in getattr(sink, "wishes", list)():
                self._execute(wish)
        while self._said:
            yield self._said.popleft()
        if self._wake is not None and now >= self._looked + 1.0:
            self._looked = now
            self._say(self._wake.check())
        if not self._repeats:
            yield from self._watch.check(now, 1 / float(self.plan.join.rate))

    def _push(self, item: Item) -> Iterator[Item]:
        if isinstance(item, Block):
            self._say(self.health[item.info.name].take(item))
            self._refuse(self.health[item.info.name])
            if self._watch.update(item):
                late = f"late: {len(item)} samples of {item.info.name}"
                self.health[item.info.name].late += len(item)
                self._said.append(single_event(STATUS, self.clock.now(), late))
        elif item.info.name == STREAM_TIMEOUT:
            for label in item.labels:
                self._say(self.health[label].set_silent(self.clock.now()))
        self._keep(item)
        yield item
        began = time.perf_counter()
        computed = self.engine.push(item)
        self.faults += [x for c in computed if c.info == STATUS for x in _labels(c)]
        if any(recording.computed(c.info.name) == "estimates" for c in computed):
            self.compute.append(time.perf_counter() - began)
        for out in computed:
            self._keep(out)
            yield out

    def _tell(
        self, info: StreamInfo, at: float | None, label: str, *values: float
    ) -> None:
        """Put in an event of a moment ago, never before the last one of its stream."""
        now = self.clock.now()
        time = max(min(now, now if at is None else at), self._told.get(info.name, 0.0))
        self._told[info.name] = time
        self._said.append(single_event(info, time, label, *values))

    def _about(self, info: StreamInfo, participant: str) -> StreamInfo:
        """Return the stream of what is told of one participant, or of all."""
        participants = self.plan.participants
        if not participant or participants == ("",):
            return info
        if participant not in participants:
            raise ValueError(
                f"nobody here is {participant!r}: there is {', '.join(participants)}"
            )
        return replace(info, name=f"{info.name}.{participant}", participant=participant)

    def _execute(self, wish: Command) -> None:
        """Do what somebody who watches wants; say so where it cannot be done."""
        try:
            if wish.kind == "mark":
                self.mark(wish.label, wish.time, participant=wish.participant)
            elif wish.kind == "rate":
                self.rate(
                    *wish.values,
                    label=wish.label,
                    at=wish.time,
                    participant=wish.participant,
                )
            elif wish.kind in {"mute", "unmute"}:
                self.mute(wish.label, on=wish.kind == "mute")
            elif wish.kind == "stop":
                self.stop(f"completed: {wish.label or 'stopped by wish'}")
        except (ValueError, TypeError) as error:
            self._say([f"refused: {error}"])

    def _say(self, told: Sequence[str]) -> None:
        """Put sentences into the status."""
        now = self.clock.now() if told else 0.0
        self._said += [single_event(STATUS, now, text) for text in told]

    def _refuse(self, health: StreamHealth) -> None:
        """Declare a stream unfit whose rate is not what it says."""
        name = health.info.name
        if health.refused and name not in self._refused and not self._repeats:
            self._refused.add(name)
            self._said.append(stream_rejected(name, self.clock.now()))

    @property
    def _repeats(self) -> bool:
        """Whether what is declared is part of what comes, as in a replay."""
        return any(getattr(d, "declares_silence", False) for d in self._devices)

    def _keep(self, item: Item) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.write(item)
            except Exception as error:  # a sink's bug or a full disk ends itself alone
                self._sinks.remove(sink)
                self._said.append(single_event(STATUS, self.clock.now(), str(error)))
                self.faults.append(str(error))


def _labels(item: Item) -> tuple[str, ...]:
    return item.labels if isinstance(item, Events) else ()


def _lasting(device: Device, clock: Clock) -> Device:
    """Return a device that, if it says after how long a silence, is opened anew."""
    after = getattr(device, "reopen", 0.0)
    return ReconnectingDevice(device, clock, after) if after > 0 else device
