"""Raw Bluetooth packets of a Muse S Athena, as OpenMuse records them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel
from physio.core.counted_nouns import counted
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import BoardSamples

HEAD: Final = rb"\d{4}-[\d:T.+\-Z ]{14,30}\t[0-9a-f]{8}-[0-9a-f-]{27}\t[0-9a-fA-F]+\s"
"""Begin of a file: time of arrival, characteristic, and a packet in hexadecimal."""

_TICK: Final = 256_000.0  # Hz, clock of the packets
_TURN: Final = 2**32  # ticks after which this clock is 0 again
_HEADER: Final = 9  # bytes before the first part of a packet
_PART: Final = 5  # bytes before the samples of a part: tag, number, three unknown ones
_LARGEST: Final = 2 * 2**30  # bytes
_SITES: Final = ("TP9", "AF7", "AF8", "TP10")
_LIGHT: Final = (
    *("LO_NIR", "RO_NIR", "LO_IR", "RO_IR", "LI_NIR", "RI_NIR", "LI_IR", "RI_IR"),
    *("LO_RED", "RO_RED", "LO_AMB", "RO_AMB", "LI_RED", "RI_RED", "LI_AMB", "RI_AMB"),
)


class _Sensor(NamedTuple):
    """Parts of one tag: stream, rate (Hz), channels, bytes, bits of a number."""

    stream: str
    rate: int
    channels: tuple[Channel, ...]
    size: int
    bits: int

    @property
    def rows(self) -> int:
        """Number of samples of a part."""
        return self.size * 8 // self.bits // len(self.channels)


def _eeg(extra: int) -> tuple[Channel, ...]:
    aux = (Channel(f"AUX{i + 1}", "misc", "uV") for i in range(extra))
    return (*(Channel(name, "eeg", "uV") for name in _SITES), *aux)


def _optics(names: tuple[str, ...]) -> tuple[Channel, ...]:
    return tuple(Channel(name, "bio", "1") for name in names)


_MOVEMENT: Final = (
    *(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz"),
    *(Channel(f"gyro.{axis}", "misc", "deg/s") for axis in "xyz"),
)
_SENSORS: Final[Mapping[int, _Sensor]] = {
    0x11: _Sensor("eeg", 256, _eeg(0), 28, 14),
    0x12: _Sensor("eeg", 256, _eeg(4), 28, 14),
    0x34: _Sensor("ppg", 64, _optics(_LIGHT[4:8]), 30, 20),
    0x35: _Sensor("ppg", 64, _optics(_LIGHT[:8]), 40, 20),
    0x36: _Sensor("ppg", 64, _optics(_LIGHT), 40, 20),
    0x47: _Sensor("movement", 52, _MOVEMENT, 36, 16),
}
_SKIPPED: Final = {0x53: 24, 0x98: 20}
"""Bytes of parts that hold no signal: unknown, battery."""

_EEG_STEP: Final = 1450.0 / 16383  # uV
_OPTICS_STEP: Final = 1.0 / 32768
_ACC_STEP: Final = 0.0000610352  # g
_GYRO_STEP: Final = -0.0074768  # deg/s


class _Part(NamedTuple):
    """Samples of one sensor in a packet: tag, number of the part, ticks, bytes."""

    tag: int
    number: int
    ticks: int
    arrival: float
    body: bytes


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a text file of raw packets of a Muse S Athena.

    Streams ``muse.eeg`` (uV; TP9, AF7, AF8, TP10, and up to four auxiliary channels),
    ``muse.ppg`` (4, 8 or 16 optical channels), ``muse.acc`` (g) and ``muse.gyro``
    (deg/s), if the headband sent them. The numbers of the parts show losses, and the
    clock of the packets places the streams relative to each other.

    Parameters
    ----------
    path
        The file that ``OpenMuse record`` wrote.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If no packet holds a signal.

    Notes
    -----
    InteraXon does not publish the format. Tags, lengths and scales are those of the
    project OpenMuse, which found them by experiment; the battery is not read.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 2 GB; cut it into parts")
    groups: dict[int, list[_Part]] = {}
    damaged = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            parts = _parts(line)
            if parts is None:
                damaged += bool(line.strip())
                continue
            for part in parts:
                groups.setdefault(part.tag, []).append(part)
    if not groups:
        raise ValueError(f"{path} holds no packet with a signal of a Muse S Athena")
    return _recording(groups, damaged, participant)


def _parts(line: str) -> list[_Part] | None:
    """Return the parts with signals in the packets of a line; None if it is damaged."""
    try:
        stamp, _, code = line.split("\t", 2)
        arrival = datetime.fromisoformat(stamp.strip()).timestamp()
        payload = bytes.fromhex(code.strip())
    except (ValueError, OverflowError, OSError):
        return None
    parts: list[_Part] = []
    while payload:
        size = payload[0]
        if size <= _HEADER or size > len(payload):
            return parts or None
        ticks = int.from_bytes(payload[2:6], "little")
        parts += _split(payload[_HEADER:size], ticks, arrival)
        payload = payload[size:]
    return parts


def _split(body: bytes, ticks: int, arrival: float) -> Iterator[_Part]:
    """Yield the parts of a packet up to one of unknown length."""
    while len(body) > _PART:
        tag, number = body[0], body[1]
        sensor = _SENSORS.get(tag)
        size = sensor.size if sensor else _SKIPPED.get(tag, 0)
        if not size or len(body) < _PART + size:
            return
        if sensor:
            yield _Part(tag, number, ticks, arrival, body[_PART : _PART + size])
        body = body[_PART + size :]


def _recording(
    groups: Mapping[int, list[_Part]], damaged: int, participant: str
) -> Recording:
    """Return the recording of all parts, by tag."""
    ahead = min(p.arrival - p.ticks / _TICK for parts in groups.values() for p in parts)
    begins: dict[str, float] = {}
    streams: dict[str, tuple[Block, ...]] = {}
    about: dict[str, str] = {}
    warnings: list[str] = []
    for tag, parts in sorted(groups.items()):
        sensor = _SENSORS[tag]
        stamps = ahead + _unwrapped([p.ticks for p in parts]) / _TICK
        rows = np.concatenate([_decoded(sensor, p.body) for p in parts])
        samples = BoardSamples(
            "muse",
            Fraction(sensor.rate),
            np.repeat([float(p.number) for p in parts], sensor.rows),
            np.repeat(stamps, sensor.rows),
            np.zeros(len(rows)),
            _signals(sensor, rows),
        )
        single = samples.recording("OpenMuse", participant)
        about |= single.metadata
        warnings += filter(None, [single.metadata.get("warnings", "")])
        for name, blocks in single.streams.items():
            if name in streams and sum(map(len, streams[name])) >= len(rows):
                continue  # the preset was changed: the longer part is kept
            begins[name], streams[name] = float(stamps[0]), blocks
    first = min(begins.values())
    placed = {
        name: tuple(
            Block(b.info, b.start, b.t0 + begins[name] - first, b.data, b.stamps)
            for b in blocks
        )
        for name, blocks in streams.items()
    }
    if damaged:
        lost = counted(damaged, "damaged line", verb="is")
        warnings.append(f"{lost} left out")
    if len({_SENSORS[t].stream for t in groups}) < len(groups):
        warnings.append("the preset of the headband changed: the longer part is read")
    about |= {"begin": "0.0", "begin_unix": repr(first)}
    if warnings:
        about["warnings"] = "; ".join(warnings)
    return Recording(placed, {}, (), about)


def _signals(
    sensor: _Sensor, rows: Array
) -> Mapping[str, tuple[tuple[Channel, ...], Array]]:
    if sensor.stream != "movement":
        return {sensor.stream: (sensor.channels, rows)}
    return {
        "acc": (sensor.channels[:3], rows[:, :3]),
        "gyro": (sensor.channels[3:], rows[:, 3:]),
    }


def _unwrapped(ticks: list[int]) -> Array:
    """Return the ticks without the turns of their clock, shape (n,)."""
    steps = np.diff(np.array(ticks, np.int64), prepend=ticks[0])
    turns = np.cumsum((steps < -_TURN // 2).astype(np.int64) - (steps > _TURN // 2))
    return (np.array(ticks, np.int64) + _TURN * turns).astype(np.float64)


def _decoded(sensor: _Sensor, body: bytes) -> Array:
    """Return the samples of a part in physical units, shape (rows, channels)."""
    shape = (sensor.rows, len(sensor.channels))
    if sensor.bits == 16:
        steps = np.array([_ACC_STEP] * 3 + [_GYRO_STEP] * 3)
        return np.frombuffer(body, "<i2").reshape(shape) * steps
    bits = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")
    used = bits[: sensor.bits * shape[0] * shape[1]].reshape(-1, sensor.bits)
    values = used @ (1 << np.arange(sensor.bits, dtype=np.int64))
    step = _EEG_STEP if sensor.bits == 14 else _OPTICS_STEP
    return values.reshape(shape) * step
