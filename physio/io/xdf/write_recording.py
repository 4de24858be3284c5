"""Writing of a whole recording at once."""

from collections import deque
from contextlib import suppress
from pathlib import Path

from physio.core.block import Block
from physio.core.recording import Recording
from physio.io.xdf.writer import Writer, outcome


def write(path: Path | str, recording: Recording) -> None:
    """Write a whole recording: inputs in their order, then computed streams.

    ``about["ended"]`` states how it ended; without it, it is marked as completed.
    """
    about = dict(recording.metadata)
    ended = about.pop("ended", "completed")
    remaining = {name: deque(blocks) for name, blocks in recording.streams.items()}
    until: dict[str, float] = {}
    done = dict.fromkeys(recording.events, 0)
    writer = Writer(path, about)
    try:
        writer.open_streams(recording.infos)
        for item in recording.arrivals() if recording.timeline else ():
            writer.write(item)
            if isinstance(item, Block):
                remaining[item.info.name].popleft()
            else:
                done[item.info.name] += len(item)
                until[item.info.name] = item.complete_until
        for blocks in remaining.values():
            for block in blocks:
                writer.write(block, arrived=False)
        for name, events in recording.events.items():
            if done[name] < len(events) or until.get(name) != events.complete_until:
                rest = events.part(done[name], len(events), events.complete_until)
                writer.write(rest, arrived=False)
    except BaseException as error:
        with suppress(OSError):
            writer.close(outcome(error))
        raise
    writer.close(ended)
