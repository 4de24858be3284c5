"""What the skin says: its level of conductance, and its responses."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array, Channel, Info
from physio.core.reason import Reason
from physio.core.stage import Grid, Stage, sealed
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.column import column

Counts = npt.NDArray[np.int64]

_MEAN, _SLOPE = STATISTICS.index("mean"), STATISTICS.index("slope")
_WARMING: Final = Reason.WARMING_UP.nan
_TAPS: Final = 1.0  # s, of the smoother
_RISE: Final = 6.0  # s, the longest way from a trough to its peak
_FALL: Final = 3.0  # s, within which a peak must be seen to fall
_BRIDGE: Final = 1.0  # s
_PERCENTILE: Final = 0.1
_FALLEN: Final = 0.25  # of the threshold


class Trace(NamedTuple):
    """What the detection of responses remembers: a conductance value a hop."""

    panes: Panes
    raw: Array  # (taps,): the newest values, held over short gaps; value k in k % taps
    smooth: Array  # (base,): the newest smoothed values, likewise
    held: Array  # (1,): the last value there was
    clock: Counts  # (2,): values seen, missing values in a row
    limits: Array  # (5,): values bridged, in a rise, in a fall; least rise, fall (uS)
    pick: int


def _trace(info: Info, hop: float, base: float, threshold: float) -> Trace:
    """Return an empty trace for the one skin conductance channel of ``info``."""
    pick = column(info, "gsr")
    source = info.channels[pick]
    if source.unit.lower().endswith("ohm"):
        raise ValueError(
            f"{source.name!r} of {info.name!r} is a resistance in {source.unit}: turn "
            f"it into conductance first, uS = 1000 / kOhm"
        )
    if source.unit != "uS":
        raise ValueError(
            f"skin conductance is read in uS, but {source.name!r} of {info.name!r} is "
            f"in {source.unit}"
        )
    if not threshold > 0:
        raise ValueError(
            f"the least response on {info.name!r} must be above 0 uS: {threshold}"
        )
    if not base >= _RISE + _FALL + 1:
        raise ValueError(
            f"the tonic level of {info.name!r} must look back over a whole response, "
            f"{_RISE + _FALL + 1:g} s: {base:g} s is too short"
        )
    a_second = 1 / Fraction(str(hop))
    durations = [int(s * a_second) for s in (_BRIDGE, _RISE, _FALL)]
    return Trace(
        panes(info, (hop,), hop, 0.5, columns=1),
        np.full(max(int(_TAPS * a_second), 1), _WARMING),
        np.full(int(Fraction(str(base)) * a_second), _WARMING),
        np.array([_WARMING]),
        np.zeros(2, np.int64),
        np.array([*durations, threshold, threshold * _FALLEN]),
        pick,
    )


def _lag(info: Info, hop: float) -> float:
    """Return how far the smoothed trace lies behind its newest sample (s)."""
    values = max(int(_TAPS / Fraction(str(hop))), 1)
    return ((values - 1) * hop + hop - 1 / float(info.rate)) / 2


@njit(cache=True)
def _respond(s: Array, k: int, limits: Array) -> tuple[float, int, int]:
    """Find the response that value ``k`` of the smoothed trace completes, if any.

    Returns its amplitude (0 for none), and how many values ago its trough and its
    peak were. It is all there in the newest values, so nothing else is remembered.
    """
    size = len(s)
    rise, fall, least, fallen = int(limits[1]), int(limits[2]), limits[3], limits[4]
    now = s[k % size]
    top, low, peak = -np.inf, np.inf, 0  # low: the least between the peak and now
    for back in range(1, min(fall, k) + 1):
        v = s[(k - back) % size]
        if np.isnan(v) or (v > top and low <= v - fallen):
            break  # before that, another peak was completed
        if v > top:
            top, peak = v, back
        low = min(low, v)
    if not now <= top - fallen:
        return 0.0, 0, 0
    bottom, trough = top, peak
    for back in range(peak + 1, min(peak + rise, k) + 1):
        v = s[(k - back) % size]
        if np.isnan(v) or v > top or v > bottom + fallen:
            break
        if v < bottom:
            bottom, trough = v, back
    amplitude = top - bottom
    return (amplitude, trough, peak) if amplitude >= least else (0.0, 0, 0)


@njit(cache=True)
def _level(s: Array, k: int) -> float:
    """Return the low percentile of the trace up to value ``k``.

    Where more than half of it is missing, the newest NaN instead.
    """
    size, n, lost = len(s), 0, 0.0
    least = np.empty(int(_PERCENTILE * size) + 1)
    for back in range(size):
        v = s[(k - back) % size]
        if np.isnan(v):
            lost = lost if np.isnan(lost) else v
            continue
        at = min(n, len(least))  # where v goes among the least so far, rising
        while at > 0 and least[at - 1] > v:
            if at < len(least):
                least[at] = least[at - 1]
            at -= 1
        if at < len(least):
            least[at] = v
        n += 1
    return least[int(_PERCENTILE * n)] if 2 * n >= size else lost


@njit(cache=True)
def _follow(
    raw: Array, smooth: Array, held: Array, clock: Counts, limits: Array, x: Array
) -> Array:
    """Take in conductance values, shape (n, 1); return what each one shows.

    Returns
    -------
    ndarray, shape (n, 5)
        Tonic and phasic (uS); then of the response that the value completes its
        amplitude (uS, 0 where there is none), and how many values ago its trough and
        its peak were.
    """
    y = np.empty((len(x), 5))
    for i in range(len(x)):
        v = x[i, 0]
        k = clock[0]
        clock[0] += 1
        clock[1] = clock[1] + 1 if np.isnan(v) else 0
        held[0] = held[0] if np.isnan(v) and clock[1] <= limits[0] else v
        raw[k % len(raw)] = held[0]
        mean = 0.0
        for r in raw:
            mean += r
        now = mean / len(raw)
        if np.isnan(now):
            now = v if np.isnan(v) else _WARMING
        smooth[k % len(smooth)] = now
        for c in range(5):
            y[i, c] = now
        if not np.isnan(now):
            amplitude, trough, peak = _respond(smooth, k, limits)
            y[i, 2] = amplitude
            y[i, 3] = trough
            y[i, 4] = peak
        level = _level(smooth, k) if k + 1 >= len(smooth) else _WARMING
        if np.isnan(v) or np.isnan(level):
            y[i, 0] = v if np.isnan(v) else level
            y[i, 1] = y[i, 0]
        elif not np.isnan(now):
            y[i, 0] = min(level, now)
            y[i, 1] = now - y[i, 0]
    return y


def _watch(trace: Trace, x: Array) -> Array:
    """Run the whole detection on samples; shape (m, 5), as of `_follow`."""
    own = sealed(x[:, trace.pick : trace.pick + 1])
    means = sealed(slide(*trace.panes, own)[:, 0, _MEAN])
    return np.asarray(_follow(*trace[1:6], means))


@dataclass(frozen=True)
class SkinConductance(Stage):
    """Level of skin conductance, and how much it responds.

    ``tonic`` (uS) is the lowest tenth of the last ``base`` s, so what is left without
    responses; ``phasic`` (uS) is how far the signal is above it now. ``rate`` (1/min)
    counts the responses of the last minute and ``amplitude`` (uS) adds them up;
    ``slope`` (uS/min) is where the tonic level is going, over that minute.

    Parameters
    ----------
    threshold
        Least amplitude of a response, from trough to peak (uS).
    base
        How far back the tonic level looks (s).
    past
        How long responses are counted for (s): a whole number of hops.
    hop
        Time from one output to the next (s).
    share
        Which part of a window must be there for ``rate``, ``amplitude``, ``slope``.

    Notes
    -----
    The signal is averaged over each hop and then over 1 s. A response is a rise of at
    least ``threshold`` within 6 s to a peak from which the signal falls by a quarter of
    ``threshold`` within 3 s; it counts from that moment on. The least amplitude in use
    is 0.01 to 0.05 uS [1]_. Gaps of up to 1 s are held over. ``rate`` and ``amplitude``
    are scaled to a minute: from the part of the window that is there, and from
    ``past``.

    Overlapping responses that leave no trough between them count as one, as in every
    count from trough to peak [1]_.

    References
    ----------
    .. [1] Boucsein et al., Publication recommendations for electrodermal measurements,
       Psychophysiology 49, 2012.
    """

    threshold: float = 0.01
    base: float = 20.0
    past: float = 60.0
    hop: float = 0.25
    share: float = 0.5

    def output(self, info: Info) -> Info:
        """Return the five features."""
        trace, _, _ = self.begin(info)
        source = info.channels[trace.pick]
        near = source.span + self.hop + _BRIDGE + _TAPS
        level = near + self.base
        far = level + self.past
        delay = source.delay + _lag(info, self.hop)
        return info.at(
            info.rate / self.grid(info).hop,
            Channel("tonic", "gsr", "uS", delay, level),
            Channel("phasic", "gsr", "uS", delay, level),
            Channel("rate", "misc", "1/min", delay, far),
            Channel("amplitude", "misc", "uS", delay, far),
            Channel("slope", "misc", "uS/min", delay, far),
        )

    def grid(self, info: Info) -> Grid:
        """Return an output every hop."""
        return every(info, self.hop)

    def begin(self, info: Info) -> tuple[Trace, Panes, float]:
        """Return the empty trace, the windows on it, and the values in a minute."""
        trace = _trace(info, self.hop, self.base, self.threshold)
        values = info.at(info.rate / self.grid(info).hop)
        windows = panes(values, (self.past,), self.hop, self.share, columns=3)
        return trace, windows, 60 * float(values.rate)

    def step(self, state: tuple[Trace, Panes, float], x: Array) -> Array:
        """Take in ``x``; return the features now due."""
        trace, windows, minute = state
        y = _watch(trace, x)
        tonic, phasic, amplitude = y[:, 0], y[:, 1], y[:, 2]
        count = np.where(amplitude > 0, 1.0, amplitude)
        past = slide(*windows, sealed(np.column_stack([count, amplitude, tonic])))
        rate, total = past[:, 0, _MEAN, 0], past[:, 0, _MEAN, 1]
        slope = past[:, 0, _SLOPE, 2]
        scaled = [rate * minute, total * minute, slope * minute]
        return np.column_stack([tonic, phasic, *scaled])


@dataclass(frozen=True)
class Responses(Stage):
    """Skin conductance responses, as events: see `SkinConductance`.

    Each lies where the rise begins; it has its ``amplitude`` from trough to peak (uS)
    and the time that the ``rise`` took (s).

    Parameters
    ----------
    threshold
        Least amplitude (uS).
    hop
        Time resolution (s).
    """

    threshold: float = 0.01
    hop: float = 0.25

    def output(self, info: Info) -> Info:
        """Return a point stream (see `physio.core.events.points`)."""
        trace, _ = self.begin(info)
        source = info.channels[trace.pick]
        span = source.span + self.hop + _BRIDGE + _TAPS + _RISE + _FALL
        delay = source.delay + _lag(info, self.hop) + _RISE + _FALL
        return info.at(
            info.rate / self.grid(info).hop,
            Channel("event", "event", "s", delay, span),
            Channel("amplitude", "gsr", "uS", delay, span),
            Channel("rise", "misc", "s", delay, span),
        )

    def grid(self, info: Info) -> Grid:
        """Return a row every hop."""
        return every(info, self.hop)

    def begin(self, info: Info) -> tuple[Trace, float]:
        """Return the empty trace, and how far it lags (s)."""
        base = _RISE + _FALL + 1
        trace = _trace(info, self.hop, base, self.threshold)
        return trace, _lag(info, self.hop)

    def step(self, state: tuple[Trace, float], x: Array) -> Array:
        """Take in ``x``; return a row for each hop, NaN where no response completed."""
        trace, lag = state
        amplitude, trough, peak = _watch(trace, x)[:, 2:].T
        none = np.where(np.isnan(amplitude), amplitude, np.nan)
        onset, rise = -(trough * self.hop + lag), (trough - peak) * self.hop
        rows = np.column_stack([onset, amplitude, rise])
        return np.where(amplitude[:, None] > 0, rows, none[:, None])
