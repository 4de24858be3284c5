"""Estimates as a stream of the lab streaming layer, for other programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final

import pylsl

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Sink, WallClock
from physio.core.recording import COMPUTED, computed
from physio.core.stream_codec import to_dict

_TYPES: Final = {"estimates": "Affect", "features": "Features"}


@dataclass
class Lsl(Sink):
    """An LSL outlet of one computed stream; none exists until it has a first row.

    Everybody on the network can read an LSL stream. This sink is therefore off unless a
    session file names it, and the participant's code is not sent. In a session of
    several participants each has an outlet, with the code at the end of name and
    ``source_id``. A missing value is sent as NaN, whose payload keeps the reason.

    Parameters
    ----------
    stream
        Stream to send: ``"estimates"`` or ``"features"``.
    stream_name
        Name on the network.
    source_id
        Identifier by which receivers find it after a restart; by default
        ``physio-affect-estimates`` or ``physio-affect-features``.
    clock
        The session clock, set by the session; stamps are on LSL's clock.
    """

    stream: str = "estimates"
    stream_name: str = "physio-affect"
    source_id: str = ""
    clock: Clock = field(default_factory=WallClock)
    _outlets: dict[str, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.stream not in COMPUTED:
            raise ValueError(
                f"an LSL outlet sends {' or '.join(COMPUTED)}, not {self.stream!r}"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._outlets.clear()

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Ignore the streams: blocks carry their description."""

    def end(self, outcome: str) -> None:
        """Ignore the outcome."""

    def write(self, item: Item) -> None:
        """Send the rows of a block of the stream; ignore other items."""
        if not isinstance(item, Block) or computed(item.info.name) != self.stream:
            return
        name = item.info.name
        if name not in self._outlets:
            self._outlets[name] = pylsl.StreamOutlet(self.describe(item.info))
        clock_offset = pylsl.local_clock() - self.clock.now()
        for time, row in zip(item.times.tolist(), item.data.tolist(), strict=True):
            self._outlets[name].push_sample(row, time + clock_offset)

    def describe(self, info: StreamInfo) -> pylsl.StreamInfo:
        """Return the outlet's description: as ticks can be late, it has no rate."""
        end = info.name.removeprefix(self.stream).replace(".", "-", 1)
        outlet_info = pylsl.StreamInfo(
            f"{self.stream_name}{end}",
            _TYPES[self.stream],
            len(info.channels),
            pylsl.IRREGULAR_RATE,
            pylsl.cf_double64,
            (self.source_id or f"physio-affect-{self.stream}") + end,
        )
        desc = outlet_info.desc()
        # The exact description, without the participant's code.
        description = json.dumps(to_dict(replace(info, participant="")))
        desc.append_child("physio").append_child_value("stream", description)
        desc.append_child_value("origin", info.origin.value)
        desc.append_child_value("nominal_rate", f"{float(info.rate):g}")
        acquisition = desc.append_child("acquisition")
        acquisition.append_child_value("manufacturer", "physio-affect")
        acquisition.append_child_value("model", version("physio-affect"))
        # Without it pyxdf lays the ticks of a recorder's file evenly over their gaps.
        drops = desc.append_child("synchronization")
        drops.append_child_value("can_drop_samples", "true")
        channels = desc.append_child("channels")
        for channel in info.channels:
            element = channels.append_child("channel")
            element.append_child_value("label", channel.name)
            element.append_child_value("type", channel.kind)
            # MNE-LSL takes a number for a power of ten.
            unit = "none" if channel.unit == "1" else channel.unit
            element.append_child_value("unit", unit)
            element.append_child_value("delay", f"{channel.delay:g}")
            element.append_child_value("memory", f"{channel.memory:g}")
        return outlet_info
