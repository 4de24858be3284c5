"""EmotiBit's own files: the raw file of its SD card, and those of its parser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.tables.column_map import ColumnMap, ColumnSignal
from physio.io.tables.table_recording import from_table

if TYPE_CHECKING:
    import pandas as pd

RAW: Final = rb"\d+(\.\d+)?,\d+,\d+,[A-Z][A-Z0-9%]{1,2},\d+,\d+,"
"""Begin of a raw file: time (ms), packet, number of values, tag, version ..."""

PARSED: Final = rb"LocalTimestamp,EmotiBitTimestamp,PacketNumber,DataLength,TypeTag,"
"""Begin of a file of the parser."""

_LARGEST: Final = 4 * 2**30  # bytes
_TAGS: Final = {
    "EA": ("eda", "uS", ""),
    "PI": ("ppg", "1", "ir"),
    "PR": ("ppg", "1", "red"),
    "PG": ("ppg", "1", "green"),
    "T1": ("temp", "degC", "temp"),
    "T0": ("temp", "degC", "temp"),
    "TH": ("temp", "degC", "thermopile"),
    **{f"A{a}": (f"acc.{a.lower()}", "g", "") for a in "XYZ"},
    **{f"G{a}": (f"gyro.{a.lower()}", "deg/s", "") for a in "XYZ"},
    **{f"M{a}": (f"mag.{a.lower()}", "uT", "") for a in "XYZ"},
    "HR": ("hr", "1/min", ""),
    "BI": ("rr", "ms", ""),
}
"""Kind, unit and channel by tag, after EmotiBit's documentation of data types."""


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of an EmotiBit from its own files.

    Streams ``emotibit.eda`` (uS), ``.ppg`` (infrared, red, green), ``.temp`` (degC),
    ``.acc`` (g), ``.gyro`` (deg/s) and ``.mag``, each at its measured rate; events
    ``emotibit.hr`` and ``emotibit.ibi``, which the device computes.

    Parameters
    ----------
    path
        The raw file (``2025-06-27_09-56-59.csv``), or one file of the parser
        (``..._EA.csv``), with which all others of the recording are read.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format or holds no signal.

    Notes
    -----
    A packet is stamped when its last sample was taken; the others lie one sampling
    interval apart before it. Lines that the device did not finish are left out.
    """
    path = existing_file(path)
    with path.open("rb") as file:
        head = file.read(256).removeprefix(b"\xef\xbb\xbf")
    parsed = re.match(PARSED, head) is not None
    tables = dict(_parsed(path) if parsed else _raw(path))
    if not tables:
        raise ValueError(f"{path} holds no signal of an EmotiBit")
    frame, signals = _joined(tables)
    columns = ColumnMap(
        tuple(signals), time_unit="s", name="emotibit", source="EmotiBit"
    )
    return from_table(frame, columns, participant=participant)


def _raw(path: Path) -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Yield time (s) and value of each sample of each known tag."""
    import pandas as pd

    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 4 GB; cut it into parts")
    packets: dict[str, list[tuple[float, list[float]]]] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            fields = line.rstrip("\r\n,").split(",")
            if len(fields) < 7 or fields[3] not in _TAGS:
                continue
            try:
                values = [float(v) for v in fields[6:]]
                stamp = float(fields[0]) / 1000
                expected = int(fields[2])
            except ValueError:
                continue
            if len(values) == expected:
                packets.setdefault(fields[3], []).append((stamp, values))
    for tag, parts in packets.items():
        ends = np.array([stamp for stamp, _ in parts])
        sizes = np.array([len(values) for _, values in parts])
        steps = np.diff(ends) / sizes[1:]
        period = float(np.median(steps)) if len(steps) else 0.0
        before = np.concatenate([np.arange(n)[::-1] for n in sizes])
        times = np.repeat(ends, sizes) - before * period
        order = np.concatenate([np.arange(n) for n in sizes])
        yield (
            tag,
            pd.DataFrame(
                {
                    "packet": np.repeat(ends, sizes),
                    "row": order,
                    "time": times,
                    tag: np.concatenate([values for _, values in parts]),
                }
            ),
        )


def _parsed(path: Path) -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Yield the tables of all files of a recording, by tag."""
    import pandas as pd

    prefix = re.sub(r"_[A-Z][A-Z0-9%]{1,2}$", "", path.stem)
    for tag in _TAGS:
        file = path.with_name(f"{prefix}_{tag}{path.suffix}")
        if file != path and not file.is_file():
            continue
        if file == path and not path.stem.endswith(f"_{tag}"):
            continue
        try:
            frame = pd.read_csv(file, float_precision="round_trip")
        except (ValueError, OverflowError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{file} cannot be read as a table: {reason}") from None
        if not {"LocalTimestamp", tag} <= set(frame.columns):
            raise ValueError(f"{file} has no columns LocalTimestamp and {tag}")
        frame = frame[["LocalTimestamp", tag]].rename(
            columns={"LocalTimestamp": "time"}
        )
        yield (
            tag,
            frame.assign(packet=frame["time"], row=frame.groupby("time").cumcount()),
        )


def _joined(
    tables: "dict[str, pd.DataFrame]",
) -> "tuple[pd.DataFrame, list[ColumnSignal]]":
    """Return one table: a column for each tag, and times for each stream."""
    import pandas as pd

    groups: dict[str, list[str]] = {}
    for tag in (t for t in _TAGS if t in tables):
        kind, _, label = _TAGS[tag]
        part = kind.partition(".")[0]
        groups.setdefault(label if label == "thermopile" else part, []).append(tag)
    parts, signals = [], []
    for name, tags in groups.items():
        joined = tables[tags[0]]
        for tag in tags[1:]:
            keys = ["packet", "row"]
            other = tables[tag].rename(columns={"time": "other"})
            joined = joined.merge(other, on=keys, how="outer")
            joined["time"] = joined["time"].fillna(joined["other"])
            joined = joined.drop(columns="other")
        joined = joined.sort_values(["packet", "row"], ignore_index=True)
        column = f"time {name}"
        parts.append(joined[["time", *tags]].rename(columns={"time": column}))
        for tag in tags:
            kind, unit, label = _TAGS[tag]
            label = label if len(tags) > 1 or label == "thermopile" else ""
            signals.append(ColumnSignal(tag, kind, unit, name=label, time=column))
    return pd.concat(parts, axis=1), signals
