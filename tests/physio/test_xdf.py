"""Recordings come back from XDF bit for bit."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf
from hypothesis import given, settings
from hypothesis import strategies as st

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.recording import Arrival, Recording
from physio.io.xdf import Writer, read, write
from physio.io.xdf.chunks import Tag, walk
from sessions import BEATS, EEG, facts, items, session

RATES = [Fraction(250), Fraction(1000, 3), Fraction(4), Fraction(1, 10)]
REASONS = [reason.nan for reason in MissingReason if reason]
VALUES = st.one_of(st.floats(width=64), st.sampled_from([*REASONS, -0.0, 5e-324]))
TIMES = st.floats(-1e6, 1e6)


def rows(draw: Any, n: int, channels: int) -> Any:
    values = draw(st.lists(VALUES, min_size=n * channels, max_size=n * channels))
    return np.array(values, np.float64).reshape(n, channels)


def infos(draw: Any, name: str, rate: Fraction, least: int) -> StreamInfo:
    names = draw(st.lists(st.text(max_size=4), unique=True, min_size=least, max_size=3))
    words = st.text(max_size=5)
    channels = tuple(
        Channel(n, draw(words), draw(words), draw(VALUES.filter(np.isfinite)))
        for n in names
    )
    origin = draw(st.sampled_from(Origin))
    return StreamInfo(name, rate, channels, origin, *(draw(words) for _ in range(4)))


def blocks(draw: Any, name: str) -> tuple[Block, ...]:
    info = infos(draw, name, draw(st.sampled_from(RATES)), 1)
    start, epoch, made = 0, draw(TIMES), []
    for _ in range(draw(st.integers(1, 4))):
        start += draw(st.integers(0, 300))  # lost
        n = draw(st.integers(0, 4))
        stamps = rows(draw, n, 1)[:, 0].copy() if draw(st.booleans()) else None
        epoch += draw(st.floats(0, 1e-3))  # slewing
        made.append(
            Block(info, start, epoch, rows(draw, n, len(info.channels)), stamps)
        )
        start += n
    return tuple(made)


def happenings(draw: Any, name: str) -> Events:
    info = infos(draw, name, Fraction(0), 0)
    times = np.sort(np.array(draw(st.lists(TIMES, max_size=5)), np.float64))
    n = len(times)
    one = st.text(max_size=6) | st.just("half a letter: \ud83d")
    text = st.lists(one, min_size=n, max_size=n)
    labels = tuple(draw(text)) if draw(st.booleans()) else ()
    until = max([draw(TIMES), *times.tolist()])
    return Events(info, until, times, rows(draw, n, len(info.channels)), labels)


@st.composite
def recordings(draw: Any) -> Recording:
    """Return streams and events, some of them in a timeline, in any order."""
    names = [f"s{i}\N{GREEK SMALL LETTER MU}.x" for i in range(draw(st.integers(0, 3)))]
    streams = {name: blocks(draw, name) for name in names}
    events = {
        f"e{i}": happenings(draw, f"e{i}") for i in range(draw(st.integers(0, 2)))
    }
    queues: list[list[Arrival]] = []
    for name, made in streams.items():
        queues.append([Arrival(name, b.start, len(b), b.t0) for b in made])
    for name, e in events.items():
        cut = draw(st.integers(0, len(e)))
        promise = float(e.times[cut - 1]) if cut else -np.inf
        first = Arrival(name, 0, cut, promise)
        queues.append([first, Arrival(name, cut, len(e) - cut, e.complete_until)])
    queues = [queue for queue in queues if draw(st.booleans())]
    timeline = []
    while queues := [queue for queue in queues if queue]:
        timeline.append(draw(st.sampled_from(queues)).pop(0))
    about = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3))
    return Recording(streams, events, tuple(timeline), {**about, "ended": "at will"})


def assert_same(got: Recording, want: Recording) -> None:
    assert dict(got.metadata) == dict(want.metadata)
    assert got.timeline == want.timeline
    assert set(got.streams) == set(want.streams)
    for name, made in want.streams.items():
        assert list(map(facts, got.streams[name])) == list(map(facts, made))
    assert set(got.events) == set(want.events)
    for name, events in want.events.items():
        assert facts(got.events[name]) == facts(events)


@settings(deadline=None, max_examples=60)
@given(recordings())
def test_recordings_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, recording: Recording
) -> None:
    path = tmp_path_factory.mktemp("xdf") / "a.xdf"
    write(path, recording)
    got = read(path)
    assert_same(got, recording)
    if recording.timeline:
        arrived = zip(got.arrivals(), recording.arrivals(), strict=True)
        assert all(facts(a) == facts(b) for a, b in arrived)


def test_an_item_has_the_cut_and_the_order_it_came_in(tmp_path: Path) -> None:
    got = read(session(tmp_path / "a.xdf"))
    assert list(map(facts, got.arrivals())) == list(map(facts, items()))


def test_computed_streams_are_kept_and_the_timeline_leaves_them_out(
    tmp_path: Path,
) -> None:
    with Writer(tmp_path / "a.xdf") as writer:
        for item in items():
            writer.write(item, arrived=item.info != BEATS)
    got = read(tmp_path / "a.xdf")
    assert {arrival.stream for arrival in got.timeline} == {
        "headset.eeg",
        "session.stream_timeout",
    }
    assert len(got.events["skin.beats"]) == 12


def test_pyxdf_reads_the_same_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = session(tmp_path / "a.xdf")
    with caplog.at_level(logging.WARNING):
        found, _ = pyxdf.load_xdf(path)  # with all it does to time stamps by default
    assert not caplog.records
    streams = {s["info"]["name"][0]: s for s in found}
    made = [item for item in items() if isinstance(item, Block)]
    eeg = streams["headset.eeg"]
    data = np.concatenate([block.data for block in made])
    assert eeg["time_series"].tobytes() == data.tobytes()
    times = np.concatenate([block.times for block in made])
    assert eeg["time_stamps"].tobytes() == times.tobytes()
    assert eeg["footer"]["info"]["sample_count"] == [str(len(data))]
    assert eeg["info"]["type"] == ["EEG"]
    channels = eeg["info"]["desc"][0]["channels"][0]["channel"]
    assert [c["label"] + c["type"] + c["unit"] for c in channels] == [
        ["F3", "eeg", "microvolts"],
        ["F4", "eeg", "microvolts"],
    ]
    stamps = np.concatenate([b.stamps for b in made if b.stamps is not None])
    assert streams["headset.eeg.stamps"]["time_series"].tobytes() == stamps.tobytes()
    beats = [item for item in items() if item.info == BEATS]
    labels = [[label] for e in beats if isinstance(e, Events) for label in e.labels]
    assert streams["skin.beats"]["time_series"] == labels
    assert streams["skin.beats"]["info"]["type"] == ["Markers"]
    numbers = np.concatenate([item.data for item in beats])
    assert streams["skin.beats.data"]["time_series"].tobytes() == numbers.tobytes()


def test_announced_streams_are_there_though_nothing_came(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.xdf") as writer:
        writer.open_streams([EEG, BEATS])
    got = read(tmp_path / "a.xdf")
    assert got.infos == (EEG, BEATS)
    assert (len(got.streams["headset.eeg"][0]), len(got.events["skin.beats"])) == (0, 0)


def test_a_boundary_comes_at_least_every_ten_seconds(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.xdf") as writer:
        for i in range(60):
            writer.write(single_event(BEATS, 100.0 + i, "", 0.8))
    raw = (tmp_path / "a.xdf").read_bytes()
    marks_at = [c.tag for c in walk(memoryview(raw)) if c.tag == Tag.BOUNDARY]
    assert len(marks_at) == 6
    assert raw.count(bytes.fromhex("43A546DCCBF5410FB30ED5467383CBE4")) == 6


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, "completed"),
        (KeyboardInterrupt(), "interrupted by Ctrl-C"),
        (ValueError("no such band"), "failed: ValueError: no such band"),
    ],
)
def test_the_file_says_how_the_session_ended(
    tmp_path: Path, error: BaseException | None, ended: str
) -> None:
    writer = Writer(tmp_path / "a.xdf")
    writer.__exit__(None if error is None else type(error), error, None)
    assert read(tmp_path / "a.xdf").metadata == {"ended": ended}


def test_a_recording_is_never_overwritten_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    for participant in ("p01", "p02", "p03"):
        with Writer(path, {"participant": participant}):
            pass
    names = {p.name: read(p).metadata["participant"] for p in tmp_path.glob("*.xdf")}
    assert names == {"a_old1.xdf": "p01", "a_old2.xdf": "p02", "a.xdf": "p03"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "a.xdf", tmp_path / "elsewhere.xdf"
    path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="cannot record into") as error:
        Writer(path)
    assert str(error.value) == f"cannot record into {path}: File exists"
    assert not elsewhere.exists()


def test_a_stream_cannot_become_another(tmp_path: Path) -> None:
    other = EEG.with_channels(Fraction(500), *EEG.channels)
    with Writer(tmp_path / "a.xdf") as writer:
        writer.open_streams([EEG])
        with pytest.raises(ValueError, match="cannot go on as StreamInfo") as error:
            writer.open_streams([other])
        assert str(error.value) == (
            f"'headset.eeg' in {tmp_path / 'a.xdf'} is {EEG}, and cannot go on as "
            f"{other}"
        )
        with pytest.raises(ValueError, match="of another kind already") as error:
            writer.open_streams([event_stream("headset.eeg")])
    assert str(error.value) == (
        f"{tmp_path / 'a.xdf'} has a stream 'headset.eeg' of another kind already"
    )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder") as error:
        Writer(tmp_path / "no" / "a.xdf")
    assert str(error.value) == (
        f"cannot record into {tmp_path / 'no' / 'a.xdf'}: there is no folder "
        f"{tmp_path / 'no'}"
    )
