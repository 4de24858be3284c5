"""A sensor lost in mid-session that comes back, on simulated and real participants."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import physio
from devices.simulated import Wristband
from experiments.weights.demo import record
from physio.core.block import Block
from physio.core.recording import Recording

FROM, TO = 420.0, 520.0  # s after the beginning
SECONDS = 720.0
SLOWEST = 60.0  # s, the window of the rate of skin responses
REACH = 105.0  # s more until all counts: the rate of responses remembers 163.5 s


def head(recording: Recording, seconds: float) -> Recording:
    """Return the beginning of a recording."""
    streams = {}
    for name, blocks in recording.streams.items():
        rate = float(blocks[0].info.rate)
        stop = int(seconds * rate)
        streams[name] = tuple(b.part(b.start, stop) for b in blocks if b.start < stop)
    return Recording(streams, {}, (), dict(recording.metadata))


def without(recording: Recording, *streams: str, back: float = TO) -> Recording:
    """Return a recording in which some streams say nothing for a while."""
    found = dict(recording.streams)
    for name in streams:
        parts: list[Block] = []
        for b in found[name]:
            rate = float(b.info.rate)
            a, z = (int((t + recording.begin - b.t0) * rate) for t in (FROM, back))
            parts += [b.part(b.start, a), b.part(z, b.stop)]
        found[name] = tuple(p for p in parts if len(p))
    return replace(recording, streams=found)


@pytest.fixture(scope="module")
def simulated() -> Recording:
    return record(
        Wristband(seed=8, protocol="random", ground_truth=False), SECONDS, "band"
    )


@pytest.fixture(scope="module")
def real(data: Path) -> Recording:
    return head(physio.read(data / "wesad" / "S10"), SECONDS)


def check(recording: Recording, streams: tuple[str, ...], demo: bool) -> None:
    whole = physio.estimate(recording, demo_weights=demo)
    cut = physio.estimate(without(recording, *streams), demo_weights=demo)
    t = cut.times - recording.begin
    sd, mean = cut.column("arousal.sd"), cut.column("arousal")
    before = t < FROM
    n = min(len(whole), len(cut))
    np.testing.assert_array_equal(
        cut.column("arousal")[before], whole.column("arousal")[: before.sum()]
    )
    # It widens within 2 s, or ends where nothing but movement is there.
    kept = whole.column("arousal.sd")[:n]
    soon = (t[:n] >= FROM + 2.0) & (t[:n] < TO)
    wider = sd[:n][soon] > kept[soon] + 1e-4
    assert np.all(wider | np.isnan(sd[:n][soon]))
    assert wider.mean() > 0.1
    # It does not jump by more than its own 95 % interval: lost, and back.
    for at in (FROM, TO):
        near = (t > at - 5) & (t < at + 70) & np.isfinite(mean)
        steps = np.abs(np.diff(mean[near]))
        assert np.all(steps <= 1.96 * sd[near][:-1])
    # It narrows no faster than its slowest window fills again: of what the sensor adds,
    # beside a session in which it never comes back, no more than that share is there.
    never = physio.estimate(
        without(recording, *streams, back=SECONDS - 1), demo_weights=demo
    )
    n = min(n, len(never))
    alone, now = never.column("arousal.sd")[:n] ** -2.0, sd[:n] ** -2.0
    gain = kept[:n] ** -2.0 - alone
    back = (t[:n] >= TO) & (t[:n] < TO + SLOWEST) & (gain > 0)
    back &= np.isfinite(now)  # while all but movement warms up there is no estimate
    share = (t[:n] - TO) / SLOWEST
    assert back.sum() > 100
    assert np.all((now - alone)[back] <= (share * gain + 0.02)[back])
    full = (t[:n] >= TO + SLOWEST + REACH) & (t[:n] < SECONDS - 5)
    np.testing.assert_allclose(sd[:n][full], kept[:n][full], rtol=5e-3)


def test_of_a_simulated_participant(simulated: Recording) -> None:
    check(simulated, ("band.eda",), demo=False)


def test_movement_alone_is_no_estimate(simulated: Recording) -> None:
    cut = physio.estimate(without(simulated, "band.eda", "band.bvp"))
    t, sd = cut.times - simulated.begin, cut.column("arousal.sd")
    lost = (t > FROM + 12.0) & (t < TO)
    assert np.isnan(sd[lost]).all()
    assert np.isfinite(sd[t > TO + SLOWEST]).all()


def test_of_a_real_participant(real: Recording) -> None:
    check(real, ("e4.eda",), demo=False)
