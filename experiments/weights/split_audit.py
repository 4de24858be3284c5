"""Leakage audit of the moments that a training run learns from and is evaluated on."""

from collections.abc import Collection, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from physio.datasets.feature_table import LABEL
from physio.evaluation import baseline_correction
from physio.evaluation.folds import Fold, Folds, fingerprint
from physio.evaluation.leakage.audit import Audit, audit
from physio.evaluation.splits import Protocol, divide
from physio.training.gaussian import GaussianRecipe, TrainingSamples, learned
from physio.training.participant_data import ParticipantData


def settled(participant: ParticipantData, recipe: GaussianRecipe, over: int) -> float:
    """Return the time (s) from which scored moments share no sample with the baseline.

    The first moments after the baseline still depend on its samples, because features
    have memory.
    """
    return float(participant.rows.times[over]) + _memory(participant, recipe)


def audited(
    participants: Sequence[ParticipantData],
    samples: Sequence[TrainingSamples],
    recipe: GaussianRecipe,
    by: Protocol | Collection[str],
) -> Audit:
    """Audit the split of a training run; raise an error if it leaks.

    Parameters
    ----------
    participants, samples
        All participants, and the moments used for training.
    recipe
        Settings of the fit of an expert.
    by
        Split of participants: a protocol, or the codes of the test participants; all
        others are then training participants.

    Raises
    ------
    ValueError
        If the split leaks.

    Notes
    -----
    A row is a moment used for training; it depends on the ticks within the memory of
    its features. A participant's rest is that participant's calibration. If units have
    only a number and no name, as in simulated participants, there is no label, and the
    columns are not compared with it.
    """
    table = pd.concat(
        [_rows(p, m, recipe) for p, m in zip(participants, samples, strict=True)],
        ignore_index=True,
    )
    rest = table["segment"].to_numpy() < 0
    scored = np.flatnonzero(~rest)
    if isinstance(by, Protocol):
        folds = divide(table, by)
    else:
        tested = np.isin(table["subject"], list(by))
        fold = Fold("+".join(by), np.flatnonzero(~tested), np.flatnonzero(tested))
        folds = Folds(
            "leave-n-subjects-out", (fold,), {}, fingerprint(table), len(table)
        )
    folds = baseline_correction.restrict(folds, table, ~rest, rest)
    named = bool((table[LABEL].iloc[scored] != "").all())
    return audit(table, folds, recipe.names, time_only=named).check()


def _rows(
    participant: ParticipantData, moments: TrainingSamples, recipe: GaussianRecipe
) -> pd.DataFrame:
    """Return a row for each scored moment, and for each moment of the baseline."""
    rate = float(participant.rows.info.rate)
    back = ceil(_memory(participant, recipe) * rate)
    begin = settled(participant, recipe, moments.over)
    parts = [(-1, "", np.arange(0, moments.over, max(back, 1)))]
    for k, at in learned(participant, recipe, moments.over):
        name = participant.units[k].name
        later = at[participant.rows.times[at] >= begin]
        parts.append((k, "" if name.isdecimal() else name, later))
    at = np.concatenate([p[2] for p in parts])
    x = participant.features(recipe.names, recipe.sd_limits)[at]
    place: dict[str, Any] = {
        "subject": participant.code,
        "session": "",
        "trial": "",
        "segment": np.concatenate([np.full(len(p[2]), p[0]) for p in parts]),
        LABEL: np.concatenate([np.full(len(p[2]), p[1], object) for p in parts]),
        "start_sample": at,
        "end_sample": at + 1,
        "support_start_sample": np.maximum(at - back, 0),
        "start_s": at / rate,
        "end_s": (at + 1) / rate,
    }
    return pd.DataFrame(x, columns=list(recipe.names)).assign(**place)


def _memory(participant: ParticipantData, recipe: GaussianRecipe) -> float:
    """Return the longest memory (s) of the features that an expert reads."""
    info = participant.rows.info
    return max(c.memory for c in info.channels if c.name in recipe.names)
