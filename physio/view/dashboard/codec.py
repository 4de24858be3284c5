"""Encoding of blocks and events for the process that displays a session."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.stream_codec import from_dict, to_dict

_SIZE: Final = 4  # bytes of the length of the header


class Encoder:
    """Encoder of a session's items as messages; each stream is described once."""

    def __init__(self) -> None:
        self._known: dict[StreamInfo, int] = {}

    def info(self, info: StreamInfo) -> list[bytes]:
        """Return the message that describes a stream, unless it was already sent."""
        if info in self._known:
            return []
        number = self._known[info] = len(self._known)
        head = {"kind": "info", "number": number, "info": to_dict(info)}
        return [_message(head)]

    def item(self, item: Item, at: float, skipped: int = 0) -> list[bytes]:
        """Return the messages for an item that arrived at ``at`` (s, session clock).

        ``skipped`` is the number of previous items that the view omits.
        """
        first = self.info(item.info)
        if skipped:
            first.append(self.note(skipped=skipped))
        head: dict[str, Any] = {"stream": self._known[item.info], "at": at}
        if isinstance(item, Block):
            head |= {"kind": "block", "start": item.start, "epoch": item.t0}
            return [*first, _message(head, item.data)]
        head |= {"kind": "events", "until": item.complete_until, "labels": item.labels}
        return [*first, _message(head, item.times, item.data)]

    def note(self, **about: Any) -> bytes:
        """Return a message about the session itself."""
        return _message({"kind": "note", "about": about})


class Decoder:
    """Decoder of the messages of an `Encoder`."""

    def __init__(self) -> None:
        self._infos: dict[int, StreamInfo] = {}

    def read(self, message: bytes) -> tuple[Item | StreamInfo | dict[str, Any], float]:
        """Return an item, stream or note, and its arrival time (s, session clock)."""
        size = int.from_bytes(message[:_SIZE], "little")
        head = json.loads(message[_SIZE : _SIZE + size])
        rest = np.frombuffer(message, np.float64, offset=_SIZE + size)
        if head["kind"] == "note":
            return head["about"], float("nan")
        if head["kind"] == "info":
            info = self._infos[head["number"]] = from_dict(head["info"])
            return info, float("nan")
        info = self._infos[head["stream"]]
        wide = len(info.channels)
        if head["kind"] == "block":
            data = rest.reshape(-1, wide).copy()
            return Block(info, head["start"], head["epoch"], data), head["at"]
        n = len(rest) // (wide + 1)
        times, data = rest[:n].copy(), rest[n:].reshape(n, wide).copy()
        labels = tuple(head["labels"])
        return Events(info, head["until"], times, data, labels), head["at"]


def _message(head: Mapping[str, Any], *arrays: Array) -> bytes:
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + _SIZE) % 8)  # for alignment of the numbers
    parts = [len(text).to_bytes(_SIZE, "little"), text]
    return b"".join([*parts, *(a.tobytes() for a in arrays)])
