"""MATLAB's files: parsed elsewhere, within limits; DREAMER and SEED from them."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from miniatures import dreamer, seed
from physio.datasets.base import Trial
from physio.datasets.dreamer import EEG as EMOTIV
from physio.datasets.dreamer import Dreamer
from physio.datasets.seed import EEG, Seed
from physio.io import matlab


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dreamer")
    dreamer(folder)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed")
    seed(folder)
    return folder


def test_structs_cells_numbers_and_texts_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.ones((2, 3)), "text"
    scipy.io.savemat(path, {"s": {"a": cells, "b": 4}, "t": np.arange(3)})
    found = matlab.load(path)
    assert {name: value.tolist() for name, value in found.items()} == {
        "s/a/0": [[1, 1, 1], [1, 1, 1]],
        "s/a/1": ["text"],
        "s/b": [[4]],
        "t": [[0, 1, 2]],
    }
    assert list(matlab.load(path, "t")) == ["t"]
    assert list(matlab.load(path, within="s/a/")) == ["s/a/0", "s/a/1"]


def wrong(path: Path, **limits: float) -> str:
    with pytest.raises(ValueError, match=r"^") as told:
        matlab.load(path, **limits)  # type: ignore[arg-type]
    message = str(told.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


def test_what_is_no_matlab_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    assert wrong(path) == "is a MATLAB file of version 7.3; save it with '-v7'"
    path.write_bytes(b"<html>")
    assert wrong(path) == "is no MATLAB file of version 5 to 7.2"
    scipy.io.savemat(path, {"x": 1})
    with pytest.raises(ValueError, match=r"^.*: it has no variable y\*; it has x$"):
        matlab.load(path, "y*")
    with pytest.raises(FileNotFoundError) as missing:
        matlab.load(tmp_path / "b.mat")
    assert str(missing.value) == f"there is no file {tmp_path / 'b.mat'}"


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.random.default_rng(1).normal(size=500)})
    whole = path.read_bytes()
    for n in (140, 1000, len(whole) - 1):
        path.write_bytes(whole[:n])
        assert wrong(path).startswith("cannot be read: ")


def test_a_bomb_hits_the_limit_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": 1})
    limit = 400 * 2**20  # enough for NumPy and SciPy themselves
    assert matlab.load(path, memory=limit)["x"].tolist() == [[1]]
    zeros = np.zeros(2**28, np.uint8)
    scipy.io.savemat(path, {"x": zeros}, do_compression=True)
    assert path.stat().st_size < 2**20
    assert wrong(path, memory=limit) == "cannot be read: it needs more than 0.4 GB"


def test_parsing_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": 1})
    # A fifth of a hundredth of a second is not enough to start an interpreter.
    message = wrong(path, seconds=0.002)
    assert message == "cannot be read: parsing it took more than 0.002 s"


def test_dreamers_films_with_their_neutral_clips(films: Path) -> None:
    recording = Dreamer(films).load(Trial("2", "", "3"))
    rest, film = recording.streams["emotiv.eeg"]
    assert rest.info.names == EMOTIV
    assert (len(rest), len(film)) == (128, 256)
    assert (rest.times[0], film.times[0]) == (-1.0, 0.0)
    assert [len(b) for b in recording.streams["shimmer.ecg"]] == [256, 512]
    rated = recording.events["study.ratings"]
    assert rated.labels == ("amusement",)
    assert dict(zip(rated.info.names, rated.data[0].tolist(), strict=True)) == {
        "valence": 0.0,
        "arousal": -1.0,  # the miniature's scores run 1 to 5 again and again
        "dominance": 0.0,
        "valence.sam": 3.0,
        "arousal.sam": 1.0,
        "dominance.sam": 3.0,
    }


def test_dreamers_participants_differ(films: Path) -> None:
    one, two = (Dreamer(films).load(Trial(p, "", "1")) for p in ("1", "23"))
    a, b = (r.streams["emotiv.eeg"][1].data for r in (one, two))
    assert not np.array_equal(a, b)
    with pytest.raises(
        ValueError, match=r"^DREAMER has participants 1 to 23 and films 1 to"
    ):
        Dreamer(films).load(Trial("24", "", "1"))


def test_seeds_sessions_films_and_labels(clips: Path) -> None:
    data = Seed(clips)
    assert len(data.trials()) == 30
    assert {(t.subject, t.session) for t in data.trials()} == {("1", "1"), ("1", "2")}
    recording = data.load(Trial("1", "2", "3"))
    (eeg,) = recording.streams["neuroscan.eeg"]
    assert eeg.info.names == EEG
    assert len(EEG) == 62
    assert eeg.data.shape == (1003, 62)
    film = scipy.io.loadmat(clips / "1_20140404.mat")["djc_eeg3"]
    assert np.array_equal(eeg.data, film.T)
    assert recording.events["study.conditions"].labels == ("negative",)
    assert data.labels().tolist()[:3] == [1, 0, -1]
    assert data.features(Trial("1", "1", "4")).shape == (5, 62, 5)


def test_seeds_faults_are_told(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Seed(clips).load(Trial("9", "1", "1"))
    assert str(missing.value) == f"{clips} has no file of participant '9', session '1'"
    with pytest.raises(ValueError, match=r"^.* is no SEED folder: it has no file 1_"):
        Seed(tmp_path).trials()
    path = tmp_path / "1_20131027.mat"
    scipy.io.savemat(path, {"x_eeg1": np.ones((60, 9))})
    with pytest.raises(ValueError, match=r"^") as wrong:
        Seed(tmp_path).load(Trial("1", "1", "1"))
    assert str(wrong.value) == f"{path}: x_eeg1 has shape (60, 9), not (62, n)"


def test_dreamers_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Dreamer(tmp_path).trials()
    path = tmp_path / "DREAMER.mat"
    assert str(missing.value) == f"there is no file {path}"
    scores = {f"Score{q}": np.full((18, 1), 9.0) for q in ("Valence", "Arousal")}
    films = np.empty((18, 1), object)
    for i in range(18):
        films[i, 0] = np.ones((9, 14 if i else 12))
    hearts = np.empty((18, 1), object)
    hearts[:, 0] = [np.ones((9, 2))] * 18
    signals = {"EEG": films, "ECG": hearts}
    parts = {k: {"baseline": v, "stimuli": v} for k, v in signals.items()}
    scipy.io.savemat(path, {"DREAMER": {"Data": {**parts, **scores}}})
    for trial, message in (
        (Trial("1", "", "1"), "there is no DREAMER.Data(1)"),
        (Trial("9", "", "1"), "there is no DREAMER.Data(9)"),
    ):
        with pytest.raises(ValueError, match=r"^") as told:
            Dreamer(tmp_path).load(trial)
        assert str(told.value) == f"{path}: {message}"
    participants = np.empty((1, 1), object)
    participants[0, 0] = {**parts, **scores}
    scipy.io.savemat(path, {"DREAMER": {"Data": participants}})
    for film, message in (
        ("1", "EEG/baseline/0 is missing or has not 14 columns"),
        ("2", "ScoreValence has no rating from 1 to 5 of film 2"),
    ):
        with pytest.raises(ValueError, match=r"^") as told:
            Dreamer(tmp_path).load(Trial("1", "", film))
        assert str(told.value) == f"{path}: {message}"
