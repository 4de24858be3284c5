"""Estimates as a stream of the lab streaming layer, for other programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pylsl

from physio.core.block import Block, Info
from physio.core.ports import Clock, Item, WallClock


@dataclass
class Lsl:
    """An LSL outlet of one computed stream; none exists until it has a first row.

    Anybody on the network can read what LSL sends, and nothing keeps them out: so this
    sink is off unless a session file names it, and the code of the participant is not
    sent. A missing value goes out as NaN, of which LSL keeps the reason.

    Parameters
    ----------
    stream
        Which stream to send: ``"estimates"`` or ``"features"``.
    stream_name
        What it is called on the network.
    source_id
        By which receivers find it again after a restart.
    clock
        The session clock, filled in by the session; stamps are in LSL's own.
    """

    stream: str = "estimates"
    stream_name: str = "physio-affect"
    source_id: str = "physio-affect-estimates"
    clock: Clock = field(default_factory=WallClock)
    _outlet: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.source_id:
            raise ValueError(
                "an LSL outlet needs a source_id, or no receiver finds it again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._outlet = None

    def announce(self, streams: Sequence[Info]) -> None:
        """Need nothing of the streams that come in."""

    def end(self, how: str) -> None:
        """Need nothing of how it ended."""

    def write(self, item: Item) -> None:
        """Send the rows of a block of the stream; leave all else."""
        if not isinstance(item, Block) or item.info.name != self.stream:
            return
        if self._outlet is None:
            self._outlet = pylsl.StreamOutlet(self._described(item.info))
        here = pylsl.local_clock() - self.clock.now()
        for time, row in zip(item.times.tolist(), item.data.tolist(), strict=True):
            self._outlet.push_sample(row, time + here)

    def _described(self, info: Info) -> pylsl.StreamInfo:
        """Return what the network is told: as ticks can be late, it has no rate."""
        told = pylsl.StreamInfo(
            self.stream_name,
            "Affect",
            len(info.channels),
            pylsl.IRREGULAR_RATE,
            pylsl.cf_double64,
            self.source_id,
        )
        told.desc().append_child_value("origin", info.origin.value)
        told.desc().append_child_value("nominal_rate", f"{float(info.rate):g}")
        channels = told.desc().append_child("channels")
        for channel in info.channels:
            one = channels.append_child("channel")
            one.append_child_value("label", channel.name)
            one.append_child_value("type", channel.kind)
            one.append_child_value("unit", channel.unit)
        return told
