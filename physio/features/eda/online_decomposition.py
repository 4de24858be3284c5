"""Skin conductance taken apart while it comes in, at several ages."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, sealed
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column
from physio.features.eda.decomposition import Decomposition, decompose, setting_of
from physio.features.eda.deconvolution_solver import Shape, response, solve, splines

AGES: Final = (0, 1, 2, 5, 10)
"""How far behind the newest value the estimates are (s)."""

PARTS: Final = ("tonic", "phasic", "driver")
STEP: Final = 0.25
"""From value to value (s): samples are averaged over it."""

EACH: Final = 4
"""Values in a second."""

_MEAN: Final = STATISTICS.index("mean")
_WARMING: Final = MissingReason.WARMING_UP.nan
_KNOT: Final = 40  # values
_FAR: Final = float(np.exp(-STEP / 600.0))  # cvxeda's free line: a level of 10 min
_ENOUGH: Final = 1e-4
_LINE: Final = Shape(response(STEP), splines(_KNOT), 2, 1e-2, 0.0, 0, above=False)
_COARSE: Final = 2  # values at a time, in the longer window
_FREE: Final = Shape(
    response(_COARSE * STEP), splines(_KNOT // _COARSE), 2, 1e-2 / _COARSE, 0.0, 2,
    above=False,
)  # fmt: skip
_STEPS: Final = 9  # of the solver: to 1e-4 uS
_LEVELS: Final = (0, 2, 5, 10, 14)  # s behind the newest value
_UNITS: Final = {"tonic": "uS", "phasic": "uS", "driver": "uS/s"}


class Recent(NamedTuple):
    """The newest values of skin conductance, four a second."""

    panes: Panes
    values: Array  # (2 * window,): the newest last
    far: Array  # (2,): sums of the far level, and of its weights
    clock: npt.NDArray[np.int64]  # (1,): values seen
    pick: int
    window: int  # values that are solved


@cache
def _compile() -> None:
    """Solve once, so that the first second does not wait for a compiler."""
    decompose(np.ones(10 * EACH), EACH)


def recent(info: StreamInfo, window: float) -> Recent:
    """Return an empty memory of the one skin conductance channel of ``info``."""
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
    if not window >= 20 or window % 1:
        raise ValueError(
            f"skin conductance of {info.name!r} is taken apart over whole seconds, 20 "
            f"or more: {window:g}"
        )
    _compile()
    return Recent(
        panes(info, (STEP,), STEP, 0.5, columns=1),
        np.full(2 * int(window) * EACH, _WARMING),
        np.zeros(2),
        np.zeros(1, np.int64),
        pick,
        int(window) * EACH,
    )


def lag(info: StreamInfo) -> float:
    """Return how far a value lies behind its newest sample (s)."""
    return (STEP - 1 / float(info.rate)) / 2


def taken(memory: Recent, x: Array) -> Array:
    """Take in samples; return the values now due, shape (m,)."""
    own = sealed(x[:, memory.pick : memory.pick + 1])
    return np.asarray(slide(*memory.panes, own)[:, 0, _MEAN, 0])


def remember(memory: Recent, value: float) -> bool:
    """Take in a value; tell whether a whole second has passed since the first."""
    return _upto(*memory[1:4], np.array([value]), 0) > 0


def seconds(memory: Recent, x: Array) -> Iterator[None]:
    """Take in samples; stop at each whole second that has passed."""
    values = np.ascontiguousarray(taken(memory, x))
    at = _upto(*memory[1:4], values, 0)
    while at:
        yield
        at = _upto(*memory[1:4], values, at)


@njit(cache=True)
def _upto(
    newest: Array, far: Array, clock: npt.NDArray[np.int64], x: Array, first: int
) -> int:
    """Take in values from ``first`` until a second has passed; tell where to go on.

    0 where they end before that.
    """
    for at in range(first, len(x)):
        for i in range(len(newest) - 1):
            newest[i] = newest[i + 1]
        newest[-1] = x[at]
        clock[0] += 1
        if np.isfinite(x[at]):
            far[0] = _FAR * far[0] + x[at]
            far[1] = _FAR * far[1] + 1.0
        if (clock[0] - 1) % EACH == 0:
            return at + 1
    return 0


def newest(memory: Recent) -> Array:
    """Return the values of the window, shape (window,)."""
    return memory.values[-memory.window :]


def apart(
    memory: Recent, setting: str, share: float, without: str = ""
) -> Decomposition | float:
    """Take the newest values apart; or return the NaN that says why not.

    ``without`` leaves a participant of WESAD out of what `nearer` has learned.
    """
    x = newest(memory)
    if memory.clock[0] < len(x):
        return _WARMING
    there = np.isfinite(x)
    if there.sum() < share * len(x):
        lost = x[np.isnan(x)]
        return float(lost[-1]) if len(lost) else MissingReason.POOR_QUALITY.nan
    begin = int(memory.clock[0] - len(x)) % _KNOT
    if setting == "default":
        found = decompose(x, EACH, enough=_ENOUGH, begin=begin)
        return found if there[-1] or np.isfinite(found.tonic).any() else _WARMING
    level = memory.far[0] / memory.far[1]
    y = np.where(there, x - level, 0.0)
    p, r, t, figures = solve(y, there * 1.0, 8e-4, _KNOT, begin, _LINE, _ENOUGH, 80)
    lost = np.where(np.isnan(x), x, MissingReason.POOR_QUALITY.nan)
    t, r, p = (np.where(there, v, lost) for v in (t + level, r, p))
    found = Decomposition(t, r, p, float(figures[0]), 0.0, int(figures[4]))
    return nearer(memory, found, without)


def nearer(memory: Recent, found: Decomposition, without: str = "") -> Decomposition:
    """Bring phasic values of the published problem nearer to the whole record's.

    At each of `AGES` a linear function, learned from participants, of what two windows
    say: this one, on a slow level, and the one twice as long, half as fine, on a line
    of its own. What is added to the phasic part is taken from the level.
    """
    x = memory.values
    if memory.clock[0] < len(x):
        return found
    two = x.reshape(-1, _COARSE).mean(axis=1)
    there = np.isfinite(two)
    y, width = np.where(there, two, 0.0), _KNOT // _COARSE
    _, r, t, _ = solve(y, there * 1.0, 8e-4, width, 0, _FREE, _ENOUGH, _STEPS)
    weights = _weights(without)
    scale = np.log(abs(memory.far[0] / memory.far[1]) + 1e-3)
    for k, terms in enumerate(seen(x, found, r, t)):
        more = float(terms @ (weights[k, 0] + scale * weights[k, 1]))
        at = len(found.phasic) - 1 - AGES[k] * EACH
        if np.isfinite(more):
            found.tonic[at] += found.phasic[at] - more
            found.phasic[at] = more
    return found


def seen(x: Array, found: Decomposition, phasic: Array, tonic: Array) -> Array:
    """Return what `nearer` rests on at each of `AGES`, shape (ages, 12)."""
    back, far = (-1 - each * np.array(_LEVELS) for each in (EACH, EACH // _COARSE))
    levels = np.concatenate([found.tonic[back], tonic[far]])
    at, other = (-1 - each * np.array(AGES) for each in (EACH, EACH // _COARSE))
    ends = np.column_stack([found.phasic[at], phasic[other]])
    return np.hstack([ends, x[at][:, None] - levels])


@cache
def _weights(without: str) -> Array:
    """Return the weights of `nearer`, shape (ages, 2, 12)."""
    text = files("physio.assets").joinpath("skin_nearer.json").read_text("utf-8")
    known = json.loads(text)
    return np.array(known["without"][without] if without else known["weights"])


@cache
def errors(setting: str) -> Array:
    """Return the 90 % quantile of errors per unit of spread, shape (ages, 3)."""
    text = files("physio.assets").joinpath("skin_errors.json").read_text("utf-8")
    return np.array(json.loads(text)["quantiles"][setting])


def read(found: Decomposition, age: int) -> tuple[float, float, float]:
    """Return the level and the phasic part at an age, and the driver of a second."""
    at = len(found.tonic) - 1 - age * EACH
    driver = found.driver[at - EACH + 1 : at + 1]
    lost = driver[np.isnan(driver)]
    mean = float(lost[-1]) if len(lost) else float(driver.mean())
    return float(found.tonic[at]), float(found.phasic[at]), mean


def spread(x: Array, setting: str, far: float) -> float:
    """Return the unit of errors (uS): how far the newest values are spread.

    In the setting ``cvxeda`` the distance from the far level counts too, as the price
    of splines pulls them towards it.
    """
    own = x[np.isfinite(x)]
    distance = float(own.mean()) - far if setting == "cvxeda" else 0.0
    least = 1e-3 * abs(float(own.mean()))
    return float(np.sqrt(own.var() + least**2 + 0.01 * distance**2))


@dataclass(frozen=True)
class EdaDecomposition(Stage):
    """Tonic, phasic and driver of skin conductance, at several ages, once a second.

    ``tonic@5s`` and ``phasic@5s`` (uS) are the estimates 5 s behind the newest value,
    ``driver@5s`` (uS/s) is the mean over the second that ends there. The older, the
    surer: ``tonic.error@5s`` and the like tell what 90 % of errors are below, against
    what the whole record would have said, as measured on other participants (see
    `physio.features.eda.decomposition.decompose`). ``power@5s`` (uS squared) is the
    mean square of the phasic part from 5 s back to two thirds of the window.

    Parameters
    ----------
    setting
        ``"default"`` or ``"cvxeda"``, as of `decompose`.
    window
        How far back each solution looks (s): whole seconds, at least 20.
    share
        Which part of a window must be there.

    Notes
    -----
    Samples are averaged over 0.25 s; every second the last ``window`` s are solved
    anew, with the knots where they were before. So each row is a function of its window
    alone and of nothing computed before. The setting ``cvxeda`` differs from the full
    problem in its free line, which cannot be known before the record's end: a level
    that forgets with 10 min stands for it, beyond the stated span, and its newest
    values are corrected by what twice the window says: see `nearer`. The delay is the
    age and the average's, half of 0.25 s; of a driver 0.375 s more, half of its second.

    Shape (n, channels) to (m, 31). Its source is the solver's, and the deviations from
    it are those of `decompose`.
    """

    setting: str = "default"
    window: float = 30.0
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return three estimates and their errors at each age, and the power."""
        setting_of(self.setting)
        memory = recent(info, self.window)
        source = info.channels[memory.pick]
        late, span = source.delay + lag(info), source.memory + self.window + STEP
        channels = []
        for age in AGES:
            for part in PARTS:
                delay = late + age + (0.375 if part == "driver" else 0.0)
                kind = "misc" if part == "driver" else "gsr"
                names = f"{part}@{age}s", f"{part}.error@{age}s"
                unit = _UNITS[part]
                channels += [Channel(n, kind, unit, delay, span) for n in names]
        power = Channel("power@5s", "misc", "(uS)^2", late + 5, span)
        return info.with_channels(
            info.rate / self.schedule(info).step, *channels, power
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every second."""
        every(info, STEP)
        return every(info, 1.0)

    def initial_state(self, info: StreamInfo) -> Recent:
        """Return an empty memory."""
        return recent(info, self.window)

    def process(self, state: Recent, x: Array) -> Array:
        """Take in ``x``; return the rows now due."""
        rows = [self._row(state) for _ in seconds(state, x)]
        return np.array(rows).reshape(len(rows), 6 * len(AGES) + 1)

    def _row(self, memory: Recent) -> Array:
        found = apart(memory, self.setting, self.min_valid)
        if isinstance(found, float):
            return np.full(6 * len(AGES) + 1, found)
        far = memory.far[0] / memory.far[1]
        unit = spread(newest(memory), self.setting, far)
        values = np.array([read(found, age) for age in AGES])
        off = errors(self.setting) * unit
        off = np.where(np.isnan(values), values, off)
        old = found.phasic[len(found.phasic) // 3 : -5 * EACH]
        old = old[~np.isnan(old)]
        power = float(np.mean(old**2)) if len(old) else MissingReason.TOO_SHORT.nan
        return np.append(np.stack([values, off], axis=2).ravel(), power)
