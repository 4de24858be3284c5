"""Boards: what they have to send, and how their rows become blocks."""

import re
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

from devices.board import Board, available_boards
from devices.board.presets import BoardPreset, board_presets
from physio.core.block import Array, Block, Origin
from physio.core.events import Events
from physio.core.timing.clock_model import (
    SampleNumbering,
    StartTimeEstimator,
    WrappingCounter,
)
from physio.core.timing.sample_counter import CounterAligner


def described(board: str) -> dict[str, tuple[int, tuple[str, ...]]]:
    streams = [info for lane in board_presets(board, "x") for info in lane.streams]
    return {info.name: (int(info.rate), info.names) for info in streams}


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        (
            "cyton",
            {
                "x.eeg": (250, ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")),
                "x.acc": (250, ("acc.x", "acc.y", "acc.z")),
            },
        ),
        (
            "muse_2",
            {
                "x.eeg": (256, ("TP9", "AF7", "AF8", "TP10")),
                "x.acc": (52, ("acc.x", "acc.y", "acc.z")),
                "x.gyro": (52, ("gyro.x", "gyro.y", "gyro.z")),
                "x.ppg": (64, ("ppg1", "ppg2", "ppg3")),
            },
        ),
        (
            "emotibit",
            {
                "x.acc": (25, ("acc.x", "acc.y", "acc.z")),
                "x.gyro": (25, ("gyro.x", "gyro.y", "gyro.z")),
                "x.ppg": (25, ("ppg1", "ppg2", "ppg3")),
                "x.eda": (15, ("eda",)),
                "x.temp": (15, ("temp",)),
            },
        ),
        ("callibri_eeg", {"x.eeg": (250, ("eeg",))}),
    ],
)
def test_a_board_is_what_it_says_of_itself(
    board: str, expected: dict[str, tuple[int, tuple[str, ...]]]
) -> None:
    assert described(board) == expected


def test_electrodes_that_are_all_things_at_once_are_given_once() -> None:
    galea = described("galea")
    assert len(galea["x.eeg"][1]) == 16
    assert len(galea["x.emg"][1]) == 6
    assert len(galea["x.eog"][1]) == 2
    assert "x.ecg" not in described("cyton")


def test_every_board_that_has_a_stream_can_be_described() -> None:
    boards = {board: described(board) for board in available_boards()}
    assert boards.keys() >= {"synthetic", "cyton", "muse_2", "unicorn", "ganglion"}
    # GForce reads gestures from EMG, and not all that BrainFlow knows has electrodes.
    assert sum("x.eeg" in streams for streams in boards.values()) > 40


def test_channels_know_kind_and_unit() -> None:
    channels = {
        (info.name, c.kind, c.unit)
        for lane in board_presets("emotibit", "x")
        for info in lane.streams
        for c in info.channels
    }
    assert channels == {
        ("x.acc", "misc", "g"),
        ("x.gyro", "misc", "deg/s"),
        ("x.ppg", "bio", "1"),
        ("x.eda", "gsr", "uS"),
        ("x.temp", "temperature", "degC"),
    }


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("shimmer3", {
            "x.ecg": (512, "ecg", "counts"), "x.acc": (512, "misc", "counts"),
            "x.gyro": (512, "misc", "counts"), "x.eda": (512, "gsr", "uS"),
            "x.temp": (512, "temperature", "counts"),
        }),
        ("explore_8_chan", {
            "x.eeg": (250, "eeg", "uV"), "x.acc": (20, "misc", "g"),
            "x.gyro": (20, "misc", "deg/s"), "x.temp": (1, "temperature", "degC"),
        }),
        ("callibri_ecg", {"x.ecg": (125, "ecg", "uV")}),
    ],
)  # fmt: skip
def test_kinds_and_units_are_those_of_the_driver(
    board: str, expected: dict[str, tuple[int, str, str]]
) -> None:
    streams = [info for lane in board_presets(board, "x") for info in lane.streams]
    assert {
        i.name: (int(i.rate), i.channels[0].kind, i.channels[0].unit) for i in streams
    } == expected


def test_an_explore_gives_thousandths() -> None:
    lane = next(p for p in board_presets("explore_4_chan", "x") if p.preset == 1)
    rows = np.zeros((40, lane.width))
    rows[:, 1:7] = [0, 0, 1000, 250, 0, -1500]
    rows[:, 10] = 1.6e9 + np.arange(40) / 20
    items = lane.take(rows, 102.0, 100.0 - 1.6e9)
    data = {i.info.name: i.data[0].tolist() for i in items if isinstance(i, Block)}
    assert data == {"x.acc": [0, 0, 1], "x.gyro": [0.25, 0, -1.5]}


def test_boards_without_a_driver_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no driver of the BITalino: switch on LSL"):
        Board("bitalino")


def test_what_a_second_preset_repeats_gets_a_name_of_its_own() -> None:
    names = list(described("synthetic"))
    assert names[:6] == ["x.eeg", "x.acc", "x.gyro", "x.eda", "x.ppg", "x.temp"]
    assert names[6:] == ["x.acc2", "x.gyro2", "x.eda2", "x.ppg2", "x.temp2"]


def test_only_some_streams() -> None:
    made = board_presets("synthetic", "x", only=("eeg", "eda"))
    assert [i.name for lane in made for i in lane.streams] == ["x.eeg", "x.eda"]


def test_origin_and_participant() -> None:
    (info, _) = board_presets("cyton", "x", "p07")[0].streams
    assert (info.participant, info.origin) == ("p07", Origin.MEASURED)
    assert board_presets("synthetic", "x")[0].streams[0].origin is Origin.SIMULATED


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"board": "cytonn"},
            ValueError,
            "BrainFlow has no board 'cytonn'; it has cyton, cyton_wifi, cyton_daisy",
        ),
        (
            {"board": "playback"},
            ValueError,
            "a playback board needs a file, and as master the board that wrote it",
        ),
        (
            {"buffer_seconds": 0.0},
            ValueError,
            "buffer_seconds must be above 0 s, not 0.0",
        ),
        (
            {"streams_used": ("egg",)},
            ValueError,
            "board 'synthetic' has no stream 'egg'; it has eeg, acc, gyro, eda, ppg, "
            "temp, acc2, gyro2, eda2, ppg2, temp2",
        ),
        (
            {"board": "cyton", "serial_port": "/dev/no-such-port"},
            OSError,
            "no board 'cyton' answers on /dev/no-such-port: the port cannot be opened",
        ),
        (
            {"board": "cyton"},
            OSError,
            "no board 'cyton' answers: it needs other settings, such as serial_port, "
            "mac_address or ip_address",
        ),
        (
            {"board": "playback", "master": "cyton", "file": "/no-such-file.csv"},
            FileNotFoundError,
            "there is no file /no-such-file.csv to play back",
        ),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_sentence(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"), Board(**settings):
        pass


def test_a_closed_board_gives_nothing() -> None:
    board = Board()
    assert board.ended
    assert board.read() == []


def count(counter: WrappingCounter, numbers: list[int]) -> list[int]:
    """Return the counts that a device sends with samples of these numbers."""
    counts = [n // counter.rows * counter.step % counter.wrap for n in numbers]
    return SampleNumbering(counter).number(np.array(counts)).tolist()


def test_a_counter_that_wraps_goes_on() -> None:
    assert count(WrappingCounter(), list(range(1000))) == list(range(1000))
    assert count(WrappingCounter(step=2), list(range(1000))) == list(range(1000))
    assert count(WrappingCounter(65536, rows=12), list(range(0))) == []
    muse = list(range(65536 * 3 + 30))
    assert count(WrappingCounter(65536, rows=3), muse) == muse


@pytest.mark.parametrize("counter", [WrappingCounter(), WrappingCounter(step=2)])
def test_any_loss_of_less_than_a_turn_is_counted(counter: WrappingCounter) -> None:
    rng = Random(1)
    numbers = [0]
    for _ in range(500):
        numbers.append(numbers[-1] + rng.choice([1, 1, 1, 2, 40, counter.turn - 1]))
    assert count(counter, numbers) == numbers


def test_a_lost_packet_loses_all_its_rows() -> None:
    packets = [n for n in range(120) if n // 12 not in {3, 4, 7}]
    assert count(WrappingCounter(65536, rows=12), packets) == packets


def test_a_packet_cut_in_two_reads_is_one() -> None:
    counted = SampleNumbering(WrappingCounter(65536, rows=12))
    first = counted.number(np.array([7] * 12 + [8] * 5))
    rest = counted.number(np.array([8] * 7 + [9] * 12))
    assert [*first, *rest] == list(range(36))


def test_a_packet_that_comes_twice_counts_once() -> None:
    assert SampleNumbering(WrappingCounter()).number(
        np.array([4, 5, 5, 6])
    ).tolist() == [0, 1, -1, 2]


def test_a_device_that_begins_anew_has_lost_nothing_that_is_known() -> None:
    counted = SampleNumbering(WrappingCounter())
    counted.number(np.arange(100))
    # It counts from 0: 156 samples, of which the time leaves room for 20.
    assert counted.number(np.array([0, 1, 2]), last=120).tolist() == [100, 101, 102]


def test_whole_turns_show_in_the_time() -> None:
    counted = SampleNumbering(WrappingCounter(), patience=1.0)
    assert counted.missing(behind=256.0, now=10.0) == 0
    assert counted.missing(behind=257.0, now=10.9) == 0
    assert counted.missing(behind=257.0, now=11.1) == 256
    assert counted.newest == 255


def test_a_stall_is_no_loss() -> None:
    counted = SampleNumbering(WrappingCounter(), patience=1.0)
    for now, behind in [(10.0, 300.0), (10.9, 500.0), (11.0, 3.0), (12.1, 300.0)]:
        assert counted.missing(behind, now) == 0


def test_a_full_store_leaves_no_doubt() -> None:
    assert (
        SampleNumbering(WrappingCounter()).missing(behind=515.0, now=10.0, full=True)
        == 512
    )


def test_times_follow_the_samples_that_came_soonest() -> None:
    """A device of 250.3 Hz whose samples take 0 to 30 ms, and 5 ms at the least."""
    rng = np.random.default_rng(3)
    epoch, times, errors = StartTimeEstimator(250), [], []
    for poll in np.arange(0.02, 60.0, 0.02):
        newest = int((poll - 0.005 - 0.025 * rng.random() ** 3) * 250.3)
        if newest < (len(times) and times[-1][0]):
            continue
        epoch.update(poll, newest)
        at = epoch.at(newest) + newest / 250
        errors.append(at - newest / 250.3)
        times.append((newest, at))
    numbers = np.array([n for n, _ in times])
    seconds = np.array([t for _, t in times])
    new = np.diff(numbers) > 0
    assert (np.diff(seconds)[new] > 0).all()
    # Behind by the least delay, 5 ms, less the drift of 1.2 ms/s for the second in
    # which an epoch settles; a poll sees the newest sample up to one period, 4 ms, old.
    assert np.ptp(errors[500:]) < 0.004 + 0.0012
    assert np.mean(errors[500:]) == pytest.approx(0.005, abs=0.004)


class Wire:
    """Rows as BrainFlow would give them of a Cyton, some of them lost on the way."""

    def __init__(self, lost: range) -> None:
        self.lane: BoardPreset = board_presets("cyton", "x")[0]
        self.lost = lost

    def rows(self, a: int, b: int, mark: int = -1) -> Array:
        numbers = np.array([n for n in range(a, b) if n not in self.lost], np.float64)
        rows = np.zeros((len(numbers), self.lane.width))
        rows[:, 0] = numbers % 256
        rows[:, 1:9] = numbers[:, None]
        rows[:, 22] = 1.6e9 + numbers / 250
        rows[numbers == mark, 23] = 7.0
        return rows


@pytest.mark.parametrize("lost", [range(0), range(400, 407), range(300, 555)])
def test_blocks_count_what_was_lost(lost: range) -> None:
    wire = Wire(lost)
    blocks: list[Block] = []
    for a in range(0, 2000, 5):
        now = 100 + (a + 5) / 250
        items = wire.lane.take(wire.rows(a, a + 5), now, now - 1.6e9)
        blocks += [i for i in items if isinstance(i, Block) and len(i.info.names) == 8]
    numbers = [n for b in blocks for n in range(b.start, b.stop)]
    assert numbers == [n for n in range(2000) if n not in lost]
    assert [v for b in blocks for v in b.data[:, 0]] == numbers
    times = np.concatenate([b.times for b in blocks])
    assert (np.diff(times) > 0).all()
    # Each was fetched as soon as it was taken, but for the rounding of sums near 100.
    np.testing.assert_allclose(times, 100 + (np.array(numbers) + 1) / 250, atol=1e-9)
    assert blocks[0].stamps is not None
    assert blocks[0].stamps[0] == 1.6e9


def test_a_loss_of_three_turns_is_found_by_the_time() -> None:
    wire = Wire(range(1000, 1000 + 768))
    newest = 0
    for a in range(0, 4000, 5):
        now = 100 + (a + 5) / 250
        for item in wire.lane.take(wire.rows(a, a + 5), now, 0.0):
            if isinstance(item, Block):
                newest = item.stop
    assert newest == 4000


def test_a_marker_lies_at_its_sample() -> None:
    wire = Wire(range(0))
    items = wire.lane.take(wire.rows(0, 50, mark=31), 100.2, 0.0)
    block = next(i for i in items if isinstance(i, Block))
    (events,) = (i for i in items if isinstance(i, Events))
    assert events.info.name == "x.markers"
    assert (events.labels, events.data.tolist()) == (("7",), [[7.0]])
    assert events.times.tolist() == [block.times[31]]


@pytest.mark.parametrize(
    ("board", "settings", "told"),
    [
        ("muse_2", {}, ("p50",)),
        ("muse_s", {}, ("p61",)),
        ("muse_2", {"streams_used": ("eeg",)}, ()),
        ("muse_2", {"streams_used": ("eeg", "ppg")}, ("p50",)),
        ("muse_2", {"board_commands": ("p51",)}, ("p51",)),
        ("cyton", {}, ()),
        ("shimmer3", {}, ("sampling_rate:512",)),
        ("shimmer3", {"rates": {"eda": 128}}, ("sampling_rate:128",)),
    ],
)
def test_a_muse_is_told_to_send_the_pulse(
    board: str, settings: dict[str, Any], told: tuple[str, ...]
) -> None:
    assert Board(board, **settings).startup_commands == told


def test_the_rows_of_a_unicorn_begin_at_0() -> None:
    lane = board_presets("unicorn", "x")[0]
    rows = np.tile(np.arange(float(lane.width)), (3, 1))
    rows[:, 17] = 1.6e9 + np.arange(3) / 250
    items = lane.take(rows, 100.0, 100.0 - 1.6e9)
    (eeg,) = (i for i in items if i.info.name == "x.eeg")
    assert eeg.info.names == ("Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8")
    assert isinstance(eeg, Block)
    assert eeg.data[0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_a_board_without_a_known_counter_goes_by_its_stamps() -> None:
    lane = board_presets("unicorn", "x")[0]
    numbers = np.array([n for n in range(3000) if not 1000 <= n < 1100])
    rows = np.zeros((len(numbers), lane.width))
    rows[:, 0] = numbers
    rows[:, 17] = 1.6e9 + numbers / 250
    blocks: list[Any] = []
    for part in np.array_split(rows, 300):
        now = part[-1, 17] + 0.001
        items = lane.take(part, now - 1.5e9, -1.5e9)
        blocks += [i for i in items if i.info.name == "x.eeg"]
    got = [n for b in blocks for n in range(b.start, b.stop)]
    assert got == numbers.tolist()
    assert blocks[0].info.rate == Fraction(250)


@pytest.mark.parametrize(
    ("preset", "rate", "rows", "count", "trusted"),
    [
        (2, 64, 6, lambda k: np.zeros(len(k)), False),
        (2, 64, 6, lambda k: np.where(k < 300, k // 6, 50), False),
        (2, 64, 6, lambda k: k // 24, False),
        (2, 64, 6, lambda k: k // 6 % 65_536, True),
        (0, 256, 12, lambda k: (k // 12 + 65_500) % 65_536, True),
        (1, 52, 3, lambda k: k // 3, True),
    ],
    ids=["unwritten", "sticks", "slow", "counts", "turns", "movement"],
)
def test_a_counter_that_does_not_count_is_not_believed(
    preset: int, rate: int, rows: int, count: Any, *, trusted: bool
) -> None:
    """Samples are then placed by their stamps, and none is lost or repeated."""
    (lane,) = [p for p in board_presets("muse_2", "b") if p.preset == preset]
    channel = next(stream for _, stream in lane._rows).rows[0]
    k = np.arange(20 * rate)
    arrives = (k // rows + 1) * rows / rate
    counts, unix, out, sent = count(k), 1.7e9, [], 0
    for t in np.arange(0.05, 21, 0.05):
        stop = max(sent, int(arrives.searchsorted(t, side="right")))
        x = np.zeros((stop - sent, lane.width))
        x[:, lane._count], x[:, lane._stamp] = (
            counts[sent:stop],
            unix + arrives[sent:stop],
        )
        x[:, channel] = k[sent:stop] + 1
        out += lane.take(x, 1000 + t, 1000 - unix)
        sent = stop
    name = lane.streams[0].name
    blocks = [b for b in out if isinstance(b, Block) and b.info.name == name]
    values = np.concatenate([b.data[:, 0] for b in blocks])
    np.testing.assert_array_equal(values, k[: len(values)] + 1)
    assert len(values) >= len(k) - 2 * rows
    lost = blocks[-1].stop - len(values)
    assert lost == 0
    times = np.concatenate([b.times for b in blocks])
    assert (np.diff(times) > 0).all()
    assert np.abs(times - 1000 - k[: len(times)] / rate)[rate:].max() < 0.2
    assert bool(lane.notices) is not trusted


@pytest.mark.parametrize("last", [100, 200, 240])
def test_a_counter_that_turns_elsewhere_is_not_believed(last: int) -> None:
    """At most one turn's counts are declared lost, and times stay right."""
    aligner = CounterAligner(250.0, WrappingCounter())
    k = np.arange(6000)
    counts, arrives, placed = k % (last + 1), 100 + (k + 1) / 250, []
    for a in range(0, len(k), 10):
        part, now = slice(a, a + 10), float(arrives[a + 9]) + 0.002
        rows = k[part, None].astype(float)
        placed += aligner.push(counts[part], arrives[part], rows, now)
    assert aligner.stamped is not None
    values = np.concatenate([p.rows[:, 0] for p in placed])
    np.testing.assert_array_equal(values, k[: len(values)])
    numbers = np.concatenate([p.start + np.arange(len(p.rows)) for p in placed])
    assert numbers[-1] + 1 - len(numbers) <= 2 * (255 - last)
    times = np.concatenate(
        [p.t0 + (p.start + np.arange(len(p.rows))) / 250 for p in placed]
    )
    assert (np.diff(times) > 0).all()
    assert np.abs(times - arrives[: len(times)])[3000:].max() < 0.01


def test_losses_at_the_end_of_a_turn_leave_the_counter_trusted() -> None:
    aligner = CounterAligner(250.0, WrappingCounter())
    k = np.arange(6000)
    k = k[(k % 256 != 255) | (k > 2000)]  # seven turns lack their last count
    for a in range(0, len(k), 10):
        part = k[a : a + 10]
        aligner.push(part % 256, part / 250, part[:, None] * 1.0, part[-1] / 250)
    assert aligner.stamped is None
