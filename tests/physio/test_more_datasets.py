"""eegmat, Stress-Predict and Mind Monitor: real files, and the traps they set."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from miniatures import bids, seed
from physio.datasets.base import Trial
from physio.datasets.bids import Bids
from physio.datasets.eegmat import EEG, Eegmat
from physio.datasets.open_recording import read
from physio.datasets.seed import Seed
from physio.datasets.stress_predict import StressPredict
from physio.datasets.wesad import Wesad
from physio.io import xlsx


def test_a_folder_of_seed_iv_is_refused_by_name(tmp_path: Path) -> None:
    """Its files have other names' dates, three folders, and 24 films."""
    of_session = tmp_path / "eeg_raw_data" / "1"
    of_session.mkdir(parents=True)
    (of_session / "1_20160518.mat").touch()
    for folder in (of_session, of_session.parent):
        with pytest.raises(ValueError, match=r"is a folder of SEED-IV; its films and"):
            Seed(folder).trials()
    seed(tmp_path / "seed")
    films = {f"cz_eeg{i}": np.zeros((62, 400)) for i in range(1, 25)}
    path = tmp_path / "seed" / "1_20131027.mat"
    scipy.io.savemat(path, films, do_compression=True)
    with pytest.raises(ValueError, match=r"1_20131027\.mat: it has 24 films; its"):
        Seed(tmp_path / "seed").load(Trial("1", "1", "3"))
    assert Seed(tmp_path / "seed").load(Trial("1", "2", "3")).streams


def test_compact_files_hold_what_the_whole_ones_do(data: Path) -> None:
    trial = Trial("Subject00", "", "rest")
    whole = Eegmat(data / "eegmat", compact=False).load(trial)
    compact = Eegmat(data / "eegmat").load(trial)
    for name, unit in (("eeg", "uV"), ("ref", "uV"), ("ecg", "uV")):
        (a,), (b,) = (r.streams[f"neurocom.{name}"] for r in (whole, compact))
        assert (a.info.rate, b.info.rate) == (500, 128)
        assert a.info.names == b.info.names
        assert {c.unit for c in b.info.channels} == {unit}
        last = a.data[-60 * 500 :]
        # What there is above 64 Hz has a thousandth of the spread: mains was removed.
        assert np.std(b.data) == pytest.approx(np.std(last), rel=2e-3)
    assert compact.streams["neurocom.eeg"][0].info.names == EEG
    assert whole.events["study.conditions"].labels == ("rest",)
    assert compact.metadata["subtractions"] == "9.7"


def test_eegmats_faults_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.* is no eegmat folder: it has neither"):
        Eegmat(tmp_path).trials()
    with pytest.raises(ValueError, match=r"^eegmat has rest and .*, but no 'x'$"):
        Eegmat(data / "eegmat").load(Trial("Subject00", "", "x"))
    path = tmp_path / "compact128" / "Subject00.npz"
    path.parent.mkdir()
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"^.*Subject00\.npz cannot be read: "):
        Eegmat(tmp_path).load(Trial("Subject00", "", "rest"))
    np.savez(path, data=np.array([{}], object), scale_uV=1, sfreq=1)
    with pytest.raises(ValueError, match=r"^.*allow_pickle=False$"):
        Eegmat(tmp_path).load(Trial("Subject00", "", "rest"))


def test_stress_predict_goes_by_the_labels_and_not_by_the_tags(
    data: Path,
) -> None:
    study = StressPredict(data / "stress_predict")
    assert [t.subject for t in study.trials()][-2:] == ["S10", "S30"]
    for subject in ("S06", "S30"):
        recording = study.load(Trial(subject))
        parts = recording.events["study.conditions"]
        assert parts.labels == (*("rest", "stress") * 3, "rest")
        lengths = parts.data[:, 0] - parts.times
        # Three tasks of about five, ten and two minutes.
        assert 240 < lengths[1] < 400
        assert 450 < lengths[3] < 700
        assert 110 < lengths[5] < 170
        assert parts.times[0] >= 0
        assert parts.data[-1, 0] <= recording.end + 2
        tags = recording.events["e4.tags"]
        assert (tags.times <= recording.end).all()  # those of S30 are 12 hours off
        assert {b.info.rate for (b,) in recording.streams.values()} == {4, 32, 64}


def test_a_participant_without_labels_has_signals_all_the_same(data: Path) -> None:
    recording = StressPredict(data / "stress_predict").load(Trial("S01"))
    assert len(recording.events["study.conditions"]) == 0
    assert len(recording.streams["e4.eda"][0]) > 10_000


def test_stress_predicts_faults_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^.* it has no raw/S01\.zip$"):
        StressPredict(tmp_path).trials()
    with pytest.raises(FileNotFoundError) as missing:
        StressPredict(tmp_path).load(Trial("S05"))
    assert (
        str(missing.value)
        == f"{tmp_path} has no participant 'S05' (no file raw/S05.zip)"
    )
    (tmp_path / "raw").symlink_to(data / "stress_predict" / "raw")
    (tmp_path / "labels_per_second.csv").write_text(
        "Participant,Time(sec),Label\n5,1,?\n"
    )
    with pytest.raises(ValueError, match=r"^.*labels_per_second\.csv, line 2: it must"):
        StressPredict(tmp_path).load(Trial("S05"))


def test_stress_predicts_answers(data: Path) -> None:
    study = StressPredict(data / "stress_predict")
    for subject in (t.subject for t in study.trials()):
        answers = study.answers(subject)
        assert {name: len(a) for name, a in answers.items()} == {
            "stai.before": 40,
            "stai.after": 40,
            "pss.before": 10,
            "pss.after": 10,
        }
        for name, (low, high) in {"stai": (1, 4), "pss": (0, 4)}.items():
            for time in ("before", "after"):
                assert all(low <= a <= high for a in answers[f"{name}.{time}"])
    # The table's own totals.
    assert sum(study.answers("S01")["pss.before"]) == 10
    assert sum(study.answers("S01")["pss.after"]) == 16
    with pytest.raises(ValueError, match=r"^.*_scores\.xlsx has no column of 'S99'$"):
        study.answers("S99")


def test_damaged_tables_of_answers_are_told(data: Path, tmp_path: Path) -> None:
    name = "Questionnaires_scores.xlsx"
    whole = (data / "stress_predict" / name).read_bytes()
    for text in (b"", b"PK", whole[: len(whole) // 2]):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(ValueError, match=r"^.* is no \.xlsx file that can be read"):
            StressPredict(tmp_path).answers("S01")
    with pytest.raises(ValueError, match=r"^.*There is no item named .*sheet9"):
        xlsx.read(data / "stress_predict" / name, 9)


def test_the_stress_questionnaire_has_nine_items(data: Path) -> None:
    for subject in Wesad(data / "wesad").participants:
        for part in Wesad(data / "wesad").conditions(subject):
            assert len(part.sssq) == (9 if part.name == "stress" else 0)
            assert all(1 <= v <= 5 for v in part.sssq.values() if not np.isnan(v))
    stress = Wesad(data / "wesad").conditions("S2")[1].sssq
    # The file's row is 5;5;4;4;3;5; annoyed is the fifth of PANAS, and the two others
    # are the last but two and the last but one.
    assert list(stress.values()) == [5, 5, 4, 4, 3, 5, 3, 1, 3]


def test_a_study_in_bids(tmp_path: Path) -> None:
    bids(tmp_path)
    study = Bids(tmp_path)
    assert study.trials() == (Trial("01", "", "rest"), Trial("02", "", "rest"))
    recording = study.load(Trial("02", "", "rest"))
    (eeg,), (eog,) = recording.streams["eeg.eeg"], recording.streams["eeg.eog"]
    assert eeg.info.names == ("Fz", "Cz")
    assert [c.unit for c in eeg.info.channels] == ["uV", "uV"]
    assert (len(eog), eog.info.rate, eog.info.participant) == (15360, 128, "02")
    assert np.std(eeg.data) == pytest.approx(20, rel=0.02)  # of 30,000 samples
    marked = recording.events["bids.events"]
    assert (marked.labels, marked.times.tolist()) == (("eyes closed",), [2.0])
    with pytest.raises(FileNotFoundError) as missing:
        study.load(Trial("03", "", "rest"))
    assert str(missing.value) == f"{tmp_path} has no recording of '03 rest'"
    with pytest.raises(ValueError, match=r"^.* has 2 recordings \(sub-01_task-rest, "):
        read(tmp_path)
    path = tmp_path / "sub-01" / "eeg" / "sub-01_task-rest_eeg.edf"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"^.*_task-rest_eeg\.edf is no EDF"):
        study.load(Trial("01", "", "rest"))


def test_a_folder_that_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Bids(tmp_path).trials()
    assert str(missing.value) == (
        f"{tmp_path} is no BIDS folder: it has no dataset_description.json"
    )


def test_a_muse_table_by_its_path(data: Path) -> None:
    recording = read(data / "biosignals" / "mind_monitor_muse.csv", participant="p1")
    blocks = recording.streams["muse.eeg"]
    eeg = blocks[0]
    assert eeg.info.names == ("TP9", "AF7", "AF8", "TP10")
    assert (eeg.info.rate, eeg.info.participant) == (256, "p1")
    assert eeg.data[0].tolist() == [832.4542, 798.60803, 794.17584, 835.6777]
    acc = np.concatenate([b.data for b in recording.streams["muse.acc"]])
    # Held still, a sensor feels 1 g, and this headband nearly.
    assert np.median(np.linalg.norm(acc, axis=1)) == pytest.approx(1.0, abs=0.05)
    assert recording.events["muse.markers"].labels == ("/muse/elements/blink",)
