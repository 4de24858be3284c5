"""Clocks and rates of other programs' files: mended in a sentence, or refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import physio
from foreign_xdf import Stream, write
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.clock_check import check_clocks
from physio.core.events import Events, event_stream
from physio.core.recording import Arrival, Recording

UNIX = 1.7e9
GRID = 1000 + np.arange(5000) / 250


def times_of(recording: Recording, stream: str) -> Array:
    return np.concatenate([b.times for b in recording.streams[stream]])


def counts_of(recording: Recording, stream: str) -> Array:
    return np.concatenate([b.data[:, 0] for b in recording.streams[stream]])


def lost(recording: Recording, stream: str) -> int:
    blocks = recording.streams[stream]
    return blocks[-1].stop - blocks[0].start - sum(map(len, blocks))


def warnings(recording: Recording) -> str:
    return recording.metadata.get("warnings", "")


# Bursts: the nominal rate stays, no sample is lost


@pytest.mark.parametrize(
    ("rate", "size", "inside", "jitter"),
    [
        (300, 9, 1e-5, 0.0),
        (300, 9, 1e-5, 0.002),
        (256, 12, 1e-3, 0.0),
        (256, 12, 1e-3, 0.005),
        (256, 12, 0.0, 0.003),
        (500, 2, 1e-4, 0.0),
        (500, 2, 5e-4, 0.0),
        (100, 2, 0.005, 0.0),
        (128, 4, 0.0, 0.0),
        (1000, 50, 1e-5, 0.01),
    ],
)
def test_bursts_have_their_nominal_rate(
    tmp_path: Path, rate: int, size: int, inside: float, jitter: float
) -> None:
    rng = np.random.default_rng(1)
    k = np.arange(20 * rate // size * size)
    sent = 1000 + (k // size + 1) * size / rate
    sent += np.repeat(np.abs(rng.normal(0, jitter, len(k) // size)), size)
    stamps = sent + k % size * inside
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", stamps, str(rate))))
    assert got.streams["a.eeg"][0].info.rate == rate
    assert lost(got, "a.eeg") == 0
    packet = size / rate
    late = times_of(got, "a.eeg") - (1000 + k / rate)
    assert np.abs(late - packet).max() < packet + 4 * jitter
    assert "clock" not in warnings(got)


# Rates: measured where the nominal one is wrong or missing


@pytest.mark.parametrize(
    ("nominal", "true"),
    [("512", 256), ("128", 256), ("256", 128), ("0", 256), ("", 256), ("-1", 128)],
)
def test_a_wrong_rate_is_measured(tmp_path: Path, nominal: str, true: int) -> None:
    stamps = 1000 + np.arange(20 * true) / true
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", stamps, nominal)))
    assert got.streams["a.eeg"][0].info.rate == true
    assert lost(got, "a.eeg") == 0
    assert f"measures {true}" in warnings(got)


def test_two_percent_off_is_no_loss(tmp_path: Path) -> None:
    stamps = 1000 + np.arange(5000) / 245
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", stamps)))
    assert lost(got, "a.eeg") == 0
    assert got.streams["a.eeg"][0].info.rate == 245


def test_markers_with_a_rate_are_events(tmp_path: Path) -> None:
    at = 1000 + np.cumsum(np.random.default_rng(2).uniform(1, 3, 30))
    trigger = Stream("t", at, "10000", "Markers")
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", GRID), trigger))
    np.testing.assert_array_equal(got.events["t.markers"].times, at)
    assert "t.markers" not in got.streams


@pytest.mark.parametrize("kind", ["Gaze", "RR", "Keys"])
def test_irregular_numbers_stay_events(tmp_path: Path, kind: str) -> None:
    at = 1000 + np.cumsum(np.random.default_rng(3).normal(0.85, 0.03, 200))
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", at, "0", kind)))
    assert not got.streams


# Clocks that were set


@pytest.mark.parametrize("step", [200_000.0, -300.0, -2.0, 1e9])
def test_a_clock_that_was_set_loses_nothing(tmp_path: Path, step: float) -> None:
    stamps = GRID + np.where(np.arange(len(GRID)) < 3000, 0.0, step)
    marker = Stream("m", np.array([1005.0, 1015.0]), "0", "Markers", "string")
    got = physio.read(
        write(tmp_path / "a.xdf", Stream("a", stamps, written=GRID), marker)
    )
    np.testing.assert_allclose(times_of(got, "a.eeg"), GRID, atol=1e-6)
    assert lost(got, "a.eeg") == 0
    assert f"the clock of a.eeg was set by {step:+.3f} s before" in warnings(got)
    assert got.events["m.markers"].times.tolist() == [1005.0, 1015.0]


def test_a_clock_that_was_set_and_set_back(tmp_path: Path) -> None:
    k = np.arange(len(GRID))
    stamps = GRID + np.where((k // 500) % 2, 4000.0, 0.0)
    path = write(tmp_path / "a.xdf", Stream("a", stamps, written=GRID))
    np.testing.assert_allclose(times_of(physio.read(path), "a.eeg"), GRID, atol=1e-6)


def test_a_step_that_other_streams_do_not_have_is_of_the_clock(tmp_path: Path) -> None:
    stamps = GRID + np.where(np.arange(len(GRID)) < 2500, 0.0, 3600.0)
    skin = Stream("s", 1000 + np.arange(80) / 4, "4", "EDA")
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", stamps), skin))
    np.testing.assert_allclose(times_of(got, "a.eeg"), GRID, atol=1e-6)


def test_a_pause_of_an_hour_is_a_gap(tmp_path: Path) -> None:
    stamps = GRID + np.where(np.arange(len(GRID)) < 2500, 0.0, 3600.0)
    skin = Stream("s", 1000 + np.arange(4 * 3620) / 4, "4", "EDA")
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", stamps), skin))
    np.testing.assert_allclose(times_of(got, "a.eeg"), stamps, atol=1e-6)
    assert lost(got, "a.eeg") == 3600 * 250
    assert "clock" not in warnings(got)


def test_packets_out_of_order_are_sorted(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    order = np.concatenate([np.arange(500), 500 + 32 * rng.permutation(100).repeat(32)
                            + np.tile(np.arange(32), 100)])  # fmt: skip
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", GRID[order], written=GRID)))
    sorted_counts = np.argsort(order, kind="stable")
    np.testing.assert_array_equal(counts_of(got, "a.eeg"), sorted_counts)
    assert lost(got, "a.eeg") == 0
    assert "out of order" in warnings(got)


# Clock offsets


@pytest.mark.parametrize("garbage", [-1e10, np.nan, np.inf, 1e300, 3600.0])
@pytest.mark.parametrize("last", [1, 2])
def test_a_garbage_offset_moves_nothing(
    tmp_path: Path, garbage: float, last: int
) -> None:
    offsets = [(1000.0 + 5 * i, 0.25) for i in range(4)]
    offsets += [(1020.0 + 5 * i, garbage) for i in range(last)]
    path = write(tmp_path / "a.xdf", Stream("a", GRID, offsets=offsets))
    got = physio.read(path)
    np.testing.assert_allclose(times_of(got, "a.eeg"), GRID + 0.25, atol=1e-6)
    words = f"{last} of {4 + last} measurements of the clock of a.eeg cannot be right"
    assert words in warnings(got)


def test_a_restarted_clock_is_followed(tmp_path: Path) -> None:
    half = len(GRID) // 2
    stamps = np.concatenate([GRID[:half], GRID[half:] - 1000])
    offsets = [(1000.0 + i, 0.0) for i in (0, 5, 9)]
    offsets += [(0.0 + i, 1000.0) for i in (11, 15, 19)]
    stream = Stream("a", stamps, offsets=offsets, written=GRID)
    got = physio.read(write(tmp_path / "a.xdf", stream))
    np.testing.assert_allclose(times_of(got, "a.eeg"), GRID, atol=0.01)


# Clocks that do not belong together


def test_another_clock_is_placed_by_the_order_of_the_file(tmp_path: Path) -> None:
    skin = Stream("s", UNIX + np.arange(80) / 4, "4", "EDA", size=2)
    skin.written = 1000 + np.arange(80) / 4
    marks = Stream("m", UNIX + np.array([5.0, 15.0]), "0", "Markers", "string", size=1)
    marks.written = np.array([1005.0, 1015.0])
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", GRID), skin, marks))
    np.testing.assert_allclose(times_of(got, "s.eda"), skin.written, atol=0.3)
    np.testing.assert_allclose(got.events["m.markers"].times, marks.written, atol=0.3)
    assert "m.markers has another clock, 53.9 years from" in warnings(got)
    assert got.seconds < 21


def test_events_of_another_clock_are_left_out(tmp_path: Path) -> None:
    marks = Stream("m", UNIX + np.array([5.0]), "0", "Markers", "string")
    got = physio.read(write(tmp_path / "a.xdf", Stream("a", GRID), marks))
    assert not len(got.events["m.markers"])
    assert "m.markers: 1 of 1 events lie up to 53.9 years after" in warnings(got)


def test_signals_of_another_clock_are_refused(tmp_path: Path) -> None:
    skin = Stream("s", UNIX + np.arange(80) / 4, "4", "EDA")
    path = write(tmp_path / "a.xdf", Stream("a", GRID), skin)
    with pytest.raises(ValueError, match="do not belong together") as error:
        physio.read(path)
    assert str(error.value) == (
        f"{path}: s.eda begins 53.9 years after a.eeg ends: their clocks do not belong "
        "together; correct the start of one, or keep them in separate files"
    )


@pytest.mark.parametrize("unit", [1e3, 1e6])
def test_stamps_in_milliseconds(tmp_path: Path, unit: float) -> None:
    skin = Stream("s", 1000 + np.arange(80) / 4, "4", "EDA")
    path = write(tmp_path / "a.xdf", Stream("a", GRID * unit), skin)
    got = physio.read(path)
    np.testing.assert_allclose(times_of(got, "a.eeg"), GRID, atol=1e-6)
    assert f"the stamps of a.eeg are in units of {1 / unit:g} s" in warnings(got)


def test_events_of_a_session_are_placed_by_their_arrival() -> None:
    """As of recordings of earlier versions, which believed the markers' stamps."""
    info = StreamInfo("h.eeg", Fraction(250), (Channel("Fz", "eeg", "uV"),))
    parts = tuple(Block(info, k, 100.0, np.zeros((250, 1))) for k in (0, 250, 500))
    times = UNIX + np.array([1.0, 2.0])
    marks = Events(event_stream("m"), times[-1], times, np.empty((2, 0)), ("a", "b"))
    timeline = []
    for i, part in enumerate(parts):
        timeline.append(Arrival("h.eeg", part.start, 250, 100.0))
        if i < 2:
            timeline.append(Arrival("m", i, 1, float(times[i])))
    recording = Recording({"h.eeg": parts}, {"m": marks}, tuple(timeline))
    got = check_clocks(recording)
    np.testing.assert_allclose(got.events["m"].times, [100.996, 101.996])
    assert [a.t0 for a in got.timeline if a.stream == "m"] == [
        pytest.approx(100.996),
        pytest.approx(101.996),
    ]
    assert "m: 2 of 2 events lie up to 53.9 years after" in warnings(got)
    assert [i.info.name for i in got.arrivals()] == ["h.eeg", "m"] * 2 + ["h.eeg"]
