"""Real outlets in another process, on this machine alone."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pylsl
import pytest

from devices.lsl import Inlet, discover
from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import WallClock
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.sinks.lsl import Lsl

SENDER = Path(__file__).with_name("sender.py")


@contextmanager
def sending(prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, str(SENDER), prefix]) as process:
        try:
            yield process
        finally:
            process.kill()


def listen(
    inlets: list[Inlet], seconds: float, then: Callable[[], bool] = lambda: False
) -> list[Item]:
    """Read every 20 ms, each time at once; stop early when ``then`` says so."""
    items: list[Item] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not then():
        for inlet in inlets:
            items += inlet.read()
        time.sleep(0.02)
    return items


def blocks(items: list[Item], name: str) -> list[Block]:
    return [i for i in items if isinstance(i, Block) and i.info.name == name]


def column(parts: list[Block], name: str) -> Array:
    return np.concatenate([b.column(name) for b in parts])


def test_eeg_eda_and_markers_for_eight_seconds() -> None:
    inlets = [
        Inlet(source_id="all-EEG", name="headset", participant="p07"),
        Inlet(stream_type="GSR", name="band"),
        Inlet(stream_name="all-Markers", name="stimuli"),
    ]
    with sending("all"), ExitStack() as stack:
        for inlet in inlets:
            stack.enter_context(inlet)
        assert {f.source_id for f in discover(1.0)} >= {
            "all-EEG",
            "all-GSR",
            "all-Markers",
        }
        items = listen(inlets, 8.0)
    assert [i.streams[0].name for i in inlets] == [
        "headset.eeg",
        "band.eda",
        "stimuli.markers",
    ]
    assert inlets[0].streams[0].participant == "p07"
    assert inlets[1].streams[0].channels[0] == Channel("n", "gsr", "uS")
    for name, least in (("headset.eeg", 250 * 8), ("band.eda", 4 * 8 - 1)):
        parts = blocks(items, name)
        n = column(parts, "n")
        np.testing.assert_array_equal(np.diff(n), 1)  # nothing lost, nothing twice
        np.testing.assert_array_equal(
            np.concatenate([np.arange(b.start, b.stop) for b in parts]), n - n[0]
        )
        assert len(n) >= least
        seconds = np.concatenate([b.times for b in parts])
        assert (np.diff(seconds) > 0).all()
        # Sender and receiver have one clock here; what LSL makes of the difference
        # is within 0.1 ms on loopback, and much less than 2 ms on a busy machine.
        np.testing.assert_allclose(seconds, column(parts, "t"), rtol=0, atol=0.002)
        stamps = np.concatenate([b.stamps for b in parts if b.stamps is not None])
        # The sender's own, to the bit; but of its chunks LSL keeps the first stamp,
        # and adds up periods for the others.
        np.testing.assert_allclose(stamps, column(parts, "t"), rtol=0, atol=1e-6)
    events = [i for i in items if isinstance(i, Events)]
    said = [float(label) for e in events for label in e.labels]
    assert len(said) >= 7
    at = np.concatenate([e.times for e in events])
    np.testing.assert_allclose(at, said, rtol=0, atol=0.002)
    # At the right samples: every marker is at the time of EEG sample 250 * j.
    eeg = blocks(items, "headset.eeg")
    grid = np.concatenate([b.times for b in eeg])
    n = column(eeg, "n")
    inside = (at > grid[0]) & (at < grid[-1])
    nearest = [n[np.abs(grid - t).argmin()] for t in at[inside]]
    assert len(nearest) >= 6
    np.testing.assert_array_equal(np.mod(nearest, 250), 0)


@contextmanager
def outlet(name: str, rate: float = 250.0) -> Iterator[pylsl.StreamOutlet]:
    """An outlet of this process, whose samples have one channel: their number."""
    info = pylsl.StreamInfo(name, "EEG", 1, rate, pylsl.cf_double64, name)
    channels = info.desc().append_child("channels")
    channels.append_child("channel").append_child_value("unit", "microvolts")
    yield pylsl.StreamOutlet(info)


def push(out: pylsl.StreamOutlet, n: range, stamps: Array) -> None:
    for i, stamp in zip(n, stamps.tolist(), strict=True):
        out.push_sample([float(i)], stamp)


def wait(inlet: Inlet, samples: int) -> None:
    """Wait until so many samples are in the inlet's buffer."""
    deadline = time.monotonic() + 10
    while inlet._inlet.samples_available() < samples:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_volts_without_a_unit_are_suggested_once_and_not_scaled() -> None:
    """The same sentence as for a file; the name has quotes of both kinds."""
    name = 'M\N{LATIN SMALL LETTER U WITH DIAERESIS}se\'s "EEG"'
    info = pylsl.StreamInfo(name, "EEG", 1, 250, pylsl.cf_double64, "")
    out, begin = pylsl.StreamOutlet(info), pylsl.local_clock() - 5
    values = 2e-5 * np.sin(2 * np.pi * np.arange(1250) / 25)
    with Inlet(stream_name=name, name="h") as inlet:
        out.push_chunk(values[:, None].tolist(), begin + 5)
        wait(inlet, 1250)
        items, notices = inlet.read(), inlet.notices()
        out.push_chunk(values[:, None].tolist(), begin + 10)
        items += listen([inlet], 0.3)
        assert inlet.notices() == []
    (notice,) = (n for n in notices if "amplitude" in n)
    assert "is that of EEG in V: if so, state this unit" in notice
    np.testing.assert_array_equal(
        blocks(items, "h.eeg")[0].data[:, 0][:99], values[:99]
    )


@pytest.mark.parametrize("age", [20.0, 44.0])
def test_samples_that_waited_long_keep_their_time(age: float) -> None:
    """Read first when the oldest sample is old; then live, to 5 ms throughout."""
    rate, waiting = 250.0, round(age * 250)
    with outlet("old") as out, Inlet(source_id="old", name="h") as inlet:
        begin = pylsl.local_clock() - age
        taken = begin + np.arange(waiting + 250) / rate
        push(out, range(waiting), taken[:waiting])
        wait(inlet, waiting)
        items = inlet.read()
        for a in range(waiting, waiting + 250, 10):
            while pylsl.local_clock() < taken[a + 9]:
                time.sleep(0.001)
            push(out, range(a, a + 10), taken[a : a + 10])
            items += inlet.read()
        items += listen([inlet], 0.5)
        assert inlet.notices() == []
    parts = blocks(items, "h.eeg")
    np.testing.assert_array_equal(
        np.concatenate([np.arange(b.start, b.stop) for b in parts]),
        np.arange(waiting + 250),
    )
    seconds = np.concatenate([b.times for b in parts])
    np.testing.assert_allclose(seconds, taken, rtol=0, atol=0.005)


def test_a_pause_between_two_clocks_moves_no_sample() -> None:
    class Busy(WallClock):
        """The first two readings from now on are followed by a pause of 50 ms."""

        turn = 2

        def now(self) -> float:
            present = super().now()
            self.turn += 1
            time.sleep(0.05 * (self.turn <= 2))
            return present

    clock = Busy()
    with outlet("busy") as out, Inlet(source_id="busy", clock=clock) as inlet:
        taken = pylsl.local_clock() - 4 + np.arange(1000) / 250
        push(out, range(1000), taken)
        wait(inlet, 1000)
        clock.turn = 0
        (block,) = inlet.read()
    np.testing.assert_allclose(block.times, taken, rtol=0, atol=0.005)


def test_bursts_that_waited_long_lose_none() -> None:
    with outlet("bursts") as out, Inlet(source_id="bursts", name="h") as inlet:
        begin = pylsl.local_clock() - 45
        stamps = begin + (np.arange(11_004) // 12) * 12 / 250.0
        push(out, range(11_004), stamps)
        wait(inlet, 11_000)
        items = inlet.read() + listen([inlet], 0.5)
    parts = blocks(items, "h.eeg")
    np.testing.assert_array_equal(
        np.concatenate([np.arange(b.start, b.stop) for b in parts]), np.arange(11_004)
    )


def test_a_backlog_in_unix_time_ends_when_it_arrived() -> None:
    with outlet("past") as out, Inlet(source_id="past", name="h") as inlet:
        push(out, range(11_000), time.time() - 44 + np.arange(11_000) / 250)
        wait(inlet, 11_000)
        items = inlet.read()
        now = time.monotonic()
        assert len(inlet.notices()) == 1
    last = blocks(items, "h.eeg")[-1]
    assert last.stop == 11_000
    assert now - 1.0 < last.times[-1] <= now


def test_stamps_of_unix_time_are_converted_which_is_told_once() -> None:
    with outlet("unix") as out, Inlet(source_id="unix", name="h") as inlet:
        items: list[Item] = []
        notices: list[str] = []
        begin, unix = time.monotonic(), time.time()
        for a in range(0, 500, 10):
            while time.monotonic() < begin + (a + 9) / 250:
                time.sleep(0.001)
            push(out, range(a, a + 10), unix + np.arange(a, a + 10) / 250)
            items += listen([inlet], 0.01)
            notices += inlet.notices()
    assert len(notices) == 1
    assert re.fullmatch(
        r"the time stamps of h\.eeg cannot be of LSL's clock, from which they differ "
        r"by \S+e\+09 s: they are dates, converted by the date of this computer",
        notices[0],
    )
    parts = blocks(items, "h.eeg")
    first = parts[0].times[0]
    assert begin - 0.005 < first < begin + 0.25  # of a busy machine


def test_a_sender_that_is_killed_leaves_a_gap_as_long_as_it_was_away() -> None:
    with sending("frail") as first, Inlet(source_id="frail-EEG", name="h") as inlet:
        before = blocks(listen([inlet], 2.0), "h.eeg")
        first.kill()
        before += blocks(listen([inlet], 1.5), "h.eeg")
        after: list[Block] = []
        with sending("frail"):
            deadline = time.monotonic() + 15
            while len(after) < 50 and time.monotonic() < deadline:
                after += blocks(listen([inlet], 0.2), "h.eeg")
        assert not inlet.ended
    whole = before + after
    t = column(whole, "t")
    number = np.concatenate([np.arange(b.start, b.stop) for b in whole])
    seconds = np.concatenate([b.times for b in whole])
    assert t[-1] - t[0] > 3.0
    away = int(np.diff(t).argmax())
    assert t[away + 1] - t[away] > 1.5
    # The new sender's samples lie between those of the old one's grid.
    lost = (t[away + 1] - t[away]) * 250 - 1
    assert number[away + 1] - number[away] - 1 == pytest.approx(lost, abs=1)
    assert (np.diff(seconds) > 0).all()
    # So they are off by half a period of 4 ms at first, and by less and less.
    np.testing.assert_allclose(seconds, t, rtol=0, atol=0.005)


def test_a_stream_that_is_not_there() -> None:
    with sending("other"), Inlet(source_id="other-EEG"):
        missing = Inlet(source_id="none", timeout=1.0)
        message = (
            "no LSL stream with source_id 'none' was found within 1 s; the network "
            "has 'other-EEG' (EEG, 2 x 250 Hz, source_id 'other-EEG'); 'other-GSR' "
            "(GSR, 2 x 4 Hz, source_id 'other-GSR'); 'other-Markers' (Markers, 1 x "
            "irregular, source_id 'other-Markers')"
        )
        with pytest.raises(OSError, match=f"^{re.escape(message)}$"), missing:
            pass


def test_two_streams_that_fit_are_one_too_many() -> None:
    with sending("twin"), sending("twain"), Inlet(source_id="twain-EEG"):
        either = Inlet(stream_type="EEG", timeout=5.0)
        message = (
            "2 LSL streams have stream_type 'EEG': .*; add source_id or stream_name"
        )
        with (
            Inlet(source_id="twin-EEG"),
            pytest.raises(OSError, match=f"^{message}$"),
            either,
        ):
            pass


def test_two_senders_with_one_source_id_are_told_and_neither_is_taken() -> None:
    with sending("pair") as first, Inlet(source_id="pair-EEG", name="h") as inlet:
        listen([inlet], 1.0)
        # Frozen, so that it answers nobody, and LSL seeks no other for 15 s.
        first.send_signal(signal.SIGSTOP)
        told: list[str] = []
        with sending("pair"), sending("pair"):
            deadline = time.monotonic() + 12
            while time.monotonic() < deadline and not told:
                listen([inlet], 0.1)
                told += inlet.notices()
            second = Inlet(source_id="pair-EEG")
            with pytest.raises(OSError, match="2 LSL streams have source_id"), second:
                pass
    assert len(told) == 1
    assert told[0].startswith("2 LSL streams have source_id 'pair-EEG': ")
    assert told[0].endswith("; stop all but one, as LSL cannot choose between them")


def test_a_frozen_sender_is_told_within_a_second_and_loses_nothing() -> None:
    clock = WallClock()
    plan = PipelineConfig(stall_timeout=0.9)
    items: list[Item] = []
    with sending("ice") as sender:
        inlet = Inlet(source_id="ice-EEG", name="h", clock=clock)
        with Session(plan, [inlet], (), clock, seconds=9.0) as session:
            frozen = thawed = 0.0
            for item in session:
                items.append(item)
                now = clock.now()
                if not frozen and now > session.begin + 2.0:
                    sender.send_signal(signal.SIGSTOP)
                    frozen = now
                if frozen and not thawed and now > frozen + 3.0:
                    sender.send_signal(signal.SIGCONT)
                    thawed = now
            health = session.health["h.eeg"]
    status = [i for i in items if i.info.name == "session.status"]
    stalled = next(i for i in status if i.labels[0].startswith("stalled: "))
    # 0.9 s of silence, and the sender's own steps of 10 ms; half a second for a machine
    # that does other things.
    assert frozen + 0.8 < float(stalled.times[0]) < frozen + 1.5
    assert any(i.labels[0].startswith("back: h.eeg after") for i in status)
    assert any(i.labels[0].startswith("late: ") for i in status)
    # It catches up, each sample with the time at which it was due.
    parts = blocks(items, "h.eeg")
    np.testing.assert_array_equal(np.diff(column(parts, "n")), 1)
    assert health.lost == 0
    seconds = np.concatenate([b.times for b in parts])
    np.testing.assert_allclose(seconds, column(parts, "t"), rtol=0, atol=0.005)


def test_estimates_go_out_and_come_in_again() -> None:
    names = ("valence", "valence.sd")
    channels = tuple(Channel(n, unit="1", memory=12.0) for n in names)
    info = StreamInfo(
        "estimates", Fraction(4), channels, Origin.SIMULATED, participant="p07"
    )
    sink = Lsl(source_id="out-test")
    inlet = Inlet(source_id="out-test", name="far")
    begin = time.monotonic()
    rows = [
        Block(info, k, begin, np.array([[k / 10, np.nan]], np.float64))
        for k in range(8)
    ]
    with sink:
        sink.write(rows[0])
        with inlet:
            for row in rows[1:]:
                sink.write(row)
            items = listen([inlet], 1.0)
            told = inlet._inlet.info(5.0)
    assert (told.name(), told.type()) == ("physio-affect", "Affect")
    about = told.desc()
    assert about.child_value("nominal_rate") == "4"
    made = about.child("acquisition")
    assert made.child_value("manufacturer") == "physio-affect"
    drops = about.child("synchronization")
    assert drops.child_value("can_drop_samples") == "true"
    channel = about.child("channels").child("channel")
    keys = ("label", "type", "unit", "delay", "memory")
    known = ["valence", "misc", "none", "0", "12"]
    assert [channel.child_value(k) for k in keys] == known
    (described,) = inlet.streams
    assert (described.name, described.rate) == ("far.affect", 0)
    assert described.names == ("valence", "valence.sd")
    assert (described.origin, described.participant) == (Origin.SIMULATED, "")
    events = [i for i in items if isinstance(i, Events)]
    data = np.concatenate([e.data for e in events])
    np.testing.assert_array_equal(data, np.vstack([r.data for r in rows[1:]]))
    at = np.concatenate([e.times for e in events])
    # Out by one clock and in by the other: two differences, within 1 ms each.
    expected = np.concatenate([r.times for r in rows[1:]])
    np.testing.assert_allclose(at, expected, rtol=0, atol=0.002)


def test_features_of_two_participants_go_out_as_two_streams() -> None:
    info = StreamInfo("features.p1", Fraction(4), (Channel("eda.tonic", "gsr", "uS"),))
    infos = [info, replace(info, name="features.p2")]
    sinks = [Lsl("features"), Lsl("estimates")]
    with sinks[0], sinks[1]:
        for i in infos:
            for sink in sinks:
                sink.write(Block(i, 0, time.monotonic(), np.ones((1, 1))))
        there = {f for f in discover(1.0) if f.source_id.startswith("physio-affect")}
        with Inlet(source_id="physio-affect-features-p2", name="b") as inlet:
            (told,) = inlet.streams
    assert {(f.name, f.type, f.source_id) for f in there} == {
        (f"physio-affect-{p}", "Features", f"physio-affect-features-{p}")
        for p in ("p1", "p2")
    }
    assert [(c.name, c.unit) for c in told.channels] == [("eda.tonic", "uS")]
    with pytest.raises(ValueError, match=r".*") as error:
        Lsl("signals")
    assert str(error.value) == (
        "an LSL outlet sends features or estimates, not 'signals'"
    )
