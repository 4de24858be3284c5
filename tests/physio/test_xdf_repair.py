"""Whatever a crash leaves of a file, what is whole is kept and opens."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import pyxdf

from physio.core.block import Block
from physio.core.recording import Recording
from physio.io.xdf import read, repair
from physio.io.xdf.chunks import MAGIC, Tag, chunk, measure, walk, within
from sessions import facts, items, session

RECORDING = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sessions import items
from physio.io.xdf import Writer
writer = Writer(Path(sys.argv[1]))
for i, item in enumerate(items(n=100_000)):
    writer.write(item)
    print(i, flush=True)
"""
"""Records until it is killed, and tells of each item once it has been written."""


def samples(recording: Recording) -> int:
    return sum(len(b) for blocks in recording.streams.values() for b in blocks)


def opened(path: Path) -> tuple[Recording, dict[str, int]]:
    """Read a file with ours and with pyxdf; return what pyxdf counts."""
    got = read(path)
    streams, _ = pyxdf.load_xdf(path)
    counts = {s["info"]["name"][0]: len(s["time_stamps"]) for s in streams}
    for name, blocks in got.streams.items():
        assert counts[name] == sum(map(len, blocks))
    for name, events in got.events.items():
        assert counts[name] == len(events)
    return got, counts


def rows_on_disk(raw: bytes) -> int:
    """Return how many samples of the EEG, stream 3, are whole in a part of a file."""
    stop = max((at for at in cut_points(raw)), default=len(MAGIC))
    found = within(memoryview(raw), len(MAGIC), stop)
    return sum(10 for c in found if c.tag == Tag.SAMPLES and c.stream == 3)


def cut_points(raw: bytes) -> Iterable[int]:
    """Yield where whole chunks end."""
    at = len(MAGIC)
    view = memoryview(raw)
    while at < len(raw):
        try:
            one = next(within(view, at, len(raw)))
        except ValueError:
            return
        length, begin = measure(view, one.at)
        at = begin + length
        yield at


def mended_at_each(folder: Path, raw: bytes, at: Iterable[int]) -> None:
    """Cut a recording at each of these bytes, and have it repaired."""
    path, out = folder / "cut.xdf", folder / "out.xdf"
    want = list(map(facts, items()))
    for n in at:
        path.write_bytes(raw[:n])
        out.unlink(missing_ok=True)
        done = repair(path, out)
        assert path.read_bytes() == raw[:n]
        got, _ = opened(out)
        assert (done.samples or 0) == samples(got) == rows_on_disk(raw[:n])
        arrived = list(map(facts, got.arrivals()))
        whole = sum(a == b for a, b in zip(arrived, want, strict=False))
        # Of an item that was half written there may be one more, as far as it is there.
        assert whole in {len(arrived), len(arrived) - 1}
        assert done.damage == ()


def test_a_recording_cut_anywhere_is_mended(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    some = random.Random(3).sample(range(1, len(raw) + 1), 60)
    mended_at_each(tmp_path, raw, [1, 4, 5, len(raw) - 1, len(raw), *some])


@pytest.mark.long
def test_a_recording_cut_at_every_byte_is_mended(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    mended_at_each(tmp_path, raw, range(1, len(raw) + 1))


def mended_others(folder: Path, raw: bytes, at: Iterable[int]) -> None:
    """Cut another program's file; the repaired one must have every whole chunk."""
    path, out = folder / "cut.xdf", folder / "out.xdf"
    for n in at:
        path.write_bytes(raw[:n])
        out.unlink(missing_ok=True)
        repair(path, out)
        pyxdf.load_xdf(out)
        read(out)
        tags = [c.tag for c in walk(memoryview(out.read_bytes()))]
        ends = list(cut_points(raw[:n]))
        assert len(tags) == max(len(ends), 1)  # a file header at least


def test_another_programs_file_cut_anywhere_is_mended(
    data: Path, tmp_path: Path
) -> None:
    raw = (data / "xdf" / "minimal.xdf").read_bytes()
    mended_others(tmp_path, raw, range(1, len(raw) + 1, 41))


@pytest.mark.long
def test_another_programs_file_cut_at_every_byte_is_mended(
    data: Path, tmp_path: Path
) -> None:
    raw = (data / "xdf" / "minimal.xdf").read_bytes()
    mended_others(tmp_path, raw, range(1, len(raw) + 1))


def test_a_killed_writer_loses_nothing_that_it_had_accepted(tmp_path: Path) -> None:
    rng = random.Random(11)
    want: list[tuple[object, ...]] = []
    for i in range(4):
        path = tmp_path / f"{i}.xdf"
        command = [
            sys.executable,
            "-c",
            RECORDING,
            str(path),
            str(Path(__file__).parent),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()  # it is running
            time.sleep(rng.uniform(0.0, 0.15))
            os.kill(child.pid, signal.SIGKILL)
            told = child.stdout.read().splitlines(keepends=True)
        accepted = 1 + sum(line.endswith("\n") for line in told)
        done = repair(path)
        got, _ = opened(done.path)
        arrived = list(map(facts, got.arrivals()))
        assert done.ended == "interrupted"
        assert len(arrived) >= accepted > 1
        want = want or list(map(facts, items(n=20_000)))
        assert arrived[:accepted] == want[:accepted]


def changed(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


def damaged_at_each(folder: Path, raw: bytes, at: Iterable[int]) -> None:
    """Change each of these bytes; one record at most may be missing, and is told."""
    path = folder / "bad.xdf"
    want = list(map(facts, items()))
    for n in at:
        path.write_bytes(changed(raw, n))
        got = read(path)
        arrived = [w for w in map(facts, got.arrivals()) if w in want]
        assert len(arrived) >= len(want) - 1, n
        last = next(c for c in walk(memoryview(raw)) if c.stream == 2 and c.tag == 6)
        assert ("warnings" in got.metadata) == (n < last.at), n
        assert got.metadata["participant"] == "p07"


def test_a_changed_byte_costs_one_record_and_is_told(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    some = random.Random(5).sample(range(4, len(raw)), 80)
    damaged_at_each(tmp_path, raw, some)


@pytest.mark.long
def test_each_changed_byte_costs_one_record_and_is_told(tmp_path: Path) -> None:
    raw = session(tmp_path / "a.xdf").read_bytes()
    damaged_at_each(tmp_path, raw, range(4, len(raw)))


def test_damage_is_said_with_its_time_and_its_place(tmp_path: Path) -> None:
    path = session(tmp_path / "a.xdf")
    raw = path.read_bytes()
    blocks = [
        c for c in walk(memoryview(raw)) if c.stream == 3 and c.tag == Tag.SAMPLES
    ]
    path.write_bytes(changed(raw, blocks[5].at + 40))
    got = read(path)
    whole = [facts(item) for item in items()]
    lost = [f for f in whole if f not in list(map(facts, got.arrivals()))]
    assert len(lost) == 1
    assert lost[0][1] == sum(10 + i % 4 for i in range(5))  # the start of block 5
    assert got.metadata["warnings"].startswith("damaged at 00:04: bytes ")
    done = repair(path)
    assert done.damage == (got.metadata["warnings"],)
    again, _ = opened(done.path)
    assert again.metadata == got.metadata
    assert list(map(facts, again.arrivals())) == list(map(facts, got.arrivals()))
    assert [b.start for b in again.streams["headset.eeg"]] == [
        i.start for i in items() if isinstance(i, Block) and i.start != lost[0][1]
    ]


def test_bytes_lost_in_the_middle_hide_nothing_that_follows(tmp_path: Path) -> None:
    path = session(tmp_path / "a.xdf")
    raw = path.read_bytes()
    path.write_bytes(raw[:9000] + raw[9100:])
    got = list(map(facts, read(path).arrivals()))
    assert len(got) in {34, 35}


def test_what_is_no_xdf_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    path.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ValueError, match="cannot repair") as error:
        repair(path)
    assert str(error.value) == f"cannot repair {path}: it does not begin with 'XDF:'"
    with pytest.raises(ValueError, match="must be another") as error:
        repair(path, path)
    assert str(error.value) == f"the repaired file must be another one than {path}"


def test_a_bad_chunk_of_another_program_is_left_out(data: Path, tmp_path: Path) -> None:
    raw = (data / "xdf" / "minimal.xdf").read_bytes()
    first = next(c for c in walk(memoryview(raw)) if c.tag == Tag.SAMPLES)
    path = tmp_path / "a.xdf"
    bad = chunk(Tag.SAMPLES, b"\x01\x63\x08", first.stream)
    path.write_bytes(raw[: first.at] + bad + raw[first.at :])
    done = repair(path)
    assert done.path.read_bytes() == raw
    assert done.damage == (f"bytes {first.at} to {first.at + len(bad)}",)
