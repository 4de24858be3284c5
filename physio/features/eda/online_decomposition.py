"""Online decomposition of skin conductance, with estimates at several ages."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column
from physio.features.eda.contact_artifacts import CONTEXT, contact_gain, find_artifacts
from physio.features.eda.decomposition import Decomposition, check_setting, decompose
from physio.features.eda.deconvolution_solver import Shape, response, solve, splines

AGES: Final = (0, 1, 2, 5, 10)
"""Ages of the estimates, relative to the newest value (s)."""

PARTS: Final = ("tonic", "phasic", "driver")
STEP: Final = 0.25
"""Time between two values (s), over which samples are averaged."""

VALUES_PER_SECOND: Final = 4
"""Number of values in a second."""

HUM: Final = 0.2
"""Length (s) of an average without mains hum: whole periods of 50 and of 60 Hz."""

_MEAN: Final = STATISTICS.index("mean")
_WARMING: Final = MissingReason.WARMING_UP.nan
_ARTIFACT: Final = MissingReason.ARTIFACT.nan
_HUM_STEP: Final = 0.05  # s from one such average to the next
_CARRIES_HUM: Final = 100  # samples a second from which a stream can contain hum
_KNOT: Final = 40  # values
_FAR: Final = float(np.exp(-STEP / 600.0))  # cvxeda's free line: a level of 10 min
_TOLERANCE: Final = 1e-4
_LINE: Final = Shape(response(STEP), splines(_KNOT), 2, 1e-2, 0.0, 0, nonnegative=False)
_COARSE: Final = 2  # values at a time, in the longer window
_FREE: Final = Shape(
    response(_COARSE * STEP), splines(_KNOT // _COARSE), 2, 1e-2 / _COARSE, 0.0, 2,
    nonnegative=False,
)  # fmt: skip
_STEPS: Final = 9  # of the solver: to 1e-4 uS
_LEVELS: Final = (0, 2, 5, 10, 14)  # s behind the newest value
_UNITS: Final = {"tonic": "uS", "phasic": "uS", "driver": "uS/s"}


class EdaWindow(NamedTuple):
    """The newest values of skin conductance, at 4 Hz."""

    panes: Panes
    values: Array  # (2 * window,): the newest last
    far: Array  # (2,): sums of the far level, and of its weights
    clock: npt.NDArray[np.int64]  # (1,): number of values
    pick: int
    clean: Array  # (window,): the values that are solved
    gain: Array  # (window,): see `contact_gain`
    artifacts: bool  # whether artifacts are removed from them
    hum: Panes | None = None  # averages of samples, where they can contain hum


@cache
def _compile() -> None:
    """Solve once, so that the first second does not wait for compilation."""
    decompose(np.ones(10 * VALUES_PER_SECOND), VALUES_PER_SECOND)


def eda_window(
    info: StreamInfo, window: float, *, artifacts: bool = False
) -> EdaWindow:
    """Return an empty memory of the one skin conductance channel of ``info``.

    Where ``artifacts`` is true, they are removed from the values that are solved.
    """
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
            f"skin conductance of {info.name!r} is decomposed over whole seconds, 20 "
            f"or more: {window:g}"
        )
    hum, samples = None, info
    if _has_hum(info):
        hum = panes(info, (HUM,), _HUM_STEP, 0.5, columns=1)
        samples = info.with_channels(Fraction(round(1 / _HUM_STEP)))
    return EdaWindow(
        panes(samples, (STEP,), STEP, 0.5, columns=1),
        np.full(2 * int(window) * VALUES_PER_SECOND, _WARMING),
        np.zeros(2),
        np.zeros(1, np.int64),
        pick,
        np.full(int(window) * VALUES_PER_SECOND, _WARMING),
        np.ones(int(window) * VALUES_PER_SECOND),
        artifacts,
        hum,
    )


def window_memory(info: StreamInfo, window: float, *, artifacts: bool) -> float:
    """Return the time (s) for which a sample can affect the values that are solved."""
    return window + (CONTEXT if artifacts else 0) + value_length(info)


def _has_hum(info: StreamInfo) -> bool:
    return info.rate >= _CARRIES_HUM


def value_length(info: StreamInfo) -> float:
    """Return the time over which samples are averaged to a value (s)."""
    return STEP + HUM if _has_hum(info) else STEP


def lag(info: StreamInfo) -> float:
    """Return the delay of a value behind its newest sample (s)."""
    period = 1 / float(info.rate)
    if _has_hum(info):
        return (STEP - _HUM_STEP) / 2 + (HUM - period) / 2
    return (STEP - period) / 2


def binned(memory: EdaWindow, x: Array) -> Array:
    """Take in samples; return the values now due, shape (m,)."""
    signal = read_only(x[:, memory.pick : memory.pick + 1])
    if memory.hum is not None:
        signal = read_only(slide(*memory.hum, signal)[:, 0, _MEAN])
    return np.asarray(slide(*memory.panes, signal)[:, 0, _MEAN, 0])


def append(memory: EdaWindow, value: float) -> bool:
    """Take in a value; return whether a whole second has passed since the first."""
    full = _append_until_second(*memory[1:4], np.array([value]), 0) > 0
    if full:
        _judge(memory)
    return full


def _judge(memory: EdaWindow) -> None:
    """Write the values that are solved, without artifacts."""
    n = len(memory.clean)
    recent = memory.values[-(n + CONTEXT * VALUES_PER_SECOND) :]
    if memory.artifacts:
        bad = find_artifacts(recent)
        memory.gain[:] = contact_gain(recent, bad)[-n:]
        recent = np.where(bad, _ARTIFACT, recent)
    memory.clean[:] = recent[-n:]


def seconds(memory: EdaWindow, x: Array) -> Iterator[None]:
    """Take in samples; stop at each whole second that has passed."""
    _compile()
    values = np.ascontiguousarray(binned(memory, x))
    at = _append_until_second(*memory[1:4], values, 0)
    while at:
        _judge(memory)
        yield
        at = _append_until_second(*memory[1:4], values, at)


@njit(cache=True)
def _append_until_second(
    newest: Array, far: Array, clock: npt.NDArray[np.int64], x: Array, first: int
) -> int:
    """Take in values from ``first`` until a second has passed; return the next one.

    0 if they end before that.
    """
    for at in range(first, len(x)):
        for i in range(len(newest) - 1):
            newest[i] = newest[i + 1]
        newest[-1] = x[at]
        clock[0] += 1
        if np.isfinite(x[at]):
            far[0] = _FAR * far[0] + x[at]
            far[1] = _FAR * far[1] + 1.0
        if (clock[0] - 1) % VALUES_PER_SECOND == 0:
            return at + 1
    return 0


def decompose_recent(
    memory: EdaWindow, setting: str, share: float, without: str = ""
) -> Decomposition | float:
    """Decompose the newest values, or return a NaN with the reason for missing.

    Values before an artifact are put on the level after it, and their parts back again:
    see `contact_gain`.

    ``without`` is the code of a WESAD participant who is held out from the weights of
    `refine_phasic`.
    """
    x = memory.clean
    if memory.clock[0] < len(x):
        return _WARMING
    there = np.isfinite(x)
    if there.sum() < share * len(x):
        lost = x[np.isnan(x)]
        return float(lost[-1]) if len(lost) else MissingReason.POOR_QUALITY.nan
    begin = int(memory.clock[0] - len(x)) % _KNOT
    x = np.where(there, x * memory.gain, x)
    if setting == "default":
        decomposition = decompose(
            x, VALUES_PER_SECOND, tolerance=_TOLERANCE, begin=begin
        )
        return (
            _on_their_level(memory, decomposition)
            if there[-1] or np.isfinite(decomposition.tonic).any()
            else _WARMING
        )
    level = memory.far[0] / memory.far[1]
    y = np.where(there, x - level, 0.0)
    p, r, t, figures = solve(y, there * 1.0, 8e-4, _KNOT, begin, _LINE, _TOLERANCE, 80)
    lost = np.where(np.isnan(x), x, MissingReason.POOR_QUALITY.nan)
    t, r, p = (np.where(there, v, lost) for v in (t + level, r, p))
    decomposition = Decomposition(t, r, p, float(figures[0]), 0.0, int(figures[4]))
    decomposition = _on_their_level(memory, decomposition)
    return refine_phasic(memory, decomposition, without)


def _on_their_level(memory: EdaWindow, decomposition: Decomposition) -> Decomposition:
    """Put the parts of values before an artifact back on their own level."""
    if not memory.artifacts:
        return decomposition
    there = np.isfinite(memory.clean)
    t, r, p = (np.where(there, v / memory.gain, v) for v in decomposition[:3])
    return decomposition._replace(tonic=t, phasic=r, driver=p)


def refine_phasic(
    memory: EdaWindow, decomposition: Decomposition, without: str = ""
) -> Decomposition:
    """Correct phasic values of the cvxEDA problem towards the whole-record solution.

    The correction at each of `AGES` is a linear function, fitted on data of
    participants, of the solutions of two windows: this window, with a slow level, and a
    window of twice the length and half the resolution, with a line of its own. The
    change of the phasic part is subtracted from the level.
    """
    x = memory.values.copy()
    x[-len(memory.clean) :] = memory.clean
    if memory.clock[0] < len(x):
        return decomposition
    two = x.reshape(-1, _COARSE).mean(axis=1)
    there = np.isfinite(two)
    y, width = np.where(there, two, 0.0), _KNOT // _COARSE
    _, r, t, _ = solve(y, there * 1.0, 8e-4, width, 0, _FREE, _TOLERANCE, _STEPS)
    weights = _weights(without)
    scale = np.log(abs(memory.far[0] / memory.far[1]) + 1e-3)
    for k, terms in enumerate(correction_inputs(x, decomposition, r, t)):
        more = float(terms @ (weights[k, 0] + scale * weights[k, 1]))
        at = len(decomposition.phasic) - 1 - AGES[k] * VALUES_PER_SECOND
        if np.isfinite(more):
            decomposition.tonic[at] += decomposition.phasic[at] - more
            decomposition.phasic[at] = more
    return decomposition


def correction_inputs(
    x: Array, decomposition: Decomposition, phasic: Array, tonic: Array
) -> Array:
    """Return the inputs of `refine_phasic` at each of `AGES`, shape (ages, 12)."""
    back, far = (
        -1 - per_second * np.array(_LEVELS)
        for per_second in (VALUES_PER_SECOND, VALUES_PER_SECOND // _COARSE)
    )
    levels = np.concatenate([decomposition.tonic[back], tonic[far]])
    at, other = (
        -1 - per_second * np.array(AGES)
        for per_second in (VALUES_PER_SECOND, VALUES_PER_SECOND // _COARSE)
    )
    ends = np.column_stack([decomposition.phasic[at], phasic[other]])
    return np.hstack([ends, x[at][:, None] - levels])


@cache
def _weights(without: str) -> Array:
    """Return the weights of `refine_phasic`, shape (ages, 2, 12)."""
    text = files("physio.assets").joinpath("skin_nearer.json").read_text("utf-8")
    known = json.loads(text)
    return np.array(known["without"][without] if without else known["weights"])


@cache
def error_quantiles(setting: str) -> Array:
    """Return the 90 % quantile of errors per unit of spread, shape (ages, 3)."""
    text = files("physio.assets").joinpath("skin_errors.json").read_text("utf-8")
    return np.array(json.loads(text)["quantiles"][setting])


def estimates(decomposition: Decomposition, age: int) -> tuple[float, float, float]:
    """Return the level and the phasic part at an age, and a second's mean driver."""
    at = len(decomposition.tonic) - 1 - age * VALUES_PER_SECOND
    driver = decomposition.driver[at - VALUES_PER_SECOND + 1 : at + 1]
    lost = driver[np.isnan(driver)]
    mean = float(lost[-1]) if len(lost) else float(driver.mean())
    return float(decomposition.tonic[at]), float(decomposition.phasic[at]), mean


def error_unit(x: Array, setting: str, far: float) -> float:
    """Return the unit of errors (uS), from the spread of the newest values.

    In the setting ``cvxeda`` the distance from the far level counts too, because the
    cost of the splines pulls them towards it.
    """
    values = x[np.isfinite(x)]
    distance = float(values.mean()) - far if setting == "cvxeda" else 0.0
    least = 1e-3 * abs(float(values.mean()))
    return float(np.sqrt(values.var() + least**2 + 0.01 * distance**2))


@dataclass(frozen=True)
class EdaDecomposition(Stage):
    """Tonic, phasic and driver of skin conductance, at several ages, once a second.

    ``tonic@5s`` and ``phasic@5s`` (uS) are the estimates 5 s behind the newest value,
    ``driver@5s`` (uS/s) is the mean over the second that ends there. Errors decrease
    with age: ``tonic.error@5s`` and so on are the 90 % quantiles of errors relative to
    the decomposition of the whole record, as measured on other participants (see
    `physio.features.eda.decomposition.decompose`). ``power@5s`` (uS squared) is the
    mean square of the phasic part from 5 s back to two thirds of the window.

    Parameters
    ----------
    setting
        ``"default"`` or ``"cvxeda"``, as for `decompose`.
    window
        Length of the window of each solution (s): whole seconds, at least 20.
    min_valid
        Proportion of a window that must be present.
    artifacts
        Remove contact artifacts first, as `EdaFeatures` does: see `find_artifacts` of
        `physio.features.eda.contact_artifacts`. `decompose` removes none.

    Notes
    -----
    Samples are averaged over 0.25 s, of streams with 100 or more samples a second over
    0.2 s before, which removes mains hum; every second the last ``window`` s are solved
    anew, with unchanged knots. Each row therefore depends on its window alone and on no
    earlier result. The setting ``cvxeda`` differs from the full problem in its free
    line, which cannot be known before the end of the record. A level with a time
    constant of 10 min, which reaches beyond the stated span, replaces it, and the
    newest values are corrected by the solution over twice the window: see
    `refine_phasic`. The delay is the age plus half of the averages; for the driver it
    is 0.375 s longer, half of its second.

    Shape (n, channels) to (m, 31). Its source is the solver's, and the deviations from
    it are those of `decompose`.
    """

    setting: str = "default"
    window: float = 30.0
    min_valid: float = 0.5
    artifacts: bool = False

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return three estimates and their errors at each age, and the power."""
        check_setting(self.setting)
        memory = self.initial_state(info)
        source = info.channels[memory.pick]
        late = source.delay + lag(info)
        span = source.memory + window_memory(
            info, self.window, artifacts=self.artifacts
        )
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

    def initial_state(self, info: StreamInfo) -> EdaWindow:
        """Return an empty memory."""
        return eda_window(info, self.window, artifacts=self.artifacts)

    def process(self, state: EdaWindow, x: Array) -> Array:
        """Take in ``x``; return the rows now due."""
        rows = [self._row(state) for _ in seconds(state, x)]
        return np.array(rows).reshape(len(rows), 6 * len(AGES) + 1)

    def _row(self, memory: EdaWindow) -> Array:
        decomposition = decompose_recent(memory, self.setting, self.min_valid)
        if isinstance(decomposition, float):
            return np.full(6 * len(AGES) + 1, decomposition)
        far = memory.far[0] / memory.far[1]
        unit = error_unit(memory.clean, self.setting, far)
        values = np.array([estimates(decomposition, age) for age in AGES])
        off = error_quantiles(self.setting) * unit
        off = np.where(np.isnan(values), values, off)
        old = decomposition.phasic[
            len(decomposition.phasic) // 3 : -5 * VALUES_PER_SECOND
        ]
        old = old[~np.isnan(old)]
        power = float(np.mean(old**2)) if len(old) else MissingReason.TOO_SHORT.nan
        return np.append(np.stack([values, off], axis=2).ravel(), power)
