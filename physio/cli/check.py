"""The command that checks the signal of every channel."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.channel_option import Channels, corrected, with_channels
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    JsonPath,
    Subject,
    Task,
    Trust,
    config_path,
    say,
    working,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from physio.core.block import StreamInfo
    from physio.core.events import Item
    from physio.core.recording import Recording
    from physio.online.session_config import SessionConfig
    from physio.quality.channel_monitor import ChannelMonitor

    Rows = list[dict[str, Any]]

_COMPUTED = (".hr", ".spo2")  # streams that a device computes: no sensor fails
_COLUMNS: Final = ("stream", "channel", "condition", "there", "range", "mains", "fast")


def check(
    source: Annotated[
        Path,
        typer.Argument(
            help="Session file (TOML, or the name of a shipped one), recording or "
            "folder of a session.",
            callback=config_path,
        ),
    ],
    seconds: Annotated[
        float, typer.Option(min=5.0, help="Duration of the check of devices (s).")
    ] = 30.0,
    line_freq: Annotated[
        float, typer.Option(min=1.0, help="Power line frequency (Hz).")
    ] = 50.0,
    channels: Channels = None,
    json_path: JsonPath = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    participant: Subject = "",
    task: Task = "",
) -> None:
    """Check every channel, and what can be computed of every stream.

    Of a session file, the devices run for some seconds: the status of each channel is
    shown once a second and in a table at the end; nothing is recorded. Of a recording,
    all of it is checked. The table of streams follows: typical values, the share of
    time with a value for each chain, and the reasons for missing ones. Of the folder of
    a running session, the present status is shown. The exit status is 1 if a channel is
    not fit for a session, or a chain gives no value.

    Example: `physio check configs/synthetic-board.toml --seconds 30`
    """
    from physio.datasets.open_recording import read
    from physio.online import session_config
    from physio.quality.channel_monitor import ChannelMonitor, unfit
    from physio.sinks.channel_status import FILE

    key = "condition"
    rows: Rows = []
    notes: list[str] = []
    if source.is_dir() and (source / FILE).is_file():
        figures, key = json.loads((source / FILE).read_text("utf-8"))["streams"], "now"
    else:
        conditions = ChannelMonitor(mains=line_freq)
        if source.suffix == ".toml":
            file = with_channels(session_config.read(source, tuple(trust)), channels)
            rows = _watch(conditions, file, seconds)
        else:
            with working(f"check of {source.name}: reading and computing"):
                at = source / "recording.xdf" if _is_session(source) else source
                part = {"session": session, "participant": participant, "task": task}
                recording = read(at, board=board, columns=columns, **part)
                recording = corrected(recording, channels)
                rows, notes = _recorded(
                    conditions, recording, source.name, tuple(trust)
                )
        figures = conditions.figures()
    say("")
    for line in _table(figures, key):
        say(line)
    bad = [*unfit(figures, key), *_report_streams(rows, notes)]
    say(f"not fit: {'; '.join(bad)}" if bad else _verdict(rows))
    write_json(json_path, {"channels": figures, "streams": rows, "notes": notes})
    if bad:
        raise typer.Exit(1)


def _report_streams(rows: "Rows", notes: list[str]) -> list[str]:
    """Print the table of streams; return what is wrong with them."""
    from physio.online.session_table import without_values
    from physio.view.stream_table import stream_lines

    if not rows:
        return []
    say("")
    for line in (*stream_lines(rows), *notes):
        say(line)
    judged = (row for row in rows if not row["name"].endswith(_COMPUTED))
    faults = [f"{row['name']}: {text}" for row in judged for text in row["faults"]]
    return [*faults, *without_values(rows)]


def _verdict(rows: "Rows") -> str:
    """Return the verdict on streams without a fault, and what it does not cover."""
    from physio.online.session_table import not_judged

    if rows and not any(row["rate"] for row in rows):
        return "no channel to check: the recording has events only"
    parts = ["every channel is fit"]
    unused = [
        row["name"]
        for row in rows
        if row["rate"] and not row["computed"] and not row["name"].endswith(".truth")
    ]
    if unused:
        parts.append(f"nothing is computed of {', '.join(unused)}")
    if soon := not_judged(rows):
        parts.append(f"too short to judge {', '.join(soon)}: check for longer")
    return "; ".join(parts)


def _table(figures: dict[str, dict[str, dict[str, Any]]], key: str) -> list[str]:
    """Return the lines of a table of all channels."""
    rows = [_COLUMNS]
    for stream, channels in figures.items():
        for name, figures_of in channels.items():
            numbers = [_short(figures_of[k]) for k in ("range", "mains", "fast")]
            there = (
                "" if figures_of["present"] is None else f"{figures_of['present']:.0%}"
            )
            numbers = [f"{n} {figures_of['unit']}" if n else "" for n in numbers]
            rows.append((stream, name, figures_of[key], there, *numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _recorded(
    conditions: "ChannelMonitor",
    recording: "Recording",
    name: str,
    trust: tuple[str, ...],
) -> "tuple[Rows, list[str]]":
    """Check a recording; return the table of its streams, and the reader's notes."""
    from physio.cli.summary import reader_notes
    from physio.online import session_config

    inputs = recording.inputs
    conditions.add_streams(i for i in inputs if i.rate)
    for info in inputs:
        for block in recording.streams.get(info.name, ()):
            conditions.push(block)
    notes = reader_notes(recording)
    try:
        file = session_config.recorded(recording, trust)
    except ValueError as error:
        file = None
        notes.append(f"checked with the default chains: {error}")
    file = file or session_config.SessionConfig(at=name, trust=trust)
    return _computed(file, recording), notes


def _is_session(source: Path) -> bool:
    return source.is_dir() and (source / "recording.xdf").is_file()


def _computed(file: "SessionConfig", recording: "Recording") -> "Rows":
    """Compute features of a recording; return the table of its streams."""
    from dataclasses import replace

    from physio.core.stage import Chain
    from physio.online.engine import Engine, run
    from physio.online.session_table import SessionTable
    from physio.online.shipped_chains import chain_notes

    streams = recording.inputs
    plan = replace(file.plan(streams), estimator=Chain(), estimators={})
    engine = Engine(plan, recording.infos, recording.begin)
    table = SessionTable(streams)
    for info in streams:
        for item in recording.streams.get(info.name, ()):
            table.take(item)
        if info.name in recording.events:
            table.take(recording.events[info.name])
    for result in run(recording, plan, engine=engine):
        table.take(result)
    for notice in engine.notices:
        say(notice)
    chains = {key: chain.streams for key, chain in plan.chains.items()}
    return table.rows(chains, chain_notes(streams))


def _watch(
    conditions: "ChannelMonitor", file: "SessionConfig", seconds: float
) -> "Rows":
    """Check devices for some seconds; print the status of their channels."""
    from physio.core.block import Block
    from physio.core.protocols import WallClock

    clock = WallClock()
    items: list[Item] = []
    with ExitStack() as stack:
        devices = file.devices(clock)
        connected = [stack.enter_context(device) for device in devices]
        streams = [info for device in connected for info in device.streams]
        conditions.add_streams(streams)
        begin = clock.now()
        while clock.now() < begin + seconds:
            clock.wait(0.1)
            for item in (i for device in connected for i in device.read()):
                items.append(item)
                if isinstance(item, Block) and conditions.push(item)[0]:
                    now = conditions.conditions(item.info.name).items()
                    status = ", ".join(f"{name} {word}" for name, word in now)
                    say(f"{item.info.name}: {status}")
    return _computed(file, _recording_of(streams, items, begin))


def _recording_of(
    streams: "Iterable[StreamInfo]", items: "Iterable[Item]", begin: float
) -> "Recording":
    """Return what devices sent as a recording; a silent stream has an empty block."""
    import numpy as np

    from physio.core.block import Block
    from physio.core.events import Events
    from physio.core.recording import Recording

    blocks: dict[str, list[Block]] = {}
    events: dict[str, list[Events]] = {}
    for info in streams:
        if info.rate:
            empty = np.empty((0, len(info.channels)))
            blocks[info.name] = [Block(info, 0, begin, empty)]
    for item in items:
        if isinstance(item, Block):
            blocks[item.info.name].append(item)
        else:
            events.setdefault(item.info.name, []).append(item)
    merged = {
        name: Events(
            parts[0].info,
            parts[-1].complete_until,
            np.concatenate([p.times for p in parts]),
            np.concatenate([p.data for p in parts]),
            tuple(label for p in parts for label in p.labels),
        )
        for name, parts in events.items()
    }
    named = {name: tuple(parts) for name, parts in blocks.items()}
    return Recording(named, merged, (), {"begin": repr(begin)})


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
