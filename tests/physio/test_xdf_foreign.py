"""Others' XDF files are read without loss, whatever their time stamps do."""

import gzip
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import pyxdf
from hypothesis import given, settings
from hypothesis import strategies as st

from physio.core.block import Array
from physio.core.timing.dejitter import SampleGrid, fit
from physio.datasets.open_recording import read as open_recording
from physio.io.xdf import read
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers, texts
from sessions import cuts, survives, whole_or_told


@pytest.mark.parametrize("participant", ["P001", "P031", "P032", "P050"])
def test_a_muse_is_read_without_loss(data: Path, participant: str) -> None:
    path = data / "xdf" / f"sub-{participant}_ses-S001_task-Default_run-001_eeg.xdf"
    got = read(path)
    found, _ = pyxdf.load_xdf(path, dejitter_timestamps=False)
    raw, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, synchronize_clocks=False)
    names = {
        "EEG": "muse.eeg",
        "ACC": "muse.acc",
        "GYRO": "muse.gyro",
        "PPG": "muse.ppg",
    }
    assert set(got.streams) == set(names.values())
    for stream, own in zip(found, raw, strict=True):
        made = got.streams[names[stream["info"]["type"][0]]]
        assert made[0].info.participant == participant
        values = np.concatenate([block.data for block in made])
        np.testing.assert_array_equal(values, stream["time_series"])
        if not len(values):
            continue
        stamps = np.concatenate([b.stamps for b in made if b.stamps is not None])
        np.testing.assert_array_equal(stamps, own["time_stamps"])
        times = np.concatenate([block.times for block in made])
        assert np.all(np.diff(times) > 0)
        # Bluetooth brings the movement sensors' samples in threes, so stamps jitter by
        # up to 1.5 samples (29 ms) about the line; the EEG's are smooth to a sample.
        loose = 0.030 if made[0].info.rate < 60 else 1 / float(made[0].info.rate)
        assert np.abs(times - stream["time_stamps"]).max() < loose
        assert [b.start for b in made[1:]] == [b.stop for b in made[:-1]]  # no gap


def test_a_muse_has_its_units_and_its_measured_rate(data: Path) -> None:
    got = read(data / "xdf" / "sub-P031_ses-S001_task-Default_run-001_eeg.xdf")
    eeg, acc = got.streams["muse.eeg"][0].info, got.streams["muse.acc"][0].info
    kinds = [(c.kind, c.unit) for c in eeg.channels]
    assert kinds == [("eeg", "uV")] * 4 + [("misc", "uV")]
    assert eeg.names == ("TP9", "AF7", "AF8", "TP10", "AUX_RIGHT")
    assert [(c.name, c.kind, c.unit) for c in acc.channels] == [
        ("acc.x", "misc", "g"),
        ("acc.y", "misc", "g"),
        ("acc.z", "misc", "g"),
    ]
    assert (eeg.rate, acc.rate) == (Fraction(256), Fraction("51.86"))
    assert "muse.acc measures 51.86 Hz, not 52 Hz" in got.metadata["warnings"]


def test_the_minimal_file_holds_what_its_authors_say(data: Path) -> None:
    got = read(data / "xdf" / "minimal.xdf")
    (block,) = got.streams["senddatac.eeg"]
    four = [[10 + i, 20 + i, 30 + i] for i in range(2, 6)]
    want = np.array([[192, 255, 238], *four, *four], np.float64)
    np.testing.assert_array_equal(block.data, want)
    # The clock offset in the file is -0.1 s; a sum of a few numbers about 5.
    np.testing.assert_allclose(block.times, 5.0 + np.arange(9) / 10, rtol=0, atol=1e-13)
    assert block.stamps is not None
    np.testing.assert_allclose(block.stamps, 5.1 + np.arange(9) / 10, atol=1e-13)
    words = got.events["senddatastring.stringmarker"].labels
    assert len(words) == 9
    assert words[1:5] == ("Hello", "World", "from", "LSL")


def test_streams_without_samples_are_there_and_empty(data: Path) -> None:
    got = read(data / "xdf" / "empty_streams.xdf")
    counts = {name: sum(map(len, made)) for name, made in got.streams.items()}
    assert counts == {
        "empty_data_stream_test_stream_0_counter.data": 0,
        "data_stream_test_stream_0_counter.data": 10,
    }
    assert {name: e.labels for name, e in got.events.items()} == {
        "ctrl.control": ('{"state": 2}',),
        "empty_marker_stream_test_stream_0_counter.data": (),
    }


def test_a_cut_file_of_others_is_told(data: Path, tmp_path: Path) -> None:
    raw = (data / "xdf" / "minimal.xdf").read_bytes()
    whole = [*cuts(raw)[1:], len(raw)]
    for at in range(0, len(raw), 7):
        if at not in whole:
            whole_or_told(tmp_path / "cut.xdf", raw[:at], whole)


@pytest.mark.parametrize("name", ["minimal.xdf", "empty_streams.xdf"])
def test_a_spoilt_file_of_others_raises_nothing_but_one_sentence(
    data: Path, tmp_path: Path, name: str
) -> None:
    raw = (data / "xdf" / name).read_bytes()
    assert survives(tmp_path / "bad.xdf", raw, range(100)) > 30


def labrecorder(path: Path, *chunks: bytes, channels: str = "1") -> Path:
    """Write a file with one stream of numbers at 10 Hz, as LabRecorder would."""
    xml = (
        "<info><name>A</name><type>EEG</type><nominal_srate>10</nominal_srate>"
        f"<channel_count>{channels}</channel_count>"
        "<channel_format>double64</channel_format></info>"
    )
    head = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    head.append(chunk(Tag.STREAM_HEADER, xml.encode(), 1))
    path.write_bytes(MAGIC + b"".join([*head, *chunks]))
    return path


def ten() -> bytes:
    return numbers(1, 50 + np.arange(10.0) / 10, np.arange(10.0)[:, np.newaxis])


def test_samples_that_a_footer_does_not_count_are_kept(tmp_path: Path) -> None:
    # The last measurement of the clocks is garbage, as when an outlet dies.
    offsets = [struct.pack("<dd", t, 0.0) for t in (50.0, 50.2, 50.4, 50.6)]
    offsets.append(struct.pack("<dd", 1e6, 77.0))
    clocks = [chunk(Tag.CLOCK_OFFSET, offset, 1) for offset in offsets]
    footer = b"<info><sample_count>8</sample_count></info>"
    end = chunk(Tag.STREAM_FOOTER, footer, 1)
    path = labrecorder(tmp_path / "a.xdf", *clocks, ten(), end)
    assert len(pyxdf.load_xdf(path)[0][0]["time_stamps"]) == 8
    (block,) = read(path).streams["a.eeg"]
    assert block.data[:, 0].tolist() == list(range(10))
    # Sums and quotients of numbers of about 50.
    np.testing.assert_allclose(block.times, 50 + np.arange(10) / 10, rtol=0, atol=1e-12)


def test_more_samples_than_a_chunk_can_hold_are_refused(tmp_path: Path) -> None:
    many = struct.pack("<BI", 4, 4_000_000_000) + b"\x00" * 50
    path = labrecorder(tmp_path / "a.xdf", chunk(Tag.SAMPLES, many, 1))
    at = cuts(path.read_bytes())[2]
    with pytest.raises(ValueError, match="cannot hold") as error:
        read(path)
    assert str(error.value) == (
        f"cannot read {path} as XDF: the chunk at byte {at} cannot hold the 4000000000 "
        f"samples it says"
    )


def test_samples_of_no_stream_are_refused(tmp_path: Path) -> None:
    path = labrecorder(tmp_path / "a.xdf", chunk(Tag.SAMPLES, b"\x01\x00", 9))
    at = cuts(path.read_bytes())[2]
    with pytest.raises(ValueError, match="of no stream") as error:
        read(path)
    assert str(error.value) == (
        f"cannot read {path} as XDF: samples at byte {at} are of no stream that it "
        f"names"
    )


def test_samples_that_pyxdf_cannot_read_are_told(tmp_path: Path) -> None:
    # Two samples are said, but only the first one has its 8 bytes of time.
    half = b"\x01\x02" + b"\x08" + b"\x00" * 16 + b"\x08" + b"\x00"
    path = labrecorder(tmp_path / "a.xdf", chunk(Tag.SAMPLES, half, 1))
    with pytest.raises(ValueError, match="cannot be read") as error:
        read(path)
    assert str(error.value) == (
        f"cannot read {path} as XDF: it is damaged: some samples cannot be read"
    )


def test_a_stream_of_unheard_of_make_is_refused(tmp_path: Path) -> None:
    path = labrecorder(tmp_path / "a.xdf", channels="-1")
    with pytest.raises(ValueError, match="channels of") as error:
        read(path)
    assert str(error.value) == (
        f"cannot read {path} as XDF: the stream 'A' has -1 channels of 'double64'"
    )


def placed(grid: SampleGrid, n: int) -> tuple[list[int], Array]:
    """Return the number of each sample, and its time (s)."""
    spans = [(run.start + np.arange(run.last - run.first), run) for run in grid.runs]
    numbers = np.concatenate([k for k, _ in spans])
    times = np.concatenate([run.epoch + k / float(grid.rate) for k, run in spans])
    assert len(numbers) == n
    return numbers.tolist(), times


@pytest.mark.parametrize("gap", [0.1, 0.5, 1.5, 1.9, 2.0, 60.0])
def test_a_gap_is_as_long_as_it_was_though_stamps_jitter(gap: float) -> None:
    rng = np.random.default_rng(3)
    lost = round(gap * 256)
    k = np.concatenate([np.arange(2560), np.arange(2560 + lost, 5120 + lost)])
    late = np.abs(rng.normal(0, 0.004, len(k)))  # the usual delay of arrival
    numbers, times = placed(fit(k / 256 + late, Fraction(256)), len(k))
    # The number of samples lost, to the sample whose time is in doubt at each side.
    assert abs((numbers[-1] - 5119) - lost) <= 1
    # 3.2 ms is the mean of the delays, which stamps of arrival cannot tell from time.
    assert np.abs(times - k / 256).max() < 0.005


def test_each_lost_sample_is_counted_where_stamps_are_smooth() -> None:
    rng = np.random.default_rng(4)
    k = np.flatnonzero(rng.random(20_000) > 0.01)
    numbers, times = placed(fit(100 + k / 250, Fraction(250)), len(k))
    assert numbers == (k - k[0]).tolist()
    # One rounding of a time of about 180 s, and those of the mean over a stretch.
    np.testing.assert_allclose(times, 100 + k / 250, rtol=0, atol=1e-12)


def test_packets_that_come_at_once_are_no_gaps() -> None:
    k = np.arange(4096)
    arrived = (k // 32 + 1) * 32 / 256  # 32 samples a packet, stamped on arrival
    numbers, times = placed(fit(arrived, Fraction(256)), len(k))
    assert numbers == k.tolist()
    # The mean wait for a packet is 15.5 samples; beyond it, at most a few samples of
    # error are left of the line through stairs.
    assert np.abs(times - k / 256 - 16.5 / 256).max() < 2 / 256


def test_a_clock_that_goes_back_loses_nothing() -> None:
    stamps = np.concatenate([100 + np.arange(500) / 250, 50 + np.arange(500) / 250])
    grid = fit(stamps, Fraction(250))
    numbers, times = placed(grid, 1000)
    assert (numbers, grid.back) == (list(range(1000)), (500,))
    assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize(
    ("true", "nominal", "rate"),
    [
        (51.84, 52, "51.84"),
        (255.96, 256, "256"),
        (250.2, 250, "250"),
        (249, 250, "249"),
        (2046.4, 2048, "2048"),
    ],
)
def test_the_nominal_rate_is_kept_up_to_a_thousandth(
    true: float, nominal: int, rate: str
) -> None:
    k = np.arange(int(200 * true))
    grid = fit(7 + k / true, Fraction(nominal))
    _, times = placed(grid, len(k))
    assert grid.rate == Fraction(rate)
    # Epochs follow the drift: half a sample at most is left within a run.
    assert np.abs(times - 7 - k / true).max() < 0.5 / true
    assert np.all(np.diff(times) > 0)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=200),
    st.sampled_from([Fraction(1), Fraction(64), Fraction(256)]),
    st.floats(-1e5, 1e5),
)
def test_whatever_stamps_do_time_rises_and_samples_stay(
    steps: list[float], rate: Fraction, zero: float
) -> None:
    stamps = zero + np.cumsum(np.array(steps)) / float(rate)
    numbers, times = placed(fit(stamps, rate), len(stamps))
    assert np.all(np.diff(numbers) > 0)
    assert np.all(np.diff(times) > 0)


def test_a_stamp_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a finite number") as error:
        fit(np.array([1.0, np.nan]), Fraction(4))
    assert str(error.value) == "a time stamp is not a finite number"


@pytest.mark.parametrize("name", ["a.xdfz", "a.xdf.gz", "a.xdf"])
def test_a_compressed_file_is_read(data: Path, name: str, tmp_path: Path) -> None:
    source = data / "xdf" / "minimal.xdf"
    path = tmp_path / name
    path.write_bytes(gzip.compress(source.read_bytes()))
    one, other = open_recording(path), open_recording(source)
    assert list(one.streams) == list(other.streams)
    for stream, blocks in one.streams.items():
        for a, b in zip(blocks, other.streams[stream], strict=True):
            np.testing.assert_array_equal(a.data, b.data)


def test_a_compressed_file_is_bounded_and_whole(data: Path, tmp_path: Path) -> None:
    raw = (data / "xdf" / "minimal.xdf").read_bytes()
    path = tmp_path / "a.xdfz"
    path.write_bytes(gzip.compress(bytes(2**28 + 1)))
    with pytest.raises(ValueError, match=r"a\.xdfz grows from \d+ to more than"):
        read(path)
    packed = gzip.compress(raw)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"a\.xdfz as XDF: .* physio repair"):
        read(path)
    path.write_bytes(packed[:40] + bytes(20) + packed[60:])
    with pytest.raises(ValueError, match=r"a\.xdfz"):
        read(path)


@pytest.mark.parametrize(("text", "named"), [("BAD_blink", True), ("badge", False)])
def test_markers_of_bad_spans_without_a_duration_are_named(
    text: str, named: bool, tmp_path: Path
) -> None:
    xml = (
        "<info><name>Notes</name><type>Markers</type><channel_count>1</channel_count>"
        "<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>"
    )
    labels = (text,) * 3
    parts = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    parts += [chunk(Tag.STREAM_HEADER, xml.encode(), 1)]
    parts += [texts(1, 100 + np.arange(3.0), labels)]
    (tmp_path / "a.xdf").write_bytes(MAGIC + b"".join(parts))
    notes = read(tmp_path / "a.xdf").metadata.get("warnings", "")
    sentence = "3 markers of notes.markers (BAD_blink) without a duration"
    assert (sentence in notes) == named
