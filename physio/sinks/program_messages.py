"""Messages for other programs: computed rows and events as plain tables of values."""

import json
import math
from collections.abc import Iterator
from typing import Any

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.missing import MissingReason, has_reason, missing_reason
from physio.core.recording import computed

Message = dict[str, Any]
"""Message with the key ``type``: ``stream``, ``row`` or ``event``."""


def description(info: StreamInfo) -> Message:
    """Return the description of a stream: origin, rate (Hz), columns with units."""
    columns = [
        {"name": c.name, "unit": c.unit, "delay": c.delay, "memory": c.memory}
        for c in info.channels
        if not c.name.endswith(".missing")
    ]
    return {
        "type": "stream",
        "stream": info.name,
        "participant": info.participant,
        "origin": info.origin.value,
        "rate": float(info.rate),
        "columns": columns,
    }


def messages(item: Item) -> Iterator[Message]:
    """Yield a message for each computed row or each event of an item.

    A row has ``time`` (s, session clock), ``values`` by column, NaN where missing, and
    ``missing``, the reason in words for each missing value of a column that has one.
    An event has ``time``, ``label`` and ``values``. Raw samples yield none.
    """
    if isinstance(item, Events):
        yield from _events(item)
    elif computed(item.info.name):
        yield from _rows(item)


def to_json(message: Message) -> str:
    """Return a message as JSON, with ``null`` for a missing value."""
    values = message.get("values")
    if values:
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        message = {**message, "values": finite}
    return json.dumps(message, allow_nan=False)


def _rows(block: Block) -> Iterator[Message]:
    info, names = block.info, block.info.names
    columns = [i for i, name in enumerate(names) if not name.endswith(".missing")]
    reasoned = [i for i in columns if has_reason(names[i], names)]
    reasons = missing_reason(block.data).tolist()
    rows = zip(block.times.tolist(), block.data.tolist(), reasons, strict=True)
    for time, row, why in rows:
        yield {
            "type": "row",
            "stream": info.name,
            "participant": info.participant,
            "origin": info.origin.value,
            "time": time,
            "values": {names[i]: row[i] for i in columns},
            "missing": {
                names[i]: MissingReason(why[i]).words for i in reasoned if why[i]
            },
        }


def _events(events: Events) -> Iterator[Message]:
    info = events.info
    labels = events.labels or ("",) * len(events)
    rows = zip(events.times.tolist(), labels, events.data.tolist(), strict=True)
    for time, label, row in rows:
        yield {
            "type": "event",
            "stream": info.name,
            "participant": info.participant,
            "origin": info.origin.value,
            "time": time,
            "label": label,
            "values": dict(zip(info.names, row, strict=True)),
        }
