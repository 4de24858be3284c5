"""Tables of whole data sets: the live numbers, any engine, nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets import feature_table
from physio.datasets.base import Trial
from physio.features.actigraphy import Actigraphy
from physio.offline import extract as extraction
from physio.offline import windowing
from physio.offline.extract import Windows, extract
from physio.online.engine import run

WIDTH, HOP = 20.0, 5.0
SETTINGS = Windows(WIDTH, HOP)


@dataclass(frozen=True)
class Few:
    """Four participants with two trials of skin conductance and movement; a file each.

    Where a file says so, reading it fails or takes long.
    """

    root: Path

    name = "few"
    citation = "nobody"
    licence = "none"

    def trials(self) -> tuple[Trial, ...]:
        participants = sorted(p.stem for p in self.root.glob("S*.txt"))
        return tuple(Trial(p, "", str(k)) for p in participants for k in (1, 2))

    def load(self, trial: Trial) -> Recording:
        text = (self.root / f"{trial.subject}.txt").read_text()
        if text == "broken":
            raise ValueError(f"{trial.subject}.txt is broken")
        if text == "slow":
            (self.root.parent / f"began-{trial.subject}-{os.getpid()}").touch()
            time.sleep(0.3)
        return recording(trial)


def recording(trial: Trial, seconds: float = 100.0) -> Recording:
    rng = np.random.default_rng([ord(c) for c in trial.subject + trial.trial])
    eda = StreamInfo(
        "e4.eda", 4, (Channel("eda", "gsr", "uS"),), participant=trial.subject
    )
    acc = StreamInfo(
        "e4.acc", 32, tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
    )
    slow = 2 + np.cumsum(rng.normal(0, 0.02, (int(4 * seconds), 1)), axis=0)
    fast = rng.normal(0, 0.02, (int(32 * seconds), 3)) + np.eye(3)[2]
    said = event_stream("study.ratings", Channel("valence"), Channel("arousal"))
    what = event_stream("study.conditions", Channel("end", unit="s"))
    half = seconds / 2
    times, ends = np.array([0.0, half]), np.array([[half - 5], [seconds]])
    return Recording(
        {"e4.eda": (Block(eda, 0, 0.0, slow),), "e4.acc": (Block(acc, 0, 0.0, fast),)},
        {
            what.name: Events(what, seconds, times, ends, ("calm", "stress")),
            said.name: Events(
                said, seconds, ends[:, 0].copy(), np.array([[0.5, -0.5], [-0.5, 0.5]])
            ),
        },
        metadata={"begin": "0.0"},
    )


@pytest.fixture
def few(tmp_path: Path) -> Few:
    root = tmp_path / "few"
    root.mkdir()
    for participant in ("S1", "S2", "S3", "S10"):
        (root / f"{participant}.txt").write_text("fine")
    return Few(root)


def hashes(out: Path) -> dict[str, str]:
    files = sorted(p for p in out.rglob("*") if p.is_file())
    return {str(p.relative_to(out)): sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_row_a_window_with_its_place_labels_and_reasons(
    few: Few, tmp_path: Path
) -> None:
    done = extract(few, tmp_path / "out", SETTINGS)
    assert [(o.subject, o.status, o.rows) for o in done] == [
        ("S1", "done", 34),
        ("S10", "done", 34),
        ("S2", "done", 34),
        ("S3", "done", 34),
    ]
    table = feature_table.read(tmp_path / "out")
    assert list(table["subject"].unique()) == ["S1", "S2", "S3", "S10"]
    one = table[(table["subject"] == "S1") & (table["trial"] == "2")]
    # Windows begin every 5 s, of 100 s, and last 20: 17. Samples are the fastest
    # stream's, 32 a second.
    assert one["start_s"].tolist() == [5.0 * k for k in range(17)]
    assert one["start_sample"].tolist() == [160 * k for k in range(17)]
    assert (one["end_sample"] - one["start_sample"] == 640).all()
    assert (one["support_start_sample"] <= one["start_sample"]).all()
    # The first part lasts to 45 s, the second from 50 to 100.
    parts = ["calm"] * 6 + [""] * 4 + ["stress"] * 7
    assert one["label"].tolist() == parts
    assert one["segment"].tolist() == [0] * 6 + [-1] * 4 + [1] * 7
    said = {"calm": 0.5, "stress": -0.5, "": np.nan}
    np.testing.assert_array_equal(one["rating.valence"], [said[p] for p in parts])
    first = one.iloc[0]
    assert np.isnan(first["eda.scr_rate"])
    assert first["eda.scr_rate.missing"] == MissingReason.WARMING_UP
    assert 0 <= first["valid_fraction.eda"] < one.iloc[-1]["valid_fraction.eda"] <= 1
    names = feature_table.features(table)
    assert "eda.tonic" in names
    assert "motion.activity" in names
    assert not [
        n for n in names if n.startswith(("rating.", "valid_fraction.", "start_s"))
    ]


def test_features_are_those_of_a_live_session(few: Few, tmp_path: Path) -> None:
    extract(few, tmp_path / "out", SETTINGS)
    table = feature_table.read(tmp_path / "out")
    one = table[(table["subject"] == "S10") & (table["trial"] == "1")]
    whole = few.load(Trial("S10", "", "1"))
    plan = SETTINGS.file.plan(whole.inputs)
    live = [
        i
        for i in run(whole, plan)
        if isinstance(i, Block) and i.info.name == "features"
    ]
    ticks = np.concatenate([b.data for b in live])
    names = live[0].info.names
    spans = {c.name: c.memory for c in live[0].info.channels}
    for name in ("eda.tonic", "eda.scr_rate", "motion.activity"):
        column = ticks[:, names.index(name)]
        for k, value in enumerate(one[name]):
            first = min(int(np.ceil(spans[name] * 4)), 79)
            cells = column[20 * k + first : 20 * k + 80]
            # A mean of at most 80 numbers, in another order of adding: 80 roundings.
            if np.isfinite(value):
                assert value == pytest.approx(np.nanmean(cells), rel=80 * 2.3e-16)
            else:
                assert np.isfinite(cells).mean() < 0.5
        assert np.isfinite(one[name]).any() or name == "eda.scr_rate"


def test_losses_are_those_of_a_live_session(few: Few) -> None:
    whole = few.load(Trial("S1", "", "1"))
    (acc,) = whole.streams["e4.acc"]
    gone = replace(
        whole,
        streams={**whole.streams, "e4.acc": (acc.part(0, 800), acc.part(1600, 3200))},
    )
    made = extraction.of(gone, SETTINGS)
    lost = np.isnan(made["motion.activity"])
    assert lost.any()
    assert not lost.all()
    assert set(missing_reason(made["motion.activity"])[lost].tolist()) <= {
        int(MissingReason.NO_SIGNAL),
        int(MissingReason.WARMING_UP),
        int(MissingReason.TOO_SHORT),
    }
    skin = missing_reason(
        made["eda.tonic"]
    )  # its window of 30 s fills; then nothing is missing
    assert set(skin.tolist()) == {0, int(MissingReason.WARMING_UP)}
    assert np.all(np.diff((skin != 0).astype(int)) <= 0)


def test_what_came_before_changes_no_row(few: Few) -> None:
    """One engine reads all trials of a participant; each is as if it were alone."""
    windowed = extraction.Windowed(SETTINGS)
    first, second = few.trials()[:2]
    windowed.of(few.load(first), first)
    again = windowed.of(few.load(second), second)
    other = recording(second, seconds=90.0)
    short = windowed.of(replace(other, streams=dict([*other.streams.items()][:1])))
    alone = extraction.of(few.load(second), SETTINGS, second)
    assert list(again) == list(alone)
    for name, column in alone.items():
        assert again[name].tobytes() == column.tobytes() or (
            again[name].dtype == object and (again[name] == column).all()
        ), name
    assert not any(name.startswith("motion") for name in short)


def test_a_chain_that_fails_fails_its_participant(
    few: Few, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Actigraphy, state: object, x: np.ndarray) -> np.ndarray:
        if len(x):
            raise ZeroDivisionError("a bug")
        return step(self, state, x)

    step = Actigraphy.process
    monkeypatch.setattr(Actigraphy, "process", broken)
    with pytest.raises(
        ValueError, match=r"^chain motion stopped: ZeroDivisionError: a bug$"
    ):
        extraction.of(few.load(few.trials()[0]), SETTINGS)


def test_a_mean_needs_its_share_of_answers() -> None:
    info = StreamInfo("features", 4, (Channel("a.x"), Channel("a.late", memory=1.0)))
    data = np.arange(16.0).reshape(8, 2)
    data[:3, 0] = MissingReason.POOR_QUALITY.nan
    ticks = Block(info, 0, 0.0, data)
    grid = windowing.WindowGrid.of(ticks, 1.0, 1.0)
    made = windowing.values(ticks, grid, 0.5)
    # Of the first 4 ticks one is known: 6; of the last, 8 10 12 14. A value that
    # rests on as much as a window is that of the last tick.
    assert made["a.x"][1] == 11.0
    assert made["a.x.missing"].tolist() == [int(MissingReason.POOR_QUALITY), 0]
    assert made["a.late"].tolist() == [7.0, 15.0]
    assert made["valid_fraction.a"].tolist() == [0.625, 1.0]
    assert windowing.values(ticks, grid, 0.25)["a.x"].tolist() == [6.0, 11.0]


def test_windows_must_be_whole_ticks(few: Few) -> None:
    message = (
        "^windows of 1.1 s every 5 s are no whole numbers of ticks at 4 Hz: choose "
        "multiples of 0.25 s, or another rate$"
    )
    with pytest.raises(ValueError, match=message):
        extraction.of(few.load(few.trials()[0]), Windows(1.1, 5.0))


@pytest.mark.parametrize(
    "changed",
    [
        *("io/xdf/reader.py", "quality/range_checks.py", "inference/estimator.py"),
        *("core/aligner.py", "dsp/iir.py", "features/eda/scl_scr.py", "config.py"),
        *("datasets/base.py", "models/fusion.py", "online/engine.py"),
        *("offline/windowing.py", "assets/chains.toml"),
    ],
)
def test_a_changed_line_of_code_refuses_what_is_there(
    few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    library = Path(extraction.__file__).parents[1]
    copy = tmp_path / "physio"
    ignored = shutil.ignore_patterns("__pycache__", "weights", "*.so")
    shutil.copytree(library, copy, ignore=ignored)
    assert extraction.code_fingerprint(copy) == extraction.code_fingerprint(library)
    one = replace(few, root=few.root)
    for participant in ("S2", "S3", "S10"):
        (few.root / f"{participant}.txt").unlink()
    mine = extraction.code_fingerprint
    monkeypatch.setattr(extraction, "source_fingerprint", lambda: mine(copy))
    out = tmp_path / "out"
    assert [o.status for o in extract(one, out, SETTINGS)] == ["done"]
    assert [o.status for o in extract(one, out, SETTINGS)] == ["kept"]
    path = copy / changed
    assert path.is_file()
    path.write_text(path.read_text("utf-8") + "# another line\n", "utf-8")
    assert [o.status for o in extract(one, out, SETTINGS)] == ["done"]


def test_a_package_that_moved_is_not_forgotten(tmp_path: Path) -> None:
    library = Path(extraction.__file__).parents[1]
    copy = tmp_path / "physio"
    shutil.copytree(
        library, copy, ignore=shutil.ignore_patterns("__pycache__", "weights")
    )
    (copy / "quality").rename(copy / "signal_quality")
    with pytest.raises(
        FileNotFoundError, match=r"^there is no package .*quality, but "
    ):
        extraction.code_fingerprint(copy)


def test_what_is_there_and_unchanged_stays(few: Few, tmp_path: Path) -> None:
    out = tmp_path / "out"
    extract(few, out, SETTINGS)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    (few.root / "S2.txt").write_text("fine too")
    feature_table.path_of(out, "S3").write_bytes(b"PAR1 cut off")
    again = extract(few, out, SETTINGS)
    assert [o.status for o in again] == ["kept", "kept", "done", "done"]
    after = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    moved = {p.parent.name for p in after if after[p] != before[p]}
    assert moved == {"subject=S2", "subject=S3"}
    other = extract(few, out, replace(SETTINGS, step=10.0))
    assert [o.status for o in other] == ["done"] * 4


def test_one_bad_participant_does_not_stop_the_others(few: Few, tmp_path: Path) -> None:
    (few.root / "S10.txt").write_text("broken")
    out = extract(few, tmp_path / "out", SETTINGS)
    assert [(o.subject, o.status, o.error) for o in out] == [
        ("S1", "done", ""),
        ("S10", "failed", "ValueError: S10.txt is broken"),
        ("S2", "done", ""),
        ("S3", "done", ""),
    ]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_file_says_where_it_comes_from(few: Few, tmp_path: Path) -> None:
    extract(few, tmp_path / "out", SETTINGS)
    told = feature_table.about(feature_table.path_of(tmp_path / "out", "S1"))
    assert told["sources"] == {"S1.txt": sha256(b"fine").hexdigest()}
    assert told["source"] == {"stream": "e4.acc", "rate": "32"}
    assert (told["dataset"], told["origin"]) == ("few", "measured")
    stages = told["config"]["chains"]["motion"]["stages"]
    assert stages[-1]["use"] == "physio.features.actigraphy:Actigraphy"
    assert {"numpy", "physio-affect", "numba"} <= set(told["versions"])


def test_two_processes_give_the_same_bytes(few: Few, tmp_path: Path) -> None:
    extract(few, tmp_path / "serial", SETTINGS)
    extract(few, tmp_path / "loky", SETTINGS, backend="loky:2")
    assert hashes(tmp_path / "loky") == hashes(tmp_path / "serial")
    assert len(hashes(tmp_path / "serial")) == 4


# Dask's own sockets and threads are closed when Python comes to it.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(
    few: Few, tmp_path: Path
) -> None:
    from distributed import LocalCluster

    for participant in ("S1", "S2", "S3", "S10"):
        (few.root / f"{participant}.txt").write_text("slow")
    extract(few, tmp_path / "serial", SETTINGS)
    for began in few.root.parent.glob("began-*"):
        began.unlink()
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for began in few.root.parent.glob("began-*"):
                pid = int(began.name.rpartition("-")[2])
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.02)

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
    ) as cluster:
        killer = threading.Thread(target=kill)
        killer.start()
        address = cluster.scheduler_address
        done = extract(few, tmp_path / "dask", SETTINGS, backend=f"dask:{address}")
        killer.join()
    assert killed
    assert killed[0] != os.getpid()
    assert [o.status for o in done] == ["done"] * 4
    pids = {p.name.rpartition("-")[2] for p in few.root.parent.glob("began-*")}
    assert len(pids) >= 2
    assert hashes(tmp_path / "dask") == hashes(tmp_path / "serial")


def test_killed_midway_it_goes_on(few: Few, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for participant in ("S2", "S3"):
        (few.root / f"{participant}.txt").write_text("slow")
    code = (
        "from pathlib import Path\n"
        "from test_extract import Few, SETTINGS\n"
        "from physio.offline.extract import extract\n"
        f"extract(Few(Path({str(few.root)!r})), Path({str(out)!r}), SETTINGS)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    until = time.monotonic() + 60
    while not list(few.root.parent.glob("began-S2-*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert sorted(p.parent.name for p in out.rglob("windows.parquet")) == [
        "subject=S1",
        "subject=S10",
    ]
    feature_table.path_of(out, "S2").parent.mkdir()
    (feature_table.path_of(out, "S2").parent / "windows.parquet.123.part").write_bytes(
        b"x"
    )
    again = extract(few, out, SETTINGS)
    assert [o.status for o in again] == ["kept", "kept", "done", "done"]
    extract(few, tmp_path / "whole", SETTINGS)
    assert hashes(out) == hashes(tmp_path / "whole")


@pytest.mark.parametrize("engine", ["loky", "loky:0", "dask:local:two", "spark:2"])
def test_an_unknown_engine_is_refused(few: Few, tmp_path: Path, engine: str) -> None:
    with pytest.raises(ValueError, match=r"^(there is no engine|dask:local:two names)"):
        extract(few, tmp_path / "out", SETTINGS, backend=engine)


def test_no_table_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no table .*nowhere$"):
        feature_table.read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"it is no table of features, as `physio"):
        feature_table.read(tmp_path)
    with pytest.raises(ValueError, match=r"^'a/b' cannot be a subject's code"):
        feature_table.path_of(tmp_path, "a/b")
