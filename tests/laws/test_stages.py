"""Laws of a stage, tested on every stage; the laws are in `physio.testing`."""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import physio
from physio.core.block import Array, StreamInfo
from physio.core.stage import Chain, Fork, MaskBadSamples, OutputSchedule, Stage, State
from physio.dsp.artifact_regression import ArtifactRegression
from physio.dsp.interpolate import Interpolate
from physio.quality.eda_artifacts import EdaStability
from physio.quality.range_checks import EdaQuality
from physio.testing.example_streams import EXAMPLES
from physio.testing.stage_laws import StageLaws, check_value


def classes() -> Iterator[type[Stage]]:
    for module in pkgutil.walk_packages(physio.__path__, "physio."):
        try:
            found = importlib.import_module(module.name)
        except ImportError:
            if importlib.util.find_spec("torch"):
                raise
            continue  # a module of an extra, where the core alone is installed
        for _, cls in inspect.getmembers(found, inspect.isclass):
            own = cls.__module__ == module.name
            if issubclass(cls, Stage) and not inspect.isabstract(cls) and own:
                yield cls


@dataclass(frozen=True)
class Every(Stage):
    """The newest sample, ``rate`` times a second: a grid that fits no sample rate."""

    rate: int = 3
    prefix: str = ""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        channels = (replace(c, name=self.prefix + c.name) for c in info.channels)
        return info.with_channels(Fraction(self.rate), *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        return OutputSchedule(Fraction(0), info.rate / self.rate)

    def initial_state(self, info: StreamInfo) -> State:
        hop = info.rate / self.rate
        return [0, 0, hop.numerator, hop.denominator]  # seen, given, hop

    def process(self, state: State, x: Array) -> Array:
        seen, k, p, q = state
        due = []
        while (at := -(-k * p // q)) < seen + len(x):
            due.append(x[at - seen])
            k += 1
        state[:2] = seen + len(x), k
        return np.array(due).reshape(len(due), x.shape[1])


def accepted(stage: Stage) -> list[StreamInfo]:
    infos = []
    for info in EXAMPLES:
        try:
            stage.output_info(info)
        except ValueError:
            continue
        infos.append(info)
    return infos


def following(stage: Stage) -> list[tuple[Stage, StreamInfo]]:
    """Put a stage that reads what another gives behind that other one."""
    pairs = []
    for cls in classes():
        if cls in (Chain, Fork, MaskBadSamples) or cls is type(stage):
            continue
        pairs += [
            (Chain((cls(), stage)), info)
            for info in accepted(cls())
            if info in accepted(Chain((cls(), stage)))
        ]
    return pairs[:2]


SETTINGS: dict[type[Stage], Stage] = {ArtifactRegression: ArtifactRegression(("F3",))}
"""Stages that the example streams suit with other settings than the default ones."""


def cases() -> list[tuple[Stage, StreamInfo]]:
    stages: list[Stage] = [SETTINGS.get(cls) or cls() for cls in classes()]
    stages += [
        Every(),
        Chain((Chain(), Every())),
        Fork((Every(), Every(prefix="again."))),
    ]
    found = []
    for stage in stages:
        pairs = [(stage, info) for info in accepted(stage)] or following(stage)
        if not pairs:
            raise ValueError(f"no example stream suits {stage}")
        found += pairs
    slow = replace(EXAMPLES[2], name="example.slow_eda", rate=Fraction("3.99"))
    fast = replace(EXAMPLES[2], name="example.fast_eda", rate=Fraction("15.6"))
    fast_cases = [(stage, fast) for stage in (EdaQuality(), EdaStability())]
    return [*found, (Interpolate(), slow), *fast_cases]


CASES = cases()
each = pytest.mark.parametrize(
    ("stage", "info"), CASES, ids=lambda v: getattr(v, "name", repr(v))
)


def test_every_stage_is_under_the_laws() -> None:
    tried = {type(s) for stage, _ in CASES for s in parts(stage)}
    assert set(classes()) <= tried


def parts(stage: Stage) -> list[Stage]:
    return [stage, *(s for inner in getattr(stage, "stages", ()) for s in parts(inner))]


@each
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_1_output_does_not_depend_on_the_cuts(
    stage: Stage, info: StreamInfo, data: st.DataObject
) -> None:
    laws = StageLaws(stage, info)
    n = data.draw(st.integers(0, min(len(laws.samples), 8000)))
    laws.cuts(n, data.draw(st.lists(st.integers(0, n), max_size=12)))


@each
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_2_count_is_a_closed_form(
    stage: Stage, info: StreamInfo, data: st.DataObject
) -> None:
    laws = StageLaws(stage, info)
    laws.count(min(data.draw(st.integers(0, 3000)), len(laws.samples)))


@each
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_3_lost_samples_are_rows_of_nan(
    stage: Stage, info: StreamInfo, data: st.DataObject
) -> None:
    laws = StageLaws(stage, info)
    size = min(len(laws.samples), 6000)
    start = data.draw(st.integers(0, size // 2))
    laws.gap(start, data.draw(st.integers(start, size)))


@each
@pytest.mark.parametrize("position", [0.3, 0.5])
def test_3_one_nan_is_forgotten(
    stage: Stage, info: StreamInfo, position: float
) -> None:
    StageLaws(stage, info).single_nan(position)


@each
def test_3_nothing_is_made_up(stage: Stage, info: StreamInfo) -> None:
    StageLaws(stage, info).nothing_from_nothing()


@each
def test_4_a_state_brings_the_past_back(stage: Stage, info: StreamInfo) -> None:
    StageLaws(stage, info).state()


@each
def test_5_reset_forgets(stage: Stage, info: StreamInfo) -> None:
    StageLaws(stage, info).reset()


@pytest.mark.parametrize("cls", list(classes()), ids=lambda c: c.__name__)
def test_6_a_stage_is_a_value(cls: type[Stage]) -> None:
    check_value(cls())
    assert hash(cls()) == hash(cls())


@each
def test_outputs_say_what_they_rest_on(stage: Stage, info: StreamInfo) -> None:
    StageLaws(stage, info).output()
