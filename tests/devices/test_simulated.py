"""What a simulated participant sends: the same whenever read, and all accounted for."""

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest

from devices import simulated
from devices.simulated import Chest, Headset, Wristband
from devices.simulated.base import SimulatedDevice
from devices.simulated.participant import EFFECTS
from physio.config import build
from physio.core.block import Block, Origin
from physio.core.events import Events
from physio.core.protocols import FastClock

DEVICES = (Headset, Wristband, Chest)
EPOCH = 1000.1  # no whole number, so that times are rounded


def live(
    make: Callable[..., SimulatedDevice],
    polls: np.ndarray | float = 0.5,
    **settings: Any,
) -> tuple[SimulatedDevice, dict[str, list[Block]], dict[str, list[Events]]]:
    """Read a device to its end, waiting for each of ``polls`` (s) in turn."""
    clock = FastClock(EPOCH)
    blocks: dict[str, list[Block]] = {}
    events: dict[str, list[Events]] = {}
    waits = np.atleast_1d(polls)
    with make(name="x", clock=clock, **settings) as device:
        for info in device.streams:
            (blocks if info.rate else events)[info.name] = []
        turn = 0
        while not device.ended:
            for item in device.read():
                if isinstance(item, Block):
                    assert item.complete_until <= clock.now()
                    blocks[item.info.name].append(item)
                else:
                    assert item.times[-1] <= item.complete_until <= clock.now()
                    events[item.info.name].append(item)
            clock.wait(float(waits[turn % len(waits)]))
            turn += 1
    return device, blocks, events


def whole(parts: list[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the samples and the samples."""
    numbers = [np.arange(b.start, b.stop) for b in parts]
    return np.concatenate(numbers), np.vstack([b.data for b in parts])


def told(parts: list[Events]) -> tuple[list[float], list[list[float]], list[str]]:
    return (
        [float(t) for e in parts for t in e.times],
        [row for e in parts for row in e.data.tolist()],
        [label for e in parts for label in e.labels],
    )


def test_names_rates_and_units() -> None:
    expected = {
        Headset: [("eeg", 250, "uV", "eeg")],
        Wristband: [
            ("eda", 4, "uS", "gsr"),
            ("bvp", 64, "1", "bio"),
            ("acc", 32, "g", "misc"),
            ("temp", 4, "degC", "temperature"),
        ],
        Chest: [("ecg", 250, "mV", "ecg"), ("resp", 25, "1", "resp")],
    }
    truth = [("truth", 4, "1", "misc")]
    for make, streams in expected.items():
        with make(name="d", participant="p07", clock=FastClock()) as device:
            regular = [i for i in device.streams if i.rate]
            assert [
                (i.name, i.rate, i.channels[0].unit, i.channels[0].kind)
                for i in regular
            ] == [(f"d.{n}", Fraction(r), u, k) for n, r, u, k in streams + truth]
            assert {i.origin for i in device.streams} == {Origin.SIMULATED}
            assert {i.participant for i in device.streams} == {"p07"}
    with Wristband(clock=FastClock()) as device:
        acc = next(i for i in device.streams if i.name.endswith(".acc"))
        assert acc.names == ("acc.x", "acc.y", "acc.z")


@pytest.mark.parametrize("make", DEVICES)
def test_what_comes_does_not_depend_on_when_it_is_read(
    make: Callable[..., SimulatedDevice],
) -> None:
    settings = {"seconds": 21.3, "loss": 0.02, "gaps": ((5.0, 6.2),)}
    rng = np.random.default_rng(1)
    ways = (0.05, 30.0, rng.exponential(0.7, 50), np.array([1e-3, 0.0, 3.99, 4.0]))
    first, *others = (live(make, polls, **settings) for polls in ways)
    for other in others:
        assert other[0].produced == first[0].produced
        for name, parts in first[1].items():
            for mine, theirs in zip(whole(parts), whole(other[1][name]), strict=True):
                np.testing.assert_array_equal(mine, theirs)
        assert {k: told(v) for k, v in other[2].items()} == {
            k: told(v) for k, v in first[2].items()
        }


@pytest.mark.parametrize("make", DEVICES)
def test_every_sample_comes_in_order_and_ends_in_time(
    make: Callable[..., SimulatedDevice],
) -> None:
    device, blocks, _ = live(make, seconds=10.1)
    for name, parts in blocks.items():
        numbers, _ = whole(parts)
        count = ceil(Fraction("10.1") * parts[0].info.rate)
        np.testing.assert_array_equal(numbers, np.arange(count))
        assert {b.t0 for b in parts} == {EPOCH}
        assert device.produced[name] == device.delivered[name] == count


def test_a_seed_is_a_participant_and_another_is_another() -> None:
    for make in DEVICES:
        runs = [live(make, seconds=8.0, seed=s)[1] for s in (4, 4, 5)]
        for name in runs[0]:
            same, again, other = (whole(run[name])[1] for run in runs)
            np.testing.assert_array_equal(same, again)
            assert not np.array_equal(same, other)


def test_devices_of_a_seed_are_on_one_participant() -> None:
    runs = [live(make, seconds=60.0, seed=7) for make in DEVICES]
    for _, blocks, events in runs[1:]:
        np.testing.assert_array_equal(
            whole(blocks["x.truth"])[1], whole(runs[0][1]["x.truth"])[1]
        )
        for name in ("x.beats", "x.conditions", "x.ratings"):
            assert told(events[name]) == told(runs[0][2][name])


@pytest.mark.parametrize("make", DEVICES)
def test_losses_are_conserved_and_alter_nothing_else(
    make: Callable[..., SimulatedDevice],
) -> None:
    _, plain, _ = live(make, seconds=60.0)
    device, blocks, _ = live(make, seconds=60.0, loss=0.1, gaps=((10.0, 12.5),))
    for name, parts in blocks.items():
        rate = float(parts[0].info.rate)
        numbers, data = whole(parts)
        assert np.all(np.diff(numbers) > 0)
        np.testing.assert_array_equal(data, whole(plain[name])[1][numbers])
        produced, delivered = device.produced[name], device.delivered[name]
        assert produced == round(60 * rate)
        assert delivered == len(numbers)
        if name == "x.truth":
            assert delivered == produced
            continue
        assert not np.any((numbers / rate >= 10.0) & (numbers / rate < 12.5))
        # binomial about 10 % of what lies outside the gap; 5 standard deviations
        outside = round(57.5 * rate)
        spread = 5 * np.sqrt(outside * 0.1 * 0.9)
        assert abs(delivered - 0.9 * outside) < spread


def test_a_sensor_dies_and_another_never_starts() -> None:
    device, blocks, _ = live(Wristband, seconds=40.0, dies={"eda": 30.0, "temp": 0.0})
    assert whole(blocks["x.eda"])[0][-1] == 30 * 4 - 1
    assert blocks["x.temp"] == []
    assert len(whole(blocks["x.bvp"])[0]) == 40 * 64
    assert device.produced["x.temp"] == 40 * 4
    assert device.delivered["x.temp"] == 0


def test_nothing_comes_before_or_after_the_with_block_and_it_opens_again() -> None:
    clock = FastClock()
    device = Chest(clock=clock, loss=0.1)
    assert device.read() == ()
    runs = []
    for _ in range(2):
        with device:
            clock.wait(5.0)
            runs.append([i for i in device.read() if isinstance(i, Block)])
        clock.wait(5.0)
        assert device.read() == ()
    for first, second in zip(*runs, strict=True):
        assert (second.t0, second.start) == (first.t0 + 10, first.start)
        np.testing.assert_array_equal(first.data, second.data)


def test_a_device_without_end_goes_on_and_the_protocol_begins_again() -> None:
    clock = FastClock()
    with Wristband(clock=clock, cycle=40.0) as device:
        clock.wait(100.0)
        events = [i for i in device.read() if i.info.name == "simulated.conditions"]
        assert not device.ended
    times, _, labels = told(events)
    assert times[0] == 0
    assert times[8] == pytest.approx(40.0, abs=1e-9)  # a rounded product
    assert labels[:8] == labels[8:16]


def test_truth_can_stay_away() -> None:
    with Headset(clock=FastClock(), ground_truth=False) as device:
        assert [i.name for i in device.streams] == ["simulated.eeg"]
        assert [i.info.name for i in device.read()] == ["simulated.eeg"]


def test_a_headset_wears_any_electrodes_of_a_montage() -> None:
    _, blocks, _ = live(
        Headset, seconds=3.0, channels=("FCz", "PO7"), rate=Fraction(96)
    )
    assert blocks["x.eeg"][0].info.names == ("FCz", "PO7")
    assert len(whole(blocks["x.eeg"])[0]) == 3 * 96
    _, blocks, _ = live(Headset, seconds=3.0, channels=("E1", "E9"), montage="EGI_256")
    assert whole(blocks["x.eeg"])[1].std(axis=0).min() > 1


def test_a_session_file_describes_it() -> None:
    table = {
        "use": "devices.simulated:Headset",
        "channels": ["Fz", "Pz"],
        "rate": 128,
        "gaps": [[1, 2.5]],
        "dies": {"eeg": 9.0},
    }
    clock = FastClock()
    device = build(table, "s.toml", given={"name": "headset", "clock": clock})
    assert device == Headset(
        name="headset",
        channels=("Fz", "Pz"),
        rate=Fraction(128),
        gaps=((1.0, 2.5),),
        dies={"eeg": 9.0},
    )


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (Chest, {"seed": -1}, "the seed of 'x' must be 0 or more: -1"),
        (Chest, {"loss": 1.5}, "the loss of 'x' is a proportion from 0 to 1, not 1.5"),
        (
            Chest,
            {"seconds": 0.0},
            "'x' must send for more than 0 s, in cycles of 0 s or more that end; got "
            "seconds = 0.0, cycle = 0.0",
        ),
        (
            Chest,
            {"gaps": ((3.0, 2.0),)},
            "a gap of 'x' must end after it begins, not (3.0, 2.0)",
        ),
        (
            Wristband,
            {"dies": {"ecg": 3.0}},
            "'x' has no stream 'ecg' that could die; it has eda, bvp, acc, temp",
        ),
        (
            Chest,
            {"rate": Fraction(20)},
            "the rate of 'x' must be 50 Hz or more, not 20",
        ),
        (
            Headset,
            {"rate": Fraction(20)},
            "the rate of 'x' must be 64 Hz or more, not 20",
        ),
        (Headset, {"channels": ()}, "'x' needs at least one channel"),
        (
            Headset,
            {"channels": ("A1", "Q7"), "montage": "biosemi16"},
            "montage 'biosemi16' has no electrode A1, Q7; it has Fp1, Fp2, F4, Fz, F3, "
            "T7, C3, Cz, C4, T8, P4, Pz, P3, O1, Oz, O2",
        ),
    ],
)
def test_settings_that_make_no_sense(
    make: Callable[..., SimulatedDevice], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared whole
        make(name="x", **settings)
    assert str(caught.value) == message


def test_the_table_says_what_the_code_does() -> None:
    rows = [line.split() for line in (simulated.__doc__ or "").splitlines()]
    table = {
        row[0]: (float(row[1]), float(row[2]))
        for row in rows
        if row and "." in row[0]
        if row[0] in EFFECTS
    }
    assert table == {name: tuple(effect) for name, effect in EFFECTS.items()}


@pytest.mark.long
@pytest.mark.parametrize("make", DEVICES)
def test_memory_stays_flat(make: Callable[..., SimulatedDevice]) -> None:
    clock = FastClock()
    with make(clock=clock) as device:
        sizes = []
        tracemalloc.start()
        for _ in range(3):
            for _ in range(1800):
                clock.wait(1.0)
                device.read()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    # a segment of eight electrodes is 64 kB; an hour of any stream kept would be more
    assert abs(sizes[2] - sizes[1]) < 64_000
