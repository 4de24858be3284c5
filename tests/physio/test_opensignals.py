"""Files of OpenSignals: every sensor from its own column, by the maker's formula."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.datasets.open_recording import read

BITALINO = {
    "device": "bitalino_rev",
    "sensor": ["ECG", "EMG", "XYZ", "EDA"],
    "column": ["nSeq", "I1", "I2", "O1", "O2", "A1", "A2", "A3", "A4"],
    "label": ["A1", "A2", "A3", "A4"],
    "resolution": [4, 1, 1, 1, 1, 10, 10, 10, 6],
    "sampling rate": 1000,
}
PLUX = {
    "device": "biosignalsplux",
    "sensor": ["ECG", "EDA"],
    "column": ["nSeq", "DI", "CH1", "CH2"],
    "label": ["CH1", "CH2"],
    "resolution": [4, 1, 12, 12],
    "sampling rate": 500,
}


def written(folder: Path, rows: Any, *devices: dict[str, Any]) -> Path:
    about = {f"00:{i}": device for i, device in enumerate(devices)}
    lines = ["# OpenSignals Text File Format", f"# {json.dumps(about)}"]
    lines += ["# EndOfHeader", *("\t".join(map(str, row)) + "\t" for row in rows)]
    path = folder / "opensignals_x.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_bitalino_by_its_header(tmp_path: Path) -> None:
    rows = [[i % 16, 1, 1, 0, 0, 731, 516, 208, 32] for i in range(40)]
    found = read(written(tmp_path, rows, BITALINO))
    first = {name: b.data[0, 0] for name, (b,) in found.streams.items()}
    assert first["bitalino.ecg"] == pytest.approx((731 / 1024 - 0.5) * 3.3 / 1.1)
    assert first["bitalino.emg"] == pytest.approx((516 / 1024 - 0.5) * 3.3 / 1.009)
    assert first["bitalino.acc"] == pytest.approx(-1.0)
    assert first["bitalino.eda"] == pytest.approx(0.5 * 3.3 / 0.132)  # of 6 bits
    (ecg,) = found.streams["bitalino.ecg"]
    assert (len(ecg), ecg.info.rate, ecg.info.channels[0].unit) == (40, 1000, "mV")


def test_a_hub_of_12_bits(tmp_path: Path) -> None:
    rows = [[i % 16, 1, 2924, 820] for i in range(40)]
    found = read(written(tmp_path, rows, PLUX))
    eda = found.streams["plux.eda"][0].data[0, 0]
    assert eda == pytest.approx(820 / 4096 * 3 / 0.12)
    ecg = found.streams["plux.ecg"][0].data[0, 0]
    assert ecg == pytest.approx((2924 / 4096 - 0.5) * 3)


@pytest.mark.parametrize("wraps", [True, False])
def test_the_sequence_number_shows_losses(tmp_path: Path, *, wraps: bool) -> None:
    numbers = [*range(20), *range(25, 60)]
    rows = [[i % 16 if wraps else i, 1, 2048, 820] for i in numbers]
    blocks = read(written(tmp_path, rows, PLUX)).streams["plux.ecg"]
    assert [(b.start, b.stop) for b in blocks] == [(0, 20), (25, 60)]


def test_a_sequence_number_that_stands_still_is_not_used(tmp_path: Path) -> None:
    rows = [[0, 1, 2048, 820]] * 30
    (ecg,) = read(written(tmp_path, rows, PLUX)).streams["plux.ecg"]
    assert len(ecg) == 30


def test_a_sensor_that_the_header_does_not_name(tmp_path: Path) -> None:
    raw = BITALINO | {"sensor": ["RAW", "ECGBIT", "RAW", "CUSTOM"]}
    rows = [[i % 16, 1, 1, 0, 0, 100, 512 + i, 208, 32] for i in range(40)]
    path = written(tmp_path, rows, raw)
    found = read(path)
    assert list(found.streams) == ["bitalino.ecg"]
    assert "A1 (RAW), A3 (RAW), A4 (CUSTOM)" in found.metadata["warnings"]
    columns = tmp_path / "m.toml"
    columns.write_text(
        'rate = 1000\n[signals]\nA1 = "eda"\n'
        'A3 = { kind = "resp", unit = "%", factor = 0.5 }\n'
    )
    found = read(path, columns=columns)
    eda = found.streams["bitalino.eda"][0].data[0, 0]
    assert eda == pytest.approx(100 / 1024 * 3.3 / 0.132)
    assert found.streams["bitalino.resp"][0].data[0, 0] == 104


def test_nothing_known_says_what_to_give(tmp_path: Path) -> None:
    raw = BITALINO | {"sensor": ["RAW"] * 4}
    path = written(tmp_path, [[0, 1, 1, 0, 0, 1, 1, 1, 1]], raw)
    with pytest.raises(ValueError, match=r"is a file of a bitalino_rev.*A1 = \"ecg\""):
        read(path)


def test_two_devices_in_a_file_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [[0] * 13], PLUX, BITALINO)
    with pytest.raises(ValueError, match="holds 2 devices"):
        read(path)


@pytest.mark.parametrize(
    "change", [{"sampling rate": 0}, {"resolution": [4]}, {"sensor": []}, {"column": 3}]
)
def test_a_damaged_header_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = written(tmp_path, [[0, 1, 2, 3]], PLUX | change)
    with pytest.raises(ValueError, match="is no OpenSignals file: its first three"):
        read(path)


def test_nothing_recorded(tmp_path: Path) -> None:
    path = written(tmp_path, [], PLUX)
    (eda,) = read(path).streams["plux.eda"]
    assert np.shape(eda.data) == (0, 1)
