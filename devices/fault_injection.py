"""Fault injection: any device with lost, repeated, late or broken samples."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self, get_args

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device, WallClock
from physio.core.timing.clock_model import WrappingCounter
from physio.core.timing.sample_counter import CounterAligner
from physio.core.timing.timestamps import PlacedSamples, TimestampAligner

Kind = Literal[
    "unplug", "drop", "duplicate", "reorder", "stall", "burst",
    "jump", "nan", "rail", "flat", "fail", "restart", "freeze", "rate",
]  # fmt: skip
RAIL = 187_500.0

TESTED_WITH: Final = "the law that every sample is accounted for"
"""Tests behind this device, for the page of supported devices."""


@dataclass(frozen=True)
class Fault:
    """One fault of a device.

    Parameters
    ----------
    kind
        ``unplug``: nothing is sent. ``drop``, ``duplicate``, ``reorder``: a proportion
        ``amount`` of the samples is lost, sent twice, overtaken by the next.
        ``stall``: all samples come at the end. ``burst``: they come every ``amount`` s.
        ``jump``: stamps are ``amount`` s ahead. ``nan``, ``rail``, ``flat``: value of
        the first channel. ``fail``: reading raises an error, once. ``restart``: it is
        off, and then its count and its stamps begin at 0. ``freeze``: it sleeps, and
        then continues its count without a gap. ``rate``: its actual rate is a
        proportion ``amount`` of the nominal one, from then on.
    at, seconds
        Start (s since the beginning) and duration (s).
    amount
        Parameter of the kind.
    stream
        Name of the affected stream without the device, as ``"eda"``; all by default.
    """

    kind: Kind
    at: float = 0.0
    seconds: float = float("inf")
    amount: float = 0.1
    stream: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(
                f"there is no fault {self.kind!r}; there is "
                f"{', '.join(map(str, get_args(Kind)))}"
            )
        if self.kind == "rate" and not 0 < self.amount <= 1:
            raise ValueError(
                f"the amount of 'rate' must be above 0 and at most 1, not {self.amount}"
            )

    def applies(self, name: str, passed: float) -> bool:
        """Return whether it applies to a stream's sample at ``passed`` s."""
        suffix = name.rpartition(".")[2]
        meant = self.stream in {"", suffix}
        return meant and self.at <= passed < self.at + self.seconds


@dataclass
class SampleAccounting:
    """Counts of the samples of one stream.

    The law of conservation: ``produced + duplicated == recorded + repeated + lost``.
    """

    produced: int = 0
    duplicated: int = 0
    recorded: int = 0
    repeated: int = 0
    lost: int = 0

    @property
    def balance(self) -> int:
        """Deviation from the law of conservation (samples); 0 if it holds."""
        came = self.produced + self.duplicated
        return came - self.recorded - self.repeated - self.lost


@dataclass
class FaultInjector(Device):
    """A device whose samples pass through an unreliable transmission.

    Each sample gets a count or at least a time stamp, as in real devices, undergoes the
    faults, and is placed on its grid again by the code that drivers use. The response
    of a session to faults can so be tested with any device, without hardware.

    Parameters
    ----------
    device
        Device that provides the samples.
    faults
        Faults to inject.
    seed
        Seed of their random numbers.
    wrap
        Value at which the sample counter returns to 0; with 0 there is no counter, and
        losses are estimated from stamps.
    name, participant, clock
        Set by the session; passed on to the device.
    """

    device: Device
    faults: tuple[Fault, ...] = ()
    seed: int = 1
    wrap: int = 256
    name: str = "faulty"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)

    def __post_init__(self) -> None:
        self._wires: dict[str, _Wire] = {}
        self._failed = 0
        self.device.name, self.device.participant = self.name, self.participant
        self.device.clock = self.clock

    def __enter__(self) -> Self:
        self.device.__enter__()
        self._begin = self.clock.now()
        self._failed = 0
        self._wires = {
            info.name: _Wire(info, self, self._begin)
            for info in self.device.streams
            if info.rate
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wires = {}
        self.device.__exit__(kind, error, trace)

    def notices(self) -> Sequence[str]:
        """Return the device's notices."""
        return self.device.notices()

    def commands(self) -> Sequence[Command]:
        """Return the device's commands."""
        return self.device.commands()

    def reply(self, command: Command, refusal: str) -> None:
        """Pass the result of a command on to the device."""
        self.device.reply(command, refusal)

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the device."""
        return self.device.streams

    @property
    def ended(self) -> bool:
        """True if the device has ended and all delayed samples have arrived."""
        waiting = any(wire.waiting for wire in self._wires.values())
        return self.device.ended and not waiting

    @property
    def accounting(self) -> dict[str, SampleAccounting]:
        """Counts of the samples of each stream, without those in transmission."""
        return {name: wire.accounting for name, wire in self._wires.items()}

    def read(self) -> list[Item]:
        """Return the items since the last call.

        Raises
        ------
        OSError
            If a fault of kind ``fail`` is due.
        """
        now = self.clock.now()
        passed = now - self._begin if self._wires else 0.0
        fails = sum(f.kind == "fail" and f.at <= passed for f in self.faults)
        if fails > self._failed and self._wires:
            self._failed = fails
            raise OSError(f"{self.name!r} failed: a fault of kind 'fail' was due")
        items: list[Item] = []
        for item in self.device.read():
            if isinstance(item, Block) and item.info.name in self._wires:
                self._wires[item.info.name].send(item)
            else:
                items.append(item)
        for wire in self._wires.values():
            items += wire.due(now)
        return items


class _Packet(NamedTuple):
    due: float
    number: int
    counted: int
    stamp: float
    row: Array


class _Wire:
    """Transmission of one stream."""

    def __init__(self, info: StreamInfo, faulty: FaultInjector, begin: float) -> None:
        self.info, self.begin = info, begin
        self.accounting = SampleAccounting()
        self.waiting: deque[_Packet] = deque()
        faults = (f for f in faulty.faults if f.kind not in {"fail", "rate"})
        self._slow = [f for f in faulty.faults if f.kind == "rate"]
        # Offsets of the device's count, and of its stamps (s).
        self._off, self._zero = 0, 0.0
        self._ahead: float | None = None  # session clock minus device clock (s)
        # Reordering is last: it changes packets that are in transmission already.
        self._faults = sorted(faults, key=lambda f: f.kind == "reorder")
        self._rng = np.random.default_rng([faulty.seed, *info.name.encode()])
        self._wrap = faulty.wrap
        rate = float(info.rate)
        self._numbered = (
            CounterAligner(rate, WrappingCounter(faulty.wrap)) if faulty.wrap else None
        )
        self._stamped = TimestampAligner(rate)

    def send(self, block: Block) -> None:
        """Send the samples of a block."""
        self.accounting.produced = block.stop
        times = block.times.tolist()
        stamps = times if block.stamps is None else block.stamps.tolist()
        if self._ahead is None and len(times):
            self._ahead = times[0] - stamps[0]
        for i, (time, stamp) in enumerate(zip(times, stamps, strict=True)):
            passed = time - self.begin
            row = block.data[i].copy()
            number = block.start + i
            packet = _Packet(self._slowed(time), number, number, stamp, row)
            self.waiting.extend(self._apply_faults(packet, passed))

    def _slowed(self, time: float) -> float:
        """Return the time at which a slow device has a sample."""
        for f in self._slow:
            passed = time - self.begin
            if f.applies(self.info.name, passed):
                time = self.begin + f.at + (passed - f.at) / f.amount
        return time

    def due(self, now: float) -> Iterator[Block]:
        """Yield the samples that arrived by ``now`` (s) and have a place."""
        packets: list[_Packet] = []
        while self.waiting and self.waiting[0].due <= now:
            packets.append(self.waiting.popleft())
        if not packets and (self._numbered or not self._stamped.held):
            return
        n = len(packets)
        rows = np.array([p.row for p in packets]).reshape(n, len(self.info.channels))
        stamps = np.array([p.stamp for p in packets])
        for part in self._placed(packets, stamps, rows, now):
            self.accounting.recorded += len(part.rows)
            self.accounting.lost = (
                part.start + len(part.rows) - self.accounting.recorded
            )
            yield Block(self.info, part.start, part.t0, part.rows, part.stamps)

    def _placed(
        self, packets: list[_Packet], stamps: Array, rows: Array, now: float
    ) -> list[PlacedSamples]:
        if self._numbered is None:
            times = stamps + (self._ahead or 0.0)
            placed = self._stamped.push(times, stamps, rows, now)
            self.accounting.repeated = self._stamped.repeated
            return placed
        counts = np.array([p.counted % self._wrap for p in packets], np.int64)
        placed = self._numbered.push(counts, stamps, rows, now)
        self.accounting.repeated = self._numbered.counted.repeated
        return placed

    def _apply_faults(self, packet: _Packet, passed: float) -> list[_Packet]:
        """Return the packets that arrive of a sample: none, one or two."""
        copies = [packet]
        for fault in self._faults:
            if not copies or not fault.applies(self.info.name, passed):
                continue
            copies = self._through(fault, copies, passed)
        copies = [self._as_sent(c) if c.number == packet.number else c for c in copies]
        copies_sent = sum(copy.number == packet.number for copy in copies)
        self.accounting.duplicated += max(0, copies_sent - 1)
        return copies

    def _as_sent(self, packet: _Packet) -> _Packet:
        """Return a packet with the count and time stamp of the device."""
        return packet._replace(
            counted=packet.number - self._off, stamp=packet.stamp - self._zero
        )

    def _through(
        self, fault: Fault, copies: list[_Packet], passed: float
    ) -> list[_Packet]:
        hit = bool(self._rng.random() < fault.amount)
        match fault.kind:
            case "unplug":
                return []
            case "restart":
                self._off, self._zero = copies[0].number + 1, copies[0].stamp
                return []
            case "freeze":
                self._off += 1
                return []
            case "drop":
                return [] if hit else copies
            case "duplicate":
                return copies * (1 + hit)
            case "reorder":
                if hit and self.waiting:
                    last = self.waiting.pop()
                    return [*copies, last._replace(due=copies[0].due)]
                return copies
            case "stall" | "burst":
                every = fault.seconds if fault.kind == "stall" else fault.amount
                turn = fault.at + every * (1 + (passed - fault.at) // every)
                return [c._replace(due=self.begin + turn) for c in copies]
            case "jump":
                return [c._replace(stamp=c.stamp + fault.amount) for c in copies]
        value = {"nan": np.nan, "rail": RAIL, "flat": 0.0}[fault.kind]
        for copy in copies:
            copy.row[0] = value
        return copies
