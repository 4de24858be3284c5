"""Recordings made to break a session: every command ends soon, small and in words.

The rebuilt table of attacks; names that lead elsewhere are in ``test_writes.py``,
settings in ``test_malformed_settings.py``, requests in ``test_dashboard_attacks.py``.
"""

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.io import xdf

if sys.platform == "win32":  # pragma: no cover
    pytest.skip("memory cannot be limited here", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
HEADER = (
    "<?xml version='1.0'?><info><name>{name}</name><type>{type}</type>"
    "<channel_count>{n}</channel_count><nominal_srate>{rate}</nominal_srate>"
    "<channel_format>{form}</channel_format><created_at>1</created_at>"
    "<source_id>{name}</source_id><hostname>h</hostname><desc>{desc}</desc></info>"
)


def chunk(tag: int, content: bytes) -> bytes:
    body = struct.pack("<H", tag) + content
    return b"\x04" + struct.pack("<I", len(body)) + body


def foreign(path: Path, jump: float, *, offsets: bool) -> Path:
    """Write EEG and markers as another program does, with a jump of all clocks."""
    rows = ("TP9", "AF7")
    desc = "".join(f"<channel><label>{r}</label></channel>" for r in rows)
    eeg = HEADER.format(name="Muse", type="EEG", n=2, rate=256, form="float32",
                        desc=f"<channels>{desc}</channels>")  # fmt: skip
    marks = HEADER.format(
        name="Mk", type="Markers", n=1, rate=0, form="string", desc=""
    )
    parts = [b"XDF:", chunk(1, b"<?xml version='1.0'?><info></info>")]
    for number, text in ((1, eeg), (2, marks)):
        parts.append(chunk(2, struct.pack("<I", number) + text.encode()))
    rng, n = np.random.default_rng(1), 512
    times = 1000 + np.arange(n) / 256 + np.where(np.arange(n) < n // 2, 0, jump)
    samples = b"".join(
        b"\x08" + struct.pack("<d", t) + row.astype("<f4").tobytes()
        for t, row in zip(times, rng.normal(0, 20, (n, 2)), strict=True)
    )
    parts.append(
        chunk(3, struct.pack("<I", 1) + b"\x04" + struct.pack("<I", n) + samples)
    )
    for at in (1000.5, 1001.5 + jump):
        text = b"\x01\x04film"
        sample = struct.pack("<I", 2) + b"\x01\x01\x08" + struct.pack("<d", at) + text
        parts.append(chunk(3, sample))
    if offsets:
        for number in (1, 2):
            for at, value in ((1000.0, 0.0), (1001.0 + jump, -jump)):
                parts.append(chunk(4, struct.pack("<Idd", number, at, value)))
    path.write_bytes(b"".join(parts))
    return path


def own(path: Path, name: str = "a.bvp", **about: str) -> Path:
    rng = np.random.default_rng(2)
    info = StreamInfo(name, Fraction(64), (Channel(name, "bio", "1"),))
    block = Block(info, 0, 0.0, rng.normal(0, 20, (64 * 8, 1)))
    xdf.write(path, Recording({name: (block,)}, metadata=about))
    return path


def packed(path: Path) -> Path:
    path.write_bytes(gzip.compress(foreign(path, 0.0, offsets=True).read_bytes()))
    return path


def bomb(path: Path) -> Path:
    with gzip.open(path, "wb", 1) as file:
        file.write(b"XDF:")
        for _ in range(500):
            file.write(bytes(1 << 20))
    return path


ATTACKS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a jump of the clocks": (
        "jump.xdf", lambda p: foreign(p, 200_000.0, offsets=True), "read",
    ),
    "a jump without offsets": (
        "bare.xdf", lambda p: foreign(p, 200_000.0, offsets=False), "read",
    ),
    "a jump to another century": (
        "century.xdf", lambda p: foreign(p, 3e9, offsets=False), "any",
    ),
    "stamps that are no number": (
        "nan.xdf", lambda p: foreign(p, float("nan"), offsets=True), "any",
    ),
    "a compressed recording": ("ok.xdfz", packed, "read"),
    "a recording that unpacks to zeros": ("bomb.xdfz", bomb, "refused"),
    "nested settings": (
        "deep.xdf", lambda p: own(p, config="[" * 100_000), "any",
    ),
    "mathematics in a name": ("dollar.xdf", lambda p: own(p, "$\\foo$_^{.bvp"), "read"),
    "escape codes in a name": (
        "escape.xdf", lambda p: own(p, "\x1b]0;x\x07\x1b[2J.bvp"), "read",
    ),
}  # fmt: skip
COMMANDS = ("check", "export csv --format csv", "replay --fast --out out",
            "report --out r.html")  # fmt: skip

PROGRAM = """
import json, os, resource, sys, time
from pathlib import Path
from typer.testing import CliRunner
from physio.cli import app

names = json.loads(sys.argv[1])
home = Path.cwd()
limited = False
for name in names:
    for line in json.loads(sys.argv[2]):
        command, *rest = line.split()
        inside = home / name.replace(".", "-") / command
        inside.mkdir(parents=True)
        os.chdir(inside)
        if limited:  # libraries are loaded
            used = int(Path("/proc/self/statm").read_text().split()[0])
            limit = used * resource.getpagesize() + (2 << 30)
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        begun = time.process_time()
        found = CliRunner().invoke(app, [command, str(home / name), *rest])
        took = time.process_time() - begun
        error = found.exception
        kind = "" if error is None else type(error).__name__
        out = {"name": name, "command": command, "error": kind, "output": found.output,
               "code": found.exit_code, "text": str(error), "took": took}
        print(json.dumps(out), flush=True)
    limited = True
"""


QUICK = ("bare.xdf", "bomb.xdfz", "escape.xdf")


@pytest.mark.parametrize(
    ("commands", "chosen"),
    [
        pytest.param(COMMANDS[:2], QUICK, id="quick"),
        pytest.param(COMMANDS, (), id="all", marks=pytest.mark.long),
    ],
)
def test_attacks_end_soon_small_and_in_words(
    commands: tuple[str, ...], chosen: tuple[str, ...], tmp_path: Path
) -> None:
    made = [(name, make) for name, make, _ in ATTACKS.values()]
    files = [(name, make) for name, make in made if name in (chosen or dict(made))]
    for name, make in files:
        make(tmp_path / name)
    own(tmp_path / "first.xdf")
    names = ["first.xdf", *(name for name, _ in files)]
    before = {p.name for p in tmp_path.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(names), json.dumps(commands)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path),
             "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(names) * len(commands)
    wanted = {name: outcome for name, _, outcome in ATTACKS.values()}
    for row in rows:
        at = f"{row['command']} {row['name']}: {row['error']} {row['text']}"
        assert row["error"] in ("", "SystemExit", "ValueError", "OSError"), at
        assert "\n" not in row["text"], at
        refused = row["error"] in ("ValueError", "OSError")
        outcome = wanted.get(row["name"], "read")
        assert outcome == "any" or refused == (outcome == "refused"), at
        assert row["took"] < 30, at
        assert "Traceback" not in row["output"], at
        assert not {"\x1b", "\x07"} & set(row["output"]), at
    after = {p.name for p in tmp_path.iterdir()}
    folders = {name.replace(".", "-") for name in names}
    assert after - before <= folders | {".cache", ".config", ".numba"}


def test_a_rebuilt_jump_is_what_it_says(tmp_path: Path) -> None:
    """The file that jumps has a clock that was set, and not a day without samples."""
    recording = xdf.read(foreign(tmp_path / "a.xdf", 200_000.0, offsets=True))
    assert recording.end - recording.begin < 60
    (name,) = recording.streams
    assert sum(map(len, recording.streams[name])) == 512


def test_tags_that_lead_back_are_refused(tmp_path: Path) -> None:
    """MNE would follow the tags of this file for ever."""
    path = tmp_path / "a_raw.fif"
    tags = [(100, 31, 20, 0), (101, 3, 4, 0), (1, 3, 0, 36)]
    sizes = [20, 4, 0]
    parts = [
        struct.pack(">iiii", *tag) + bytes(size)
        for tag, size in zip(tags, sizes, strict=True)
    ]
    path.write_bytes(b"".join(parts))
    for name in ("a_raw.fif", "b_raw.fif.gz"):
        file = tmp_path / name
        if name.endswith(".gz"):
            file.write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(ValueError, match="its tags lead back to an earlier one"):
            read(file)


@pytest.mark.parametrize("stamp", ["1e308", "inf", "-1e300", "nan", "1e13"])
@pytest.mark.parametrize("counter", ["1e300", "inf", "nan", "3"])
def test_a_damaged_row_of_a_board_is_no_century(
    stamp: str, counter: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    rows = []
    for i in range(250):
        at = stamp if i == 99 else repr(1.6e9 + i / 250)
        row = [counter if i == 99 else str(i), *["1.0"] * 21, at, "0"]
        rows.append("\t".join(row))
    path.write_text("\n".join(rows) + "\n", "utf-8")
    refusal = ""
    try:
        recording = read(path, board="cyton")
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert str(path) in refusal
    else:
        assert 0 <= recording.end - recording.begin < 10


def test_what_a_parser_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.hrm"
    path.write_text("[Params]\n", "utf-8")
    for error, text in (
        (KeyError("x"), "is damaged, or of an unknown variant"),
        (OverflowError("too large"), r"\(OverflowError: too large\)"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "is not in UTF-8"),
        (ValueError("times must rise"), ": times must rise"),
    ):

        def fail(*_: object, error: Exception = error, **_more: object) -> None:
            raise error

        monkeypatch.setattr("physio.io.polar_hrm.read", fail)
        with pytest.raises(ValueError, match=text) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("DataFile=/etc/passwd", "its DataFile '/etc/passwd' leads out of the folder"),
        ("DataFile=../secret.eeg", "leads out of the folder"),
        ("datafile : ..\\secret.eeg", "leads out of the folder"),
        ("DataFile=/dev/zero", "leads out of the folder"),
        ("DataFile=pipe.eeg", "is a pipe or a device"),
    ],
)
def test_a_header_names_no_file_elsewhere(
    entry: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.eeg").write_bytes(bytes(400))
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.eeg")
    path = folder / "a.vhdr"
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
        f"Codepage=UTF-8\n{entry}\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=1\nSamplingInterval=4000\n\n[Binary Infos]\n"
        "BinaryFormat=INT_16\n\n[Channel Infos]\nCh1=Fp1,,1,uV\n",
        "utf-8",
    )
    with pytest.raises(ValueError, match=reason):
        read(path)
    (folder / "a.eeg").write_bytes(bytes(40))
    (block,) = read(path).streams["eeg.eeg"] if "leads" in reason else ([0] * 20,)
    assert len(block) == 20
