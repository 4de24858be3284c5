"""Parser of the messages of Polar's sensors: H10 and Verity Sense.

Sources: the Bluetooth heart rate profile (characteristic 0x2A37) and Polar's
measurement data protocol (PMD), as its public SDK reads and tests it. All integers are
little-endian.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from struct import unpack_from
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from devices.polar.clock_sync import DelayEstimator
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item, single_event
from physio.core.timing.timestamps import TimestampAligner

HEART_RATE: Final = "00002a37-0000-1000-8000-00805f9b34fb"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

ECG, PPG, ACC, PPI = 0x00, 0x01, 0x02, 0x03
START: Final = {
    ECG: bytes.fromhex("02 00 00 01 82 00 01 01 0E 00"),  # 130 Hz, 14 bit
    ACC: bytes.fromhex("02 02 00 01 C8 00 01 01 10 00 02 01 08 00"),  # 200 Hz, 8 g
}
"""Commands that start the measurements of an H10."""

VERITY_START: Final = {
    # 55 Hz, 22 bit, 4 channels; 52 Hz, 16 bit, 8 g, 3 channels
    PPG: bytes.fromhex("02 01 00 01 37 00 01 01 16 00 04 01 04"),
    ACC: bytes.fromhex("02 02 00 01 34 00 01 01 10 00 02 01 08 00 04 01 03"),
    PPI: bytes.fromhex("02 03"),
}
"""Commands that start the measurements of a Verity Sense."""

STOP: Final = {kind: bytes([0x03, kind]) for kind in (ECG, PPG, ACC, PPI)}
_MEASURE: Final = 0x02  # command that starts a measurement
_SETTING_BYTES: Final = (2, 2, 2, 4, 1, 4)  # rate, resolution, two ranges, channels
_FACTOR: Final = 5  # setting whose value multiplies compressed samples
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

_AXES: Final = tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
_LIGHT: Final = (
    *(Channel(f"ppg{i}", "bio", "1") for i in range(3)),
    Channel("ambient", "misc", "1"),
)
_BURST: Final = 0.7  # s of one frame, 73 samples at 130 Hz


class PolarModel(NamedTuple):
    """A model of sensor: its name, commands, signals, and place on the body.

    ``signals`` are stream, rate (Hz) and channels of each measurement that is regular;
    ``burst`` is the duration of its longest frame (s).
    """

    name: str
    noun: str
    start: Mapping[int, bytes]
    signals: Mapping[int, tuple[str, Fraction, tuple[Channel, ...]]]
    site: str
    placement: str
    burst: float = _BURST


H10_MODEL: Final = PolarModel(
    "Polar H10",
    "strap",
    START,
    {
        ECG: ("ecg", Fraction(130), (Channel("ecg", "ecg", "uV"),)),
        ACC: ("acc", Fraction(200), _AXES),
    },
    "chest",
    "strap",
)
VERITY_MODEL: Final = PolarModel(
    "Polar Sense",
    "sensor",
    VERITY_START,
    {PPG: ("ppg", Fraction(55), _LIGHT), ACC: ("acc", Fraction(52), _AXES)},
    "arm",
    "armband",
    1.5,
)


_PULSES: Final = (
    Channel("hr", "misc", "1/min"),
    Channel("interval", "misc", "s"),
    Channel("error", "misc", "s"),
    Channel("moved"),
    Channel("contact"),
)


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


class PulseInterval(NamedTuple):
    """Interval between two pulses, as a Verity Sense computes it.

    Heart rate (1/min), interval (s), its error (s), and whether the sensor moved;
    ``contact`` (of the skin) is None where the sensor does not measure it.
    """

    rate: float
    interval: float
    error: float
    moved: bool
    contact: bool | None

    @property
    def usable(self) -> bool:
        """False if the sensor moved or had no contact: Polar says to discard it."""
        return self.interval > 0 and not self.moved and self.contact is not False


def read_intervals(raw: bytes) -> tuple[int, tuple[PulseInterval, ...]]:
    """Return sensor time (ns; 0 if unknown) and the intervals of a frame, oldest first.

    Raises
    ------
    ValueError
        If it is another frame, or its last interval is incomplete.
    """
    if len(raw) < 10 or (raw[0], raw[9]) != (PPI, 0) or (len(raw) - 10) % 6:
        raise ValueError(f"a frame of {len(raw)} bytes: {raw[:10].hex(' ')}")
    intervals = []
    for at in range(10, len(raw), 6):
        rate, interval, error, flags = unpack_from("<BHHB", raw, at)
        contact = bool(flags >> 1 & 1) if flags >> 2 & 1 else None
        intervals.append(
            PulseInterval(
                float(rate), interval / 1000, error / 1000, bool(flags & 1), contact
            )
        )
    return unpack_from("<Q", raw, 1)[0], tuple(intervals)


def read_frame(raw: bytes, factor: float = 1.0) -> Frame:
    """Return the samples of a data frame: ECG in uV, acceleration in g, PPG in counts.

    Parameters
    ----------
    raw
        The frame.
    factor
        Factor of compressed samples, from the answer to the command: see
        `sample_factor`.

    Raises
    ------
    ValueError
        If its kind is unknown, or its last sample is incomplete.
    """
    kind, form = (raw[0], raw[9]) if len(raw) >= 10 else (-1, -1)
    body = raw[10:]
    match kind, form:
        case 0x00, 0 if len(body) % 3 == 0:
            rows = _integers(body, 3).reshape(-1, 1) * 1.0
        case 0x01, 0 if len(body) % 12 == 0:
            rows = _integers(body, 3).reshape(-1, 4) * 1.0
        case 0x01, 0x80:
            rows = read_deltas(body, 4, 3) * factor
        case 0x02, 1 if len(body) % 6 == 0:
            rows = _integers(body, 2).reshape(-1, 3) / 1000
        case 0x02, 0x80:  # the factor leads to g
            rows = read_deltas(body, 3, 2) * factor
        case 0x02, 0x81:
            rows = read_deltas(body, 3, 2) * factor / 1000
        case _:
            raise ValueError(f"a frame of {len(raw)} bytes: {raw[:10].hex(' ')}")
    return Frame(kind, unpack_from("<Q", raw, 1)[0], rows.astype(np.float64))


def read_deltas(body: bytes, channels: int, width: int) -> Array:
    """Return the samples of a compressed frame, shape (n, channels).

    A reference sample of ``width`` bytes a channel is followed by blocks: bits of a
    difference, number of samples, and the differences to the sample before, packed from
    the lowest bit on.

    Raises
    ------
    ValueError
        If a block is incomplete.
    """
    first = channels * width
    if len(body) < first:
        raise ValueError(f"a compressed frame of {len(body)} bytes")
    parts = [_integers(body[:first], width)[None]]
    at = first
    while at < len(body):
        bits, n = body[at], body[at + 1] if at + 1 < len(body) else 0
        size = -(-bits * n * channels // 8)
        block = body[at + 2 : at + 2 + size]
        if not 0 < bits <= 32 or not n or len(block) < size:
            raise ValueError(
                f"a compressed frame ends in a block of {len(block)} bytes"
            )
        single = np.unpackbits(np.frombuffer(block, np.uint8), bitorder="little")
        packed = single[: bits * n * channels].reshape(-1, bits).astype(np.int64)
        values = packed @ (1 << np.arange(bits, dtype=np.int64))
        values -= (values >> (bits - 1) & 1) << bits
        parts.append(values.reshape(n, channels))
        at += 2 + size
    return np.cumsum(np.concatenate(parts), axis=0).astype(np.float64)


def _integers(body: bytes, width: int) -> npt.NDArray[np.int64]:
    """Return signed integers of 2 or 3 bytes."""
    single = np.frombuffer(body, np.uint8).reshape(-1, width).astype(np.int64)
    values = single @ (1 << 8 * np.arange(width, dtype=np.int64))
    return values - ((values >> (8 * width - 1) & 1) << 8 * width)


def sample_factor(raw: bytes) -> tuple[int, float] | None:
    """Return measurement and factor of samples in an answer to a start; else None."""
    if len(raw) < 5 or (raw[0], raw[1]) != (ANSWER, _MEASURE) or raw[3]:
        return None
    at = 5
    while at + 2 <= len(raw) and raw[at] < len(_SETTING_BYTES):
        setting, width = raw[at], _SETTING_BYTES[raw[at]]
        if setting == _FACTOR and at + 2 + width <= len(raw):
            return raw[2], float(unpack_from("<f", raw, at + 2)[0])
        at += 2 + width * raw[at + 1]
    return None


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

    def __init__(self, info: StreamInfo, burst: float) -> None:
        self.info = info
        self.rate = float(info.rate)
        self.factor = 1.0
        self._stamped = TimestampAligner(self.rate, burst)
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

    def session_time(self, stamp: float) -> float:
        """Return the time of a stamp (s, session clock); NaN before the first frame."""
        delay, drift = self._delays.line()
        return stamp * (1 + drift) + delay if self._delays.started else math.nan

    def _blocks(self, stamps: Array, rows: Array, now: float) -> list[Block]:
        delay, drift = self._delays.line()
        times = stamps * (1 + drift) + delay
        return [
            Block(self.info, p.start, p.t0, p.rows, p.stamps)
            for p in self._stamped.push(times, stamps, rows, now)
        ]


@dataclass
class Strap:
    """Blocks and events from the notifications of one strap or armband.

    Parameters
    ----------
    name, participant
        Name of the device, and code of the participant who wears it.
    kinds
        Measurements that were started.
    origin
        Measured, or simulated for a `MockStrap`.
    model
        Model of the sensor.
    """

    name: str
    participant: str = ""
    kinds: tuple[int, ...] = (ECG,)
    origin: Origin = Origin.MEASURED
    model: PolarModel = H10_MODEL

    def __post_init__(self) -> None:
        site, placement = self.model.site, self.model.placement
        bare = StreamInfo(
            self.name, Fraction(0), (), self.origin, self.participant, site, placement
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
        self._ppi = replace(bare.with_channels(None, *_PULSES), name=f"{self.name}.ppi")
        self._signals = {}
        for kind in (k for k in self.kinds if k in self.model.signals):
            suffix, rate, channels = self.model.signals[kind]
            info = replace(
                bare.with_channels(rate, *channels), name=f"{self.name}.{suffix}"
            )
            self._signals[kind] = _Signal(info, self.model.burst)
        self._last: dict[str, float] = {}

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the strap."""
        regular = tuple(s.info for s in self._signals.values())
        pulses = (self._ppi,) if PPI in self.kinds else ()
        return (*regular, self._hr, *pulses, self._ibi, self.status)

    def take(self, characteristic: str, raw: bytes, now: float) -> list[Item]:
        """Return the items of a notification that arrived at ``now`` (s)."""
        try:
            if characteristic == HEART_RATE:
                return list(self._beats(read_heart_rate(raw), now))
            if characteristic == DATA:
                return self._data(raw, now)
            if (factor := sample_factor(raw)) and factor[0] in self._signals:
                self._signals[factor[0]].factor = factor[1]
            why = refusal(raw)
            text = f"the {self.model.noun} refused a measurement: {why}"
            return [self.say(text, now)] * bool(why)
        except ValueError as error:
            return [self.say(f"not understood: {error}", now)]

    def _data(self, raw: bytes, now: float) -> list[Item]:
        """Return the items of a data frame."""
        if raw[:1] == bytes([PPI]):
            return list(self._pulses(*read_intervals(raw), now))
        signal = self._signals.get(raw[0]) if raw else None
        frame = read_frame(raw, signal.factor if signal else 1.0)
        return list(signal.take(frame, now)) if signal and len(frame.rows) else []

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

    def _pulses(
        self, stamp: int, pulses: tuple[PulseInterval, ...], now: float
    ) -> list[Events]:
        """Return all pulse intervals, and those that may be used.

        The stamp is that of the last pulse; without one, or without a signal that shows
        the sensor's clock, the last pulse was just before the message.
        """
        clocks = (s.session_time(stamp / 1e9) for s in self._signals.values() if stamp)
        last = min([now, *(t for t in clocks if t == t)])
        ends = last - np.cumsum([0.0, *(p.interval for p in pulses[:0:-1])])[::-1]
        items = []
        for pulse, end in zip(pulses, ends.tolist(), strict=True):
            contact = np.nan if pulse.contact is None else float(pulse.contact)
            values = (pulse.interval, pulse.error, float(pulse.moved), contact)
            at = min(now, self._after(self._ppi, end))
            items.append(single_event(self._ppi, at, "", pulse.rate, *values))
            if pulse.usable:
                at = min(now, self._after(self._ibi, end))
                items.append(single_event(self._ibi, at, "", pulse.interval))
        return items

    def _after(self, info: StreamInfo, time: float) -> float:
        """Return the time, or that of the stream's last event if it is later."""
        self._last[info.name] = max(time, self._last.get(info.name, -np.inf))
        return self._last[info.name]
