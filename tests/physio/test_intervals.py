"""Intervals between beats alone, or beside signals, as the input of chains."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import physio
from cases import CASES
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.offline.compute import feature_ticks
from physio.online.engine import Engine, run
from physio.online.session_config import SessionConfig
from physio.online.shipped_chains import default_chains

INTERVAL = Channel("interval", "misc", "s")
STRAP = StreamInfo("strap.ibi", Fraction(0), (INTERVAL,))
EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))


def breathing(seconds: float, breaths: float = 14.0) -> Array:
    """Intervals of a mean of 0.8 s that follow the breath."""
    intervals, t = [], 0.0
    while t < seconds:
        intervals.append(0.8 + 0.03 * np.sin(2 * np.pi * breaths / 60 * t))
        t += intervals[-1]
    return np.array(intervals)


def events(intervals: Array, ends: Array | None = None) -> Events:
    ends = np.cumsum(intervals) if ends is None else ends
    return Events(STRAP, float(ends[-1]), ends, intervals.reshape(-1, 1).copy())


def alone(given: Events) -> Recording:
    return Recording({}, {"strap.ibi": given})


def beside(given: Events, seconds: float) -> Recording:
    n = int(seconds * 4)
    x = 5 + 0.1 * np.sin(np.arange(n) / 40).reshape(-1, 1)
    return Recording({"band.eda": (Block(EDA, 0, 0.0, x),)}, {"strap.ibi": given})


def test_intervals_alone_give_rate_variability_and_respiration() -> None:
    intervals = breathing(200)
    features = physio.compute_features(alone(events(intervals)))
    assert np.nanmean(features.column("ibi.rate")) == pytest.approx(75, rel=0.005)
    rmssd = 1000 * np.sqrt(np.mean(np.diff(intervals) ** 2))
    settled = features.column("ibi.rmssd")[320:]
    np.testing.assert_allclose(settled, rmssd, rtol=0.03)
    assert np.nanmedian(features.column("ibi.irregular")) == 0
    sdnn = features.column("ibi.sdnn")
    assert np.isnan(sdnn[: 4 * 120]).all()
    np.testing.assert_allclose(sdnn[4 * 130 :], 1000 * intervals.std(), rtol=0.05)
    assert np.nanmedian(features.column("ibi.edr_rate")) == pytest.approx(14, abs=0.3)


def test_signals_never_wait_for_intervals() -> None:
    """A strap that loses contact must not stop the skin conductance."""
    given = events(breathing(60))
    recording = beside(given, 150)
    engine = Engine(SessionConfig().plan(recording.inputs), recording.infos, 0.0)
    (block,) = recording.streams["band.eda"]
    ticks = 0
    for part in block.split(range(4, len(block), 4)):
        now = part.complete_until
        out = engine.push(part)
        ticks += sum(len(o) for o in out if o.info.name == "features")
        assert ticks / 4 >= now - 1.0
    features = physio.compute_features(recording)
    rate = features.column("ibi.rate")
    assert np.isfinite(rate[4 * 20 : 4 * 60]).all()
    assert np.isnan(rate[4 * 80 :]).all()
    assert np.isfinite(features.column("eda.tonic")[-4:]).all()


def test_the_order_of_arrival_does_not_matter() -> None:
    recording = beside(events(breathing(100)), 110)
    plan = SessionConfig().plan(recording.inputs)
    whole = feature_ticks(recording, plan)
    for late in (0.0, 1.3, 2.0):  # s, by which the strap is late
        engine = Engine(plan, recording.infos, 0.0)
        given, waiting = recording.events["strap.ibi"], 0
        out = []
        for part in recording.streams["band.eda"][0].split(range(1, 440, 3)):
            out += engine.push(part)
            while (
                waiting < len(given)
                and given.times[waiting] + late <= part.complete_until
            ):
                at = float(given.times[waiting])
                out += engine.push(given.part(waiting, waiting + 1, at))
                waiting += 1
        data = np.vstack([o.data for o in out if o.info.name == "features"])
        assert data.tobytes() == whole.data[: len(data)].tobytes()
        assert len(data) > 400
    live = [o for o in run(recording, plan) if o.info.name == "features"]
    assert np.vstack([o.data for o in live]).tobytes() == whole.data.tobytes()


def test_a_gap_joins_no_intervals() -> None:
    """A wristband leaves intervals out: those around a gap are no pair."""
    intervals = np.tile([0.7, 0.7, 0.9, 0.9], 60)
    ends = np.cumsum(intervals)
    taken = np.tile([False, True, True, False], 60)  # from 0.7 to 0.9 s: one pair
    sparse = physio.compute_features(alone(events(intervals[taken], ends[taken])))
    rmssd = sparse.column("ibi.rmssd")
    assert np.isnan(
        rmssd
    ).all()  # 0.7 to 0.9 s is more than a fifth, and never 30 pairs
    rate = sparse.column("ibi.rate")[60:-20]
    assert np.nanmedian(rate) == pytest.approx(75, rel=0.02)


def test_intervals_are_a_source_of_their_own() -> None:
    pulse = StreamInfo("band.bvp", Fraction(64), (Channel("bvp", "bio"),))
    band = StreamInfo("band.ibi", Fraction(0), (INTERVAL,))
    hr = StreamInfo("band.hr", Fraction(0), (Channel("hr", "misc", "1/min"),))
    tables = default_chains([pulse, band, hr, STRAP])
    reads = {name: table["stream"] for name, table in tables.items()}
    assert reads["heart"] == reads["prv"] == "band.bvp"
    assert (reads["ibi"], reads["ibi2"]) == ("band.ibi", "strap.ibi")
    assert "band.hr" not in reads.values()


def test_impossible_intervals_are_not_accepted() -> None:
    intervals = np.full(200, 0.8)
    intervals[100:120:4] = 1.7  # missed beats
    intervals[150] = 0.05
    features = physio.compute_features(alone(events(intervals)))
    assert np.nanmax(features.column("ibi.rmssd")) < 1e-6


def test_a_clock_that_jumps_stops_the_chain_alone() -> None:
    ends = np.append(np.cumsum(np.full(50, 0.8)), 1.7e9)
    recording = beside(events(np.full(51, 0.8), ends), 60)
    engine = Engine(SessionConfig().plan(recording.inputs), recording.infos, 0.0)
    out = engine.push(recording.events["strap.ibi"])
    assert any("its clock is wrong" in o.labels[0] for o in out if hasattr(o, "labels"))
    out = engine.push(recording.streams["band.eda"][0])
    assert sum(len(o) for o in out if o.info.name == "features") > 200


@pytest.mark.parametrize(
    ("name", "rate", "rmssd"), [("nn.txt", 83.5, 19.5), ("rest_rri.txt", 56.7, 55.1)]
)
def test_lists_of_intervals(name: str, rate: float, rmssd: float) -> None:
    path = CASES / "wear/12-rr-intervals-only" / name
    if not path.exists():
        pytest.skip(f"no inputs beside the recordings: there is no {path}")
    features = physio.compute_features(read(path))
    assert np.nanmean(features.column("ibi.rate")) == pytest.approx(rate, rel=0.02)
    assert np.nanmedian(features.column("ibi.rmssd")) == pytest.approx(rmssd, rel=0.15)


@pytest.mark.parametrize(("clock", "unit"), [(1, 1), (1, 1000), (1000, 1000)])
def test_ends_beside_intervals_need_no_names(
    tmp_path: Path, clock: float, unit: float
) -> None:
    """As Kubios takes them: two columns without a header, here with a gap."""
    intervals = breathing(100)
    ends = np.cumsum(intervals)
    ends[60:] += 30
    rows = [
        f"{clock * t:.3f}\t{unit * r:.3f}" for t, r in zip(ends, intervals, strict=True)
    ]
    path = tmp_path / "x.txt"
    path.write_text("\n".join(rows), "utf-8")
    (found,) = read(path).events.values()
    np.testing.assert_allclose(found.data[:, 0], intervals, atol=6e-4)
    np.testing.assert_allclose(np.diff(found.times), np.diff(ends), atol=2e-3)
