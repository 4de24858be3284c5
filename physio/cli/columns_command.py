"""The command that proposes a map of the columns of a table."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physio.cli.output import JsonPath, say, write_json
from physio.core.counted_nouns import counted
from physio.core.private_file import refuse_link

if TYPE_CHECKING:
    from physio.io.tables.column_map import ColumnMap
    from physio.io.tables.column_proposal import Proposal
    from physio.io.tables.text_table import TextTable


def columns(
    path: Annotated[Path, typer.Argument(help="A table: text or Parquet.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The map (TOML); default: FILE.columns.toml beside it."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Figure of the signals (PNG); default: FILE.columns.png."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Propose a map of a table: times, signals, units and rates of its columns.

    The map is written as TOML, to be corrected where it is in doubt. Beside the table
    it is used by every command that takes a recording; elsewhere by `--columns`. A
    figure shows the signals. An existing map is shown, and never overwritten.

    Example: `physio columns walk.csv`

    Example: `physio replay walk.csv --columns walk.columns.toml --fast`
    """
    from physio.io.tables.column_map import read_map
    from physio.io.tables.column_proposal import Proposal, propose
    from physio.io.tables.read_table import load_table, map_path
    from physio.io.tables.table_presets import match_preset

    table = load_table(path)
    target = out or map_path(path)
    refuse_link(target)
    proposal = propose(table)
    if target.exists():
        given = read_map(target)
        proposal = Proposal(given, _meanings(given), ())
    elif known := match_preset(table):
        proposal = Proposal(known, {"": f"Table of {known.source}."}, ())
    chosen = proposal.columns
    for name in table.names:
        say(f"{name}: {proposal.reasons.get(name, '')}".removesuffix(": "))
    for doubt in proposal.doubts:
        say(f"in doubt: {doubt}")
    if chosen is None:
        raise ValueError(
            f"{path}: no column is named like a signal: write {target} with a kind for "
            'each signal, as in [signals] "My column" = { kind = "eda", unit = "uS" }'
        )
    say("")
    if not target.exists():
        text = _map_text(chosen, proposal, path.name)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        say(text)
    say(f"map: {target}")
    picture = figure or target.with_name(f"{path.stem}.columns.png")
    refuse_link(picture)
    _show(table, chosen, picture)
    write_json(
        json_path,
        {
            "map": str(target),
            "signals": {s.column: s.kind for s in chosen.signals},
            "doubts": list(proposal.doubts),
        },
    )


def _map_text(columns: "ColumnMap", proposal: "Proposal", name: str) -> str:
    """Return the map as TOML with its reasons.

    A rate that is unknown is left open, and a unit of time in doubt is a question.
    """
    from physio.io.tables.column_map import to_toml
    from physio.io.tables.column_proposal import NO_RATE, time_doubt

    remarks = dict(proposal.reasons)
    remarks[""] = "\n".join(
        [
            remarks.get("", f"Proposed by `physio columns {name}`."),
            *(f"In doubt: {doubt}." for doubt in proposal.doubts),
        ]
    )
    text = to_toml(columns, remarks)
    if columns.time and any(
        d.startswith(time_doubt(columns.time[0])) for d in proposal.doubts
    ):
        text = re.sub(
            r"(?m)^time = (.*?)(  #.*)?$",
            f"# Is the unit of the times {columns.time_unit}? Then remove the next #; "
            r"else correct it.\n# time = \1",
            text,
        )
    if NO_RATE not in proposal.doubts:
        return text
    guess = f"rate = {columns.rate:g}  # Hz\n"
    return text.replace(guess, "# rate = 64  # Hz, of the rows: state it\n", 1)


def _meanings(columns: "ColumnMap") -> dict[str, str]:
    """Return the meaning of each column that a map names, in words."""
    times = dict.fromkeys(columns.time, "times, by the map")
    return times | {s.column: f"{s.kind}, by the map" for s in columns.signals}


def _show(table: "TextTable", chosen: "ColumnMap", picture: Path) -> None:
    """Print a line for each stream that the map gives, and draw them."""
    import numpy as np

    from physio.core.stitch import stitched
    from physio.io.tables import from_table
    from physio.view.plots.column_plot import plot_channels
    from physio.view.terminal.sparklines import spark

    recording = from_table(table.frame, chosen)
    for name, blocks in recording.streams.items():
        _, data = stitched(blocks)
        info = blocks[0].info
        lost = int(np.isnan(data).all(axis=1).sum())
        there = counted(len(data), "sample")
        say(f"{name}: {float(info.rate):g} Hz, {there}, {lost} missing")
        for channel, column in zip(info.channels, data.T, strict=True):
            low, high = np.nanmin(column), np.nanmax(column)
            scaled = 2 * (column - low) / (high - low or 1.0) - 1
            line = spark(scaled.tolist(), 48)
            say(f"  {channel.name:12} {line}  {low:.4g} to {high:.4g} {channel.unit}")
    for name, events in recording.events.items():
        say(f"{name}: {counted(len(events), 'event')}")
    for note in filter(None, recording.metadata.get("warnings", "").split("; ")):
        say(f"note: {note}")
    if plot_channels(recording, picture):
        say(f"figure: {picture}")
