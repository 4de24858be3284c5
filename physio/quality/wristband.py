"""Wear detection of a wristband, and quality of its pulse and skin conductance."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit

_STILL: Final = 1e-3  # g, noise of a sensor on a table: the smallest activity

PULSE: Final = (-23.64, 23.79, -0.866)
"""Log-odds of a readable pulse: constant, template SQI, log10 of activity (g)."""

PULSE_STILL: Final = (-24.57, 26.66)
"""Log-odds of a readable pulse without activity: constant, template SQI."""

STABLE: Final = (-1.704, -2.893)
"""Log-odds of 10 s of skin conductance without a jump: constant, log10 of activity."""


class Sources(NamedTuple):
    """Indices of the input columns; -1 for an absent one."""

    columns: npt.NDArray[np.int64]  # (4,): as settings
    limits: Array  # (2,): lowest and highest (degC)


@dataclass(frozen=True)
class WearDetection(Stage):
    """Detect whether a wristband is worn, and rate pulse and skin conductance, 0 to 1.

    The inputs are aligned features. ``worn`` is 1 if the skin sensor conducts or the
    temperature is that of skin, else 0. ``pulse_sqi`` is the probability that the pulse
    can be read beat by beat, 1 / (1 + exp(-z)) with z = a + b template SQI + c log10
    activity (g); ``eda_sqi`` is the lesser of ``stability`` and of the probability that
    10 s of skin conductance at this activity have no jump, z = a + c log10 activity.
    Both are 0 off the wrist. Their unit is 1.

    Parameters
    ----------
    template_sqi, stability, temperature, activity
        Input columns: of `BeatTemplateSQI`, `EdaStability`, the level of
        `Temperature`, the activity of `Actigraphy`. ``""`` for none.
    low, high
        Limits of skin temperature at the wrist (degC): those of Kleckner et al.
        (`EdaQuality`), but with 27 as the lower limit, because 29 occurs in
        participants at rest indoors (WESAD, S15).

    Notes
    -----
    The indices mask no samples: during movement the pulse rate is already missing,
    because the beats do not match the template, and the remaining rates have the same
    error (2.9 % by more than 5/min, both data sets) with and without the windows with
    movement. Temperature alone does not show that a band is off: the wrist of one
    participant of Stress-Predict (S06) is at 26.4 degC for minutes, and conducts.

    The constants come from logistic regressions on the twelve wrists of WESAD. Their
    targets are that the manufacturer's list of RR intervals fills half of the same 10
    s, and that conductance jumps within them. The area under the curve is 0.93 and 0.85
    in leave-one-participant-out validation, and 0.89 and 0.86 on the eleven
    participants of Stress-Predict, from another laboratory (`physio bench coverage`).
    The delay is the longest of the input columns.

    Shape (n, columns) to (n, 1 to 3).
    """

    template_sqi: str = "prv.template_sqi"
    stability: str = "eda.stability"
    temperature: str = "temperature.level"
    activity: str = "motion.activity"
    low: float = 27.0
    high: float = 40.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``worn``, and ``pulse_sqi`` and ``eda_sqi`` where they have inputs."""
        self.initial_state(info)
        read = [c for c in info.channels if c.name in self._inputs]
        delay, span = (max(getattr(c, k) for c in read) for k in ("delay", "memory"))
        return info.with_channels(
            None, *(Channel(n, "quality", "1", delay, span) for n in self._outputs)
        )

    @property
    def _inputs(self) -> tuple[str, ...]:
        return self.template_sqi, self.stability, self.temperature, self.activity

    @property
    def _outputs(self) -> tuple[str, ...]:
        pulse = ("pulse_sqi",) if self.template_sqi else ()
        return ("worn", *pulse, *(("eda_sqi",) if self.stability else ()))

    def initial_state(self, info: StreamInfo) -> Sources:
        """Return the indices of the input columns."""
        if not (self.low < self.high and (self.stability or self.temperature)):
            raise ValueError(
                "wear detection needs a column of stability or of temperature, and "
                f"low < high: {self.stability!r}, {self.temperature!r}, {self.low}, "
                f"{self.high}"
            )
        for name in self._inputs:
            if name and name not in info.names:
                raise ValueError(
                    f"wear detection reads {name!r}, but {info.name!r} has "
                    f"{', '.join(info.names)}"
                )
        places = [info.names.index(n) if n else -1 for n in self._inputs]
        return Sources(np.array(places, np.int64), np.array([self.low, self.high]))

    def process(self, state: Sources, x: Array) -> Array:
        """Rate rows of aligned features."""
        y = _rate(x, *state)
        every = ("worn", "pulse_sqi", "eda_sqi")
        selected = [k for k, name in enumerate(every) if name in self._outputs]
        if len(selected) == len(every):
            return y
        return np.ascontiguousarray(y[:, selected])


@njit(cache=True)
def _logistic(z: float) -> float:
    return 1 / (1 + np.exp(-z))


@njit(cache=True)
def _rate(x: Array, columns: npt.NDArray[np.int64], limits: Array) -> Array:
    """Return ``worn``, ``pulse_sqi`` and ``eda_sqi`` of rows of features, (n, 3)."""
    y, read = np.empty((len(x), 3)), np.empty(4)
    for i in range(len(x)):
        for k in range(4):
            read[k] = x[i, columns[k]] if columns[k] >= 0 else np.nan
        sqi, stability, temperature, activity = read[0], read[1], read[2], read[3]
        worn = (
            stability > 0 or limits[0] <= temperature <= limits[1]
        )  # false where missing
        known = not (np.isnan(stability) and np.isnan(temperature))
        log_activity = np.log10(max(activity, _STILL))
        readable = _logistic(PULSE_STILL[0] + PULSE_STILL[1] * sqi)
        stable = 1.0
        if not np.isnan(activity):
            readable = _logistic(PULSE[0] + PULSE[1] * sqi + PULSE[2] * log_activity)
            stable = _logistic(STABLE[0] + STABLE[1] * log_activity)
        off = known and not worn
        y[i, 0] = 1.0 if worn else 0.0
        y[i, 1] = sqi if np.isnan(sqi) else 0.0 if off else readable
        y[i, 2] = (
            stability if np.isnan(stability) else 0.0 if off else min(stability, stable)
        )
        if not known:
            y[i, 0] = temperature if columns[1] < 0 else stability
    return y
