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


def test_a_replay_may_wait_for_the_disk(tmp_path: Path) -> None:
    wide = StreamInfo("wide.eeg", Fraction(250), (Channel("x"),))
    blocks = [Block(wide, i * 9999, 0.0, np.zeros((9999, 1))) for i in range(100)]
    with Xdf(tmp_path, filename="a.xdf", ring_mb=0.1, wait=True) as sink:
        for block in blocks:
            sink.write(block)
    assert not sink.unwritten()
    assert len(read(tmp_path / "a.xdf").streams["wide.eeg"]) == 100


def test_what_contradicts_its_stream_is_told_and_all_else_recorded(
    tmp_path: Path,
) -> None:
    other = EEG.with_channels(Fraction(500), *EEG.channels)
    with Xdf(tmp_path, filename="a.xdf") as sink:
        sink.open_streams([EEG, other])
        for item in items():
            sink.write(item)
        sink.write(Block(other, 0, 0.0, np.zeros((7, 2))))
    assert len(sink.faults()) == 2
    assert "cannot go on as" in sink.faults()[0]
    lost = "samples or events (7 of headset.eeg)"
    assert sink.faults()[1] == f"the recording {tmp_path / 'a.xdf'} lacks {lost}"
    got = read(tmp_path / "a.xdf")
    assert got.metadata["warnings"] == f"not recorded: {lost}"
    assert list(map(facts, got.arrivals())) == [
        facts(i) for i in items() if i.info.name in {EEG.name, "session.stream_timeout"}
    ]


def test_leaving_early_is_told_by_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Xdf(tmp_path, filename="a.xdf"):
        raise KeyboardInterrupt
    assert read(tmp_path / "a.xdf").metadata == {"ended": "interrupted by Ctrl-C"}
    with Xdf(tmp_path, filename="b.xdf") as sink:
        sink.end("every device ended")
    assert read(tmp_path / "b.xdf").metadata == {"ended": "every device ended"}
