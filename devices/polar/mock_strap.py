"""Mock of a Polar H10 or Verity Sense, for tests without hardware."""

import asyncio
import struct
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
    H10_MODEL,
    HEART_RATE,
    PPG,
    PPI,
    STOP,
    PolarModel,
)
from physio.core.block import Array, Block
from physio.core.protocols import Clock, Device, WallClock

STEP: Final = 0.01  # s between two polls of the data source
ZERO: Final = 8.2e8  # start of the sensor's clock, which counts from 2000 (s)
ROWS: Final = {ECG: 73, ACC: 36, PPG: 36}  # samples in a frame
ECG_FORM, ACC_FORM, COMPRESSED = 0, 1, 0x80
STEP_OF_G: Final = 2.44e-4  # g, of compressed acceleration
LIGHT: Final = (100.0, 300_000)  # counts per unit of a simulated pulse, and at rest
PULSES: Final = 5  # pulse intervals in a frame
SOURCES: Final = {"ecg": ECG, "acc": ACC, "ppg": PPG, "bvp": PPG}


@dataclass
class MockStrap:
    """Mock of a Polar H10 behind `devices.polar.ble_connection.Gatt`.

    It records the commands written to it, answers them as the strap does, sends frames
    of 73 samples and a heart rate each second, and can be out of reach. Its data come
    from another device, with streams ``.ecg`` (mV or uV, 130 Hz), ``.acc`` (g, 200 Hz)
    or events ``.beats``, if present. A Verity Sense takes ``.ppg`` (counts, 55 Hz) or
    ``.bvp``, and ``.acc`` (52 Hz), at other rates interpolated, and sends compressed
    frames.

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
    model
        Model that it mocks.
    """

    participant: Device
    lost: tuple[tuple[float, float], ...] = ()
    refuses: int = 0
    fast: float = 0.0
    clock: Clock = field(default_factory=WallClock)
    model: PolarModel = H10_MODEL

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
            raise OSError(f"no {self.model.name} answers: it is out of reach")
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
            self._rows: dict[int, list[Array]] = {kind: [] for kind in ROWS}
            self._sent = dict.fromkeys(ROWS, 0)
            self._sources: dict[int, Resampled] = {}
            self._pulses: list[float] = []
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
        start = self.model.start
        kinds = [k for k in start if raw in (start[k], STOP[k])]
        code = self.refuses if kinds else 1
        if kinds and not code:
            starts = raw == start[kinds[0]]
            (self._measures.add if starts else self._measures.discard)(kinds[0])
        kind = raw[1] if len(raw) > 1 else 0
        head = bytes([ANSWER, raw[0], kind, code, 0])
        return head + self._settings(kind) if kinds and not code else head

    def _settings(self, kind: int) -> bytes:
        """Return the settings in the answer to a start: the factor of the samples."""
        if self.model is H10_MODEL or kind == PPI:
            return b""
        factor = STEP_OF_G if kind == ACC else 1.0
        return bytes([5, 1]) + struct.pack("<f", factor)

    def sensed(self) -> list[tuple[str, bytes]]:
        """Return the notifications due: complete frames, and the heart rate."""
        for item in self.participant.read():
            suffix = item.info.name.rpartition(".")[2]
            kind = SOURCES.get(suffix, -1)
            if suffix == "beats":
                self._beats += item.times.tolist()
                self._pulses += item.times.tolist()
            elif isinstance(item, Block) and kind in self.model.signals and len(item):
                self._take(kind, item)
        due = [frame for kind in ROWS for frame in self._frames(kind)]
        due += self._pulse_frames()
        if self.clock.now() >= self._last_heart_rate + 1.0:
            self._last_heart_rate += 1.0
            due.append((HEART_RATE, self._heart()))
        return due

    def _take(self, kind: int, block: Block) -> None:
        """Add the samples of the source, at the rate of the sensor."""
        rows = self._steps(block, kind)
        rate = float(self.model.signals[kind][1])
        if self.model is H10_MODEL:
            self._epochs.setdefault(kind, block.t0)
            self._rates[kind] = float(block.info.rate)
        else:
            source = self._sources.setdefault(kind, Resampled(rate, block.t0))
            rows = np.round(source.push(block.times, rows))
            self._epochs[kind], self._rates[kind] = source.begin, rate
        self._rows[kind] += [rows]

    def _steps(self, block: Block, kind: int) -> Array:
        """Return samples in the steps of the sensor."""
        unit = block.info.channels[0].unit
        if kind == PPG:
            scale, rest = LIGHT if block.info.name.endswith(".bvp") else (1.0, 0)
            wave = block.data[:, [0]] * scale + rest
            return np.hstack([wave, wave, wave, np.zeros_like(wave)])
        if self.model is not H10_MODEL:
            return block.data / STEP_OF_G
        return np.round(block.data * (1000 if kind == ACC or unit == "mV" else 1))

    def _pulse_frames(self) -> list[tuple[str, bytes]]:
        """Return a frame of intervals, if there are enough; the last one was moved."""
        if PPI not in self._measures or len(self._pulses) <= PULSES:
            return []
        at, self._pulses = np.array(self._pulses), self._pulses[-1:]
        stamp = round(1e9 * (ZERO + at[-1] * (1 + self.fast)))
        body = b"".join(
            struct.pack("<BHHB", round(60 / x), round(1000 * x), 8, 0x06 + (k % 5 == 4))
            for k, x in enumerate(np.diff(at))
        )
        return [(DATA, bytes([PPI]) + stamp.to_bytes(8, "little") + b"\0" + body)]

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
                write = write_frame if self.model is H10_MODEL else write_compressed
                frames.append((DATA, write(kind, round(1e9 * time), part)))
        self._rows[kind] = [rows] if len(rows) else []
        return frames

    def _heart(self) -> bytes:
        """Return a heart rate message, of an H10 with its new intervals."""
        intervals = np.diff(self._beats)
        self._beats = self._beats[-1:]
        ticks = np.round(1024 * intervals).astype("<u2")
        rate = round(60 / intervals[-1]) if len(intervals) else 60
        if self.model is not H10_MODEL:
            return bytes([0x06, rate])
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


def write_compressed(kind: int, stamp: int, rows: Array) -> bytes:
    """Return a compressed frame of integers: the first sample, then differences."""
    whole = rows.astype(np.int64)
    width = 3 if kind == PPG else 2
    head = bytes([kind]) + stamp.to_bytes(8, "little") + bytes([COMPRESSED])
    body = b"".join(int(v).to_bytes(width, "little", signed=True) for v in whole[0])
    for deltas in np.array_split(np.diff(whole, axis=0), 2):
        if len(deltas):
            bits = 1 + max(int(abs(d)).bit_length() for d in deltas.ravel())
            packed = sum(
                (int(d) % (1 << bits)) << (bits * i)
                for i, d in enumerate(deltas.ravel())
            )
            size = -(-bits * deltas.size // 8)
            body += bytes([bits, len(deltas)]) + packed.to_bytes(size, "little")
    return head + body


class Resampled:
    """Samples at another rate, by linear interpolation as they come.

    Parameters
    ----------
    rate
        The new rate (Hz).
    begin
        Time of its first sample (s).
    """

    def __init__(self, rate: float, begin: float) -> None:
        self.rate, self.begin = rate, begin
        self._n = 0
        self._last: tuple[float, Array] | None = None

    def push(self, times: Array, rows: Array) -> Array:
        """Return the samples up to the last of these times (s), shape (n, channels)."""
        if self._last is not None:
            times = np.concatenate([[self._last[0]], times])
            rows = np.vstack([self._last[1], rows])
        self._last = float(times[-1]), rows[-1]
        stop = int((times[-1] - self.begin) * self.rate + 1e-9) + 1
        at = self.begin + np.arange(self._n, stop) / self.rate
        self._n = max(self._n, stop)
        columns = [np.interp(at, times, column) for column in rows.T]
        return np.column_stack(columns)
