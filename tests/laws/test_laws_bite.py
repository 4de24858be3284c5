"""Each law of a stage breaks on a bug planted against it: it can fail."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import pytest

import test_stages as laws
from physio.core.block import Array, StreamInfo
from physio.core.stage import OutputSchedule, Stage, State

INFO = laws.EXAMPLES[0]


@dataclass(frozen=True)
class Sound(Stage):
    """The running sum of what is there: forgets nothing but keeps the other laws."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info

    def initial_state(self, info: StreamInfo) -> State:
        return np.zeros(len(info.channels))

    def process(self, state: State, x: Array) -> Array:
        y = np.empty_like(x)
        for i, row in enumerate(x):
            state += np.nan_to_num(row)
            y[i] = np.where(np.isnan(row), row, state)
        return y


@dataclass(frozen=True)
class Chunky(Sound):
    """Takes the mean of each block away, as many a filter's first window does."""

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return x - (x.mean(axis=0) if len(x) else 0)


@dataclass(frozen=True)
class Eager(Sound):
    """Promises every second sample and gives every one."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return replace(info, rate=info.rate / 2)

    def schedule(self, info: StreamInfo) -> OutputSchedule:  # noqa: ARG002
        return OutputSchedule(Fraction(0), Fraction(2))


@dataclass(frozen=True)
class Poisoned(Sound):
    """Never recovers from one NaN, as a plain recursive filter does not."""

    def process(self, state: State, x: Array) -> Array:
        y = np.empty_like(x)
        for i, row in enumerate(x):
            state[:] = 0.5 * state + row
            y[i] = state
        return y


@dataclass(frozen=True)
class Stained(Sound):
    """Turns its sign with every NaN, for good."""

    def initial_state(self, info: StreamInfo) -> State:  # noqa: ARG002
        return np.ones(1)

    def process(self, state: State, x: Array) -> Array:
        y = np.empty_like(x)
        for i, row in enumerate(x):
            state *= -1 if np.isnan(row).any() else 1
            y[i] = state * row
        return y


@dataclass(frozen=True)
class Inventive(Sound):
    """Fills what is missing with zeros."""

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return np.nan_to_num(x)


@dataclass(frozen=True)
class Leaky(Sound):
    """Remembers outside its state."""

    past: Array = field(default_factory=lambda: np.zeros(8), compare=False)

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        y = x + self.past[0]
        self.past[0] += len(x)
        return y


def test_a_sound_stage_keeps_the_laws() -> None:
    laws.test_1_output_does_not_depend_on_the_cuts(stage=Sound(), info=INFO)
    laws.test_2_count_is_a_closed_form(stage=Sound(), info=INFO)
    laws.test_3_lost_samples_are_rows_of_nan(stage=Sound(), info=INFO)
    laws.test_3_nothing_is_made_up(Sound(), INFO)
    laws.test_4_a_state_brings_the_past_back(Sound(), INFO)
    laws.test_5_reset_forgets(Sound(), INFO)


@pytest.mark.parametrize(
    ("law", "bug"),
    [
        (laws.test_1_output_does_not_depend_on_the_cuts, Chunky()),
        (laws.test_2_count_is_a_closed_form, Eager()),
        (laws.test_3_lost_samples_are_rows_of_nan, Chunky()),
        (laws.test_3_nothing_is_made_up, Inventive()),
        (laws.test_4_a_state_brings_the_past_back, Leaky()),
        (laws.test_5_reset_forgets, Leaky()),
    ],
    ids=lambda v: getattr(v, "__name__", type(v).__name__),
)
def test_the_law_breaks(law, bug) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((AssertionError, ExceptionGroup)):
        law(stage=bug, info=INFO)


@pytest.mark.parametrize("bug", [Poisoned(), Stained()])
def test_the_law_of_one_nan_breaks(bug: Stage) -> None:
    with pytest.raises(AssertionError):
        laws.test_3_one_nan_is_forgotten(bug, INFO, 0.3)
