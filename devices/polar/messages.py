"""Parser of the messages of a Polar H10.

Sources: the Bluetooth heart rate profile (characteristic 0x2A37) and Polar's
measurement data protocol (PMD). All integers are little-endian.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from struct import unpack_from
from typing import Final, NamedTuple

import numpy as np

from devices.polar.clock_sync import DelayEstimator
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item, single_event
from physio.core.timing.timestamps import TimestampAligner

HEART_RATE: Final = "00002a37-0000-1000-8000-00805f9b34fb"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

ECG, ACC = 0x00, 0x02
START: Final = {
    ECG: bytes.fromhex("02 00 00 01 82 00 01 01 0E 00"),  # 130 Hz, 14 bit
    ACC: bytes.fromhex("02 02 00 01 C8 00 01 01 10 00 02 01 08 00"),  # 200 Hz, 8 g
}
STOP: Final = {ECG: bytes.fromhex("03 00"), ACC: bytes.fromhex("03 02")}
ANSWER: Final = 0xF0  # first byte of a response of the control point
REFUSALS: Final = {
    1: "it does not know the command",
    2: "it does not have this measurement",
    3: "it does not support it",
    4: "the command has a wrong length",
    5: "the command has a wrong parameter",
    6: "it measures already",
    7: "it cannot do so now",
    10: "the strap must be on the skin",
}
_GOES_ON: Final = 6  # it measures already: no error

SIGNALS: Final = {
    ECG: ("ecg", Fraction(130), (Channel("ecg", "ecg", "uV"),)),
    ACC: ("acc", Fraction(200), tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")),
}
_BURST: Final = 0.7  # s of one frame, 73 samples at 130 Hz


class Beats(NamedTuple):
    """Values of the heart rate characteristic: rate (1/min), contact, RR intervals.

    ``contact`` (of the skin) is None where the strap does not measure it; intervals are
    in s, oldest first.
    """

    rate: float
    contact: bool | None
    intervals: tuple[float, ...]


class Frame(NamedTuple):
    """Samples of one measurement: sensor time of the last one (ns), and rows."""

    kind: int
    stamp: int
    rows: Array


def read_heart_rate(raw: bytes) -> Beats:
    """Return the values of a heart rate measurement.

    Raises
    ------
    ValueError
        If it is shorter than its flags require.
    """
    if len(raw) < 2:
        raise ValueError(f"a heart rate of {len(raw)} bytes: {raw.hex(' ')}")
    flags = raw[0]
    wide, energy, has_intervals = flags & 1, flags >> 3 & 1, flags >> 4 & 1
    at = 2 + wide + 2 * energy
    if len(raw) < at or (len(raw) - at) % 2:
        raise ValueError(f"a heart rate with flags {flags:#04x} in {raw.hex(' ')}")
    rate = int.from_bytes(raw[1 : 2 + wide], "little")
    contact = bool(flags >> 1 & 1) if flags >> 2 & 1 else None
    ticks = [unpack_from("<H", raw, i)[0] for i in range(at, len(raw), 2)]
    intervals = tuple(t / 1024 for t in ticks) if has_intervals else ()
    return Beats(float(rate), contact, intervals)


def read_frame(raw: bytes) -> Frame:
    """Return the samples of a data frame: ECG in uV, acceleration in g.

    Raises
    ------
    ValueError
        If its kind is unknown, or its last sample is incomplete.
    """
    kind, form = (raw[0], raw[9]) if len(raw) >= 10 else (-1, -1)
    body = raw[10:]
    if (kind, form) == (ECG, 0) and len(body) % 3 == 0:
        parts = np.frombuffer(body, np.uint8).reshape(-1, 3).astype(np.int64)
        values = parts[:, :1] | parts[:, 1:2] << 8 | parts[:, 2:] << 16
        rows = np.where(values >= 1 << 23, values - (1 << 24), values)
    elif (kind, form) == (ACC, 1) and len(body) % 6 == 0:
        rows = np.frombuffer(body, "<i2").reshape(-1, 3) / 1000
    else:
        raise ValueError(f"a frame of {len(raw)} bytes: {raw[:10].hex(' ')}")
    return Frame(kind, unpack_from("<Q", raw, 1)[0], rows.astype(np.float64))


def refusal(raw: bytes) -> str:
    """Return the reason for which a command was refused, or ``""``."""
    if len(raw) < 4 or raw[0] != ANSWER or raw[3] in {0, _GOES_ON}:
        return ""
    return REFUSALS.get(raw[3], f"error {raw[3]}")


class _Signal:
    """Alignment of one regular signal, from frames with time stamps of the sensor.

    The sensor's clock determines losses exactly; the least delayed frames determine its
    offset to the session clock.
    """

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.rate = float(info.rate)
        self._stamped = TimestampAligner(self.rate, _BURST)
        self._delays = DelayEstimator()

    def take(self, frame: Frame, now: float) -> list[Block]:
        """Add a frame that arrived at ``now`` (s, session clock)."""
        n = len(frame.rows)
        back = np.arange(n - 1, -1, -1) / self.rate
        stamps = frame.stamp / 1e9 - back
        self._delays.update(frame.stamp / 1e9, now)
        return self._blocks(stamps, frame.rows, now)

    def due(self, now: float) -> list[Block]:
        """Return the held samples that have a place now."""
        if not self._stamped.held:
            return []
        return self._blocks(np.empty(0), np.empty((0, len(self.info.channels))), now)

    def _blocks(self, stamps: Array, rows: Array, now: float) -> list[Block]:
        delay, drift = self._delays.line()
        times = stamps * (1 + drift) + delay
        return [
            Block(self.info, p.start, p.t0, p.rows, p.stamps)
            for p in self._stamped.push(times, stamps, rows, now)
        ]


@dataclass
class Strap:
    """Blocks and events from the notifications of one strap.

    Parameters
    ----------
    name, participant
        Name of the device, and code of the participant who wears it.
    kinds
        Measurements that were started.
    origin
        Measured, or simulated for a `MockStrap`.
    """

    name: str
    participant: str = ""
    kinds: tuple[int, ...] = (ECG,)
    origin: Origin = Origin.MEASURED

    def __post_init__(self) -> None:
        bare = StreamInfo(
            self.name, Fraction(0), (), self.origin, self.participant, "chest", "strap"
        )
        self.status = replace(bare, name=f"{self.name}.status")
        self._hr = replace(
            bare.with_channels(
                None, Channel("hr", "misc", "1/min"), Channel("contact")
            ),
            name=f"{self.name}.hr",
        )
        self._ibi = replace(
            bare.with_channels(None, Channel("interval", "misc", "s")),
            name=f"{self.name}.ibi",
        )
        self._signals = {}
        for kind in self.kinds:
            suffix, rate, channels = SIGNALS[kind]
            info = replace(
                bare.with_channels(rate, *channels), name=f"{self.name}.{suffix}"
            )
            self._signals[kind] = _Signal(info)
        self._last: dict[str, float] = {}

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the strap."""
        regular = tuple(s.info for s in self._signals.values())
        return (*regular, self._hr, self._ibi, self.status)

    def take(self, characteristic: str, raw: bytes, now: float) -> list[Item]:
        """Return the items of a notification that arrived at ``now`` (s)."""
        try:
            if characteristic == HEART_RATE:
                return list(self._beats(read_heart_rate(raw), now))
            if characteristic == DATA:
                frame = read_frame(raw)
                if frame.kind in self._signals and len(frame.rows):
                    return list(self._signals[frame.kind].take(frame, now))
                return []
            why = refusal(raw)
            return [self.say(f"the strap refused a measurement: {why}", now)] * bool(
                why
            )
        except ValueError as error:
            return [self.say(f"not understood: {error}", now)]

    def due(self, now: float) -> list[Item]:
        """Return the held samples with a place by ``now`` (s, session clock)."""
        return [block for s in self._signals.values() for block in s.due(now)]

    def say(self, text: str, now: float) -> Events:
        """Return a status message as an event."""
        return single_event(self.status, self._after(self.status, now), text)

    def _beats(self, beats: Beats, now: float) -> list[Events]:
        """Return rate and RR intervals; the last beat was just before the message."""
        contact = np.nan if beats.contact is None else float(beats.contact)
        at = self._after(self._hr, now)
        items = [single_event(self._hr, at, "", beats.rate, contact)]
        later = np.cumsum((0.0, *reversed(beats.intervals[1:])))[::-1]
        for interval, back in zip(beats.intervals, later.tolist(), strict=False):
            time = min(now, self._after(self._ibi, now - back))
            items.append(single_event(self._ibi, time, "", interval))
        return items

    def _after(self, info: StreamInfo, time: float) -> float:
        """Return the time, or that of the stream's last event if it is later."""
        self._last[info.name] = max(time, self._last.get(info.name, -np.inf))
        return self._last[info.name]
