"""The laws of a data set, in `physio.testing`, on every data set there is."""

import importlib
import inspect
import itertools
import pkgutil
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

import physio.datasets
from miniatures import MINIATURES
from physio.core.block import Channel
from physio.core.recording import Recording
from physio.datasets.base import Affect, Dataset, Trial, natural
from physio.testing import FakeDataset, check_dataset
from physio.testing.dataset_laws import SMALL, DatasetLaws, signal_files


def classes() -> Iterator[type[Dataset]]:
    for module in pkgutil.walk_packages(physio.datasets.__path__, "physio.datasets."):
        found = importlib.import_module(module.name)
        for _, cls in inspect.getmembers(found, inspect.isclass):
            own = cls.__module__ == module.name and cls is not Dataset
            if own and hasattr(cls, "trials") and hasattr(cls, "load"):
                yield cls


CLASSES = tuple(classes())


@pytest.fixture(scope="module", params=CLASSES, ids=lambda cls: cls.__name__)
def dataset(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    cls = request.param
    if cls.__name__ in MINIATURES:
        root = tmp_path_factory.mktemp(cls.__name__)
        MINIATURES[cls.__name__](root)
        return cls(root)
    data: Path = request.getfixturevalue("data")
    root = data / cls.name.lower().replace("-", "_")
    if not root.is_dir():
        pytest.skip(f"no recordings of {cls.name} ({root})")
    return cls(root)


def test_the_data_sets_are_found() -> None:
    assert "Wesad" in {cls.__name__ for cls in CLASSES}


def test_trials_are_the_same_each_time_and_sorted(dataset: Dataset) -> None:
    DatasetLaws(dataset).trials()


def test_trials_read_no_signal(dataset: Dataset) -> None:
    DatasetLaws(dataset).listing()
    # That opened files are noted at all: loading does read a signal.
    assert signal_files(lambda: dataset.load(dataset.trials()[0]))


@lru_cache(maxsize=4)
def loaded(cls: type[Dataset], root: Path, trial: Trial) -> Recording:
    return cls(root).load(trial)  # type: ignore[call-arg]


@pytest.fixture(params=[0, -1], ids=["first", "last"])
def recording(request: pytest.FixtureRequest, dataset: Dataset) -> Recording:
    if request.param and type(dataset).__name__ == "SeedV":
        pytest.skip("the miniature of SEED-V holds only the first of 15 films")
    root: Path = dataset.root  # type: ignore[attr-defined]
    return loaded(type(dataset), root, dataset.trials()[request.param])


def test_values_are_in_the_units_they_declare(
    dataset: Dataset, recording: Recording
) -> None:
    DatasetLaws(dataset).units(recording)


def test_loading_twice_gives_the_same(dataset: Dataset) -> None:
    root: Path = dataset.root  # type: ignore[attr-defined]
    trial = dataset.trials()[0]
    DatasetLaws(dataset).repeatable(loaded(type(dataset), root, trial), trial)


def test_a_data_set_says_whom_to_cite_and_under_which_licence(
    dataset: Dataset, recording: Recording
) -> None:
    DatasetLaws(dataset).source(recording)


def test_ratings_lie_between_their_ends(dataset: Dataset, recording: Recording) -> None:
    DatasetLaws(dataset).ratings(recording)


class Careless(FakeDataset):
    """A data set with a fault of each kind in its recordings."""

    def trials(self) -> tuple[Trial, ...]:
        return super().trials()[::-1]

    def load(self, trial: Trial) -> Recording:
        recording = super().load(trial)
        streams = {
            name: tuple(replace(block, data=1000 * block.data) for block in blocks)
            for name, blocks in recording.streams.items()
        }
        events = {
            name: replace(events, data=3 * events.data + 1, times=events.times.copy())
            for name, events in recording.events.items()
        }
        count = str(next(COUNTER))
        return replace(
            recording, streams=streams, events=events, metadata={"source": count}
        )


COUNTER = itertools.count()


def test_the_laws_bite(tmp_path: Path) -> None:
    laws = DatasetLaws(Careless(seconds=10.0))
    trial = laws.dataset.trials()[0]
    recording = laws.dataset.load(trial)
    with pytest.raises(AssertionError, match=r"Careless breaks law 9 \(trials are"):
        laws.trials()
    with pytest.raises(AssertionError, match="plausible are 0 to 100"):
        laws.units(recording)
    with pytest.raises(AssertionError, match="metadata or streams of"):
        laws.repeatable(recording, trial)
    with pytest.raises(AssertionError, match="have citation = ''"):
        laws.source(recording)
    with pytest.raises(AssertionError, match="ratings lie between -1 and 1"):
        laws.ratings(recording)
    large = tmp_path / "signal"
    large.write_bytes(bytes(SMALL + 1))

    class Greedy(FakeDataset):
        def trials(self) -> tuple[Trial, ...]:
            large.read_bytes()
            return super().trials()

    with pytest.raises(AssertionError, match="it opened signal, each larger than"):
        DatasetLaws(Greedy()).listing()
    with pytest.raises(AssertionError, match="must be one of uS"):
        check_dataset(Unknown())
    check_dataset(Unknown(), plausible={"mmHg": (0.0, 100.0)})


class Unknown(FakeDataset):
    """A data set with a unit that the library does not know."""

    def load(self, trial: Trial) -> Recording:
        recording = super().load(trial)
        (block,) = recording.streams["band.eda"]
        info = block.info.with_channels(None, Channel("pressure", unit="mmHg"))
        return replace(recording, streams={"band.eda": (replace(block, info=info),)})


def test_s2_comes_before_s10() -> None:
    names = ["S2", "S10", "s1", "S2b", "S02", "9", "10"]
    trials = [Trial(s, "", t) for s in names for t in ("", "2", "10")]
    random.Random(1).shuffle(trials)
    found = sorted(trials)
    assert [t.subject for t in found][::3] == [
        "9",
        "10",
        "S02",
        "S2",
        "S2b",
        "S10",
        "s1",
    ]
    assert [t.trial for t in found[:3]] == ["", "2", "10"]
    for a in trials:
        for b in trials:
            assert (a < b) + (b < a) + (a == b) == 1
            assert (a <= b) == (b >= a) == (not b < a)
            assert (a > b) == (b < a)


def test_natural_keys_of_any_text_compare() -> None:
    assert natural("S2") < natural("S10")
    assert natural("") < natural("1") < natural("1a")


def test_ratings_of_any_scale_come_to_one() -> None:
    assert Affect.rated(1, 9, valence=1, arousal=9) == Affect(-1, 1, None)
    assert Affect.rated(1, 5, 3, 2, 5) == Affect(0, -0.5, 1)
