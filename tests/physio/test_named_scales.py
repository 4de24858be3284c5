"""Weights of named scales, as stress from 0 to 10: estimates, intervals, views."""

import io
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from physio.core.affect import DIMENSIONS, LEVELS, scale_places
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator, Expert
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.error_bars import GAUSSIAN
from physio.models.linear import Linear, LinearConfig
from physio.training.save_weights import minimal_card, store
from physio.view.dashboard import html
from physio.view.dashboard.session_state import SessionState
from physio.view.reports.session import session_report
from physio.view.terminal.layout import TerminalLayout, status_line
from physio.view.terminal.state import ParticipantPanel

NAMES = ("eda.tonic", "heart.rate")
INFO = StreamInfo(
    "features", Fraction(4),
    tuple(Channel(n) for n in (*NAMES, "eda.window_start", "eda.window_end")),
    origin=Origin.MEASURED,
)  # fmt: skip
WIDTHS = np.array([0.7, 1.3, 2.0])


def weights(
    path: Path,
    scales: tuple[str, ...] = ("stress",),
    supports: tuple[str, ...] = (),
    origin: Origin = Origin.MEASURED,
    figures: dict[str, str] | None = None,
) -> str:
    """Store a linear regression of some scales; return its path."""
    targets = (*supports, *scales)
    d = len(targets)
    slope = np.arange(1.0, d + 1)[:, None] * [[0.4, 0.0]]
    model = Linear(
        LinearConfig(2, targets), np.zeros(2), np.ones(2), slope, np.zeros(d),
        np.full(d, 0.2),
    )  # fmt: skip
    ones = np.ones(2)
    rest = BaselinePrior(np.zeros(2), ones * 1e-6, ones, ones, ones * 10)
    card = replace(
        minimal_card(
            "physio.models.linear:Linear", tuple((n, "raw") for n in NAMES), 10.0,
            origin, supports,
        ),
        scales=dict.fromkeys(scales, (0.0, 10.0)),
        figures=figures or {},
    )  # fmt: skip
    prior = np.full((2, 3), np.nan)
    at = scale_places(targets)
    prior[:, at] = [[0.0] * d, [0.5] * d]
    widths = np.tile(GAUSSIAN, (3, 1))
    widths[at] = WIDTHS
    store(path, card, model, rest, (prior[0], prior[1]), {"interval.widths": widths})
    return str(path)


def rows(n: int = 120) -> Array:
    """Return a baseline of 10 s at 0, and then 1."""
    data = np.zeros((n, 4))
    data[40:, 0] = 1.0
    data[:, 3] = np.arange(n) / 4
    return data


def estimates(experts: Sequence[Expert], data: Array) -> Block:
    flow = StageRunner(Estimator(tuple(experts)), INFO)
    info = replace(flow.info, name="estimates")
    return Block(info, 0, 0.0, flow.push(Block(INFO, 0, 0.0, data)).data)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Block:
    path = tmp_path_factory.mktemp("weights") / "strain"
    return estimates([Expert(weights(path))], rows())


def test_places_leave_dimensions_theirs() -> None:
    assert scale_places(DIMENSIONS) == [0, 1, 2]
    assert scale_places(("arousal", "stress", "fatigue")) == [1, 0, 2]
    assert scale_places(("stress",)) == [0]
    with pytest.raises(ValueError, match=r"at most 3 scales, not a, b, c, d: train"):
        scale_places(("a", "b", "c", "d"))


def test_a_scale_has_its_own_range_and_intervals(out: Block) -> None:
    """0.4 of [-1, 1] is 7 of 0 to 10; its deviation of 0.2 is 1."""
    assert out.column("scale.stress")[60] == pytest.approx(7.0)
    assert out.column("scale.stress.sd")[60] == pytest.approx(1.0)
    for level, width in zip(LEVELS, WIDTHS, strict=True):
        half = out.column(f"scale.stress.ci{100 * level:.0f}")
        assert half[60] == pytest.approx(width)
    # Before the first tick of the baseline is over, it is nearly the prior.
    assert out.column("scale.stress")[0] == pytest.approx(5.0)
    assert out.column("scale.stress.sd")[0] > 2.0
    for name in DIMENSIONS:
        assert set(missing_reason(out.column(name))) == {MissingReason.UNTRAINED}


def test_it_never_leaves_its_range(tmp_path: Path) -> None:
    data = rows()
    data[60:, 0] = 4.0
    block = estimates([Expert(weights(tmp_path / "w"))], data)
    assert block.column("scale.stress").max() == 10.0


def test_it_is_missing_for_the_reason_of_the_features(tmp_path: Path) -> None:
    data = rows()
    data[70:80, :2] = MissingReason.POOR_QUALITY.nan
    block = estimates([Expert(weights(tmp_path / "w"))], data)
    for end in ("", ".sd", ".ci80"):
        codes = missing_reason(block.column(f"scale.stress{end}"))
        assert set(codes[70:80].tolist()) == {MissingReason.POOR_QUALITY}
        assert not codes[80:].any()


def test_it_stands_beside_a_dimension(tmp_path: Path) -> None:
    path = weights(tmp_path / "both", supports=("arousal",))
    block = estimates([Expert(path)], rows())
    assert block.column("arousal")[60] == pytest.approx(0.4)
    assert block.column("scale.stress")[60] == pytest.approx(9.0)
    card = model_card.load(path).card
    assert card.targets == ("arousal", "stress")
    assert card.scales == {"stress": (0.0, 10.0)}
    page = (tmp_path / "both" / "CARD.md").read_text("utf-8")
    assert "| estimates | arousal, stress (0 to 10) |" in page


def test_two_weights_may_name_the_same_scale(tmp_path: Path) -> None:
    first, second = (weights(tmp_path / name) for name in ("a", "b"))
    block = estimates([Expert(first), Expert(second)], rows())
    for end in ("", ".ci80"):
        np.testing.assert_array_equal(
            block.column(f"scale.stress{end}"), block.column(f"b.scale.stress{end}")
        )


def test_demo_weights_do_not_answer_on_measured_input(tmp_path: Path) -> None:
    path = weights(tmp_path / "demo", origin=Origin.SIMULATED)
    codes = missing_reason(estimates([Expert(path)], rows()).column("scale.stress"))
    assert set(codes.tolist()) == {MissingReason.DEMO_WEIGHTS}


def test_scales_stand_in_every_view(out: Block) -> None:
    text = "stress 7.0 ± 1.0 (5.7 to 8.3)"
    layout = TerminalLayout(
        30.0, 0.0, participants={"": ParticipantPanel(estimates=out)}
    )
    page = io.StringIO()
    Console(file=page, width=110).print(layout)
    assert text in page.getvalue()
    assert text in status_line(layout)
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    x = 2 + 0.01 * np.arange(len(out), dtype=np.float64)[:, None]
    recording = Recording({"band.eda": (Block(eda, 0, 0.0, x),)})
    report = str(session_report(recording, None, out))
    assert "<th>stress</th>" in report
    assert "Further scales: estimated self-report" in report


def test_the_page_shows_a_scale_as_it_does_a_dimension(
    out: Block, tmp_path: Path
) -> None:
    """From the end of the baseline on, with an interval whose coverage is measured."""
    measured = {
        "stress: ratings in intervals of 80 %": "0.81 (0.74 to 0.88)",
        "stress: ratings in intervals of 80 %, device band": "0.50 (0.40 to 0.60)",
    }
    for name, figures in (("with", measured), ("without", {})):
        path = weights(tmp_path / name, figures=figures)
        session = SessionState(0.0)
        session.update({"config": {"estimator": {"experts": [{"weights": path}]}}})
        session.take(out, 29.0)
        session.at = 5.0
        assert "baseline: 5 s remaining" in html.estimates(session)
        assert html.estimates(session).count("±") == 2  # both in explanations
        session.at = 29.0
        page = html.estimates(session)
        assert "7.0 ± 1.0" in page
        assert ("(5.7 to 8.3)" in page) == bool(figures)
        basis = html.estimate_basis(session)
        assert ("held-out participants: stress 81 % [74, 88]." in basis) == bool(
            figures
        )
