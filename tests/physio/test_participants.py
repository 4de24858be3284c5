"""Several participants in one session, from the sensor to the file."""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

import physio
from devices.fault_injection import Fault, FaultInjector
from devices.simulated import Headset, Wristband
from physio.cli import app
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, Item, single_event
from physio.core.protocols import FastClock
from physio.core.recording import computed
from physio.core.stage import Chain, Stage, State
from physio.io import xdf
from physio.io.anonymize import anonymize
from physio.online.chain_runner import ChainConfig
from physio.online.default_pipeline import unused_chains
from physio.online.engine import Engine, PipelineConfig, run
from physio.online.session import MARKERS, Session
from physio.online.session_config import SessionConfig
from physio.online.shipped_chains import default_chains
from physio.sinks.jsonl import JsonLines
from physio.sinks.parquet import ParquetTables
from physio.sinks.xdf import Xdf

BEGIN = 1000.0
CONFIG = Path(__file__).parents[2] / "configs" / "dyad.toml"


class Dyad(NamedTuple):
    folder: Path
    items: list[Item]
    plan: PipelineConfig


def live(folder: Path) -> tuple[list[Item], PipelineConfig]:
    """Run two participants for 20 s, one of whose bands is away for a while."""
    clock = FastClock(BEGIN)
    bands = [
        Wristband(
            name=f"band{i}", participant=f"p{i}", seed=i, clock=clock, seconds=20.0
        )
        for i in (1, 2)
    ]
    away = FaultInjector(bands[1], (Fault("unplug", 8.0, 3.0),), name="band2",
                  participant="p2",                  clock=clock)  # fmt: skip
    head = Headset(
        name="head", participant="p1", clock=clock, seconds=20.0, ground_truth=False
    )
    about = {"begin": repr(BEGIN)}
    sinks = [Xdf(folder, about, wait=True), ParquetTables(folder), JsonLines(folder)]
    plan = SessionConfig().plan
    with Session(plan, [bands[0], away, head], sinks, clock, poll=0.1) as session:
        items = list(session)
    return items, session.plan


@pytest.fixture(scope="module")
def dyad(tmp_path_factory: pytest.TempPathFactory) -> Dyad:
    folder = tmp_path_factory.mktemp("dyad")
    return Dyad(folder, *live(folder))


def column(items: list[Item], stream: str, name: str) -> Array:
    found = [i for i in items if isinstance(i, Block) and i.info.name == stream]
    return np.concatenate([b.column(name) for b in found])


def test_each_participant_has_features_estimates_and_files(dyad: Dyad) -> None:
    tmp_path, items, plan = dyad
    made = {i.info.name: i.info for i in items if computed(i.info.name)}
    assert {n: i.participant for n, i in made.items()} == {
        "features.p1": "p1", "estimates.p1": "p1",
        "features.p2": "p2", "estimates.p2": "p2",
    }  # fmt: skip
    assert plan.participants == ("p1", "p2")
    assert any(n.startswith("eeg.") for n in made["features.p1"].names)
    assert not any(n.startswith("eeg.") for n in made["features.p2"].names)
    assert {"eda", "heart", "motion"} <= {
        n.partition(".")[0] for n in made["features.p2"].names
    }
    # While one is away the other's estimates go on, and are other numbers.
    one, two = (
        column(items, f"features.{p}", "motion.window_start") for p in ("p1", "p2")
    )
    assert np.isfinite(one[-4:]).all()
    assert np.isnan(two).sum() > np.isnan(one).sum() + 2
    assert {p.name for p in tmp_path.iterdir()} >= {
        "features.p1.parquet", "estimates.p1.parquet",
        "features.p2.parquet", "estimates.p2.parquet",
    }  # fmt: skip
    lines = (tmp_path / "estimates.jsonl").read_text("utf-8").splitlines()
    whose = {(x["stream"], x["participant"]) for x in map(json.loads, lines)}
    assert whose == {("estimates.p1", "p1"), ("estimates.p2", "p2")}


def test_the_file_repeats_what_was_computed_of_each(dyad: Dyad) -> None:
    tmp_path, items, plan = dyad
    recording = xdf.read(tmp_path / "recording.xdf")
    again = list(run(recording, plan))
    for stream in ("features.p1", "estimates.p1", "features.p2", "estimates.p2"):
        name = next(i.info.names[0] for i in items if i.info.name == stream)
        was, now = column(items, stream, name), column(again, stream, name)
        assert was.tobytes() == now.tobytes()
    arousal = physio.estimate(recording, participant="p2").column("arousal")
    assert arousal.tobytes() == column(items, "estimates.p2", "arousal").tobytes()
    assert len(physio.compute_features(recording, participant="p1"))
    with pytest.raises(ValueError, match="several participants") as error:
        physio.estimate(recording)
    assert (
        str(error.value)
        == "this recording is of several participants: say whose, of p1, p2"
    )


def test_alone_each_has_the_same_numbers_as_together(dyad: Dyad) -> None:
    tmp_path, items, plan = dyad
    recording = xdf.read(tmp_path / "recording.xdf")
    own = replace(plan.of("p1"), estimator=plan.estimators["p1"])
    alone = list(run(recording, own))
    for what in ("features", "estimates"):
        name = next(i.info.names[0] for i in alone if i.info.name == what)
        together = column(items, f"{what}.p1", name)
        assert column(alone, what, name).tobytes() == together.tobytes()


def test_the_resolved_file_is_read_again_as_it_was(dyad: Dyad) -> None:
    tmp_path, _, plan = dyad
    recording = xdf.read(tmp_path / "recording.xdf")
    tables = SessionConfig().resolved(plan)
    assert set(tables["chains"]) == set(tables["estimator"]) == {"p1", "p2"}
    again = SessionConfig(tables).plan(recording.inputs)
    assert again == plan


def test_what_nobody_wears_is_not_read() -> None:
    eda = StreamInfo(
        "a.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant="p1"
    )
    streams = [eda, replace(eda, name="b.eda", participant="p2"),
               replace(eda, name="room.eda", participant="")]  # fmt: skip
    assert list(default_chains(streams)) == ["p1.eda", "p2.eda"]
    assert list(default_chains([eda, streams[2]])) == ["eda", "eda2"]
    plan = SessionConfig().plan(streams)
    assert all(told.startswith(("p1: ", "p2: ")) for told in unused_chains(plan))


def test_a_chain_about_one_that_reads_another_is_refused() -> None:
    eda = StreamInfo(
        "b.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant="p2"
    )
    with pytest.raises(ValueError, match="is worn by") as error:
        Engine(
            PipelineConfig({"p1.eda": ChainConfig("b.eda", participant="p1")}),
            [eda],
            0.0,
        )
    assert str(error.value) == (
        "chain 'p1.eda' is about 'p1', but 'b.eda' is worn by 'p2'"
    )


@pytest.mark.parametrize("name", ["features", "estimates", "session"])
def test_a_device_cannot_be_called_as_what_is_computed(name: str) -> None:
    with pytest.raises(ValueError, match="no device may be called"):
        SessionConfig({"devices": {name: {"use": "devices.simulated:Wristband"}}})


@dataclass(frozen=True)
class Listening(Stage):
    """Says how many events it has heard; fails at the fifth row if told to."""

    fails: bool = False

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info.with_channels(info.rate, Channel("heard"))

    def initial_state(self, _info: StreamInfo) -> State:
        return {"n": 0.0, "rows": 0}

    def process(self, state: Any, x: Array) -> Array:
        state["rows"] += len(x)
        if self.fails and state["rows"] >= 5:
            raise RuntimeError("no more")
        return np.full((len(x), 1), state["n"])

    def on_events(self, state: Any, events: Events) -> None:
        state["n"] += len(events)


def test_an_event_about_one_participant_is_heard_by_their_estimator_alone() -> None:
    eda = StreamInfo(
        "a.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), participant="p1"
    )
    other = replace(eda, name="b.eda", participant="p2")
    chains = {
        "p1.eda": ChainConfig("a.eda", participant="p1"),
        "p2.eda": ChainConfig("b.eda", participant="p2"),
    }
    engine = Engine(PipelineConfig(chains, estimator=Listening()), [eda, other], 0.0)
    engine.push(single_event(MARKERS, 0.1, "all"))
    engine.push(single_event(replace(MARKERS, participant="p2"), 0.2, "rest"))
    out = [
        o
        for info in (eda, other)
        for o in engine.push(Block(info, 0, 0.0, np.ones((8, 1))))
    ]
    assert column(out, "estimates.p1", "heard").max() == 1
    assert column(out, "estimates.p2", "heard").max() == 2


def test_a_rating_says_whose_it_is(tmp_path: Path) -> None:
    clock = FastClock(BEGIN)
    bands = [
        Wristband(name=n, participant=p, clock=clock, seconds=5.0, ground_truth=False)
        for n, p in (("a", "p1"), ("b", "p2"))
    ]
    chains = {
        "p1.air": ChainConfig("a.eda", participant="p1"),
        "p2.air": ChainConfig("b.eda", participant="p2"),
    }
    plan = PipelineConfig(chains, estimator=Listening())
    with Session(plan, bands, [Xdf(tmp_path, wait=True)], clock, poll=0.1) as session:
        session.rate(0.5, participant="p2")
        session.mark("both")
        for wrong, why in (("", "a rating is one participant's: say whose, p1 or p2"),
                           ("p3", "nobody here is 'p3': there is p1, p2")):  # fmt: skip
            with pytest.raises(ValueError, match=r".*") as error:
                session.rate(0.5, participant=wrong)
            assert str(error.value) == why
        items = list(session)
    assert column(items, "estimates.p1", "heard").max() == 1
    assert column(items, "estimates.p2", "heard").max() == 2
    got = xdf.read(tmp_path / "recording.xdf")
    assert got.events["session.ratings.p2"].info.participant == "p2"
    again = list(run(got, plan))
    assert column(again, "estimates.p2", "heard").max() == 2
    kept = anonymize(got).events
    assert kept["session.ratings.anon2"].info.participant == "anon2"


def test_an_estimator_that_fails_is_named_and_all_else_goes_on(tmp_path: Path) -> None:
    clock = FastClock(BEGIN)
    bands = [
        Wristband(name=n, participant=p, clock=clock, seconds=10.0, ground_truth=False)
        for n, p in (("a", "p1"), ("b", "p2"))
    ]
    chains = {
        "p1.air": ChainConfig("a.eda", participant="p1"),
        "p2.air": ChainConfig("b.eda", participant="p2"),
    }
    plan = PipelineConfig(
        chains, estimators={"p1": Listening(fails=True), "p2": Chain()}
    )
    sink = Xdf(tmp_path, wait=True)
    with Session(plan, bands, [sink], clock, poll=0.1) as session:
        items = list(session)
    assert session.faults == ["the estimator of p1 stopped: RuntimeError: no more"]
    assert len(column(items, "features.p1", "air.eda")) > 30
    assert len(column(items, "estimates.p2", "air.eda")) > 30
    got = xdf.read(tmp_path / "recording.xdf")
    assert sum(map(len, got.streams["a.bvp"])) == session.health["a.bvp"].samples > 600


def test_anonymised_each_stays_apart(dyad: Dyad) -> None:
    got = anonymize(xdf.read(dyad.folder / "recording.xdf"))
    whose = {n: b[0].info.participant for n, b in got.streams.items() if computed(n)}
    assert whose == {"features.anon1": "anon1", "estimates.anon1": "anon1",
                     "features.anon2": "anon2", "estimates.anon2": "anon2"}  # fmt: skip


def test_a_dyad_from_the_command_line(dyad: Dyad, tmp_path: Path) -> None:
    import tomllib

    tables = tomllib.loads(CONFIG.read_text("utf-8"))
    participants = {device["participant"] for device in tables["devices"].values()}
    assert participants == {"p1", "p2"}
    out = tmp_path / "again"
    line = ["replay", str(dyad.folder / "recording.xdf"), "--fast", "--out", str(out),
            "--json", str(tmp_path / "a.json")]  # fmt: skip
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert set(figures["participants"]) == {"p1", "p2"}
    assert "p2 arousal: " in done.output
    assert {p.name for p in out.iterdir()} >= {"overview.p1.png", "overview.p2.png"}
    line = ["export", str(out / "recording.xdf"), str(tmp_path / "bids")]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    derived = tmp_path / "bids" / "derivatives" / "physio-affect"
    found = {p.relative_to(derived).parts[0] for p in derived.rglob("*.tsv.gz")}
    assert found == {"sub-p1", "sub-p2"}
