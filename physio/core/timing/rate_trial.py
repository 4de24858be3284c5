"""Decision whether a stream that falls behind is slow or loses samples."""

from collections import deque
from typing import Final

import numpy as np

from physio.core.block import Array

_WINDOW: Final = 0.5  # s of which the least delayed sample counts
_EARLY: Final = 3.0  # s after which more than a clock's drift is losses
_SOONEST: Final = 8.0  # s after which a rate can be told from losses ...
_LATEST: Final = 20.0  # ... and after which what is not decided is a rate
_NONE: Final = 0.002  # drift that is none (s per s)
_MOST: Final = 0.03  # drift of a sender's clock at most (s per s)
_SMOOTH: Final = 0.2  # share of the variance of losses that a slow clock has ...
_ROUGH: Final = 0.7  # ... and that losses have at least
_WHITE: Final = 1.5  # Durbin-Watson statistic of delays about a line ...
_WALK: Final = 1.0  # ... and of a random walk


class RateTrial:
    """Measurement of a stream's rate from delayed stamps, before losses are counted.

    A sender that is slow and one that loses samples both fall behind. The least delayed
    samples of a slow one lie on a line; those of one that loses samples at random lie
    on a random walk, with the variance of a Poisson process. Where delays hide the
    difference for 20 s, a drift of at most 3 % is a rate, so that no loss is invented.

    Parameters
    ----------
    rate
        Nominal rate (Hz).
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.drift = np.nan
        """Drift of the start time (s per s) once decided: 0 if the rate is nominal."""
        self.falls_behind = False
        """True if it has certainly fallen behind."""
        self.moved = 0.0
        """Change of the least delays by their line, from first to newest (s)."""
        self.noise = 0.0
        """Standard deviation of the least delays about a line (s)."""
        self._window = max(round(_WINDOW * rate), 2)
        self.restart()

    @property
    def decided(self) -> bool:
        """True once the drift is known."""
        return not np.isnan(self.drift)

    def restart(self) -> None:
        """Begin anew, as after a gap."""
        self._n = 0
        self._least = np.inf
        self._at = 0.0
        # Time since the begin and least delay of each window (s).
        self._points: deque[tuple[float, float]] = deque(
            maxlen=round(_LATEST / _WINDOW)
        )

    def push(self, late: float, size: int) -> bool:
        """Add the next sample that came; return True if it completes a window.

        Parameters
        ----------
        late
            Its time after its place at the nominal rate, without any loss (s).
        size
            Samples that are sent, and lost, at once.
        """
        if late < self._least:
            self._least, self._at = late, self._n / self.rate
        self._n += 1
        if self._n % self._window:
            return False
        self._points.append((self._at, self._least))
        self._least = np.inf
        if len(self._points) * _WINDOW >= _EARLY:
            self._decide(size)
        return True

    def line(self, seconds: float) -> tuple[float, float]:
        """Return the drift so far (s per s) and the delay now (s).

        Parameters
        ----------
        seconds
            Time in which one sample at least is hardly delayed (s).
        """
        x, y = np.array(self._points).T
        known = len(y) >= _EARLY / _WINDOW
        drift = _fit(x[2:], y[2:])[0] if known else 0.0
        level = (y - drift * x)[-_some(seconds) :].min()
        return drift, float(level) + drift * self._n / self.rate

    def ends(self, seconds: float) -> tuple[float, float]:
        """Return the least delay in the first and in the newest ``seconds`` (s)."""
        y, n = np.array(self._points)[:, 1], _some(seconds)
        return float(y[:n].min()), float(y[-n:].min())

    def _decide(self, size: int) -> None:
        x, y = np.array(self._points)[2:].T  # the first samples may all be late
        drift, rest = _fit(x, y)
        steps = np.diff(rest)
        length = _WINDOW * len(y) / 12**0.5
        error = float(np.std(rest) / length / len(y) ** 0.5)
        durbin = float(steps @ steps) / max(float(rest @ rest), 1e-18)
        expected = abs(drift) * _WINDOW * size / self.rate  # variance of losses
        share = float(np.mean(steps**2)) / max(expected, 1e-18)
        last = len(self._points) == self._points.maxlen
        certain = abs(drift) > 4 * error
        self.falls_behind = certain and drift > 0
        self.moved = drift * _WINDOW * len(y)
        self.noise = float(np.std(rest))
        early = len(self._points) * _WINDOW < _SOONEST
        if early:
            if certain and drift > 2.5 * _MOST:
                self.drift = 0.0
        elif drift > 1.5 * _MOST or (abs(drift) < _NONE and error < _NONE / 2):
            self.drift = 0.0
        elif certain and (
            drift < 0
            or share < (_SMOOTH if size == 1 else _SMOOTH / 2)
            or (size == 1 and durbin > _WHITE)
        ):
            self.drift = float(drift)
        elif share > _ROUGH and durbin < _WALK:
            self.drift = 0.0
        elif last:
            slow = certain and drift < _MOST and (size == 1 or durbin > _WALK)
            self.drift = float(drift) if slow else 0.0


def _some(seconds: float) -> int:
    """Return a number of windows, one at least."""
    return max(1, round(seconds / _WINDOW))


def _fit(x: Array, y: Array) -> tuple[float, Array]:
    """Return slope and residuals of a line."""
    drift, level = np.polyfit(x, y, 1)
    return float(drift), y - drift * x - level
