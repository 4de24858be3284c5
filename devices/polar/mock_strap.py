"""Mock of a Polar H10, for tests without hardware."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from devices.polar.messages import (
    ACC,
    ANSWER,
    CONTROL,
    DATA,
    ECG,
    HEART_RATE,
    START,
    STOP,
)
from physio.core.block import Array, Block
from physio.core.protocols import Clock, Device, WallClock

STEP: Final = 0.01  # s between two polls of the data source
ZERO: Final = 8.2e8  # start of the sensor's clock, which counts from 2000 (s)
ROWS: Final = {ECG: 73, ACC: 36}  # samples in a frame
ECG_FORM, ACC_FORM = 0, 1


@dataclass
class MockStrap:
    """Mock of a Polar H10 behind `devices.polar.ble_connection.Gatt`.

    It records the commands written to it, answers them as the strap does, sends frames
    of 73 samples and a heart rate each second, and can be out of reach. Its data come
    from another device, with streams ``.ecg`` (mV or uV, 130 Hz), ``.acc`` (g, 200 Hz)
    or events ``.beats``, if present.

    Parameters
    ----------
    participant
        Device that provides the data.
    lost
        Intervals in which it is out of reach (s since the first connection).
    refuses
        Error code with which the control point answers; 0 for success.
    fast
        Relative error of the rate of the sensor's clock.
    clock
        The session clock.
    """

    participant: Device
    lost: tuple[tuple[float, float], ...] = ()
    refuses: int = 0
    fast: float = 0.0
    clock: Clock = field(default_factory=WallClock)

    def __post_init__(self) -> None:
        self.written: list[tuple[str, bytes]] = []
        self._measures: set[int] = set()
        self._open = self._begun = False

    async def find(self, gone: Callable[[Any], None]) -> "Connection":
        """Return a connection, as a successful scan does.

        Raises
        ------
        OSError
            If it is out of reach.
        """
        if self._begun and self.away:
            raise OSError("no Polar H10 answers: it is out of reach")
        return Connection(self, gone)

    @property
    def away(self) -> bool:
        """True while the strap is out of range."""
        passed = self.clock.now() - self._begin
        return any(a <= passed < b for a, b in self.lost)

    def begin(self) -> None:
        """Start the data source at the first connection."""
        if not self._begun:
            self._begun, self._begin = True, self.clock.now()
            self.participant.__enter__()
            self._rows: dict[int, list[Array]] = {ECG: [], ACC: []}
            self._sent = {ECG: 0, ACC: 0}
            self._epochs: dict[int, float] = {}
            self._rates: dict[int, float] = {}
            self._beats: list[float] = []
            self._last_heart_rate = self._begin

    def end(self) -> None:
        """Stop the data source."""
        if self._begun:
            self._begun = False
            self.participant.__exit__(None, None, None)

    def forget(self) -> None:
        """Stop all measurements, as a strap does that lost its connection."""
        self._measures.clear()

    def answer(self, raw: bytes) -> bytes:
        """Return the response of the control point to a command."""
        self.written.append((CONTROL, raw))
        kinds = [k for k in START if raw in (START[k], STOP[k])]
        code = self.refuses if kinds else 1
        if kinds and not code:
            starts = raw == START[kinds[0]]
            (self._measures.add if starts else self._measures.discard)(kinds[0])
        kind = raw[1] if len(raw) > 1 else 0
        return bytes([ANSWER, raw[0], kind, code, 0])

    def sensed(self) -> list[tuple[str, bytes]]:
        """Return the notifications due: complete frames, and the heart rate."""
        for item in self.participant.read():
            suffix = item.info.name.rpartition(".")[2]
            if suffix == "beats":
                self._beats += item.times.tolist()
            elif isinstance(item, Block) and suffix in {"ecg", "acc"} and len(item):
                kind = ECG if suffix == "ecg" else ACC
                self._epochs.setdefault(kind, item.t0)
                self._rates[kind] = float(item.info.rate)
                self._rows[kind] += [_steps(item, kind)]
        due = [frame for kind in ROWS for frame in self._frames(kind)]
        if self.clock.now() >= self._last_heart_rate + 1.0:
            self._last_heart_rate += 1.0
            due.append((HEART_RATE, self._heart()))
        return due

    def _frames(self, kind: int) -> list[tuple[str, bytes]]:
        parts = self._rows[kind]
        rows: Array = np.concatenate(parts) if parts else np.empty((0, 1))
        frames = []
        while len(rows) >= ROWS[kind]:
            part, rows = rows[: ROWS[kind]], rows[ROWS[kind] :]
            self._sent[kind] += len(part)
            last = (self._sent[kind] - 1) / self._rates[kind]
            time = ZERO + (self._epochs[kind] + last) * (1 + self.fast)
            if kind in self._measures:
                frames.append((DATA, write_frame(kind, round(1e9 * time), part)))
        self._rows[kind] = [rows] if len(rows) else []
        return frames

    def _heart(self) -> bytes:
        """Return a heart rate message with the RR intervals of the last second."""
        intervals = np.diff(self._beats)
        self._beats = self._beats[-1:]
        ticks = np.round(1024 * intervals).astype("<u2")
        rate = round(60 / intervals[-1]) if len(intervals) else 60
        return bytes([0x16 if len(ticks) else 0x06, rate]) + ticks.tobytes()


@dataclass
class Connection:
    """Connection to the mock strap, with the interface of bleak's client."""

    twin: MockStrap
    gone: Callable[[Any], None]

    def __post_init__(self) -> None:
        self._hears: dict[str, Callable[[Any, bytearray], None]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """True while the strap is connected."""
        return self._task is not None and not self._task.done()

    async def connect(self) -> None:
        """Connect and start the notifications."""
        self.twin.begin()
        self.twin.sensed()  # data of the time out of reach are lost
        self._task = asyncio.create_task(self._send())

    async def disconnect(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def start_notify(
        self, characteristic: str, callback: Callable[[Any, bytearray], None]
    ) -> None:
        """Register ``callback`` for the notifications of a characteristic."""
        self._hears[characteristic] = callback

    async def write_gatt_char(
        self,
        characteristic: str,
        data: bytes,
        *,
        response: bool | None = None,  # noqa: ARG002 as bleak has it
    ) -> None:
        """Write to a characteristic; the control point answers by a notification."""
        answer = self.twin.answer(bytes(data))
        if characteristic in self._hears:
            self._hears[characteristic](None, bytearray(answer))

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            due = self.twin.sensed()
            if self.twin.away:
                self.twin.forget()
                self.gone(self)
                return
            for characteristic, raw in due:
                if hear := self._hears.get(characteristic):
                    hear(None, bytearray(raw))


def write_frame(kind: int, stamp: int, rows: Array) -> bytes:
    """Return a data frame: rows in uV or 1e-3 g, rounded; stamp in ns."""
    head = bytes([kind]) + stamp.to_bytes(8, "little")
    if kind == ACC:
        return head + bytes([ACC_FORM]) + rows.astype("<i2").tobytes()
    values = [int(v).to_bytes(3, "little", signed=True) for v in rows[:, 0]]
    return head + bytes([ECG_FORM]) + b"".join(values)


def _steps(block: Block, kind: int) -> Array:
    unit = block.info.channels[0].unit
    return np.round(block.data * (1000 if kind == ACC or unit == "mV" else 1))
