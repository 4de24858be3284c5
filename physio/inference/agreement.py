"""How estimates agree with what a participant reports: live and offline the same sums."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block
from physio.core.events import Events, Item
from physio.core.recording import RATINGS, base_name

DIMENSIONS: Final = ("valence", "arousal", "dominance")
FEWEST: Final = 10  # reports, below which nothing is said


@dataclass
class Agreement:
    """Concordance, correlation and delay between estimates and reports.

    Each report is compared with the estimates of the moments before it, ``longest`` s
    back, by sums that grow no larger: what it costs does not depend on how long a
    session is.

    Parameters
    ----------
    longest, step
        The delays of a report behind the estimate that are tried (s).
    name
        Of the stream of estimates.
    participant
        Whose ratings count, in a session of several participants.
    """

    longest: float = 8.0
    step: float = 0.5
    name: str = "estimates"
    participant: str = ""
    _past: deque[tuple[float, Array]] = field(default_factory=deque, repr=False)
    _waiting: deque[tuple[float, Array]] = field(default_factory=deque, repr=False)

    def __post_init__(self) -> None:
        self.delays = np.arange(0.0, self.longest + self.step / 2, self.step)
        self._sums = np.zeros((len(self.delays), len(DIMENSIONS), 6))

    def take(self, item: Item) -> None:
        """Take in estimates or ratings; anything else is let pass."""
        if isinstance(item, Events):
            mine = (
                item.info.participant in {"", self.participant} or not self.participant
            )
            if mine and base_name(item.info.name) == RATINGS:
                rows = zip(item.times.tolist(), item.data, strict=True)
                self._waiting += [(t, row.copy()) for t, row in rows]
        elif item.info.name == self.name:
            self._see(item)

    def told(self) -> dict[str, dict[str, float | int]]:
        """Return of each dimension with enough reports how they agree.

        ``n`` of them; ``ccc`` (Lin 1989) and ``r`` are those at no delay; ``delay_s``
        is how far the report lies behind the estimate where they correlate best, and
        ``r_at_delay`` how well.
        """
        found: dict[str, dict[str, float | int]] = {}
        for d, name in enumerate(DIMENSIONS):
            n = int(self._sums[0, d, 0])
            if n < FEWEST:
                continue
            ccc, r = _agree(self._sums[:, d])
            if np.isnan(r).all():
                continue
            best = int(np.nanargmax(r))
            found[name] = {
                "n": n,
                "ccc": float(ccc[0]),
                "r": float(r[0]),
                "delay_s": float(self.delays[best]),
                "r_at_delay": float(r[best]),
            }
        return found

    def _see(self, block: Block) -> None:
        columns = [block.column(d) for d in DIMENSIONS]
        for time, row in zip(
            block.times.tolist(), np.column_stack(columns), strict=True
        ):
            self._past.append((time, row))
            while self._waiting and self._waiting[0][0] <= time:
                self._compare(*self._waiting.popleft())
        newest = self._past[-1][0] if self._past else 0.0
        while self._past and self._past[0][0] < newest - self.longest - 4.0:
            self._past.popleft()

    def _compare(self, time: float, rated: Array) -> None:
        times = np.array([t for t, _ in self._past])
        rows = np.array([row for _, row in self._past])
        at = np.searchsorted(times, time - self.delays, side="right") - 1
        ok = at >= 0
        x = np.where(ok[:, None], rows[np.maximum(at, 0)], np.nan)
        y = np.broadcast_to(rated, x.shape)
        terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=2)
        self._sums += np.where(np.isfinite(x * y)[..., None], terms, 0.0)


def agree(a: Array, b: Array) -> tuple[float, float]:
    """Return concordance and correlation of two series, where both are there."""
    here = np.isfinite(a) & np.isfinite(b)
    x, y = a[here], b[here]
    terms = [np.ones_like(x), x, y, x * x, y * y, x * y]
    ccc, r = _agree(np.sum(terms, axis=1)[None])
    return float(ccc[0]), float(r[0])


def _agree(sums: Array) -> tuple[Any, Any]:
    """Return both of sums of 1, x, y, xx, yy, xy, shape (..., 6)."""
    n = np.maximum(sums[..., 0], 1.0)
    x, y, xx, yy, xy = np.moveaxis(sums[..., 1:] / n[..., None], -1, 0)
    vx, vy, cov = xx - x * x, yy - y * y, xy - x * y
    flat = (vx < 1e-12) | (vy < 1e-12) | (sums[..., 0] < 2)
    r = np.where(flat, np.nan, cov / np.sqrt(np.where(flat, 1.0, vx * vy)))
    ccc = np.where(flat, np.nan, 2 * cov / np.where(flat, 1.0, vx + vy + (x - y) ** 2))
    return ccc, r
