"""A chain, an estimator or a view that fails is given up alone, and named."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from rich.console import Console
from typer.testing import CliRunner

from devices.simulated import Wristband
from physio.cli import app
from physio.cli.run_session import RunOptions, SessionOutcome, run_session
from physio.cli.summary import draw_overview, session_lines
from physio.core.block import Array, Channel, StreamInfo
from physio.core.protocols import FastClock
from physio.core.stage import Chain, Stage, State
from physio.io import xdf
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.view.dashboard import html
from physio.view.dashboard.document import ViewerPage
from physio.view.dashboard.session_state import state_of_recording
from physio.view.terminal.live import Terminal
from test_engine import EDA, EEG, PLAN, go, session, steady

PARTS = ("output_info", "initial_state", "schedule", "process", "on_events")


@dataclass(frozen=True)
class Fails(Stage):
    """Raises in one of its methods."""

    part: str = "output_info"

    def _fail(self, part: str) -> None:
        if self.part == part:
            raise KeyError(f"no {part} today")

    def output_info(self, info: StreamInfo) -> StreamInfo:
        self._fail("output_info")
        return info

    def initial_state(self, info: StreamInfo) -> State:  # noqa: ARG002
        self._fail("initial_state")
        return None

    def schedule(self, info: StreamInfo) -> Any:
        self._fail("schedule")
        return super().schedule(info)

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        if len(x):
            self._fail("process")
        return x

    def on_events(self, state: State, events: Any) -> None:  # noqa: ARG002
        self._fail("on_events")


@dataclass(frozen=True)
class ArousalOnly(Stage):
    """An estimator of one's own, with one column."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info.with_channels(None, Channel("arousal"))

    def initial_state(self, info: StreamInfo) -> State:  # noqa: ARG002
        return None

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        return np.tanh(np.nanmean(np.nan_to_num(x[:, :1]), axis=1, keepdims=True))


def status(items: list[Any]) -> list[str]:
    told = [i for i in items if i.info.name == "session.status"]
    return [label for i in told for label in i.labels]


@pytest.mark.parametrize("part", PARTS[:4])
def test_a_chain_that_fails_is_given_up_alone(part: str) -> None:
    chains = {"bad": ChainConfig("band.eda", (Fails(part),)), **PLAN.chains}
    live = session(steady(EDA, 5) + steady(EEG, 5), PipelineConfig(chains))
    items = go(live)
    how = "stopped" if part == "process" else "did not start"
    fault = f"chain bad {how}: KeyError: 'no {part} today'"
    assert live.faults == [fault]
    assert fault in status(items)
    features = [i for i in items if i.info.name == "features"]
    for name in ("eda.eda", "eeg.Fz"):
        column = np.concatenate([b.column(name) for b in features])
        assert np.isfinite(column).sum() >= 19


@pytest.mark.parametrize("part", PARTS)
def test_an_estimator_that_fails_is_given_up_alone(part: str) -> None:
    plan = PipelineConfig(PLAN.chains, estimator=Fails(part))
    live = session(steady(EDA, 5) + steady(EEG, 5), plan)
    with live:
        live.mark("film")
        items = list(live)
    how = "stopped" if part in {"process", "on_events"} else "did not start"
    fault = f"the estimator {how}: KeyError: 'no {part} today'"
    assert live.faults == [fault]
    assert fault in status(items)
    assert sum(len(i) for i in items if i.info.name == "features") == 20
    assert not any(i.info.name == "estimates" for i in items)
    outputs = {info.name for info in live.engine.outputs}
    assert outputs == {"features"} | ({"estimates"} if how == "stopped" else set())


def test_of_several_participants_the_others_estimator_starts() -> None:
    clock = FastClock()
    bands = [
        Wristband(name=n, participant=p, clock=clock, seconds=3.0, ground_truth=False)
        for n, p in (("a", "p1"), ("b", "p2"))
    ]
    chains = {
        "p1.air": ChainConfig("a.eda", participant="p1"),
        "p2.air": ChainConfig("b.eda", participant="p2"),
        "p2.bad": ChainConfig("b.eda", (Fails(),), participant="p2"),
    }
    plan = PipelineConfig(chains, estimators={"p1": Fails(), "p2": Chain()})
    with Session(plan, bands, clock=clock, poll=0.1) as live:
        items = list(live)
    assert live.faults == [
        "the estimator of p1 did not start: KeyError: 'no output_info today'",
        "chain p2.bad did not start: KeyError: 'no output_info today'",
    ]
    assert {i.info.name for i in items if "estimates" in i.info.name} == {
        "estimates.p2"
    }


def test_offline_the_same_is_named_and_the_engine_can_be_used_again() -> None:
    from physio.core.recording import Recording
    from physio.online.engine import Engine

    script = steady(EDA, 3)
    recording = Recording({"band.eda": tuple(b for _, b in script)})
    chains = {
        "eda": ChainConfig("band.eda"),
        "bad": ChainConfig("band.eda", (Fails(),)),
    }
    plan = PipelineConfig(chains, estimator=Fails("initial_state"))
    engine = Engine(plan, recording.infos, recording.begin)
    first = list(run(recording, plan, engine=engine))
    engine.restart(recording.begin)
    second = list(run(recording, plan, engine=engine))
    assert status(first) == status(second) == list(engine.notices)
    assert len(engine.notices) == 2
    a, b = (
        np.vstack([i.data for i in items if i.info.name == "features"])
        for items in (first, second)
    )
    np.testing.assert_array_equal(a, b)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the estimators of this file a module that a session file can name."""
    module = ModuleType("own_estimators")
    for cls in (ArousalOnly, Fails):
        setattr(module, cls.__name__, cls)
        monkeypatch.setattr(cls, "__module__", "own_estimators")
    monkeypatch.setitem(__import__("sys").modules, "own_estimators", module)
    return "own_estimators"


def conducted(
    folder: Path, trust: str, estimator: Mapping[str, Any], ratings: int = 0
) -> tuple[SessionOutcome, str]:
    """Run a session in a folder; return its outcome, and what the terminal showed."""
    clock = FastClock(1000.0)
    band = Wristband(name="band", clock=clock, seconds=20.0, ground_truth=False)
    sinks = {
        "recording": {"use": "physio.sinks.xdf:Xdf"},
        "tables": {"use": "physio.sinks.parquet:ParquetTables"},
        "lines": {"use": "physio.sinks.jsonl:JsonLines"},
    }
    tables = {"estimator": estimator, "sinks": sinks}
    shown = io.StringIO()

    @contextmanager
    def view(live: Session) -> Iterator[Terminal]:
        console = Console(file=shown, force_terminal=True, width=100, height=40)
        streams = [h.info for h in live.health.values()]
        with Terminal(streams, live.begin, console=console, every=2.0) as terminal:
            for _ in range(ratings):
                live.rate(0.1, 0.2, 0.3, label="rating")
            yield terminal

    config = SessionConfig(tables, "own.toml", (trust,))
    options = RunOptions(view=view, poll=0.25)
    outcome = run_session(config, [band], clock, folder, options)
    return outcome, shown.getvalue()


def test_an_estimator_that_gives_arousal_alone_works_everywhere(
    tmp_path: Path, own: str
) -> None:
    outcome, shown = conducted(tmp_path, own, {"use": f"{own}:ArousalOnly"}, ratings=12)
    figures = outcome.figures
    assert (outcome.ended, figures["faults"]) == (
        "completed: every device had ended", []
    )  # fmt: skip
    assert figures["notes"] == []
    assert set(figures["estimates"]["finite"]) == {"arousal"}
    assert figures["estimates"]["finite"]["arousal"] >= 70
    assert set(figures["reports"]) <= {"arousal"}
    assert any(line.startswith("arousal: ") for line in session_lines(figures))
    assert not any("valence" in line for line in session_lines(figures))
    assert "arousal" in shown.lower()
    table = pd.read_parquet(tmp_path / "estimates.parquet")
    assert "arousal" in table
    assert np.isfinite(table["arousal"]).sum() == figures["estimates"]["rows"]
    line = json.loads((tmp_path / "estimates.jsonl").read_text("utf-8").split("\n")[0])
    assert "arousal" in line
    draw_overview(tmp_path)
    assert (tmp_path / "overview.png").stat().st_size > 10_000
    out = tmp_path / "report.html"
    done = CliRunner().invoke(
        app, ["report", str(tmp_path), "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert "arousal" in out.read_text("utf-8")
    state = state_of_recording(xdf.read(tmp_path / "recording.xdf"))
    assert state.estimates is not None
    assert state.estimates.info.names == ("arousal",)
    page = ViewerPage(Document(), state, at=state.end)
    page.open()
    page.tick()
    assert "arousal" in html.estimates(state)


@pytest.mark.parametrize("part", ["output_info", "process"])
def test_an_estimator_that_fails_leaves_a_whole_session(
    tmp_path: Path, own: str, part: str
) -> None:
    outcome, shown = conducted(tmp_path, own, {"use": f"{own}:Fails", "part": part})
    assert outcome.ended == "completed: every device had ended"
    (fault,) = outcome.figures["faults"]
    assert fault.startswith("the estimator ")
    assert outcome.status == 1
    assert outcome.figures["estimates"]["rows"] == 0
    assert fault.split(":")[0] in shown
    got = xdf.read(tmp_path / "recording.xdf")
    assert sum(map(len, got.streams["features"])) >= 70
    about = json.loads((tmp_path / "session.json").read_text("utf-8"))
    assert about["state"] == "completed"
    draw_overview(tmp_path)
    out = tmp_path / "report.html"
    done = CliRunner().invoke(
        app, ["report", str(tmp_path), "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
