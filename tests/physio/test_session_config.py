"""Session files, and what is chosen where they are silent."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import tomli_w

from physio.core.block import Channel, Origin, StreamInfo
from physio.core.recording import Recording
from physio.inference.estimator import Estimator
from physio.online.default_pipeline import unused_chains
from physio.online.session_config import (
    SessionConfig,
    SessionSettings,
    read,
    recorded,
)
from physio.online.shipped_chains import default_chains


def info(name: str, rate: int, *channels: Channel, site: str = "") -> StreamInfo:
    return StreamInfo(name, Fraction(rate), channels, site=site)


EDA = info("band.eda", 4, Channel("eda", "gsr", "uS"))
BVP = info("band.bvp", 64, Channel("bvp", "bio"))
ACC = info("band.acc", 32, *(Channel(f"acc.{a}", "misc", "g") for a in "xyz"))
HEAD = info("head.acc", 52, *(Channel(f"acc.{a}", "misc", "g") for a in "xyz"))
PPG = info("oximeter.ppg", 64, Channel("ir", "bio"), Channel("red", "bio"))
CYTON = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
EEG = info("head.eeg", 250, *(Channel(c, "eeg", "uV") for c in CYTON))
MUSE = info("muse.eeg", 256, *(Channel(c, "eeg", "uV") for c in ("TP9", "TP10")))
NOWHERE = info("box.eeg", 256, *(Channel(c, "eeg", "uV") for c in ("EXG1", "EXG2")))


def experts(*streams: StreamInfo) -> dict[str, tuple[str, ...]]:
    estimator = SessionConfig().plan(streams).estimator
    assert isinstance(estimator, Estimator)
    return {e.name: e.features for e in estimator.experts}


def simulated(*streams: StreamInfo) -> tuple[StreamInfo, ...]:
    return tuple(replace(s, origin=Origin.SIMULATED) for s in streams)


def test_chains_by_the_kind_of_channel() -> None:
    tables = default_chains((HEAD, EEG, EDA, BVP, ACC))
    streams = {name: table["stream"] for name, table in tables.items()}
    assert streams == {
        "eda": "band.eda", "heart": "band.bvp", "prv": "band.bvp",
        "motion": "band.acc",
        "motion2": "head.acc", "eeg": "head.eeg",
    }  # fmt: skip


def test_where_one_channel_is_read_the_first_is_picked() -> None:
    plan = SessionConfig().plan((PPG,))
    assert "SelectChannels(channels=('ir',))" in repr(plan.chains["heart"].stages[0])


def test_measured_weights_for_a_measured_wrist() -> None:
    assert experts(EDA, BVP, ACC) == {"wrist": ("eda", "heart")}
    assert experts(EDA) == {"wrist": ("eda",)}


def test_the_movement_of_a_headset_is_not_that_of_a_wrist() -> None:
    assert experts(HEAD) == {}
    assert experts(*simulated(HEAD, EDA)) == {"wrist-demo": ("eda",)}
    on_the_wrist = replace(HEAD, name="watch.acc", site="wrist")
    worn = replace(EDA, site="wrist")
    found = experts(*simulated(on_the_wrist, worn))
    assert found == {"wrist-demo": ("eda", "motion")}


def test_demo_weights_where_nothing_else_reads_the_features() -> None:
    assert set(experts(EDA, EEG)) == {"wrist", "eeg-demo"}
    assert set(experts(*simulated(EDA, EEG))) == {"wrist-demo", "eeg-demo"}
    assert experts(MUSE) == {"eeg-demo": ("eeg",)}
    assert experts(NOWHERE) == {}


def test_what_nobody_reads_is_said() -> None:
    plan = SessionConfig().plan((NOWHERE, EDA))
    assert unused_chains(plan) == [
        "eeg (box.eeg): no shipped or named weights read these features"
    ]


def test_a_resolved_file_says_it_all_and_gives_the_same_plan(tmp_path: Path) -> None:
    streams = (EDA, BVP, ACC, EEG)
    file = SessionConfig({"session": {"participant": "p1", "rate": 4}})
    plan = file.plan(streams, demo_weights=True)
    path = tmp_path / "session.toml"
    path.write_text(tomli_w.dumps(file.resolved(plan)), "utf-8")
    assert read(path).plan(streams) == plan


def test_of_a_session_that_only_recorded_estimates_can_be_had_later() -> None:
    bare = SessionConfig({"session": {"participant": "p1"}}).recording_only()
    config = json.dumps(bare.resolved(bare.plan((EDA,))))
    later = recorded(Recording({}, metadata={"config": config}))
    assert later is not None
    plan = later.plan((EDA,))
    assert [e.name for e in plan.estimator.experts] == ["wrist"]


OURS = {
    "recording": {"use": "physio.sinks.xdf:Xdf"},
    "table": {"use": "physio.sinks.parquet:ParquetTables"},
}
LSL = {"use": "physio.sinks.lsl:Lsl"}


def test_a_sink_that_a_file_names_comes_on_top_of_the_recording() -> None:
    assert SessionConfig().with_sinks(OURS).table("sinks") == OURS
    file = SessionConfig({"sinks": {"lsl": LSL}}).with_sinks(OURS)
    assert file.table("sinks") == {"lsl": LSL, **OURS}
    assert file.with_sinks(OURS) == file
    mine = {"use": OURS["recording"]["use"], "fallback": "/media/stick"}
    file = SessionConfig({"sinks": {"file": mine}}).with_sinks(OURS)
    assert file.table("sinks") == {"file": mine, "table": OURS["table"]}
    file = SessionConfig({"sinks": {"recording": LSL}}).with_sinks(OURS)
    assert file.table("sinks") == {
        "recording": LSL, "recording2": OURS["recording"], "table": OURS["table"],
    }  # fmt: skip


def test_only_a_word_of_its_own_leaves_the_recording_out() -> None:
    off = {"session": {"record": False}}
    file = SessionConfig({**off, "sinks": {"lsl": LSL}}).with_sinks(OURS)
    assert file.table("sinks") == {"lsl": LSL, "table": OURS["table"]}
    assert file.resolved(file.plan(()))["session"]["record"] is False
    with pytest.raises(ValueError, match=r"^f: session.record = false leaves no rec"):
        SessionConfig({**off, "sinks": OURS}, "f").with_sinks(OURS)
    with pytest.raises(ValueError, match=r"^f: session.record = false, but this only"):
        SessionConfig(off, "f").recording_only()
    with pytest.raises(ValueError, match=r"^f: session.record = 'no': "):
        SessionConfig({"session": {"record": "no"}}, "f").with_sinks(OURS)


HOSTILE = {
    "session": {"participant": "x", "rate": 8, "stall_timeout": 2.5, "realtime": True},
    "devices": {"band": {"use": "devices.simulated:Wristband"}},
    "chains": {"eda": {"stream": "band.eda", "stages": []}},
    "sinks": {
        "recording": {"use": "physio.sinks.xdf:Xdf", "filename": "../victim"},
        "away": {"use": "physio.sinks.xdf:Xdf", "folder": "/tmp/elsewhere"},
        "net": {"use": "physio.sinks.lsl:Lsl"},
    },
}


def carrying(config: str) -> Recording:
    return Recording({}, metadata={"config": config})


def test_of_a_recording_chains_and_estimator_are_read_and_nothing_else() -> None:
    file = recorded(carrying(json.dumps(HOSTILE)))
    assert file is not None
    assert set(file.tables) == {"session", "chains"}
    assert (file.table("devices"), file.table("sinks")) == ({}, {})
    assert file.session == SessionSettings(rate=Fraction(8), stall_timeout=2.5)
    assert list(file.plan((EDA,)).chains) == ["eda"]


DEEP = {"chains": {"a": {"stream": "s", "stages": json.loads("[" * 60 + "]" * 60)}}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[" * 100_000, "holds no tables of settings"),
        ("[1]", "holds no tables of settings"),
        ("not json", "holds no tables of settings"),
        ('{"session": 3}', "session must be a table"),
        (json.dumps(DEEP), "nested too deep"),
        ('{"chains": {"a": 3}}', "chains.a = 3 must be a table"),
        (
            '{"chains": {"a": {"stream": "s", "stages": '
            '[{"use": "physio.sinks.xdf:Xdf", "folder": "/tmp"}]}}}',
            "chains.a.stages[0]: use = 'physio.sinks.xdf:Xdf' is no stage",
        ),
        (
            '{"chains": {"a": {"stream": "s"}}, "estimator": {"use": "os:system"}}',
            "estimator: use = 'os:system' is no stage",
        ),
        (
            '{"chains": {"a": {"stream": "s"}}, '
            '"estimator": {"use": "physio.dspx:Stage"}}',
            "estimator: use = 'physio.dspx:Stage' is no stage",
        ),
    ],
    ids=range(9),
)
def test_what_a_recording_may_not_carry(config: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        recorded(carrying(config))
    assert str(caught.value).startswith("the recording's config")


def test_a_file_that_only_records_computes_nothing() -> None:
    file = SessionConfig({"chains": {"eda": {"stream": "band.eda", "stages": []}}})
    bare = file.recording_only()
    assert bare.plan((EDA,)).chains == {}
    assert list(bare.table("sinks")) == ["recording"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"session": {"rate": 0}},
            "f: session: rate must be above 0 Hz and at most 100 Hz, not 0",
        ),
        (
            {"session": {"rate": 1e9}},
            "f: session: rate must be above 0 Hz and at most 100 Hz, not 1e+09",
        ),
        ({"session": 3}, "f: session = 3 must be a table, [session]"),
        ({"devices": {"a": 1}}, "f: devices.a = 1 must be a table, [devices.a]"),
        (
            {"session": {"stall_timeout": 0}},
            "f: session: stall_timeout must be above 0 s, not 0.0",
        ),
    ],
)
def test_what_is_wrong(tables: dict, message: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        _ = SessionConfig(tables, "f").session
    assert str(caught.value) == message
