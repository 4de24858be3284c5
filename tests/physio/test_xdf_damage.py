"""Damaged recordings are read as far as they are whole, or refused in a sentence."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from physio.io.xdf import read, repair
from physio.io.xdf.chunks import Tag, walk
from sessions import cuts, facts, items, session, survives, whole_or_told

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sessions import items
from physio.io.xdf import Writer
writer = Writer(Path(sys.argv[1]))
for item in items():
    writer.write(item)
os.kill(os.getpid(), signal.SIGKILL)
"""

FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sessions import items
from physio.io.xdf import Writer
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    with Writer(Path(sys.argv[1])) as writer:
        for item in items():
            writer.write(item)
except OSError as error:
    print(error)
"""


def child(program: str, path: Path) -> "subprocess.CompletedProcess[str]":
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", program, str(path), here]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_killed_session_is_all_there(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    assert child(KILLED, path).returncode == -signal.SIGKILL
    got = read(path)
    assert got.metadata == {"ended": "interrupted"}
    assert list(map(facts, got.arrivals())) == list(map(facts, items()))


def test_a_full_disk_is_told_and_what_was_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    done = child(FULL, path)
    assert done.stdout == (
        f"the recording {path} stopped: File too large; what came before is in the "
        f"file\n"
    )
    assert done.stderr == ""
    assert path.stat().st_size <= 9000
    got = list(map(facts, read(path).arrivals()))
    assert 0 < len(got) < 36
    assert got == list(map(facts, items()))[: len(got)]


def test_a_file_cut_between_chunks_is_an_interrupted_session(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    want = list(map(facts, items()))
    seen = set()
    for at in cuts(raw)[1:-2]:  # the footer that says how it ended has two behind it
        (tmp_path / "cut.xdf").write_bytes(raw[:at])
        got = read(tmp_path / "cut.xdf")
        assert got.metadata["ended"] == "interrupted"
        arrived = list(map(facts, got.arrivals()))
        assert arrived == want[: len(arrived)]
        seen.add(len(arrived))
    assert seen == set(range(len(want) + 1))


def test_a_file_cut_anywhere_is_whole_or_told(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    whole = [
        *cuts(raw)[1:],
        *range(cuts(raw)[-1], len(raw) + 1),
    ]  # nobody needs the end
    for at in random.Random(7).sample(range(len(raw)), 200):
        whole_or_told(tmp_path / "cut.xdf", raw[:at], whole)


@pytest.mark.long
def test_a_file_cut_at_every_byte_is_whole_or_told(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    whole = [
        *cuts(raw)[1:],
        *range(cuts(raw)[-1], len(raw) + 1),
    ]  # nobody needs the end
    for at in range(len(raw)):
        whole_or_told(tmp_path / "cut.xdf", raw[:at], whole)


def test_what_a_cut_file_still_holds_is_said(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    footer = next(c for c in walk(memoryview(raw)) if c.tag == Tag.STREAM_FOOTER)
    path = tmp_path / "cut.xdf"
    path.write_bytes(raw[: footer.at + 20])
    with pytest.raises(ValueError, match="cut off") as error:
        read(path)
    # 12 blocks of 10 samples, up to sample number 120 + 16 lost at 250 Hz.
    before = cuts(raw).index(footer.at)
    assert str(error.value) == (
        f"cannot read {path} as XDF: it is cut off inside the chunk at byte "
        f"{footer.at} and has {footer.at + 20} bytes; before that, {before} chunks are "
        f"whole, with 120 samples and 24 events over 0.5 s: physio repair keeps them"
    )


def test_a_spoilt_file_raises_nothing_but_one_sentence(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    # Refused is what has lost both what a stream is and the footers that repeat it.
    assert survives(tmp_path / "bad.xdf", raw, range(150)) < 5


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"PK\x03\x04 and so on", "it does not begin with 'XDF:'"),
        (b"XDF:", "it has no file header"),
        (b"XDF:\x03garbage", "no length stands at byte 4"),
        (b"XDF:\x01\x05\x09\x00abc", "no chunk begins with what is at byte 4"),
        (b"XDF:\x01\x01\x01\x00", "the chunk at byte 4 is too short for its kind"),
    ],
)
def test_what_is_no_xdf_is_refused(tmp_path: Path, raw: bytes, why: str) -> None:
    path = tmp_path / "a.xdf"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="cannot read") as error:
        read(path)
    assert str(error.value) == f"cannot read {path} as XDF: {why}"


def test_a_file_without_a_byte_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    path.touch()
    for use in (read, repair):
        with pytest.raises(ValueError, match="is empty") as error:
            use(path)
        assert str(error.value) == (
            f"{path} is empty (0 bytes): nothing was recorded in it"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["a.xdf"]


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file") as missing:
        read(tmp_path / "a.xdf")
    assert str(missing.value) == f"there is no file {tmp_path / 'a.xdf'}"
    with pytest.raises(ValueError, match="is a folder") as folder:
        read(tmp_path)
    assert str(folder.value) == f"{tmp_path} is a folder, not an XDF file"
