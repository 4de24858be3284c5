"""The seconds that served as a baseline are named, chosen or not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import miniatures
from physio.cli import app, dashboard
from physio.core.block import Block
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.inference.baseline_use import baseline_uses
from physio.inference.estimator import Estimator
from physio.online.engine import Engine, run
from physio.online.personal_calibration import (
    baseline_markers,
    with_baseline,
    with_markers,
)
from physio.online.session_config import SessionConfig
from physio.view.dashboard import html


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("band") / "S01.zip"
    miniatures.wristband(path)
    return path


def replayed(band: Path, out: Path, *options: str) -> Any:
    arguments = ["replay", str(band), "--fast", "--out", str(out), *options]
    result = CliRunner().invoke(app, [*arguments, "--json", str(out) + ".json"])
    assert result.exit_code == 0, (result.output, result.exception)
    (sentence,) = json.loads(Path(f"{out}.json").read_text("utf-8"))["baselines"]
    assert sentence in result.output
    assert sentence in json.dumps(json.loads((out / "session.json").read_text("utf-8")))
    return sentence


def test_a_chosen_baseline_is_used_and_named(band: Path, tmp_path: Path) -> None:
    sentence = replayed(band, tmp_path / "chosen", "--baseline", "20", "80")
    assert sentence == ("baseline of wrist: 20 to 80 s after the beginning, as chosen")
    result = CliRunner().invoke(
        app, ["report", str(tmp_path / "chosen"), "--out", str(tmp_path / "r.html")]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "the participant's resting baseline (20 to 80 s)" in page.replace(
        "&#x27;", "'"
    ).replace("&#39;", "'")


def test_a_baseline_that_nobody_chose_says_so(band: Path, tmp_path: Path) -> None:
    sentence = replayed(band, tmp_path / "default")
    assert "not chosen beforehand: --baseline BEGIN END" in sentence


@pytest.mark.parametrize("chosen", [None, (20.0, 80.0)])
def test_the_named_seconds_are_those_of_the_estimator(
    band: Path, chosen: tuple[float, float] | None
) -> None:
    recording = read(band)
    file = SessionConfig()
    plan = file.plan(recording.inputs)
    markers = []
    if chosen is not None:
        plan = with_baseline(plan, chosen[1] - chosen[0])
        markers = baseline_markers(*chosen)
    engine = Engine(plan, recording.infos, recording.begin)
    items = list(run(recording, plan, markers, engine))
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "features"]
    data = np.concatenate([b.data for b in blocks])
    features = Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)
    marked = Recording({}, with_markers(recording, markers), (), recording.metadata)
    uses = baseline_uses(marked, features, file.resolved(plan))
    assert [u.source for u in uses] == ["not chosen" if chosen is None else "marked"]
    if chosen is not None:
        assert [(u.begin, u.end) for u in uses] == [chosen]
    runner = engine.pipelines[""].estimator
    assert runner is not None
    assert isinstance(runner.stage, Estimator)
    state = runner.state[0]
    for use, expert in zip(uses, state.experts, strict=True):
        past = float(expert.baseline.past[0])
        assert past == pytest.approx(use.end - use.begin, abs=1.0)


@pytest.mark.parametrize("chosen", ["", "20 80"])
def test_the_view_names_the_seconds(band: Path, chosen: str) -> None:
    state, (sentence,) = dashboard.make_state(band, None, None, chosen)
    shown = html.baseline(state)
    if chosen:
        assert (
            sentence == "baseline of wrist: 20 to 80 s after the beginning, as chosen"
        )
        assert shown == "Baseline: 20 to 80 s after the beginning."
    else:
        assert "not chosen beforehand" in sentence
        assert shown.startswith("Baseline")
    stored = state.computed["estimates"]
    assert len(stored) > 0


def test_a_condition_of_a_live_session_is_no_baseline() -> None:
    result = CliRunner().invoke(
        app, ["live", "simulated", "--baseline", "rest", "--consent", "x"]
    )
    assert "give BEGIN END" in str(result.exception)
