"""Hostile inputs for tests: names that lead elsewhere, and what carries them."""

import json
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.io import xdf

ELSEWHERE = "/tmp/physio-hostile-elsewhere"
"""Absolute path that must never exist."""

NAMES = (
    "../x", "../../x", "../" * 40 + "tmp/physio-hostile-elsewhere/x", ELSEWHERE,
    "a/b", "a\\b", "..\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "..", ".", ".hidden",
    "", " x", "x.", "-rf", "--out=../x", "CON", "nul.eeg", "a\0b", "a\nb", "a\tb\r",
    "\x1b[2J\x1b]0;x\x07", "a\u202eb", "a\u2028b", "x" * 300, "\u00e4" * 200,
    "$(touch x)", "`touch x`; | x & x", "~/x", "file:///x", "%n%s*?<>\"'",
)  # fmt: skip
assert len(set(NAMES)) == 33

PARTICIPANTS = ("../x", ELSEWHERE, "a\nb", "x" * 300)

SECONDS = 12


def hostile_recording() -> Recording:
    """Return a recording whose every text is hostile, and whose settings are too."""
    rng = np.random.default_rng(3)
    streams, until = {}, float(SECONDS)
    for i, name in enumerate(NAMES):
        other = NAMES[(i + 7) % len(NAMES)]
        info = StreamInfo(
            name, Fraction(4), (Channel(other, "gsr", "uS"),),
            participant=PARTICIPANTS[i % 4], site=name, placement=other, reference=name,
        )  # fmt: skip
        data = 3 + 0.1 * rng.standard_normal((4 * SECONDS, 1))
        streams[name] = (Block(info, 0, 0.0, data),)
    labels = (*NAMES, *(f"begin {n}" for n in NAMES), *(f"end {n}" for n in NAMES))
    times = np.linspace(0.1, until - 0.1, len(labels))
    markers = Events(event_stream(MARKERS), until, times, np.empty((len(labels), 0)),
                     labels)  # fmt: skip
    elsewhere = {"folder": ELSEWHERE, "filename": "../x.xdf"}
    settings = {
        "session": {"participant": "p1", "rate": 4},
        "sinks": {
            use.rpartition(":")[2]: {"use": use, **elsewhere}
            for use in (
                "physio.sinks.xdf:Xdf",
                "physio.sinks.parquet:ParquetTables",
                "physio.sinks.jsonl:JsonLines",
                "physio.view.dashboard:Dashboard",
                "physio.sinks.lsl:Lsl",
            )
        },
        "devices": {"x": {"use": "devices.simulated:Wristband", "name": "../x"}},
    }
    about = {
        "config": json.dumps(settings), "participant": "p1", "consent": "../x",
        "source": ELSEWHERE, "study": "../x", "ended": "../x",
    }  # fmt: skip
    return Recording(streams, {MARKERS: markers}, (), about)


def hostile_xdf(path: Path) -> Path:
    """Write the hostile recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    xdf.write(path, hostile_recording())
    return path


def hostile_zip(path: Path, name: str) -> Path:
    """Write an E4 export whose archive has a further member of this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    eda = "1500000000\n4\n" + "0.5\n" * 4 * SECONDS
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("EDA.csv", eda)
        file.writestr("tags.csv", "1500000003.25\n")
        file.writestr(zipfile.ZipInfo(name), eda)
    return path
