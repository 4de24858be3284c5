"""Laws of a data set: sorted trials, lazy listing, units, repeatable loading."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.recording import Recording
from physio.datasets.base import Dataset, Trial
from physio.testing.violation import require

PLAUSIBLE: Final[Mapping[str, tuple[float, float]]] = {
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
"""Range of the values of a sensor in each unit that is in use."""

SMALL: Final = 2**16
"""Size of a file that lists trials (bytes): a signal is larger."""

TRIALS: Final = "law 9 (trials are the same each time, and sorted)"
LISTING: Final = "law 9 (trials are listed without reading a signal)"
UNITS: Final = "law 9 (values are in the unit that their channel declares)"
LOADING: Final = "law 9 (loading twice gives the same)"
SOURCE: Final = "law 9 (name, citation and licence are given)"
RATINGS: Final = "law 9 (ratings lie between -1 and 1)"

_opened: list[Path] | None = None


@dataclass(frozen=True)
class DatasetLaws:
    """The laws of a data set; each raises AssertionError.

    Parameters
    ----------
    dataset
        The data set.
    plausible
        Range of the values in units that `PLAUSIBLE` does not have.
    """

    dataset: Dataset
    plausible: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def trials(self) -> None:
        """Trials are the same each time, sorted, and there is at least one."""
        trials = self.dataset.trials()
        self._require(trials, TRIALS, "there is no trial")
        wrong = [trial for trial in trials if not isinstance(trial, Trial)]
        text = f"{wrong[:1]} is no physio.datasets.base.Trial"
        self._require(not wrong, TRIALS, text)
        same = trials == self.dataset.trials()
        self._require(same, TRIALS, "a second call gave others")
        expected = sorted(set(trials))
        wrong = [a for a, b in zip(trials, expected, strict=False) if a != b]
        text = f"{wrong[:1] or 'the last trial'} is out of order, or twice there"
        self._require(list(trials) == expected, TRIALS, text)

    def listing(self) -> None:
        """Listing the trials opens no file that is as large as a signal."""
        large = signal_files(self.dataset.trials)
        names = ", ".join(path.name for path in large)
        text = f"it opened {names}, each larger than {SMALL} bytes"
        self._require(not large, LISTING, text)

    def units(self, recording: Recording) -> None:
        """Values are plausible in their unit; an arm at rest feels about 1 g."""
        known = {**PLAUSIBLE, **self.plausible}
        for name, blocks in recording.streams.items():
            info = blocks[0].info
            data = np.concatenate([block.data for block in blocks])
            for i, channel in enumerate(info.channels):
                text = (
                    f"the unit of {channel.name!r} in {name!r} is {channel.unit!r}; it "
                    f"must be one of {', '.join(known)}, or be in `plausible`"
                )
                self._require(channel.unit in known, UNITS, text)
                low, high = known[channel.unit]
                values = data[~np.isnan(data[:, i]), i]
                if not len(values):
                    continue
                least, most = float(values.min()), float(values.max())
                text = (
                    f"{channel.name!r} of {name!r} is between {least:g} and {most:g} "
                    f"{channel.unit}, and plausible are {low:g} to {high:g}"
                )
                self._require(low <= least and most <= high, UNITS, text)
            if [c.unit for c in info.channels] == ["g"] * 3:
                # An accelerometer's own error is below a tenth; another unit would be
                # off by 9.81 or 64 times.
                size = float(np.nanmedian(np.linalg.norm(data, axis=1)))
                text = f"the acceleration {name!r} is {size:.2f} g in the median, not 1"
                self._require(0.9 < size < 1.1, UNITS, text)

    def repeatable(self, first: Recording, trial: Trial) -> None:
        """Loading a trial again gives what ``first`` has."""
        again = self.dataset.load(trial)
        same = first.metadata == again.metadata and first.infos == again.infos
        self._require(same, LOADING, f"metadata or streams of {trial} differ")
        for name, blocks in first.streams.items():
            text = f"{name!r} of {trial} differs"
            others = again.streams[name]
            self._require(len(blocks) == len(others), LOADING, text)
            for a, b in zip(blocks, others, strict=True):
                same = (a.start, a.t0) == (b.start, b.t0)
                same = same and np.array_equal(a.data, b.data, equal_nan=True)
                self._require(same, LOADING, text)
        for name, events in first.events.items():
            other = again.events[name]
            same = np.array_equal(events.times, other.times)
            same = same and np.array_equal(events.data, other.data, equal_nan=True)
            text = f"the events {name!r} of {trial} differ"
            self._require(same and events.labels == other.labels, LOADING, text)

    def source(self, recording: Recording) -> None:
        """Data set and recordings tell whom to cite and under which licence."""
        self._require(self.dataset.name, SOURCE, "its name is empty")
        for key in ("citation", "licence"):
            expected = getattr(self.dataset, key)
            self._require(expected, SOURCE, f"its {key} is empty")
            actual = recording.metadata.get(key, "")
            text = (
                f"the metadata of a recording have {key} = {actual!r}, not {expected!r}"
            )
            self._require(actual == expected, SOURCE, text)
        text = "the metadata of a recording have no source"
        self._require(recording.metadata.get("source"), SOURCE, text)

    def ratings(self, recording: Recording) -> None:
        """Ratings of valence, arousal and dominance lie between -1 and 1."""
        for name, events in recording.events.items():
            for column in {"valence", "arousal", "dominance"} & set(events.info.names):
                values = events.data[:, events.info.names.index(column)]
                values = values[~np.isnan(values)]
                text = f"{column} in {name!r} is {values.tolist()}"
                self._require((np.abs(values) <= 1).all(), RATINGS, text)

    def all(self) -> None:
        """Check every law, on the first and the last trial."""
        self.trials()
        self.listing()
        trials = self.dataset.trials()
        first = self.dataset.load(trials[0])
        self.repeatable(first, trials[0])
        last = self.dataset.load(trials[-1]) if len(trials) > 1 else first
        for recording in (first, last):
            self.units(recording)
            self.source(recording)
            self.ratings(recording)

    def _require(self, holds: object, law: str, difference: str) -> None:
        require(holds, type(self.dataset).__name__, law, difference)


def signal_files(work: Callable[[], object]) -> list[Path]:
    """Return the files of the size of a signal that ``work()`` opens."""
    global _opened
    _listen()
    _opened = []
    try:
        work()
        files = [path for path in _opened if path.is_file()]
    finally:
        _opened = None
    return [path for path in files if path.stat().st_size > SMALL]


@cache
def _listen() -> None:
    """Note the files that are opened; for good, as Python cannot take a hook away."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and _opened is not None and isinstance(args[0], str | Path):
            _opened.append(Path(args[0]))

    sys.addaudithook(hook)
