"""Every command and every line of Python of the how-to pages runs, on miniatures."""

import re
import shlex
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest
from typer.testing import CliRunner

import miniatures
from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.io import xdf

DOCS = Path(__file__).resolve().parents[2] / "docs"
RATE = 250
CAP = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def eeg(n: int) -> np.ndarray:
    """Return noise with alpha waves (uV), shape (n, 8)."""
    rng = np.random.default_rng(1)
    alpha = 20 * np.sin(2 * np.pi * 10 * np.arange(n) / RATE)
    return alpha[:, None] + rng.normal(0, 8, (n, len(CAP)))


def wristbands(root: Path) -> None:
    miniatures.wristbands(root)


def headsets(root: Path) -> None:
    n = 60 * RATE
    info = StreamInfo(
        "cap.eeg", Fraction(RATE), tuple(Channel(name, "eeg", "uV") for name in CAP)
    )
    at = np.arange(5.0, 55.0, 10)
    marks = Events(
        event_stream(MARKERS), 60.0, at, np.empty((len(at), 0)), ("odd", "even") * 2
        + ("odd",)
    )  # fmt: skip
    recording = Recording(
        {info.name: (Block(info, 0, 0.0, eeg(n)),)},
        {MARKERS: marks},
        (),
        {"participant": "p01", "begin": "0.0"},
    )
    xdf.write(root / "session.xdf", recording)
    head = (
        "%OpenBCI Raw EXG Data\n%Number of channels = 8\n%Sample Rate = 250 Hz\n"
        "%Board = OpenBCI_GUI$BoardCytonSerial\nSample Index"
        + "".join(f", EXG Channel {i}" for i in range(8))
        + ", Timestamp, Marker Channel\n"
    )
    rows = "".join(
        f"{i % 256}, {', '.join(f'{v:.2f}' for v in row)}, {1.7e9 + i / RATE:.4f}, 0\n"
        for i, row in enumerate(eeg(20 * RATE))
    )
    (root / "OpenBCI-RAW.txt").write_text(head + rows)
    page = (DOCS / "howto-eeg.md").read_text("utf-8")
    (text,) = [body for kind, body in _BLOCK.findall(page) if kind == "toml"]
    assert tomllib.loads(text)["devices"]
    (root / "lsl.toml").write_text(text)


def dataset(root: Path) -> None:
    miniatures.bids(root / "data", ((5, 50, "rest"), (60, 50, "task")))


PAGES = {
    "howto-psychophysiology": wristbands,
    "howto-eeg": headsets,
    "howto-machine-learning": dataset,
}


@pytest.fixture
def amplifier() -> Iterator[None]:
    """Send EEG over the network of this machine while a test runs."""
    info = pylsl.StreamInfo("amplifier", "EEG", 8, RATE, "float32", "how-to")
    rows = info.desc().append_child("channels")
    for label in CAP:
        row = rows.append_child("channel")
        row.append_child_value("label", label)
        row.append_child_value("unit", "microvolts")
    outlet, ended, data = pylsl.StreamOutlet(info), threading.Event(), eeg(60 * RATE)

    def send() -> None:
        begin, sent = time.monotonic(), 0
        while not ended.wait(0.02):
            due = int((time.monotonic() - begin) * RATE)
            for i in range(sent, due):
                outlet.push_sample(data[i % len(data)].tolist())
            sent = max(sent, due)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("amplifier")
def test_the_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PAGES[page](tmp_path)
    monkeypatch.chdir(tmp_path)
    room: dict[str, Any] = {}
    text = (DOCS / f"{page}.md").read_text("utf-8")
    for kind, body in _BLOCK.findall(text):
        if kind == "python":
            exec(body, room)
        for line in body.splitlines() if kind == "sh" else ():
            assert line.startswith("physio ")
            run(shlex.split(line)[1:])
    match page:
        case "howto-psychophysiology":
            means = room["by_condition"]
            assert (means["task"] > means["rest"] + 0.5).all()
            assert list(means.index) == ["S01", "S02", "S03"]
        case "howto-eeg":
            assert room["raw"].ch_names == list(CAP)
            assert len(room["features"]) > 4 * 50
            assert any(tmp_path.joinpath("live").rglob("recording.xdf"))
        case "howto-machine-learning":
            assert len(room["X"]) == len(room["y"]) == len(room["groups"]) > 10
            assert set(room["y"]) == {"rest", "task"}
            assert len(room["scores"]) == 2


def run(words: list[str]) -> None:
    """Run a command; one that reads the terminal in a process of its own."""
    if words[0] in ("live", "replay"):
        done = subprocess.run(
            [sys.executable, "-m", "physio", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return
    here = {"table": ["--backend", "serial"], "report": ["--workers", "1"]}
    words = [*words, *here.get(words[0], ())]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output, result.exception)


def test_every_page_of_its_kind_is_run() -> None:
    assert {p.stem for p in DOCS.glob("howto-*.md")} == set(PAGES)
