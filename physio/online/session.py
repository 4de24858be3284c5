"""Live session: the loop over devices, engine and sinks."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from physio.core import recording
from physio.core.block import Block, StreamInfo
from physio.core.counted_nouns import counted
from physio.core.events import Events, Item, event_stream, single_event
from physio.core.protocols import (
    Clock,
    Command,
    CommandSource,
    Device,
    Sink,
    WallClock,
)
from physio.core.recording import (
    RULES,
    STREAM_TIMEOUT,
    addressed,
    base_name,
    mute,
    stream_rejected,
)
from physio.inference.self_report import RATINGS
from physio.online.commands import validate
from physio.online.computation import Computation
from physio.online.engine import (
    STATUS,
    Engine,
    PipelineConfig,
    StallDetector,
    check_chains,
)
from physio.online.interval_rows import readable
from physio.online.open_devices import OpenDevices
from physio.online.reconnect import ReconnectingDevice
from physio.online.stream_health import SleepDetector, StreamHealth

MARKERS = event_stream(recording.MARKERS)
"""Markers of a session, from any source of commands."""

_T = TypeVar("_T")
_SAME = 1e-6  # rounding of a time (s)
_LONGEST_STEP = 30.0  # s between two reads, in a session as fast as possible
_PATIENCE = 1.5  # s after which devices that are still searched for are named


class Session:
    """Live session, open inside a ``with`` block; iteration runs it.

    Each step of the iteration yields the next item, raw or computed: blocks and events
    of the devices in the order of their arrival, each followed by the items computed
    from it. The loop does not wait for any device or sink: a device without data is
    declared silent, a sink that is too slow drops items, and the loop continues.

    Nor does it wait for kernels and weights. All devices open at the same time, and
    each is read as soon as it is open. Items are recorded from then on; they are
    computed once the engine is ready: see `physio.online.computation.Computation`.

    Parameters
    ----------
    plan
        The computation, or a function that returns it for the streams of the devices.
    devices
        The devices; opened and closed by the session.
    sinks
        The sinks, which receive every item; opened and closed by the session.
    clock
        The session clock; the devices must have the same clock.
    poll
        Interval between reads of the devices (s).
    seconds
        Time after the opening of the last device at which the session ends (s);
        without end by default.
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
        self.ended = ""
        self.notes: list[str] = []
        """Sentences on the session that are no faults."""
        self.on_waiting: Callable[[Sequence[str]], object] = lambda _: None
        """Function called with the names of the devices that are still searched for."""
        self.prepare: Callable[[], object] = lambda: None
        """Function called while the devices open; its error ends the opening."""
        self._plan = plan
        self._devices = [_reconnecting(d, self.clock) for d in devices]
        self._sinks = [_checked(sink) for sink in sinks]
        self._is_live = isinstance(self.clock, WallClock)
        self._sleep_detector = SleepDetector() if self._is_live else None
        self._stopped, self._last = np.nan, np.inf
        self._checked_clocks = -np.inf
        self.faults: list[str] = []
        self._sources: list[CommandSource] = []
        self._held: deque[Item] = deque()  # read before the session was complete
        self._abandoned = False
        self._pending: deque[Events] = deque()
        self._newest: dict[str, float] = {}  # time of each last event (s)
        self._rejected: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            searching = self.clock.now()
            opened = stack.enter_context(OpenDevices(self._devices, self.clock))
            self._wait_for_devices(opened)
            self._started = self.clock.now()
            streams = [info for d in self._devices for info in d.streams]
            self.streams = tuple(streams)
            self._ends = {k: end for d in self._devices for k, end in d.ends.items()}
            lasting = [max(d.ends.values(), default=np.inf) for d in self._devices]
            self._last = max(lasting, default=np.inf)  # time of the last sample (s)
            begins = opened.begins
            first = min(begins.values(), default=self._started)
            self.begin = max(searching, min(first, self._first_sample()))
            begins = {n: self.begin if t == first else t for n, t in begins.items()}
            self.plan = self._planned(streams)
            known = {info.name: info for info in streams if info.rate}
            check_chains(self.plan, readable(streams))
            self.health = {name: StreamHealth(info) for name, info in known.items()}
            self._watch = StallDetector(streams, self.plan.stall_timeout, begins)
            for sink in self._sinks:
                stack.enter_context(sink)
                sink.open_streams(streams)
            replayed = any(d.is_replay for d in self._devices)  # misses the same again
            plan = self.plan.live() if self._is_live and not replayed else self.plan
            self.computation = Computation(
                plan, streams, self.begin, self.clock, self.faults
            )
            stack.callback(self.computation.close)
            self._report(self.computation.notices())
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
        self._write(single_event(STATUS, self.clock.now(), f"ended: {self.ended}"))
        for sink in self._sinks:
            sink.end(self.ended)
        self._stack.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Item]:
        while not self.ended:
            now = self.clock.now()
            self.computation.begin_step()
            for item in self._arrivals(now):
                yield from self._push(item)
            yield from self._compute()
            if now - self._started >= self.seconds:
                self.stop("completed: the time was up")
            elif not self._devices:
                self.stop("failed: no device was left")
            elif all(d.ended for d in self._devices):
                self.stop("completed: every device had ended")
            else:
                self.clock.wait(self._step())
        yield from self._finish()

    @property
    def engine(self) -> Engine | None:
        """The engine; None until its kernels and weights are loaded."""
        return self.computation.engine

    @property
    def compute(self) -> deque[float]:
        """Time from an item to the estimates computed from it (s), the newest last."""
        return self.computation.times

    @property
    def participants(self) -> tuple[str, ...]:
        """Codes of the participants for use in commands; empty without codes."""
        if self.plan.participants != ("",):
            return self.plan.participants
        worn = (h.info.participant for h in self.health.values())
        return tuple(dict.fromkeys(code for code in worn if code))

    def execute(self, command: Command) -> float:
        """Validate and execute a command; return the time at which it takes effect (s).

        That of a marker or a rating is never before the begin, in the future, or before
        the last event of its stream.

        Raises
        ------
        ValueError
            If the command is invalid: see `physio.online.commands.validate`. It is then
            not recorded.
        """
        command = validate(command, self.participants, self.health)
        match command.kind:
            case "mark":
                return self._record(MARKERS, command)
            case "rate":
                return self._record(RATINGS, command)
            case "mute" | "unmute":
                on = command.kind == "mute"
                self._pending.append(mute(command.label, self.clock.now(), on=on))
            case "stop":
                self.stop(f"completed: {command.label or 'stopped by a command'}")
        return self.clock.now()

    def serve(self, source: CommandSource) -> None:
        """Process the notices and the commands of a source; reply to each command."""
        self._report(source.notices())
        for command in source.commands():
            refusal, done = "", command
            try:
                done = command._replace(time=self.execute(command))
            except ValueError as error:
                refusal = str(error)
                self._report([f"refused: {refusal}"])
            source.reply(done, refusal)

    def mark(
        self, label: str, at: float | None = None, *, participant: str = ""
    ) -> None:
        """Set a marker, at this moment or at an earlier time (s, session clock).

        With several participants, the marker applies to all of them, or to the
        participant whose code is given. A text like ``sam 7 3 5`` is a rating: see
        `physio.online.commands.typed_rating`.

        Raises
        ------
        ValueError
            As `execute`.
        """
        self.execute(Command("mark", self._time(at), label, (), participant))

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
        """Enter a participant's self-report on [-1, 1]; NaN marks a missing value.

        A rating with the label ``sam`` refers to the last moments and adapts the
        estimator; a rating with any other label is compared with the estimates.

        Raises
        ------
        ValueError
            If a value is outside the scale, or all are missing; or if the session has
            several participants and ``participant`` names none of them.
        """
        values = (valence, arousal, dominance)
        self.execute(Command("rate", self._time(at), label, values, participant))

    def inject(self, events: Events) -> None:
        """Enter and record events of the session itself, as a calibration."""
        self._pending.append(events)

    def mute(self, stream: str, *, on: bool = True) -> None:
        """Exclude a stream from the computation, or include it; recording continues.

        Raises
        ------
        ValueError
            If no device sends the stream.
        """
        self.execute(Command("mute" if on else "unmute", self.clock.now(), stream))

    def attach(self, source: CommandSource) -> None:
        """Process the notices and the commands of a further source in every step."""
        self._sources.append(source)

    def stop(self, reason: str = "completed") -> None:
        """End the session after the current step.

        What waits to be computed is computed first. It is not if this is called again,
        or if the session is interrupted while kernels are still compiled.
        """
        is_compiling = reason.startswith("interrupted") and not self._is_ready
        self._abandoned = bool(self.ended) or is_compiling
        if not self.ended:
            self._stopped = self.clock.now()
        self.ended = self.ended or reason

    @property
    def end(self) -> float:
        """Time up to which samples could come (s, session clock); NaN until then."""
        return min(self._stopped, self._last)

    @property
    def _is_ready(self) -> bool:
        computation = getattr(self, "computation", None)
        return computation is not None and computation.is_ready

    def _wait_for_devices(self, opened: OpenDevices) -> None:
        """Wait until all devices are open; read those that are meanwhile."""
        announced: list[str] = []
        began = self.clock.now()
        with self._in_background(self.prepare) as prepared:
            while not opened.is_complete:
                self._hold(opened.opened)
                waiting = opened.waiting
                if self.clock.now() - began > _PATIENCE and waiting != announced:
                    announced = waiting
                    self.on_waiting(waiting)
                if prepared.done():
                    prepared.result()
                self.clock.wait(self.poll)
            self._wait_for(prepared)

    def _first_sample(self) -> float:
        """Return the time of the first sample read so far (s); infinite without any."""
        if self._is_live:
            self._hold(self._devices)
        blocks = (i for i in self._held if isinstance(i, Block) and len(i))
        return min((float(block.times[0]) for block in blocks), default=np.inf)

    def _planned(self, streams: Sequence[StreamInfo]) -> PipelineConfig:
        """Return the plan for the streams; read the devices while it is made."""
        plan = self._plan
        if not callable(plan):
            return plan
        with self._in_background(lambda: plan(streams)) as planned:
            return self._wait_for(planned)

    @contextmanager
    def _in_background(self, work: Callable[[], _T]) -> Iterator[Future[_T]]:
        """Begin work in a thread; without a `WallClock`, do it at once."""
        if not self._is_live:
            future: Future[_T] = Future()
            future.set_result(work())
            yield future
            return
        with ThreadPoolExecutor(1, "prepare") as pool:
            yield pool.submit(work)

    def _wait_for(self, future: Future[_T]) -> _T:
        """Return the result of a thread's work; read the open devices meanwhile."""
        while not future.done():
            self._hold(self._devices)
            self.clock.wait(self.poll)
        return future.result()

    def _hold(self, devices: Sequence[Device]) -> None:
        """Read devices before the session is complete, and hold their items."""
        if self.ended:  # by a signal
            raise KeyboardInterrupt
        for device in devices:
            with suppress(Exception):  # it fails again later, and is reported then
                self._held += device.read()

    def _drop_device(self, device: Device, now: float, error: Exception) -> Events:
        self._devices.remove(device)
        self.faults.append(f"a device stopped: {error}")
        return single_event(STATUS, now, self.faults[-1])

    def _step(self) -> float:
        """Return the time to wait before the next read of the devices (s).

        A session as fast as possible reads many intervals at once, where no device has
        an event or a gap between them: the results are the same, and cost less.
        """
        if self._is_live:
            return self.poll
        until = min(device.calm_until for device in self._devices)
        until = min(until, self._started + self.seconds)
        ahead = max(min(until - self.clock.now(), _LONGEST_STEP), self.poll)
        return self.poll * (ahead // self.poll)

    def _arrivals(self, now: float) -> Iterator[Item]:
        while self._held:
            yield self._held.popleft()
        for device in tuple(self._devices):
            try:
                yield from self._fresh(device)
                self.serve(device)
            except Exception as error:  # one device's bug must not end the session
                yield self._drop_device(device, now, error)
        self._serve_all()
        while self._pending:
            yield self._pending.popleft()
        if self._sleep_detector is not None and now >= self._checked_clocks + 1.0:
            self._checked_clocks = now
            self._report(self._sleep_detector.check())
        if not self._is_replay:
            until = min(now, self._last)
            yield from self._watch.check(until, 1 / float(self.plan.join.rate))

    def _push(self, item: Item) -> Iterator[Item]:
        if isinstance(item, Block):
            self._report(self.health[item.info.name].update(item))
            self._reject(self.health[item.info.name])
            if self._watch.update(item):
                late = f"late: {counted(len(item), 'sample')} of {item.info.name}"
                self.health[item.info.name].late += len(item)
                self._pending.append(single_event(STATUS, self.clock.now(), late))
        elif item.info.name == STREAM_TIMEOUT:
            for label in item.labels:
                notices = self.health[label].set_silent(self.clock.now())
                if not self._has_ended(label):
                    self._report(notices)
        self._write(item)
        yield item
        self.computation.put(item)
        yield from self._compute()

    def _compute(self) -> Iterator[Item]:
        """Compute what waits, for a slice of time; record and yield the results."""
        for item in self.computation.advance():
            self._write(item)
            if isinstance(item, Events) and base_name(item.info.name) == RULES:
                self._set_rule_markers(item)
            yield item

    def _set_rule_markers(self, firings: Events) -> None:
        """Set the markers of rules that fired; a replay has them as input already."""
        if self._is_replay or any(device.is_replay for device in self._devices):
            return
        markers = {rule.name: rule.marker for rule in self.plan.rules}
        code = firings.info.participant if len(self.participants) > 1 else ""
        for time, name in zip(firings.times.tolist(), firings.labels, strict=True):
            if not markers[name]:
                continue
            try:
                self.execute(Command("mark", time, markers[name], (), code))
            except ValueError as error:
                self._report([f"refused: marker of rule {name!r}: {error}"])

    def _finish(self) -> Iterator[Item]:
        """Compute what still waits at the end, unless the session was interrupted."""
        while self.computation.is_waiting and not self._abandoned:
            self.computation.begin_step()
            yield from self._compute()
            for device in self._devices:
                self.serve(device)
            self._serve_all()
            while self._pending:
                yield from self._push(self._pending.popleft())
            if self.computation.is_waiting:
                self.clock.wait(self.poll)
        if self.computation.is_waiting:
            self.notes.append(
                f"the last {self.computation.behind:.0f} s were recorded and not "
                "computed; `physio replay` computes them"
            )

    def _serve_all(self) -> None:
        """Process the notices and the commands of computation, sinks and views."""
        self._report(self.computation.notices())
        for sink in tuple(self._sinks):
            try:
                self.serve(sink)
            except Exception as error:  # as in `_write`
                self._drop(sink, f"{type(sink).__name__} stopped: {error}")
        for source in tuple(self._sources):
            try:
                self.serve(source)
            except Exception as error:  # as for a sink
                self._sources.remove(source)
                description = f"{type(error).__name__}: {error}"
                self.faults.append(f"{type(source).__name__} stopped: {description}")

    def _time(self, at: float | None) -> float:
        return self.clock.now() if at is None else at

    def _record(self, info: StreamInfo, command: Command) -> float:
        """Enter a marker or a rating; return its time (s): see `execute`."""
        several = len(self.participants) > 1
        info = addressed(info, command.participant if several else "")
        time = min(self.clock.now(), max(command.time, self.begin))
        time = max(time, self._newest.get(info.name, 0.0))
        self._newest[info.name] = time
        self._pending.append(single_event(info, time, command.label, *command.values))
        return time

    def _report(self, notices: Sequence[str]) -> None:
        """Enter notices into the status stream."""
        now = self.clock.now() if notices else 0.0
        self._pending += [single_event(STATUS, now, text) for text in notices]

    def _fresh(self, device: Device) -> Iterator[Item]:
        """Yield a device's new items; report a stream whose samples come too old."""
        newest: dict[str, float] = {}
        for item in device.read():
            if isinstance(item, Block) and len(item):
                newest[item.info.name] = item.complete_until
            yield item
        if self._is_live and self.clock.speed <= 1 and not self._is_replay:
            now = self.clock.now()
            for name, until in newest.items():
                self._report(self.health[name].check_age(now - until, now))

    def _reject(self, health: StreamHealth) -> None:
        """Reject a stream whose measured rate deviates too much from nominal."""
        name = health.info.name
        if health.rejected and name not in self._rejected and not self._is_replay:
            self._rejected.add(name)
            self._pending.append(stream_rejected(name, self.clock.now()))

    def _has_ended(self, stream: str) -> bool:
        """Return whether the last sample of a stream came, as far as it is known."""
        return self.health[stream].received >= self._ends.get(stream, np.inf) - _SAME

    @property
    def _is_replay(self) -> bool:
        """True if the items include the declarations of silence, as in a replay."""
        return any(device.declares_silence for device in self._devices)

    def _write(self, item: Item) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.write(item)
            except Exception as error:  # a sink's bug or a full disk ends itself alone
                self._drop(sink, str(error))

    def _drop(self, sink: Sink, fault: str) -> None:
        """Remove a failed sink, and report the fault."""
        self._sinks.remove(sink)
        self.faults.append(fault)
        self._report([fault])


def _reconnecting(device: Device, clock: Clock) -> Device:
    """Return a device that reconnects after a silence, if the device requests it."""
    if not isinstance(device, Device):
        raise TypeError(
            f"{type(device).__name__} is no device: derive it from "
            "physio.core.protocols.Device"
        )
    after = device.reconnect_after
    return ReconnectingDevice(device, clock, after) if after > 0 else device


def _checked(sink: Sink) -> Sink:
    if not isinstance(sink, Sink):
        raise TypeError(
            f"{type(sink).__name__} is no sink: derive it from "
            "physio.core.protocols.Sink"
        )
    return sink
