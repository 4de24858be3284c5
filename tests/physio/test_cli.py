"""The command line, as a participant or a script meets it."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from physio.io import xdf
from physio.online.demo_session import truth_agreement, truth_sentences
from tables import table

ROOT = Path(__file__).resolve().parents[2]


def physio(*args: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "physio.cli", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "MPLBACKEND": "Agg", "COLUMNS": "200", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


MORE = re.compile(r"(.*?)(?: \(see (docs/[\w-]+\.md)\))?\n")


def refused(done: subprocess.CompletedProcess, sentence: str) -> None:
    said, more = MORE.fullmatch(done.stderr).groups()
    assert (done.returncode, said) == (2, f"physio: {sentence}")
    assert not more or (ROOT / more).is_file()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "d"
    told = folder.with_name("d.json")
    done = physio("demo", "--seconds", 40, "--fast", "--out", folder, "--json", told)
    assert done.returncode == 0, done.stderr
    return folder


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['physio', '--help']\n"
        "import physio.cli\n"
        "try: physio.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'mne', 'scipy', 'pandas', 'matplotlib', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    assert "replay" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "live",
        "record",
        "replay",
        "mark",
        "delete",
        "devices",
        "doctor",
        "train",
    ],
)
def test_every_command_has_an_example(command: str) -> None:
    done = physio(command, "--help")
    assert done.returncode == 0
    assert f"physio {command}" in done.stdout.replace("\n", " ")


def test_the_demo_compares_its_estimates_with_the_truth(demo: Path) -> None:
    rows = truth_agreement(xdf.read(demo / "recording.xdf"))
    sentences = truth_sentences(demo)
    assert [row.dimension for row in rows] == ["valence", "arousal", "dominance"]
    for row, sentence in zip(rows, sentences, strict=False):
        assert 0 <= row.inside <= 1
        assert sentence.startswith(f"{row.dimension}: true value inside the 80 %")
        assert f"{100 * row.inside:.0f} % of the time" in sentence
    assert "Intervals hold self-reports" in sentences[3]
    assert "Dominance follows from the conditions" in sentences[4]


def test_a_demo_that_is_stopped_early_is_compared_after_its_baseline(
    demo: Path,
) -> None:
    whole = xdf.read(demo / "recording.xdf")  # 8 s of it are the baseline
    streams = {
        name: tuple(b for b in blocks if b.complete_until <= whole.begin + 8)
        for name, blocks in whole.streams.items()
    }
    rows = truth_agreement(replace(whole, streams=streams))
    assert len(rows) == 3
    assert all(np.isnan(row.inside) for row in rows)


def test_the_demo_leaves_a_whole_session(demo: Path) -> None:
    names = {p.name for p in demo.iterdir()}
    assert names == {
        "recording.xdf", "features.parquet", "estimates.parquet", "overview.png",
        "session.json", "session.toml",
    }  # fmt: skip
    figures = json.loads(demo.with_name("d.json").read_text("utf-8"))
    assert set(figures) >= {
        "streams", "seconds_of_data", "seconds_taken", "estimates", "latency_ms",
    }  # fmt: skip
    streams = {s["name"]: s for s in figures["streams"]}
    eeg = streams["headset.eeg"]
    assert (eeg["rate"], eeg["samples"], eeg["lost"]) == (250.0, 10000, 0)
    assert len(eeg["channels"]) == 8
    assert eeg["faults"] == eeg["notes"] == []
    (band,) = streams["band.eda"]["computed"]
    assert (band["chain"], band["column"], band["unit"]) == ("eda", "tonic", "uS")
    assert band["share"] + sum(band["missing"].values()) == pytest.approx(1, abs=1e-3)
    truth = "the ground truth of a simulation is not an input"
    assert streams["headset.truth"]["notes"] == [truth]
    table = pd.read_parquet(demo / "estimates.parquet")
    assert len(table) == figures["estimates"]["rows"]
    for name, count in figures["estimates"]["finite"].items():
        assert np.isfinite(table[name]).sum() == count > 0
        assert set(table.loc[table[name].isna(), f"{name}.missing"]) <= {2}
    recording = xdf.read(demo / "recording.xdf")
    assert recording.metadata["ended"].startswith("completed")
    assert {info.origin.value for info in recording.infos if info.channels} <= {
        "simulated", "demo", "measured",
    }  # fmt: skip
    assert recording.streams["headset.eeg"][0].info.origin == "simulated"


def test_a_recording_of_ours_replays_to_the_same_numbers(
    demo: Path, tmp_path: Path
) -> None:
    done = physio("replay", demo / "recording.xdf", "--fast", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    for name in ("features", "estimates"):
        live = pd.read_parquet(demo / f"{name}.parquet")
        again = pd.read_parquet(tmp_path / "r" / f"{name}.parquet")
        pd.testing.assert_frame_equal(again, live, check_exact=True)


def test_nothing_is_overwritten_and_delete_deletes(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    args = ("replay", demo / "recording.xdf", "--fast", "--out", out)
    assert physio(*args).returncode == 0
    assert physio(*args).returncode == 0
    assert (tmp_path / "s_old1" / "recording.xdf").is_file()
    done = physio("delete", out, "--yes")
    assert done.returncode == 0
    assert not out.exists()
    refused(physio("delete", tmp_path, "--yes"), (
        f"{tmp_path} is not a session: it has no file session.json"
    ))  # fmt: skip


def test_ctrl_c_ends_a_session_with_all_of_it_readable(tmp_path: Path) -> None:
    out = tmp_path / "s"
    running = subprocess.Popen(
        [sys.executable, "-m", "physio.cli", "live", "configs/simulated.toml",
         "--out", str(out), "--json", str(tmp_path / "j.json")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    recording = out / "recording.xdf"
    for _ in range(600):
        if recording.is_file() and recording.stat().st_size > 200_000:
            break
        time.sleep(0.1)
    marked = physio("mark", "a word", "--session", out)
    time.sleep(0.5)
    running.send_signal(2)
    _, errors = running.communicate(timeout=60)
    assert (marked.returncode, running.returncode, errors) == (0, 0, "")
    kept = xdf.read(recording)
    assert kept.metadata["ended"] == "interrupted by Ctrl-C"
    assert kept.events["session.markers"].labels == ("a word",)
    figures = json.loads((tmp_path / "j.json").read_text("utf-8"))
    for stream in (s for s in figures["streams"] if s["rate"]):
        blocks = kept.streams[stream["name"]]
        assert sum(map(len, blocks)) == stream["samples"] > 0


CONFIG = """
[session]
participant = "p1"
consent = "c1"
[devices.band]
use = "devices.simulated:Wristband"
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            CONFIG + "sead = 3\n",
            "s.toml: devices.band: Wristband has no setting 'sead'; it has ",
        ),
        (
            CONFIG + 'seed = "three"\n',
            "s.toml: devices.band.seed = 'three': input should be a valid integer",
        ),
        ("[sesion]\n", "s.toml: a session file has no setting 'sesion'; it has "),
        (
            CONFIG.replace('"p1"', '"Jane Doe"'),
            "participant = 'Jane Doe' is not a code: use up to 32 letters, ",
        ),
        (
            CONFIG + '[chains.eeg]\nstream = "band.eeg"\n',
            "chains.eeg reads 'band.eeg', but no device sends it; there is ",
        ),
        (
            CONFIG.replace("devices.simulated:Wristband", "evil.module:Thing"),
            "s.toml: devices.band: 'evil' is outside physio, devices",
        ),
        (
            CONFIG.replace("devices.simulated:Wristband", "devices.lsl:Inlet")
            + 'source_id = "nobody"\ntimeout = 0.5\n',
            "",
        ),
        (
            CONFIG.replace("devices.simulated:Wristband", "devices.board:Board")
            + 'board = "cyton"\nserial_port = "/dev/nothing"\n',
            "no board 'cyton' answers",
        ),
    ],
)  # fmt: skip
def test_a_session_file_that_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "s.toml").write_text(text, "utf-8")
    done = physio("live", tmp_path / "s.toml", "--seconds", 1, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    told = [x for x in done.stderr.splitlines() if x.startswith("physio: ")]
    assert len(told) == 1
    assert sentence in told[0]
    left = list((tmp_path / "sessions").glob("*/recording.xdf"))
    assert left == []


def test_an_estimator_that_cannot_start_is_given_up_alone(tmp_path: Path) -> None:
    device = CONFIG.replace("devices.simulated:Wristband", "devices.simulated:Headset")
    text = (
        'channels = ["Fz", "Cz"]\n[estimator]\n'
        'use = "physio.inference.estimator:Estimator"\n'
        'experts = [{ weights = "wrist" }]\n'
    )
    (tmp_path / "s.toml").write_text(device + text, "utf-8")
    args = ("live", "s.toml", "--seconds", 1, "--out", "s")
    done = physio(*args, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "fault: the estimator did not start: ValueError: the weights" in done.stdout
    assert (tmp_path / "s" / "recording.xdf").is_file()
    (tmp_path / "s.toml").write_text(device + text.replace("wrist", "wirst"), "utf-8")
    done = physio(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert "there are no weights 'wirst': give the name of shipped" in done.stderr


def test_files_that_are_wrong(tmp_path: Path, demo: Path) -> None:
    missing = tmp_path / "no.xdf"
    refused(physio("replay", missing), f"there is no file or folder {missing}")
    (tmp_path / "e4").mkdir()
    done = physio("replay", tmp_path / "e4")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "e4") in done.stderr
    cut = tmp_path / "cut.xdf"
    whole = (demo / "recording.xdf").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2 + 1])
    done = physio("replay", cut, "--fast", "--out", tmp_path / "x")
    assert done.returncode == 2
    assert done.stderr.startswith(f"physio: cannot read {cut} as XDF: ")
    assert done.stderr.count("\n") == 1


def test_a_board_file_needs_its_board(data: Path, tmp_path: Path) -> None:
    file = data / "openbci" / "brainflow_cyton_playback_30s.csv"
    done = physio("replay", file, "--fast", "--out", tmp_path / "x")
    assert done.returncode == 2
    assert "--board" in done.stderr
    assert not (tmp_path / "x").exists()
    done = physio("replay", file, "--board", "cyton", "--fast", "--out", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert "missing:" in done.stdout


def test_another_distribution_called_physio_is_refused(tmp_path: Path) -> None:
    info = tmp_path / "physio-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: physio\nVersion: 9.9\n"
    )
    done = physio("doctor", PYTHONPATH=f"{tmp_path}")
    refused(done, (
        "another distribution called 'physio' (9.9) is installed here and has the same "
        "import name as physio-affect: run `pip uninstall physio`, then "
        "`pip install --force-reinstall --no-deps physio-affect`"
    ))  # fmt: skip


def test_doctor_finds_this_environment_well() -> None:
    done = physio("doctor")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout


def test_the_version_and_the_groups_of_commands() -> None:
    done = physio("--version")
    assert done.stdout == f"physio-affect {version('physio-affect')}\n"
    text = physio("--help").stdout
    groups = re.findall(r"─ (\w+) ─", text)
    assert groups[0] == "Options"
    assert set(groups[1:]) == {
        "Live", "Files", "Analysis", "Models", "Study", "System",
    }  # fmt: skip
    verbs = re.findall(r"^│ (\w+) ", text, flags=re.MULTILINE)
    assert len(verbs) == len(set(verbs)) == 29
    assert "--install-completion" in text


def test_json_on_standard_output_is_all_there_is(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    table(participants=4).to_parquet(file)
    done = physio("audit", file, "--protocol", "leave-order-out", "--json", "-")
    assert json.loads(done.stdout)["protocol"] == "leave-order-out"
    assert "leave-order-out: nothing leaks" in done.stderr
    quiet = physio("audit", file, "--protocol", "leave-order-out", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    both = physio("audit", file, "--protocol", "leave-order-out", "-q", "--json", "-")
    assert (both.stdout, both.stderr) == (done.stdout, "")


STRANGER = """
from dataclasses import dataclass
from pathlib import Path

print("imported")


@dataclass(frozen=True)
class Folder:
    root: Path

    def trials(self):
        raise ValueError(f"no trials in {self.root.name}")
"""


def test_installed_extensions_are_listed_but_not_imported(tmp_path: Path) -> None:
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\n")
    (info / "entry_points.txt").write_text(
        "[physio.datasets]\nfolders = stranger_data:Folder\n"
        "[physio.devices]\nbox = stranger_box:Box\n"
    )
    (tmp_path / "stranger_data.py").write_text(STRANGER)
    path = {"PYTHONPATH": str(tmp_path)}
    done = physio("extract", "--list", **path)
    assert done.returncode == 0, done.stderr
    assert "wesad" in done.stdout.splitlines()
    assert (
        'data set folders (stranger): use = "stranger_data:Folder" with '
        "--trust stranger_data"
    ) in done.stdout
    assert "imported" not in done.stdout
    done = physio("devices", "--seconds", 0.1, **path)
    assert 'device box (stranger): use = "stranger_box:Box"' in done.stdout
    done = physio("extract", "folders", tmp_path, tmp_path / "out", **path)
    assert "'stranger_data' is outside physio, devices; --trust" in done.stderr
    assert "imported" not in done.stdout
    trust = ("--trust", "stranger_data")
    done = physio("extract", "folders", tmp_path, tmp_path / "out", *trust, **path)
    assert "imported" in done.stdout
    assert f"no trials in {tmp_path.name}" in done.stderr


def test_a_trusted_module_is_found_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "my_data.py").write_text(STRANGER)
    args = ("extract", "my_data:Folder", ".", "out")
    safe = {"cwd": tmp_path, "PYTHONSAFEPATH": "1"}
    done = physio(*args, "--trust", "my_data", **safe)
    assert "no trials in" in done.stderr
    done = physio("extract", "my_dta:Folder", ".", "out", "--trust", "my_dta",
                  **safe)  # fmt: skip
    refused(done, f"DATASET: no module 'my_dta' is installed or in {tmp_path}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_replay_shows_its_progress_in_a_terminal(demo: Path, tmp_path: Path) -> None:
    import pty

    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "physio", "replay", str(demo / "recording.xdf")]
    with subprocess.Popen(
        [*command, "--fast", "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL, stderr=end,
    ) as process:  # fmt: skip
        os.close(end)
        text = b""
        with suppress(OSError):  # at the end of the process
            while part := os.read(terminal, 4096):
                text += part
    os.close(terminal)
    assert process.returncode == 0
    assert text.index(b": reading") < text.index(b"% computed, about ")
