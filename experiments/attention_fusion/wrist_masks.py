"""Stress on wrists of a laboratory that did not train, as sensors go missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from experiments.attention_fusion.sensor_attention import (
    FusionConfig,
    SensorAttention,
    fit,
    predicted,
)
from experiments.literature.wrist_rows import held_out
from experiments.shared import rank_auc
from experiments.simulated.missing_sensors import RATES
from physio.core.block import Array
from physio.evaluation.folds import Fold
from physio.evaluation.models.baselines import FoldData, Model

MODES: Final = ("features", "blocks", "sensors")
DRAWS: Final = 2
"""Masks that the AUC of a rate is averaged over."""
_FURTHEST: Final = 5.0  # standard deviations
_PLACE: Final = ("dataset", "subject", "session", "trial", "segment", "start_s")


@dataclass(frozen=True)
class SensorFusion:
    """Attention over sensors, trained with masks on changes from rest.

    Parameters
    ----------
    sensors
        Columns of each sensor, already relative to the person's rest.
    config
        Settings of the network.
    blind
        True to read no value, only which sensors are present: a control.
    """

    sensors: Mapping[str, Sequence[str]]
    config: FusionConfig = field(default_factory=FusionConfig)
    blind: bool = False

    @property
    def columns(self) -> list[str]:
        """Columns of all sensors, in order."""
        return [c for columns in self.sensors.values() for c in columns]

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = given.table[self.columns].to_numpy(np.float64)
        scale = np.maximum(np.nan_to_num(np.nanstd(x[train], axis=0)), 1e-9)
        z = np.clip(x / scale, -_FURTHEST, _FURTHEST)
        groups = _groups(self.columns, self.sensors)
        weight = equal_patterns(
            given.rows.ids("dataset")[train], z[train], given.y[train], groups
        )
        torch.manual_seed(given.seed)
        net = SensorAttention(groups, 1, self.config)
        y = np.where(given.y[train] > 0, 1.0, 0.0)[:, None]
        some = weight > 0
        fit(
            net,
            z[train][some],
            y[some],
            _cross_entropy,
            lambda rows, rng: hidden(rows, groups, rng),
            self.config,
            given.seed,
            weight[some],
        )
        shown = np.where(np.isnan(z[test]), np.nan, 0.0) if self.blind else z[test]
        p = 1 / (1 + np.exp(-np.nan_to_num(predicted(net, shown)[:, 0])))
        return np.stack([1 - p, p], axis=1)


def _cross_entropy(out: Tensor, y: Tensor) -> Tensor:
    loss = nn.functional.binary_cross_entropy_with_logits(out, y, reduction="none")
    return loss[:, 0]


def _groups(
    columns: Sequence[str], sensors: Mapping[str, Sequence[str]]
) -> list[list[int]]:
    return [[columns.index(c) for c in some] for some in sensors.values()]


def equal_patterns(
    laboratories: Any, z: Array, y: Any, groups: Sequence[Sequence[int]]
) -> Array:
    """Return weights with which the absence of sensors tells nothing about the class.

    In each laboratory and pattern of absent sensors, both classes count alike; a
    pattern with a single class does not count. Laboratories count alike.
    """
    absent = np.stack([np.isnan(z[:, g]).all(axis=1) for g in groups], axis=1)
    names = np.char.add(
        laboratories.astype(np.str_), [np.array2string(a * 1) for a in absent]
    )
    weight = np.zeros(len(z))
    for name in np.unique(names):
        rows = names == name
        count = np.array([(rows & (y == c)).sum() for c in (0, 1)])
        if count.all():
            weight[rows] = rows.sum() / 2 / count[y[rows].astype(np.intp)]
    for name in np.unique(laboratories):
        rows = laboratories == name
        weight[rows] /= max(weight[rows].sum(), 1e-9)
    return weight * (weight > 0).sum() / max(weight.sum(), 1e-9)


def hidden(z: Array, groups: Sequence[Sequence[int]], rng: Any) -> Array:
    """Return rows with features, or whole sensors, hidden, each row at its rate."""
    rate = rng.random((len(z), 1))
    lost = rng.random(z.shape) < rate
    whole = np.zeros_like(lost)
    for group in groups:
        whole[:, group] = rng.random((len(z), 1)) < rate
    pick = rng.random((len(z), 1)) < 0.5
    return np.where(np.where(pick, lost, whole), np.nan, z)


def cut(
    z: Array, groups: Sequence[Sequence[int]], rate: float, mode: str, rng: Any
) -> Array:
    """Return a participant's rows, in order of time, with a proportion missing."""
    lost = np.zeros(z.shape, np.bool_)
    if mode == "features":
        lost = rng.random(z.shape) < rate
    for group in [] if mode == "features" else groups:
        if mode == "sensors":
            lost[:, group] = rng.random() < rate
            continue
        long = round(rate * len(z))
        start = int(rng.integers(0, len(z) - long + 1))
        lost[start : start + long, group] = True
    return np.where(lost, np.nan, z)


def masked_copies(
    table: pd.DataFrame, sensors: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Return copies of a laboratory's rows at each mode, rate and draw.

    ``copy`` numbers the copies of a participant: modes, rates and draws, in order.
    """
    columns = [c for some in sensors.values() for c in some]
    groups = _groups(columns, sensors)
    kinds = [(m, rate, d) for m in MODES for rate in RATES for d in range(DRAWS)]
    parts = []
    for subject, rows in table.groupby("subject", sort=False):
        ordered = rows.sort_values("start_s")
        z = ordered[columns].to_numpy(np.float64)
        mark = crc32(str(subject).encode())
        copies = []
        for mode, rate, draw in kinds:
            key = (23, mark, MODES.index(mode), int(10 * rate), draw)
            copies.append(cut(z, groups, rate, mode, np.random.default_rng(key)))
        whole = pd.concat([ordered] * len(kinds), ignore_index=True)
        whole[columns] = np.concatenate(copies)
        which = np.repeat(np.arange(len(kinds)), len(ordered))
        parts.append(whole.assign(copy=which))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class HeldOutLaboratory:
    """A laboratory left out, with masked copies of its rows.

    Parameters
    ----------
    table
        Training rows, then masked copies of the test rows.
    y
        Class of the training rows, -1 for the others.
    truth
        Class of the copies.
    """

    table: pd.DataFrame
    y: Any
    truth: Any

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        transforms: Mapping[str, str],
        sensors: Mapping[str, Sequence[str]],
        laboratory: str,
    ) -> "HeldOutLaboratory":
        """Divide, audit and mask the windows of the laboratories."""
        train, test = held_out(table, transforms, laboratory)
        used = [*_PLACE, *transforms, "stressed"]
        train, test = train[used], masked_copies(test[used], sensors)
        y = np.full(len(train) + len(test), -1, np.intp)
        y[: len(train)] = train["stressed"].astype(np.intp)
        truth = test["stressed"].to_numpy(np.intp)
        both = pd.concat([train, test], ignore_index=True)
        return cls(both.drop(columns="stressed"), y, truth)

    def areas(self, model: Model, seed: int) -> dict[str, dict[str, float]]:
        """Return the area under the AUC over the missing rate, by mode and person."""
        n = len(self.y) - len(self.truth)
        fold = Fold("left out", np.arange(n), np.arange(n, len(self.y)))
        given = FoldData(None, self.y, self.table, fold, ("calm", "stress"), seed, None)
        p = model(given)[:, 1]
        test = self.table.iloc[n:]
        names = (test["dataset"] + " " + test["subject"]).to_numpy()
        copies = test["copy"].to_numpy(np.intp)
        edges = np.flatnonzero((names[1:] != names[:-1]) | (np.diff(copies) != 0)) + 1
        out: dict[str, dict[str, float]] = {mode: {} for mode in MODES}
        aucs_by_name: dict[str, list[float]] = {}
        for begin, end in pairwise([0, *edges.tolist(), len(test)]):
            of_copy = rank_auc(self.truth[begin:end], p[begin:end])
            aucs_by_name.setdefault(names[begin], []).append(of_copy)
        for name, aucs in aucs_by_name.items():
            shape = (len(MODES), len(RATES), DRAWS)
            curves = np.reshape(aucs, shape).mean(axis=2)
            for mode, curve in zip(MODES, curves, strict=True):
                out[mode][name] = float(np.trapezoid(curve, RATES))
        return out
