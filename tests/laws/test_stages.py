"""Laws of a stage, tested on every stage."""

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

import physio
from physio.config import build, describe
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import (
    Chain,
    Fork,
    MaskBadSamples,
    OutputSchedule,
    Stage,
    StageRunner,
    State,
    apply,
)


def stream(name: str, rate: int, *channels: Channel) -> StreamInfo:
    return StreamInfo(f"example.{name}", Fraction(rate), channels)


EXAMPLES = (
    stream("eeg", 128, *(Channel(c, "eeg", "uV") for c in ("F3", "Cz", "F4"))),
    stream("eeg", 250, *(Channel(c, "eeg", "uV") for c in ("F3", "F4"))),
    stream("eda", 4, Channel("eda", "gsr", "uS")),
    stream("bvp", 64, Channel("bvp", "bio", "1")),
    stream("ecg", 250, Channel("ecg", "ecg", "mV")),
    stream("resp", 25, Channel("resp", "resp", "1")),
    stream("acc", 32, *(Channel(f"acc.{a}", "misc", "g") for a in "xyz")),
    stream("temp", 4, Channel("temp", "temperature", "degC")),
    stream(
        "estimates",
        4,
        *(
            Channel(f"{d}{e}")
            for e in ("", ".sd")
            for d in ("valence", "arousal", "dominance")
        ),
    ),
    stream("features", 4, *(Channel(f"skin.{c}") for c in ("rate", "from", "to"))),
    stream(
        "joined",
        4,
        *(Channel(c) for c in ("heart.template_sqi", "eda.stability")),
        *(Channel(c) for c in ("temperature.level", "motion.activity")),
    ),
)
"""One stream of each kind, as devices send them and a junction joins them."""


@cache
def signal(info: StreamInfo) -> Array:
    """Return something like what such a sensor gives, longer than any stage's span."""
    seconds = 310 if info.channels[0].kind in {"ecg", "bio"} else 240
    rng = np.random.default_rng(len(info.channels))
    n, width = int(seconds * info.rate), len(info.channels)
    t = np.arange(n)[:, None] / float(info.rate)
    noise = rng.standard_normal((n, width))
    match info.channels[0].kind:
        case "eeg":
            return 20 * np.sin(2 * np.pi * 10 * t) + 10 * noise
        case "gsr":
            bumps = sum(
                np.clip(t - at, 0, None) * np.exp(-np.clip(t - at, 0, None) / 2)
                for at in range(5, seconds, 9)
            )
            return np.ascontiguousarray(3 + 0.4 * bumps + 0.002 * noise)
        case "bio":
            return 50 * np.sin(2 * np.pi * 1.2 * t) ** 3 + noise
        case "ecg":
            return np.exp(-(((t * 1.2) % 1 - 0.5) ** 2) / 4e-4) + 0.01 * noise
        case "resp":
            return np.sin(2 * np.pi * 0.25 * t) + 0.02 * noise
        case "temperature":
            return 33 + 0.1 * np.sin(t / 30) + 0.01 * noise
    if info.name.endswith("estimates"):
        walk = 0.3 * np.sin(t / 30 + np.arange(3)) + 0.05 * noise[:, :3]
        return np.stack([walk, np.full_like(walk, 0.4)], axis=2).reshape(n, 6)
    return 0.1 * noise + np.arange(width)


def classes() -> Iterator[type[Stage]]:
    for module in pkgutil.walk_packages(physio.__path__, "physio."):
        found = importlib.import_module(module.name)
        for _, cls in inspect.getmembers(found, inspect.isclass):
            own = cls.__module__ == module.name
            if issubclass(cls, Stage) and not inspect.isabstract(cls) and own:
                yield cls


@dataclass(frozen=True)
class Every(Stage):
    """The newest sample, ``rate`` times a second: a grid that fits no sample rate."""

    rate: int = 3

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info.with_channels(Fraction(self.rate), *info.channels)

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


def cases() -> list[tuple[Stage, StreamInfo]]:
    stages: list[Stage] = [cls() for cls in classes()]
    stages += [Every(), Chain((Chain(), Every())), Fork((Every(), Every()))]
    found = []
    for stage in stages:
        direct = [(stage, info) for info in accepted(stage)]
        found += direct or following(stage)
        if not (direct or found[-1:]):
            raise ValueError(f"no example stream suits {stage}")
    return found


CASES = cases()
each = pytest.mark.parametrize(
    ("stage", "info"), CASES, ids=lambda v: getattr(v, "name", repr(v))
)


def recording(info: StreamInfo, n: int | None = None, start: int = 0) -> Block:
    data = signal(info)[start : None if n is None else start + n]
    return Block(info, start, 1000.0, np.ascontiguousarray(data))


def same(a: Array, b: Array) -> None:
    """Check that all numbers are equal, and all missing ones for the same reason."""
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(missing_reason(a), missing_reason(b))


def joined(blocks: list[Block]) -> Array:
    for a, b in pairwise(blocks):
        assert a.stop == b.start
    return np.concatenate([b.data for b in blocks])


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
    size = min(len(signal(info)), 8000)
    n = data.draw(st.integers(0, size))
    cuts = data.draw(st.lists(st.integers(0, n), max_size=12))
    whole = recording(info, n)
    flow = StageRunner(stage, info)
    got = [flow.push(b) for b in whole.split(cuts)]
    expected = apply(stage, whole)
    same(joined(got), expected.data)
    assert got[0].start == 0
    assert all(b.t0 == expected.t0 for b in got)


@each
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_2_count_is_a_closed_form(
    stage: Stage, info: StreamInfo, data: st.DataObject
) -> None:
    n = data.draw(st.integers(0, 3000))
    n = min(n, len(signal(info)))
    out, grid = apply(stage, recording(info, n)), stage.schedule(info)
    assert len(out) == grid.count(n)
    assert out.info.rate == info.rate / grid.step
    assert all(grid.due(k) < n for k in range(len(out)))
    assert grid.due(len(out)) >= n


@each
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_3_lost_samples_are_rows_of_nan(
    stage: Stage, info: StreamInfo, data: st.DataObject
) -> None:
    size = min(len(signal(info)), 6000)
    a = data.draw(st.integers(0, size // 2))
    b = data.draw(st.integers(a, size))
    lost = signal(info)[:size].copy()
    lost[a:b] = MissingReason.NO_SIGNAL.nan
    flow = StageRunner(stage, info)
    got = [flow.push(recording(info, a)), flow.push(recording(info, size - b, b))]
    if b == size:
        return  # nothing came after the gap, so nobody knows of it yet
    same(joined(got), apply(stage, Block(info, 0, 1000.0, lost)).data)


@each
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_3_one_nan_is_forgotten(stage: Stage, info: StreamInfo, share: float) -> None:
    whole = recording(info)
    span = stage.output_info(info).memory
    # Behind the hole there must be more than the stage remembers.
    room = len(whole) - int((span + 5.0) * float(info.rate))
    hole = min(int(len(whole) * share), room)
    data = whole.data.copy()
    data[hole] = MissingReason.NO_SIGNAL.nan
    expected, got = apply(stage, whole), apply(stage, Block(info, 0, 1000.0, data))
    back = expected.times - whole.times[hole]
    due = np.array([stage.schedule(info).due(k) for k in range(len(expected))])
    before, after = due < hole, back > span + 1e-9
    same(got.data[before], expected.data[before])
    assert after.any(), f"the span of {span} s is longer than this test's signal"
    # A recursive filter forgets to 1e-3 of what went in within its stated settling
    # time; everything else to the last bit.
    spread = np.std(np.nan_to_num(expected.data), axis=0)
    off = np.abs(got.data[after] - expected.data[after])
    assert np.all(np.isnan(got.data[after]) == np.isnan(expected.data[after]))
    assert np.all(np.nan_to_num(off) <= 1e-2 * np.maximum(spread, 1e-12))


@each
def test_3_nothing_is_made_up(stage: Stage, info: StreamInfo) -> None:
    n = int(20 * info.rate)
    nothing = np.full((n, len(info.channels)), MissingReason.NO_SIGNAL.nan)
    out = apply(stage, Block(info, 0, 0.0, nothing))
    mask = [
        c.kind != "stim" and not c.name.endswith(".missing") for c in out.info.channels
    ]
    assert np.isnan(out.data[:, mask]).all()


@each
def test_4_a_state_brings_the_past_back(stage: Stage, info: StreamInfo) -> None:
    whole = recording(info)
    a, b = whole.split([len(whole) // 3])
    flow = StageRunner(stage, info)
    flow.push(a)
    state = flow.state
    first = flow.push(b)
    flow.state = state
    second = flow.push(b)
    same(second.data, first.data)
    assert second.start == first.start


@each
def test_5_reset_forgets(stage: Stage, info: StreamInfo) -> None:
    flow = StageRunner(stage, info)
    first = flow.push(recording(info))
    flow.reset()
    same(flow.push(recording(info)).data, first.data)


@pytest.mark.parametrize("cls", list(classes()), ids=lambda c: c.__name__)
def test_6_a_stage_is_a_value(cls: type[Stage]) -> None:
    stage = cls()
    names = {c.__name__: c for c in classes()}
    assert eval(repr(stage), names) == stage
    assert hash(stage) == hash(cls())
    text = tomli_w.dumps(describe(stage))
    assert build(tomllib.loads(text), "here") == stage


@each
def test_outputs_say_what_they_rest_on(stage: Stage, info: StreamInfo) -> None:
    out = stage.output_info(info)
    assert all(c.memory >= 0 and c.delay >= 0 for c in out.channels)
    assert out.origin == info.origin
    assert len({c.name for c in out.channels}) == len(out.channels)
