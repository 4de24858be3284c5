"""Devices of a session, opened at the same time."""

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from physio.core.protocols import Clock, Device, WallClock


class OpenDevices:
    """Devices that open at the same time, each in a thread, inside a ``with`` block.

    A device that is open can be read while others are still searched for. With a clock
    other than a `WallClock`, they open one after the other in the calling thread.

    Parameters
    ----------
    devices
        The devices.
    clock
        The session clock.
    """

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        self._devices, self._clock = tuple(devices), clock
        self._times: dict[int, float] = {}  # time of opening by position (s)
        self._error: BaseException | None = None
        self._lock, self._closing = Lock(), False

    def __enter__(self) -> Self:
        if isinstance(self._clock, WallClock):
            for i in range(len(self._devices)):
                Thread(target=self._open, args=(i,), name="open", daemon=True).start()
            return self
        for i in range(len(self._devices)):
            self._open(i)
            if self._error is not None:
                break
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:  # a device that opens later closes itself
            self._closing = True
            opened = sorted(self._times)
        with ExitStack() as stack:
            for i in opened:
                stack.push(self._devices[i])
            stack.pop_all().__exit__(kind, error, trace)

    @property
    def opened(self) -> list[Device]:
        """The devices that are open."""
        return [self._devices[i] for i in sorted(self._times)]

    @property
    def waiting(self) -> list[str]:
        """Names of the devices that are not open yet."""
        return [d.name for i, d in enumerate(self._devices) if i not in self._times]

    @property
    def is_complete(self) -> bool:
        """True once all devices are open.

        Raises
        ------
        Exception
            The error of a device that cannot be opened.
        """
        if self._error is not None:
            raise self._error
        return len(self._times) == len(self._devices)

    @property
    def begins(self) -> dict[str, float]:
        """Time from which each regular stream is read (s, session clock)."""
        return {
            info.name: time
            for i, time in sorted(self._times.items())
            for info in self._devices[i].streams
            if info.rate
        }

    def _open(self, i: int) -> None:
        device = self._devices[i]
        try:
            device.__enter__()
        except BaseException as error:  # raised in `is_complete`
            self._error = self._error or error
            return
        with self._lock:
            if not self._closing:
                self._times[i] = self._clock.now()
                return
        device.__exit__(None, None, None)
