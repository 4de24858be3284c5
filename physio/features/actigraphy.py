"""Actigraphy and skin temperature: movement, posture, level and slope."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column

_MEAN, _DEVIATION, _SLOPE = (
    STATISTICS.index(s) for s in ("mean", "deviation", "slope")
)


_POOR = MissingReason.POOR_QUALITY.nan
_GRAVITY = (0.5, 2.0)  # g, range of a window's mean magnitude
_RANGE = 32.0  # g, twice the range of the widest sensors that are worn


class AxisWindows(NamedTuple):
    """Windows on the three axes and the magnitude, and the columns of the axes."""

    windows: Panes
    picks: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Actigraphy(Stage):
    """Movement and change of posture of a limb.

    ``activity`` is the standard deviation (g) of the magnitude of acceleration in the
    last ``window`` s, which removes gravity without a filter. ``posture`` is the angle
    (deg) between the mean acceleration of the last ``window`` s and that of the last
    ``past`` s: 0 if the posture has not changed.

    Parameters
    ----------
    window, past
        Lengths of the windows (s): whole numbers of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of a window's samples that must be present.
    axes
        Names of the three channels, in g; their order does not matter.

    Notes
    -----
    If the mean magnitude over ``window`` s differs from gravity, below 0.5 or above 2
    g, the sensor is dead or saturated and both outputs are missing (poor quality;
    ours). A sample beyond 32 g, twice the range of the widest sensors that are worn, or
    an infinite one is missing. The activity follows the mean amplitude deviation of
    [1]_, with the root mean square deviation in place of the mean absolute one, and 10
    s in place of 6. No delay is added.

    activity = sqrt(mean((abs(a) - mean(abs(a)))^2)). Shape (n, channels) to (m, 2).
    These are the deviations from [1]_.

    References
    ----------
    .. [1] Vaha-Ypya et al., A universal, accurate intensity-based classification of
       different physical activities using raw data of accelerometer, Clinical
       Physiology and Functional Imaging 35, 2015.
    """

    window: float = 10.0
    past: float = 60.0
    step: float = 0.25
    min_valid: float = 0.5
    axes: tuple[str, ...] = ("acc.x", "acc.y", "acc.z")

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``activity`` and ``posture``."""
        axes = [info.channels[i] for i in self.initial_state(info).picks]
        span = max(c.memory for c in axes)
        delay = max(c.delay for c in axes)
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("activity", "misc", "g", delay, span + self.window),
            Channel(
                "posture", "misc", "deg", delay, span + max(self.window, self.past)
            ),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> AxisWindows:
        """Return empty windows."""
        picks = []
        if len(set(self.axes)) != 3:
            raise ValueError(
                f"movement of {info.name!r} needs three axes, not "
                f"{self._axes or 'none'}"
            )
        for name in self.axes:
            if name not in info.names:
                raise ValueError(
                    f"movement needs {self._axes}, but {info.name!r} has no "
                    f"{name!r}; it has {', '.join(info.names)}"
                )
            picks.append(info.names.index(name))
            if (unit := info.channels[picks[-1]].unit) != "g":
                raise ValueError(
                    f"movement is read in g, but {name!r} of {info.name!r} is in {unit}"
                )
        widths = (self.window, self.past)
        windows = panes(info, widths, self.step, self.min_valid, columns=4)
        return AxisWindows(windows, np.array(picks))

    @property
    def _axes(self) -> str:
        return " and ".join(filter(None, (", ".join(self.axes[:-1]), *self.axes[-1:])))

    def process(self, state: AxisWindows, x: Array) -> Array:
        """Take in ``x``; return the outputs now due."""
        return np.asarray(
            _activity_posture(
                slide(*state.windows, _axes_and_magnitude(x, state.picks))
            )
        )


@njit(cache=True)
def _norm(a: float, b: float, c: float) -> float:
    return np.sqrt(a**2 + b**2 + c**2)


@njit(cache=True)
def _axes_and_magnitude(x: Array, picks: npt.NDArray[np.intp]) -> Array:
    """Return axes and magnitude, missing where any axis is missing, shape (n, 4)."""
    y = np.empty((len(x), 4))
    for i in range(len(x)):
        for k in range(3):
            v = x[i, picks[k]]
            y[i, k] = _POOR if abs(v) > _RANGE else v
        y[i, 3] = _norm(y[i, 0], y[i, 1], y[i, 2])
        for k in range(3):
            if np.isnan(y[i, k]):
                y[i, 3] = y[i, k]
    return y


@njit(cache=True)
def _activity_posture(y: Array) -> Array:
    """Return activity and the angle (deg) between the two windows' means, (m, 2).

    The angle is exact near 0 too.
    """
    out = np.empty((len(y), 2))
    for i in range(len(y)):
        gravity = y[i, 0, _MEAN, 3]
        dead = gravity < _GRAVITY[0] or gravity > _GRAVITY[1]
        out[i, 0] = _POOR if dead else y[i, 0, _DEVIATION, 3]
        a, b, c = y[i, 0, _MEAN, 0], y[i, 0, _MEAN, 1], y[i, 0, _MEAN, 2]
        d, e, f = y[i, 1, _MEAN, 0], y[i, 1, _MEAN, 1], y[i, 1, _MEAN, 2]
        across = _norm(b * f - c * e, c * d - a * f, a * e - b * d)
        along = a * d + b * e + c * f
        nowhere = across == 0 and along == 0
        out[i, 1] = _POOR if nowhere or dead else np.degrees(np.arctan2(across, along))
        for w in range(2):
            for k in range(3):
                if np.isnan(y[i, w, _MEAN, k]):
                    out[i, 1] = y[i, w, _MEAN, k]
    return out


@dataclass(frozen=True)
class Temperature(Stage):
    """Level and slope of skin temperature.

    ``level`` is the mean (degC) of the last ``window`` s, ``slope`` that of the
    least-squares line (degC/min) through the last ``past`` s.

    Parameters
    ----------
    window, past
        Lengths of the windows (s): whole numbers of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of a window's samples that must be present.

    Notes
    -----
    Windows end with their output: no delay is added. The average over ``window``
    smooths the quantization steps of a sensor, 0.02 degC on an E4.

    level = mean(x), slope = 60 cov(t, x) / var(t), as in `numpy.polyfit`, without
    deviation. Shape (n, channels) to (m, 2).
    """

    window: float = 10.0
    past: float = 60.0
    step: float = 0.25
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``level`` and ``slope``."""
        source = info.channels[column(info, "temperature")]
        if source.unit != "degC":
            raise ValueError(
                f"skin temperature is read in degC, but {source.name!r} of "
                f"{info.name!r} is in {source.unit}"
            )
        self.initial_state(info)
        level, slope = source.memory + self.window, source.memory + self.past
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("level", "temperature", "degC", source.delay, level),
            Channel("slope", "misc", "degC/min", source.delay, slope),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> tuple[Panes, int, float]:
        """Return empty windows, the column to read, and the samples in a minute."""
        widths = (self.window, self.past)
        windows = panes(info, widths, self.step, self.min_valid, columns=1)
        return windows, column(info, "temperature"), 60 * float(info.rate)

    def process(self, state: tuple[Panes, int, float], x: Array) -> Array:
        """Take in ``x``; return the outputs now due."""
        windows, pick, minute = state
        y = slide(*windows, read_only(x[:, pick : pick + 1]))[..., 0]
        if not len(y):
            return np.empty((0, 2))
        return np.column_stack([y[:, 0, _MEAN], y[:, 1, _SLOPE] * minute])
