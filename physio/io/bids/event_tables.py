"""Events in BIDS: ``events.tsv`` for all, ``physioevents`` for values of devices."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Channel, Origin
from physio.core.counted_nouns import counted
from physio.core.event_durations import RULE, event_ends
from physio.core.events import Events, event_stream
from physio.core.recording import RATINGS, STREAM_TIMEOUT, Recording, base_name
from physio.core.stream_codec import from_dict, to_dict
from physio.io.bids.sidecars import (
    KEY,
    MISSING,
    Row,
    number_text,
    read_number,
    read_table,
    task_metadata,
    write_json,
    write_table,
)

NAME: Final = "bids.events"
"""Name of the stream with the events of a data set of others."""

HED: Final = "bids.hed"
"""Key of a recording's metadata: HED tags of its events, as JSON."""

SKIP: Final = "BAD_ACQ_SKIP"
"""Text of an event that marks lost samples, as MNE writes it."""

HED_VERSION: Final = "8.4.0"

_LEVELS: Final = 100  # texts that are described one by one
_LABELS: Final = ("trial_type", "event_type", "value", "trigger", "stim_file")
"""Columns of ``events.tsv`` that name an event, in this order."""

_NO_VALUES: Final = (
    "onset",
    "duration",
    "sample",
    "HED",
    "stream",
    "response_time_unit",
)


def is_public(events: Events) -> bool:
    """Return whether events belong into ``events.tsv``: markers, ratings, beats.

    The truth of a simulation and timeouts do not.
    """
    info = events.info
    is_truth = info.origin is Origin.SIMULATED and not info.name.endswith(".conditions")
    return info.name != STREAM_TIMEOUT and not is_truth


def write_events(
    recording: Recording,
    names: Sequence[str],
    stem: Path,
    zero: float,
    task: str,
    *,
    about: Mapping[str, Any] | None = None,
    gaps: Sequence[tuple[float, float]] = (),
) -> None:
    """Write ``events.tsv`` and its sidecar.

    Parameters
    ----------
    recording
        The recording.
    names
        Event streams to write.
    stem
        Path without extension.
    zero
        Time of onset 0 (s, session clock).
    task
        Name of the task.
    about
        Content of the key of this package in the sidecar, beside that of events; by
        default the sidecar has no such key.
    gaps
        Begin and end (s, session clock) of lost samples of the EEG, which MNE excludes
        as ``BAD_ACQ_SKIP``.
    """
    streams = [recording.events[name] for name in names]
    columns = list(dict.fromkeys(c for e in streams for c in e.info.names))
    titles = {c: c if c not in _RESERVED else f"{c}_" for c in columns}
    hed = _hed(recording)
    tags = hed.get("rows", []) if NAME in names else []
    header = ["onset", "duration", "trial_type", "stream", *titles.values()]
    rows = []
    for number, (name, events) in enumerate(zip(names, streams, strict=True)):
        ends = event_ends(recording, name)
        for i, time in enumerate(events.times.tolist()):
            values = dict(zip(events.info.names, events.data[i].tolist(), strict=True))
            cells = [number_text(values.get(c, np.nan)) for c in columns]
            length = _seconds(float(ends[i]) - time)
            row = [repr(time - zero), length, _text(events, i), name, *cells]
            if tags:
                row.append(tags[i] if name == NAME and i < len(tags) else MISSING)
            rows.append((time, number, i, row))
    for begin, end in gaps:
        row = [repr(begin - zero), _seconds(end - begin), SKIP, MISSING]
        row += [MISSING] * (len(columns) + bool(tags))
        rows.append((begin, -1, len(rows), row))
    if tags:
        header.append("HED")
    write_table(Path(f"{stem}.tsv"), header, (row for *_, row in sorted(rows)))
    table = {
        **task_metadata(task),
        **_description(streams, hed.get("levels", {}), gaps=bool(gaps)),
    }
    for e in streams:
        for c in e.info.channels:
            table[titles[c.name]] = _value(c, e.info.name)
    if about is not None:
        described = {e.info.name: _exact(e, zero) for e in streams}
        table[KEY] = {**about, "events": described}
    write_json(Path(f"{stem}.json"), table)


_RESERVED: Final = ("onset", "duration", "trial_type", "stream", "HED", "sample")


def hidden_events(events: Events) -> dict[str, Any]:
    """Return events that are not for ``events.tsv``, whole, as values for JSON."""
    return {
        "info": to_dict(events.info),
        "complete_until": events.complete_until,
        "times": events.times.tolist(),
        "data": events.data.tolist(),
        "labels": list(events.labels),
    }


def restore_hidden(table: Mapping[str, Any]) -> Events:
    """Return the events that `hidden_events` described."""
    info, times = from_dict(table["info"]), np.array(table["times"], np.float64)
    data = np.array(table["data"], np.float64).reshape(len(times), len(info.channels))
    labels = tuple(map(str, table["labels"]))
    return Events(info, float(table["complete_until"]), times, data, labels)


def read_exact(
    rows: Sequence[Row], table: Mapping[str, Any], zero: float, titles: Iterable[str]
) -> Events:
    """Return events from rows of this package and their description.

    Raises
    ------
    ValueError
        If the number of rows differs from that of the description.
    """
    info = from_dict(table["info"])
    if len(rows) != table["n"]:
        raise ValueError(
            f"has {len(rows)} events of {info.name}; its description has {table['n']}"
        )
    times = np.array([zero + float(row["onset"]) for row in rows])
    for i, time in table.get("times", {}).items():
        times[int(i)] = time
    given = set(titles)
    names = [n if n in given and n not in _RESERVED else f"{n}_" for n in info.names]
    cells = [[read_number(row.get(n, MISSING)) for n in names] for row in rows]
    labels: list[str] = [row.get("trial_type", "") for row in rows]
    for i, text in table.get("labels", {}).items():
        labels[int(i)] = text
    data = np.array(cells, np.float64).reshape(len(rows), len(names))
    until = float(table["complete_until"])
    return Events(info, until, times, data, tuple(labels) if table["labelled"] else ())


def read_events(path: Path, zero: float, participant: str) -> tuple[Events, list[str]]:
    """Return the events of any ``events.tsv``, and sentences on what was left out.

    An event has the text of ``trial_type`` (or of ``value`` ... without one), its
    duration in the channel ``seconds``, and the numbers of further columns.
    """
    rows = [(read_number(row.get("onset", "")), i, row)
            for i, row in enumerate(read_table(path))]  # fmt: skip
    placed = sorted((at, i, row) for at, i, row in rows if np.isfinite(at))
    notes = []
    if lost := len(rows) - len(placed):
        notes.append(
            f"{path.name}: {lost} of {counted(len(rows), 'event')} left out: no onset"
        )
    named = [row for *_, row in placed]
    columns = [c for c in (named[0] if named else ()) if _is_numeric(c, named)]
    channels = (Channel("seconds", "misc", "s"), *map(Channel, columns))
    info = replace(event_stream(NAME, *channels), participant=participant)
    data = np.array(
        [[read_number(row.get(c, "")) for c in ("duration", *columns)] for row in named]
    )
    times = np.array([zero + at for at, *_ in placed])
    until = float(times[-1]) if len(times) else zero
    events = Events(
        info, until, times, data.reshape(len(named), len(channels)),
        tuple(map(_label, named)),
    )  # fmt: skip
    return events, notes


def read_hed(rows: Sequence[Row], sidecar: Mapping[str, Any]) -> str:
    """Return the HED tags of events and of their columns as JSON; empty without any."""
    levels: dict[str, Any] = {
        column: about["HED"]
        for column, about in sidecar.items()
        if isinstance(about, dict) and column != KEY and "HED" in about
    }
    ordered = sorted(
        (read_number(row.get("onset", "")), i, row) for i, row in enumerate(rows)
    )
    tags = [row.get("HED", "") or MISSING for at, _, row in ordered if np.isfinite(at)]
    hed: dict[str, Any] = {"levels": levels} if levels else {}
    if any(tag != MISSING for tag in tags):
        hed["rows"] = tags
    return json.dumps(hed) if hed else ""


def _is_numeric(column: str, rows: Sequence[Row]) -> bool:
    """Return whether a further column holds numbers only, at least one."""
    if column in _NO_VALUES or column == "trial_type":
        return False
    cells = [row.get(column, "") for row in rows]
    given = [cell for cell in cells if cell not in ("", MISSING)]
    return bool(given) and all(read_number(cell) == read_number(cell) for cell in given)


def _label(row: Row) -> str:
    given = (row.get(column, "") for column in _LABELS)
    return next((text for text in given if text not in ("", MISSING)), "event")


def _text(events: Events, i: int) -> str:
    text = " ".join(events.labels[i].split()) if events.labels else ""
    return text or events.info.name


def _seconds(length: float) -> str:
    return f"{round(length, 6):g}" if length < 1e4 else repr(round(length, 6))


def _exact(events: Events, zero: float) -> dict[str, Any]:
    """Return what a table with onsets and texts does not hold of events to the bit."""
    times = events.times.tolist()
    table: dict[str, Any] = {
        "info": to_dict(events.info),
        "n": len(events),
        "complete_until": events.complete_until,
        "labelled": bool(events.labels),
    }
    inexact = {i: t for i, t in enumerate(times) if zero + (t - zero) != t}
    labels = {i: x for i, x in enumerate(events.labels) if _text(events, i) != x}
    return {
        **table,
        **({"times": inexact} if inexact else {}),
        **({"labels": labels} if labels else {}),
    }


def _hed(recording: Recording) -> dict[str, Any]:
    try:
        table = json.loads(recording.metadata.get(HED, "{}"))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _description(
    streams: Sequence[Events], hed: Mapping[str, Any], *, gaps: bool
) -> dict[str, Any]:
    """Return the description of the columns, with HED tags of the texts."""
    trial_type: dict[str, Any] = {"Description": "text of the marker, or its stream"}
    rows = [(e.info.name, _text(e, i), t) for e in streams
            for i, t in enumerate(e.times.tolist())]  # fmt: skip
    kinds = {text: name for name, text, _ in reversed(rows)}
    if 0 < len(kinds) <= _LEVELS:
        twice = {text for (_, text, _), n in Counter(rows).items() if n > 1}
        trial_type["Levels"] = {t: f"event of {name}" for t, name in kinds.items()}
        tags = {t: _tags(t, n) for t, n in kinds.items() if t not in twice}
        if gaps:
            trial_type["Levels"][SKIP] = "lost samples"
            tags[SKIP] = "(Data-feature, Label/lost-samples)"
        trial_type["HED"] = {**tags, **_mapping(hed.get("trial_type"))}
    stream: dict[str, Any] = {"Description": "stream of the event in the recording"}
    if trial_type.get("HED"):
        names = dict.fromkeys(name for name, *_ in rows)
        stream["HED"] = {name: f"Label/{_hed_name(name)}" for name in names}
    return {
        "onset": {"Description": "begin after the first sample", "Units": "s"},
        "duration": {"Description": RULE, "Units": "s"},
        "trial_type": trial_type,
        "stream": stream,
        "StimulusPresentation": {"SoftwareName": MISSING},
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tags(text: str, stream: str) -> str:
    """Return HED tags of an event by its stream, with its text as a label."""
    kind = "Sensory-event"
    if base_name(stream) == RATINGS:
        kind = "Agent-action, Participant-response"
    elif stream.startswith("session."):
        kind = "Experiment-control"
    # The stream tells events with one text at one time apart.
    text = "" if text == stream else f"Label/{_hed_name(text)}, "
    return f"({kind}, {text}{{stream}})"


def _hed_name(text: str) -> str:
    return re.sub("[^A-Za-z0-9]+", "-", text).strip("-") or "event"


def _value(channel: Channel, stream: str) -> dict[str, str]:
    table = {"Description": f"{channel.name} of {stream}"}
    return {**table, "Units": channel.unit} if channel.unit != "1" else table


def without_gaps(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are events of a stream of this package."""
    return [r for r in rows if r.get("stream") != MISSING or r["trial_type"] != SKIP]


def rows_of(text_rows: Sequence[Row], stream: str) -> list[Row]:
    """Return the rows of one stream."""
    return [row for row in text_rows if row.get("stream") == stream]


def values_of(columns: Sequence[str], lines: Sequence[str]) -> list[Row]:
    """Return the rows of a table without a header."""
    cells = (line.rstrip("\r").split("\t") for line in lines if line.strip())
    return [dict(zip(columns, row, strict=False)) for row in cells]
