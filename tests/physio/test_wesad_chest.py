"""WESAD's synchronised pickles, and the raw text of its chest strap."""

import json
from pathlib import Path

import numpy as np
import pytest

from miniatures import wesad_chest
from physio.datasets.base import Trial
from physio.datasets.wesad_chest import WesadChest
from physio.io import opensignals
from python2 import dumped


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wesad")
    wesad_chest(folder)
    return folder


def test_both_devices_at_their_rates_and_units(root: Path) -> None:
    streams = WesadChest(root).load(Trial("S2")).streams
    found = {
        name: (float(b.info.rate), b.info.channels[0].unit, len(b))
        for name, (b,) in streams.items()
    }
    assert found == {
        "respiban.acc": (700, "g", 42000),
        "respiban.ecg": (700, "mV", 42000),
        "respiban.emg": (700, "mV", 42000),
        "respiban.eda": (700, "uS", 42000),
        "respiban.temp": (700, "degC", 42000),
        "respiban.resp": (700, "%", 42000),
        "e4.acc": (32, "g", 1920),
        "e4.bvp": (64, "1", 3840),
        "e4.eda": (4, "uS", 240),
        "e4.temp": (4, "degC", 240),
    }
    assert streams["e4.acc"][0].data[0].tolist() == [0, 0, 1]  # 64 counts a g
    assert streams["respiban.temp"][0].data[0, 0] == 30.25


def test_conditions_come_from_the_label_and_answers_in_order(root: Path) -> None:
    events = WesadChest(root).load(Trial("S2")).events
    parts, rated = events["study.conditions"], events["study.ratings"]
    assert parts.labels == rated.labels
    assert parts.labels == (
        *("baseline", "stress", "meditation 1", "amusement", "meditation 2"),
    )
    assert parts.times.tolist() == [5, 15, 25, 35, 45]
    assert parts.data[:, 0].tolist() == [10, 20, 30, 40, 50]
    assert rated.info.names == ("valence", "arousal", "valence.sam", "arousal.sam")
    assert rated.data[1].tolist() == [0, -0.25, 5, 4]


def test_without_a_questionnaire_there_are_conditions_alone(tmp_path: Path) -> None:
    wesad_chest(tmp_path)
    (tmp_path / "S2" / "S2_quest.csv").unlink()
    events = WesadChest(tmp_path).load(Trial("S2")).events
    assert list(events) == ["study.conditions"]
    assert events["study.conditions"].labels[2] == "meditation"


def test_what_is_wrong_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.* it has no S2/S2\.pkl or alike$"):
        WesadChest(tmp_path).trials()
    with pytest.raises(FileNotFoundError) as missing:
        WesadChest(root).load(Trial("S9"))
    assert str(missing.value) == f"{root} has no participant 'S9' (no file S9/S9.pkl)"
    path = tmp_path / "S3" / "S3.pkl"
    path.parent.mkdir()
    for content, message in (
        (
            {"subject": "S2"},
            "'subject' is 'S2', not 'S3': the file is another participant's",
        ),
        (
            {"subject": "S3", "label": 1},
            "'label' is no row of whole numbers",
        ),
        (
            {"subject": "S3", "label": np.zeros(7, "<i4"), "signal": {"chest": {}}},
            "chest 'ACC' is missing or has not 3 columns; the chest has "
            "ACC, ECG, EMG, EDA, Temp, Resp",
        ),
    ):
        path.write_bytes(dumped(content))
        with pytest.raises(ValueError, match=r"^") as wrong:
            WesadChest(tmp_path).load(Trial("S3"))
        assert str(wrong.value) == f"{path}: {message}"


def raw(path: Path, rows: list[list[int]], rate: int = 700) -> None:
    sensors = ["ECG", "EDA", "EMG", "TEMP", "XYZ", "XYZ", "XYZ", "RESPIRATION"]
    about = {"00:07:80:AA": {"sensor": sensors, "sampling rate": rate}}
    lines = [opensignals.HEADER, f"# {json.dumps(about)}", "# EndOfHeader"]
    lines += ["\t".join(map(str, [i, 0, *row])) + "\t" for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")


def test_counts_of_the_chest_strap_become_units(tmp_path: Path) -> None:
    path = tmp_path / "S2_respiban.txt"
    raw(path, [[2**15, 2**15, 2**14, 2**15, 28000, 33000, 38000, 2**15]] * 3)
    streams = opensignals.read(path, participant="S2").streams
    first = {name: b.data[0].tolist() for name, (b,) in streams.items()}
    assert first["respiban.ecg"] == [0]
    assert first["respiban.emg"] == [-0.75]  # (1/4 - 1/2) of 3 V
    assert first["respiban.eda"] == [12.5]  # 1.5 V over 0.12
    assert first["respiban.acc"] == [-1, 0, 1]
    assert first["respiban.resp"] == [0]
    # Half of the voltage falls at a thermistor's 10 kOhm, which it has at 25 degC; the
    # coefficients say so to 0.02 degC.
    assert first["respiban.temp"] == pytest.approx([25.0], abs=0.02)
    assert streams["respiban.ecg"][0].info.rate == 700


def test_damaged_texts_of_the_chest_strap_are_told(tmp_path: Path) -> None:
    path = tmp_path / "S2_respiban.txt"
    path.write_text("time,ecg\n")
    with pytest.raises(ValueError, match=r"^.* is no OpenSignals file: its first"):
        opensignals.read(path)
    raw(path, [[1] * 8, [1] * 5])
    with pytest.raises(ValueError, match=r"^.*: a line has not 10 numbers "):
        opensignals.read(path)
    raw(path, [[70000] * 8])
    with pytest.raises(ValueError, match=r": a count of CH1 is not within 0 to 65535$"):
        opensignals.read(path)
