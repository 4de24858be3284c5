"""Windows of eegmat and SAM 40 by the recipe of RBTransformer's authors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.block import Array, Block, Channel
from physio.core.recording import Recording
from physio.datasets.base import Dataset, Trial
from physio.datasets.eegmat import EEG, Eegmat
from physio.datasets.feature_table import LABEL
from physio.datasets.sam40 import Sam40
from physio.features.eeg.published_de import WIDTH
from physio.training import eeg_tokens

CLASSES: Final = {"rest": ("rest",), "arithmetic": ("arithmetic",)}
CLOCK: Final = "clock"
"""Column of the time (s): see `published_windows`."""

AMPLITUDE: Final = "amplitude"
"""Column of the size of the signal: see `published_windows`."""

_NEWER: Final = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


class Laboratory(NamedTuple):
    """Data set of a laboratory, and the place of its trials.

    ``folder``; ``make``, the data set of a folder; ``labels``, the class of each
    condition that is used; ``starts``, the time of each trial on the clock (s).
    """

    folder: str
    make: type[Eegmat | Sam40]
    labels: Mapping[str, str]
    starts: Mapping[str, float]


LABORATORIES: Final[Mapping[str, Laboratory]] = {
    "eegmat": Laboratory(
        "eegmat",
        Eegmat,
        {"rest": "rest", "arithmetic": "arithmetic"},
        {"rest": 0.0, "arithmetic": 60.0},
    ),
    "SAM 40": Laboratory(
        "sam40",
        Sam40,
        {"Relax": "rest", "Arithmetic": "arithmetic"},
        {
            f"{task} {k + 1}": 25.0 * k
            for task in ("Relax", "Arithmetic")
            for k in (0, 1, 2)
        },
    ),
}
"""The laboratories. The order of SAM 40's trials is unknown: its clock has repetitions
alone."""


@dataclass(frozen=True)
class CommonElectrodes:
    """Rest and arithmetic of a data set, on eegmat's 19 electrodes by its names.

    Parameters
    ----------
    dataset
        The data set.
    used
        Names of the trials that are used.
    """

    dataset: Dataset
    used: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.dataset.name

    @property
    def citation(self) -> str:
        """Source of the data set."""
        return self.dataset.citation

    @property
    def licence(self) -> str:
        """Licence of the data set."""
        return self.dataset.licence

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials that are used."""
        return tuple(t for t in self.dataset.trials() if t.trial in self.used)

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a trial on the 19 electrodes, with its events."""
        recording = self.dataset.load(trial)
        (block,) = next(
            blocks for name, blocks in recording.streams.items() if name.endswith("eeg")
        )
        names = list(block.info.names)
        picks = [names.index(e if e in names else _NEWER[e]) for e in EEG]
        channels = (Channel(e, "eeg", "uV") for e in EEG)
        info = replace(block.info, channels=tuple(channels))
        data = np.ascontiguousarray(block.data[:, picks])
        part = Block(info, block.start, block.t0, data)
        return Recording({info.name: (part,)}, recording.events, (), recording.metadata)


def published_windows(root: Path | None, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the windows of laboratories as tokens, without a baseline, as of SEED.

    Windows have 512 samples with a step of 117; each is z-scored as a whole, over the
    19 electrodes, and filtered from rest. Windows with a missing feature are left out.

    Parameters
    ----------
    root
        The folder with the folders ``eegmat`` and ``sam40``.
    names
        Names in `LABORATORIES`.

    Returns
    -------
    DataFrame
        Table of tokens with a column ``clock``, the time since the first trial in
        eegmat, and 25 s for each repetition in SAM 40; and ``amplitude``, the binary
        logarithm of the window's standard deviation (uV), which z-scores remove.
    """
    if root is None:
        raise ValueError("the recordings are needed: say where they are, with --data")
    parts = []
    for name in names:
        place = LABORATORIES[name]
        dataset = CommonElectrodes(place.make(root / place.folder), tuple(place.starts))
        table = eeg_tokens.table(dataset, _windows)
        start = table["trial"].map(place.starts).to_numpy(np.float64)
        table[CLOCK] += start
        table[LABEL] = table[LABEL].map(place.labels)
        parts.append(table.assign(dataset=name))
    both = pd.concat(parts, ignore_index=True)
    tokens = [c for c in both.columns if c.startswith(f"{eeg_tokens.FRONT}.")]
    known = np.isfinite(both[tokens].to_numpy(np.float64)).all(axis=1)
    return both[known].reset_index(drop=True)


def _windows(recording: Recording) -> tuple[Array, dict[str, Any]]:
    """Return tokens and places of the windows of a recording, with clock and size."""
    tokens, place = eeg_tokens.published(recording)
    ((block,),) = recording.streams.values()
    sizes = [block.data[a : a + WIDTH].std() for a in place["start_sample"]]
    levels = np.log2(np.maximum(sizes, 1e-9))
    return tokens, {**place, CLOCK: place["start_s"].copy(), AMPLITUDE: levels}
