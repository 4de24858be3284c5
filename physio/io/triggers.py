"""Events from the trigger columns of regular streams, live and from files alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, concatenate, event_stream

CODES: Final = 0xFFFF
"""Bits of a trigger port; the bits above, as in BioSemi's status, are states."""

_WHOLE: Final = 0.01  # rounding error of a code, as from a scaled 16-bit number
_PATIENCE: Final = 20  # changes after which a column may be given up
_BUSIEST: Final = 0.25  # share of samples with a change in a column of no triggers


@dataclass
class _Column:
    """State of one column; ``rest`` is the code between two triggers."""

    index: int
    name: str
    code: int | None = None
    rest: int = 0
    samples: int = 0
    changes: int = 0
    used: bool = True


@dataclass
class TriggerDecoder:
    """Decoder of the trigger columns of a stream, block by block.

    A trigger is a change to another code. Zero, the code between two triggers, is no
    trigger, nor is the first code of a stream until a zero follows: a port can rest
    at 255. The code is in the lowest 16 bits. Other numbers than whole ones are not
    codes, so that an analogue channel has no triggers. The events do not depend on the
    division into blocks.

    Parameters
    ----------
    info
        The stream.
    name
        Name of the stream of events.
    """

    info: StreamInfo
    name: str
    _columns: list[_Column] = field(init=False, repr=False)
    _notices: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._columns = [
            _Column(i, channel.name)
            for i, channel in enumerate(self.info.channels)
            if channel.kind == "stim"
        ]

    @property
    def events(self) -> StreamInfo:
        """The stream of events."""
        stream = event_stream(self.name, Channel("code"))
        origin, participant = self.info.origin, self.info.participant
        return replace(stream, origin=origin, participant=participant)

    def decode(self, block: Block) -> Events:
        """Return the triggers of the next block."""
        triggers = sorted(
            (row, column.index, code)
            for column in self._columns
            for row, code in self._changes(column, block.data[:, column.index])
        )
        names = {column.index: column.name for column in self._columns}
        several = len(names) > 1
        labels = tuple(f"{names[i]} {code}" if several else f"{code}"
                       for _, i, code in triggers)  # fmt: skip
        times = np.array([block.times[row] for row, *_ in triggers])
        codes = np.array([[float(code)] for *_, code in triggers]).reshape(-1, 1)
        until = block.complete_until if len(block) else -np.inf
        return Events(self.events, until, times, codes, labels)

    def notices(self) -> list[str]:
        """Return the messages about the columns since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def _changes(self, column: _Column, values: Array) -> list[tuple[int, int]]:
        """Return row and code of each trigger of a column."""
        rows = _whole_numbers(values)
        if not column.used or not len(rows):
            return []
        codes = np.rint(values[rows]).astype(np.int64) & CODES
        if column.code is None:
            column.code = column.rest = int(codes[0])
        before = np.concatenate([[column.code], codes[:-1]])
        zeros = np.cumsum(codes == 0) > 0
        rest = np.where(zeros, 0, column.rest)
        changed = codes != before
        count = column.changes + np.cumsum(changed)
        number = column.samples + np.arange(1, len(codes) + 1)
        busy = (count > _PATIENCE) & (count > _BUSIEST * number)
        column.code, column.rest = int(codes[-1]), int(rest[-1])
        column.changes, column.samples = int(count[-1]), int(number[-1])
        end = int(np.argmax(busy)) if busy.any() else len(codes)
        if busy.any():
            column.used = False
            self._notices.append(
                f"{column.name} of {self.info.name} changes too often to be a trigger "
                "channel: from here on its codes are no events, but its samples stay"
            )
        triggers = changed & (codes != rest) & (codes != 0)
        triggers[end:] = False
        return [(int(rows[i]), int(codes[i])) for i in np.flatnonzero(triggers)]


def _whole_numbers(values: Array) -> npt.NDArray[np.intp]:
    """Return the rows with a whole number."""
    plain = np.nan_to_num(values, nan=0.5, posinf=0.5, neginf=0.5)
    near = (np.abs(plain - np.rint(plain)) < _WHOLE) & (np.abs(plain) < 2.0**53)
    return np.flatnonzero(near)


def has_triggers(info: StreamInfo) -> bool:
    """Return whether a regular stream has a trigger column."""
    return bool(info.rate) and any(c.kind == "stim" for c in info.channels)


def trigger_stream(info: StreamInfo) -> str:
    """Return the name of the triggers in a stream, ``"headset.triggers"``."""
    return f"{info.name.partition('.')[0]}.triggers"


def read_triggers(blocks: Sequence[Block], name: str) -> tuple[Events, list[str]]:
    """Return the triggers in a stream with trigger columns, and notes on these.

    Parameters
    ----------
    blocks
        The stream.
    name
        Name of the stream of events.
    """
    decoder = TriggerDecoder(blocks[0].info, name)
    return concatenate([decoder.decode(block) for block in blocks]), decoder.notices()
