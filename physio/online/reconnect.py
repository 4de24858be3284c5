"""Reconnection of devices that fall silent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Thread
from types import TracebackType
from typing import Final, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item, single_event
from physio.core.protocols import Clock, Command, Device, FastClock
from physio.online.engine import STATUS

LONGEST: Final = 30.0
"""Longest pause between two attempts (s)."""


class ReconnectingDevice(Device):
    """Device that is closed and reopened after a silence or a read error.

    The first attempt is immediate; further ones follow after 1 s, 2 s, 4 s up to 30 s.
    A separate thread makes the attempts, so that the session does not wait. The streams
    continue with a gap as long as the interruption.

    Parameters
    ----------
    device
        The device.
    clock
        The session clock.
    after
        Duration of the silence of all streams before the device is reopened (s).
    """

    def __init__(self, device: Device, clock: Clock, after: float) -> None:
        self.device, self.clock, self.after = device, clock, after
        self.name, self.participant = device.name, device.participant
        self._streams: tuple[StreamInfo, ...] = ()
        self._open = False
        self._opening: Thread | None = None
        self._error: Exception | None = None
        self._refused = ""  # the last difference that was reported
        self._messages: list[Item] = []

    def __enter__(self) -> Self:
        self.device.__enter__()
        self._streams = self.device.streams
        self._open, self._newest = True, self.clock.now()
        self._last: dict[str, Block] = {}
        self._shift: dict[str, int] = {}
        self._attempts, self._pause, self._next = 0, 0.0, np.inf
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
    def streams(self) -> tuple[StreamInfo, ...]:
        """The device's streams, as they were when it was first opened."""
        return self._streams

    @property
    def ended(self) -> bool:
        """True once the device has ended by itself."""
        return self._open and self._opening is None and self.device.ended

    @property
    def ends(self) -> Mapping[str, float]:
        """Value of the device's own `ends`."""
        return self.device.ends

    @property
    def is_replay(self) -> bool:
        """Value of the device's own `is_replay`."""
        return self.device.is_replay

    @property
    def declares_silence(self) -> bool:
        """Value of the device's own `declares_silence`."""
        return self.device.declares_silence

    def notices(self) -> Sequence[str]:
        """Return the device's notices; none while it is closed."""
        return self.device.notices() if self._open else ()

    def commands(self) -> Sequence[Command]:
        """Return the device's commands; none while it is closed."""
        return self.device.commands() if self._open else ()

    def reply(self, command: Command, refusal: str) -> None:
        """Pass the result of a command on to the device."""
        self.device.reply(command, refusal)

    def read(self) -> list[Item]:
        """Return the device's items, and events on its interruptions."""
        now = self.clock.now()
        if not self._open and not self._reopened(now):
            messages, self._messages = self._messages, []
            return messages
        items: list[Item] = []
        if self._attempts:
            items.append(self._status(now, f"opened again (try {self._attempts})"))
            self._attempts = 0
        try:
            received = list(self.device.read())
        except OSError as error:
            return [*items, self._close(now, str(error))]
        items += [self._shifted(i) if isinstance(i, Block) else i for i in received]
        if any(isinstance(i, Block) and len(i) for i in received):
            self._newest, self._pause = now, 0.0
        elif now - self._newest > self.after and not self.device.ended:
            items.append(self._close(now, f"nothing came for {self.after:g} s"))
        return items

    def _status(self, now: float, text: str) -> Events:
        return single_event(STATUS, now, f"device {self.device.name}: {text}")

    def _close(self, now: float, reason: str) -> Events:
        """Close the device, and return the event that reports it."""
        self._open, self._shift = False, {}
        self._next = now + self._pause
        status = self._status(now, f"{reason}; next try in {self._pause:g} s")
        self.device.__exit__(None, None, None)
        return status

    def _reopened(self, now: float) -> bool:
        """Continue the opening; return whether it is complete."""
        if self._opening is None:
            if now < self._next:
                return False
            self._attempts += 1
            self._error = None
            self._opening = Thread(target=self._try, name="reconnect", daemon=True)
            self._opening.start()
            if isinstance(self.clock, FastClock):
                self._opening.join()
        if self._opening.is_alive():
            return False
        self._opening = None
        self._pause = min(max(1.0, 2 * self._pause), LONGEST)
        if self._error is None and (differs := self._difference()):
            self.device.__exit__(None, None, None)
            self._error = ValueError(differs)
            if differs != self._refused:
                self._refused = differs
                self._messages.append(self._status(now, differs))
        if self._error is not None:
            self._next = now + self._pause
            return False
        self._open, self._newest = True, now
        return True

    def _difference(self) -> str:
        """Return how the streams differ from those at first, empty if they do not."""
        before = {info.name: info for info in self._streams}
        after = {info.name: info for info in self.device.streams}
        if before == after:
            return ""
        changed = [n for n in before if n in after and before[n] != after[n]]
        parts = [
            *(f"{n} is now {_described(after[n])}, not {_described(before[n])}"
              for n in changed),
            *(f"{n} is missing" for n in before if n not in after),
            *(f"{n} is new" for n in after if n not in before),
        ]  # fmt: skip
        return (
            f"came back with other streams ({'; '.join(parts)}), which are not read: "
            "restart the session to use them"
        )

    def _try(self) -> None:
        try:
            self.device.__enter__()
        except Exception as error:  # any error: it is tried again
            self._error = error

    def _shifted(self, block: Block) -> Block:
        """Return a block with its sample numbers counted from the first opening."""
        name, rate = block.info.name, float(block.info.rate)
        if name not in self._shift:
            start, last = block.start, self._last.get(name)
            if last is not None and len(block):
                start = round((float(block.times[0]) - last.t0) * rate)
                start = max(start, last.stop)
            self._shift[name] = start - block.start
        shift = self._shift[name]
        epoch = block.t0 - shift / rate
        shifted = replace(block, start=block.start + shift, t0=epoch)
        if len(block):
            self._last[name] = shifted
        return shifted if shift else block


def _described(info: StreamInfo) -> str:
    """Return number of channels and rate of a stream, for a message."""
    return (
        f"{', '.join(info.names[:4])} ({len(info.channels)} x {float(info.rate):g} Hz)"
    )
