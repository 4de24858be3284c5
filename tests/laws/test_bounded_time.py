"""No time from outside, however hostile, makes a session or an array without bound."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from physio.core.aligner import StreamAligner, TickGrid
from physio.core.block import Block, Channel, StreamInfo
from physio.core.clock_check import (
    APART,
    LONGEST,
    MISSING_RATIO,
    MOST_MISSING,
    check_clocks,
)
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.core.timing.clock_model import WrappingCounter
from physio.core.timing.dejitter import LONGEST_GAP, fit
from physio.core.timing.sample_counter import CounterAligner
from physio.core.timing.timestamps import NEVER, TimestampAligner
from physio.online.engine import PipelineConfig, run

HOSTILE = st.one_of(
    st.sampled_from([0.0, 1e-9, 0.3, 2.0, 200_000.0, 1.7e9, 1.7e12, -1e10, 1e300]),
    st.floats(-1e4, 1e4),
)
ANY = HOSTILE | st.sampled_from([np.nan, np.inf, -np.inf])
RATE = Fraction(64)
INFO = StreamInfo("a.eeg", RATE, (Channel("Fz", "eeg", "uV"),))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(HOSTILE, st.integers(1, 40)), min_size=1, max_size=8))
def test_the_grid_of_a_file_is_bounded(parts: list[tuple[float, int]]) -> None:
    """No gap is longer than the longest that a session can have."""
    steps = [s for jump, n in parts for s in [jump, *[1 / 64] * n]]
    stamps = 1000 + np.cumsum(steps)
    if np.abs(stamps).max() > NEVER:
        with pytest.raises(ValueError, match="which is no time"):
            fit(stamps, RATE)
        return
    grid = fit(stamps, RATE)
    first = np.array([r.epoch + r.start / float(grid.rate) for r in grid.runs])
    number = np.array([r.start for r in grid.runs])
    assert (np.diff(number) > 0).all()
    gap = (LONGEST_GAP + 60) * float(grid.rate)
    rows = np.diff([r.first for r in grid.runs])
    assert (np.diff(number) - rows <= gap).all()
    if len(first) > 1:
        assert np.ptp(first) <= len(parts) * (LONGEST_GAP + 60) + len(stamps)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Return two streams and events with any times."""
    streams = {}
    for name in ("a.eeg", "b.eda"):
        info = StreamInfo(name, RATE, (Channel("x", "misc"),))
        blocks, start = [], 0
        for t0, lost, n in draw(
            st.lists(
                st.tuples(ANY, st.sampled_from([0, 0, 5, 10**9, 10**15]),
                          st.integers(0, 9)),
                min_size=1, max_size=3,
            )
        ):  # fmt: skip
            start += lost
            blocks.append(Block(info, start, t0, np.zeros((n, 1))))
            start += n
        streams[name] = tuple(blocks)
    times = np.sort(draw(st.lists(HOSTILE, max_size=4)))
    labels = tuple("x" for _ in times)
    e = Events(event_stream("m"), 0.0, times, np.empty((len(times), 0)), labels)
    return Recording(streams, {"m": e})


@settings(deadline=None, max_examples=150)
@given(recordings())
def test_a_recording_is_bounded_or_refused(recording: Recording) -> None:
    try:
        checked = check_clocks(recording)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 it is raised or it is not
        return
    assert np.isfinite([checked.begin, checked.end]).all()
    assert checked.seconds <= LONGEST
    for blocks in checked.streams.values():
        filled = [b for b in blocks if len(b)]
        if filled:
            present = sum(map(len, filled))
            missing = filled[-1].stop - filled[0].start - present
            assert missing <= max(MOST_MISSING, MISSING_RATIO * present)
    if any(len(b) for blocks in checked.streams.values() for b in blocks):
        for e in checked.events.values():
            assert (e.times >= checked.begin - APART).all()
            assert (e.times <= checked.end + APART).all()
            sentence = checked.metadata.get("warnings", "")
            assert len(e) == len(recording.events["m"]) or "m: " in sentence


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(ANY, st.integers(0, 6)), min_size=1, max_size=40),
    st.sampled_from(["added", "instead", "scaled"]),
)
@example(
    [(0.0, 5), *[(0.0, 6)] * 7, (200_000.0, 6), *[(0.0, 6)] * 2, (0.0, 0)], "scaled"
)
def test_live_samples_are_bounded_by_their_arrival(
    parts: list[tuple[float, int]], how: str
) -> None:
    """Whatever stamps say, no sample is placed after the present."""
    rate, now, k = 64.0, 5000.0, 0
    aligner = TimestampAligner(rate)
    placed = []
    for wrong, n in parts:
        now += 0.1
        true = now - (n - 1 - np.arange(n)) / rate
        stamps = {
            "added": true + wrong,
            "instead": np.full(n, wrong),
            "scaled": true * (wrong or 1.0),
        }[how]
        rows = k + np.arange(float(n))[:, None]
        k += n
        placed += [(p, now) for p in aligner.push(stamps, stamps, rows, now)]
    for p, at in placed:
        assert np.isfinite(p.t0)
        last = p.t0 + (p.start + len(p.rows) - 1) / rate
        assert last <= at + 2.0 + len(p.rows) / rate
    starts = [p.start for p, _ in placed]
    stops = [p.start + len(p.rows) for p, _ in placed]
    assert all(b >= a for a, b in zip(stops, starts[1:], strict=False))
    assert not stops or stops[-1] <= k + (now - 5000 + 400) * rate


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 6)), max_size=60),
    ANY,
    st.sampled_from([7, 256, 65_536, 2**32]),
)
def test_counted_samples_are_bounded_by_their_arrival(
    parts: list[tuple[int, int]], wrong: float, wrap: int
) -> None:
    rate, now = 64.0, 5000.0
    aligner = CounterAligner(rate, WrappingCounter(wrap))
    stops = [0]
    for count, n in parts:
        now += 0.1
        counts = (count + np.arange(n)) % wrap
        stamps = np.full(n, wrong)
        for p in aligner.push(counts, stamps, np.zeros((n, 1)), now):
            assert p.start >= stops[-1]
            stops.append(p.start + len(p.rows))
    total = sum(n for _, n in parts)
    assert stops[-1] <= total + (now - 5000 + 2) * rate * 1.5 + 2 * wrap * (wrap < 300)


def test_ticks_are_bounded() -> None:
    aligner = StreamAligner(TickGrid(), (INFO,), 0.0)
    assert len(aligner.push(Block(INFO, 0, 0.0, np.zeros((64, 1))))) == 4
    with pytest.raises(ValueError, match=r"the clock of a\.eeg is wrong"):
        aligner.push(Block(INFO, 64, 1.7e9, np.zeros((64, 1))))


def test_a_stray_event_computes_nothing() -> None:
    times = np.array([5.0, 900.0])
    e = Events(event_stream("m"), 900.0, times, np.empty((2, 0)), ("a", "late"))
    block = Block(INFO, 0, 0.0, np.zeros((640, 1)))
    items = list(run(Recording({"a.eeg": (block,)}, {"m": e}), PipelineConfig()))
    assert not [i for i in items if i.info.name == "features"]


@pytest.mark.parametrize("gap", [3600.0, 5 * 86_400.0])
def test_a_gap_is_told_or_refused(gap: float) -> None:
    lost = int(gap * 64)
    blocks = (
        Block(INFO, 0, 0.0, np.zeros((640, 1))),
        Block(INFO, 640 + lost, 0.0, np.zeros((640, 1))),
    )
    recording = Recording({"a.eeg": blocks})
    if gap < LONGEST_GAP:
        assert check_clocks(recording) is recording
        return
    with pytest.raises(ValueError, match="do not belong together"):
        check_clocks(recording)
