"""The check before a session: what each channel looks like, one by one."""

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from physio.core.block import Block, Info
    from physio.core.ports import Clock, Device

_COLUMNS: Final = ("stream", "channel", "condition", "there", "range", "mains", "fast")


def check(
    source: Annotated[
        Path, typer.Argument(help="A session file (TOML), or a recording.")
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
    """Look at every channel before a session: flat, railed, off, noisy, or good.

    Shows each channel once a second while it looks, and the whole table at the end.
    Nothing is recorded. Status 1 if a channel is not fit for a session.

    Example: `physio check configs/synthetic-board.toml --seconds 10`
    """
    checkup = _Checkup(mains)
    if source.suffix == ".toml":
        from physio.core.ports import WallClock
        from physio.online import plan

        clock = WallClock()
        devices = plan.read(source, tuple(trust)).devices(clock)
        _watch(checkup, devices, clock, seconds)
    else:
        import physio

        recording = physio.read(source)
        checkup.know(b[0].info for b in recording.streams.values() if b)
        for blocks in recording.streams.values():
            for block in blocks:
                checkup.take(block)
    typer.echo("")
    for line in checkup.table():
        typer.echo(line)
    bad = checkup.bad()
    typer.echo(f"not fit: {', '.join(bad)}" if bad else "every channel is fit")
    if json_path:
        json_path.write_text(json.dumps(checkup.figures(), indent=1) + "\n", "utf-8")
    if bad:
        raise typer.Exit(1)


COMMANDS: Final[list[Callable[..., None]]] = [check]


class _Checkup:
    """The conditions of all channels so far."""

    def __init__(self, mains: float) -> None:
        from physio.core.stage import Flow
        from physio.dsp.condition import Condition

        self._flow, self._stage = Flow, Condition(mains=mains)
        self._flows: dict[str, Any] = {}
        self._rows: dict[str, list[Any]] = {}
        self._count: dict[tuple[str, str], dict[str, int]] = {}

    def know(self, streams: Iterable["Info"]) -> None:
        """Begin to look at streams that have a rate, the truth of simulations apart."""
        for info in streams:
            if info.rate >= 1 and not info.name.endswith(".truth"):
                self._flows[info.name] = self._flow(self._stage, info)
                self._rows[info.name] = []

    def take(self, block: "Block") -> list[str]:
        """Take in a block; return a line for each second that it completes."""
        from physio.dsp.condition import CONDITIONS

        flow = self._flows.get(block.info.name)
        if flow is None:
            return []
        lines = []
        names = [c.name for c in block.info.channels]
        for row in flow.push(block).data:
            self._rows[block.info.name].append(row)
            said = []
            for name, code in zip(names, row[: len(names)].tolist(), strict=True):
                word = CONDITIONS[int(code)] if code == code else _reason(code)
                told = self._count.setdefault((block.info.name, name), {})
                told[word] = told.get(word, 0) + 1
                said.append(f"{name} {word}")
            lines.append(f"{block.info.name}: {', '.join(said)}")
        return lines

    def figures(self) -> dict[str, Any]:
        """Return, of each channel, its seconds by condition and its last figures."""
        from physio.dsp.condition import FIGURES

        found: dict[str, Any] = {}
        for stream, flow in self._flows.items():
            channels = flow.source.channels
            last = self._rows[stream][-1] if self._rows[stream] else None
            for i, c in enumerate(channels):
                told = self._count.get((stream, c.name), {})
                own = [] if last is None else last[i :: len(channels)].tolist()
                values = own or [None] * len(FIGURES)
                found.setdefault(stream, {})[c.name] = {
                    "unit": c.unit,
                    "seconds": told,
                    "condition": self._word(stream, c.name),
                    **{
                        f: None if v is None or v != v else float(v)
                        for f, v in zip(FIGURES[1:], values[1:], strict=True)
                    },
                }
        return found

    def _word(self, stream: str, channel: str) -> str:
        """Return what a channel was most of the time, once windows were full."""
        told = self._count.get((stream, channel), {})
        told = {k: n for k, n in told.items() if k != "warming up"}
        return max(told, key=lambda k: told[k]) if told else "missing"

    def bad(self) -> list[str]:
        """Return the channels that are not fit, and why."""
        from physio.dsp.condition import BAD, CONDITIONS

        fit = set(CONDITIONS) - BAD
        return [
            f"{stream} {name} ({told['condition']})"
            for stream, channels in self.figures().items()
            for name, told in channels.items()
            if told["condition"] not in fit
        ]

    def table(self) -> list[str]:
        """Return the lines of a table of all channels."""
        rows = [_COLUMNS]
        for stream, channels in self.figures().items():
            for name, told in channels.items():
                numbers = [_short(told[k]) for k in ("range", "mains", "fast")]
                there = "" if told["present"] is None else f"{told['present']:.0%}"
                numbers = [f"{n} {told['unit']}" if n else "" for n in numbers]
                rows.append((stream, name, told["condition"], there, *numbers))
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        return [
            "  ".join(
                cell.ljust(w) for cell, w in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]


def _watch(
    checkup: _Checkup, devices: "list[Device]", clock: "Clock", seconds: float
) -> None:
    """Look at devices for some seconds, and say what is seen."""
    from physio.core.block import Block

    with ExitStack() as stack:
        opened = [stack.enter_context(device) for device in devices]
        for device in opened:
            checkup.know(device.streams)
        end = clock.now() + seconds
        while clock.now() < end:
            clock.wait(0.1)
            for device in opened:
                for item in device.read():
                    lines = checkup.take(item) if isinstance(item, Block) else []
                    for line in lines:
                        typer.echo(line)


def _reason(code: float) -> str:
    from physio.core.reason import Reason, why

    return Reason(int(why([code])[0])).words


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
