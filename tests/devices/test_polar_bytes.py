"""What the bytes of a Polar H10 become, by arithmetic alone."""

import numpy as np
import pytest

from devices.polar.messages import (
    ACC,
    CONTROL,
    DATA,
    ECG,
    HEART_RATE,
    PPG,
    PPI,
    START,
    VERITY_MODEL,
    VERITY_START,
    Strap,
    read_deltas,
    read_frame,
    read_heart_rate,
    read_intervals,
    refusal,
    sample_factor,
)
from devices.polar.mock_strap import write_compressed, write_frame
from physio.core.block import Block
from physio.core.events import Events

RATE = 130.0


@pytest.mark.parametrize(("raw", "rate", "contact", "ticks"), [
    ("10 49 5e 03 96 03", 73, None, (862, 918)),  # as an H10 was heard to say
    ("10 48 2c 03", 72, None, (812,)),
    ("00 48", 72, None, ()),
    ("06 48", 72, True, ()),
    ("04 48", 72, False, ()),
    ("11 2c 01 00 02", 300, None, (512,)),  # a rate of two bytes
    ("1e 48 10 00 00 04", 72, True, (1024,)),  # energy in between
])  # fmt: skip
def test_a_heart_rate(
    raw: str, rate: float, contact: bool | None, ticks: tuple[int, ...]
) -> None:
    got = read_heart_rate(bytes.fromhex(raw))
    assert (got.rate, got.contact) == (rate, contact)
    assert got.intervals == tuple(t / 1024 for t in ticks)


@pytest.mark.parametrize("raw", ["", "10", "11 48", "10 48 2c", "18 48 10"])
def test_a_heart_rate_that_is_cut_is_told(raw: str) -> None:
    with pytest.raises(ValueError, match="a heart rate"):
        read_heart_rate(bytes.fromhex(raw))


def test_an_ecg_frame_is_signed_microvolts() -> None:
    head = "00 00 94 35 77 00 00 00 00 00"  # 2 000 000 000 ns
    got = read_frame(
        bytes.fromhex(head + "01 00 00 ff ff ff ff ff 7f 00 00 80 39 30 00")
    )
    assert (got.kind, got.stamp) == (ECG, 2_000_000_000)
    assert got.rows[:, 0].tolist() == [1, -1, 8388607, -8388608, 12345]


def test_acceleration_is_thousandths_of_g() -> None:
    raw = (
        bytes([ACC]) + (5).to_bytes(8, "little") + bytes.fromhex("01 e8 03 18 fc 00 00")
    )
    got = read_frame(raw)
    assert (got.kind, got.stamp, got.rows.tolist()) == (ACC, 5, [[1.0, -1.0, 0.0]])


@pytest.mark.parametrize(
    "raw", ["", "00", "00" * 11, "01" + "00" * 12, "02" + "00" * 15]
)
def test_what_is_no_frame_is_told(raw: str) -> None:
    with pytest.raises(ValueError, match="a frame of"):
        read_frame(bytes.fromhex(raw))
    (said,) = Strap("h").take(DATA, bytes.fromhex(raw), 1.0)
    assert isinstance(said, Events)
    assert said.labels[0].startswith("not understood: a frame of")


def test_the_control_point_says_why() -> None:
    assert refusal(bytes.fromhex("f0 02 00 00 00 01")) == ""
    assert refusal(bytes.fromhex("f0 02 00 06 00")) == ""  # it measures already
    assert refusal(bytes.fromhex("f0 02 00 0a 00")) == "the strap must be on the skin"
    assert refusal(bytes.fromhex("f0 02 00 63 00")) == "error 99"
    (said,) = Strap("h").take(CONTROL, bytes.fromhex("f0 02 00 05 00"), 1.0)
    assert isinstance(said, Events)
    assert said.labels == (
        "the strap refused a measurement: the command has a wrong parameter",
    )


def test_the_commands_are_those_of_the_fact_sheet() -> None:
    assert START[ECG].hex(" ").upper() == "02 00 00 01 82 00 01 01 0E 00"
    assert START[ACC].hex(" ").upper() == "02 02 00 01 C8 00 01 01 10 00 02 01 08 00"


def head(kind: int, form: int, stamp: int = 2_000_000_000) -> bytes:
    return bytes([kind]) + stamp.to_bytes(8, "little") + bytes([form])


def test_the_examples_of_polar_s_sdk() -> None:
    """Values of its own tests of a Verity Sense: raw and compressed frames."""
    light = "01 02 03 04 05 06 FF FF 7F 00 00 00 FF FF FF 0F EF EF 00 00 80 0F EF EF"
    assert read_frame(head(PPG, 0) + bytes.fromhex(light)).rows.tolist() == [
        [197121, 394500, 8388607, 0],
        [-1, -1052913, -8388608, -1052913],
    ]
    moved = bytes.fromhex("F1 FF 14 00 F0 03 06 01 7B 0F 08")
    got = read_frame(head(ACC, 0x81) + moved)
    np.testing.assert_allclose(1000 * got.rows, [[-15, 20, 1008], [-20, 17, 1008]])
    # 56 differences of 10 bits follow; the first sample of them is enough here.
    wide = bytes.fromhex("71 07 F0 6A 9E 8D 0A 01 BE 5C BE 3A")
    got = read_frame(head(ACC, 0x80) + wide, 2.44e-4)
    counts = np.array([[1905, 27376, -29282], [2095, 27271, -29367]])
    np.testing.assert_allclose(got.rows, counts * 2.44e-4)
    pulses = bytes.fromhex("80 80 80 80 80 FF 00 01 00 01 00 00")
    stamp, (first, second) = read_intervals(head(PPI, 0, 0) + pulses)
    assert (stamp, first.rate, first.interval, first.error) == (0, 128, 32.896, 32.896)
    assert (first.moved, first.contact, first.usable) == (True, True, False)
    assert (second.interval, second.contact, second.usable) == (0.001, None, True)


def test_the_commands_of_a_verity_sense() -> None:
    assert VERITY_START[PPG].hex(" ") == "02 01 00 01 37 00 01 01 16 00 04 01 04"
    assert VERITY_START[ACC].hex(" ").endswith("34 00 01 01 10 00 02 01 08 00 04 01 03")
    assert VERITY_START[PPI].hex(" ") == "02 03"
    answer = bytes.fromhex("f0 02 02 00 00 00 01 34 00 05 01 73 da 7f 39")
    kind, factor = sample_factor(answer) or (0, 0.0)
    assert (kind, factor) == (ACC, pytest.approx(2.44e-4, rel=1e-3))
    assert sample_factor(bytes.fromhex("f0 02 02 05 00")) is None
    assert sample_factor(bytes.fromhex("f0 02 02 00 00 05 01 73")) is None


@pytest.mark.parametrize(
    ("kind", "width", "largest"), [(PPG, 4, 2**22), (ACC, 3, 9999)]
)
def test_compressed_frames_hold_what_was_written(
    kind: int, width: int, largest: int
) -> None:
    rng = np.random.default_rng(4)
    for n in (1, 2, 3, 36):
        rows = rng.integers(-largest, largest, (n, width)).astype(float)
        rows[n // 2 :] = rows[n // 2]  # a block without a difference
        raw = write_compressed(kind, 5, rows)
        got = read_frame(raw, 2.0)
        np.testing.assert_array_equal(got.rows, 2 * rows)
        assert (got.kind, got.stamp) == (kind, 5)


@pytest.mark.parametrize("cut", [11, 15, 17, 19])
def test_a_compressed_frame_that_is_cut_is_told(cut: int) -> None:
    rows = np.arange(60.0).reshape(20, 3) ** 2
    raw = write_compressed(ACC, 5, rows)[:cut]
    strap = Strap("v", kinds=(ACC,), model=VERITY_MODEL)
    (told,) = strap.take(DATA, raw, 1.0)
    assert isinstance(told, Events)
    assert told.labels[0].startswith("not understood: a compressed frame")
    with pytest.raises(ValueError, match="a compressed frame"):
        read_deltas(raw[10:], 3, 2)


def test_pulses_that_moved_are_no_intervals() -> None:
    strap = Strap("v", "p1", (PPI,), model=VERITY_MODEL)
    assert [i.name for i in strap.streams] == ["v.hr", "v.ppi", "v.ibi", "v.status"]
    raw = head(PPI, 0, 0) + bytes.fromhex("48 e8 03 0a 00 06 48 f4 01 0a 00 07")
    items = strap.take(DATA, raw, 10.0)
    ppi = [i for i in items if i.info.name == "v.ppi"]
    assert [i.times[0] for i in ppi] == [9.5, 10.0]
    assert ppi[1].data[0].tolist() == [72, 0.5, 0.01, 1, 1]
    (ibi,) = (i for i in items if i.info.name == "v.ibi")
    assert (ibi.times[0], ibi.data[0, 0], ibi.info.participant) == (9.5, 1.0, "p1")


def test_beats_are_where_they_were() -> None:
    strap = Strap("h", "p1")
    items = strap.take(HEART_RATE, bytes.fromhex("16 49 00 04 00 02"), 10.0)
    items += strap.take(HEART_RATE, bytes.fromhex("16 49 00 03"), 11.0)
    ibi = [i for i in items if i.info.name == "h.ibi"]
    assert [i.times[0] for i in ibi] == [9.5, 10.0, 11.0]
    assert [i.data[0, 0] for i in ibi] == [1.0, 0.5, 0.75]
    hr = [i for i in items if i.info.name == "h.hr"]
    assert [i.data[0].tolist() for i in hr] == [[73.0, 1.0], [73.0, 1.0]]
    assert hr[0].info.participant == "p1"


@pytest.mark.parametrize("gap", [0, 1, 3, 20, 214])
@pytest.mark.parametrize("fast", [0.0, 1e-3, -2e-5])
def test_a_gap_is_as_long_as_it_was(gap: int, fast: float) -> None:
    """Frames of 73 samples, 0 to 60 ms late; ``gap`` of them never come.

    The strap may be a thousandth fast, as those are that were measured.
    """
    rng, strap = np.random.default_rng(1), Strap("h")
    blocks: list[Block] = []
    before = 120
    numbers = [k for k in range(before + gap + 40) if not before <= k < before + gap]
    for k in numbers:
        rows = np.arange(k * 73, (k + 1) * 73, dtype=np.float64)[:, None] % 8_000_000
        last = (k * 73 + 72) / (RATE * (1 + fast))
        raw = write_frame(ECG, round(1e9 * (5e8 + last)), rows)
        now = 100.0 + last + 0.02 + rng.uniform(0.0, 0.06)
        blocks += [b for b in strap.take(DATA, raw, now) if isinstance(b, Block)]
    blocks += [b for b in strap.due(now + 5.0) if isinstance(b, Block)]
    number = np.concatenate([b.data[:, 0] for b in blocks])
    times = np.concatenate([b.times for b in blocks])
    assert len(number) == 73 * len(numbers)
    assert (np.diff(times) > 0).all()
    wrong = times - (100.0 + number / (RATE * (1 + fast)))
    # 20 ms is the shortest way, 5 ms what may be beyond it once it has settled; and
    # where samples are not as far apart as places, a gap ends in between two of these.
    between = 0.5 / RATE if abs(fast) > 1e-4 else 0.0
    settled = wrong[number > 73 * 60]
    assert settled.min() > 0.02 - 0.005
    assert settled.max() < 0.02 + 0.005 + between
    lost = blocks[-1].stop - len(number)
    # On the grid of 130 Hz time counts: a strap that is fast lost fewer places than
    # samples, one in a thousand.
    assert abs(lost - 73 * gap / (1 + fast)) <= 1 + 0.1 * abs(fast) * number[-1]


def test_a_clock_that_was_set_begins_anew() -> None:
    strap, times = Strap("h"), []
    for k in range(80):
        zero = 5e8 if k < 40 else 10.0  # the strap was off the skin: its clock is reset
        last = (k * 73 + 72) / RATE
        rows = np.full((73, 1), float(k))
        raw = write_frame(ECG, round(1e9 * (zero + last)), rows)
        for item in strap.take(DATA, raw, 100.0 + last + 0.02):
            assert isinstance(item, Block)
            times.append(item.times)
    flat = np.concatenate(times)
    wrong = flat - (100.02 + np.arange(len(flat)) / RATE)
    assert np.abs(wrong).max() < 0.02
