"""Status of every channel while a session runs, in a JSON file."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.private_file import write_private
from physio.core.protocols import Sink

if TYPE_CHECKING:
    from physio.quality.channel_monitor import ChannelMonitor

FILE: Final = "conditions.json"


@dataclass
class ChannelStatusFile(Sink):
    """Sink that writes ``conditions.json``, the status of every channel.

    The file is replaced once a second and stays when the session ends. A change that
    lasts becomes a sentence in the session's status, as ``condition: headset.eeg: F3 is
    flat``.

    Parameters
    ----------
    folder
        Folder to write to; set by the session.
    mains
        Frequency of the mains (Hz).
    """

    folder: Path
    mains: float = 50.0
    conditions: "ChannelMonitor | None" = field(default=None, init=False, repr=False)
    _messages: deque[str] = field(default_factory=deque, init=False, repr=False)
    _failed: bool = field(default=False, init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write()

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Monitor these streams, and none that is computed."""
        from physio.quality.channel_monitor import ChannelMonitor  # loads kernels

        self.conditions = ChannelMonitor(streams, mains=self.mains)

    def end(self, outcome: str) -> None:
        """Ignore the outcome."""

    def write(self, item: Item) -> None:
        """Update the status from a block of an input stream; ignore other items."""
        if not isinstance(item, Block) or self.conditions is None:
            return
        seconds, news = self.conditions.push(item)
        self._messages += [f"condition: {text}" for text in news]
        if seconds and item.complete_until >= self._until + 1.0:
            self._until = float(item.complete_until)
            self._write()

    def notices(self) -> list[str]:
        """Return the changes of status since the last call."""
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def _write(self) -> None:
        """Replace the file in one step, so that readers never see part of it."""
        if self.conditions is None:
            return
        text = json.dumps({"at": self._until, "streams": self.conditions.figures()})
        try:
            write_private(self.folder / FILE, text + "\n")
        except OSError as error:  # the disk may have room again in a second
            if not self._failed:
                self._messages.append(f"condition: {FILE} is not written: {error}")
            self._failed = True
