"""DEAP as it is published: channels, units, ratings, and what is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest

from miniatures import deap
from physio.core.missing import MissingReason, missing_reason
from physio.datasets.base import Trial
from physio.datasets.deap import EEG, Deap
from python2 import dumped


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deap")
    deap(folder)
    return folder


def test_channels_units_and_clock(root: Path) -> None:
    recording = Deap(root).load(Trial("s02", "", "3"))
    (eeg,) = recording.streams["biosemi.eeg"]
    assert eeg.info.names == EEG
    assert {c.unit for c in eeg.info.channels} == {"uV"}
    assert eeg.info.reference == "average"
    # Row 0 of the file's third video counts samples, so it shows when each was.
    assert np.array_equal(eeg.column("Fp1"), np.arange(8064.0))
    assert eeg.times[384] == 0.0
    (eda,) = recording.streams["biosemi.eda"]
    assert eda.info.channels[0].unit == "uS"
    assert np.allclose(eda.data, 5.0, rtol=1e-12, atol=0)  # 1e6 / 200,000 Ohm
    assert [
        b.info.channels[0].unit for (b,) in list(recording.streams.values())[4:]
    ] == [
        "1",
        "1",
        "1",
    ]


def test_ratings_keep_their_own_scale(root: Path) -> None:
    rated = Deap(root).load(Trial("s02", "", "3")).events["study.ratings"]
    assert rated.labels == ("video 3",)
    assert rated.times.tolist() == [60.0]
    assert dict(zip(rated.info.names, rated.data[0].tolist(), strict=True)) == {
        "valence": -1.0,
        "arousal": 1.0,
        "dominance": 0.625,
        "liking": -0.5,
        "valence.sam": 1.0,
        "arousal.sam": 9.0,
        "dominance.sam": 7.5,
        "liking.sam": 3.0,
    }


def test_what_is_the_resistance_of_no_skin_is_missing(root: Path) -> None:
    (eda,) = Deap(root).load(Trial("s02", "", "2")).streams["biosemi.eda"]
    poor, none = MissingReason.POOR_QUALITY, MissingReason.NO_SIGNAL
    assert missing_reason(eda.data[:6, 0]).tolist() == [poor, poor, 0, none, poor, 0]
    assert eda.data[2, 0] == pytest.approx(10.0, rel=1e-12)


def test_trials_are_named_without_reading(root: Path) -> None:
    trials = Deap(root).trials()
    assert len(trials) == 40
    assert trials[1] == Trial("s02", "", "2")


def test_wrong_folders_participants_and_videos(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.* is no DEAP folder: it has no file s01"):
        Deap(tmp_path).trials()
    with pytest.raises(FileNotFoundError) as missing:
        Deap(tmp_path / "no").trials()
    assert str(missing.value) == f"there is no folder {tmp_path / 'no'}"
    with pytest.raises(FileNotFoundError) as missing:
        Deap(root).load(Trial("s40", "", "1"))
    assert str(missing.value) == f"{root} has no participant 's40' (no file s40.dat)"
    with pytest.raises(ValueError, match=r"^DEAP has videos 1 to 40, but no '41'$"):
        Deap(root).load(Trial("s02", "", "41"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": np.ones(3)}, "'data' is shape (3,); DEAP's has shape (40, 40, 8064)"),
        ({"labels": np.ones(3)}, "'data' is no array; DEAP's has shape (40, 40, 8064)"),
        ("text", "'data' is no array; DEAP's has shape (40, 40, 8064)"),
    ],
)  # fmt: skip
def test_other_versions_are_told(content: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "s01.dat").write_bytes(dumped(content))
    with pytest.raises(ValueError, match=r"^") as wrong:
        Deap(tmp_path).load(Trial("s01", "", "1"))
    assert str(wrong.value) == f"{tmp_path / 's01.dat'}: {message}"


def test_a_truncated_file_is_told(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "s02.dat"
    path.write_bytes((root / "s02.dat").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"the file ends too early: it was truncated$"):
        Deap(tmp_path).load(Trial("s02", "", "1"))
