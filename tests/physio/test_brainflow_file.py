"""BrainFlow's files, and the counter that tells what a board lost."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physio.core.block import Channel
from physio.io.board_files import positions
from physio.io.brainflow import boards, describe, read

RATE = 250
Numbers = npt.NDArray[np.int64]


def rows(at: Numbers, marker: dict[int, float] | None = None) -> str:
    """Return a Cyton's file with the samples numbered ``at``, each telling its own."""
    table = np.zeros((len(at), 24))
    table[:, 0] = at % 256
    table[:, 1:9] = at[:, None] + np.arange(8) / 10
    table[:, 9:12] = (0.0, 0.0, 1.0)
    table[:, 22] = 1.6e9 + at / RATE
    for number, value in (marker or {}).items():
        table[at == number, 23] = value
    return "\n".join("\t".join(f"{v:.6f}" for v in row) for row in table) + "\n"


def test_streams_have_the_names_and_units_of_the_board(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(300), {10: 7.0}))
    found = read(path, "cyton", participant="p07")
    (eeg,), (acc,) = found.streams["cyton.eeg"], found.streams["cyton.acc"]
    names = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
    assert eeg.info.channels == tuple(Channel(n, "eeg", "uV") for n in names)
    assert acc.info.channels == tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
    assert eeg.info.rate == acc.info.rate == Fraction(RATE)
    assert {info.participant for info in found.infos} == {"p07"}
    assert np.array_equal(eeg.data, np.arange(300)[:, None] + np.arange(8) / 10)
    assert np.array_equal(acc.data, np.tile([0.0, 0.0, 1.0], (300, 1)))
    assert eeg.stamps is not None
    # Six decimals are written.
    assert np.allclose(eeg.stamps, 1.6e9 + np.arange(300) / RATE, rtol=0, atol=1e-6)
    assert (eeg.start, eeg.t0) == (0, 0.0)
    assert found.metadata["begin_unix"] == "1600000000.0"
    markers = found.events["cyton.markers"]
    assert (markers.times.tolist(), markers.labels) == ([10 / RATE], ("7",))
    assert markers.data.tolist() == [[7.0]]


def test_lost_samples_are_jumps_of_start(tmp_path: Path) -> None:
    at = np.delete(np.arange(2000), [*range(100, 107), 600, *range(900, 1500)])
    path = tmp_path / "a.csv"
    path.write_text(rows(at, {1600: 3.0}))
    found = read(path, "cyton")
    for blocks in found.streams.values():
        ends = [(block.start, block.stop) for block in blocks]
        assert ends == [(0, 100), (107, 600), (601, 900), (1500, 2000)]
        assert {block.t0 for block in blocks} == {0.0}
    for block in found.streams["cyton.eeg"]:
        assert np.array_equal(block.data[:, 0], np.arange(block.start, block.stop))
    assert found.events["cyton.markers"].times.tolist() == [1600 / RATE]


def test_samples_out_of_order_or_twice_are_put_right(tmp_path: Path) -> None:
    at = np.arange(1000)
    at[[300, 301]] = at[[301, 300]]
    at = np.insert(at, [256, 700], [255, 699])
    path = tmp_path / "a.csv"
    path.write_text(rows(at))
    found = read(path, "cyton")
    (eeg,) = found.streams["cyton.eeg"]
    assert np.array_equal(eeg.data[:, 0], np.arange(1000))
    assert found.metadata["repeated"] == "2"


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(50))[:-60])
    found = read(path, "cyton")
    assert len(found.streams["cyton.eeg"][0]) == 49
    assert found.metadata["incomplete"] == "the last line was torn"


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("")
    found = read(path, "cyton")
    assert [len(b) for (b,) in found.streams.values()] == [0, 0]
    assert len(found.events["cyton.markers"]) == 0


def test_without_a_board_the_layout_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(5)))
    says = (
        f"{path} does not state the meaning of its columns: give the board that it "
        "was recorded with, as in --board cyton"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(path)


def test_a_board_that_is_not_there(tmp_path: Path) -> None:
    says = "there is no board 'citon'; BrainFlow has synthetic, cyton, ganglion, "
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        read(tmp_path / "a.csv", "citon")


def test_a_preset_that_a_board_lacks() -> None:
    says = (
        "the board 'cyton:anc' has no preset with signals and a counter: presets are "
        "named default, auxiliary, ancillary, as in cyton:default"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        describe("cyton:anc")


def test_each_preset_is_read_by_its_name_or_its_width(tmp_path: Path) -> None:
    path = tmp_path / "anc.csv"
    table = [[i, 0.5 + i, 31.0, 0, 1.7e9 + i / 15, 0, 0, 0] for i in range(40)]
    for width in (8, 6):  # of this version of BrainFlow, and of an older one
        np.savetxt(path, np.array(table)[:, :width], "%.6f", delimiter="\t")
        found = read(path, "emotibit:anc")
        (eda,) = found.streams["emotibit.eda"]
        assert eda.info.channels == (Channel("eda", "gsr", "uS"),)
        assert (eda.info.rate, eda.data[3].tolist()) == (15, [3.5])
        assert found.streams["emotibit.temp"][0].data[0].tolist() == [31.0]
    np.savetxt(path, np.array(table), "%.6f", delimiter="\t")
    assert "emotibit.eda" in read(path, "emotibit").streams


@pytest.mark.parametrize("index", [False, True])
def test_a_file_that_pandas_saved(tmp_path: Path, *, index: bool) -> None:
    import pandas as pd

    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(300)))
    plain = read(path, "cyton")
    frame = pd.read_csv(path, sep="\t", header=None)
    frame.to_csv(tmp_path / "b.csv", index=index)
    found = read(tmp_path / "b.csv", "cyton")
    for name, (block,) in plain.streams.items():
        assert np.array_equal(found.streams[name][0].data, block.data)


def test_a_counter_that_contradicts_the_stamps_does_not_place_the_samples(
    tmp_path: Path,
) -> None:
    """As of an EmotiBit, whose number counts packets of two or three samples."""
    sizes = [2, 3, 3] * 100
    counts = np.repeat(np.arange(len(sizes)) * 20, sizes)
    stamps = 1.7e9 + np.arange(len(counts)) / 25
    path = tmp_path / "a.csv"
    table = np.zeros((len(counts), 12))
    table[:, 0], table[:, 10] = counts, stamps
    np.savetxt(path, table, "%.6f", delimiter="\t")
    found = read(path, "emotibit")
    blocks = found.streams["emotibit.acc"]
    assert sum(map(len, blocks)) == len(counts)
    assert blocks[-1].stop == len(counts)
    assert found.seconds == pytest.approx(len(counts) / 25, rel=0.01)
    assert "placed by their stamps" in found.metadata["warnings"]


@pytest.mark.parametrize("first", [1, 101])
def test_a_ganglion_of_firmware_2_loses_nothing(first: int) -> None:
    cycle = [0, *np.repeat(np.arange(first, first + 100), 2).tolist()]
    counter = np.array(cycle * 20, float)
    for stamps in (np.zeros(len(counter)), 1.7e9 + np.arange(len(counter)) / 200):
        assert positions(counter, stamps, 200.0).tolist() == list(range(len(counter)))
        kept = np.r_[0:500, 520:1000]
        at = positions(counter[kept], stamps[kept], 200.0)
        assert abs(at[-1] - 999) <= 1


def test_a_file_of_another_board(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(5)))
    says = (
        f"{path}, line 1: 24 columns separated by tabs; a file of the board "
        "'ganglion' has 15"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(path, "ganglion")


def test_a_value_that_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(np.arange(5)).replace("3.100000", "oops"))
    says = f"{path}, line 4: 'oops' is no number"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        read(path, "cyton")


def test_nothing_there(tmp_path: Path) -> None:
    says = f"there is no file {tmp_path / 'a.csv'}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        read(tmp_path / "a.csv", "cyton")


def test_boards_are_called_as_brainflow_calls_them() -> None:
    assert {"cyton", "muse_2", "synthetic", "ganglion"} <= set(boards())
    assert "playback_file" not in boards()
    assert describe("CYTON_BOARD") == describe("cyton")


def test_a_board_without_electrode_names_counts_its_channels() -> None:
    channels = describe("ganglion")[0].signals["eeg"].channels
    assert [c.name for c in channels] == ["eeg1", "eeg2", "eeg3", "eeg4"]


def test_a_real_file(data: Path) -> None:
    path = data / "openbci" / "brainflow_cyton_playback_30s.csv"
    found = read(path, "cyton")
    (eeg,), (acc,) = found.streams["cyton.eeg"], found.streams["cyton.acc"]
    assert (len(eeg), len(acc)) == (7500, 7500)  # 30 s, nothing lost
    assert eeg.stamps is not None
    assert np.any(np.diff(eeg.stamps) <= 0)  # which is why the counter tells the time
    assert np.all(np.diff(eeg.times) > 0)
    # A head at rest feels 1 g; the sensor's own error is below a tenth.
    assert abs(np.median(np.linalg.norm(acc.data, axis=1)) - 1) < 0.1


# How a counter counts: it wraps at so many, rises by so many, is shared by so many.
COUNTERS = {
    "cyton": (256, 1, 1),
    "daisy": (256, 2, 1),
    "ganglion": (100, 1, 2),
    "muse": (65536, 1, 12),
    "unicorn": (2**32, 1, 1),
}


@pytest.mark.parametrize("kind", COUNTERS)
@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    holes=st.lists(st.tuples(st.integers(1, 39), st.integers(1, 4000)), max_size=5),
)
def test_every_lost_sample_is_counted(
    kind: str, seed: int, holes: list[tuple[int, int]]
) -> None:
    wrap, rise, share = COUNTERS[kind]
    rng = np.random.default_rng(seed)
    n = 40_000
    keep = np.ones(n // share, bool)
    for begin, lost in holes:
        keep[begin * 1000 // share :][: lost // share] = False
    keep[rng.random(len(keep)) < 0.005] = False
    keep[0] = True
    at = np.flatnonzero(np.repeat(keep, share))
    counter = (at // share * rise % wrap).astype(float)
    # Stamps are late by what a computer takes to read, up to 60 ms, and bunch.
    stamps = 1.6e9 + at / RATE + rng.uniform(0, 0.06, len(at))
    assert np.array_equal(positions(counter, stamps, RATE), at)


@pytest.mark.parametrize("seconds", [0.8, 2.0, 15.0])
def test_a_stalled_computer_is_no_loss(seconds: float) -> None:
    at = np.arange(20_000)
    stamps = 1.6e9 + at / RATE
    # For so long nothing is read; then all that waited comes at once.
    late = (at >= 5000) & (at < 5000 + seconds * RATE)
    stamps[late] = 1.6e9 + 5000 / RATE + seconds
    assert np.array_equal(positions(at % 256.0, stamps, RATE), at)


def test_a_stall_with_a_loss_in_it() -> None:
    at = np.delete(np.arange(20_000), range(5000, 5700))
    stamps = 1.6e9 + at / RATE
    late = (at >= 5700) & (at < 6200)
    stamps[late] = 1.6e9 + 6200 / RATE
    assert np.array_equal(positions(at % 256.0, stamps, RATE), at)


def test_without_stamps_a_loss_counts_as_short_as_it_can_be() -> None:
    at = np.delete(np.arange(3000), range(1000, 1000 + 256 + 10))
    found = positions(at % 256.0, np.zeros(len(at)), RATE)
    assert np.array_equal(found[:1000], at[:1000])
    assert np.array_equal(found[1000:], at[1000:] - 256)


def test_a_board_s_clock_that_drifts_makes_no_loss() -> None:
    at = np.arange(900_000)  # an hour
    stamps = 1.6e9 + at / (RATE * 1.004)  # four in a thousand, more than any crystal
    assert np.array_equal(positions(at % 256.0, stamps, RATE), at)
