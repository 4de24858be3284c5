"""Whether a wristband is worn, and what its pulse and skin sensors are good for now."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array, Channel, StreamInfo
from physio.core.stage import Stage

_STILL: Final = 1e-3  # g, the noise of a sensor on a table: none is stiller

PULSE: Final = (-23.64, 23.79, -0.866)
"""Of the log-odds of a readable pulse: constant, likeness, log10 of movement (g)."""

ALIKE: Final = (-24.57, 26.66)
"""The same where no movement is measured: constant, likeness."""

STEADY: Final = (-1.704, -2.893)
"""Of the log-odds that 10 s of skin conductance have no jump: constant, movement."""


class Sources(NamedTuple):
    """Where the columns are that are read; -1 where there is none."""

    columns: npt.NDArray[np.int64]  # (4,): likeness, steadiness, warmth, movement
    limits: Array  # (2,): coldest and warmest (degC)


@dataclass(frozen=True)
class WearDetection(Stage):
    """Whether a wristband is on the wrist, and how good its pulse and skin are, 0 to 1.

    It reads features where they have been joined. ``on`` is 1 or 0: on where the skin
    sensor conducts or the temperature is one of skin. ``pulse`` is the chance that the
    pulse can be read beat by beat, 1 / (1 + exp(-z)) with z = a + b likeness + c log10
    activity (g); ``skin`` is the lesser of ``steady`` and of the chance that 10 s in
    which the limb moves so much have no jump in them, z = a + c log10 activity. Off the
    wrist both are 0. Their unit is 1.

    Parameters
    ----------
    likeness, steady, warmth, movement
        The columns that are read: `BeatTemplateSQI`, `EdaStability`, the level of
        `Temperature`, the activity of `Actigraphy`. ``""`` for none.
    low, high
        What skin of the wrist is (degC): the limits of Kleckner et al. (`EdaQuality`),
        with the lower one at 27: participants at rest indoors have 29 (WESAD, S15).

    Notes
    -----
    These are figures, and mask nothing: a wrist that moves already has no pulse rate,
    as its beats are not alike, and what is left is wrong as often (2.9 % by more than
    5/min, both data sets) with and without the windows in which the limb moves. Nor
    does temperature alone tell that a band is off: the wrist of one participant of
    Stress-Predict (S06) is at 26.4 degC for minutes, and conducts.

    The constants are of a logistic regression (ours) on the twelve wrists of WESAD: of
    whether the maker's list of intervals fills half of the same 10 s, and of whether
    conductance jumps in them. Left out in turn, participants have an area under the
    curve of
    0.93 and 0.85; the eleven of Stress-Predict, another laboratory's, 0.89 and 0.86
    (`physio bench coverage`). The delay is the longest of what is read.

    Shape (n, columns) to (n, 1 to 3).
    """

    likeness: str = "heart.template_sqi"
    steady: str = "eda.stability"
    warmth: str = "temperature.level"
    movement: str = "motion.activity"
    low: float = 27.0
    high: float = 40.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``on``, ``pulse`` and ``skin``, as far as their sensors are there."""
        self.initial_state(info)
        read = [c for c in info.channels if c.name in self._names]
        delay, span = (max(getattr(c, k) for c in read) for k in ("delay", "memory"))
        return info.with_channels(
            None, *(Channel(n, "quality", "1", delay, span) for n in self._told)
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return self.likeness, self.steady, self.warmth, self.movement

    @property
    def _told(self) -> tuple[str, ...]:
        pulse = ("pulse_sqi",) if self.likeness else ()
        return ("worn", *pulse, *(("eda_sqi",) if self.steady else ()))

    def initial_state(self, info: StreamInfo) -> Sources:
        """Return where the columns are."""
        if not (self.low < self.high and (self.steady or self.warmth)):
            raise ValueError(
                f"whether a wristband is on is judged by skin or warmth, with low < "
                f"high: {self.steady!r}, {self.warmth!r}, {self.low}, {self.high}"
            )
        for name in self._names:
            if name and name not in info.names:
                raise ValueError(
                    f"the quality of a wristband reads {name!r}, but {info.name!r} has "
                    f"{', '.join(info.names)}"
                )
        places = [info.names.index(n) if n else -1 for n in self._names]
        return Sources(np.array(places, np.int64), np.array([self.low, self.high]))

    def process(self, state: Sources, x: Array) -> Array:
        """Judge rows of joined features."""
        y = _judge(x, *state)
        every = ("worn", "pulse_sqi", "eda_sqi")
        kept = [k for k, name in enumerate(every) if name in self._told]
        return y if len(kept) == len(every) else np.ascontiguousarray(y[:, kept])


@njit(cache=True)
def _chance(z: float) -> float:
    return 1 / (1 + np.exp(-z))


@njit(cache=True)
def _judge(x: Array, columns: npt.NDArray[np.int64], limits: Array) -> Array:
    """Return ``on``, ``pulse`` and ``skin`` of rows of joined features, (n, 3)."""
    y, read = np.empty((len(x), 3)), np.empty(4)
    for i in range(len(x)):
        for k in range(4):
            read[k] = x[i, columns[k]] if columns[k] >= 0 else np.nan
        alike, steady, warm, moves = read[0], read[1], read[2], read[3]
        on = steady > 0 or limits[0] <= warm <= limits[1]  # false where missing
        known = not (np.isnan(steady) and np.isnan(warm))
        move = np.log10(max(moves, _STILL))
        chance = _chance(ALIKE[0] + ALIKE[1] * alike)
        calm = 1.0
        if not np.isnan(moves):
            chance = _chance(PULSE[0] + PULSE[1] * alike + PULSE[2] * move)
            calm = _chance(STEADY[0] + STEADY[1] * move)
        off = known and not on
        y[i, 0] = 1.0 if on else 0.0
        y[i, 1] = alike if np.isnan(alike) else 0.0 if off else chance
        y[i, 2] = steady if np.isnan(steady) else 0.0 if off else min(steady, calm)
        if not known:
            y[i, 0] = warm if columns[1] < 0 else steady
    return y
