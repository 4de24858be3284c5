"""Checks of `physio.testing` name the law that a class breaks, without pytest."""

import subprocess
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Array, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason
from physio.core.protocols import Device
from physio.core.stage import OutputSchedule, Stage, State
from physio.datasets import feature_table
from physio.datasets.base import Trial
from physio.testing import FakeDataset, check_dataset, check_device, check_stage

ROOT = Path(__file__).resolve().parents[2]
INFO = StreamInfo("a.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))


@dataclass(frozen=True)
class Plain(Stage):
    """The input itself."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info

    def initial_state(self, info: StreamInfo) -> State:
        return np.zeros(len(info.channels))

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return x


@dataclass(frozen=True)
class Chunky(Plain):
    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return x - (x.mean(axis=0) if len(x) else 0)


@dataclass(frozen=True)
class Eager(Plain):
    def output_info(self, info: StreamInfo) -> StreamInfo:
        return replace(info, rate=info.rate / 2)

    def schedule(self, info: StreamInfo) -> OutputSchedule:  # noqa: ARG002
        return OutputSchedule(Fraction(0), Fraction(2))


@dataclass(frozen=True)
class Poisoned(Plain):
    def process(self, state: State, x: Array) -> Array:
        y = np.empty_like(x)
        for i, row in enumerate(x):
            state[:] = 0.5 * state + row
            y[i] = state
        return y


@dataclass(frozen=True)
class Inventive(Plain):
    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return np.nan_to_num(x)


PAST = [0.0]


@dataclass(frozen=True)
class Leaky(Plain):
    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        PAST[0] += len(x) > 900  # only the signal of 240 s
        return x + PAST[0]


@dataclass
class Mutable(Stage):
    output_info, initial_state = Plain.output_info, Plain.initial_state
    process = Plain.process


@dataclass(frozen=True)
class Laundered(Plain):
    def output_info(self, info: StreamInfo) -> StreamInfo:
        return replace(info, origin=Origin.DEMO)


@dataclass(frozen=True)
class Infinite(Plain):
    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return np.where(x > 1e5, np.inf, x)


@dataclass(frozen=True)
class Unreasoned(Plain):
    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return np.where(np.isnan(x), MissingReason.OK.nan, x)


def test_a_stage_that_keeps_the_laws_passes() -> None:
    check_stage(Plain(), INFO)
    signal = np.sin(np.arange(400.0))[:, None]
    check_stage(Plain(), INFO, signal=signal, seed=3)


@pytest.mark.parametrize(
    ("stage", "law"),
    [
        (Chunky(), r"law 1 .*: row 0 of 'eda' is -?\d.* not "),
        (Eager(), r"law 2 .* samples give \d+ outputs, not \d+"),
        (Poisoned(), r"law 3 \(a NaN changes no output .* after the NaN"),
        (Inventive(), r"law 3 \(nothing is computed .* every sample is missing"),
        (Mutable(), r"law 6 .* frozen: @dataclass\(frozen=True\)"),
        (Laundered(), "the law of the output stream: the origin is demo"),
        (
            Unreasoned(),
            "the law of disturbed signals: a missing value .* no MissingReason",
        ),
        (
            Infinite(),
            "the law of disturbed signals: the output of the signal 'railed' is inf",
        ),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_message_names_the_law_and_the_difference(stage: Stage, law: str) -> None:
    with pytest.raises(AssertionError, match=f"breaks {law}") as error:
        check_stage(stage, INFO)
    assert "\n" not in str(error.value)


def test_a_state_outside_of_the_state_is_found() -> None:
    PAST[0] = 0.0
    with pytest.raises(AssertionError, match=r"breaks law \d"):
        check_stage(Leaky(), INFO)


def test_a_device_has_to_be_a_dataclass_of_its_base_class() -> None:
    class Loose(Device):
        streams = ()

        def read(self) -> list[object]:  # type: ignore[override]
            return []

    with pytest.raises(TypeError, match="Loose must be a dataclass that derives from"):
        check_device(Loose())


def test_neither_pytest_nor_hypothesis_is_needed() -> None:
    code = """
import sys
sys.modules["pytest"] = sys.modules["hypothesis"] = None
from physio.testing import FakeDataset, check_dataset
check_dataset(FakeDataset(n_participants=2, seconds=10.0))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_simulated_participants_are_the_same_each_time() -> None:
    dataset = FakeDataset(n_participants=3, n_trials=2, seed=4, seconds=20.0)
    check_dataset(dataset)
    trials = dataset.trials()
    assert len(trials) == 6
    assert trials[0] == Trial("S1", "", "1")
    first, again, other = (
        d.load(t).streams["band.eda"][0].data
        for d, t in (
            (dataset, trials[0]),
            (
                FakeDataset(n_participants=9, n_trials=2, seed=4, seconds=20.0),
                trials[0],
            ),
            (replace(dataset, seed=5), trials[0]),
        )
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for trial in trials:
        recording = dataset.load(trial)
        events = recording.events["study.conditions"]
        order = (
            ("baseline", "stress") if trial.subject != "S2" else ("stress", "baseline")
        )
        assert events.labels == order
        assert recording.seconds == pytest.approx(40.0, abs=0.3)
        assert len(recording.events["study.ratings"]) == 2
        assert all(info.origin is Origin.SIMULATED for info in recording.infos[:4])


@pytest.mark.parametrize("wrong", [{"n_participants": 0}, {"seed": -1}, {"seconds": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        FakeDataset(**wrong)  # type: ignore[arg-type]


def test_an_unknown_trial_is_refused() -> None:
    with pytest.raises(KeyError, match="FakeDataset has no"):
        FakeDataset().load(Trial("S9"))


def test_the_command_extracts_simulated_participants(tmp_path: Path) -> None:
    name, out = "physio.testing:FakeDataset", tmp_path / "table"
    arguments = ["extract", name, ".", str(out), "--window", "20"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    table = feature_table.read(out)
    assert set(table["subject"]) == {"S1", "S2", "S3", "S4"}
    assert {"baseline", "stress"} <= set(table["label"])
