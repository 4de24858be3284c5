"""Beats and skin conductance responses of a displayed stream."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from physio.core.block import Block, StreamInfo
from physio.core.events import events_from_grid
from physio.core.stage import Stage, StageRunner
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.eda.scr_detection import ScrDetection
from physio.view.dashboard.signal_kinds import kind_of

BEAT, RESPONSE = "beat", "response"

_DETECTORS: Final[dict[str, tuple[str, Stage]]] = {
    "ECG": (BEAT, BeatDetection()),
    "pulse": (BEAT, BeatDetection()),
    "EDA": (RESPONSE, ScrDetection()),
}
_MOST: Final = 50_000  # events of a channel


class MovedRunner:
    """Runner of a stage from the first block that it receives, whichever it is."""

    def __init__(self, stage: Stage, info: StreamInfo) -> None:
        self.runner = StageRunner(stage, info)
        self._first: int | None = None

    def push(self, block: Block) -> Block:
        """Return the output for a block."""
        if self._first is None:
            self._first = block.start
        epoch = block.t0 + self._first / float(block.info.rate)
        moved = Block(block.info, block.start - self._first, epoch, block.data)
        return self.runner.push(moved)


@dataclass
class SignalEvents:
    """Events in the first channel of a stream that can have any.

    Detectors are the stages of the feature chains; beats are late by about a second,
    responses by up to 14 s.

    Parameters
    ----------
    info
        The stream.
    kind
        `BEAT`, `RESPONSE`, or empty if no channel can have events.
    channel
        Number of the channel.
    times
        Times of the events (s, session clock): R or systolic peaks, onsets.
    """

    info: StreamInfo
    kind: str = field(default="", init=False)
    channel: int = field(default=-1, init=False)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST), init=False)

    def __post_init__(self) -> None:
        for i, channel in enumerate(self.info.channels):
            kind, stage = _DETECTORS.get(kind_of(channel).name, ("", None))
            if stage is None:
                continue
            try:
                self._runner = MovedRunner(stage, self.info)
            except ValueError:  # the rate or the unit does not suit the detector
                continue
            self.kind, self.channel = kind, i
            return

    def take(self, block: Block) -> None:
        """Detect the events that a block completes."""
        if self.kind:
            self.times += events_from_grid(self._runner.push(block)).times.tolist()
