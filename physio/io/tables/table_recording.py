"""Recordings from the columns of a table and a map of their meaning."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.counted_nouns import counted
from physio.core.events import Events
from physio.core.recording import Recording
from physio.core.timing.dejitter import SampleGrid, fit
from physio.io.board_files import positions
from physio.io.channel_kinds import slug
from physio.io.stream_header import unique
from physio.io.tables.column_map import ColumnMap, ColumnSignal
from physio.io.tables.row_times import RowTimes, estimate_rate, read_times
from physio.io.tables.text_table import to_numbers
from physio.io.units import convert_unit, unit_note

if TYPE_CHECKING:
    import pandas as pd

_BACK: Final = 5.0  # s by which rows may be out of order
_OTHER: Final = 0.1  # part by which a measured rate differs from a wrong nominal one
_SHORT: Final = 0.02  # part by which bursts in a short file change a measured rate
_PAUSE: Final = 3.0  # s by which a beat is late if others were lost before it


class _Part(NamedTuple):
    """Signals that share rows and a rate: one stream."""

    signals: tuple[ColumnSignal, ...]
    rows: npt.NDArray[np.int64]
    values: Array


class _Clock(NamedTuple):
    """Times of the rows, and the Unix time of second 0 or NaN."""

    seconds: Array
    unix: float


def from_table(
    frame: "pd.DataFrame", columns: ColumnMap, *, participant: str = ""
) -> Recording:
    """Return the recording in a table.

    A stream for each kind of signal, ``<name>.eda`` (uS), ``<name>.acc`` (g) ...; with
    the rate of its rows: signals of which most rows are empty have a lower rate. Times
    determine losses; a repeated row is left out. Intervals, heart rates and markers
    become events. Second 0 of the session clock is the earliest row.

    Parameters
    ----------
    frame
        The columns, by name.
    columns
        Their meaning.
    participant
        Code of the participant.

    Raises
    ------
    ValueError
        If a column is missing or holds no numbers, or times are missing.

    Notes
    -----
    ``metadata["warnings"]`` states rows that are not used, values that are no numbers,
    assumed units, and times that go back.
    """
    notes: list[str] = []
    _require(frame, [s.column for s in columns.signals])
    frame = _without_repetitions(frame, columns, notes)
    clocks = _clocks(frame, columns, notes)
    streams: dict[str, tuple[Block, ...]] = {}
    row_rate = float(estimate_rate(_finite(clocks[""].seconds))) or columns.rate
    for part in _parts(frame, columns, row_rate, notes):
        clock = clocks[part.signals[0].time]
        name = _free(f"{slug(columns.name)}.{part.signals[0].stream.name}", streams)
        blocks = _stream(name, part, clock, columns, (participant, frame), notes)
        streams[name] = blocks
    events = _events(frame, columns, clocks, participant, streams, notes)
    used = {*columns.time, columns.counter, *(s.time for s in columns.signals)}
    unread = [
        str(name)
        for name in frame.columns
        if name not in used | {s.column for s in columns.signals}
        and not str(name).startswith(("column ", "Unnamed"))
    ]
    if unread:
        more = f" and {len(unread) - 40} more" if len(unread) > 40 else ""
        notes.append(f"columns that are not read: {', '.join(unread[:40])}{more}")
    first = [float(b[0].times[0]) for b in streams.values() if len(b[0])]
    about = {"source": columns.source, "begin": repr(_begin(first))}
    unix = [c.unix for c in clocks.values() if np.isfinite(c.unix)]
    if unix:
        about["begin_unix"] = repr(min(unix))
    if participant:
        about["participant"] = participant
    if notes:
        about["warnings"] = "; ".join(dict.fromkeys(notes))
    return Recording(streams, events, (), about)


def _begin(first: Sequence[float]) -> float:
    """Return the begin of a session (s): 0, or before it, of delayed stamps."""
    earliest = min(first, default=0.0)
    return earliest if earliest < -1e-6 else 0.0


def _require(frame: "pd.DataFrame", columns: Sequence[str]) -> None:
    for column in columns:
        if column not in frame.columns:
            raise ValueError(
                f"there is no column {column!r}; the table has "
                f"{', '.join(map(str, frame.columns[:20]))}"
            )


def _without_repetitions(
    frame: "pd.DataFrame", columns: ColumnMap, notes: list[str]
) -> "pd.DataFrame":
    """Return a table without rows that repeat time and values of the row before."""
    if not columns.time or not set(columns.time) <= set(frame.columns):
        return frame
    used = frame[[*columns.time, *(s.column for s in columns.signals)]]
    before = used.shift()
    repeated = ((used == before) | (used.isna() & before.isna())).all(axis=1)
    repeated &= used[columns.time[0]].notna()
    if n := int(repeated.sum()):
        notes.append(f"{counted(n, 'repeated row', verb='is')} left out")
        return frame[~repeated].reset_index(drop=True)
    return frame


def numbers(frame: "pd.DataFrame", column: str, notes: list[str]) -> Array:
    """Return a column as numbers, shape (n,); NaN, with a note, for other texts.

    Raises
    ------
    ValueError
        If most of the filled rows hold no number.
    """
    import pandas as pd

    values = frame[column]
    if values.dtype == object:
        texts = values.astype(str).str.strip()
        parsed = pd.Series(to_numbers(texts), index=values.index)
        bad = values.notna() & parsed.isna() & ~texts.str.lower().isin(("nan", ""))
        if bad.any():
            example = str(texts[bad].iloc[0])[:40]
            if bad.sum() > values.notna().sum() / 2:
                raise ValueError(
                    f"the column {column!r} holds no numbers, such as {example!r}"
                )
            notes.append(
                f"{counted(int(bad.sum()), 'value')} of {column} missing: no number, "
                f"such as {example!r}"
            )
        values = parsed
    data = values.to_numpy(np.float64, copy=True)
    data[~np.isfinite(data)] = np.nan
    return data


def _clocks(
    frame: "pd.DataFrame", columns: ColumnMap, notes: list[str]
) -> Mapping[str, _Clock]:
    """Return the times by each column of times, on one clock; ``""`` is the map's."""
    read: dict[str, RowTimes] = {}
    names = dict.fromkeys(("", *(s.time for s in columns.signals)))
    for name in names:
        selected = (name,) if name else columns.time
        if selected:
            read[name] = read_times(frame, selected, columns.time_unit, columns.zone)
    clocks: dict[str, _Clock] = {}
    unix = all(times.is_unix for times in read.values())
    first = {
        name: times.origin + float(np.nanmin(times.seconds))
        for name, times in read.items()
        if np.isfinite(times.seconds).any()
    }
    zero = min(first.values(), default=0.0)
    for name, times in read.items():
        seconds = times.seconds + (times.origin - zero)
        clocks[name] = _Clock(seconds, zero if unix else np.nan)
    if "" not in clocks:
        clocks[""] = _Clock(np.empty(0), np.nan)
    if read and not unix and any(t.unit == "iso" for t in read.values()):
        notes.append("the times state no zone: the date of the recording is unknown")
    return clocks


def _parts(
    frame: "pd.DataFrame", columns: ColumnMap, row_rate: float, notes: list[str]
) -> list[_Part]:
    """Return the signals of each stream, with the rows that hold them."""
    groups: dict[tuple[str, float, str, int], list[ColumnSignal]] = {}
    filled: dict[str, Array] = {}
    for signal in columns.signals:
        if signal.is_event:
            continue
        filled[signal.column] = data = numbers(frame, signal.column, notes)
        present = ~np.isnan(data)
        share = float(present.mean()) if len(data) else 0.0
        # Rows that are mostly empty are those of another rate, told by their pattern.
        pattern = 0 if share > 0.5 or not share else hash(present.tobytes())
        key = (signal.stream.name, signal.rate, signal.time, pattern)
        groups.setdefault(key, []).append(signal)
    parts = []
    sampled = np.arange(len(frame))
    if columns.time and filled:  # a row of events alone is no sample
        with_values = [~np.isnan(data) for data in filled.values()]
        sampled = np.flatnonzero(np.logical_or.reduce(with_values))
    for (_, rate, _, pattern), signals in groups.items():
        values = np.column_stack([filled[s.column] for s in signals])
        rows = sampled
        if pattern:
            rows = np.flatnonzero(~np.isnan(values).all(axis=1))
        if rate:
            rows = rows[_distinct(values[rows], rate, row_rate)]
        parts.append(_Part(tuple(signals), rows, values[rows]))
    return parts


def _distinct(values: Array, rate: float, row_rate: float) -> npt.NDArray[np.int64]:
    """Return the rows in which a signal that is held between its samples is new."""
    k = max(1, round(row_rate / rate))
    held = values[1:] == values[:-1]
    changes = np.flatnonzero(~held.all(axis=1)) + 1
    phase = int(np.bincount(changes % k).argmax()) if len(changes) else 0
    return np.arange(phase, len(values), k)


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _stream(
    name: str,
    part: _Part,
    clock: _Clock,
    columns: ColumnMap,
    context: "tuple[str, pd.DataFrame]",
    notes: list[str],
) -> tuple[Block, ...]:
    """Return the blocks of a stream."""
    participant, frame = context
    channels, values = _channels(name, part, notes)
    info = StreamInfo(
        name, Fraction(0), channels, participant=participant, site=columns.site
    )
    rate = part.signals[0].rate or columns.rate
    if columns.counter and not part.signals[0].time:
        return _counted(info, part, values, clock, frame, columns)
    if not len(clock.seconds):
        at = info.with_channels(Fraction(str(rate)), *channels)
        return (Block(at, 0, 0.0, np.ascontiguousarray(values)),)
    times = clock.seconds[part.rows]
    keep = _usable(name, times, values, notes)
    times, values = times[keep], values[keep]
    nominal = estimate_rate(times)
    if rate and abs(float(nominal) / rate - 1) < _OTHER:
        nominal = Fraction(str(rate))
    if not nominal:
        if len(times):
            raise ValueError(
                f"{name} has fewer than two rows that differ in time: its rate is "
                "unknown; state the rate in the map"
            )
        return (Block(info.with_channels(Fraction(1), *channels), 0, 0.0, values),)
    grid = fit(times, nominal)
    if grid.order is not None:
        times, values = times[grid.order], np.ascontiguousarray(values[grid.order])
    early = _burst_delay(times, grid)
    if early and rate and abs(float(grid.rate) / rate - 1) < _SHORT:
        grid = _with_rate(grid, nominal)
    at = info.with_channels(grid.rate, *channels)
    unix = clock.unix if np.isfinite(clock.unix) else 0.0
    notes += [
        f"the clock of {name} steps by {step.seconds:.3g} s before row "
        f"{part.rows[keep][step.sample] + 1}: corrected"
        for step in grid.steps
        if abs(step.seconds) >= 1
    ]
    if rate and abs(float(grid.rate) / rate - 1) > _SHORT:
        notes.append(f"{name} measures {float(grid.rate):.4g} Hz, not {rate:g} Hz")
    return tuple(
        Block(
            at,
            run.start,
            run.epoch - early,
            np.ascontiguousarray(values[a:b]),
            unix + times[a:b],
        )
        for run in grid.runs
        for a, b in [(run.first, run.last)]
    ) or (Block(at, 0, 0.0, values),)


def _with_rate(grid: SampleGrid, rate: Fraction) -> SampleGrid:
    """Return a grid with another rate, whose runs begin at the same times."""
    change = float(1 / grid.rate - 1 / rate)
    runs = tuple(r._replace(epoch=r.epoch + r.start * change) for r in grid.runs)
    return grid._replace(rate=rate, runs=runs)


def _burst_delay(times: Array, grid: SampleGrid) -> float:
    """Return the delay of samples that were stamped as their bursts arrived (s).

    The last sample of a burst is the least delayed.
    """
    period = 1 / float(grid.rate)
    if len(times) < 8 or np.mean(np.diff(times) < period / 2) < 0.6:
        return 0.0
    late = np.concatenate(
        [
            times[r.first : r.last]
            - r.epoch
            - (r.start + np.arange(r.last - r.first)) * period
            for r in grid.runs
        ]
    )
    return float(-np.quantile(late, 0.02))


def _counted(
    info: StreamInfo,
    part: _Part,
    values: Array,
    clock: _Clock,
    frame: "pd.DataFrame",
    columns: ColumnMap,
) -> tuple[Block, ...]:
    """Return the blocks of a stream whose losses a counter shows."""
    _require(frame, [columns.counter])
    counter = numbers(frame, columns.counter, [])[part.rows]
    counted = np.isfinite(counter)
    times = clock.seconds[part.rows] if len(clock.seconds) else np.zeros(len(counter))
    unix = clock.unix if np.isfinite(clock.unix) else 1.0
    stamps = times + unix if len(clock.seconds) else times
    rate = columns.rate or float(estimate_rate(times[counted]))
    if not rate:
        raise ValueError(f"the rate of {info.name} is unknown; state it in the map")
    at = info.with_channels(Fraction(str(rate)), *info.channels)
    number = positions(counter[counted], stamps[counted], rate)
    number, first = np.unique(number, return_index=True)
    values, stamps = values[counted][first], stamps[counted][first]
    number -= number[0] if len(number) else 0
    cuts = np.flatnonzero(np.diff(number) != 1) + 1
    return tuple(
        Block(at, int(n[0]), 0.0, np.ascontiguousarray(x), s)
        for n, x, s in zip(
            np.split(number, cuts),
            np.split(values, cuts),
            np.split(stamps, cuts),
            strict=True,
        )
        if len(n)
    ) or (Block(at, 0, 0.0, np.empty((0, len(info.channels)))),)


def _channels(
    name: str, part: _Part, notes: list[str]
) -> tuple[tuple[Channel, ...], Array]:
    """Return channels, and values converted to their units."""
    channels, columns = [], []
    labels = unique(signal.channel for signal in part.signals)
    for i, (signal, label) in enumerate(zip(part.signals, labels, strict=True)):
        usual = signal.stream.unit
        data, unit = convert_unit(
            part.values[:, i] * signal.factor + signal.offset, signal.unit, usual
        )
        if note := unit_note(name, signal.unit, usual, [label]):
            notes.append(note)
        channels.append(Channel(label, signal.stream.kind, unit))
        columns.append(data)
    return tuple(channels), np.column_stack(columns)


def _usable(
    name: str, times: Array, values: Array, notes: list[str]
) -> npt.NDArray[np.int64]:
    """Return the rows that have a time, in order of time."""
    rows = np.flatnonzero(np.isfinite(times))
    filled = ~np.isnan(values).all(axis=1)
    if n := int((filled & ~np.isfinite(times)).sum()):
        notes.append(f"{counted(n, 'row')} of {name} without a time")
    steps = np.diff(times[rows])
    if len(steps) and -_BACK <= steps.min() < 0:
        late = counted(int((steps < 0).sum()), "row")
        notes.append(f"{late} of {name} out of order")
        rows = rows[np.argsort(times[rows], kind="stable")]
    return rows


def _events(
    frame: "pd.DataFrame",
    columns: ColumnMap,
    clocks: Mapping[str, _Clock],
    participant: str,
    streams: Mapping[str, tuple[Block, ...]],
    notes: list[str],
) -> dict[str, Events]:
    """Return intervals, heart rates and markers as events."""
    events: dict[str, Events] = {}
    end = max((b[-1].complete_until for b in streams.values() if len(b[-1])), default=0)
    for signal in (s for s in columns.signals if s.is_event):
        part = {"rr": "ibi", "hr": "hr", "marker": "markers"}[signal.kind]
        name = _free(f"{slug(columns.name)}.{part}", events)
        times = clocks[signal.time].seconds
        if not len(times) and signal.kind != "rr":
            rate = columns.rate
            times = np.arange(len(frame)) / rate
        labels: tuple[str, ...] = ()
        if signal.kind == "marker":
            times, labels, data = _marks(frame, signal, times)
            channels: tuple[Channel, ...] = ()
        else:
            times, data, channels = _beats(frame, signal, times, notes)
        order = np.argsort(times, kind="stable")
        info = StreamInfo(
            name, Fraction(0), channels, participant=participant, site=columns.site
        )
        until = max([float(end), *times[order][-1:].tolist()])
        labels = tuple(labels[i] for i in order) if labels else ()
        events[name] = Events(info, until, times[order], data[order], labels)
    return events


def _marks(
    frame: "pd.DataFrame", signal: ColumnSignal, times: Array
) -> tuple[Array, tuple[str, ...], Array]:
    """Return time and text of each row whose marker is set, and differs from 0."""
    texts = frame[signal.column].astype(str).str.strip().str.removesuffix(".0")
    quiet = texts.str.lower().isin(("", "nan", "none", "0", "-", "<na>")).to_numpy()
    rows = np.flatnonzero(~quiet & np.isfinite(times))
    labels = tuple(" ".join(t.split())[:200] for t in texts.iloc[rows])
    return times[rows], labels, np.empty((len(rows), 0))


def _beats(
    frame: "pd.DataFrame", signal: ColumnSignal, times: Array, notes: list[str]
) -> tuple[Array, Array, tuple[Channel, ...]]:
    """Return times and values of intervals (s) or heart rates (1/min)."""
    values = numbers(frame, signal.column, notes) * signal.factor + signal.offset
    if signal.kind == "hr":
        rows = np.flatnonzero(np.isfinite(values) & np.isfinite(times))
        channel = Channel("hr", "misc", "1/min")
        return times[rows], values[rows, None], (channel,)
    intervals, _ = convert_unit(values, signal.unit or interval_unit(values), "s")
    rows = np.flatnonzero(np.isfinite(intervals))
    at = np.cumsum(intervals[rows])
    if len(times):
        rows = np.flatnonzero(np.isfinite(intervals) & np.isfinite(times))
        at = beat_times(times[rows], intervals[rows])
    channel = Channel("interval", "misc", "s")
    return at, intervals[rows, None], (channel,)


def beat_times(stamps: Array, intervals: Array) -> Array:
    """Return the times of beats (s) from stamps and intervals (s), shape (n,).

    Apps stamp intervals when they receive them, several at once. Unless the stamps
    differ by the intervals, each beat therefore follows the one before by its interval,
    and a stamp counts only if it is more than 3 s later: then beats were lost.
    """
    steps = np.diff(stamps)
    if not len(steps) or np.median(np.abs(steps - intervals[1:])) < 0.005:
        return stamps
    times = np.empty(len(stamps))
    now = float(stamps[0])
    for i, (stamp, interval) in enumerate(
        zip(stamps.tolist(), intervals.tolist(), strict=True)
    ):
        now = now + interval if i else now
        now = stamp if stamp - now > _PAUSE else now
        times[i] = now
    return times


def interval_unit(values: Array) -> str:
    """Return the unit of intervals between beats by their size: ``s`` or ``ms``."""
    filled = values[np.isfinite(values)]
    return "s" if len(filled) and np.median(filled) < 10 else "ms"


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return a name, followed by the first free number if it is taken."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    return candidate
