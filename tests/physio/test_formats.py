"""Every format of files: its values, in any order of columns, and damaged ones."""

import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cases import samples, warned
from files import (
    EASY,
    SIGNAL,
    UNIX,
    WRITERS,
    embraceplus,
    kubios,
    lines,
    muselsl,
    muselsl_acc,
    muselsl_gyro,
    shimmer,
)
from physio.core.block import Block
from physio.core.recording import Recording
from physio.datasets.open_recording import FORMATS, read
from physio.io.tables.table_presets import PRESETS, match_preset
from physio.io.tables.text_table import read_text_table

STREAMS = {
    "plain": {"table.eda": 64},
    "shimmer": {"shimmer.eda": 64, "shimmer.ppg": 64, "shimmer.ecg": 64,
                "shimmer.acc": 64},
    "polar_acc": {"polar.acc": 64},
    "muselsl": {"muse.eeg": 256},
    "muselsl_acc": {"muse.acc": 52},
    "muselsl_gyro": {"muse.gyro": 52},
    "mind_monitor": {"muse.eeg": 256, "muse.acc": 256},
    "emotivpro": {"emotiv.eeg": 128},
    "unicorn": {"unicorn.eeg": 250, "unicorn.acc": 250, "unicorn.gyro": 250},
    "openmuse": {"muse.eeg": 256, "muse.ppg": 64, "muse.acc": 52, "muse.gyro": 52},
    "neurosity": {"crown.eeg": 256},
    "max30102": {"max30102.ppg": 100},
    "intervals": {},
    "hrm": {},
    "kubios": {},
    "easy": {"enobio.eeg": 500, "enobio.acc": 500},
    "emotibit": {"emotibit.eda": Fraction(25, 2), "emotibit.ppg": 25,
                 "emotibit.temp": Fraction(25, 4), "emotibit.acc": 25},
    "emotibit_parsed": {"emotibit.eda": 15, "emotibit.acc": 25},
    "embraceplus": {"embraceplus.eda": 4, "embraceplus.bvp": 64,
                    "embraceplus.temp": 1, "embraceplus.acc": 64},
    "labchart": {"labchart.ecg": 64, "labchart.eda": 16},
    "acqknowledge": {"biopac.eda": 64, "biopac.resp": 64},
    "opensignals": {"plux.ecg": 100},
    "openbci": {"cyton.eeg": 250},
    "e4": {"e4.eda": 4},
}  # fmt: skip
"""Streams and rates of each file."""


@pytest.fixture
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return read(WRITERS[request.param](tmp_path), participant="p7")


@pytest.mark.parametrize("found", WRITERS, indirect=True)
def test_streams_and_rates(found: Recording, request: pytest.FixtureRequest) -> None:
    rates = {n: b[0].info.rate for n, b in found.streams.items()}
    expected = STREAMS[request.node.callspec.params["found"]]
    assert rates.keys() == expected.keys()
    for name, rate in expected.items():
        assert float(rates[name]) == pytest.approx(float(rate), rel=0.01)
    assert found.metadata["participant"] == "p7"
    assert {i.participant for i in found.infos} <= {"p7"}


@pytest.mark.parametrize("found", ["shimmer"], indirect=True)
def test_units_of_shimmer_become_the_usual_ones(found: Recording) -> None:
    units = {n: b[0].info.channels[0].unit for n, b in found.streams.items()}
    assert units == {
        "shimmer.eda": "uS", "shimmer.ppg": "mV", "shimmer.ecg": "uV",
        "shimmer.acc": "g",
    }  # fmt: skip
    assert samples(found, "shimmer.acc")[0] == pytest.approx([0, 0, 1], abs=1e-4)
    assert samples(found, "shimmer.ecg")[0, 0] == 500


@pytest.mark.parametrize("found", ["polar_acc"], indirect=True)
def test_the_sensor_s_clock_is_not_taken_for_a_date(found: Recording) -> None:
    assert "begin_unix" not in found.metadata
    assert samples(found, "polar.acc")[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("found", ["unicorn"], indirect=True)
def test_the_counter_of_a_unicorn_shows_losses(found: Recording) -> None:
    first, second = found.streams["unicorn.eeg"]
    assert (first.stop, second.start) == (100, 110)
    assert first.info.names[0] == "Fz"


@pytest.mark.parametrize("found", ["mind_monitor"], indirect=True)
def test_rows_of_elements_are_markers_and_no_samples(found: Recording) -> None:
    assert np.array_equal(samples(found, "muse.eeg")[:, 1], SIGNAL)
    assert found.events["muse.markers"].labels == ("/Marker/1",)


@pytest.mark.parametrize("found", ["muselsl"], indirect=True)
def test_a_marker_without_a_name_in_the_header(found: Recording) -> None:
    marks = found.events["muse.markers"]
    assert (marks.labels, marks.times.round(3).tolist()) == (("1",), [0.039])
    assert warned(found, "columns that are not read: Right AUX")


@pytest.mark.parametrize("found", ["openmuse"], indirect=True)
def test_packets_of_a_muse_s_athena(found: Recording) -> None:
    before, after = found.streams["muse.eeg"]
    assert (before.stop, after.start, after.stop) == (20, 24, 64 * 12)
    assert before.info.names == ("TP9", "AF7", "AF8", "TP10")
    first = np.array([0, 100, 8000, 16383]) * 1450 / 16383
    assert before.data[0] == pytest.approx(first)
    assert after.data[-1, 0] == pytest.approx(63 * 1450 / 16383)
    optics = samples(found, "muse.ppg")
    assert optics.shape == (64 * 3, 4)
    assert optics[-1] == pytest.approx([8, 2, 63 / 32768, 0])
    assert found.streams["muse.ppg"][0].info.names[:2] == ("LI_NIR", "RI_NIR")
    assert samples(found, "muse.acc")[0] == pytest.approx([0, 0, 1], abs=1e-4)
    assert samples(found, "muse.gyro")[0, 0] == pytest.approx(-7.4768)
    assert float(found.metadata["begin_unix"]) == pytest.approx(UNIX)
    ends = [found.streams[n][-1].complete_until for n in ("muse.eeg", "muse.acc")]
    assert ends == pytest.approx([3, 3], abs=0.06)


def test_movement_of_muse_lsl_without_the_name_of_the_file(tmp_path: Path) -> None:
    acc = muselsl_acc(tmp_path).rename(tmp_path / "a.csv")
    (block,) = read(acc).streams["muse.acc"]
    assert {c.unit for c in block.info.channels} == {"g"}
    gyro = muselsl_gyro(tmp_path).rename(tmp_path / "b.csv")
    with pytest.raises(ValueError, match="x, y and z state no sensor"):
        read(gyro)


@pytest.mark.parametrize("found", ["easy"], indirect=True)
def test_electrodes_of_an_enobio_come_from_its_info(found: Recording) -> None:
    assert found.streams["enobio.eeg"][0].info.names == EASY
    assert samples(found, "enobio.eeg")[1, 0] == pytest.approx(SIGNAL[1], abs=0.001)
    assert found.events["enobio.markers"].labels == ("1",)


@pytest.mark.parametrize("found", ["emotibit"], indirect=True)
def test_samples_of_a_packet_end_at_its_stamp(found: Recording) -> None:
    ppg = samples(found, "emotibit.ppg")
    assert np.array_equal(ppg[:, 0], SIGNAL)
    (block,) = found.streams["emotibit.ppg"]
    assert block.info.names == ("ir", "red")
    assert np.ptp(np.diff(block.times)) < 1e-9
    assert found.events["emotibit.ibi"].data[0, 0] == 0.812


@pytest.mark.parametrize("found", ["embraceplus"], indirect=True)
def test_sensors_of_an_embraceplus_start_on_their_own(found: Recording) -> None:
    starts = {n: b[0].times[0] for n, b in found.streams.items()}
    assert starts == pytest.approx(
        {"embraceplus.eda": 0.5, "embraceplus.bvp": 0.25, "embraceplus.temp": 0.75,
         "embraceplus.acc": 0.0}
    )  # fmt: skip
    assert samples(found, "embraceplus.acc")[0, 2] == pytest.approx(1, abs=1e-4)
    assert found.events["embraceplus.tags"].times.tolist() == [3.0]
    beats = found.events["embraceplus.ibi"]
    assert beats.data[:, 0] == pytest.approx([0.8] * 10)
    assert float(found.metadata["begin_unix"]) == UNIX


def test_files_of_a_day_are_one_recording(tmp_path: Path) -> None:
    for i, begin in enumerate((UNIX, UNIX + 10, UNIX + 60)):
        embraceplus(tmp_path, begin, f"1-1_{i}.avro")
    found = read(tmp_path)
    blocks = found.streams["embraceplus.bvp"]
    assert [(b.start, len(b)) for b in blocks] == [(0, 640), (640, 640), (3840, 640)]
    assert blocks[2].times[0] == pytest.approx(60.25)
    assert len(found.events["embraceplus.tags"]) == 3


@pytest.mark.parametrize("found", ["labchart"], indirect=True)
def test_channels_of_labchart_have_their_names_units_and_rates(
    found: Recording,
) -> None:
    (ecg,), (eda,) = found.streams["labchart.ecg"], found.streams["labchart.eda"]
    assert ecg.info.channels[0].unit == "uV"
    assert np.allclose(ecg.data[:, 0], 1000 * SIGNAL)
    assert len(eda) == len(SIGNAL) // 4
    marks = found.events["labchart.markers"]
    assert (marks.labels, marks.times.tolist()) == (("film begins",), [2.0])


@pytest.mark.parametrize("found", ["acqknowledge"], indirect=True)
def test_units_of_acqknowledge(found: Recording) -> None:
    assert found.streams["biopac.eda"][0].info.channels[0].unit == "uS"


def test_heart_rates_of_a_polar_monitor(tmp_path: Path) -> None:
    head = "[Params]\nInterval=5\n\n[HRData]"
    found = read(lines(tmp_path / "x.hrm", head, ["71\t0\t0"] * 20))
    (hr,) = found.streams["polar.hr"]
    assert (hr.info.rate, hr.data[0, 0], len(hr)) == (Fraction(1, 5), 71, 20)


@pytest.mark.parametrize(("separator", "unit"), [(",", "s"), (";", "s"), ("\t", "ms")])
def test_intervals_of_a_kubios_report(
    tmp_path: Path, separator: str, unit: str
) -> None:
    beats = read(kubios(tmp_path, separator, unit)).events["kubios.ibi"]
    assert (len(beats.times), beats.info.channels[0].unit) == (70, "s")
    np.testing.assert_allclose(beats.data[:3, 0], [0.80, 0.81, 0.82])
    np.testing.assert_allclose(
        beats.times[[0, 39, 40]], [0.8, 33.15, 100.8], atol=0.001
    )


def test_a_kubios_report_without_intervals_is_refused(tmp_path: Path) -> None:
    path = kubios(tmp_path)
    text = path.read_text("utf-8").partition("RR INTERVAL DATA")[0]
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="without intervals: save it with the section"):
        read(path)


@pytest.mark.parametrize("name", ["shimmer", "muselsl", "emotivpro", "unicorn",
                                  "neurosity", "max30102", "polar_acc"])  # fmt: skip
def test_columns_in_another_order_are_read_alike(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path)
    table = read_text_table(path)
    meaning = match_preset(table)
    shuffled = list(table.frame.columns)
    random.Random(1).shuffle(shuffled)
    other = match_preset(table._replace(frame=table.frame[shuffled]))
    assert meaning is not None
    assert other is not None
    assert (other.time, other.counter) == (meaning.time, meaning.counter)
    key = lambda s: s.column  # noqa: E731
    assert sorted(other.signals, key=key) == sorted(meaning.signals, key=key)


def test_every_preset_names_its_source() -> None:
    for preset in PRESETS:
        assert preset.source
        assert preset.program
        assert preset.signals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "2025-01-01T10:00:00.123456+00:00\t273e0013-4c4d-454d-96be-f03bac821358\td7"
            "00\n",
            "holds no packet with a signal of a Muse S Athena",
        ),
        ("%Total time 100\n%STOP AT\n00,FFF6C1,FFE9A1\n", "an OpenBCI SD card"),
    ],
)
def test_files_that_are_refused_by_name(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_an_eeglab_file_through_mne(tmp_path: Path) -> None:
    import scipy.io

    locations = np.array(
        [(name, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "EEG") for name in ("Fz", "Cz")],
        dtype=[(k, object) for k in (
            "labels", "X", "Y", "Z", "sph_theta", "sph_phi", "sph_radius", "urchan",
            "type")],
    )  # fmt: skip
    data = np.vstack([SIGNAL, -SIGNAL]).astype(np.float32)
    eeg = {
        "setname": "x", "nbchan": 2, "trials": 1, "pnts": data.shape[1], "srate": 64.0,
        "xmin": 0.0, "xmax": 1.0, "data": data, "chanlocs": locations,
        "event": np.empty(0), "urevent": np.empty(0), "epoch": np.empty(0),
        "icawinv": np.empty(0), "icasphere": np.empty(0), "icaweights": np.empty(0),
        "icaact": np.empty(0), "times": np.arange(data.shape[1]) / 64,
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "x.set", {"EEG": eeg}, appendmat=False)
    found = read(tmp_path / "x.set", participant="p7")
    (block,) = found.streams["eeg.eeg"]
    assert (block.info.names, block.info.rate) == (("Fz", "Cz"), 64)
    assert np.allclose(block.data[:, 0], SIGNAL, atol=1e-3)


def test_a_mat_file_of_another_program(tmp_path: Path) -> None:
    import scipy.io

    scipy.io.savemat(tmp_path / "x.mat", {"a": np.zeros(4)})
    with pytest.raises(ValueError, match="neither the variables of LabChart"):
        read(tmp_path / "x.mat")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file that was cut, overwritten, repeated or emptied in parts."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        a = chance.randrange(len(data) + 1)
        b = min(len(data), a + chance.choice((1, 2, 8, 64, 1024)))
        match chance.randrange(6):
            case 0:
                del data[a:]
            case 1:
                del data[a:b]
            case 2:
                data[a:b] = bytes(chance.randrange(256) for _ in range(b - a))
            case 3:
                data[a:a] = data[a:b]
            case 4:
                data[a:b] = chance.choice((b"nan", b"inf", b"\n\n", b",,,", b"1e999"))
            case _:
                data[a:b] = b"\0" * (b - a)
    return bytes(data)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"labchart", "acqknowledge"}))
@pytest.mark.parametrize("n", [8, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_a_sentence(
    tmp_path: Path, name: str, n: int
) -> None:
    """Nothing but a `ValueError` of one line leaves a reader, and nothing hangs."""
    path = WRITERS[name](tmp_path)
    parts = [p for p in path.iterdir() if p.is_file()] if path.is_dir() else [path]
    whole = {p: p.read_bytes() for p in parts}
    chance = random.Random(name)
    for _ in range(n):
        part = chance.choice(parts)
        part.write_bytes(damaged(whole[part], chance))
        message, found = outcome(path)
        assert "\n" not in message
        assert len(message) < 2500
        for block in (b for blocks in found.values() for b in blocks):
            assert not np.isinf(block.data).any()
            assert np.isfinite(block.t0)
        part.write_bytes(whole[part])


def outcome(path: Path) -> tuple[str, Mapping[str, tuple[Block, ...]]]:
    """Return the message of a refusal, or the streams."""
    try:
        return "", read(path).streams
    except ValueError as error:
        return str(error), {}


def test_every_format_has_a_reader_and_a_way_to_recognise_it() -> None:
    for entry in FORMATS:
        assert entry.recognised_by
        assert entry.tested_with


def test_a_reader_names_the_file_that_it_refuses(tmp_path: Path) -> None:
    for write in (shimmer, muselsl):
        path = write(tmp_path)
        text = path.read_text()
        path.write_text(text.replace("1700000000", "later").replace("17000000", "x"))
        with pytest.raises(ValueError, match=str(path)):
            read(path)
