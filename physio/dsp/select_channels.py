"""Selection of channels."""

from dataclasses import dataclass

import numpy as np

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage, State


@dataclass(frozen=True)
class SelectChannels(Stage):
    """Selection of channels by name, in the given order.

    Parameters
    ----------
    channels
        Names of the channels; empty for all channels.

    Notes
    -----
    y(t, k) = x(t, channels[k]); ours, without deviation or delay, in the input's unit.
    Shape (n, channels) to (n, selected).
    """

    channels: tuple[str, ...] = ()

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the stream with these channels; raise if one is missing."""
        if missing := [name for name in self.channels if name not in info.names]:
            raise ValueError(
                f"{info.name!r} has no channel {', '.join(map(repr, missing))}; it has "
                f"{', '.join(info.names)}"
            )
        return info.with_channels(None, *(info.channels[i] for i in self._rows(info)))

    def initial_state(self, info: StreamInfo) -> State:
        """Return the columns of the channels."""
        return np.array(self._rows(info), np.int64)

    def process(self, state: State, x: Array) -> Array:
        """Return the selected columns."""
        return np.ascontiguousarray(x[:, state])

    def _rows(self, info: StreamInfo) -> list[int]:
        return [info.names.index(name) for name in self.channels or info.names]
