"""What a session left, in words and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physio.core.block import Block
from physio.core.reason import Reason


def tell(figures: Mapping[str, Any]) -> list[str]:
    """Return lines on what came, what was estimated, and what was not and why."""
    lines = [
        f"{s['name']}: {s['samples']} samples at {s['rate']:g} Hz, {s['lost']} lost"
        for s in figures["streams"]
    ]
    estimates = figures["estimates"]
    for name, count in estimates["finite"].items() if estimates["rows"] else ():
        missing = estimates["missing"].get(name, {})
        reasons = ", ".join(f"{n} {words}" for words, n in missing.items())
        given = f"{count} of {estimates['rows']} estimates"
        lines.append(f"{name}: {given}" + (f"; missing: {reasons}" if reasons else ""))
    seconds, taken = figures["seconds_of_data"], figures["seconds_taken"]
    lines.append(f"{seconds:.1f} s of data in {taken:.1f} s")
    return [*lines, *figures["notes"], *(f"fault: {f}" for f in figures["faults"])]


def draw(folder: Path) -> None:
    """Draw a session's signals and estimates from its own files, as `overview.png`."""
    from physio.formats import xdf
    from physio.view.plots import session_figure

    path = folder / "recording.xdf"
    if not path.is_file():
        return
    recording = xdf.read(path)
    features, estimates = (
        _whole(recording.streams.get(n)) for n in ("features", "estimates")
    )
    if features is None or estimates is None:
        return
    truth = next(
        (s for n, s in recording.streams.items() if n.endswith(".truth")), None
    )
    named = [e for n, e in recording.events.items() if n.endswith(".conditions")]
    figure = session_figure(
        recording,
        features,
        estimates,
        truth=_whole(truth),
        conditions=named[0] if named else None,
        title=recording.about.get("person", ""),
    )
    figure.savefig(folder / "overview.png", dpi=110)


def _whole(blocks: Sequence[Block] | None) -> Block | None:
    """Return the blocks of a stream as one, lost samples as missing."""
    filled = [b for b in blocks or () if len(b)]
    if not filled:
        return None
    start = filled[0].start
    width = len(filled[0].info.channels)
    data = np.full((filled[-1].stop - start, width), Reason.NO_SIGNAL.nan)
    for block in filled:
        data[block.start - start : block.stop - start] = block.data
    return Block(filled[0].info, start, filled[0].epoch, data)
