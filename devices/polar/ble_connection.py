"""Bluetooth connection in a thread, with reconnection and a queue of notifications."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

from devices.polar.messages import CONTROL, DATA, HEART_RATE, STOP, PolarModel

LONGEST: Final = 30.0  # s between two attempts to connect
STATUS: Final = ""
"""Characteristic of the connection's own status messages."""


class Gatt(Protocol):
    """A connection to a peripheral, as bleak's client has it."""

    @property
    def is_connected(self) -> bool: ...
    async def connect(self) -> Any: ...
    async def disconnect(self) -> Any: ...
    async def start_notify(
        self, characteristic: str, callback: Callable[[Any, bytearray], None], /
    ) -> Any: ...
    async def write_gatt_char(
        self, characteristic: str, data: bytes, *, response: bool | None = None
    ) -> Any: ...


FindPeripheral = Callable[[Callable[[Any], None]], Awaitable[Gatt]]
"""Function that finds the peripheral, given a callback for a lost connection."""


class Notification(NamedTuple):
    """A notification: characteristic, bytes, and time of arrival (s, session clock)."""

    characteristic: str
    raw: bytes
    time: float


class BleConnection:
    """Connection that starts measurements, and reconnects when the strap is lost.

    Attempts follow after 1 s, 2 s, 4 s up to 30 s.

    Parameters
    ----------
    find
        Function that finds the strap.
    model
        Model of the sensor.
    kinds
        Measurements to start.
    now
        The session clock.
    """

    def __init__(
        self,
        find: FindPeripheral,
        model: PolarModel,
        kinds: tuple[int, ...],
        now: Callable[[], float],
    ) -> None:
        self._find, self._model, self._kinds, self._now = find, model, kinds, now
        self._notifications: deque[Notification] = deque()
        self._ready, self._failed = Event(), ""
        self._loop = asyncio.new_event_loop()
        self._done: asyncio.Event | None = None
        self._thread = Thread(target=self._run, name="ble", daemon=True)
        self._thread.start()

    def open(self, timeout: float) -> None:
        """Wait until it is connected.

        Raises
        ------
        OSError
            If it takes too long.
        """
        end = monotonic() + timeout
        while not self._ready.wait(0.02):
            if monotonic() > end:
                why = self._failed or "nothing answered"
                self.close()
                raise OSError(why)

    def notifications(self) -> list[Notification]:
        """Return the notifications since the last call."""
        return [self._notifications.popleft() for _ in range(len(self._notifications))]

    def close(self) -> None:
        """Stop the measurements, disconnect, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join()

    def _end(self) -> None:
        if self._done is not None:
            self._done.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep())

    async def _keep(self) -> None:
        """Keep it connected until `close`."""
        self._done = asyncio.Event()
        pause, tries = 1.0, 0
        while not self._done.is_set():
            try:
                if await self._once(tries):
                    pause, tries = 1.0, 0
                why = f"the {self._model.noun} is out of reach"
            except Exception as error:  # bleak raises the errors of each system's stack
                self._failed = why = str(error) or type(error).__name__
            if self._done.is_set():
                return
            self._say(f"connection lost: {why}; next try in {pause:g} s")
            await self._until_done(asyncio.sleep(pause))
            pause, tries = min(2 * pause, LONGEST), tries + 1

    async def _once(self, tries: int) -> bool:
        """Find the strap and serve it until it is lost; return whether it was found."""
        gone = asyncio.Event()
        client = await self._until_done(self._find(lambda _: gone.set()))
        if client is not None:
            await self._serve(client, gone, tries)
        return client is not None

    async def _serve(self, client: Gatt, gone: asyncio.Event, tries: int) -> None:
        """Start the measurements, then wait until the strap is lost or `close`."""
        await client.connect()
        try:
            for characteristic in (HEART_RATE, CONTROL, DATA):
                await self._listen(client, characteristic)
            for kind in self._kinds:
                command = self._model.start[kind]
                await client.write_gatt_char(CONTROL, command, response=True)
            if tries:
                self._say(f"connection re-established (try {tries})")
            self._ready.set()
            await self._until_done(gone.wait())
            if not gone.is_set():
                for kind in self._kinds:
                    await client.write_gatt_char(CONTROL, STOP[kind], response=True)
        finally:
            await client.disconnect()

    async def _listen(self, client: Gatt, characteristic: str) -> None:
        def hear(_: Any, raw: bytearray) -> None:
            self._notifications.append(
                Notification(characteristic, bytes(raw), self._now())
            )

        await client.start_notify(characteristic, hear)

    async def _until_done(self, work: Awaitable[Any]) -> Any:
        """Return the result of ``work``, or None if `close` comes first."""
        if self._done is None:
            return await work
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._done.wait())]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return tasks[0].result() if tasks[0] in done else None

    def _say(self, text: str) -> None:
        self._notifications.append(Notification(STATUS, text.encode(), self._now()))
