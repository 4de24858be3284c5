"""What is known of a participant: made of a recording, given to a session, repeated."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from devices.simulated import Wristband
from physio.cli import app
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import FastClock
from physio.inference import self_report
from physio.inference.calibration import Calibration
from physio.io import xdf
from physio.online import personal_calibration
from physio.online.engine import run
from physio.online.prompts import PromptSequence, Step
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.sinks.xdf import Xdf

SECONDS = 330.0


def session(folder: Path | None, seconds: float = SECONDS) -> Session:
    clock = FastClock(50.0)
    band = Wristband(
        name="band",
        clock=clock,
        seed=4,
        seconds=seconds,
        ground_truth=False,
        participant="p1",
    )
    sinks = [Xdf(folder, about={"begin": "50.0"}, wait=True)] if folder else []
    guide = PromptSequence(
        (Step(60.0, "baseline start", "x"), Step(250.0, "baseline end", "y")),
        clock,
        len,
    )
    return Session(SessionConfig().plan, [band, guide], sinks, clock, poll=0.5)


def estimates(items: list[Item]) -> Block:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "estimates"]
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, 0, blocks[0].t0, data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("worn")
    with session(folder) as running:
        for item in running:
            if item.info.name == "session.markers" and "baseline end" in item.labels:  # type: ignore[union-attr]
                running.rate(0.5, -0.5, 0.25, label=self_report.SAM)
                running.rate(0.1, 0.1, label=self_report.CONTINUOUS)
    recording = xdf.read(folder / "recording.xdf")
    found, said = personal_calibration.calibrate(recording, running.plan, None, "p1")
    assert said[-1].startswith("the sensors were worn for 1 min before the baseline")
    return folder, found


def test_it_holds_the_rest_and_the_rated_moments(
    made: tuple[Path, Calibration],
) -> None:
    _, found = made
    assert found.participant == "p1"
    assert [e.past for e in found.experts] == [pytest.approx(190, abs=1.0)]
    ((*_, valence, arousal, dominance),) = found.labels
    assert (valence, arousal, dominance) == (0.5, -0.5, 0.25)


def test_a_session_begins_with_it_and_a_replay_repeats_it(
    made: tuple[Path, Calibration], tmp_path: Path
) -> None:
    _, found = made
    (tmp_path / "own").mkdir()
    with session(tmp_path / "own", seconds=60.0) as running:
        assert personal_calibration.apply_calibrations(running, [found]) == []
        live = estimates(list(running))
    with session(None, seconds=60.0) as plain:
        before = estimates(list(plain))
    # Not used it would change nothing at all. What it does change is this participant's
    # rest against what is usual, as these weights read it: 0.040; it takes half of
    # that.
    assert np.nanmax(np.abs(live.column("arousal") - before.column("arousal"))) > 0.02
    recording = xdf.read(tmp_path / "own" / "recording.xdf")
    again = estimates(list(run(recording, running.plan)))
    np.testing.assert_array_equal(again.data, live.data)


def test_one_of_somebody_else_is_refused_and_the_session_goes_on(
    made: tuple[Path, Calibration],
) -> None:
    _, found = made
    other = Calibration("p9", found.experts)
    with session(None, seconds=20.0) as running:
        told = personal_calibration.apply_calibrations(running, [other])
        items = list(running)
    assert told == ["the calibration is of 'p9'; here is p1"]
    assert len(estimates(items)) > 60
    status = [x for i in items if i.info.name == "session.status" for x in i.labels]  # type: ignore[union-attr]
    assert told[0] in status


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ((60.0, 100.0), "the baseline of 40 s is too short: record two to five "
         "minutes"),
        ((5000.0, 5300.0), "a baseline from 5000 s on is not in this recording, which "
         "lasts 330 s"),
    ],
)  # fmt: skip
def test_a_rest_that_tells_nothing(
    made: tuple[Path, Calibration], rest: tuple[float, float], message: str
) -> None:
    folder, _ = made
    result = CliRunner().invoke(
        app,
        ["calibrate", str(folder / "recording.xdf"), "--out", str(folder / "x.json"),
         "--baseline", *map(str, rest)],
    )  # fmt: skip
    assert not (folder / "x.json").exists()
    assert isinstance(result.exception, ValueError)
    assert str(result.exception) == message


def test_a_rest_that_is_too_poor(data: Path) -> None:
    import physio

    recording = physio.read(data / "empatica_e4" / "offwrist33s")
    plan = SessionConfig().plan(recording.inputs)
    with pytest.raises(ValueError, match=r"^the baseline of 3\d s is too short"):
        personal_calibration.calibrate(recording, plan, (0.0, 200.0))


def test_the_command_writes_a_small_file(made: tuple[Path, Calibration]) -> None:
    folder, found = made
    out = folder / "p1.json"
    result = CliRunner().invoke(
        app, ["calibrate", str(folder / "recording.xdf"), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "1 rating\n" in result.output
    assert Calibration.read(out).experts == found.experts
    assert out.stat().st_size < 4000
