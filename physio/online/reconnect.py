"""A device that is opened anew when it falls silent."""

from dataclasses import replace
from threading import Thread
from types import TracebackType
from typing import Final, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import single_event
from physio.core.protocols import Clock, Device, FastClock, Item
from physio.online.engine import STATUS

LONGEST: Final = 30.0  # s between two tries


class ReconnectingDevice:
    """A device that is closed and opened again when nothing comes or reading fails.

    It is tried at once, then after 1 s, 2 s, 4 s up to 30 s, in a thread of its own,
    so that nobody waits. Its streams go on with a gap as long as it was.

    Parameters
    ----------
    device
        The device.
    clock
        The session clock.
    after
        After how long a silence of all its streams it is opened anew (s).
    """

    def __init__(self, device: Device, clock: Clock, after: float) -> None:
        self.device, self.clock, self.after = device, clock, after
        self.streams: tuple[StreamInfo, ...] = ()
        self._open = False
        self._opening: Thread | None = None
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        self.device.__enter__()
        self.streams = self.device.streams
        self._open, self._heard = True, self.clock.now()
        self._last: dict[str, Block] = {}
        self._shift: dict[str, int] = {}
        self._tries, self._pause, self._again = 0, 0.0, np.inf
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opening is not None:
            self._opening.join()
            self._open = self._error is None
        if self._open:
            self._open = False
            self.device.__exit__(kind, error, trace)

    @property
    def ended(self) -> bool:
        """Whether the device has ended by itself."""
        return self._open and self._opening is None and self.device.ended

    def read(self) -> list[Item]:
        """Return what came, and what befell the device."""
        now = self.clock.now()
        if not self._open and not self._opened(now):
            return []
        items: list[Item] = []
        if self._tries:
            items.append(self._told(now, f"opened again (try {self._tries})"))
            self._tries = 0
        try:
            came = list(self.device.read())
        except OSError as error:
            return [*items, self._lost(now, str(error))]
        items += [self._placed(i) if isinstance(i, Block) else i for i in came]
        if any(isinstance(i, Block) and len(i) for i in came):
            self._heard, self._pause = now, 0.0
        elif now - self._heard > self.after and not self.device.ended:
            items.append(self._lost(now, f"nothing came for {self.after:g} s"))
        return items

    def _told(self, now: float, what: str) -> Item:
        name = getattr(self.device, "name", "a device")
        return single_event(STATUS, now, f"device {name}: {what}")

    def _lost(self, now: float, why: str) -> Item:
        """Close the device, and say so."""
        self._open, self._shift = False, {}
        self._again = now + self._pause
        told = self._told(now, f"{why}; next try in {self._pause:g} s")
        self.device.__exit__(None, None, None)
        return told

    def _opened(self, now: float) -> bool:
        """Go on with opening; tell whether it is done."""
        if self._opening is None:
            if now < self._again:
                return False
            self._tries += 1
            self._error = None
            self._opening = Thread(target=self._try, name="reopen", daemon=True)
            self._opening.start()
            if isinstance(self.clock, FastClock):
                self._opening.join()
        if self._opening.is_alive():
            return False
        self._opening = None
        self._pause = min(max(1.0, 2 * self._pause), LONGEST)
        if self._error is not None:
            self._again = now + self._pause
            return False
        self._open, self._heard = True, now
        return True

    def _try(self) -> None:
        try:
            self.device.__enter__()
        except Exception as error:  # whatever it is: it is tried again
            self._error = error

    def _placed(self, block: Block) -> Block:
        """Return a block with its place among all that came before."""
        name, rate = block.info.name, float(block.info.rate)
        if name not in self._shift:
            start, last = block.start, self._last.get(name)
            if last is not None and len(block):
                start = round((float(block.times[0]) - last.t0) * rate)
                start = max(start, last.stop)
            self._shift[name] = start - block.start
        shift = self._shift[name]
        epoch = block.t0 - shift / rate
        placed = replace(block, start=block.start + shift, t0=epoch)
        if len(block):
            self._last[name] = placed
        return placed if shift else block
