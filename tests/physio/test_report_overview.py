"""Overview of a folder of recordings: who, how long, what is usable, what is not."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from files import UNIX, lines
from physio.cli import app
from physio.datasets.recording_folder import find_recordings
from physio.io import xdf
from physio.offline.edits_file import EditedRecording, write_history
from test_bids import study
from test_export import eda_recording


def e4(folder: Path, seconds: int = 90) -> Path:
    """Write an E4 export without a pulse: EDA, temperature, movement."""
    rng = np.random.default_rng(seconds)
    folder.mkdir(parents=True)
    for name, rate, width in (("EDA", 4, 1), ("TEMP", 4, 1), ("ACC", 32, 3)):
        values = 30 + rng.normal(0, 0.1, (seconds * rate, width))
        text = [", ".join(f"{v:.3f}" for v in row) for row in values]
        head = [", ".join([start] * width) for start in (f"{UNIX}", f"{rate}.000000")]
        lines(folder / f"{name}.csv", "\n".join(head), text)
    return folder


def zipped(folder: Path, seconds: int) -> Path:
    e4(folder, seconds)
    path = Path(shutil.make_archive(str(folder), "zip", folder))
    shutil.rmtree(folder)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of zip files, an export, an XDF file and what is none."""
    root = tmp_path / "lab data"
    zipped(root / "day1" / "S2", 60)
    e4(root / "day2" / "S11")
    xdf.write(root / "p1.xdf", eda_recording("p1"))
    (root / "S3.zip").write_bytes(b"PK\x03\x04 cut")
    (root / "README.txt").write_text("none")
    (root / "notes.docx").write_text("none")
    return root


def report(root: Path, *options: str) -> tuple[str, str]:
    line = ["report", str(root), *options]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return root.with_name(f"{root.name}_report.html").read_text("utf-8"), done.output


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes())
            for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip


def test_a_folder_is_an_overview_and_is_resumed(data: Path) -> None:
    before = files(data)
    page, output = report(data)
    assert files(data) == before
    assert "4 recordings" in page
    assert "1 not readable" in page
    names = ["S3.zip", "day1/S2.zip", "day2/S11", "p1.xdf"]
    rows = re.findall(r"<tr><th>(?:<a href=\"([^\"]+)\">)?([^<]+)", page)
    assert set(names) <= {name for _, name in rows}
    links = [link for link, _ in rows if link]
    assert len(links) == 3
    for link in links:
        assert ".eda" in (data.parent / link).read_text("utf-8")
    assert re.search(r"<th>S3.zip</th><td colspan=\"\d\">.*not readable: ", page)
    assert "S3.zip" in page.split("Excluded, and why")[1]
    assert output.count(": done") == 3

    page_again, output = report(data)
    assert output.count(": unchanged") == 3
    assert page_again == page
    with (data / "day2" / "S11" / "EDA.csv").open("a") as file:
        file.write("30.0\n" * 40)
    (data / "S3.zip").unlink()
    page, output = report(data)
    assert output.count(": unchanged") == 2
    assert "day2/S11: done" in output
    assert "not readable" not in page
    state = data.with_name("lab data_report_recordings") / "day1_S2.zip.json"
    row = json.loads(state.read_text("utf-8"))["row"]
    assert row["sensors"].keys() == {"EDA", "temperature", "movement"}
    assert row["seconds"] == pytest.approx(60, abs=1)


def test_edits_and_the_sheet_of_conditions_renew_a_report(tmp_path: Path) -> None:
    data = tmp_path / "lab"
    e4(data / "S1", 60)
    e4(data / "S2", 61)
    sheet = tmp_path / "conditions.csv"
    options = ("--conditions", str(sheet))
    sheet.write_text("condition,begin,end\nrest,0,20\n", "utf-8")
    assert report(data, *options)[1].count(": done") == 2
    sheet.write_text("condition,begin,end\nrest,0,30\n", "utf-8")
    assert report(data, *options)[1].count(": done") == 2
    place = EditedRecording.of(data / "S1")
    bad = {"stream": "e4.eda", "begin": 10.0, "end": 14.0}
    write_history(place.path("r1"), place.begin().with_entry("bad", "2026", **bad))
    output = report(data, *options)[1]
    assert "S1: done" in output
    assert "S2: unchanged" in output


def test_the_recordings_of_bids_are_an_overview(tmp_path: Path) -> None:
    root = study(tmp_path / "films")
    for path in root.rglob("*_run-2_*"):
        path.unlink()
    page, output = report(root)
    assert "2 recordings, 2 participants" in page
    assert output.count(": done") == 2
    table = root / "sub-01" / "beh" / "sub-01_task-rest_run-1_events.tsv"
    table.write_text(table.read_text() + "4\t0\tend\tn/a\n")
    _, output = report(root)
    assert output.count(": unchanged") == 1
    assert "sub-01_task-rest_run-1: done" in output


def test_a_single_recording_is_none(tmp_path: Path) -> None:
    folder = e4(tmp_path / "S1")
    done = CliRunner().invoke(app, ["report", str(folder)], catch_exceptions=False)
    assert "recordings" not in done.output
    assert (folder / "report.html").is_file()


def test_names_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("S10.zip", "S2.zip", "a/S1.xdf", "Readme.txt", ".hidden.xdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [place.name for place in find_recordings(tmp_path)]
    assert names == ["S2.zip", "S10.zip", "a/S1.xdf"]


@pytest.mark.long
@pytest.mark.parametrize("options", [["--workers", "2"], ["--backend", "dask:local:2"]])
def test_workers_write_the_same(data: Path, options: list[str]) -> None:
    page, _ = report(data)
    shutil.rmtree(data.with_name("lab data_report_recordings"))
    again, output = report(data, *options)
    assert output.count(": done") == 3
    assert again == page
