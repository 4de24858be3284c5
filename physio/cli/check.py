"""The check before a session, and during it: what each channel looks like."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from physio.online.channel_monitor import ChannelMonitor

_COLUMNS: Final = ("stream", "channel", "condition", "there", "range", "mains", "fast")


def check(
    source: Annotated[
        Path,
        typer.Argument(help="A session file (TOML), a recording, a session's folder."),
    ],
    seconds: Annotated[
        float, typer.Option(min=5.0, help="How long to look at devices (s).")
    ] = 10.0,
    mains: Annotated[
        float, typer.Option(min=1.0, help="Frequency of the mains (Hz).")
    ] = 50.0,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
    trust: Annotated[
        list[str],
        typer.Option(help="Another package that `use` in a session file may name."),
    ] = [],  # noqa: B006 typer wants a list
) -> None:
    """Look at every channel: flat, railed, off, noisy, or good.

    Before a session, given its file, shows each channel once a second while it looks,
    and the whole table at the end; nothing is recorded. Given a recording, does so for
    all of it; given the folder of a session that runs, shows what its channels are now.
    Status 1 if a channel is not fit for a session.

    Example: `physio check configs/synthetic-board.toml --seconds 10`
    """
    from physio.online.channel_monitor import ChannelMonitor, unfit
    from physio.sinks.channel_status import FILE

    key = "condition"
    if source.is_dir() and (source / FILE).is_file():
        figures, key = json.loads((source / FILE).read_text("utf-8"))["streams"], "now"
    else:
        conditions = ChannelMonitor(mains=mains)
        if source.suffix == ".toml":
            _watch(conditions, source, tuple(trust), seconds)
        else:
            _recorded(conditions, source)
        figures = conditions.figures()
    typer.echo("")
    for line in _table(figures, key):
        typer.echo(line)
    bad = unfit(figures, key)
    typer.echo(f"not fit: {', '.join(bad)}" if bad else "every channel is fit")
    if json_path:
        json_path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    if bad:
        raise typer.Exit(1)


COMMANDS: Final[list[Callable[..., None]]] = [check]


def _table(figures: dict[str, dict[str, dict[str, Any]]], key: str) -> list[str]:
    """Return the lines of a table of all channels."""
    rows = [_COLUMNS]
    for stream, channels in figures.items():
        for name, told in channels.items():
            numbers = [_short(told[k]) for k in ("range", "mains", "fast")]
            there = "" if told["present"] is None else f"{told['present']:.0%}"
            numbers = [f"{n} {told['unit']}" if n else "" for n in numbers]
            rows.append((stream, name, told[key], there, *numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _recorded(conditions: "ChannelMonitor", source: Path) -> None:
    """Look at a recording, stream by stream."""
    import physio

    recording = physio.read(source)
    conditions.know(b[0].info for b in recording.streams.values() if b)
    for blocks in recording.streams.values():
        for block in blocks:
            conditions.take(block)


def _watch(
    conditions: "ChannelMonitor", file: Path, trust: tuple[str, ...], seconds: float
) -> None:
    """Look at devices for some seconds, and say what is seen."""
    from physio.core.block import Block
    from physio.core.protocols import WallClock
    from physio.online import session_config

    clock = WallClock()
    with ExitStack() as stack:
        devices = session_config.read(file, trust).devices(clock)
        opened = [stack.enter_context(device) for device in devices]
        for device in opened:
            conditions.know(device.streams)
        end = clock.now() + seconds
        while clock.now() < end:
            clock.wait(0.1)
            for item in (i for device in opened for i in device.read()):
                if isinstance(item, Block) and conditions.take(item)[0]:
                    now = conditions.now(item.info.name).items()
                    said = ", ".join(f"{name} {word}" for name, word in now)
                    typer.echo(f"{item.info.name}: {said}")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
