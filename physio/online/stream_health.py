"""Health of streams and clocks while a session runs."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.counted_nouns import counted
from physio.core.operating_system import suspended

WARN: Final = 0.005
"""Relative deviation of a sampling rate above which a notice is given."""

REJECT: Final = 0.05
"""Relative deviation above which the stream is excluded from the computation."""

MEASURED: Final = 20.0
"""Shortest time over which a sampling rate is measured (s)."""

OLD: Final = 1.0
"""Age of a sample at its arrival above which a notice is given (s)."""

EARLY: Final = -0.1
"""Negative age of a sample below which a notice is given (s): clocks agree less well
than that only if one of them is wrong."""

AGE_WINDOW: Final = 2.0
"""Time over which ages are compared, so that one delayed packet gives no notice (s)."""

_MANY: Final = 32  # losses that show whether they are regular
_REGULAR: Final = 0.4  # relative spread of their distances, below that of chance

JUMP: Final = 1.0
"""Jump of time stamps against the session clock above which a notice is given (s)."""


@dataclass
class StreamHealth:
    """Health of a stream: samples received and lost, its rate, its time stamps."""

    info: StreamInfo
    samples: int = 0
    lost: int = 0
    received: float = float("nan")
    late: int = 0
    silent: bool = False
    newest: Block | None = field(default=None, repr=False)
    rejected: bool = False
    _counts: deque[tuple[float, int, int]] = field(default_factory=deque, repr=False)
    _gaps: deque[tuple[int, int]] = field(
        default_factory=lambda: deque(maxlen=256), repr=False
    )  # number of samples before each loss, and samples lost
    _warned: bool = field(default=False, repr=False)
    _stamp_offset: float = field(default=float("nan"), repr=False)
    _ages: list[tuple[float, float]] = field(default_factory=list, repr=False)
    _age_reported: bool = field(default=False, repr=False)

    def update(self, block: Block) -> list[str]:
        """Update the counts by a block; return notices on the stream."""
        lost = block.start - (self.samples + self.lost)
        resumes = self.silent and len(block) > 0
        notices = self._resumed(block, lost) if resumes else []
        if lost > 0:
            self._gaps.append((self.samples, lost))
        self.lost += lost
        self.samples += len(block)
        self.received, self.silent, self.newest = block.complete_until, False, block
        if len(block):
            notices += self._check_clock(block)
            counts = self._counts
            if not counts or block.complete_until >= counts[-1][0] + 1.0:
                counts.append((block.complete_until, self.samples, self.lost))
                while counts[0][0] < block.complete_until - 3 * MEASURED:
                    counts.popleft()
                notices += self._check_rate()
        return notices

    def set_silent(self, now: float) -> list[str]:
        """Register that the stream was declared silent; return a notice."""
        if self.silent:
            return []
        self.silent = True
        never = np.isnan(self.received)
        duration = "yet" if never else f"for {now - self.received:.1f} s"
        return [f"stalled: no data of {self.info.name} {duration}"]

    def check_age(self, age: float, now: float) -> list[str]:
        """Register the age of the newest sample read at ``now`` (s); return a notice.

        A notice is given once: if all ages within `AGE_WINDOW` are above `OLD` or below
        `EARLY`.
        """
        if self._age_reported:
            return []
        self._ages.append((now, age))
        if now - self._ages[0][0] < AGE_WINDOW:
            return []
        ages = [age for _, age in self._ages]
        self._ages = []
        least, most = min(ages), max(ages)
        if least <= OLD and most >= EARLY:
            return []
        self._age_reported = True
        if most < EARLY:
            return [
                f"clock: the samples of {self.info.name} carry times {-most:.1f} s in "
                "the future: check the clock of the sending computer"
            ]
        return [
            f"clock: the samples of {self.info.name} are {least:.1f} s old when they "
            "arrive: check the sender's buffer and its clock"
        ]

    @property
    def measured(self) -> float:
        """Measured sampling rate without losses (Hz); NaN before enough samples.

        Losses at regular distances are none: the stream is slower than its nominal
        rate.
        """
        if not self._counts or self._counts[-1][0] - self._counts[0][0] < MEASURED:
            return float("nan")
        (begin, first, lost_before), (end, last, lost) = (
            self._counts[0],
            self._counts[-1],
        )
        seconds = end - begin
        if not self._are_regular():
            seconds -= (lost - lost_before) / float(self.info.rate)
        return (last - first) / seconds if seconds > 0 else float("nan")

    @property
    def deviation(self) -> float:
        """Relative deviation of the measured from the nominal rate; NaN if unknown."""
        nominal = float(self.info.rate)
        return abs(self.measured - nominal) / nominal

    def _are_regular(self) -> bool:
        """Return whether losses come at regular distances and are of one size."""
        if len(self._gaps) < _MANY:
            return False
        at, sizes = np.array(self._gaps).T
        distances = np.diff(at)
        usual, size = np.median(distances), np.median(sizes)
        spread = np.mean(np.abs(distances - usual)) / usual
        return bool(spread < _REGULAR and np.mean(np.abs(sizes - size)) <= size / 4)

    def _resumed(self, block: Block, lost: int) -> list[str]:
        if np.isnan(self.received):
            return [f"back: {self.info.name} sends now"]
        after = block.times[0] - self.received
        missed = counted(lost, "sample")
        return [f"back: {self.info.name} after {after:.1f} s, {missed} missed"]

    def _check_rate(self) -> list[str]:
        name = self.info.name
        measured, nominal = self.measured, float(self.info.rate)
        rates = f"{name} sends {measured:.2f} samples/s, not {nominal:g}"
        if self.deviation > REJECT and not self.rejected:
            self.rejected = True
            return [f"refused: {rates}: nothing is computed from it any more"]
        if self.deviation > WARN and not self._warned:
            self._warned = True
            return [f"rate: {rates}"]
        return []

    def _check_clock(self, block: Block) -> list[str]:
        if block.stamps is None:
            return []
        before = self._stamp_offset
        self._stamp_offset = float(block.stamps[-1] - block.complete_until)
        jump = self._stamp_offset - before
        if np.isnan(jump) or abs(jump) <= JUMP:
            return []
        return [f"clock: the stamps of {self.info.name} jumped {jump:+.1f} s"]


def date() -> float:
    """Return the system time minus the monotonic clock (s)."""
    return time.time() - time.monotonic()


@dataclass
class SleepDetector:
    """Detector of suspensions of the computer and of changes of its clock.

    Parameters
    ----------
    slept, date
        Functions with the same results as those of this module.
    """

    slept: Callable[[], float] = suspended
    date: Callable[[], float] = date

    def __post_init__(self) -> None:
        self._slept, self._date = self.slept(), self.date()

    def check(self) -> list[str]:
        """Return notices of suspensions and clock changes since the last call."""
        slept, date = self.slept(), self.date()
        nap, step = slept - self._slept, date - self._date
        self._slept, self._date = slept, date
        notices = []
        if nap > JUMP:
            notices.append(f"clock: the computer slept {nap:.1f} s")
        if abs(step - nap) > JUMP:
            notices.append(f"clock: the computer's date was set {step - nap:+.1f} s")
        return notices
