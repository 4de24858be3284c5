"""EEG token tables of data sets with films or videos, by two methods."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.datasets.base import Dataset, Trial
from physio.features.eeg import published_de
from physio.features.eeg.differential_entropy import BANDS, DifferentialEntropy

FRONT: Final = "eeg.de"
BEFORE: Final = "before"
"""Label of the time before second 0 of a trial, as rest or a neutral clip."""

Maker = Callable[[Recording], tuple[Array, dict[str, Any]]]
"""Function of a recording: tokens, (n, E, bands), and columns that locate them."""


def table(dataset: Dataset, make: Maker) -> pd.DataFrame:
    """Return the tokens of a data set as a table: see `physio.datasets.feature_table`.

    Parameters
    ----------
    dataset
        Data set whose trials have one film or video each, which begins at second 0.
    make
        Method: `published` or `continuous`, with its settings.
    """
    parts = list(_parts(dataset, make))
    if not parts:
        raise ValueError(f"{dataset.name} has no window of signal in any trial")
    return pd.concat(parts, ignore_index=True)


def cached_table(
    path: Path | None, mark: str, make: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """Return a table from a cache file, or compute it and write the file.

    Parameters
    ----------
    path
        Parquet file of the cache; None for no cache.
    mark
        Hash of settings and data; if it differs from the file's, the table is computed
        again.
    make
        Function that computes the table.
    """
    if path is None:
        return make()
    if path.is_file():
        table = pd.read_parquet(path)
        if table.attrs.get("mark") == mark:
            return table
    parts = make()
    parts.attrs["mark"] = mark
    path.parent.mkdir(parents=True, exist_ok=True)
    parts.to_parquet(path, index=False)
    return parts


def published(
    recording: Recording, baseline: float = 0.0, rate: float = 128.0
) -> tuple[Array, dict[str, Any]]:
    """Return the windows of a trial by the method of RBTransformer's authors.

    Windows have 512 samples with a step of 117 samples, from second 0 on. Each window
    is z-scored as a whole, and filtered from a zero initial state.

    Parameters
    ----------
    recording
        Recording of a trial.
    baseline
        Duration of the baseline (s), from the beginning of the signal before second 0;
        limited to the whole seconds available. 0 for no baseline.
    rate
        Sampling rate that filters are designed for (Hz); 0 for that of the signal. The
        authors state 128 for all data sets.
    """
    blocks = _eeg(recording)
    rate_hz = float(blocks[0].info.rate)
    x = np.concatenate([b.data for b in blocks])
    zero = len(x) - sum(int((b.times >= 0).sum()) for b in blocks)
    rest = None
    if baseline:
        rest = x[: min(zero, int(baseline) * published_de.PIECE)]
    starts = np.arange(zero, len(x) - published_de.WIDTH + 1, published_de.STRIDE)
    tokens = published_de.published_entropy(x, starts.tolist(), rate or rate_hz, rest)
    return tokens, {
        "start_sample": starts,
        "end_sample": starts + published_de.WIDTH,
        "support_start_sample": np.zeros_like(starts) if baseline else starts,
        "start_s": (starts - zero) / rate_hz,
        "end_s": (starts - zero + published_de.WIDTH) / rate_hz,
        "before": np.zeros(len(starts), np.bool_),
    }


def continuous(
    recording: Recording, stage: DifferentialEntropy, every: float
) -> tuple[Array, dict[str, Any]]:
    """Return the windows of a trial as a live session computes them.

    Parameters
    ----------
    recording
        Recording of a trial.
    stage
        Stage that computes the features.
    every
        Step between windows (s), a multiple of the stage's hop.
    """
    first = _eeg(recording)[0]
    flow = StageRunner(stage, first.info)
    blocks = [flow.push(block) for block in _eeg(recording)]
    rate, step = float(first.info.rate), round(every / stage.step)
    rows = np.concatenate([b.data for b in blocks])[step - 1 :: step]
    ends = np.concatenate([b.times for b in blocks])[step - 1 :: step] + 1 / rate
    stops = np.round((ends - first.t0) * rate).astype(np.int64)
    spans = max(c.memory for c in flow.info.channels)
    bands = len(stage.bands)
    tokens = rows.reshape(len(rows), bands, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(tokens), {
        "start_sample": np.maximum(stops - round(stage.window * rate), 0),
        "end_sample": stops,
        "support_start_sample": np.maximum(stops - int(np.ceil(spans * rate)), 0),
        "start_s": ends - stage.window,
        "end_s": ends,
        "before": ends <= 0,
    }


def _parts(dataset: Dataset, make: Maker) -> Iterator[pd.DataFrame]:
    for trial in dataset.trials():
        recording = dataset.load(trial)
        tokens, place = make(recording)
        names = _eeg(recording)[0].info.names
        bands = [band for band, _, _ in BANDS]
        columns = [f"{FRONT}.{b}.{e}" for e in names for b in bands]
        flat = tokens.reshape(len(tokens), len(columns))
        before = place.pop("before")
        yield pd.DataFrame(
            {
                "dataset": dataset.name,
                **_named(trial),
                "segment": np.where(before, -1, 0),
                **place,
                "label": np.where(before, BEFORE, _label(recording)),
                **{f"rating.{k}": v for k, v in _ratings(recording).items()},
                **dict(zip(columns, flat.T, strict=True)),
            }
        )


def _named(trial: Trial) -> dict[str, str]:
    return {"subject": trial.subject, "session": trial.session, "trial": trial.trial}


def _eeg(recording: Recording) -> tuple[Block, ...]:
    """Return the blocks of the EEG stream."""
    for blocks in recording.streams.values():
        if blocks and all(c.kind == "eeg" for c in blocks[0].info.channels):
            return blocks
    raise ValueError(f"there is no EEG among {', '.join(recording.streams)}")


def _label(recording: Recording) -> str:
    return recording.events["study.conditions"].labels[0]


def _ratings(recording: Recording) -> dict[str, float]:
    """Return the ratings of a trial on the original scale of the study."""
    ratings = recording.events.get("study.ratings")
    if ratings is None:
        return {}
    return {
        name.removesuffix(".sam"): float(ratings.data[0, i])
        for i, name in enumerate(ratings.info.names)
        if name.endswith(".sam")
    }
