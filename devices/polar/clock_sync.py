"""Synchronization of a device's clock with the session clock, by frame delays."""

from typing import Final

_PERIOD: Final = 2.0  # s, of which the least delayed frame counts
_PERIODS: Final = 60
_ENOUGH: Final = 5  # periods before a drift is estimated
_STRAY: Final = 0.005  # variation of the least delay of a period (s)
_DRIFT: Final = 5e-5  # usual difference of crystals (s per s)
_SET: Final = 10.0  # jump of the delay that means a clock was set (s)


class DelayEstimator:
    """Estimator of offset and drift of the device's clock, from delays of frames.

    No frame arrives before it was sent, and some arrive with little delay. The estimate
    is the line below all delays that is closest to them: the edge of their lower convex
    hull at their mean time. Unlike a running minimum, it holds across gaps of any
    length.

    Notes
    -----
    Moon, Skelly and Towsley (1999) estimate the skew of network clocks in this way.
    Here, as crystals differ by little, the drift is shrunk to 0 until it has been
    observed for minutes.
    """

    def __init__(self) -> None:
        self._least: list[tuple[float, float]] = []  # stamp and delay, one per period

    def update(self, stamp: float, now: float) -> None:
        """Add a frame with time stamp ``stamp`` (s) that arrived at ``now`` (s)."""
        delay = now - stamp
        if self._least and abs(delay - self._least[-1][1]) > _SET:
            self._least.clear()
        least = self._least
        if least and stamp // _PERIOD == least[-1][0] // _PERIOD:
            least[-1] = min(least[-1], (stamp, delay), key=lambda point: point[1])
        else:
            least.append((stamp, delay))
        del least[:-_PERIODS]

    @property
    def started(self) -> bool:
        """True once a frame was added."""
        return bool(self._least)

    def line(self) -> tuple[float, float]:
        """Return the delay at stamp 0 (s), and its drift (s per s)."""
        points = self._least
        if len(points) < _ENOUGH:
            return min((delay for _, delay in points), default=0.0), 0.0
        middle = sum(stamp for stamp, _ in points) / len(points)
        a, b = _edge(_hull(points), middle)
        slope = (b[1] - a[1]) / (b[0] - a[0])
        unsure = _STRAY / (points[-1][0] - points[0][0]) / _DRIFT
        slope /= 1 + unsure**2
        return min(delay - slope * stamp for stamp, delay in points), slope


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lower convex hull of points whose first coordinate rises."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _edge(
    hull: list[tuple[float, float]], middle: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the two corners of the hull on either side of ``middle``."""
    i = next(
        (i for i, (x, _) in enumerate(hull[1:-1], 1) if x >= middle), len(hull) - 1
    )
    return hull[i - 1], hull[i]
