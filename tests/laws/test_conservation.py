"""Nothing is lost unaccounted: produced + duplicates = recorded + dropped + lost."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devices.fault_injection import Fault, FaultInjector, SampleAccounting
from devices.simulated import Wristband
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import FastClock, Sink
from physio.online.engine import PipelineConfig
from physio.online.session import Session

BEGIN = 1000.0
ALL = {
    "unplugged": Fault("unplug", 5.0, 3.3),
    "dropped": Fault("drop", amount=0.01),
    "dropped-much": Fault("drop", 3.0, 6.0, 0.3),
    "doubled": Fault("duplicate", amount=0.1),
    "overtaken": Fault("reorder", amount=0.05),
    "stalled": Fault("stall", 4.0, 2.5),
    "in-bursts": Fault("burst", amount=0.4),
    "clock-set": Fault("jump", 6.0, amount=3600.0),
    "nan": Fault("nan", 3.0, 2.0),
    "railed": Fault("rail", 3.0, 2.0),
    "flat": Fault("flat", 3.0, 2.0),
    "slow": Fault("rate", 2.0, amount=0.98),
}
ASLEEP = {
    "restarted": Fault("restart", 5.0, 3.3),
    "restarted-soon": Fault("restart", 5.0, 0.7),
    "frozen": Fault("freeze", 5.0, 3.3),
    "frozen-long": Fault("freeze", 5.0, 7.0),
}


@dataclass
class Store(Sink):
    """A sink that keeps everything."""

    items: list[Item] = field(default_factory=list)

    def open_streams(self, streams: object) -> None: ...
    def end(self, how: str) -> None: ...
    def write(self, item: Item) -> None:
        self.items.append(item)


def live(
    faults: tuple[Fault, ...], wrap: int, seed: int = 1, seconds: float = 15.0
) -> tuple[dict[str, SampleAccounting], list[Item], Session]:
    clock = FastClock(BEGIN)
    band = Wristband(clock=clock, seconds=seconds, ground_truth=False)
    device = FaultInjector(band, faults, seed, wrap, name="band", clock=clock)
    store = Store()
    with Session(PipelineConfig(), [device], [store], clock, poll=0.05) as session:
        for _ in session:
            pass
        tally = device.accounting
    return tally, store.items, session


def check(
    tally: dict[str, SampleAccounting], items: list[Item], session: Session
) -> None:
    for name, each in tally.items():
        kept = [i for i in items if isinstance(i, Block) and i.info.name == name]
        assert each.recorded == sum(map(len, kept)) == session.health[name].samples
        assert each.lost == session.health[name].lost
        times = np.concatenate([b.times for b in kept])
        assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("faults", [*((f,) for f in ALL.values()), tuple(ALL.values())],
                         ids=[*ALL, "all"])  # fmt: skip
def test_with_a_counter_to_the_sample(faults: tuple[Fault, ...]) -> None:
    tally, items, session = live(faults, wrap=256)
    check(tally, items, session)
    drops = any(f.kind in {"drop", "reorder"} for f in faults)
    for each in tally.values():
        # The very last sample, if lost, shows with the one after it, so never; and the
        # very first, if overtaken, came before the count began.
        assert each.balance in range(2 if drops else 1)


@pytest.mark.parametrize("name", ASLEEP)
def test_what_the_counter_does_not_tell_to_a_sample_a_gap(name: str) -> None:
    """A count that begins anew, or that goes on as if nothing had been."""
    tally, items, session = live((ASLEEP[name],), wrap=256, seconds=20.0)
    check(tally, items, session)
    for stream, each in tally.items():
        # To the sample of its own rate, and what comes in a poll of 50 ms.
        rate = float(session.health[stream].info.rate)
        assert abs(each.balance) <= 1 + 0.05 * rate, stream
        assert each.lost == pytest.approx(
            ASLEEP[name].seconds * rate, abs=2 + rate / 20
        )


GAPS = {"unplugged": 1, "stalled": 0, "nan": 0, "railed": 0, "flat": 0, "doubled": 0}


@pytest.mark.parametrize("name", GAPS)
def test_without_one_to_a_sample_a_gap(name: str) -> None:
    tally, items, session = live((ALL[name],), wrap=0)
    check(tally, items, session)
    for each in tally.values():
        assert abs(each.balance) <= GAPS[name]


@given(
    st.lists(
        st.builds(
            Fault,
            st.sampled_from(["unplug", "drop", "duplicate", "reorder", "stall"]),
            st.floats(1, 8), st.floats(0.1, 2), st.floats(0, 0.5),
        ),
        max_size=4,
    ),
    st.integers(0, 100),
)  # fmt: skip
@example([Fault("reorder", 6.2701382756226485, 1.0, 0.5), Fault("stall", 5.0, 2.0)], 16)
@example(
    [
        Fault("reorder", 1.0, 6.0, 0.5),
        Fault("drop", 2.0, 5.0, 0.3),
        Fault("duplicate", 2.0, 5.0, 0.3),
    ],
    17,
)
@settings(max_examples=15, deadline=None)
def test_whatever_befalls_it(faults: list[Fault], seed: int) -> None:
    tally, items, session = live(tuple(faults), wrap=256, seed=seed, seconds=12.0)
    check(tally, items, session)
    for each in tally.values():
        assert each.balance == 0


def test_the_law_bites() -> None:
    tally = SampleAccounting(
        produced=100, duplicated=2, recorded=97, repeated=2, lost=3
    )
    assert tally.balance == 0
    tally.lost = 2
    assert tally.balance == 1
