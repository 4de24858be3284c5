"""Weights of conditions alone: odds in estimates and views, no rating, and why."""

import io
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator, Expert
from physio.models.baseline import BaselinePrior
from physio.models.linear import Linear, LinearConfig
from physio.training.save_weights import minimal_card, store
from physio.view.dashboard import html
from physio.view.dashboard.session_state import SessionState
from physio.view.reports.session import session_report
from physio.view.terminal.layout import TerminalLayout, status_line
from physio.view.terminal.state import ParticipantPanel

NAMES = ("eeg.alpha", "eeg.theta")
COLUMNS = (*NAMES, "eeg.window_start", "eeg.window_end")
INFO = StreamInfo(
    "features", Fraction(4), tuple(Channel(n) for n in COLUMNS), origin=Origin.MEASURED
)
SLOPE = np.array([[0.0, 0.0], [2.0, -1.0]])


def weights(path: Path, classes: tuple[str, ...] = ("rest", "task")) -> str:
    """Store a logistic regression of two conditions; return its path."""
    model = Linear(
        LinearConfig(2, (), classes), np.zeros(2), np.ones(2), SLOPE, np.zeros(2),
        np.empty(0),
    )  # fmt: skip
    ones = np.ones(2)
    rest = BaselinePrior(np.zeros(2), ones * 1e-6, ones, ones, ones * 10)
    card = minimal_card(
        "physio.models.linear:Linear",
        tuple((n, "raw") for n in NAMES), 10.0, Origin.MEASURED, (),
    )  # fmt: skip
    store(path, card, model, rest, (np.full(3, np.nan), np.full(3, np.nan)))
    return str(path)


def rows(n: int = 120) -> Array:
    """Return a baseline of 10 s at 0, and then a task."""
    data = np.zeros((n, len(COLUMNS)))
    data[40:, 0] = 1.0
    data[:, 3] = np.arange(n) / 4
    return data


def estimates(experts: Sequence[Expert], data: Array) -> Block:
    flow = StageRunner(Estimator(tuple(experts)), INFO)
    info = replace(flow.info, name="estimates")
    return Block(info, 0, 0.0, flow.push(Block(INFO, 0, 0.0, data)).data)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Block:
    path = tmp_path_factory.mktemp("weights") / "eeg-load"
    return estimates([Expert(weights(path))], rows())


def test_odds_are_columns_and_no_dimension_is_rated(out: Block) -> None:
    task, rest = (out.column(f"condition.{c}") for c in ("task", "rest"))
    assert task + rest == pytest.approx(np.ones(len(out)))
    assert task[0] == pytest.approx(0.5)
    # After the baseline, the odds are those of the logistic regression itself.
    assert task[60] == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-3)
    for name in DIMENSIONS:
        reasons = missing_reason(out.column(name))
        assert set(reasons.tolist()) == {MissingReason.UNTRAINED}
        assert set(out.column(f"{name}.missing")) == {float(MissingReason.UNTRAINED)}


def test_odds_are_missing_for_the_reason_of_the_features(tmp_path: Path) -> None:
    data = rows()
    data[70:80, :2] = MissingReason.POOR_QUALITY.nan
    block = estimates([Expert(weights(tmp_path / "w"))], data)
    for name in ("task", "rest"):
        codes = missing_reason(block.column(f"condition.{name}"))
        assert set(codes[70:80].tolist()) == {MissingReason.POOR_QUALITY}
        assert not codes[80:].any()


def test_two_weights_may_name_the_same_condition(tmp_path: Path) -> None:
    first, second = (weights(tmp_path / name) for name in ("a", "b"))
    block = estimates([Expert(first), Expert(second)], rows())
    np.testing.assert_array_equal(
        block.column("condition.task"), block.column("b.condition.task")
    )


def test_odds_stand_in_every_view(out: Block) -> None:
    layout = TerminalLayout(
        30.0, 0.0, participants={"": ParticipantPanel(estimates=out)}
    )
    page = io.StringIO()
    Console(file=page, width=110).print(layout)
    assert "conditions: task 88 %, rest 12 %" in page.getvalue()
    assert "task 88 %, rest 12 %" in status_line(layout)
    session = SessionState(0.0)
    session.take(out, 30.0)
    session.at = 30.0
    assert "88 %" in html.estimates(session)
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    x = 2 + 0.01 * np.arange(len(out), dtype=np.float64)[:, None]
    recording = Recording({"band.eda": (Block(eda, 0, 0.0, x),)})
    assert "probability of task" in str(session_report(recording, None, out))


def test_a_model_that_raises_is_given_up_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (weights(tmp_path / name) for name in ("good", "bad"))

    flow = StageRunner(Estimator((Expert(good), Expert(bad))), INFO)
    broken = flow._state.runtime.experts[1].model

    def fails(z: Array, spread: Array) -> Array:
        if z[0] > 0.5:
            raise RuntimeError("no odds today")
        return Linear.condition_odds(broken, z, spread)

    monkeypatch.setattr(broken, "condition_odds", fails)
    block = flow.push(Block(INFO, 0, 0.0, rows()))
    assert np.isfinite(block.column("condition.task")).all()
    codes = missing_reason(block.column("bad.condition.task"))
    assert not codes[:40].any()
    assert set(codes[40:].tolist()) == {MissingReason.FAILED}
    assert flow.take_messages() == [
        (
            "session.status",
            "the weights 'bad' stopped: RuntimeError: no odds today; the others go on",
        )
    ]
    assert flow.take_messages() == []
