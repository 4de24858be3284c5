"""What a session notices of its streams, its clocks and its devices."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from devices.fault_injection import Fault, FaultInjector
from devices.simulated import Wristband
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Device, FastClock
from physio.core.timing.timestamps import TimestampAligner
from physio.io import xdf
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session
from physio.online.session_table import SessionTable, _stored_chains
from physio.online.stream_health import SleepDetector, StreamHealth
from physio.sinks.xdf import Xdf

EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
EEG = StreamInfo("head.eeg", Fraction(32), (Channel("Fz", "eeg", "uV"),))
PLAN = PipelineConfig({"eda": ChainConfig("band.eda"), "eeg": ChainConfig("head.eeg")})


@dataclass
class Sender(Device):
    """Sends at rates of its own: each stream so many times as fast as it says."""

    clock: FastClock
    speeds: dict[str, float]
    jump: float = 0.0
    seconds: float = 60.0
    sent: dict[str, int] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return (EDA, EEG)

    def __enter__(self) -> "Sender":
        self.begin = self.clock.now()
        self.sent = dict.fromkeys(self.speeds, 0)
        return self

    @property
    def ended(self) -> bool:
        return self.clock.now() - self.begin > self.seconds

    def read(self) -> list[Item]:
        passed = self.clock.now() - self.begin
        return [self._block(i, self.speeds[i.name], passed) for i in self.streams]

    def _block(self, info: StreamInfo, speed: float, passed: float) -> Block:
        rate = float(info.rate)
        start, stop = self.sent[info.name], int(passed * rate * speed)
        self.sent[info.name] = stop
        # As a driver has it that follows the true clock: the epoch moves with it.
        epoch = self.begin + start / (rate * speed) - start / rate
        stamps = np.arange(start, stop) / (rate * speed)
        stamps += self.jump * (passed > 30.0)
        data = np.arange(start, stop, dtype=np.float64)[:, None]
        return Block(info, start, epoch, data, stamps)


def status(items: list[Item]) -> list[str]:
    return [x for i in items if i.info.name == "session.status" for x in i.labels]


def test_a_rate_that_is_a_little_off_is_said_and_much_is_refused(
    tmp_path: Path,
) -> None:
    clock = FastClock(1000.0)
    device = Sender(clock, {"band.eda": 1.01, "head.eeg": 0.9})
    sink = Xdf(tmp_path, about={"begin": repr(clock.now())}, wait=True)
    with Session(PLAN, [device], [sink], clock, poll=0.5) as session:
        items = list(session)
        eeg = session.health["head.eeg"]
    told = status(items)
    assert [x.partition(" sends")[0] for x in told[:2]] in (
        ["rate: band.eda", "refused: head.eeg"],
        ["refused: head.eeg", "rate: band.eda"],
    )
    assert eeg.measured == pytest.approx(28.8, rel=0.01)
    features = [i for i in items if i.info.name == "features"]
    column = np.concatenate([f.column("eeg.Fz") for f in features])
    assert np.isfinite(column[:60]).all()
    assert np.isnan(column[100:]).all()
    skin = np.concatenate([f.column("eda.eda") for f in features])
    assert np.isfinite(skin).all()
    recording = xdf.read(tmp_path / "recording.xdf")
    again = [i for i in run(recording, PLAN) if i.info.name == "features"]
    np.testing.assert_array_equal(
        np.concatenate([f.data for f in again]),
        np.concatenate([f.data for f in features]),
    )


def test_a_device_clock_that_jumps_is_said() -> None:
    clock = FastClock(1000.0)
    device = Sender(clock, dict.fromkeys(("band.eda", "head.eeg"), 1.0), jump=12.4)
    with Session(PLAN, [device], (), clock, poll=0.5) as session:
        told = status(list(session))
    assert told == [
        "clock: the stamps of band.eda jumped +12.4 s",
        "clock: the stamps of head.eeg jumped +12.4 s",
    ]


def test_sleep_and_a_set_date_are_told_apart() -> None:
    now = {"slept": 5.0, "date": 1.7e9}
    wake = SleepDetector(lambda: now["slept"], lambda: now["date"])
    assert wake.check() == []
    now.update(slept=195.0, date=1.7e9 + 190.0)
    assert wake.check() == ["clock: the computer slept 190.0 s"]
    now.update(date=now["date"] - 3600.0)
    assert wake.check() == ["clock: the computer's date was set -3600.0 s"]
    assert wake.check() == []


def test_a_stall_is_said_within_a_second_and_what_it_cost() -> None:
    clock = FastClock(1000.0)
    faults = (Fault("unplug", 10.0, 3.0, stream="bvp"),)
    band = Wristband(clock=clock, seconds=20.0, ground_truth=False)
    device = FaultInjector(band, faults, name="band", clock=clock)
    with Session(
        PipelineConfig(stall_timeout=0.9), [device], (), clock, poll=0.02
    ) as session:
        items = list(session)
    told = [i for i in items if i.info.name == "session.status"]
    assert told[0].labels == ("stalled: no data of band.bvp for 0.9 s",)
    assert told[0].times[0] < 1000.0 + 10.0 + 1.0
    assert told[1].labels == ("back: band.bvp after 3.0 s, 192 samples missed",)


@dataclass
class Failing(Wristband):
    """A wristband that falls silent or fails, and cannot be opened twice in between."""

    reconnect_after: float = 2.0
    fails: tuple[float, ...] = ()
    away: tuple[float, float] = (0.0, 0.0)
    opened: int = 0

    def __enter__(self) -> "Failing":
        now = self.clock.now()
        if self.opened and self.away[0] <= now < self.away[1]:
            raise OSError("it is out of reach")
        self.opened += 1
        super().__enter__()
        return self

    def read(self) -> list[Item]:
        now = self.clock.now()
        if self.fails and now >= self.fails[0]:
            self.fails = self.fails[1:]
            raise OSError("the port is gone")
        if self.away[0] <= now < self.away[1]:
            super().read()
            return []
        return list(super().read())


def test_a_device_that_fails_or_is_silent_is_opened_again() -> None:
    clock = FastClock(1000.0)
    band = Failing(name="band", clock=clock, ground_truth=False, fails=(1005.0,),
                   away=(1010.0, 1020.0))  # fmt: skip
    with Session(
        PipelineConfig(), [band], (), clock, poll=0.1, seconds=40.0
    ) as session:
        items = list(session)
        bvp = session.health["band.bvp"]
    told = [x.removeprefix("device band: ") for x in status(items) if "device" in x]
    assert told == [
        "the port is gone; next try in 0 s",
        "opened again (try 1)",
        "nothing came for 2 s; next try in 0 s",
        "opened again (try 5)",
    ]
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "band.bvp"]
    times = np.concatenate([b.times for b in blocks])
    assert (np.diff(times) > 0).all()
    # From 1012.1 s tries after 0, 1, 2, 4, 8 s: the last, at 1027.1 s, succeeds.
    assert np.diff(times).max() == pytest.approx(17.2, abs=0.2)
    # To the sample each time it was opened: the gap is as long as it was.
    expected = (times[-1] - times[0]) * 64 + 1
    assert bvp.samples + bvp.lost == pytest.approx(expected, abs=2)
    assert session.faults == []


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(
    ("true", "drop", "refused"),
    [
        (128, 0.0, True),
        (230, 0.0, True),
        (251, 0.0, False),
        (256, 0.1, False),
        (256, 0.5, False),
        (128, 0.1, True),
    ],
)
def test_a_slower_stream_is_no_stream_with_losses(
    true: float, drop: float, *, refused: bool, size: int
) -> None:
    """Its stamps lack samples at regular distances, those of losses do not."""
    nominal = 256.0
    info = StreamInfo("h.eeg", Fraction(256), (Channel("Fz", "eeg", "uV"),))
    aligner, health = TimestampAligner(nominal), StreamHealth(info)
    rng = np.random.default_rng(1)
    k = np.arange(int(25 * true))
    lost = np.repeat(rng.random(len(k) // size + 1) < drop, size)[: len(k)]
    stamps = 100 + k[~lost] / true
    rejected_at = np.inf
    for now in 100 + np.arange(0.05, 25, 0.05):
        part = stamps[(stamps > now - 0.05) & (stamps <= now)]
        for p in aligner.push(part, part, np.zeros((len(part), 1)), now):
            health.update(Block(info, p.start, p.t0, p.rows, p.stamps))
        if health.rejected:
            rejected_at = min(rejected_at, now - 100)
    assert bool(rejected_at < 25) is refused


@dataclass
class Changing(Sender):
    """A device that comes back with a further channel, and then as it was."""

    reconnect_after: float = 2.0
    opened: int = 0

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        more = (Channel("Cz", "eeg", "uV"),) if self.opened == 2 else ()
        return (EDA, EEG.with_channels(None, *EEG.channels, *more))

    def __enter__(self) -> "Changing":
        self.opened += 1
        super().__enter__()
        return self

    def read(self) -> list[Item]:
        passed = self.clock.now() - self.begin
        if self.opened == 1 and passed > 5.0:
            return []
        return super().read()

    @property
    def ended(self) -> bool:
        return self.clock.now() > 1040.0


def test_a_device_that_comes_back_with_other_channels_is_not_read() -> None:
    clock = FastClock(1000.0)
    device = Changing(clock, dict.fromkeys(("band.eda", "head.eeg"), 1.0))
    with Session(PLAN, [device], (), clock, poll=0.5) as session:
        items = list(session)
    told = [x for x in status(items) if "came back with other streams" in x]
    assert told == [
        "device a device: came back with other streams (head.eeg is now Fz, Cz "
        "(2 x 32 Hz), not Fz (1 x 32 Hz)), which are not read: restart the session to "
        "use them"
    ]
    assert device.opened == 3
    assert {len(i.info.channels) for i in items if i.info.name == "head.eeg"} == {1}
    assert session.health["head.eeg"].received > 1030.0


def test_a_stream_that_died_is_in_the_closing_table() -> None:
    clock = FastClock(1000.0)
    faults = (Fault("unplug", 20.0),)
    band = Wristband(clock=clock, seconds=60.0, ground_truth=False)
    device = FaultInjector(band, faults, name="band", clock=clock)
    with Session(PipelineConfig(), [device], (), clock, poll=0.5) as session:
        table = SessionTable(session.streams)
        for item in session:
            table.take(item)
    for row in table.rows({}, {}, session.end):
        assert row["faults"][0] in {f"no sample in the last {s} s" for s in (40, 41)}


def test_a_chain_is_listed_with_each_stream_that_it_reads() -> None:
    pulse = {"stream": "band.bvp", "joined": ["band.acc"], "stages": []}
    chains = _stored_chains({"pulse": pulse, "odd": {"stream": "x", "joined": 5}})
    assert chains == {"pulse": ("band.bvp", "band.acc"), "odd": ("x",)}
    infos = [
        StreamInfo(name, Fraction(32), (Channel("c"),))
        for name in ("band.bvp", "band.acc", "band.eda")
    ]
    rows = SessionTable(infos).rows(chains)
    assert [[c["chain"] for c in r["computed"]] for r in rows] == [["pulse"]] * 2 + [[]]
    assert rows[2]["notes"] == ["no chain of the session reads it"]


def test_the_rate_in_the_table_is_not_mixed_with_its_sd() -> None:
    pulse = StreamInfo("band.bvp", Fraction(64), (Channel("bvp"),))
    columns = tuple(Channel(c) for c in ("heart.rate", "heart.rate.sd", "heart.x"))
    features = StreamInfo("features", Fraction(4), columns)
    table = SessionTable([pulse])
    table.take(Block(features, 0, 0.0, np.tile([72.0, 1.8, 5.0], (40, 1))))
    ((computed,),) = [row["computed"] for row in table.rows({"heart": ("band.bvp",)})]
    assert (computed["column"], computed["median"]) == ("rate", 72.0)
