"""Computation of a session: its engine, and the items that wait for it."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from physio.core import recording
from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import Clock, WallClock
from physio.online.engine import STATUS, Engine, PipelineConfig
from physio.online.engine_start import EngineStart

SLICE: Final = 0.05
"""Computing time between two reads of the devices, while items wait (s)."""

LONGEST_BLOCK: Final = 1.0
"""Duration of a block that is computed at once in a live session (s)."""

MOST_BYTES: Final = 512_000_000
"""Size of the samples that may wait (bytes); beyond, nothing more is computed."""

BEHIND: Final = 2.0
"""Waiting time above which the view reports it (s)."""


class Computation:
    """The engine of a session, and the items that wait for it, in order.

    In a live session, the engine starts in a thread. Items that arrive meanwhile wait;
    afterwards they are computed in slices of `SLICE` s, so that devices are read in
    between. The results do not depend on the waiting. In a session on any other clock,
    the engine is ready from the beginning, and nothing waits.

    Parameters
    ----------
    plan, streams, begin
        See `physio.online.engine.Engine`.
    clock
        The session clock.
    faults
        List to which sentences on failures are added.
    """

    def __init__(
        self,
        plan: PipelineConfig,
        streams: Sequence[StreamInfo],
        begin: float,
        clock: Clock,
        faults: list[str],
    ) -> None:
        self.engine: Engine | None = None
        """The engine, once it is ready."""
        self.times: deque[float] = deque(maxlen=100_000)
        """Time from an item to the estimates computed from it (s)."""
        self._faults = faults
        self._clock, self._is_live = clock, isinstance(clock, WallClock)
        self._queue: deque[tuple[float, Item]] = deque()
        self._bytes, self._stopped, self._budget = 0, False, SLICE
        self._notices: list[str] = []
        self._announced = False
        self._start: EngineStart | None = None
        if self._is_live:
            self._start = EngineStart(plan, streams, begin)
        else:
            self._take_engine(Engine(plan, streams, begin))

    @property
    def is_ready(self) -> bool:
        """True once the engine runs."""
        return self.engine is not None

    @property
    def is_waiting(self) -> bool:
        """True while items wait to be computed."""
        return bool(self._queue) and not self._stopped

    @property
    def behind(self) -> float:
        """Waiting time of the item that is computed next (s)."""
        try:
            return self._clock.now() - self._queue[0][0]
        except IndexError:
            return 0.0

    @property
    def progress(self) -> str:
        """State of the computation in one line, while it is behind; else empty."""
        if self._stopped:
            return ""
        start = self._start
        if start is not None and (start.compiling or start.seconds > BEHIND):
            work = "compiling" if start.compiling else "loading"
            return (
                f"{work} kernels: {start.seconds:.0f} s; everything is recorded, "
                "estimates follow"
            )
        behind = self.behind
        return f"estimates follow {behind:.0f} s behind" if behind > BEHIND else ""

    def put(self, item: Item) -> None:
        """Add an item."""
        if self._stopped:
            return
        now = self._clock.now()
        for part in _parts(item) if self._is_live else (item,):
            self._queue.append((now, part))
            self._bytes += part.data.nbytes
        if self._bytes > MOST_BYTES:
            seconds = self.behind
            self._stop(
                f"the computation stopped: it was {seconds:.0f} s behind, and more "
                f"than {MOST_BYTES / 1e6:.0f} MB waited; the recording goes on, and "
                "`physio replay` computes it"
            )

    def begin_step(self) -> None:
        """Begin a step of the session, with a new slice of computing time."""
        self._budget = SLICE if self._is_live else float("inf")

    def advance(self) -> Iterator[Item]:
        """Compute the items that wait, within the slice; yield the results."""
        self._follow_start()
        while self.engine is not None and self._queue and self._budget > 0:
            _, item = self._queue.popleft()
            self._bytes -= item.data.nbytes
            began = time.perf_counter()
            items = self.engine.push(item)
            taken = time.perf_counter() - began
            self._budget -= taken
            self._faults += [x for i in items if i.info == STATUS for x in _labels(i)]
            if any(recording.computed(i.info.name) == "estimates" for i in items):
                self.times.append(taken)
            yield from items

    def notices(self) -> Sequence[str]:
        """Return sentences for the session's status, new since the last call."""
        self._follow_start()
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        """End the start of the engine, if it still goes on."""
        if self._start is not None:
            self._start.close()
            self._start = None

    def _follow_start(self) -> None:
        """Take over the engine once it is ready; report the progress of its start."""
        start = self._start
        if start is None:
            return
        if start.compiling and not self._announced:
            self._announced = True
            self._notices.append(
                "compiling kernels, once on this computer: everything is recorded, "
                "and features and estimates follow"
            )
        if not start.done:
            return
        self._start = None
        if start.engine is None:
            reason = f"{type(start.error).__name__}: {start.error}"
            self._stop(f"the computation did not start: {reason}")
            return
        if start.compiling:
            self._notices.append(f"kernels compiled in {start.seconds:.0f} s")
        self._take_engine(start.engine)

    def _take_engine(self, engine: Engine) -> None:
        self.engine = engine
        self._faults += engine.notices
        self._notices += engine.notices

    def _stop(self, fault: str) -> None:
        self._stopped = True
        self._queue.clear()
        self._bytes = 0
        self._faults.append(fault)
        self._notices.append(fault)


def _parts(item: Item) -> Iterator[Item]:
    """Yield a block in parts of at most `LONGEST_BLOCK`, other items whole."""
    if not isinstance(item, Block):
        yield item
        return
    most = max(1, int(LONGEST_BLOCK * item.info.rate))
    if len(item) <= most:
        yield item
        return
    yield from item.split(list(range(most, len(item), most)))


def _labels(item: Item) -> tuple[str, ...]:
    return item.labels if isinstance(item, Events) else ()
