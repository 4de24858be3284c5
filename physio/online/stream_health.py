"""How streams and clocks do while a session runs."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from physio.core.block import Block, StreamInfo

WARN: Final = 0.005  # by how much of itself a rate may be off before it is said
REFUSE: Final = 0.05  # and before nothing is computed from the stream any more
LOOK: Final = 20.0  # over how long a rate is measured at least (s)
JUMP: Final = 1.0  # by how much stamps may stray from the session clock (s)


@dataclass
class StreamHealth:
    """How a stream does: what came of it, what did not, and when it was last heard."""

    info: StreamInfo
    samples: int = 0
    lost: int = 0
    received: float = float("nan")
    late: int = 0
    silent: bool = False
    newest: Block | None = field(default=None, repr=False)
    refused: bool = False
    _past: deque[tuple[float, int, int]] = field(default_factory=deque, repr=False)
    _warned: bool = field(default=False, repr=False)
    _ahead: float = field(default=float("nan"), repr=False)

    def take(self, block: Block) -> list[str]:
        """Count a block; return what is to be said of the stream."""
        gone = block.start - (self.samples + self.lost)
        said = self._back(block, gone) if self.silent and len(block) else []
        self.lost += gone
        self.samples += len(block)
        self.received, self.silent, self.newest = block.complete_until, False, block
        if len(block):
            said += self._clock(block)
            if not self._past or block.complete_until >= self._past[-1][0] + 1.0:
                self._past.append((block.complete_until, self.samples, self.lost))
                while self._past[0][0] < block.complete_until - 3 * LOOK:
                    self._past.popleft()
                said += self._rate()
        return said

    def set_silent(self, now: float) -> list[str]:
        """Note that the stream was declared silent; return what is to be said."""
        if self.silent:
            return []
        self.silent = True
        never = np.isnan(self.received)
        how = "yet" if never else f"for {now - self.received:.1f} s"
        return [f"stalled: no data of {self.info.name} {how}"]

    @property
    def measured(self) -> float:
        """The rate at which samples came (Hz), losses left out; NaN too early."""
        if not self._past or self._past[-1][0] - self._past[0][0] < LOOK:
            return float("nan")
        (a, first, before), (b, last, lost) = self._past[0], self._past[-1]
        seconds = b - a - (lost - before) / float(self.info.rate)
        return (last - first) / seconds if seconds > 0 else float("nan")

    @property
    def off(self) -> float:
        """By how much of the nominal rate the measured one differs; NaN too early."""
        nominal = float(self.info.rate)
        return abs(self.measured - nominal) / nominal

    def _back(self, block: Block, gone: int) -> list[str]:
        if np.isnan(self.received):
            return [f"back: {self.info.name} sends now"]
        after = block.times[0] - self.received
        return [f"back: {self.info.name} after {after:.1f} s, {gone} samples missed"]

    def _rate(self) -> list[str]:
        name = self.info.name
        measured, nominal = self.measured, float(self.info.rate)
        rates = f"{name} sends {measured:.2f} samples/s, not {nominal:g}"
        if self.off > REFUSE and not self.refused:
            self.refused = True
            return [f"refused: {rates}: nothing is computed from it any more"]
        if self.off > WARN and not self._warned:
            self._warned = True
            return [f"rate: {rates}"]
        return []

    def _clock(self, block: Block) -> list[str]:
        if block.stamps is None:
            return []
        was, self._ahead = self._ahead, float(block.stamps[-1] - block.complete_until)
        by = self._ahead - was
        if np.isnan(by) or abs(by) <= JUMP:
            return []
        return [f"clock: the stamps of {self.info.name} jumped {by:+.1f} s"]


def slept() -> float:
    """Return how long the computer was suspended since it started (s)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def date() -> float:
    """Return the computer's date less its monotonic clock (s)."""
    return time.time() - time.monotonic()


@dataclass
class SleepDetector:
    """Notices that the computer slept, or that its clock was set.

    Parameters
    ----------
    slept, date
        As the functions of these names give them.
    """

    slept: Callable[[], float] = slept
    date: Callable[[], float] = date

    def __post_init__(self) -> None:
        self._slept, self._date = self.slept(), self.date()

    def check(self) -> list[str]:
        """Return what happened since the last call."""
        slept, date = self.slept(), self.date()
        nap, step = slept - self._slept, date - self._date
        self._slept, self._date = slept, date
        said = []
        if nap > JUMP:
            said.append(f"clock: the computer slept {nap:.1f} s")
        if abs(step - nap) > JUMP:
            said.append(f"clock: the computer's date was set {step - nap:+.1f} s")
        return said
