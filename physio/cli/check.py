"""The command that checks the signal of every channel."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    JsonPath,
    Trust,
    config_path,
    say,
    write_json,
)

if TYPE_CHECKING:
    from physio.core.recording import Recording
    from physio.quality.channel_monitor import ChannelMonitor

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
    ] = 10.0,
    line_freq: Annotated[
        float, typer.Option(min=1.0, help="Power line frequency (Hz).")
    ] = 50.0,
    json_path: JsonPath = None,
    trust: Trust = [],  # noqa: B006 typer wants a list
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
) -> None:
    """Check every channel: flat, railed, off, noisy or good.

    Of a session file, the devices run for some seconds: the status of each channel is
    shown once a second and in a table at the end; nothing is recorded. Of a recording,
    all of it is checked. Of the folder of a running session, the present status is
    shown. The exit status is 1 if a channel is not fit for a session.

    Example: `physio check configs/synthetic-board.toml --seconds 10`
    """
    from physio.datasets.open_recording import read
    from physio.quality.channel_monitor import ChannelMonitor, unfit
    from physio.sinks.channel_status import FILE

    key = "condition"
    if source.is_dir() and (source / FILE).is_file():
        figures, key = json.loads((source / FILE).read_text("utf-8"))["streams"], "now"
    else:
        conditions = ChannelMonitor(mains=line_freq)
        if source.suffix == ".toml":
            _watch(conditions, source, tuple(trust), seconds)
        else:
            recording = read(source, board=board, columns=columns, session=session)
            _recorded(conditions, recording)
        figures = conditions.figures()
    say("")
    for line in _table(figures, key):
        say(line)
    bad = unfit(figures, key)
    say(f"not fit: {', '.join(bad)}" if bad else "every channel is fit")
    write_json(json_path, figures)
    if bad:
        raise typer.Exit(1)


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


def _recorded(conditions: "ChannelMonitor", recording: "Recording") -> None:
    """Check a recording, stream by stream."""
    conditions.add_streams(b[0].info for b in recording.streams.values() if b)
    for blocks in recording.streams.values():
        for block in blocks:
            conditions.push(block)


def _watch(
    conditions: "ChannelMonitor", file: Path, trust: tuple[str, ...], seconds: float
) -> None:
    """Check devices for some seconds; print the status of their channels."""
    from physio.core.block import Block
    from physio.core.protocols import WallClock
    from physio.online import session_config

    clock = WallClock()
    with ExitStack() as stack:
        devices = session_config.read(file, trust).devices(clock)
        connected = [stack.enter_context(device) for device in devices]
        for device in connected:
            conditions.add_streams(device.streams)
        end = clock.now() + seconds
        while clock.now() < end:
            clock.wait(0.1)
            for item in (i for device in connected for i in device.read()):
                if isinstance(item, Block) and conditions.push(item)[0]:
                    now = conditions.conditions(item.info.name).items()
                    status = ", ".join(f"{name} {word}" for name, word in now)
                    say(f"{item.info.name}: {status}")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
