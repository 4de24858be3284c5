"""Where a device's own clock lies on ours, from when its frames came."""

from typing import Final

_PERIOD: Final = 2.0  # s, of which the frame counts that came with the least delay
_PERIODS: Final = 60
_ENOUGH: Final = 5  # periods before a drift is told from chance
_STRAY: Final = 0.005  # by how much the least delay of a period varies (s)
_DRIFT: Final = 5e-5  # how much crystals usually differ (s a second)
_SET: Final = 10.0  # by how much delays leap when the device's clock was set (s)


class DelayEstimator:
    """The line under the delays of frames: offset and drift of the device's clock.

    No frame comes before it was sent, and some come with little delay. So of all lines
    that no delay lies below, the one counts that the delays lie least above: the edge
    of their lower hull above their middle. It holds across a gap of any length, as a
    running minimum does not.

    Notes
    -----
    As Moon, Skelly and Towsley (1999) estimate the skew of clocks in a network; but as
    crystals differ by little, a drift counts in full only once it was seen for minutes.
    """

    def __init__(self) -> None:
        self._least: list[tuple[float, float]] = []  # stamp, delay; one a period

    def update(self, stamp: float, now: float) -> None:
        """Take note that what was stamped ``stamp`` (s) came at ``now`` (s)."""
        delay = now - stamp
        if self._least and abs(delay - self._least[-1][1]) > _SET:
            self._least.clear()
        least = self._least
        if least and stamp // _PERIOD == least[-1][0] // _PERIOD:
            least[-1] = min(least[-1], (stamp, delay), key=lambda point: point[1])
        else:
            least.append((stamp, delay))
        del least[:-_PERIODS]

    def line(self) -> tuple[float, float]:
        """Return the delay at stamp 0 (s), and by how much it grows (s a second)."""
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
    """Return the two corners of the hull between which ``middle`` lies."""
    i = next(
        (i for i, (x, _) in enumerate(hull[1:-1], 1) if x >= middle), len(hull) - 1
    )
    return hull[i - 1], hull[i]
