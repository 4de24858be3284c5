"""LSL without a network: what a stream says of itself, and what its stamps tell."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from devices.lsl import DiscoveredStream, Inlet
from devices.lsl.stream_info import read_description
from physio.core.block import Array, Channel, Origin
from physio.core.timing.timestamps import PlacedSamples, TimestampAligner


def described(
    kind: str,
    channels: list[dict[str, str]],
    rate: float = 256,
    form: str = "float32",
    more: str = "",
) -> str:
    """Return the XML of a stream, as LSL writes it."""
    rows = "".join(
        "<channel>" + "".join(f"<{k}>{v}</{k}>" for k, v in c.items()) + "</channel>"
        for c in channels
    )
    return (
        f'<?xml version="1.0"?><info><name>n</name><type>{kind}</type>'
        f"<channel_count>{len(channels)}</channel_count>"
        f"<channel_format>{form}</channel_format>"
        f"<nominal_srate>{rate:.15f}</nominal_srate>"
        f"<desc><channels>{rows}</channels>{more}</desc></info>"
    )


def test_an_eeg_stream() -> None:
    channels = [{"label": n, "unit": "microvolts", "type": "EEG"} for n in ("Fz", "Cz")]
    more = "<reference><label>A2</label></reference>"
    said = read_description(described("EEG", channels, more=more), "headset", "p07")
    assert said.info.name == "headset.eeg"
    assert said.info.rate == Fraction(256)
    assert said.info.channels == (
        Channel("Fz", "eeg", "uV"),
        Channel("Cz", "eeg", "uV"),
    )
    assert (said.info.participant, said.info.reference) == ("p07", "A2")
    assert said.info.origin is Origin.MEASURED
    assert (said.factors, said.text) == ((1.0, 1.0), False)


@pytest.mark.parametrize(
    ("kind", "unit", "expected", "factor"),
    [
        ("EEG", "microvolts", "uV", 1.0),
        ("EEG", "\N{MICRO SIGN}V", "uV", 1.0),
        ("EEG", "mV", "uV", 1e3),
        ("EEG", "volts", "uV", 1e6),
        ("EEG", "-6", "uV", 1.0),
        ("EEG", "0", "uV", 1e6),
        ("EEG", "", "uV", 1.0),
        ("EEG", "nV", "uV", 1e-3),
        ("GSR", "-6", "uS", 1.0),
        ("GSR", "microsiemens", "uS", 1.0),
        ("EDA", "\N{GREEK SMALL LETTER MU}S", "uS", 1.0),
        ("EDA", "Siemens", "uS", 1e6),
        ("EDA", "kOhm", "kOhm", 1.0),
        ("Temperature", "celsius", "degC", 1.0),
        ("Temperature", "\N{DEGREE SIGN}C", "degC", 1.0),
        ("Accelerometer", "g", "g", 1.0),
        ("Accelerometer", "m/s^2", "m/s^2", 1.0),
        ("PPG", "", "1", 1.0),
    ],
)
def test_units(kind: str, unit: str, expected: str, factor: float) -> None:
    said = read_description(described(kind, [{"label": "a", "unit": unit}]), "x")
    assert said.info.channels[0].unit == expected
    assert said.factors == (factor,)


@pytest.mark.parametrize(
    ("kind", "name", "first"),
    [
        ("GSR", "x.eda", Channel("eda", "gsr", "uS")),
        ("EDA", "x.eda", Channel("eda", "gsr", "uS")),
        ("BVP", "x.bvp", Channel("bvp", "bio", "1")),
        ("ACC", "x.acc", Channel("acc", "misc", "g")),
        ("Respiration", "x.resp", Channel("resp", "resp", "1")),
        ("Gaze position!", "x.gaze_position", Channel("gaze_position", "misc", "1")),
        ("", "x.signal", Channel("signal", "misc", "1")),
    ],
)
def test_a_stream_without_a_word_on_its_channel(
    kind: str, name: str, first: Channel
) -> None:
    said = read_description(described(kind, [{}]), "x")
    assert said.info.name == name
    assert said.info.channels == (first,)


def test_a_channel_may_differ_from_its_stream() -> None:
    channels = [
        {"label": "Fz", "type": "EEG"},
        {"label": "breath", "type": "Respiration"},
        {"label": "Fz"},
        {"name": "Cz"},
    ]
    said = read_description(described("EEG", channels), "x")
    assert said.info.names == ("Fz", "breath", "Fz#2", "Cz")
    assert [c.kind for c in said.info.channels] == ["eeg", "resp", "eeg", "eeg"]


def test_three_axes_without_labels() -> None:
    assert read_description(described("ACC", [{}, {}, {}]), "x").info.names == (
        "acc.x",
        "acc.y",
        "acc.z",
    )


def test_markers_are_events() -> None:
    said = read_description(
        described("Markers", [{}], rate=0, form="string"), "stimuli"
    )
    assert (said.info.name, said.info.rate) == ("stimuli.markers", 0)
    assert (said.info.channels, said.text) == ((), True)
    numbers = read_description(
        described("Markers", [{}], rate=0, form="int32"), "stimuli"
    )
    assert numbers.info.channels == (Channel("markers", "stim", "1"),)
    assert not numbers.text


def test_a_rate_that_is_no_whole_number() -> None:
    said = read_description(described("EEG", [{}], rate=512 / 3), "x")
    assert said.info.rate == Fraction(512, 3)


def test_our_own_streams_say_that_they_are_simulated() -> None:
    more = "<origin>simulated</origin>"
    assert (
        read_description(described("EEG", [{}], more=more), "x").info.origin
        == "simulated"
    )


def test_a_found_stream_in_words() -> None:
    assert str(DiscoveredStream("Muse", "EEG", "m1", "lab", 256.0, 4)) == (
        "'Muse' (EEG, 4 x 256 Hz, source_id 'm1')"
    )
    assert str(DiscoveredStream("PsychoPy", "Markers", "", "lab", 0.0, 1)) == (
        "'PsychoPy' (Markers, 1 x irregular)"
    )


def test_an_inlet_must_know_what_to_look_for() -> None:
    message = "an LSL inlet needs at least one of source_id, stream_name, stream_type"
    with pytest.raises(ValueError, match=f"^{message}$"):
        Inlet()


class Sender:
    """Samples of 256 Hz from 100 s on, for a minute; sample n has value n."""

    rate = 256.0
    n = 60 * 256

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.taken = 100 + np.arange(self.n) / self.rate
        self.kept = np.ones(self.n, bool)

    def lose(self, at: float, samples: int) -> "Sender":
        first = int(at * self.rate)
        self.kept[first : first + samples] = False
        return self

    def late(self) -> Array:
        """Return stamps that come late as transport has it, 4 ms or so."""
        return self.taken + np.abs(self.rng.normal(0, 0.004, self.n))


def place(
    stamps: Array, values: Array, rate: float, now: Array | None = None, chunk: int = 8
) -> tuple[list[PlacedSamples], TimestampAligner]:
    """Push samples in chunks, each as soon as its last one was stamped."""
    stamped = TimestampAligner(rate)
    now = stamps if now is None else now
    placed: list[PlacedSamples] = []
    for a in range(0, len(stamps), chunk):
        rows = np.ascontiguousarray(values[a : a + chunk, None])
        part = stamps[a : a + chunk]
        last = float(now[min(a + chunk, len(now)) - 1])
        placed += stamped.push(part, part, rows, last + 0.001)
    return placed, stamped


def numbers(placed: list[PlacedSamples]) -> Array:
    return np.concatenate([p.start + np.arange(len(p.rows)) for p in placed])


def times(placed: list[PlacedSamples], rate: float) -> Array:
    parts = [p.t0 + (p.start + np.arange(len(p.rows))) / rate for p in placed]
    return np.concatenate(parts)


def values(placed: list[PlacedSamples]) -> Array:
    return np.concatenate([p.rows[:, 0] for p in placed])


@pytest.mark.parametrize(
    ("samples", "chunk"),
    [(0, 8), (40, 8), (128, 8), (128, 1), (486, 64), (512, 8), (5000, 64)],
)
def test_a_gap_is_as_long_as_it_was(samples: int, chunk: int) -> None:
    """Also with stamps that stray by more than a period, and within 5 ms after it."""
    sender = Sender().lose(20, samples)
    late, n = sender.late()[sender.kept], np.arange(sender.n, dtype=float)[sender.kept]
    placed, _ = place(late, n, sender.rate, chunk=chunk)
    np.testing.assert_array_equal(numbers(placed), values(placed))
    there = sender.taken[sender.kept][: len(numbers(placed))]
    error = times(placed, sender.rate) - there
    assert np.abs(error[256:]).max() < 0.005  # the first second is for learning
    assert (np.diff(times(placed, sender.rate)) > 0).all()


def test_exact_stamps_show_every_single_loss() -> None:
    sender = Sender(2)
    sender.kept = sender.rng.random(sender.n) > 0.01
    sender.kept[:320] = True  # what strays is known after a second
    taken = sender.taken[sender.kept]
    values_sent = np.arange(sender.n, dtype=float)[sender.kept]
    placed, _ = place(taken, values_sent, sender.rate)
    np.testing.assert_array_equal(numbers(placed), values(placed))


def test_one_loss_in_a_hundred_leaves_times_right() -> None:
    sender = Sender(3)
    sender.kept = sender.rng.random(sender.n) > 0.01
    late, n = sender.late()[sender.kept], np.arange(sender.n, dtype=float)[sender.kept]
    placed, _ = place(late, n, sender.rate)
    error = times(placed, sender.rate) - sender.taken[values(placed).astype(int)]
    # Single losses hide behind stamps that stray by a period. Those that are missed
    # put times wrong by a few periods of 4 ms at most, until the epoch has followed.
    assert np.abs(error).max() < 0.025
    assert np.abs(error).mean() < 0.004


def test_a_stall_that_is_made_up_for_is_no_loss() -> None:
    sender = Sender()
    stamps = sender.taken.copy()
    stalled = (stamps >= 120) & (stamps < 120.4)
    stamps[stalled] = 120.4 + np.arange(stalled.sum()) * 1e-4
    placed, _ = place(stamps, np.arange(sender.n, dtype=float), sender.rate)
    np.testing.assert_array_equal(numbers(placed), np.arange(sender.n))


def test_samples_that_come_in_bursts_lose_none() -> None:
    sender = Sender()
    bursts = 100 + (np.arange(sender.n) // 32 + 1) * 32 / sender.rate
    placed, _ = place(bursts, np.arange(sender.n, dtype=float), sender.rate)
    np.testing.assert_array_equal(numbers(placed), np.arange(len(numbers(placed))))


@pytest.mark.parametrize("rate", [256 * 1.003, 256 * 0.997])
def test_a_rate_that_is_not_quite_what_was_said_is_followed(rate: float) -> None:
    sender = Sender()
    taken = 100 + np.arange(sender.n) / rate
    placed, _ = place(taken, np.arange(sender.n, dtype=float), sender.rate)
    np.testing.assert_array_equal(numbers(placed), np.arange(sender.n))
    error = times(placed, sender.rate) - taken
    # An epoch that moves 3 ms/s is at most the second behind in which it settles.
    assert np.abs(error[2560:]).max() < 0.0035


def test_the_muse_whose_52_hz_are_51_84_loses_none() -> None:
    rng = np.random.default_rng(0)
    n = 52 * 60
    stamps = 100 + np.arange(n) / 51.84 + rng.normal(0, 0.002, n)
    placed, _ = place(stamps, np.arange(n, dtype=float), 52)
    np.testing.assert_array_equal(numbers(placed), np.arange(n))


def test_slow_streams_lose_samples_too() -> None:
    rng = np.random.default_rng(0)
    n = np.r_[0:100, 101:150, 170:240]
    stamps = 100 + n / 4 + np.abs(rng.normal(0, 0.005, len(n)))
    placed, stamped = place(stamps, n.astype(float), 4, chunk=1)
    np.testing.assert_array_equal(numbers(placed), values(placed))
    assert len(numbers(placed)) == len(n)
    assert not stamped.held


def test_a_late_sample_is_not_held_for_ever() -> None:
    stamped = TimestampAligner(4)
    first = 100 + np.arange(20) / 4
    stamped.push(first, first, first[:, None].copy(), first[-1])
    alone = np.array([110.0])
    assert stamped.push(alone, alone, np.zeros((1, 1)), 110.0) == []
    assert stamped.held
    none = np.empty(0)
    (placed,) = stamped.push(none, none, np.empty((0, 1)), 110.7)
    assert placed.start == 40
    assert not stamped.held


@pytest.mark.parametrize("jump", [-40.0, -2.0, 12.0])
def test_a_clock_that_is_set_loses_nothing(jump: float) -> None:
    sender = Sender()
    stamps = sender.taken.copy()
    stamps[30 * 256 :] += jump
    placed, _ = place(
        stamps, np.arange(sender.n, dtype=float), sender.rate, now=sender.taken
    )
    np.testing.assert_array_equal(numbers(placed), np.arange(sender.n))
    there = times(placed, sender.rate)
    assert (np.diff(there) > 0).all()
    # Known again from arrivals, 1 ms late here, and for a chunk of 8 samples at once.
    assert np.abs(there - sender.taken).max() < 0.005


def backlog(
    stamps: Array, rate: float, now: float
) -> tuple[list[PlacedSamples], TimestampAligner]:
    """Push what waits at ``now``, 1000 by 1000, then what comes, in chunks of 8."""
    stamped = TimestampAligner(rate)
    waiting = int(np.searchsorted(stamps, now, side="right"))
    edges = [*range(0, waiting, 1000), *range(waiting, len(stamps), 8), len(stamps)]
    placed: list[PlacedSamples] = []
    for a, b in pairwise(edges):
        rows = np.arange(a, b, dtype=float)[:, None]
        arrival = max(now, float(stamps[b - 1]) + 0.001)
        placed += stamped.push(stamps[a:b], stamps[a:b], rows, arrival)
    return placed, stamped


@pytest.mark.parametrize("age", [0.5, 9.0, 15.0, 44.0, 300.0])
@pytest.mark.parametrize("rate", [4.0, 64.0, 250.0])
def test_a_first_sample_that_is_old_keeps_its_time(rate: float, age: float) -> None:
    taken = 1000 + np.arange(round((age + 20) * rate)) / rate
    placed, stamped = backlog(taken, rate, 1000 + age)
    assert abs(placed[0].t0 - 1000) < 0.005
    assert stamped.shift == 0.0
    np.testing.assert_array_equal(numbers(placed), np.arange(len(taken)))
    np.testing.assert_allclose(times(placed, rate), taken, rtol=0, atol=0.005)


@pytest.mark.parametrize("age", [15.0, 44.0, 300.0])
def test_a_backlog_with_stamps_that_stray_loses_none(age: float) -> None:
    rate, rng = 250.0, np.random.default_rng(0)
    taken = 1000 + np.arange(round((age + 20) * rate)) / rate
    late = np.maximum.accumulate(taken + np.abs(rng.normal(0, 0.004, len(taken))))
    placed, _ = backlog(late, rate, 1000 + age)
    assert abs(placed[0].t0 - 1000) < 0.005
    np.testing.assert_array_equal(numbers(placed), values(placed))
    there = taken[: len(numbers(placed))]
    np.testing.assert_allclose(times(placed, rate), there, rtol=0, atol=0.005)


def test_a_gap_in_a_backlog_is_as_long_as_it_was() -> None:
    rate = 250.0
    n = np.r_[0:2500, 5000:12_500].astype(float)
    placed, _ = backlog(1000 + n / rate, rate, 1044.0)
    number = numbers(placed)
    assert number[2500] - number[2499] == 2501
    np.testing.assert_allclose(times(placed, rate), 1000 + n / rate, rtol=0, atol=0.005)


@pytest.mark.parametrize("jump", [-40.0, -2.0, 12.0])
def test_a_clock_that_is_set_after_a_backlog_loses_nothing(jump: float) -> None:
    rate = 250.0
    taken = 1000 + np.arange(16_000) / rate
    stamps, stamped = taken.copy(), TimestampAligner(rate)
    stamps[12_500:] += jump  # 50 s after the first sample, which is read after 44 s
    placed: list[PlacedSamples] = []
    for a, b in pairwise([0, *range(11_000, 16_001, 8)]):
        rows = np.arange(a, b, dtype=float)[:, None]
        now = float(taken[b - 1]) + 0.001
        placed += stamped.push(stamps[a:b], stamps[a:b], rows, now)
    np.testing.assert_array_equal(numbers(placed), np.arange(16_000))
    np.testing.assert_allclose(times(placed, rate), taken, rtol=0, atol=0.005)


@pytest.mark.parametrize(
    ("offset", "shifted"),
    [(-70.0, True), (-50.0, False), (0.4, False), (0.7, True), (5.0, True)],
)
def test_how_old_or_new_a_first_sample_can_be(offset: float, shifted: bool) -> None:
    rate = 250.0
    stamps, stamped = (
        1000 + offset + np.arange(8) / rate,
        TimestampAligner(rate, oldest=60.0),
    )
    (placed,) = stamped.push(stamps, stamps, np.zeros((8, 1)), 1000.0)
    where = 1000.0 - 7 / rate if shifted else 1000 + offset
    assert placed.t0 == pytest.approx(where, abs=1e-9)
    assert stamped.shift == pytest.approx(where - stamps[0], abs=1e-9)


def test_stamps_of_another_clock_are_placed_by_arrival() -> None:
    sender = Sender()
    unix = sender.taken + 1.7e9
    placed, stamped = place(
        unix, np.arange(sender.n, dtype=float), sender.rate, now=sender.taken
    )
    assert stamped.shift == pytest.approx(-1.7e9, abs=0.01)
    np.testing.assert_array_equal(numbers(placed), np.arange(sender.n))
    # By the arrival of the first chunk, 1 ms after its last sample was taken; Unix
    # times are rounded to 2.4e-7 s.
    np.testing.assert_allclose(
        times(placed, sender.rate), sender.taken + 0.001, rtol=0, atol=1e-6
    )


def by_radio(
    rate: int, size: int, delay: float, drop: float, seed: int, true: float = 1.0
) -> tuple[Array, Array, Array]:
    """Return numbers, values and errors of samples that come in packets of one stamp.

    A packet is late by an exponential delay (s, on average), and none overtakes
    another. None is lost in the first 3 s and the last 5 s. The true rate is ``true``
    times the nominal one. The errors are of the time of the packets (s).
    """
    rng = np.random.default_rng(seed)
    n = int(25 * rate * true) // size
    sent = 100 + (np.arange(n) + 1) * size / rate / true
    arrived = np.maximum.accumulate(sent + rng.exponential(delay, n))
    there = (rng.random(n) >= drop) | (sent < 103) | (sent > 120)
    aligner, placed, i = TimestampAligner(rate), [], 0
    packets = np.flatnonzero(there)
    for now in 100 + np.arange(0.05, 28, 0.05):
        stop = max(i, int(np.searchsorted(arrived[packets], now, side="right")))
        k = packets[i:stop].repeat(size) * size + np.tile(np.arange(size), stop - i)
        stamps = arrived[packets[i:stop]].repeat(size)
        placed += aligner.push(stamps, stamps, k.astype(float)[:, None], float(now))
        # Longer than 1 s, and the session would declare the stream silent.
        assert not aligner.held or now - arrived[packets[i - 1]] < 0.85
        i = stop
    true_values = values(placed).astype(int)
    assert len(true_values) == len(packets) * size
    there_at = times(placed, rate)
    assert (np.diff(there_at) > 0).all()
    within = (size - 1 - true_values % size) / rate / true
    return numbers(placed), true_values, there_at - sent[true_values // size] + within


PACKETS = [(300, 9), (64, 6), (256, 12), (2000, 40)]


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.08])
@pytest.mark.parametrize(("rate", "size"), [*PACKETS, (250, 1)])
def test_a_radio_delay_is_no_loss(rate: int, size: int, delay: float) -> None:
    for seed in range(2):
        number, true, _ = by_radio(rate, size, delay, 0.0, seed)
        np.testing.assert_array_equal(number, true)


@pytest.mark.parametrize("drop", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03])
@pytest.mark.parametrize(("rate", "size"), PACKETS)
def test_packets_with_a_radio_delay_lose_what_was_lost(
    rate: int, size: int, delay: float, drop: float
) -> None:
    number, true, _ = by_radio(rate, size, delay, drop, 0)
    assert number[-1] == true[-1]
    if not delay:
        np.testing.assert_array_equal(number, true)


@pytest.mark.parametrize(("rate", "size"), PACKETS)
def test_delays_longer_than_packets_hide_losses_and_invent_none(
    rate: int, size: int
) -> None:
    for drop in (0.01, 0.1):
        number, true, error = by_radio(rate, size, 0.08, drop, 0)
        lost = true[-1] + 1 - len(true)
        assert 0 <= true[-1] - number[-1] <= (0.3 if drop > 0.05 else 1.0) * lost
        assert abs(np.median(error)) < 0.15


@pytest.mark.parametrize("true", [0.98, 1.02])
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03])
@pytest.mark.parametrize(("rate", "size"), [(250, 1), (300, 9)])
def test_a_rate_two_per_cent_off_invents_no_losses(
    rate: int, size: int, delay: float, true: float
) -> None:
    number, sent, error = by_radio(rate, size, delay, 0.0, 0, true)
    np.testing.assert_array_equal(number, sent)
    assert np.percentile(np.abs(error[5 * rate :]), 95) < (0.04 if delay else 0.003)


@pytest.mark.parametrize(("rate", "size"), [(256, 12), (300, 9)])
def test_times_follow_the_stamps_while_losses_are_in_doubt(
    rate: int, size: int
) -> None:
    _, _, error = by_radio(rate, size, 0.03, 0.1, 0)
    assert abs(np.median(error)) < 0.11
