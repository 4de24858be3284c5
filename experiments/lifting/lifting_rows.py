"""Windows of trials with fixed bands, spectra, and sub-bands of any lifting steps."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.eeg_protocols.windows import LABORATORIES, CommonElectrodes
from experiments.lifting.lifting_filters import wavelet
from experiments.lifting.lifting_stage import LiftingEntropy
from physio.core.block import Array, Block
from physio.core.stage import apply
from physio.datasets.feature_table import LABEL
from physio.features.eeg.differential_entropy import DifferentialEntropy

WINDOW: Final = 4.0
STEP: Final = 2.0
"""Length of windows, and time from one to the next (s)."""

FIXED: Final = DifferentialEntropy(window=WINDOW, step=STEP)
LONGEST: Final = 3
"""Most lifting steps of a level: windows begin after the longest filters are full."""

REST: Final = 20.0
"""Duration of eegmat's rest that is its baseline (s)."""

RATE: Final = 128


class LabelledTrial(NamedTuple):
    """EEG of a trial: data set, participant, name, class, and duration of the baseline.

    The windows that end within the first ``baseline`` seconds are the participant's
    baseline; those that begin later are used.
    """

    dataset: str
    subject: str
    trial: str
    label: str
    baseline: float
    block: Block


class LiftingRows(NamedTuple):
    """Windows of trials.

    ``table``, places, labels and the column ``at``, the number of the stage's output;
    ``fixed``, entropies of fixed bands, shape (n, features); ``spectra``, power of the
    windows, shape (n, electrodes, frequencies); ``baseline``, the windows of the
    baseline; ``trials``, the recordings.
    """

    table: pd.DataFrame
    fixed: Array
    spectra: Array
    baseline: npt.NDArray[np.bool_]
    trials: tuple[LabelledTrial, ...]

    def lifted(self, taps: Array) -> Array:
        """Return the entropies that the streaming stage gives, shape (n, features)."""
        stage = lifting(taps)
        out = np.full((len(self.table), 0), np.nan)
        numbers = self.table["number"].to_numpy(np.intp)
        for k in np.unique(numbers):
            rows = np.flatnonzero(numbers == k)
            y = apply(stage, self.trials[k].block).data
            if not out.shape[1]:
                out = np.full((len(self.table), y.shape[1]), np.nan)
            out[rows] = y[self.table["at"].to_numpy()[rows]]
        return out


def lifting(taps: Array) -> LiftingEntropy:
    """Return the stage with the given taps, shape (levels, steps, taps)."""
    steps = tuple(tuple(tuple(t) for t in level) for level in taps.tolist())
    return LiftingEntropy(steps, WINDOW, STEP)


def rows_of(trials: Sequence[LabelledTrial]) -> LiftingRows:
    """Return all windows of trials that are neither missing nor partly baseline."""
    parts, fixed, spectra = [], [], []
    for number, trial in enumerate(trials):
        bands = apply(FIXED, trial.block).data
        octaves = apply(lifting(wavelet(LONGEST)), trial.block).data
        usable = np.isfinite(bands).all(axis=1) & np.isfinite(octaves).all(axis=1)
        end = np.arange(len(bands)) * STEP
        begin = end - WINDOW
        resting = end <= trial.baseline
        usable &= resting | (begin >= trial.baseline)
        at = np.flatnonzero(usable)
        parts.append(_places(trial, number, at, resting[at]))
        fixed.append(bands[at])
        spectra.append(_spectra(trial.block.data, at))
    table = pd.concat(parts, ignore_index=True)
    return LiftingRows(
        table,
        np.concatenate(fixed),
        np.concatenate(spectra),
        table["resting"].to_numpy(np.bool_),
        tuple(trials),
    )


def _places(trial: LabelledTrial, number: int, at: Any, resting: Any) -> pd.DataFrame:
    end = (at * STEP * RATE).astype(int) + 1
    start = end - round(WINDOW * RATE)
    return pd.DataFrame(
        {
            "dataset": trial.dataset,
            "subject": trial.subject,
            "session": "",
            "trial": trial.trial,
            "segment": 0,
            LABEL: trial.label,
            "start_s": start / RATE,
            "end_s": end / RATE,
            "start_sample": start,
            "support_start_sample": start,
            "end_sample": end,
            "number": number,
            "at": at,
            "resting": resting,
        }
    )


def _spectra(x: Array, at: Any) -> npt.NDArray[np.float32]:
    """Return the power of windows that end with outputs, in bands of 0.5 Hz."""
    width = round(WINDOW * RATE)
    hann = np.hanning(width)[:, None]
    out = np.empty((len(at), x.shape[1], width // 4 + 1), np.float32)
    for k, m in enumerate(at):
        end = int(m * STEP * RATE) + 1
        part = x[end - width : end]
        power = np.abs(np.fft.rfft(hann * (part - part.mean(axis=0)), axis=0)) ** 2
        out[k] = power[::2].T
        out[k, :, :-1] += power[1::2].T
    return out


def laboratory(root: Path | None, name: str) -> tuple[LabelledTrial, ...]:
    """Return the trials of eegmat or SAM 40, on the electrodes that both have.

    The baseline is the first 20 s of rest in eegmat, the first relaxation in SAM 40.

    Raises
    ------
    ValueError
        If no folder is given.
    """
    if root is None:
        raise ValueError("the recordings are needed: say where they are, with --data")
    place = LABORATORIES[name]
    dataset = CommonElectrodes(place.make(root / place.folder), tuple(place.starts))
    return tuple(_trials(dataset, name))


def _trials(dataset: CommonElectrodes, name: str) -> Iterable[LabelledTrial]:
    baselines = {"rest": REST, "Relax 1": np.inf}
    for trial in dataset.trials():
        recording = dataset.load(trial)
        ((block,),) = recording.streams.values()
        label = LABORATORIES[name].labels[trial.trial.rpartition(" ")[0] or trial.trial]
        yield LabelledTrial(
            name,
            trial.subject,
            trial.trial,
            label,
            baselines.get(trial.trial, 0.0),
            block,
        )
