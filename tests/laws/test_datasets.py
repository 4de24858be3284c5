"""The law of a data set, on every data set there is."""

import importlib
import inspect
import pkgutil
import random
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import physio.datasets
from miniatures import MINIATURES
from physio.core.recording import Recording
from physio.datasets.base import Affect, Dataset, Trial, natural

PLAUSIBLE = {
    "uS": (0, 100),
    "degC": (10, 45),
    "g": (-16, 16),
    "uV": (-4e5, 4e5),
    "mV": (-400, 400),
    "%": (-50, 50),
    "1/min": (0, 300),
    "s": (-np.inf, np.inf),
    "1": (-np.inf, np.inf),
}
"""Between which numbers a sensor's values can lie in each unit that is in use."""

SMALL = 2**16  # bytes; what says which trials there are is smaller, a signal is larger


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
    trials = dataset.trials()
    assert trials
    assert trials == dataset.trials()
    assert list(trials) == sorted(set(trials))
    assert all(isinstance(trial, Trial) for trial in trials)


_opened: list[Path] | None = None


@cache
def listen() -> None:
    """Note what files are opened; for good, as Python cannot take a hook away."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and _opened is not None and isinstance(args[0], str | Path):
            _opened.append(Path(args[0]))

    sys.addaudithook(hook)


def opened(work: Any) -> list[Path]:
    """Return which files ``work()`` opens."""
    global _opened
    listen()
    _opened = []
    try:
        work()
        return _opened
    finally:
        _opened = None


def test_trials_read_no_signal(dataset: Dataset) -> None:
    read = [p for p in opened(dataset.trials) if p.is_file()]
    assert not [p for p in read if p.stat().st_size > SMALL]
    # That the hook hears at all: loading does read a signal.
    heard = opened(lambda: dataset.load(dataset.trials()[0]))
    assert [p for p in heard if p.is_file() and p.stat().st_size > SMALL]


@lru_cache(maxsize=4)
def loaded(cls: type[Dataset], root: Path, trial: Trial) -> Recording:
    return cls(root).load(trial)  # type: ignore[call-arg]


@pytest.fixture(params=[0, -1], ids=["first", "last"])
def recording(request: pytest.FixtureRequest, dataset: Dataset) -> Recording:
    root: Path = dataset.root  # type: ignore[attr-defined]
    return loaded(type(dataset), root, dataset.trials()[request.param])


def test_values_are_in_the_units_they_declare(recording: Recording) -> None:
    for blocks in recording.streams.values():
        for i, channel in enumerate(blocks[0].info.channels):
            low, high = PLAUSIBLE[channel.unit]
            values = np.concatenate([block.data[:, i] for block in blocks])
            assert np.nanmin(values) >= low
            assert np.nanmax(values) <= high


def test_a_wrist_at_rest_feels_about_1_g(recording: Recording) -> None:
    for blocks in recording.streams.values():
        if [c.unit for c in blocks[0].info.channels] == ["g"] * 3:
            size = np.linalg.norm(np.vstack([b.data for b in blocks]), axis=1)
            # An accelerometer's own error is below a tenth; another unit would be
            # off by 9.81 or 64 times.
            assert 0.9 < np.median(size) < 1.1


def test_loading_twice_gives_the_same(dataset: Dataset) -> None:
    root: Path = dataset.root  # type: ignore[attr-defined]
    trial = dataset.trials()[0]
    one, two = loaded(type(dataset), root, trial), dataset.load(trial)
    assert (one.metadata, one.infos) == (two.metadata, two.infos)
    for name, blocks in one.streams.items():
        for a, b in zip(blocks, two.streams[name], strict=True):
            assert (a.start, a.t0) == (b.start, b.t0)
            assert np.array_equal(a.data, b.data, equal_nan=True)
    for name, events in one.events.items():
        assert np.array_equal(events.times, two.events[name].times)
        assert events.labels == two.events[name].labels


def test_a_data_set_says_whom_to_cite_and_under_which_licence(
    dataset: Dataset, recording: Recording
) -> None:
    assert dataset.name
    for key in ("citation", "licence"):
        said = getattr(dataset, key)
        assert said
        assert recording.metadata[key] == said
    assert recording.metadata["source"]


def test_ratings_lie_between_their_ends(recording: Recording) -> None:
    for events in recording.events.values():
        for name in {"valence", "arousal", "dominance"} & set(events.info.names):
            values = events.data[:, events.info.names.index(name)]
            assert np.nanmin(values) >= -1
            assert np.nanmax(values) <= 1


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
