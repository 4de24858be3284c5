"""Recordings that were written to do harm: nothing leaves the folder that was given."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.io import xdf

EDA = (Channel("eda", "gsr", "uS"),)


def written(path: Path, recording: Recording) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    xdf.write(path, recording)
    return path


def skin(name: str = "band.eda", participant: str = "", seconds: int = 20) -> Block:
    info = StreamInfo(name, Fraction(4), EDA, participant=participant)
    rng = np.random.default_rng(3)
    return Block(info, 0, 0.0, 3 + 0.1 * rng.standard_normal((4 * seconds, 1)))


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a folder, and what it holds."""
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.mark.parametrize(
    "sink",
    [
        {"use": "physio.sinks.xdf:Xdf", "filename": "../victim.txt"},
        {"use": "physio.sinks.xdf:Xdf", "folder": "ELSEWHERE"},
        {"use": "physio.sinks.parquet:ParquetTables", "folder": "ELSEWHERE"},
        {"use": "physio.sinks.jsonl:JsonLines", "folder": "ELSEWHERE"},
        {"use": "physio.view.dashboard:Dashboard", "address": "0.0.0.0"},
        {"use": "physio.sinks.lsl:Lsl"},
    ],
    ids=range(6),
)
def test_a_replay_takes_no_sink_from_the_recording(
    sink: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "s" / "victim.txt").parent.mkdir()
    (tmp_path / "s" / "victim.txt").write_text("precious", "utf-8")
    sink = {k: v.replace("ELSEWHERE", str(elsewhere)) for k, v in sink.items()}
    stages = [{"use": "physio.features.eda.scl_scr:EdaFeatures"}]
    config = {
        "session": {"rate": 2, "participant": "p1"},
        "chains": {"eda": {"stream": "band.eda", "stages": stages}},
        "devices": {"band": {"use": "devices.simulated:Wristband"}},
        "sinks": {"mine": sink},
    }
    about = {"config": json.dumps(config), "participant": "p1", "consent": "form-2"}
    recording = Recording({"band.eda": (skin(),)}, metadata=about)
    source = written(tmp_path / "in" / "recording.xdf", recording)
    before = tree(tmp_path)
    done = run("replay", source, "--fast", "--out", tmp_path / "s" / "out")
    assert done.exit_code == 0, done.output
    after = tree(tmp_path)
    assert {k: after[k] for k in before} == before
    fresh = sorted(set(after) - set(before))
    assert all(name.startswith("s/out/") for name in fresh)
    assert {"s/out/recording.xdf", "s/out/features.parquet"} <= set(fresh)
    text = after["s/out/session.toml"].decode()
    assert "filename" not in text
    assert "elsewhere" not in text
    assert "devices.simulated" not in text
    assert 'participant = "p1"' in text
    assert "rate = 2" in text


NAMES = (
    "../../x", "/abs", "a\\b", "a_b", "a/b", "C:x", "..", "x" * 300, "CON",
    "line\nbreak", "Eda", "eda",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet", "edf"])
def test_an_export_stays_in_its_folder(kind: str, tmp_path: Path) -> None:
    if kind == "edf":
        pytest.importorskip("edfio")
    away = tmp_path / "away"
    names = (*NAMES, str(away))
    streams = {name: (skin(name),) for name in names}
    source = written(tmp_path / "in" / "r.xdf", Recording(streams))
    out = tmp_path / "s" / "out"
    done = run("export", source, out, "--format", kind)
    assert done.exit_code == 0, done.output
    files = [name for name in tree(tmp_path) if name != "in/r.xdf"]
    assert all(name.startswith("s/out/") for name in files)
    assert all(name.count("/") == 2 for name in files)
    if kind != "edf":  # tables have a description beside them
        files.remove("s/out/recording.json")
    assert len(files) == len(names)
    assert len({name.casefold() for name in files}) == len(names)
    assert f"s/out/a_b.{kind}" in files
    assert not away.exists()


def test_bids_tells_streams_and_participants_apart_by_their_labels(
    tmp_path: Path,
) -> None:
    names = ("a.b", "ab", "../ab", "", "x" * 400)
    streams = {name: (skin(name, "p1"),) for name in names}
    streams |= {"other": (skin("other", "p-1"),)}
    source = written(tmp_path / "in" / "r.xdf", Recording(streams))
    done = run("export", source, tmp_path / "s" / "out")
    assert done.exit_code == 0, done.output
    files = [name for name in tree(tmp_path) if name.endswith("_physio.tsv.gz")]
    assert all(name.startswith("s/out/sub-p1") for name in files)
    assert len(files) == len(set(files)) == 6
    assert sum("sub-p12" in name for name in files) == 1


def test_tables_and_pictures_of_hostile_participants_stay_in_the_folder(
    tmp_path: Path,
) -> None:
    participants = ("../../p", "/abs", "p1")
    streams = {f"b{i}.eda": (skin(f"b{i}.eda", p),) for i, p in enumerate(participants)}
    source = written(tmp_path / "in" / "r.xdf", Recording(streams))
    done = run("replay", source, "--fast", "--out", tmp_path / "a" / "b" / "out")
    assert done.exit_code == 0, done.output
    files = [name for name in tree(tmp_path) if name != "in/r.xdf"]
    assert all(name.startswith("a/b/out/") for name in files)
    for what in ("features", "estimates"):
        assert f"a/b/out/{what}.p1.parquet" in files
        assert sum(f"/{what}." in name for name in files) == 3
