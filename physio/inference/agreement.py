"""Agreement of estimates with a participant's ratings, both live and offline."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block
from physio.core.events import Events, Item
from physio.core.recording import RATINGS, base_name, computed

FEWEST: Final = 10
"""Number of ratings below which no agreement is reported."""

_MARGIN: Final = 4.0  # s of estimates stored beyond the longest delay


@dataclass
class Agreement:
    """Concordance, correlation and delay between estimates and ratings.

    Each rating is compared with the estimates of the preceding ``longest`` s by running
    sums, so that the cost does not depend on the length of the session. Dimensions that
    the estimator does not provide are omitted.

    Parameters
    ----------
    longest, step
        Maximum delay of a rating behind the estimate, and step of the delays (s).
    participant
        Code of the participant, in a session of several.
    """

    longest: float = 8.0
    step: float = 0.5
    participant: str = ""
    _past: deque[tuple[float, Array]] = field(default_factory=deque, repr=False)
    _waiting: deque[tuple[float, Array]] = field(default_factory=deque, repr=False)

    def __post_init__(self) -> None:
        self.delays = np.arange(0.0, self.longest + self.step / 2, self.step)
        self._sums = np.zeros((len(self.delays), len(DIMENSIONS), 6))

    def take(self, item: Item) -> None:
        """Take in estimates or ratings; ignore any other item."""
        about = item.info.participant
        if isinstance(item, Events):
            concerned = not self.participant or about in {"", self.participant}
            if concerned and base_name(item.info.name) == RATINGS:
                rows = zip(item.times.tolist(), item.data, strict=True)
                self._waiting += [(t, row.copy()) for t, row in rows]
        elif computed(item.info.name) == "estimates" and (
            not self.participant or about == self.participant
        ):
            self._add_estimates(item)

    def summary(self) -> dict[str, dict[str, float | int]]:
        """Return the agreement for each dimension with at least `FEWEST` ratings.

        ``n`` is the number of ratings. ``ccc`` (Lin 1989) and ``r`` are concordance and
        correlation without delay. ``delay_s`` is the delay of the rating behind the
        estimate with the highest correlation, which is ``r_at_delay``.
        """
        summary: dict[str, dict[str, float | int]] = {}
        for d, name in enumerate(DIMENSIONS):
            n = int(self._sums[0, d, 0])
            if n < FEWEST:
                continue
            ccc, r = _agree(self._sums[:, d])
            if np.isnan(r).all():
                continue
            best = int(np.nanargmax(r))
            summary[name] = {
                "n": n,
                "ccc": float(ccc[0]),
                "r": float(r[0]),
                "delay_s": float(self.delays[best]),
                "r_at_delay": float(r[best]),
            }
        return summary

    def _add_estimates(self, block: Block) -> None:
        missing = np.full(len(block), np.nan)
        columns = [
            block.column(d) if d in block.info.names else missing for d in DIMENSIONS
        ]
        for time, row in zip(
            block.times.tolist(), np.column_stack(columns), strict=True
        ):
            self._past.append((time, row))
            while self._waiting and self._waiting[0][0] <= time:
                self._compare(*self._waiting.popleft())
        newest = self._past[-1][0] if self._past else 0.0
        while self._past and self._past[0][0] < newest - self.longest - _MARGIN:
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
    """Return concordance and correlation of two series, where both have values."""
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = a[finite], b[finite]
    terms = [np.ones_like(x), x, y, x * x, y * y, x * y]
    ccc, r = _agree(np.sum(terms, axis=1)[None])
    return float(ccc[0]), float(r[0])


def _agree(sums: Array) -> tuple[Any, Any]:
    """Return concordance and correlation from sums of 1, x, y, xx, yy, xy, (..., 6)."""
    n = np.maximum(sums[..., 0], 1.0)
    x, y, xx, yy, xy = np.moveaxis(sums[..., 1:] / n[..., None], -1, 0)
    vx, vy, cov = xx - x * x, yy - y * y, xy - x * y
    flat = (vx < 1e-12) | (vy < 1e-12) | (sums[..., 0] < 2)
    r = np.where(flat, np.nan, cov / np.sqrt(np.where(flat, 1.0, vx * vy)))
    ccc = np.where(flat, np.nan, 2 * cov / np.where(flat, 1.0, vx + vy + (x - y) ** 2))
    return ccc, r
