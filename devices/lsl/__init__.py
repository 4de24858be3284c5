"""Streams of the lab streaming layer (LSL), also from PsychoPy and other programs."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from socket import gethostname
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as NoAnswer

from devices.lsl.discovery import (
    AnnouncedStream,
    DiscoveredStream,
    announced,
    discover,
    stream_of,
)
from devices.lsl.sender_clock import SenderClock
from devices.lsl.stream_info import StreamDescription, read_description
from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import Clock, Command, Device, WallClock
from physio.core.timing.measured_rate import (
    kind_note,
    live_rate,
    needs_measurement,
    repeated_note,
)
from physio.core.timing.timestamps import OLDEST, TimestampAligner
from physio.io.amplitude import unit_note_by_amplitude
from physio.io.triggers import TriggerDecoder, has_triggers, trigger_stream
from physio.online.commands import rating_commands

__all__ = ["AnnouncedStream", "DiscoveredStream", "Inlet", "announced", "discover"]

TESTED_WITH: Final = "LSL outlets in other processes"
"""Tests behind this device, for the page of supported devices."""

_MOST = 4096  # samples read at once, if no more wait
_SILENT = 3.0  # s without a sample before the source_id is looked up again
_PEEK = 1.5  # s for which the rate of a stream in doubt is measured
_JUDGED = 4.0  # s of EEG without a unit by which it is suggested
_CORRECT = 1.0  # s between two comparisons with the sender's clock


@dataclass
class Inlet(Device):
    """One stream of the lab streaming layer.

    It is called ``<name>.<kind>``, where the kind follows from the stream's LSL type:
    ``band.eda``, ``headset.eeg``, ``stimuli.markers``. A stream without a rate, or of
    texts, is an event stream. Codes in a trigger column are also events,
    ``<name>.triggers``. The stream is selected by one or more of the first three
    settings, which must match exactly one stream. A stream with a ``source_id`` is
    waited for when its sender fails, and continues when the sender is back.

    Parameters
    ----------
    source_id, stream_name, stream_type
        Identifier, name and type that the stream must have; empty for any.
    timeout
        Time to search for the stream (s).
    buffer
        Length of LSL's buffer (s); older samples are lost.
    name, participant, clock
        Set by the session.

    Notes
    -----
    LSL sends time stamps and no counter, so losses are estimated from the stamps: see
    `physio.core.timing.timestamps.TimestampAligner`. `Block.stamps` are on the sender's
    clock; LSL's estimate of the clock offset converts them to the session clock, also
    for samples that waited in a buffer. Only stamps that cannot be on LSL's clock, such
    as Unix time, are replaced by times of arrival, and a notice reports it.
    """

    source_id: str = ""
    stream_name: str = ""
    stream_type: str = ""
    timeout: float = 5.0
    buffer: float = 60.0
    name: str = "lsl"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)
    _inlet: Any = field(default=None, init=False, repr=False, compare=False)
    _description: StreamDescription | None = field(
        default=None, init=False, repr=False, compare=False
    )
    _stamped: TimestampAligner = field(init=False, repr=False, compare=False)
    _clock_offset: float = field(default=0.0, init=False, repr=False, compare=False)
    _compared: float = field(default=0.0, init=False, repr=False, compare=False)
    _last: float = field(default=-np.inf, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not any(self._wanted.values()):
            raise ValueError(
                f"an LSL inlet needs at least one of {', '.join(self._wanted)}"
            )

    def __enter__(self) -> Self:
        inlet = pylsl.StreamInlet(
            self._resolve(), max_buflen=max(1, round(self.buffer)), as_numpy=True
        )
        try:
            inlet.open_stream(self.timeout)
            xml = inlet.info(self.timeout).as_xml()
            self._clock_offset = inlet.time_correction(self.timeout)
        except (NoAnswer, LostError):
            raise OSError(
                f"the LSL stream with {self._which} was found, but sends nothing "
                f"within {self.timeout:g} s; is there a firewall in between?"
            ) from None
        self._inlet, self._description = (
            inlet,
            read_description(xml, self.name, self.participant),
        )
        self._notices: list[str] = list(self._description.notes)
        self._stamped = TimestampAligner(1.0)
        self._waiting: tuple[Any, Array] | None = None
        self._waiting = self._measure_kind()
        info = self._description.info
        self._triggers = TriggerDecoder(info, trigger_stream(info))
        self._compared, self._last = self.clock.now(), -np.inf
        oldest = max(OLDEST, 2 * self.buffer)
        self._stamped = TimestampAligner(float(info.rate) or 1.0, oldest=oldest)
        about = inlet.info(self.timeout)
        self._like = stream_of(about)
        is_local = about.hostname() == gethostname()
        self._sender_clock = SenderClock(info.name, oldest, is_local=is_local)
        self._samples, self._alarmed = 0, False
        self._unitless: list[Array] | None = [] if self._description.unitless else None
        self._last_arrival, self._rivals = self.clock.now(), None
        self._commands: list[Command] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        inlet, self._inlet, self._rivals = self._inlet, None, None
        if inlet is not None:
            inlet.close_stream()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The stream, and the events of its trigger columns, if it has any."""
        if self._description is None:
            return ()
        info = self._description.info
        return (info, self._triggers.events) if has_triggers(info) else (info,)

    @property
    def ended(self) -> bool:
        """True if closed, or if the sender is gone and has no ``source_id``."""
        return self._inlet is None

    def read(self) -> list[Item]:
        """Return the items since the last call."""
        items: list[Item] = []
        while self._inlet is not None and self._description is not None:
            try:
                # All waiting samples, so that the last one has just arrived.
                rows, stamps = self._pull()
            except LostError:  # it has no source_id by which it could be found again
                self._inlet = None
                break
            if len(stamps) or self._stamped.held:
                placed = self._placed(self._description, rows, stamps)
                items += placed
                for item in placed:
                    if isinstance(item, Events):
                        self._commands += rating_commands(item, self.participant)
            if not len(stamps):
                break
            self._last_arrival, self._rivals = self.clock.now(), None
        if self._inlet is not None:
            self._check_rivals(self.clock.now())
        return items

    def notices(self) -> list[str]:
        """Return the messages about the stream since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def commands(self) -> list[Command]:
        """Return the ratings among its text markers, new since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def _pull(self) -> tuple[Any, Array]:
        """Return all samples that wait, and their stamps."""
        if self._waiting is not None:
            pulled, self._waiting = self._waiting, None
            return pulled
        waiting = max(_MOST, self._inlet.samples_available())
        rows, stamps = self._inlet.pull_chunk(max_samples=waiting)
        return rows, stamps

    def _measure_kind(self) -> tuple[Any, Array] | None:
        """Measure whether a stream is regular where its description is in doubt.

        Its first samples are returned and read later.
        """
        assumed = self._description
        if assumed is None or assumed.text or not needs_measurement(assumed.info):
            return None
        parts: list[tuple[Any, Array]] = []
        begin = self.clock.now()
        while (passed := self.clock.now() - begin) < _PEEK:
            rows, stamps = self._pull()
            if len(stamps):
                parts.append((rows, stamps))
            self.clock.wait(0.05)
        times = np.concatenate([np.empty(0), *(stamps for _, stamps in parts)])
        rate = live_rate(times, assumed.info, passed)
        self._notices += kind_note(assumed.info, rate)
        self._description = replace(assumed, info=replace(assumed.info, rate=rate))
        return (np.concatenate([rows for rows, _ in parts]), times) if parts else None

    def _check_rivals(self, now: float) -> None:
        """Report why a silent stream is not read again, once.

        LSL reads neither of two senders with the same source_id, and none that came
        back with another source_id, number of channels or rate.
        """
        if now < self._last_arrival + _SILENT:
            return
        if self._rivals is None:
            like = {"source_id": self._like.source_id, "name": self._like.name}
            fits = [f"{k}={_quoted(v)}" for k, v in like.items() if v]
            self._rivals = pylsl.ContinuousResolver(pred=" or ".join(fits))
            self._asked, self._warned = now, not fits
        elif not self._warned and now >= self._asked + _CORRECT:
            self._asked = now
            there = {info.uid(): info for info in self._rivals.results()}
            streams = [stream_of(info) for info in there.values()]
            source = self._like.source_id
            same = [s for s in streams if source and s.source_id == source]
            note = ""
            if len(same) > 1:
                named = "; ".join(map(str, same))
                note = (
                    f"{len(same)} LSL streams have source_id {source!r}: "
                    f"{named}; stop all but one, as LSL cannot choose between them"
                )
            elif streams and not any(_is_same(s, self._like) for s in streams):
                note = (
                    f"the LSL stream {self._like} is gone; {streams[0]} is there "
                    "instead, which is another stream and is not read: restart the "
                    "session to use it"
                )
            if note:
                self._warned = True
                self._notices.append(note)

    def _placed(self, about: StreamDescription, rows: Any, stamps: Array) -> list[Item]:
        """Return blocks or events, with times on the session clock."""
        now = self.clock.now()
        if now >= self._compared + _CORRECT:
            self._compared = now
            with suppress(NoAnswer):  # the sender is new: wait for an estimate
                self._clock_offset = self._inlet.time_correction(0.0)
        times = stamps + (self._clock_offset + _offset(self.clock))
        if about.info.rate == 0:
            times = self._sender_clock.placed(times, stamps, now)
            self._notices += self._sender_clock.notices()
            return [self._events(about, rows, times)]
        data = rows.astype(np.float64) * np.array(about.factors)
        times = (
            self._sender_clock.converted(times, stamps, now) if len(times) else times
        )
        begun = bool(self._stamped.shift)
        placed = self._stamped.push(times, stamps, data, now)
        if (shift := self._stamped.shift) and not begun:
            self._sender_clock.report(shift)
        self._notices += self._sender_clock.notices()
        self._samples += len(times)
        if not self._alarmed:
            repeated = self._stamped.repeated
            note = repeated_note(about.info.name, repeated, self._samples)
            self._alarmed = bool(note)
            self._notices += note
        self._suggest_unit(about, data)
        items: list[Item] = []
        for p in placed:
            block = Block(about.info, p.start, p.t0, p.rows, p.stamps)
            items.append(block)
            if len(codes := self._triggers.decode(block)):
                items.append(codes)
        self._notices += self._triggers.notices()
        return items

    def _suggest_unit(self, about: StreamDescription, data: Array) -> None:
        """Report the unit that EEG without one has by its first seconds, once."""
        if self._unitless is None:
            return
        columns = [about.info.names.index(name) for name in about.unitless]
        self._unitless.append(data[:, columns])
        if sum(map(len, self._unitless)) < _JUDGED * about.info.rate:
            return
        first, rate = np.concatenate(self._unitless), float(about.info.rate)
        self._unitless = None
        name = about.info.name
        if text := unit_note_by_amplitude(name, about.unitless, first, rate, "uV"):
            self._notices.append(text)

    def _events(self, about: StreamDescription, rows: Any, times: Array) -> Events:
        times = np.maximum.accumulate(np.maximum(times, self._last))
        self._last = float(times[-1])
        if about.text:
            data = np.empty((len(times), 0))
            texts = (b"; ".join(row).decode(errors="replace") for row in rows)
        else:
            data = rows.astype(np.float64) * np.array(about.factors)
            texts = ("; ".join(f"{v:g}" for v in row) for row in data)
        return Events(about.info, self._last, times, data, tuple(texts))

    @property
    def _wanted(self) -> dict[str, str]:
        keys = ("source_id", "stream_name", "stream_type")
        return {key: getattr(self, key) for key in keys}

    @property
    def _which(self) -> str:
        return ", ".join(f"{k} {v!r}" for k, v in self._wanted.items() if v)

    def _resolve(self) -> pylsl.StreamInfo:
        """Return the only stream that matches."""
        terms = ((k.removeprefix("stream_"), v) for k, v in self._wanted.items() if v)
        asked = " and ".join(f"{key}={_quoted(value)}" for key, value in terms)
        fitting = pylsl.resolve_bypred(asked, 1, self.timeout)
        if fitting:  # a second one may answer later
            fitting = pylsl.resolve_bypred(asked, 2, 1.0) or fitting
        candidates = {info.uid(): info for info in fitting}
        if not candidates:
            there = "; ".join(map(str, discover())) or "no stream at all"
            raise OSError(
                f"no LSL stream with {self._which} was found within "
                f"{self.timeout:g} s; the network has {there}"
            )
        if len(candidates) > 1:
            several = "; ".join(str(stream_of(info)) for info in candidates.values())
            raise OSError(
                f"{len(candidates)} LSL streams have {self._which}: {several}; add "
                f"{' or '.join(k for k, v in self._wanted.items() if not v)}"
            )
        return fitting[0]


def _quoted(text: str) -> str:
    """Return a text as a string of XPath, which has no escapes for quotes."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    parts = ', "\'", '.join(f"'{part}'" for part in text.split("'"))
    return f"concat({parts})"


def _is_same(stream: DiscoveredStream, other: DiscoveredStream) -> bool:
    """Return whether LSL takes one stream for the other, which came back."""
    keys = ("name", "type", "source_id", "channels", "rate")
    return all(getattr(stream, key) == getattr(other, key) for key in keys)


def _offset(clock: Clock) -> float:
    """Return the session clock minus LSL's (s), 0 on Linux: the closest of 3 readings.

    On a busy machine, time may pass between the readings of the two clocks.
    """
    readings = []
    for _ in range(3):
        before, now, after = pylsl.local_clock(), clock.now(), pylsl.local_clock()
        readings.append((after - before, now - (before + after) / 2))
    return min(readings)[1]
