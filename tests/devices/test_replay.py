"""A recording, replayed."""

from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from devices.replay import Replay
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.protocols import FastClock, WallClock
from physio.core.recording import Arrival, Recording, stream_timeout
from physio.core.stage import Stage
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session

EEG = StreamInfo("headset.eeg", Fraction(250), (Channel("Fz", "eeg", "uV"),))
EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
DEAD = StreamInfo("band.temp", Fraction(4), (Channel("temp", "temperature", "degC"),))
TAGS = event_stream("band.tags")


def samples(info: StreamInfo, start: int, n: int, epoch: float) -> Block:
    data = np.arange(start, start + n, dtype=np.float64)[:, None].copy()
    return Block(info, start, epoch, data, stamps=data[:, 0] + 0.5)


def with_gap() -> Recording:
    """2 s from 7.1 s on, of which EEG samples 100 to 129 were lost, and two tags."""
    return Recording(
        {
            EEG.name: (samples(EEG, 0, 100, 7.1), samples(EEG, 130, 370, 7.101)),
            EDA.name: (samples(EDA, 0, 8, 7.2),),
            DEAD.name: (samples(DEAD, 0, 0, 7.1),),
            "features": (samples(replace(EDA, name="features"), 0, 8, 7.2),),
        },
        {
            TAGS.name: Events(
                TAGS, 9.0, np.array([7.5, 8.8]), np.empty((2, 0)), ("a", "b")
            ),
            "session.status": single_event(
                event_stream("session.status"), 8.0, "ended"
            ),
        },
    )


def live() -> Recording:
    """A session in which EDA stalled, was declared silent, and came late."""
    told = stream_timeout("band.eda", 8.25)
    return replace(
        with_gap(),
        streams={
            EEG.name: (samples(EEG, 0, 100, 7.1), samples(EEG, 130, 370, 7.101)),
            EDA.name: (samples(EDA, 0, 2, 7.2), samples(EDA, 2, 6, 7.2)),
            DEAD.name: (samples(DEAD, 0, 0, 7.1),),
            "estimates": (samples(replace(EDA, name="estimates"), 0, 8, 7.2),),
        },
        events=with_gap().events
        | {
            told.info.name: told,
            "skin": single_event(event_stream("skin"), 8.0, "response"),
        },
        timeline=(
            Arrival(EDA.name, 0, 2, 7.2),
            Arrival(TAGS.name, 0, 1, 7.6),
            Arrival(EEG.name, 0, 100, 7.1),
            Arrival(EEG.name, 130, 370, 7.101),
            Arrival(told.info.name, 0, 1, 8.25),
            Arrival(EDA.name, 2, 6, 7.2),
            Arrival(TAGS.name, 1, 1, 8.9),
        ),
        metadata={"begin": "7.0"},
    )


def drain(replay: Replay, polls: list[float]) -> list[Block | Events]:
    """Read after each of ``polls`` s, and then to the end."""
    items: list[Block | Events] = []
    with replay:
        for wait in polls:
            replay.clock.wait(wait)
            items += replay.read()
        replay.clock.wait(10.0)
        items += replay.read()
        assert replay.ended
    return items


def whole(items: list[Block | Events], name: str) -> tuple[list[int], list[float]]:
    """Return number and value of all samples of a stream, as they came."""
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == name]
    numbers = [n for b in blocks for n in range(b.start, b.stop)]
    return numbers, [v for b in blocks for v in b.data[:, 0].tolist()]


@pytest.mark.parametrize("seed", range(4))
def test_all_samples_come_once_and_as_they_were(seed: int) -> None:
    rng = Random(seed)
    polls = [rng.choice([0.0, 0.004, 0.02, 0.1, 0.5]) for _ in range(30)]
    items = drain(Replay(with_gap(), FastClock(7.1)), polls)
    lost_apart = [*range(100), *range(130, 500)]
    assert whole(items, EEG.name) == (lost_apart, [float(n) for n in lost_apart])
    assert whole(items, EDA.name) == (list(range(8)), [float(n) for n in range(8)])
    assert {b.t0 for b in items if b.info == EEG} == {7.1, 7.101}
    for block in (i for i in items if isinstance(i, Block)):
        assert block.stamps is not None
        np.testing.assert_array_equal(block.stamps, block.data[:, 0] + 0.5)
    tags = [(t, *e.labels) for e in items if e.info == TAGS for t in e.times]
    assert tags == [(7.5, "a"), (8.8, "b")]


@pytest.mark.parametrize("recording", [with_gap(), live()], ids=["merged", "timeline"])
def test_what_comes_is_what_is_due(recording: Recording) -> None:
    clock = FastClock(recording.begin)
    with Replay(recording, clock) as replay:
        while not replay.ended:
            now = clock.now()
            for item in replay.read():
                newest = (
                    item.complete_until if isinstance(item, Block) else item.times[-1]
                )
                assert newest <= now
            clock.wait(0.004)


def test_a_sample_comes_at_its_time_and_not_before() -> None:
    clock = FastClock(7.1)
    with Replay(with_gap(), clock) as replay:
        assert [len(i) for i in replay.read()] == [1]  # the EEG sample at 7.1 s itself
        clock.time = np.nextafter(7.1 + 1 / 250, 0)
        assert replay.read() == []
        clock.time = 7.1 + 1 / 250
        assert [(i.info, len(i)) for i in replay.read()] == [(EEG, 1)]


def test_a_timeline_is_repeated_item_by_item() -> None:
    recording = live()
    items = drain(Replay(recording, FastClock(7.0)), [0.02] * 80)
    came = [
        (i.info.name, i.start if isinstance(i, Block) else i.labels, len(i))
        for i in items
    ]
    assert came == [
        ("band.eda", 0, 2),
        ("band.tags", ("a",), 1),
        ("headset.eeg", 0, 100),
        ("headset.eeg", 130, 370),
        ("session.stream_timeout", ("band.eda",), 1),
        ("band.eda", 2, 6),
        ("band.tags", ("b",), 1),
    ]
    assert items[1].complete_until == 7.6
    assert items[3] is recording.streams[EEG.name][1]


def test_who_declares_silence() -> None:
    assert Replay(live()).declares_silence
    assert not Replay(with_gap()).declares_silence


def test_what_was_computed_is_not_replayed() -> None:
    names = [info.name for info in Replay(with_gap()).streams]
    assert names == ["headset.eeg", "band.eda", "band.temp", "band.tags"]
    names = [info.name for info in Replay(live()).streams]
    assert names == [
        "headset.eeg",
        "band.eda",
        "band.temp",
        "band.tags",
        "session.stream_timeout",
    ]


@pytest.mark.parametrize("recording", [with_gap(), live()], ids=["merged", "timeline"])
def test_another_clock_moves_all_times_alike(recording: Recording) -> None:
    polls = [0.1013] * 10  # no poll falls on a sample, where rounding would decide
    moved = drain(Replay(recording, FastClock(1000.0 + recording.begin)), polls)
    there = drain(Replay(recording, FastClock(recording.begin)), polls)
    assert len(moved) == len(there)
    for a, b in zip(moved, there, strict=True):
        if isinstance(a, Block) and isinstance(b, Block):
            assert a.start == b.start
            np.testing.assert_array_equal(a.data, b.data)
        else:
            assert a.labels == b.labels
            # Times of about 1000 s are rounded to 1e-13 s, and are moved only once.
            assert a.complete_until == pytest.approx(b.complete_until + 1000, abs=1e-12)
        np.testing.assert_allclose(a.times, b.times + 1000, rtol=0, atol=1e-12)


def test_a_fast_wall_clock_sets_the_pace() -> None:
    with Replay(with_gap(), WallClock(speed=1e6)) as replay:
        replay.clock.wait(10.0)  # ten millionths of a second
        assert len(whole(replay.read(), EEG.name)[0]) == 470
        assert replay.ended


def test_nothing_comes_of_a_closed_replay() -> None:
    clock = FastClock(7.1)
    with Replay(with_gap(), clock) as replay:
        assert not replay.ended
    clock.wait(1.0)
    assert replay.read() == []
    assert replay.ended


def uneven(zero: float, ends: tuple[float, float]) -> Recording:
    """Return two streams that end at different times, and events long after both."""
    streams = {}
    for (name, rate), end in zip((("a.eda", 4), ("a.bvp", 64)), ends, strict=True):
        info = StreamInfo(name, Fraction(rate), (Channel("x", "misc"),))
        data = np.arange(float(round(end * rate)))[:, None]
        streams[name] = (Block(info, 0, zero, data),)
    times = zero + np.array([1.0, 900.0])
    e = Events(event_stream("m"), times[-1], times, np.empty((2, 0)), ("a", "stray"))
    return Recording(streams, {"m": e})


@pytest.mark.parametrize("zero", [0.0, 1000.37])
@pytest.mark.parametrize("ends", [(9.0, 9.0), (5.3, 9.9), (9.9, 5.3), (12.2, 11.9)])
@pytest.mark.parametrize("poll", [0.05, 1.0])
def test_a_replay_ends_with_its_last_sample(
    zero: float, ends: tuple[float, float], poll: float
) -> None:
    """It gives as many rows as the computation offline, and no stall at its end."""
    recording = uneven(zero, ends)
    plan = PipelineConfig({"a": ChainConfig("a.eda"), "b": ChainConfig("a.bvp")})
    clock = FastClock(recording.begin)
    with Session(plan, [Replay(recording, clock)], (), clock, poll) as session:
        items = list(session)
    assert clock.now() <= recording.end + 2 * poll
    rows = [i for i in items if isinstance(i, Block) and i.info.name == "features"]
    offline = [
        i
        for i in run(recording, plan)
        if isinstance(i, Block) and i.info.name == "features"
    ]
    assert sum(map(len, rows)) == sum(map(len, offline))
    np.testing.assert_array_equal(
        np.concatenate([b.data for b in rows]),
        np.concatenate([b.data for b in offline]),
    )
    labels = [x for i in items if isinstance(i, Events) for x in i.labels]
    assert labels.count("stray") == 1
    assert not any("stalled" in x for x in labels)


@dataclass(frozen=True)
class RatingCount(Stage):
    """An estimator whose output is the number of ratings so far."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info.with_channels(None, Channel("count", "misc"))

    def initial_state(self, info: StreamInfo) -> list[int]:  # noqa: ARG002
        return [0]

    def process(self, state: list[int], x: np.ndarray) -> np.ndarray:
        return np.full((len(x), 1), float(state[0]))

    def on_events(self, state: list[int], events: Events) -> None:
        state[0] += len(events) if events.info.name == "session.ratings" else 0


class ShortReads(Replay):
    """A replay that is read at every interval."""

    calm_until = -np.inf


def rated() -> Recording:
    """Return two streams, one with a gap of 3 s, and ratings, of 150 s."""
    zero = 1000.0
    bvp = StreamInfo("a.bvp", Fraction(64), (Channel("x", "misc"),))
    halves = [(0, 64 * 90), (64 * 93, 64 * 57)]
    streams = {
        bvp.name: tuple(samples(bvp, at, n, zero) for at, n in halves),
        EDA.name: (samples(EDA, 0, 600, zero),),
    }
    times = zero + np.array([40.4, 40.9, 95.25, 140.0])
    ratings = event_stream("session.ratings")
    events = Events(ratings, times[-1], times, np.empty((4, 0)), ("sam",) * 4)
    return Recording(streams, {ratings.name: events}, metadata={"begin": repr(zero)})


def test_long_reads_give_the_results_of_short_ones() -> None:
    """No event takes effect at another tick, and no gap reads otherwise."""
    chains = {"a": ChainConfig("a.bvp"), "b": ChainConfig(EDA.name)}
    plan = PipelineConfig(chains, estimator=RatingCount())
    results, reads = [], []
    for kind in (Replay, ShortReads):
        recording = rated()
        clock = FastClock(recording.begin)
        with Session(plan, [kind(recording, clock)], (), clock, 1.0) as session:
            blocks = [i for i in session if isinstance(i, Block)]
        reads.append(sum(b.info == EDA for b in blocks))
        results.append(
            [
                np.vstack([b.data for b in blocks if b.info.name == name]).tobytes()
                for name in ("features", "estimates")
            ]
        )
    assert results[0] == results[1]
    assert reads[1] > 6 * reads[0]
