"""SAM 40 and DASPS: real recordings, rebuilt ones, and the faults that are refused."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

import miniatures
from physio.datasets import dasps, sam40
from physio.datasets.base import Trial
from physio.datasets.dasps import Dasps
from physio.datasets.sam40 import Sam40


def test_dasps_has_six_situations_with_their_ratings(tmp_path: Path) -> None:
    miniatures.dasps(tmp_path)
    study = Dasps(tmp_path)
    assert study.trials() == (Trial("S01"), Trial("S16"))
    recording = study.load(Trial("S16"))
    (eeg,) = recording.streams["emotiv.eeg"]
    assert (eeg.info.rate, eeg.info.names) == (128, dasps.EEG)
    stored = np.load(tmp_path / dasps.SIGNALS)["S16_eeg"]
    np.testing.assert_array_equal(eeg.data, stored.T)
    parts = recording.events["study.conditions"]
    assert parts.labels == tuple(f"situation {k}" for k in range(1, 7))
    assert parts.times.tolist() == [0, 40, 80, 120, 160, 200]
    assert parts.data[:, 0].tolist() == [30, 70, 110, 150, 190, 230]
    ratings = recording.events["study.ratings"]
    assert ratings.info.names == ("valence", "arousal", "valence.sam", "arousal.sam")
    np.testing.assert_array_equal(ratings.times, parts.data[:, 0])
    assert ratings.data[:, 2].tolist() == [2, 3, 4, 2, 3, 4]
    np.testing.assert_allclose(ratings.data[:, 1], (ratings.data[:, 3] - 5) / 4)
    assert study.load(Trial("S01")).metadata["hamilton_after"] == "37:severe"
    assert "hamilton_after" not in recording.metadata


def test_dasps_at_hand(data: Path) -> None:
    study = Dasps(data / "dasps")
    assert len(study.trials()) >= 15
    first = study.load(study.trials()[0])
    assert first.metadata["hamilton_before"] == "25:moderate"
    ratings = first.events["study.ratings"]
    assert ratings.data[:, 2:].tolist() == [
        [1, 8], [3, 8], [1, 8], [3, 5], [3, 6], [1, 7],
    ]  # fmt: skip
    (eeg,) = first.streams["emotiv.eeg"]
    assert len(eeg) == 42112
    # Offsets as the headset sent them: every second electrode is high-pass filtered.
    assert np.median(eeg.data, axis=0)[:2] == pytest.approx([4225, 85], abs=2)
    # The authors' own segments, filtered to 4-45 Hz, lie where the conditions begin.
    own = np.load(data / "dasps" / "dasps_authors_segments.npz")["S01"]
    begin = int(first.events["study.conditions"].times[1] * 128)
    electrode = dasps.EEG.index("O2")
    spectrum = np.fft.rfft(eeg.data[begin : begin + 1920, electrode])
    keep = (np.arange(961) / 15 >= 4) & (np.arange(961) / 15 <= 45)
    ours = np.fft.irfft(np.where(keep, spectrum, 0))
    assert np.corrcoef(ours, own[2, electrode])[0, 1] > 0.6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "S16,2,3.0",
            "S16,2,12.0",
            r"ratings\.csv has a rating of S16 outside of 1 to",
        ),
        (
            "S16,2,",
            "S16,7,",
            r"ratings\.csv has the situations \[1, 3, 4, 5, 6, 7\] of",
        ),
        (
            "S16,2,3.0",
            "S16,2,x",
            r"ratings\.csv: a row of S16 lacks a number in situat",
        ),
        ("40.0,55.0", "41.0,55.0", r"npz differ on when the situations of S16 begin"),
        ("valence", "v", r"ratings\.csv has no column 'valence'; it has \['person'"),
    ],
)
def test_impossible_ratings_of_dasps_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    miniatures.dasps(tmp_path)
    path = tmp_path / "ratings.csv"
    head, body = path.read_text().split("S16,1")
    body = f"S16,1{body}"
    head, body = (head.replace(old, new), body.replace(old, new))
    path.write_text(head + body)
    with pytest.raises(ValueError, match=message):
        Dasps(tmp_path).load(Trial("S16"))


def test_faults_of_dasps(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no DASPS folder: it has no dasps"):
        Dasps(tmp_path).trials()
    miniatures.dasps(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"npz has no participant 'S02'$"):
        Dasps(tmp_path).load(Trial("S02"))
    with np.load(tmp_path / dasps.SIGNALS) as file:
        arrays = dict(file)
    for key, value, message in (
        ("S01_eeg", np.zeros((13, 999)), r"S01_eeg has shape \(13, 999\), not \(14, n"),
        ("fs", np.array(256), r"'channels' and 'fs' are not the 14 electrodes of an"),
        ("S01_eeg", np.array([{}], object), r"cannot be read: Object arrays cannot be"),
    ):
        np.savez(tmp_path / dasps.SIGNALS, **{**arrays, key: value})
        with pytest.raises(ValueError, match=message):
            Dasps(tmp_path).load(Trial("S01"))


def test_sam40_has_tasks_with_ratings_and_rest_without(tmp_path: Path) -> None:
    miniatures.sam40(tmp_path)
    study = Sam40(tmp_path)
    names = ("Arithmetic 1", "Relax 1", "Stroop 1")
    assert study.trials() == tuple(Trial(p, "", n) for p in ("3", "21") for n in names)
    recording = study.load(Trial("21", "", "Stroop 1"))
    (eeg,) = recording.streams["emotiv.eeg"]
    assert (eeg.info.rate, eeg.info.names, len(eeg)) == (128, sam40.EEG, 3200)
    stored = np.load(tmp_path / sam40.SIGNALS)["21/Stroop/1"]
    np.testing.assert_array_equal(eeg.data, stored.T)
    assert recording.events["study.conditions"].labels == ("Stroop",)
    ratings = recording.events["study.ratings"]
    assert ratings.data.tolist() == [[pytest.approx(1.5 / 4.5), 7.0]]
    rest = study.load(Trial("3", "", "Relax 1"))
    assert rest.events["study.conditions"].labels == ("Relax",)
    assert np.isnan(rest.events["study.ratings"].data).all()


def test_sam40_as_its_authors_publish_it(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(0, 6, (32, 3200))
    for name in ("Arithmetic_sub_1_trial1", "Mirror_image_sub_12_trial3"):
        scipy.io.savemat(tmp_path / f"{name}.mat", {"Clean_data": values})
    study = Sam40(tmp_path)
    assert [t.trial for t in study.trials()] == ["Arithmetic 1", "Mirror_image 3"]
    recording = study.load(Trial("12", "", "Mirror_image 3"))
    np.testing.assert_array_equal(recording.streams["emotiv.eeg"][0].data, values.T)
    assert "study.ratings" not in recording.events
    assert (
        "ratings of stress in scales.xls are not read" in recording.metadata["warnings"]
    )
    scipy.io.savemat(tmp_path / "Stroop_sub_2_trial1.mat", {"Data": values})
    with pytest.raises(ValueError, match=r"Stroop_sub_2_trial1\.mat"):
        Sam40(tmp_path).load(Trial("2", "", "Stroop 1"))


def _rating(row: str, data: Path) -> float:
    text = (data / "sam40" / "records.csv").read_text()
    (line,) = (t for t in text.splitlines() if t.startswith(f"{row},"))
    return float(line.split(",")[3])


def test_sam40_at_hand(data: Path) -> None:
    study = Sam40(data / "sam40")
    trials = study.trials()
    assert len(trials) >= 336
    assert len({t.subject for t in trials}) * 12 == len(trials)
    recording = study.load(Trial("10", "", "Arithmetic 3"))
    assert recording.events["study.ratings"].data[0, 1] == 6
    one = study.load(Trial("1", "", "Arithmetic 1"))  # "01" among the signals
    assert one.events["study.ratings"].data[0, 1] == _rating("1,Arithmetic,1", data)
    (eeg,) = recording.streams["emotiv.eeg"]
    assert np.std(eeg.data) == pytest.approx(5.95, abs=0.01)  # as records.csv has it
    # The order of electrodes, which the files do not state: neighbours agree.
    related = np.corrcoef(eeg.data.T)
    index = sam40.EEG.index
    assert related[index("Fp1"), index("Fp2")] > related[index("Fp1"), index("O2")]


def test_faults_of_sam40(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Sam40(tmp_path / "none").trials()
    with pytest.raises(ValueError, match="is no folder of SAM 40: it has neither"):
        Sam40(tmp_path).trials()
    miniatures.sam40(tmp_path)
    with pytest.raises(FileNotFoundError, match="has no trial 'Relax 9' of particip"):
        Sam40(tmp_path).load(Trial("3", "", "Relax 9"))
    path = tmp_path / "records.csv"
    path.write_text(path.read_text().replace("Stroop,1,7", "Stroop,1,70"))
    with pytest.raises(
        ValueError, match=r"stress_1_10 of 3, Stroop 1 is '70', neither"
    ):
        Sam40(tmp_path).load(Trial("3", "", "Stroop 1"))
    path.write_bytes(b"person,task,trial,stress_1_10\n\xff")
    with pytest.raises(ValueError, match=r"records\.csv is no table in UTF-8: "):
        Sam40(tmp_path).load(Trial("3", "", "Stroop 1"))
