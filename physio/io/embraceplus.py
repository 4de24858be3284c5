"""Avro files of the Empatica EmbracePlus: one, or those of a day in a folder."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.input_file import existing_file, refuse_endless
from physio.core.installation import install_hint
from physio.core.recording import Recording

HEAD: Final = b"Obj\x01"
"""Begin of every Avro file."""

_LARGEST: Final = 512 * 2**20  # bytes of a file; 15 minutes have 1 MB
_LONGEST_BEAT: Final = 2.5  # s between systolic peaks without a lost one

_SENSORS: Final = {
    "eda": ("eda", (Channel("eda", "gsr", "uS"),)),
    "bvp": ("bvp", (Channel("bvp", "bio", "1"),)),
    "temperature": ("temp", (Channel("temp", "temperature", "degC"),)),
    "accelerometer": ("acc", tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")),
    "gyroscope": (
        "gyro",
        tuple(Channel(f"gyro.{a}", "misc", "deg/s") for a in "xyz"),
    ),
}
"""Stream and channels by the name of the sensor in the schema."""


class SensorSegment(NamedTuple):
    """Samples of one sensor in one file: start (Unix s), rate (Hz) and values."""

    start: float
    rate: float
    values: Array


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read an EmbracePlus file, or all files of a folder as one recording.

    Streams ``embraceplus.eda`` (uS), ``.bvp``, ``.temp`` (degC), ``.acc`` (g),
    ``.gyro`` (deg/s), as far as they hold samples, each with its own
    start and rate; events ``embraceplus.tags`` and ``embraceplus.ibi``, the intervals
    (s) between the systolic peaks that the device found. Time between two files is a
    gap. Second 0 of the session clock is the earliest start.

    Parameters
    ----------
    path
        The file, ``.avro``, or a folder with those of one wearer.
    participant
        Code of the participant; the identification in the file is left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If a file is damaged, of another schema, or fastavro is not installed.
    """
    path = Path(path)
    files = sorted(path.glob("*.avro")) if path.is_dir() else [existing_file(path)]
    if not files:
        raise FileNotFoundError(f"{path} has no file .avro")
    raws = [_raw(file) for file in files]
    segments = {
        sensor: sorted(s for s in (_segment(raw, sensor) for raw in raws) if s)
        for sensor in _SENSORS
    }
    tags = np.unique([t for raw in raws for t in _times(raw, "tags", "tagsTimeMicros")])
    peaks = np.unique(
        [t for raw in raws for t in _times(raw, "systolicPeaks", "peaksTimeNanos")]
    )
    starts = [s[0].start for s in segments.values() if s]
    if not starts:
        raise ValueError(f"{path} holds no samples")
    zero = min(starts)
    streams = {}
    for sensor, (name, channels) in _SENSORS.items():
        if segments[sensor]:
            info = StreamInfo(
                f"embraceplus.{name}", Fraction(0), channels,
                participant=participant, site="wrist",
            )  # fmt: skip
            streams[info.name] = _blocks(info, segments[sensor], zero)
    end = max(b[-1].complete_until for b in streams.values())
    about = {"source": "Empatica EmbracePlus", "begin": "0.0", "begin_unix": repr(zero)}
    if any((raw.get("steps") or {}).get("values") for raw in raws):
        about["warnings"] = "the counts of steps are not read"
    if participant:
        about["participant"] = participant
    events = _events(tags - zero, peaks - zero, end, participant)
    return Recording(streams, events, (), about)


def is_folder(path: Path) -> bool:
    """Return whether a folder holds files of an EmbracePlus."""
    return any(path.glob("*.avro"))


def _raw(path: Path) -> Mapping[str, Any]:
    """Return the part ``rawData`` of a file."""
    try:
        import fastavro
    except ImportError:
        raise ValueError(
            f"{path} is an Avro file, which fastavro reads{install_hint('fastavro')}"
        ) from None
    refuse_endless(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 512 MB; no file of this device is")
    try:
        with path.open("rb") as file:
            records: list[Any] = list(fastavro.reader(file))
        raw: Mapping[str, Any] = records[0]["rawData"]
        known = set(_SENSORS) & set(raw)
    except Exception as error:  # fastavro raises the errors of its parser unchanged
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(
            f"{path} is no file of an EmbracePlus, or it is damaged: {text}"
        ) from None
    if not known:
        raise ValueError(f"{path} is an Avro file without sensors of an EmbracePlus")
    return raw


def _segment(raw: Mapping[str, Any], sensor: str) -> SensorSegment | None:
    """Return the samples of a sensor, in its unit; None without samples."""
    table = raw.get(sensor) or {}
    start = float(table.get("timestampStart") or 0) / 1e6
    rate = float(table.get("samplingFrequency") or 0)
    if "imuParams" in table:
        values = np.array([table.get(a) or [] for a in "xyz"], np.float64).T
        about = table["imuParams"]
        physical = about["physicalMax"] - about["physicalMin"]
        digital = about["digitalMax"] - about["digitalMin"]
        values = values * (physical / digital if digital else 1.0)
        if sensor == "gyroscope":
            values = np.degrees(values)
    else:
        values = np.array(table.get("values") or [], np.float64)[:, None]
    if not len(values) or not 0 < rate <= 10_000 or start <= 0:
        return None
    return SensorSegment(start, rate, np.ascontiguousarray(values))


def _times(raw: Mapping[str, Any], name: str, field: str) -> list[float]:
    """Return times of events (Unix s)."""
    unit = 1e9 if field.endswith("Nanos") else 1e6
    return [t / unit for t in (raw.get(name) or {}).get(field) or ()]


def _blocks(
    info: StreamInfo, segments: Sequence[SensorSegment], zero: float
) -> tuple[Block, ...]:
    """Return a block for each file, numbered by its start."""
    typical = float(np.median([s.rate for s in segments]))
    rate = Fraction(f"{typical:.6g}")
    at = info.with_channels(rate, *info.channels)
    f = float(rate)
    first = segments[0].start - zero
    blocks: list[Block] = []
    for segment in segments:
        start = max(
            round((segment.start - zero - first) * f), blocks[-1].stop if blocks else 0
        )
        epoch = segment.start - zero - start / f
        if blocks and epoch + start / f <= blocks[-1].complete_until:
            epoch = blocks[-1].t0
        blocks.append(Block(at, start, epoch, segment.values))
    return tuple(blocks)


def _events(
    tags: Array, peaks: Array, end: float, participant: str
) -> dict[str, Events]:
    intervals = np.diff(peaks)
    whole = np.flatnonzero(intervals <= _LONGEST_BEAT)
    beats, data = peaks[1:][whole], intervals[whole, None]
    interval = Channel("interval", "misc", "s")
    infos = [
        StreamInfo(
            f"embraceplus.{name}", Fraction(0), channels,
            participant=participant, site="wrist",
        )
        for name, channels in (("tags", ()), ("ibi", (interval,)))
    ]  # fmt: skip
    until = max([end, *tags[-1:].tolist(), *peaks[-1:].tolist()])
    labels = ("tag",) * len(tags)
    return {
        infos[0].name: Events(infos[0], until, tags, np.empty((len(tags), 0)), labels),
        infos[1].name: Events(infos[1], until, beats, data),
    }
