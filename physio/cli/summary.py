"""The summary of a session in words and as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from physio.core.block import Block
from physio.core.filename import UniqueFilenames
from physio.core.missing import MissingReason
from physio.core.private_file import open_private
from physio.core.recording import Recording, computed, several_participants
from physio.view.labels import CONDITION, SCALE
from physio.view.stream_table import stream_lines


def session_lines(figures: Mapping[str, Any]) -> list[str]:
    """Return lines on streams, estimates and the reasons for missing ones."""
    lines = stream_lines(figures["streams"])
    for participant, estimates in figures.get(
        "participants", {"": figures["estimates"]}
    ).items():
        for name, count in estimates["finite"].items() if estimates["rows"] else ():
            missing = estimates["missing"].get(name, {})
            reasons = ", ".join(f"{n} {words}" for words, n in missing.items())
            given = f"{count} of {estimates['rows']} estimates"
            why = f"; missing: {reasons}" if reasons else ""
            label = name.removeprefix(CONDITION).removeprefix(SCALE)
            lines.append(f"{participant} {label}: {given}{why}".lstrip())
    lines += figures.get("baselines", [])
    seconds, taken = figures["seconds_of_data"], figures["seconds_taken"]
    lines.append(f"{seconds:.1f} s of data in {taken:.1f} s")
    return [*lines, *figures["notes"], *(f"fault: {f}" for f in figures["faults"])]


def reader_notes(recording: Recording) -> list[str]:
    """Return the sentences of a reader on what it did not read, or changed."""
    text = recording.metadata.get("warnings", "")
    return [part for part in text.split("; ") if part]


def draw_overview(folder: Path) -> None:
    """Plot the signals and estimates of a session's files as ``overview.png``.

    Of several participants, each has a plot: ``overview.p1.png``.
    """
    from physio.io import xdf
    from physio.view.plots.session import session_figure
    from physio.view.plots.time_axes import condition_spans

    path = folder / "recording.xdf"
    if not path.is_file():
        return
    recording, files = xdf.read(path), UniqueFilenames()
    named = [e for n, e in recording.events.items() if n.endswith(".conditions")]
    several = several_participants(recording.infos)
    for name, blocks in recording.streams.items():
        if computed(name) != "estimates":
            continue
        code = blocks[0].info.participant if several else ""
        selected = _of(recording, code) if several else recording
        features = merge_blocks(_computed(selected, "features"))
        estimates = merge_blocks(blocks)
        if features is None or estimates is None:
            continue
        truth = (s for n, s in selected.streams.items() if n.endswith(".truth"))
        figure = session_figure(
            selected,
            features,
            estimates,
            truth=merge_blocks(next(truth, None)),
            conditions=condition_spans(named[0], recording.end) if named else (),
            title=code,
        )
        stem = files[f"overview.{code}" if code else "overview"]
        with open_private(folder / f"{stem}.png", "wb") as file:
            figure.savefig(file, format="png", dpi=110)


def _computed(recording: Recording, kind: str) -> Sequence[Block] | None:
    """Return the blocks of the first computed stream of a kind, if there is one."""
    streams = recording.streams.items()
    return next((blocks for name, blocks in streams if computed(name) == kind), None)


def _of(recording: Recording, participant: str) -> Recording:
    """Return the recorded and computed streams of one of several participants."""
    streams = recording.streams.items()
    selected = {n: b for n, b in streams if b[0].info.participant in {"", participant}}
    return replace(recording, streams=selected)


def merge_blocks(blocks: Sequence[Block] | None) -> Block | None:
    """Return the blocks of a stream as one, with lost samples as NaN."""
    filled = [b for b in blocks or () if len(b)]
    if not filled:
        return None
    start = filled[0].start
    width = len(filled[0].info.channels)
    data = np.full((filled[-1].stop - start, width), MissingReason.NO_SIGNAL.nan)
    for block in filled:
        data[block.start - start : block.stop - start] = block.data
    return Block(filled[0].info, start, filled[0].t0, data)
