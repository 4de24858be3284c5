"""The recording of a session: all of it, in order, or a word on why not."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.config import build
from physio.core.block import Block, Channel, StreamInfo
from physio.io.xdf import read
from physio.sinks.xdf import Xdf
from sessions import BEATS, EEG, facts, items

USE = {"use": "physio.sinks.xdf:Xdf"}
WIDE = StreamInfo("wide.eeg", Fraction(250), (Channel("x"),))


def test_a_session_is_recorded_in_the_order_it_came(tmp_path: Path) -> None:
    inputs = {"headset.eeg", "session.stream_timeout", "band.eda"}
    silent = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    with Xdf(tmp_path, {"participant": "p07"}) as sink:
        sink.open_streams([silent, EEG])
        for item in items():
            sink.write(item)
    got = read(tmp_path / "recording.xdf")
    assert dict(got.metadata) == {"participant": "p07", "ended": "completed"}
    came = [facts(item) for item in items() if item.info.name in inputs]
    assert list(map(facts, got.arrivals())) == came
    assert len(got.events[BEATS.name]) == 12
    assert [len(block) for block in got.streams["band.eda"]] == [0]


def test_what_arrives_may_be_named(tmp_path: Path) -> None:
    with Xdf(tmp_path, inputs=frozenset({BEATS.name})) as sink:
        for item in items():
            sink.write(item)
    got = read(tmp_path / "recording.xdf")
    assert {arrival.stream for arrival in got.timeline} == {BEATS.name}
    assert len(got.streams["headset.eeg"]) == 12


def test_the_session_file_needs_to_name_it_only(tmp_path: Path) -> None:
    about = {"participant": "p07"}
    given = {"folder": tmp_path, "about": about, "inputs": frozenset({"a"}), "rate": 4}
    assert build(USE, "a.toml", given=given) == Xdf(tmp_path, about, frozenset({"a"}))


def test_nothing_waits_and_a_slow_disk_stops_the_recording(tmp_path: Path) -> None:
    n = 1_000_000  # 17 MB a block on disk: the second is there long before it is done
    block = Block(WIDE, 0, 0.0, np.zeros((n, 1)))
    taken = 0

    def flood(sink: Xdf) -> None:
        nonlocal taken
        for _ in range(50):
            sink.write(block)
            taken += 1

    with Xdf(tmp_path, filename="a.xdf", capacity=1) as sink:
        with pytest.raises(OSError, match="did not keep up") as error:
            flood(sink)
        with pytest.raises(OSError, match="did not keep up"):
            sink.write(block)
    why = (
        f"the recording {tmp_path / 'a.xdf'} stopped: the disk did not keep up and 1 "
        f"items were waiting; what came before is in the file"
    )
    assert str(error.value) == why
    got = read(tmp_path / "a.xdf")
    assert got.metadata == {"ended": why}
    assert len(got.streams["wide.eeg"]) == taken > 0


def test_a_replay_may_wait_for_the_disk(tmp_path: Path) -> None:
    with Xdf(tmp_path, filename="a.xdf", capacity=1, wait=True) as sink:
        for item in items(n=50):
            sink.write(item)
    want = list(map(facts, items(n=50)))
    assert list(map(facts, read(tmp_path / "a.xdf").arrivals())) == want


def test_what_cannot_be_written_stops_the_recording_with_a_word(
    tmp_path: Path,
) -> None:
    other = EEG.with_channels(Fraction(500), *EEG.channels)
    with (
        pytest.raises(ValueError, match="cannot go on as") as error,
        Xdf(tmp_path, filename="a.xdf") as sink,
    ):
        sink.open_streams([EEG, other])
    assert read(tmp_path / "a.xdf").metadata == {"ended": str(error.value)}


def test_leaving_early_is_told_by_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Xdf(tmp_path, filename="a.xdf"):
        raise KeyboardInterrupt
    assert read(tmp_path / "a.xdf").metadata == {"ended": "interrupted by Ctrl-C"}
    with Xdf(tmp_path, filename="b.xdf") as sink:
        sink.end("every device ended")
    assert read(tmp_path / "b.xdf").metadata == {"ended": "every device ended"}


def test_no_room_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 item") as error:
        Xdf(Path(), capacity=0)
    assert str(error.value) == "a recording needs room for at least 1 item, not 0"
