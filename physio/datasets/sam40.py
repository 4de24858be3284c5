"""SAM 40: EEG of 40 people at rest and in three tasks, with ratings of stress."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.io import csv_rows, matlab, npz_arrays

TESTED_WITH: Final = "28 real participants; the authors' files: after their description"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("Cz", "Fz", "Fp1", "F7", "F3", "FC1", "C3", "FC5", "FT9", "T7", "CP5", "CP1"),
    *("P3", "P7", "PO9", "O1", "Pz", "Oz", "O2", "PO10", "P8", "P4", "CP2", "CP6"),
    *("T8", "FT10", "FC6", "C4", "FC2", "F4", "F8", "Fp2"),
)
"""The electrodes, in the order of ``Coordinates.locs``."""

TASKS: Final = ("Relax", "Arithmetic", "Mirror_image", "Stroop")
RATE: Final = 128
LENGTH: Final = 3200
"""Samples of a trial."""

SIGNALS: Final = "sam40_filtered_128hz.npz"
RATINGS: Final = "records.csv"

_FILE: Final = re.compile(
    rf"({'|'.join(TASKS)})_sub_0*([1-9]\d?)_trial([123])\.mat", re.IGNORECASE
)
_ARRAY: Final = re.compile(rf"0*([1-9]\d?)/({'|'.join(TASKS)})/([123])")
_NO_RATINGS: Final = (
    "the ratings of stress in scales.xls are not read: save them as records.csv with "
    "the columns person, task, trial and stress_1_10"
)


@dataclass(frozen=True)
class Sam40:
    """The filtered EEG of SAM 40, one trial for each participant, task and repetition.

    Trials are named ``Stroop 2``. Second 0 of the session clock is the first sample.

    Parameters
    ----------
    root
        The folder with ``sam40_filtered_128hz.npz``, or the authors' ``filtered_data``
        with ``Arithmetic_sub_1_trial1.mat`` and similar files; the ratings are in
        ``records.csv`` in either.

    Notes
    -----
    The authors removed artifacts with a Savitzky-Golay filter and wavelet thresholds,
    so amplitudes are below those of raw EEG. Neither the files nor their names give the
    order of the trials: effects of time cannot be examined. Ratings, from 1 to 10, are
    of stress, and tasks alone have them. The files do not name the electrodes; the
    order is that of ``Coordinates.locs``, beside them.
    """

    root: Path

    name: ClassVar[str] = "SAM 40"
    citation: ClassVar[str] = (
        "Ghosh, Deb, Sengupta, Phukan, Choudhury, Kashyap, Phadikar, Saha, Das, Sinha, "
        "Dutta (2022): SAM 40: dataset of 40 subject EEG recordings to monitor the "
        "induced-stress while performing Stroop color-word test, arithmetic task, and "
        "mirror image recognition task. Data in Brief 40:107772. "
        "doi:10.1016/j.dib.2021.107772"
    )
    licence: ClassVar[str] = "figshare, open access; the terms are not in the data"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant, task and repetition."""
        return tuple(sorted(self._places))

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a trial, with its task and rating as events.

        Stream ``emotiv.eeg`` (uV, 128 Hz); events ``study.conditions`` (the task) and
        ``study.ratings`` (``stress``; NaN at rest).

        Raises
        ------
        FileNotFoundError
            If there is no such trial.
        ValueError
            If a file is damaged, or a rating is outside of 1 to 10.
        """
        if trial not in self._places:
            raise FileNotFoundError(
                f"{self.root} has no trial {trial.trial!r} of participant "
                f"{trial.subject!r}"
            )
        task = trial.trial.rpartition(" ")[0]
        info = StreamInfo(
            "emotiv.eeg",
            Fraction(RATE),
            tuple(Channel(c, "eeg", "uV") for c in EEG),
            participant=trial.subject,
        )
        block = Block(info, 0, 0.0, self._signal(self._places[trial]))
        seconds = len(block) / RATE
        answers = {"stress": self._ratings.get(trial, np.nan)} if self._ratings else {}
        events = condition_events(
            [ConditionSpan(task, 0.0, seconds, answers)],
            1,
            10,
            participant=trial.subject,
            until=seconds,
        )
        about = {
            "source": "SAM 40, filtered EEG",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        if not self._ratings:
            about["warnings"] = _NO_RATINGS
        return Recording({info.name: (block,)}, events, (), about)

    @cached_property
    def _places(self) -> dict[Trial, Path | str]:
        """Return the file of each trial, or the name of its array."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        places: dict[Trial, Path | str] = {}
        if (self.root / SIGNALS).is_file():
            for name in npz_arrays.names(self.root / SIGNALS):
                if match := _ARRAY.fullmatch(name):
                    places[Trial(match[1], "", f"{match[2]} {match[3]}")] = name
        else:
            for path in sorted(self.root.iterdir()):
                if match := _FILE.fullmatch(path.name):
                    task = next(t for t in TASKS if t.lower() == match[1].lower())
                    places[Trial(match[2], "", f"{task} {match[3]}")] = path
        if not places:
            raise ValueError(
                f"{self.root} is no folder of SAM 40: it has neither trials in "
                f"{SIGNALS} nor files Arithmetic_sub_1_trial1.mat or alike"
            )
        return places

    @cached_property
    def _ratings(self) -> dict[Trial, float]:
        """Return the rating of stress after each trial of a task."""
        path = self.root / RATINGS
        if not path.is_file():
            return {}
        ratings: dict[Trial, float] = {}
        for row in csv_rows.read(path, "person", "task", "trial", "stress_1_10"):
            person = row["person"].lstrip("0")
            trial = Trial(person, "", f"{row['task']} {row['trial']}")
            try:
                rating = float(row["stress_1_10"] or "nan")
            except ValueError:
                rating = 0.0
            if not (np.isnan(rating) or 1 <= rating <= 10):
                raise ValueError(
                    f"{path}: stress_1_10 of {trial.subject}, {trial.trial} is "
                    f"{row['stress_1_10']!r}, neither empty nor from 1 to 10"
                )
            ratings[trial] = rating
        return ratings

    def _signal(self, place: Path | str) -> Array:
        if isinstance(place, str):
            path = self.root / SIGNALS
            rate, values = npz_arrays.load(path, "fs", place)
            if rate.size != 1 or rate.item() != RATE:
                raise ValueError(f"{path}: 'fs' is {rate.tolist()}, not {RATE}")
        else:
            path, arrays = place, matlab.load(place, "Clean_data")
            if "Clean_data" not in arrays:
                raise ValueError(
                    f"{path} has no variable Clean_data: it is none of the filtered "
                    "files of SAM 40"
                )
            values = arrays["Clean_data"]
        if values.shape != (len(EEG), LENGTH) or values.dtype.kind != "f":
            name = place if isinstance(place, str) else "Clean_data"
            raise ValueError(
                f"{path}: {name} has shape {values.shape}, not ({len(EEG)}, {LENGTH})"
            )
        return np.array(values.T, np.float64, order="C")
