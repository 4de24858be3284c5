"""EDF and its kin through MNE, and the way from MNE and back."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets.open_recording import read
from physio.io import edf
from physio.view.convert import to_mne


def recording() -> Recording:
    rng = np.random.default_rng(1)
    channels = (Channel("Fz", "eeg", "uV"), Channel("Cz", "eeg", "uV"))
    info = StreamInfo("eeg.eeg", Fraction(250), channels, participant="p1")
    data = rng.normal(0, 20, (1000, 2))
    blocks = (
        Block(info, 0, 0.0, data[:400].copy()),
        Block(info, 500, 0.0, data[500:].copy()),
    )
    what = event_stream("task", Channel("seconds", "misc", "s"))
    events = Events(
        what, 4.0, np.array([1.0, 2.5]), np.array([[0.5], [0.0]]), ("a", "b")
    )
    return Recording({"eeg.eeg": blocks}, {"task": events}, (), {"begin_unix": "1e9"})


def test_there_and_back_keeps_samples_losses_units_events_and_date() -> None:
    before = recording()
    after = edf.from_mne(to_mne(before), participant="p1")
    (block,) = after.streams["eeg.eeg"]
    assert block.info == before.streams["eeg.eeg"][0].info
    # uV to V and back: two roundings.
    assert np.allclose(block.data[:400], before.streams["eeg.eeg"][0].data, rtol=1e-15)
    assert np.allclose(block.data[500:], before.streams["eeg.eeg"][1].data, rtol=1e-15)
    assert (missing_reason(block.data[400:500]) == MissingReason.NO_SIGNAL).all()
    events = after.events["eeg.annotations"]
    assert events.labels == ("a", "b")
    # MNE keeps times to a microsecond.
    assert np.allclose(events.times, [1.0, 2.5], atol=1e-6, rtol=0)
    assert np.allclose(events.data[:, 0], [0.5, 0.0], atol=1e-6, rtol=0)
    assert float(after.metadata["begin_unix"]) == pytest.approx(1e9, abs=1e-6)


def test_and_there_again() -> None:
    raw = to_mne(recording())
    again = to_mne(edf.from_mne(raw))
    # As above: two roundings.
    assert np.allclose(raw.get_data(), again.get_data(), rtol=1e-15, equal_nan=True)
    assert raw.ch_names == again.ch_names
    assert sorted(raw.annotations.description) == sorted(again.annotations.description)


def test_a_cut_raw_keeps_annotations_where_they_are() -> None:
    raw = mne.io.RawArray(
        np.zeros((1, 1000)), mne.create_info(["Fz"], 100.0, "eeg"), verbose="error"
    )
    raw.set_meas_date(0.0)
    raw.set_annotations(mne.Annotations([4.0], [1.0], ["x"], raw.info["meas_date"]))
    events = edf.from_mne(raw.crop(3.0)).events["eeg.annotations"]
    assert events.times.tolist() == pytest.approx([1.0], abs=1e-6)


def test_brainvision_files(tmp_path: Path) -> None:
    path = tmp_path / "a.vhdr"
    whole = recording()
    last = Recording({"eeg.eeg": whole.streams["eeg.eeg"][1:]}, {}, (), {})
    mne.export.export_raw(path, to_mne(last), verbose="error")
    (block,) = read(path, participant="p1").streams["eeg.eeg"]
    assert block.info == whole.streams["eeg.eeg"][0].info
    # They keep tenths of microvolts, as MNE exports them, or better.
    assert np.allclose(block.data[-500:], last.streams["eeg.eeg"][0].data, atol=0.1)


def test_fif_files(tmp_path: Path) -> None:
    path = tmp_path / "a_raw.fif"
    to_mne(recording()).save(path, verbose="error")
    (block,) = read(path, participant="p1").streams["eeg.eeg"]
    # FIF keeps numbers as float32.
    (want, _) = recording().streams["eeg.eeg"]
    assert np.allclose(block.data[:400], want.data, rtol=1e-6)


def test_labels_twice_uneven_rates_and_stim_channels(data: Path) -> None:
    twice = edf.read(data / "edf" / "duplicate_channel_labels.edf")
    (eeg,) = twice.streams["eeg.eeg"]
    assert eeg.info.names == ("F1-Ref-0", "F2-Ref", "F1-Ref-1")
    uneven = edf.read(data / "edf" / "test_uneven_samp.edf")
    assert {n: (b.info.rate, len(b)) for n, (b,) in uneven.streams.items()} == {
        "eeg.eeg": (100, 11000),
        "eeg.eeg2": (Fraction("12.8"), 1408),
    }
    bdf = edf.read(data / "edf" / "test.bdf")
    assert set(bdf.streams) == {"eeg.eeg", "eeg.eog", "eeg.stim"}
    marked = edf.read(data / "edf" / "test.edf").events["eeg.annotations"]
    assert marked.labels[:2] == ("start", "type A")


def test_kinds_come_from_the_labels_where_all_is_called_eeg(data: Path) -> None:
    streams = edf.read(data / "eegmat" / "Subject00_1.edf", participant="00").streams
    assert {n: b.info.channels[0].unit for n, (b,) in streams.items()} == {
        "eeg.eeg": "uV",
        "eeg.ecg": "uV",
    }
    (eeg,) = streams["eeg.eeg"]
    assert eeg.info.names[0] == "Fp1"
    # Scalp EEG: some ten microvolts, neither volts nor nanovolts.
    assert 3 < np.std(eeg.data) < 100


def header(
    path: Path, *, records: bytes = b"1", signals: int = 1, length: int | None = None,
    samples: bytes = b"4", data: bytes = bytes(8), seconds: bytes = b"1",
) -> None:  # fmt: skip
    """Write an EDF file by its specification, field for field."""
    size = 256 * (signals + 1) if length is None else length
    head = b"0".ljust(8) + b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    head += b"01.01.20" + b"00.00.00" + str(size).encode().ljust(8) + bytes(44)
    head += records.ljust(8) + seconds.ljust(8) + str(signals).encode().ljust(4)
    each = [(b"EEG Fz", 16), (b"", 80), (b"uV", 8), (b"-100", 8), (b"100", 8),
            (b"-32768", 8), (b"32767", 8), (b"", 80), (samples, 8),
            (b"", 32)]  # fmt: skip
    for text, width in each:
        head += text.ljust(width) * signals
    path.write_bytes(head + data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"records": b"9"},
         " is truncated: its header declares 9 records, but it has 1"),
        ({"records": b"9999999"},
         " is truncated: its header declares 9999999 records, but it has 1"),
        ({"samples": b"99999999"},
         " is truncated: its header declares 1 records, but it has 0"),
        ({"samples": b"-1"}, ": records of -2 bytes"),
        ({"records": b"many"},
         " is no EDF or BDF file: 'many' stands where the number of records belongs"),
        ({"seconds": b"0"}, ": its records last 0 s, so that its signals have no rate; "
         "state the duration of a record in the header (bytes 244 to 251)"),
        ({"length": 999}, ": a header of 999 bytes for 1 signals; it must have 256 for "
         "itself and for each"),
    ],
)  # fmt: skip
def test_headers_that_promise_too_much(
    fields: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.edf"
    header(path, **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^") as told:
        edf.read(path)
    assert str(told.value) == f"{path}{message}"


def test_the_smallest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    header(path, data=np.array([-32768, 0, 32767, 0], "<i2").tobytes())
    (block,) = read(path).streams["eeg.eeg"]
    assert block.info.names == ("Fz",)
    # One step of 16 bits over 200 uV.
    assert np.allclose(block.data[:, 0], [-100, 0, 100, 0], atol=200 / 65535)


def test_each_rate_has_its_own_samples(tmp_path: Path) -> None:
    signals = [("EEG Cz", b"uV", 8), ("GSR", b"uS", 4), ("Temp", b"degC", 1),
               ("GSR", b"uS", 1)]  # fmt: skip
    n, records = len(signals), 3
    path = several(tmp_path / "a.edf", [(s, u, -32768, 32767) for s, u, _ in signals])
    head = bytearray(path.read_bytes()[: 256 * (n + 1)])
    head[236:244] = str(records).encode().ljust(8)
    for i, (*_, samples) in enumerate(signals):
        at = 256 + 216 * n + 8 * i
        head[at : at + 8] = str(samples).encode().ljust(8)
    data = [np.arange(s * records) * 10 for *_, s in signals]
    body = b"".join(
        d.reshape(records, -1)[r].astype("<i2").tobytes()
        for r in range(records)
        for d in data
    )
    path.write_bytes(head + body)
    streams = read(path).streams
    got = {name: (b.info.rate, b.info.names) for name, (b,) in streams.items()}
    assert got == {
        "eeg.eeg": (8, ("Cz",)),
        "eeg.gsr": (4, ("GSR-0",)),
        "eeg.temperature": (1, ("Temp",)),
        "eeg.gsr2": (1, ("GSR-1",)),
    }
    for name, column in zip(("eeg.eeg", "eeg.gsr", "eeg.temperature", "eeg.gsr2"), data,
                            strict=True):  # fmt: skip
        (block,) = streams[name]
        np.testing.assert_allclose(block.data[:, 0], column, atol=1e-6)


def with_annotations(
    path: Path, kind: str, lists: list[bytes], signals: int = 1
) -> Path:
    """Write EDF+ with records of 1 s: annotations, and a signal of 4 Hz or none."""
    n, size = signals + 1, 32
    head = b"0".ljust(8) + b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    head += b"01.01.20" + b"00.00.00" + str(256 * (n + 1)).encode().ljust(8)
    head += kind.encode().ljust(44) + str(len(lists)).encode().ljust(8)
    head += b"1".ljust(8) + str(n).encode().ljust(4)
    for width, signal, annotations in (
        (16, b"EEG Fz", b"EDF Annotations"), (80, b"", b""), (8, b"uV", b""),
        (8, b"-32768", b"-1"), (8, b"32767", b"1"), (8, b"-32768", b"-32768"),
        (8, b"32767", b"32767"), (80, b"", b""), (8, b"4", b"16"), (32, b"", b""),
    ):  # fmt: skip
        head += signal.ljust(width) * signals + annotations.ljust(width)
    body = b""
    for i, text in enumerate(lists):
        body += np.full(4 * signals, i, "<i2").tobytes() + text.ljust(size, b"\0")
    path.write_bytes(head + body)
    return path


def test_gaps_between_records_are_gaps(tmp_path: Path) -> None:
    lists = [b"+0\x14\x14\0+0.5\x14a\x14", b"+1\x14\x14",
             b"+60\x14\x14\0+60.25\x152\x14b\x14"]  # fmt: skip
    recording = read(with_annotations(tmp_path / "a.edf", "EDF+D", lists))
    first, second = recording.streams["eeg.eeg"]
    assert [(b.start, len(b)) for b in (first, second)] == [(0, 8), (240, 4)]
    np.testing.assert_allclose(second.data[:, 0], 2.0, atol=1e-6)
    assert second.complete_until == 60.75
    events = recording.events["eeg.annotations"]
    assert events.labels == ("a", "b")
    assert events.times.tolist() == [0.5, 60.25]
    assert events.data[:, 0].tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("onset", "message"),
    [(b"+0.5", "its records go back in time"), (b"+" + b"9" * 20, "its last record ")],
)
def test_records_out_of_time_are_refused(
    onset: bytes, message: str, tmp_path: Path
) -> None:
    lists = [b"+0\x14\x14", onset + b"\x14\x14"]
    path = with_annotations(tmp_path / "a.edf", "EDF+D", lists)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_a_file_of_annotations_alone_is_events(tmp_path: Path) -> None:
    lists = [b"+0\x14\x14\0+0\x1530\x14Sleep W\x14", b"+1\x14\x14\0+30\x14N1\x14"]
    recording = read(with_annotations(tmp_path / "a.edf", "EDF+C", lists, 0))
    assert not recording.streams
    events = recording.events["eeg.annotations"]
    assert (events.labels, events.times.tolist()) == (("Sleep W", "N1"), [0.0, 30.0])


@pytest.mark.parametrize(
    ("kind", "date", "text", "year"),
    [
        (b"", b"01.01.85", b"Startdate 01-JAN-2020", 1985),
        (b"", b"31.12.84", b"X", 2084),
        (b"", b"00.00.00", b"Startdate 01-JAN-2020", None),
        (b"", b"XX.XX.XX", b"X", None),
        (b"", b"", b"", None),
        (b"EDF+C", b"01.01.85", b"Startdate 01-JAN-2020 X", 2020),
        (b"EDF+C", b"01.01.85", b"Startdate X X X X", None),
        (b"EDF+C", b"02.03.21", b"Startdate X X X X", 2021),
    ],
)
def test_a_date_is_used_where_it_is_one(
    kind: bytes, date: bytes, text: bytes, year: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.edf"
    header(path)
    raw = bytearray(path.read_bytes())
    raw[88:168], raw[168:176] = text.ljust(80), date.ljust(8)
    raw[192:236] = kind.ljust(44)
    path.write_bytes(raw)
    about = read(path).metadata
    assert ("begin_unix" in about) == (year is not None)
    if year is not None:
        begin = datetime.fromtimestamp(float(about["begin_unix"]), UTC)
        assert begin.year == year
    two_dates = year == 2020
    assert ("two dates" in about.get("warnings", "")) == two_dates


def test_a_start_between_two_seconds_is_the_first_sample(tmp_path: Path) -> None:
    lists = [b"+0.3945\x14\x14\0+2\x14go\x14", b"+1.3945\x14\x14"]
    recording = read(with_annotations(tmp_path / "a.edf", "EDF+C", lists))
    begin = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    assert float(recording.metadata["begin_unix"]) == pytest.approx(begin + 0.3945)
    assert recording.events["eeg.annotations"].times == pytest.approx([1.6055])


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D"])
def test_bad_spans_are_missing_at_their_time(kind: str, tmp_path: Path) -> None:
    gap = 0 if kind == "EDF+C" else 60
    lists = [b"+0\x14\x14\0+0.5\x150.5\x14BAD_muscle\x14",
             f"+{gap + 1}\x14\x14".encode(),
             f"+{gap + 2}\x14\x14\0+{gap + 2}\x14boundary\x14".encode()]  # fmt: skip
    recording = read(with_annotations(tmp_path / "a.edf", kind, lists))
    reasons = np.concatenate([missing_reason(b.data[:, 0])
                              for b in recording.streams["eeg.eeg"]])  # fmt: skip
    bad = int(MissingReason.MARKED_BAD)
    assert reasons.tolist() == [0, 0, bad, bad, 0, 0, 0, 0, bad, 0, 0, 0]
    assert recording.metadata["warnings"] == (
        "2 annotations of eeg (BAD_muscle, boundary) mark 0.6 s as bad: missing "
        "(marked bad)"
    )


def test_bad_spans_of_one_channel_leave_the_others(tmp_path: Path) -> None:
    lists = [b"+0\x14\x14\0+0\x150.5\x14BAD@@EEG Fz\x14", b"+1\x14\x14"]
    path = with_annotations(tmp_path / "a.edf", "EDF+C", lists, 2)
    raw = bytearray(path.read_bytes())
    raw[272:288] = b"EEG Cz".ljust(16)
    path.write_bytes(raw)
    (block,) = read(path).streams["eeg.eeg"]
    gone = np.isnan(block.data)
    assert block.info.names == ("Fz", "Cz")
    assert gone.sum(axis=0).tolist() == [2, 0]


def bad_raw() -> mne.io.RawArray:
    """Return MNE data with a bad channel, bad spans, and a trigger channel."""
    types = ["eeg", "eeg", "stim", "mag"]
    info = mne.create_info(["Fz", "Cz", "STI 014", "MEG1"], 100.0, types)
    data = np.ones((4, 400)) * 1e-5
    data[2] = 0
    data[2, 50:60], data[2, 70:80] = 5, 6
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.info["bads"] = ["Cz"]
    texts = ["bad drift", "EDGE boundary", "BAD one", "film"]
    about = [(), (), ("Fz",), ()]
    raw.set_annotations(
        mne.Annotations([0.5, 2.0, 3.0, 1.5], [0.4, 0, 0.5, 1], texts, ch_names=about)
    )
    return raw


@pytest.mark.parametrize("from_file", [False, True])
def test_what_mne_marks_as_bad_is_missing(from_file: bool, tmp_path: Path) -> None:
    path = tmp_path / "a_raw.fif"
    if from_file:
        bad_raw().save(path, verbose="error")
    recording = read(path) if from_file else edf.from_mne(bad_raw())
    (block,) = recording.streams["eeg.eeg"]
    bad = missing_reason(block.data) == MissingReason.MARKED_BAD
    assert bad[:, 1].all()
    assert np.flatnonzero(bad[:, 0]).tolist() == [
        *range(50, 90), *range(200, 210), *range(300, 350)
    ]  # fmt: skip
    (field,) = recording.streams["eeg.misc"]
    assert field.info.channels == (Channel("MEG1", "misc", "T"),)
    assert np.isnan(field.data).sum() == 50  # the last one is about Fz alone
    codes = recording.events["eeg.triggers"]
    assert codes.labels == ("5", "6")
    assert codes.times == pytest.approx([0.5, 0.7])
    assert "eeg marks Cz as bad: missing (marked bad)" in recording.metadata["warnings"]
    assert "film" in recording.events["eeg.annotations"].labels


def test_the_status_word_of_bdf_is_events_for_mne_too(tmp_path: Path) -> None:
    """Bits above the port are states: CM in range, battery, speed."""
    n, rate = 2, 64
    head = b"\xffBIOSEMI" + b"X".ljust(160) + b"01.01.20" + b"10.00.00"
    head += str(256 * (n + 1)).encode().ljust(8) + b"24BIT".ljust(44) + b"2".ljust(8)
    head += b"1".ljust(8) + str(n).encode().ljust(4)
    for width, texts in (
        (16, [b"A1", b"Status"]), (80, [b""] * n), (8, [b"uV", b"Boolean"]),
        (8, [b"-262144", b"-8388608"]), (8, [b"262143", b"8388607"]),
        (8, [b"-8388608"] * n), (8, [b"8388607"] * n), (80, [b""] * n),
        (8, [str(rate).encode()] * n), (32, [b""] * n),
    ):  # fmt: skip
        head += b"".join(text.ljust(width) for text in texts)
    status = np.full(2 * rate, 0x900000, "<i4")
    status[20:30] |= 513
    status[40:] ^= 0x110000  # an epoch begins, and CM goes out of range
    status[70:72] |= 20
    eeg = np.zeros(2 * rate, "<i4")
    body = b"".join(
        x[r * rate : (r + 1) * rate].view("u1").reshape(-1, 4)[:, :3].tobytes()
        for r in range(2)
        for x in (eeg, status)
    )
    path = tmp_path / "a.bdf"
    path.write_bytes(head + body)
    raw = mne.io.read_raw_bdf(path, verbose="error")
    for recording in (read(path), edf.from_mne(raw)):
        codes = recording.events["eeg.triggers"]
        assert codes.labels == ("513", "20")
        assert codes.times == pytest.approx([20 / 64, 70 / 64])
        assert recording.streams["eeg.eeg"][0].info.names == ("A1",)


def test_the_status_of_bids_holds_for_a_single_file(tmp_path: Path) -> None:
    signals = [("EEG Fp1", b"uV", -9.0, 9.0), ("EEG Fp2", b"uV", -9.0, 9.0)]
    path = several(tmp_path / "sub-01_task-rest_eeg.edf", signals)
    table = "name\ttype\tstatus\nEEG Fp1\tEEG\tgood\nEEG Fp2\tEEG\tbad\n"
    path.with_name("sub-01_task-rest_channels.tsv").write_text(table)
    recording = read(path)
    (block,) = recording.streams["eeg.eeg"]
    reasons = missing_reason(block.data)
    assert not reasons[:, 0].any()
    assert (reasons[:, 1] == MissingReason.MARKED_BAD).all()
    assert recording.metadata["warnings"] == (
        "sub-01_task-rest_channels.tsv marks EEG Fp2 as bad: missing (marked bad)"
    )


def test_bad_channels_are_bad_in_mne_again() -> None:
    first = edf.from_mne(bad_raw())
    raw = to_mne(first, "eeg.eeg")
    assert raw.info["bads"] == ["Cz"]
    (again,) = edf.from_mne(raw).streams["eeg.eeg"]
    (block,) = first.streams["eeg.eeg"]
    reasons = missing_reason(block.data)
    np.testing.assert_array_equal(missing_reason(again.data), reasons)


def test_a_limit_that_is_no_number_leaves_its_signal_out(tmp_path: Path) -> None:
    signals = [("EEG Fp1", b"uV", -9.0, 9.0), ("EEG Fp2", b"uV", -9.0, 9.0)]
    path = several(tmp_path / "a.edf", signals)
    raw = bytearray(path.read_bytes())
    at = 256 + 2 * 104 + 8
    raw[at : at + 8] = b" " * 8
    path.write_bytes(raw)
    recording = read(path)
    (block,) = recording.streams["eeg.eeg"]
    assert block.info.names == ("Fp1",)
    assert np.allclose(block.data[[0, 3], 0], [-9, 9])
    assert "left out" in recording.metadata["warnings"]
    assert "EEG Fp2" in recording.metadata["warnings"]


def test_a_comma_in_the_duration_of_a_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    header(path, seconds=b"0,5")
    recording = read(path)
    assert recording.streams["eeg.eeg"][0].info.rate == 8
    assert recording.metadata["warnings"] == (
        "the duration of a record, '0,5', has a comma for a point"
    )


def brainvision(path: Path, channels: list[str], more: str = "") -> Path:
    """Write BrainVision files of floats: 3 samples of 10, 20, 30 in each channel."""
    rows = "".join(f"Ch{i + 1}={text}\n" for i, text in enumerate(channels))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
        f"Codepage=UTF-8\nDataFile={path.stem}.eeg\nDataFormat=BINARY\n"
        f"DataOrientation=MULTIPLEXED\nNumberOfChannels={len(channels)}\n{more}"
        "SamplingInterval=4000\n\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n"
        f"[Channel Infos]\n{rows}",
        "utf-8",
    )
    data = np.repeat(np.array([[10.0], [20.0], [30.0]], "<f4"), len(channels), axis=1)
    path.with_suffix(".eeg").write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize(
    ("text", "channel", "first", "word"),
    [
        ("Fp1,,1,\N{MICRO SIGN}V", Channel("Fp1", "eeg", "uV"), 10.0, ""),
        ("Fp1,,0.1,mV", Channel("Fp1", "eeg", "uV"), 1e3, ""),
        ("Fp1,,1,nV", Channel("Fp1", "eeg", "uV"), 0.01, ""),
        ("Fp1,FCz,1,uV", Channel("Fp1", "eeg", "uV", reference="FCz"), 10.0, ""),
        ("Fp1,,1,V", Channel("Fp1", "eeg", "uV"), 1e7, ""),
        ("Fp1,,0.5", Channel("Fp1", "eeg", "uV"), 5.0, "states no unit for Fp1"),
        ("Fp1,,1,", Channel("Fp1", "eeg", "uV"), 10.0, "states no unit for Fp1"),
        ("Fp1,,,", Channel("Fp1", "eeg", "1"), 10.0, "states no unit for Fp1"),
        ("ECG,,1,mV", Channel("ECG", "ecg", "uV"), 1e4, ""),
        ("GSR,,1,\N{MICRO SIGN}S", Channel("GSR", "gsr", "uS"), 10.0, ""),
        ("GSR,,1,uS", Channel("GSR", "gsr", "uS"), 10.0, ""),
        ("Temp,,1,C", Channel("Temp", "temperature", "degC"), 10.0, ""),
        ("Resp,,1,ARU", Channel("Resp", "resp", "ARU"), 10.0, ""),
    ],
)
def test_the_unit_of_brainvision_is_that_of_the_header(
    text: str, channel: Channel, first: float, word: str, tmp_path: Path
) -> None:
    recording = read(brainvision(tmp_path / "a.vhdr", [text]))
    (block,) = recording.streams[f"eeg.{channel.kind}"]
    assert block.info.channels == (channel,)
    np.testing.assert_allclose(block.data[:, 0], first * np.array([1, 2, 3]), rtol=1e-9)
    assert ("warnings" in recording.metadata) == bool(word)
    assert word in recording.metadata.get("warnings", "")


def test_brainvision_files_that_were_renamed_are_read(tmp_path: Path) -> None:
    path = brainvision(tmp_path / "old.vhdr", ["Fp1,,1,uV"])
    for suffix in (".vhdr", ".eeg"):
        path.with_suffix(suffix).rename(tmp_path / f"new{suffix}")
    recording = read(tmp_path / "new.vhdr")
    assert len(recording.streams["eeg.eeg"][0]) == 3
    assert recording.metadata["warnings"] == (
        "the header names a DataFile that is not there: new.eeg is read in its place"
    )


def test_brainvision_data_shorter_than_the_header_are_named(tmp_path: Path) -> None:
    path = brainvision(tmp_path / "a.vhdr", ["Fp1,,1,uV"], "DataPoints=1000\n")
    recording = read(path)
    assert len(recording.streams["eeg.eeg"][0]) == 3
    assert recording.metadata["warnings"] == (
        "the header declares 1000 samples, but the file has 3"
    )


def several(path: Path, signals: list[tuple[str, bytes, float, float]]) -> Path:
    """Write an EDF file with one ramp a signal: label, unit and physical range."""
    rows = [(label.encode("latin-1"), unit, low, high)
            for label, unit, low, high in signals]  # fmt: skip
    n = len(rows)
    head = b"0".ljust(8) + b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    head += b"01.01.20" + b"00.00.00" + str(256 * (n + 1)).encode().ljust(8)
    head += bytes(44) + b"1".ljust(8) + b"1".ljust(8) + str(n).encode().ljust(4)
    for width, texts in (
        (16, [r[0] for r in rows]), (80, [b""] * n), (8, [r[1] for r in rows]),
        (8, [f"{r[2]:g}".encode() for r in rows]),
        (8, [f"{r[3]:g}".encode() for r in rows]),
        (8, [b"-32768"] * n), (8, [b"32767"] * n), (80, [b""] * n), (8, [b"4"] * n),
        (32, [b""] * n),
    ):  # fmt: skip
        head += b"".join(text.ljust(width) for text in texts)
    ramp = np.array([-32768, -10923, 10922, 32767], "<i2").tobytes()
    path.write_bytes(head + ramp * n)
    return path


@pytest.mark.parametrize(
    ("unit", "expected", "largest"),
    [
        (b"uV", "uV", 90.0),
        (b"UV", "uV", 90.0),
        (b"microV", "uV", 90.0),
        (b"\xb5V", "uV", 90.0),
        (b"\xc2\xb5V", "uV", 90.0),
        (b"\xce\xbcV", "uV", 90.0),
        (b"\x83\xcaV", "uV", 90.0),
        (b"uV\0\0", "uV", 90.0),
        (b"nV", "uV", 0.09),
        (b"mV", "uV", 90e3),
        (b"V", "uV", 90e6),
        (b"", "1", 90.0),
        (b".V", ".V", 90.0),
        (b"counts", "counts", 90.0),
    ],
)
def test_the_unit_is_that_of_the_header(
    unit: bytes, expected: str, largest: float, tmp_path: Path
) -> None:
    """Physical values of -90 to 90 in a unit; one that is unknown scales nothing."""
    recording = read(several(tmp_path / "a.edf", [("EEG Fp1", unit, -90, 90)]))
    (block,) = recording.streams["eeg.eeg"]
    assert block.info.channels == (Channel("Fp1", "eeg", expected),)
    np.testing.assert_allclose(block.data[[0, 3], 0], [-largest, largest], rtol=1e-9)
    warnings = recording.metadata.get("warnings", "")
    assert ("Fp1" in warnings) == (expected != "uV")


def test_polysomnography_has_signals_of_many_kinds(tmp_path: Path) -> None:
    rows = [
        ("EEG C3-M2", b"uV", "C3-M2", "eeg", "uV", 1.0),
        ("GSR", b"uS", "GSR", "gsr", "uS", 1.0),
        ("SCL", b"uMho", "SCL", "gsr", "uS", 1.0),
        ("Pleth", b"", "Pleth", "bio", "1", 1.0),
        ("SpO2", b"%", "SpO2", "misc", "%", 1.0),
        ("ECG I", b"mV", "I", "ecg", "uV", 1e3),
        ("EKG1", b"uV", "EKG1", "ecg", "uV", 1.0),
        ("Resp Thorax", b"", "Thorax", "resp", "1", 1.0),
        ("Temp", b"degC", "Temp", "temperature", "degC", 1.0),
        ("HR", b"bpm", "HR", "misc", "1/min", 1.0),
        ("DC1", b"V", "DC1", "misc", "V", 1.0),
        ("LEOG", b"uV", "LEOG", "eog", "uV", 1.0),
        ("CHIN1", b"uV", "CHIN1", "emg", "uV", 1.0),
        ("EEG EKG1-REF", b"uV", "EKG1-REF", "ecg", "uV", 1.0),
        ("COUNTER", b"", "COUNTER", "misc", "1", 1.0),
        ("MARKER", b"", "MARKER", "stim", "1", 1.0),
        ("A1", b"uV", "A1", "eeg", "uV", 1.0),
    ]
    signals = [(label, unit, -50.0, 50.0) for label, unit, *_ in rows]
    recording = read(several(tmp_path / "a.edf", signals))
    got = {
        c.name: (c, name, block.data[-1, i])
        for name, (block,) in recording.streams.items()
        for i, c in enumerate(block.info.channels)
    }
    for _, _, name, kind, unit, factor in rows:
        channel, stream, largest = got[name]
        reference = {"C3-M2": "M2"}.get(name, "")
        assert channel == Channel(name, kind, unit, reference=reference)
        assert stream == f"eeg.{kind}"
        assert largest == pytest.approx(50 * factor, rel=1e-9)
    assert "warnings" not in recording.metadata


def test_signals_with_an_empty_range_are_left_out_by_name(tmp_path: Path) -> None:
    signals = [("FP1-F7", b"uV", -9.0, 9.0), ("-", b"", 0.0, 0.0), ("-", b"", 0.0, 0.0),
               ("T8-P8", b"uV", -9.0, 9.0), ("T8-P8", b"uV", -9.0, 9.0)]  # fmt: skip
    recording = read(several(tmp_path / "a.edf", signals))
    (block,) = recording.streams["eeg.eeg"]
    assert block.info.names == ("FP1-F7", "T8-P8-0", "T8-P8-1")
    assert np.allclose(block.data[[0, 3]], [[-9.0] * 3, [9.0] * 3])
    assert recording.metadata["warnings"] == (
        "left out, as the header gives them an empty range: --0, --1"
    )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 519), st.sampled_from(b"09-. ax\xff\x00")), min_size=1
    )
)
def test_a_damaged_header_is_read_or_told(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path / "a.edf"
    header(path)
    text = bytearray(path.read_bytes())
    for place, value in changes:
        text[place] = value
    path.write_bytes(text)
    told = ""
    try:
        edf.read(path)
    except ValueError as error:
        told = str(error)
    assert told.startswith(str(path)) or not told


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    for name in ("a.fif", "a.vhdr"):
        path = tmp_path / name
        path.write_bytes(b"nothing of the kind" * 20)
        with pytest.raises(ValueError, match=r"^") as told:
            edf.read(path)
        assert str(told.value).startswith(f"{path} cannot be read: ")
        assert "\n" not in str(told.value)
