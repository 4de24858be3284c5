"""What is computed depends on what arrived, and in which order, alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.protocols import Device, FastClock
from physio.core.recording import Recording, stream_timeout
from physio.core.stage import Chain, Stage, State
from physio.online.chain_runner import ChainConfig
from physio.online.engine import Engine, PipelineConfig, StallDetector, run
from physio.online.session import Session

EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
EEG = StreamInfo("head.eeg", Fraction(32), (Channel("Fz", "eeg", "uV"),))
PLAN = PipelineConfig({"eda": ChainConfig("band.eda"), "eeg": ChainConfig("head.eeg")})


@dataclass(frozen=True)
class Brittle(Stage):
    """Fails from a sample of 99 on."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info

    def initial_state(self, info: StreamInfo) -> State:  # noqa: ARG002
        return None

    def process(self, state: State, x: Array) -> Array:  # noqa: ARG002
        if np.any(x == 99):
            raise RuntimeError("99 came")
        return x


@dataclass
class Script(Device):
    """A device that says what a script has for each time."""

    sends: tuple[StreamInfo, ...]
    script: Sequence[tuple[float, Block | Events]]
    clock: FastClock
    given: int = 0

    def __exit__(self, *_: object) -> None:
        self.given = len(self.script)

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return self.sends

    @property
    def ended(self) -> bool:
        return self.given == len(self.script)

    def read(self) -> list[Block | Events]:
        now, items = self.clock.now(), []
        while not self.ended and self.script[self.given][0] <= now:
            items.append(self.script[self.given][1])
            self.given += 1
        return items


def block(info: StreamInfo, start: int, n: int, epoch: float = 0.0) -> Block:
    data = np.arange(start, start + n, dtype=np.float64)[:, None]
    return Block(info, start, epoch, data)


def steady(info: StreamInfo, seconds: int, *, until: float = np.inf) -> list:
    """Return a block each half second, told when it is whole."""
    n = int(info.rate / 2)
    halves = range(int(2 * min(seconds, until)))
    return [((h + 1) / 2, block(info, h * n, n)) for h in halves]


def session(script: list, plan: PipelineConfig = PLAN, **settings: float) -> Session:
    clock = FastClock()
    device = Script((EDA, EEG), sorted(script, key=lambda p: p[0]), clock)
    return Session(plan, [device], clock=clock, poll=0.1, **settings)


def columns(items: list, name: str) -> np.ndarray:
    parts = [i.column(name) for i in items if i.info.name == "features"]
    return np.concatenate(parts)


def go(live: Session) -> list:
    with live:
        return list(live)


def test_features_of_all_streams_meet_on_ticks() -> None:
    items = go(session(steady(EDA, 5) + steady(EEG, 5)))
    np.testing.assert_array_equal(columns(items, "eda.eda"), np.arange(20))
    np.testing.assert_array_equal(columns(items, "eeg.Fz"), np.arange(0, 160, 8))


def test_a_stream_that_dies_is_declared_silent_and_the_others_go_on() -> None:
    live = session(steady(EDA, 9, until=4) + steady(EEG, 9))
    items = go(live)
    skin, eeg = columns(items, "eda.eda"), columns(items, "eeg.Fz")
    assert len(skin) == len(eeg) > 30
    assert not np.isnan(eeg).any()
    # The last sample is at 3.75 s, and holds for 1 s.
    np.testing.assert_array_equal(np.isnan(skin), np.arange(len(skin)) / 4 > 4.75)
    declared = [i for i in items if i.info.name == "session.stream_timeout"]
    assert {label for d in declared for label in d.labels} == {"band.eda"}


def test_samples_that_come_late_are_flagged_and_counted() -> None:
    script = steady(EEG, 12)
    script += [(8.0, block(EDA, 0, 20)), (8.1, block(EDA, 20, 12))]
    live = session(script)
    items = go(live)
    skin = columns(items, "eda.eda")
    told = [x for i in items if i.info.name == "session.status" for x in i.labels]
    assert "late: 20 samples of band.eda" in told
    assert np.isnan(skin[:24]).all()
    assert not np.isnan(skin[32:36]).any()
    assert live.health["band.eda"].samples == 32
    assert live.health["band.eda"].lost == 0


def test_the_order_of_arrival_repeats_it_bit_for_bit() -> None:
    script = steady(EDA, 9, until=4) + steady(EEG, 9)
    script += [(7.95, block(EDA, 24, 4)), (8.0, block(EDA, 30, 2, epoch=0.01))]
    items = go(session(script))
    arrived = [i for i in items if "." in i.info.name]
    again = Engine(PLAN, (EDA, EEG), 0.0)
    computed = [out for i in arrived for out in again.push(i)]
    np.testing.assert_array_equal(
        columns(items, "eda.eda"), columns(computed, "eda.eda")
    )


def test_a_file_gives_what_a_session_with_it_would() -> None:
    gap = [block(EDA, 0, 16), block(EDA, 30, 10)]
    recording = Recording({"band.eda": tuple(gap), "head.eeg": (block(EEG, 0, 320),)})
    from devices.replay import Replay

    clock = FastClock(recording.begin)
    with Session(PLAN, [Replay(recording, clock)], clock=clock, poll=0.3) as live:
        items = list(live)
    offline = list(run(recording, PLAN))
    a, b = columns(items, "eda.eda"), columns(offline, "eda.eda")
    n = min(len(a), len(b))
    assert n >= 36
    np.testing.assert_array_equal(a[:n], b[:n])
    assert np.isnan(a[21:30]).all()  # 3.75 s + 1 s of hold ... 7.5 s


def test_a_chain_that_fails_is_named_and_the_others_go_on() -> None:
    chains = {
        "eda": ChainConfig("band.eda", (Brittle(),)),
        "eeg": ChainConfig("head.eeg"),
    }
    script = steady(EEG, 6) + steady(EDA, 3) + [(4.0, block(EDA, 99, 1))]
    items = go(session(script, PipelineConfig(chains)))
    told = [x for i in items if i.info.name == "session.status" for x in i.labels]
    assert "chain eda stopped: RuntimeError: 99 came" in told
    assert len(columns(items, "eeg.Fz")) >= 20


def test_the_estimator_hears_markers() -> None:
    heard = []

    @dataclass(frozen=True)
    class Listener(Chain):
        def on_events(self, state: State, events: Events) -> None:  # noqa: ARG002
            heard.extend(events.labels)

    plan = PipelineConfig(PLAN.chains, estimator=Listener())
    engine = Engine(plan, (EDA, EEG), 0.0)
    engine.push(single_event(event_stream("session.markers"), 1.0, "rest"))
    engine.push(single_event(event_stream("sim.conditions"), 2.0, "rest of the film"))
    engine.push(stream_timeout("band.eda", 3.0))
    assert heard == ["rest"]


def test_what_is_missing_in_a_plan_is_named() -> None:
    plan = PipelineConfig({"eda": ChainConfig("band.gsr")})
    with pytest.raises(ValueError, match=r".*") as caught:
        Engine(plan, (EDA, EEG), 0.0)
    assert str(caught.value) == (
        "chains.eda reads 'band.gsr', but no device sends it; there is "
        "band.eda, head.eeg"
    )


def test_a_watch_declares_no_more_often_than_asked() -> None:
    watch = StallDetector((EDA,), 1.0, 0.0)
    due = [watch.check(now, 0.25) for now in np.arange(0, 4, 0.1)]
    times = [float(d.times[0]) for ds in due for d in ds]
    # Multiples of 0.25 s, whenever it is asked: up to 3.9 s less 1 s.
    assert times == (0.25 * np.arange(1, 12)).tolist()


def test_a_session_ends_when_time_is_up() -> None:
    live = session(steady(EDA, 50), seconds=3.0)
    go(live)
    assert live.ended == "completed: the time was up"
    assert live.health["band.eda"].samples == 12
