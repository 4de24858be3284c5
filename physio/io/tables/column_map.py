"""Maps: the meaning of the columns of a table, also as a TOML file."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from physio.core.input_file import existing_file
from physio.io.channel_kinds import STREAM_TYPES, StreamKind

TIME_UNITS: Final = ("s", "ms", "us", "ns", "iso", "days")
"""Units of a time column; ``iso`` is a date or a time of day as text."""

EVENT_KINDS: Final = ("rr", "hr", "marker")
"""Kinds of columns that become events."""

_MOVEMENT: Final = {
    "acc": StreamKind("acc", "misc", "g"),
    "gyro": StreamKind("gyro", "misc", "deg/s"),
    "mag": StreamKind("mag", "misc", "uT"),
}
_LARGEST: Final = 4_000_000  # bytes


@dataclass(frozen=True)
class ColumnSignal:
    """Meaning of one column of a table.

    Parameters
    ----------
    column
        Name of the column.
    kind
        ``eda``, ``ppg``, ``ecg``, ``eeg``, ``emg``, ``eog``, ``resp``, ``temp``,
        ``acc.x``, ``gyro.x``, ``mag.x`` ..., ``misc``; ``rr`` (intervals between
        beats), ``hr`` (heart rate) and ``marker`` are events.
    unit
        Unit of the values after ``factor``; decimal multiples, and resistance of skin,
        are converted. Empty: the usual one of the kind, which is then an assumption.
    factor, offset
        Values times ``factor`` plus ``offset`` are in ``unit``.
    name
        Name of the channel; by default that of the kind, or of the column.
    rate
        Samples per second (Hz), if the rows repeat the values of a slower signal.
    time
        Column of the times of this signal, if it has its own.
    """

    column: str
    kind: str
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    name: str = ""
    rate: float = 0.0
    time: str = ""

    def __post_init__(self) -> None:
        if not self.is_event and self.kind.partition(".")[0] not in KINDS:
            raise ValueError(
                f"the kind of the column {self.column!r} is {self.kind!r}; it must be "
                f"one of {', '.join((*KINDS, *EVENT_KINDS))}"
            )
        if not all(map(math.isfinite, (self.factor, self.offset, self.rate))):
            raise ValueError(
                f"factor, offset and rate of the column {self.column!r} must be finite"
            )

    @property
    def is_event(self) -> bool:
        """True for a column of events."""
        return self.kind in EVENT_KINDS

    @property
    def stream(self) -> StreamKind:
        """Name of the stream, kind and usual unit."""
        return KINDS[self.kind.partition(".")[0]]

    @property
    def channel(self) -> str:
        """Name of the channel."""
        if self.name:
            return self.name
        base, _, axis = self.kind.partition(".")
        return self.kind if axis else self.column if base in _BY_COLUMN else base


@dataclass(frozen=True)
class ColumnMap:
    """Meaning of the columns of a table.

    Parameters
    ----------
    signals
        The columns that are read.
    time
        Column of the times, or several whose texts are joined (date and time of day);
        empty if the rows are evenly spaced at ``rate``.
    time_unit
        As in `TIME_UNITS`; empty: derived from the values.
    zone
        Time zone of times of day, ``"Europe/Berlin"``; empty if unknown.
    rate
        Nominal rate of the rows (Hz); 0: measured.
    counter
        Column of a sample counter, which shows losses.
    name
        First part of the names of the streams.
    site
        Body site of the device, ``"left wrist"``.
    source
        Program or device that wrote the table.
    """

    signals: tuple[ColumnSignal, ...]
    time: tuple[str, ...] = ()
    time_unit: str = ""
    zone: str = ""
    rate: float = 0.0
    counter: str = ""
    name: str = "table"
    site: str = ""
    source: str = "table"

    def __post_init__(self) -> None:
        if not self.signals:
            raise ValueError("a map must name at least one signal")
        if self.time_unit not in ("", *TIME_UNITS):
            raise ValueError(
                f"the unit of the time is {self.time_unit!r}; it must be one of "
                f"{', '.join(TIME_UNITS)}"
            )
        if not (math.isfinite(self.rate) and 0 <= self.rate <= 1e6):
            raise ValueError(f"the rate is {self.rate} Hz; it must be 0 to 1000000")
        timed = all(s.time or s.kind == "rr" for s in self.signals)
        if not self.time and not self.rate and not timed:
            raise ValueError(
                "a map without a column of times must state the rate of the rows (Hz)"
            )


KINDS: Final[Mapping[str, StreamKind]] = {
    **{key: kind for key, kind in STREAM_TYPES.items() if kind.kind != "stim"},
    **_MOVEMENT,
    "misc": StreamKind("misc", "misc", "1"),
}
"""Stream, kind and usual unit by the first part of a signal's kind."""

_BY_COLUMN: Final = frozenset(("eeg", "exg", "misc", "bio"))
"""Kinds whose channels are named like their columns."""


def read_map(path: str | Path) -> ColumnMap:
    """Read a map from a TOML file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or has an unknown key or value.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 4 MB; no map of columns is")
    try:
        return from_tables(tomllib.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None


def from_tables(tables: Mapping[str, Any]) -> ColumnMap:
    """Return the map that nested dictionaries describe, as a TOML file does.

    Parameters
    ----------
    tables
        Fields of `ColumnMap`; ``signals`` holds, for each column, its kind or the
        fields of `ColumnSignal`; ``time`` is a column, a list, or a table with
        ``column``, ``unit`` and ``zone``.

    Raises
    ------
    ValueError
        If a key or a value is unknown.
    """
    known = {field.name for field in fields(ColumnMap)}
    values = dict(tables)
    signals = values.pop("signals", {})
    time = values.pop("time", ())
    if isinstance(time, Mapping):
        _refuse_unknown("time", time, {"column", "unit", "zone"})
        values |= {"time_unit": time.get("unit", ""), "zone": time.get("zone", "")}
        time = time.get("column", ())
    _refuse_unknown("the map", values, known)
    if not isinstance(signals, Mapping):
        raise ValueError("signals must be a table with an entry for every column")
    columns = (time,) if isinstance(time, str) and time else tuple(time)
    chosen = tuple(_signal(column, entry) for column, entry in signals.items())
    return ColumnMap(chosen, columns, **values)


def to_toml(columns: ColumnMap, remarks: Mapping[str, str] | None = None) -> str:
    """Return a map as TOML text.

    Parameters
    ----------
    columns
        The map.
    remarks
        Comment behind the entry of a column; the key ``""`` is the first comment.
    """
    remarks = remarks or {}
    lines = [f"# {line}" for line in remarks.get("", "").splitlines()]
    texts = {k: getattr(columns, k) for k in ("name", "site", "source", "counter")}
    lines += [f"{key} = {_quoted(value)}" for key, value in texts.items() if value]
    if columns.rate:
        lines.append(f"rate = {columns.rate:g}  # Hz")
    if columns.time:
        names = ", ".join(map(_quoted, columns.time))
        parts = [f"column = {names if len(columns.time) == 1 else f'[{names}]'}"]
        parts += [f"unit = {_quoted(columns.time_unit)}"] * bool(columns.time_unit)
        parts += [f"zone = {_quoted(columns.zone)}"] * bool(columns.zone)
        comment = remarks.get(columns.time[0], "")
        lines.append(f"time = {{ {', '.join(parts)} }}{_comment(comment)}")
    lines += ["", "[signals]"]
    for signal in columns.signals:
        entry = ", ".join(
            f"{f.name} = {_value(getattr(signal, f.name))}"
            for f in fields(signal)
            if f.name != "column" and getattr(signal, f.name) != f.default
        )
        comment = _comment(remarks.get(signal.column, ""))
        lines.append(f"{_quoted(signal.column)} = {{ {entry} }}{comment}")
    return "\n".join(lines) + "\n"


def _signal(column: str, entry: Any) -> ColumnSignal:
    if isinstance(entry, str):
        return ColumnSignal(column, entry)
    if not isinstance(entry, Mapping) or "kind" not in entry:
        raise ValueError(f"signals.{column} must state its kind, as in kind = 'eda'")
    known = {field.name for field in fields(ColumnSignal)} - {"column"}
    _refuse_unknown(f"signals.{column}", entry, known)
    return ColumnSignal(column, **entry)


def _refuse_unknown(place: str, table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(table) - known):
        raise ValueError(
            f"{place} has the unknown key {unknown[0]!r}; keys are "
            f"{', '.join(sorted(known))}"
        )


def _value(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else f"{value!r}"


def _quoted(text: str) -> str:
    """Return a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{"".join(c for c in escaped if c.isprintable())}"'


def _comment(text: str) -> str:
    return f"  # {text}" if text else ""
