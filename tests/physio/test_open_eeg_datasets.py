"""Open EEG data sets: rebuilt files, their labels, and the faults that are refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import miniatures
from physio.datasets import faced, seed_v, seed_vii
from physio.datasets.base import Trial
from physio.datasets.bids_ratings import BidsRatings, joining_columns, stated_scale
from physio.datasets.dens import Dens
from physio.datasets.faced import Faced
from physio.datasets.refed import ANNOTATION, Refed
from physio.datasets.seed_v import SeedV
from physio.datasets.seed_vii import SeedVii
from physio.training.recording_labels import labelled_spans
from physio.training.sources import DataSource, open_source


@pytest.fixture(scope="module")
def faced_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faced")
    miniatures.faced(folder)
    return folder


def test_faced_takes_ratings_by_video_and_not_by_place(faced_folder: Path) -> None:
    study = Faced(faced_folder)
    assert len(study.trials()) == 28
    recording = study.load(Trial("sub003", "", "5"))
    (eeg,) = recording.streams["cap.eeg"]
    assert (eeg.info.rate, eeg.info.names, len(eeg)) == (250, faced.EEG, 7500)
    np.testing.assert_allclose(eeg.data[:, 0], np.arange(7500) / 100, rtol=1e-6)
    assert recording.events["study.conditions"].labels == ("disgust",)
    ratings = recording.events["study.ratings"]
    values = dict(zip(ratings.info.names, ratings.data[0], strict=True))
    assert (values["valence.sam"], values["arousal.sam"]) == (5 / 4, 7)
    assert values["valence"] == pytest.approx((1.25 - 3.5) / 3.5)
    remarks = scipy.io.loadmat(faced_folder / "Data" / "sub003" / "After_remarks.mat")
    shown = [int(r["vid"].item()) for r in remarks["After_remark"][:, 0]]
    assert recording.metadata["position"] == str(shown.index(5) + 1)
    assert len(faced.EMOTIONS) == 28
    assert faced.EMOTIONS[12:16] == ("neutral",) * 4


def test_faults_of_faced(faced_folder: Path, tmp_path: Path) -> None:
    alone = Faced(faced_folder / "Processed_data")
    recording = alone.load(Trial("sub003", "", "1"))
    assert "study.ratings" in recording.events  # beside the folder
    with pytest.raises(FileNotFoundError, match=r"has no participant 'sub004'$"):
        alone.load(Trial("sub004", "", "1"))
    with pytest.raises(ValueError, match=r"^FACED has videos 1 to 28, but no '29'$"):
        alone.load(Trial("sub003", "", "29"))
    with pytest.raises(
        ValueError, match="is no FACED folder: it has no Processed_data"
    ):
        Faced(tmp_path).trials()
    for content, message in (
        (
            np.zeros((2, 3)),
            r"sub000\.pkl has shape \(2, 3\); FACED's has \(28, 32, 7500",
        ),
        ({"a": 1}, r"sub000\.pkl holds no array of numbers"),
    ):
        (tmp_path / "sub000.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=message):
            Faced(tmp_path).load(Trial("sub000", "", "1"))


def test_a_pickle_of_faced_is_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "sub000.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ValueError, match=r"sub000\.pkl"):
        Faced(tmp_path).load(Trial("sub000", "", "1"))
    assert not (tmp_path / "ran").exists()


def test_seed_vii_has_four_sessions_of_twenty_films(tmp_path: Path) -> None:
    miniatures.seed_vii(tmp_path)
    study = SeedVii(tmp_path)
    trials = study.trials()
    assert (trials[0], trials[-1]) == (Trial("3", "1", "1"), Trial("3", "4", "80"))
    assert len(seed_vii.EMOTIONS) == 80
    assert seed_vii.EMOTIONS[:10] == (
        *("happy", "neutral", "disgust", "sad", "anger"),
        *("anger", "sad", "disgust", "neutral", "happy"),
    )
    recording = study.load(Trial("3", "4", "80"))
    (eeg,) = recording.streams["neuroscan.eeg"]
    assert eeg.info.rate == 200
    assert eeg.data[0, 61] == 80
    assert recording.events["study.conditions"].labels == ("disgust",)
    with pytest.raises(ValueError, match="films 1 to 80, 20 a session, but no '80' in"):
        study.load(Trial("3", "1", "80"))
    scipy.io.savemat(tmp_path / "3.mat", {"1": np.zeros((61, 9))})
    with pytest.raises(ValueError, match=r"3\.mat: '1' has shape \(61, 9\), not \(62"):
        study.load(Trial("3", "1", "1"))


def test_seed_v_is_cut_from_the_file_of_a_session(tmp_path: Path) -> None:
    miniatures.seed_v(tmp_path)
    study = SeedV(tmp_path)
    trials = study.trials()
    assert (trials[0], len(trials)) == (Trial("7", "1", "1"), 15)
    recording = study.load(trials[0])
    (eeg,) = recording.streams["neuroscan.eeg"]
    assert (eeg.info.rate, len(eeg), eeg.info.names[-1]) == (1000, 72_000, "CB2")
    assert (eeg.data[0, 0], eeg.data[-1, 0]) == pytest.approx((30, 101))
    np.testing.assert_allclose(eeg.data[:, -1], -7, rtol=1e-6)
    assert not eeg.data[:, 31].any()
    assert recording.streams["neuroscan.eog"][0].info.names == ("VEO", "HEO")
    assert recording.events["study.conditions"].labels == ("happy",)
    for labels, spans in zip(seed_v.LABELS, seed_v.SPANS, strict=True):
        assert sorted(labels) == sorted([0, 1, 2, 3, 4] * 3)
        assert len(spans) == 15
        assert (np.diff(np.ravel(spans)) > 0).all()
    with pytest.raises(
        ValueError, match="ends at 103 s, before the film that lasts to"
    ):
        study.load(Trial("7", "1", "2"))
    path = tmp_path / "7_1_20180416.cnt"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"7_1_20180416\.cnt cannot be read: "):
        study.load(trials[0])


def test_refed_has_ratings_after_and_during_a_video(tmp_path: Path) -> None:
    miniatures.refed(tmp_path)
    study = Refed(tmp_path)
    assert len(study.trials()) == 15
    recording = study.load(Trial("2", "", "3"))
    rest, eeg = recording.streams["cap.eeg"]
    assert (rest.t0, len(rest), eeg.start, len(eeg)) == (-1.0, 200, 200, 1200)
    assert eeg.info.rate == 200
    assert eeg.data[0, 63] == 3
    ratings = recording.events["study.ratings"]
    assert ratings.data[0, 3:].tolist() == [4, 5, 6]
    drawn = recording.events[ANNOTATION]
    assert drawn.times.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(drawn.data[:, 1], [-1, -64 / 127, 0, 64 / 127, 1, -1])
    assert (drawn.data[:, 2] == 131).all()


def test_refeds_rate_is_that_of_its_annotation(tmp_path: Path) -> None:
    miniatures.refed(tmp_path, rate=1000)
    recording = Refed(tmp_path).load(Trial("2", "", "1"))
    assert recording.streams["cap.eeg"][1].info.rate == 1000
    label = tmp_path / "annotations" / "2_label.mat"
    scipy.io.savemat(label, {"video_1": np.full((60, 2), 9.0)})
    with pytest.raises(ValueError, match="has 6000 samples, and its annotation 60 s"):
        Refed(tmp_path).load(Trial("2", "", "1"))
    scipy.io.savemat(label, {"video_1": np.full((2, 6), 256.0)})
    with pytest.raises(ValueError, match="video_1 has a number outside of 1 to 255"):
        Refed(tmp_path).load(Trial("2", "", "1"))


def test_dens_counts_onsets_in_samples_and_joins_ratings_by_film(
    tmp_path: Path,
) -> None:
    miniatures.dens(tmp_path)
    study = Dens(tmp_path)
    (trial,) = study.trials()
    recording = study.load(trial)
    films = recording.events["study.conditions"]
    assert films.labels == ("Happy_clip", "Sad_clip")
    assert films.times.tolist() == [5.0, 75.0]
    assert films.data[:, 0].tolist() == [65.0, 135.0]
    ratings = recording.events["study.ratings"].data
    assert np.isnan(ratings[0]).all()
    assert ratings[1].tolist() == [-0.75, 0.625, -0.25, 2, 7.5, 4]
    assert "bids.events" not in recording.events
    path = tmp_path / "sub-mit003" / "beh" / "sub-mit003_task-Emotion_beh.tsv"
    path.write_text(path.read_text().replace("7.5", "11"))
    with pytest.raises(
        ValueError, match=r"the arousal of 'Sad_clip', 11, is outside of"
    ):
        study.load(trial)


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    miniatures.bids_ratings(tmp_path)
    return tmp_path


def test_ratings_in_events_have_the_scale_of_their_sidecar(rated: Path) -> None:
    study = BidsRatings(rated)
    recording = study.load(study.trials()[0])
    parts = recording.events["study.conditions"]
    assert parts.labels == ("film a", "film b")
    assert parts.times.tolist() == [2, 60]
    ratings = recording.events["study.ratings"]
    assert ratings.info.names == ("valence", "arousal", "valence.sam", "arousal.sam")
    np.testing.assert_allclose(ratings.data[:, 0], [-0.6, 0.6])
    assert ratings.data[0, 1] == 0
    assert np.isnan(ratings.data[1, 1])


def test_a_scale_that_is_not_stated_is_no_guess(rated: Path) -> None:
    (rated / "task-rest_events.json").unlink()
    trial = Trial("01", "", "rest")
    with pytest.raises(
        ValueError, match="the scale of 'self_valence' is not stated: ad"
    ):
        BidsRatings(rated).load(trial)
    scales = {"valence": (0, 100), "arousal": (0, 100)}
    assert (
        BidsRatings(rated, scales).load(trial).events["study.ratings"].data[0, 1] == 0
    )
    assert stated_scale({"Levels": {"1": "low", "9": "high"}}) == (1, 9)
    assert stated_scale({"Range": [0, 7]}) == (0, 7)
    assert stated_scale({"Description": "1 to 9"}) is None


def test_ratings_elsewhere(rated: Path) -> None:
    trial = Trial("02", "", "rest")
    events = rated / "sub-02" / "eeg" / "sub-02_task-rest_events.tsv"
    events.write_text(
        "onset\tduration\ttrial_type\n2\t30\tfilm a\n40\t0\tbutton\n60\t30\tfilm b\n"
    )
    with pytest.raises(
        ValueError, match="has no ratings of 02 rest: no column valence"
    ):
        BidsRatings(rated).load(trial)
    # Of the whole recording, in the list of participants.
    people = rated / "participants.tsv"
    rows = "participant_id\tstress\nsub-01\t1\nsub-02\t4\n"
    people.write_text(rows)
    people.with_suffix(".json").write_text('{"stress": {"Range": [0, 10]}}')
    recording = BidsRatings(rated).load(trial)
    assert recording.events["study.conditions"].labels == ("rest",)
    assert recording.events["study.ratings"].data[0].tolist() == [-0.2, 4]
    # In a questionnaire.
    people.write_text("participant_id\tage\nsub-02\t30\n")
    form = rated / "phenotype" / "mood.tsv"
    form.parent.mkdir()
    form.write_text("participant_id\tarousal_post\nsub-02\t9\n")
    form.with_suffix(".json").write_text('{"arousal_post": {"Range": [1, 9]}}')
    recording = BidsRatings(rated).load(trial)
    assert recording.events["study.ratings"].data[0].tolist() == [1, 9]
    # Of each film, by its name, in any order.
    beh = rated / "sub-02" / "beh" / "sub-02_task-rest_beh.tsv"
    beh.parent.mkdir()
    beh.write_text("film\tvalence\nfilm b\t3\nfilm a\t5\n")
    beh.with_suffix(".json").write_text('{"valence": {"Range": [1, 9]}}')
    recording = BidsRatings(rated).load(trial)
    assert recording.events["study.conditions"].labels == ("film a", "film b")
    assert recording.events["study.ratings"].data.tolist() == [[0, 5], [-0.5, 3]]
    beh.write_text("film\tvalence\nfilm b\t3\nfilm b\t5\n")
    with pytest.raises(ValueError, match="no column in common that names each rated"):
        BidsRatings(rated).load(trial)


def test_ratings_join_by_the_column_of_the_same_name() -> None:
    events = [
        {"trial_type": film, "trial": str(k)} for k, film in enumerate("3124", start=1)
    ]
    answers = [
        {"trial": str(k), "stimulus": film} for k, film in enumerate("3124", start=1)
    ]
    assert joining_columns(events, answers) == ("trial", "trial")
    unnamed = [{"number": a["trial"], "film": a["stimulus"]} for a in answers]
    with pytest.raises(ValueError, match="assign other ratings to the events"):
        joining_columns(events, unnamed)


def test_columns_of_ratings_may_be_named(tmp_path: Path) -> None:
    """A questionnaire's column of any name is a rating, on the scale that is given."""
    miniatures.bids_ratings(tmp_path)
    options = {"columns": {"anxiety": "self_valence"}, "scales": {"anxiety": (0, 100)}}
    source = DataSource("bids_ratings", tmp_path.name, options=options)
    entry = open_source(source, [tmp_path.parent]).entries[0]
    spans = labelled_spans(entry.load())
    assert [s.answers["sam.anxiety"] for s in spans] == [20, 80]
    assert "arousal" not in spans[0].answers
    plain = DataSource("bids_ratings", tmp_path.name)
    other = open_source(plain, [tmp_path.parent]).entries[0]
    assert other.fingerprint() != entry.fingerprint()
    unknown = DataSource("bids_ratings", tmp_path.name, options={"columns": {"a": "b"}})
    with pytest.raises(ValueError, match=r"no column b in events\.tsv"):
        open_source(unknown, [tmp_path.parent]).entries[0].load()
    with pytest.raises(ValueError, match="bids_ratings"):
        open_source(
            DataSource("bids_ratings", tmp_path.name, options={"wrong": 1}),
            [tmp_path.parent],
        )
