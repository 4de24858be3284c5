"""Evaluations on the wristbands of WESAD: the network beside small models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from experiments.shared import open_wesad
from experiments.wesad.eda_forecast import (
    Autoregression,
    EdaForecast,
    Persistence,
    RidgePast,
    trained,
)
from experiments.wesad.tonic_model import TonicRelaxation, fit, session
from physio import config
from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.wesad import Wesad
from physio.evaluation import splits
from physio.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    Task,
    evaluate,
    together,
)
from physio.evaluation.feature_benchmark import FeatureBenchmark
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.row_index import RowIndex, named, numbers
from physio.models.pinn import Moments, PinnConfig

CLASSES: Final = ("baseline", "stress", "amusement", "meditation")
_SAMPLES: Final = 240
_RATE: Final = 4
_TIME: Final = 2.0  # min, the time constant if no participant's is known

Physics = Callable[[Sequence[str]], tuple[float, Array]]
"""EDA parameters of participants: ``alpha_0`` (1/min), ``beta`` (uS/min) per class."""


def traces(
    data: Wesad, table: pd.DataFrame, horizons: Sequence[float]
) -> tuple[Array, Array]:
    """Return skin conductance in each row's last minute and at later horizons.

    Returns
    -------
    past
        Four samples a second up to the window's end (uS), shape (n, 240).
    ahead
        At the horizons (uS), shape (n, horizons); NaN beyond the recording.
    """
    participants, ends = named(table, "subject"), numbers(table, "end_s")
    past = np.full((len(table), _SAMPLES), np.nan)
    ahead = np.full((len(table), len(horizons)), np.nan)
    for participant in np.unique(participants):
        (block,) = data.participant(str(participant)).streams["e4.eda"]
        y = np.concatenate([np.full(_SAMPLES, np.nan), block.data[:, 0]])
        rows = np.flatnonzero(participants == participant)
        last = np.floor((ends[rows] - block.t0) * _RATE - 1e-6).astype(np.intp)
        at = last[:, None] + np.arange(1, _SAMPLES + 1)
        past[rows] = y[at]
        for k, horizon in enumerate(horizons):
            then = last + _SAMPLES + round(horizon * _RATE)
            inside = then < len(y)
            ahead[rows[inside], k] = y[then[inside]]
    return past, ahead


@cache
def relaxation(data: Wesad, participant: str) -> TonicRelaxation:
    """Return the tonic EDA parameters of a participant, from the whole session."""
    recording = data.participant(participant)
    (block,) = recording.streams["e4.eda"]
    parts = recording.events["study.conditions"]
    spans = [
        (name.split()[0], begin - block.t0, end - block.t0)
        for name, begin, end in zip(
            parts.labels, parts.times, parts.data[:, 0], strict=True
        )
    ]
    (warm,) = recording.streams["e4.temp"]
    warmth = warm.data[: len(block), 0]
    return fit(session(block.data[: len(warmth), 0], _RATE, spans, warmth=warmth))


def physics(data: Wesad, classes: Sequence[str]) -> Physics:
    """Return a function of participants that gives the medians of known parameters.

    If no participant's parameters are known, the time constant is 2 min and the sizes
    are 0.
    """

    def of(participants: Sequence[str]) -> tuple[float, Array]:
        relaxations = [relaxation(data, str(p)) for p in participants]
        times = [f.time.known.value for f in relaxations]
        known = np.isfinite(times).any()
        alpha = 1 / (float(np.nanmedian(times)) if known else _TIME)
        sizes = np.zeros(len(classes))
        for k, name in enumerate(classes):
            values = [f.size[name].known.value for f in relaxations if name in f.size]
            if np.isfinite(values).any():
                sizes[k] = np.nanmedian(values)
        return alpha, alpha * sizes

    return of


@dataclass(frozen=True, eq=False)
class Multitask:
    """The whole network as a classifier: condition and skin conductance at once.

    Parameters
    ----------
    past, ahead
        Skin conductance of all rows, see `traces`; ``ahead`` is read in training rows
        only.
    physics
        See `Physics`.
    settings
        Settings of the network, in which classes and features are filled in.
    epochs, rate
        Number of epochs, and learning rate.
    """

    past: Array
    ahead: Array
    physics: Callable[[Sequence[str]], Physics]
    settings: PinnConfig
    epochs: int = 6
    rate: float = 3e-3

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = given.x.reshape(len(given.x), -1)
        scale = np.nanstd(x[train], axis=0) + 1e-12
        x = x / scale
        settings = replace(self.settings, features=x.shape[1], classes=given.classes)
        participants = given.rows.ids("subject")
        usable = train[np.isfinite(self.past[train]).all(axis=1)]
        moments = Moments(
            torch.from_numpy(x[usable]).float(),
            torch.from_numpy(self.past[usable]).float(),
            torch.from_numpy(self.ahead[usable]).float(),
            torch.from_numpy(np.asarray(given.y[usable], np.int64)),
            torch.full((len(usable), len(settings.dimensions)), torch.nan),
        )
        parameters = self.physics(given.classes)(sorted(set(participants[usable])))
        model = trained(
            settings,
            moments,
            participants[usable],
            parameters,
            self.epochs,
            self.rate,
            given.seed,
        )
        with torch.no_grad():
            logits = model(torch.from_numpy(x[test]).float())[0].double().numpy()
        # Equal priors for all classes, whatever their frequencies in training.
        common = np.bincount(given.y[usable], minlength=len(given.classes))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True)) / common
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Wristband(FeatureBenchmark):
    """Plain models on a table of WESAD, and the network of `physio.models.pinn`.

    Parameters
    ----------
    networks
        Columns that the network reads beside the trace of skin conductance. If given,
        the network is compared as ``network``, ``network without physics`` and
        ``network, emotion only``.
    """

    networks: tuple[str, ...] = ()

    def candidates(self, root: Path | None, table: pd.DataFrame) -> dict[str, Any]:
        """Return the models that are compared, by name."""
        models = super().candidates(root, table)
        if not self.networks:
            return models
        data = open_wesad(root)
        whole = PinnConfig()
        past, ahead = traces(data, table, whole.horizons)
        # Never beyond the window's part of the recording.
        ahead = np.where(_same_part(table, whole.horizons), ahead, np.nan)
        parts = {
            "network": whole,
            "network without physics": replace(whole, physics=0.0),
            "network, emotion only": replace(whole, eda=0.0),
        }

        def skins(classes: Sequence[str]) -> Physics:
            named_as = {"calm": "baseline"}
            return physics(data, [named_as.get(c, c) for c in classes])

        return models | {
            name: Picked(Multitask(past, ahead, skins, config), self.networks)
            for name, config in parts.items()
        }


@dataclass(frozen=True)
class Picked:
    """A model that reads only some columns of the table."""

    model: Any
    features: tuple[str, ...]

    def __call__(self, given: FoldData) -> Array:
        x = given.table[list(self.features)].to_numpy(np.float64)
        predicted: Array = self.model(given._replace(x=x))
        return predicted


@dataclass(frozen=True)
class Forecasts:
    """Evaluation of EDA forecasts in held-out participants, inside conditions.

    Parameters
    ----------
    protocol, settings
        See `physio.evaluation.splits.PROTOCOLS`.
    horizons
        Forecast horizons (s).
    features
        Columns from which the network estimates the emotion, relative to baseline.
    transforms, baseline_seconds, embargo
        As in `FeatureBenchmark`.
    test_spacing
        Least time between the beginnings of test windows (s).
    epochs, rate
        Number of epochs, and learning rate, of the network.
    seed
        Random seed.
    """

    protocol: str = "loso"
    settings: Any = None
    horizons: tuple[float, ...] = (5.0, 15.0, 30.0)
    features: tuple[str, ...] = ("eda.scr_rate", "heart.rate")
    transforms: Any = None
    baseline_seconds: float = 300.0
    embargo: float = 60.0
    test_spacing: float = 0.0
    epochs: int = 2
    rate: float = 3e-4
    seed: int = 23

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train and evaluate the forecasters on a table."""
        if table is None:
            raise ValueError("forecasts need a table: give [table] or --table")
        data = open_wesad(root)
        plain = FeatureBenchmark(
            {},
            self.protocol,
            classes={"any": ("baseline",)},
            features=self.features,
            transforms=self.transforms or {},
            baseline_seconds=self.baseline_seconds,
            embargo=self.embargo,
            controls=False,
        )
        work = plain.task(table)
        past, ahead = traces(data, table, self.horizons)
        ahead = np.where(_same_part(table, self.horizons), ahead, np.nan)
        whole = np.isfinite(past).all(axis=1) & np.isfinite(ahead).all(axis=1)
        whole &= (table[feature_table.LABEL] != "").to_numpy()
        z = work.table[work.names].to_numpy(np.float64)
        z = z / (np.nanstd(z[whole], axis=0) + 1e-12)
        labels = np.array(
            [
                CLASSES.index(c) if c in CLASSES else -1
                for c in table[feature_table.LABEL].str.split().str[0].fillna("")
            ]
        )
        evaluations: dict[str, Evaluation] = {}
        memory: dict[str, dict[str, Array]] = {}
        for k, horizon in enumerate(self.horizons):
            models = self._models(horizon, (ahead, z, labels), data, memory)
            evaluations[f"{horizon:g} s ahead"] = evaluate(
                Task(
                    work.table,
                    y=ahead[:, k],
                    x=past,
                    calibration=work.calibration,
                    included=work.included & whole,
                    dataset=data.name,
                ),
                splits.protocol(self.protocol, **(self.settings or {})),
                models,
                EvaluationOptions(
                    metric_names=("RMSE", "r"),
                    reference="network",
                    test_spacing=self.test_spacing,
                    seed=self.seed,
                ),
            )
        return together(evaluations, config.describe(self))

    def _models(
        self,
        horizon: float,
        inputs: tuple[Array, Array, Any],
        data: Wesad,
        memory: dict[str, dict[str, Array]],
    ) -> dict[str, Any]:
        whole = PinnConfig(features=inputs[1].shape[1], horizons=self.horizons)
        parts = {
            "network": (whole, self.epochs),
            "network without physics": (replace(whole, physics=0.0), self.epochs),
            "network, skin only": (replace(whole, emotion=0.0), self.epochs),
            "network before descent": (whole, 0),
        }
        learned = {
            name: EdaForecast(
                horizon,
                *inputs,
                physics(data, CLASSES),
                config,
                epochs,
                self.rate,
                memory.setdefault(name, {}),
            )
            for name, (config, epochs) in parts.items()
        }
        return learned | {
            "persistence": Persistence(),
            "ridge": RidgePast(),
            "autoregression": Autoregression(horizon),
        }


def _same_part(table: pd.DataFrame, horizons: Sequence[float]) -> Any:
    """Return a mask of targets in the window's part of the recording, (n, horizons).

    A part ends with its last window.
    """
    parts = RowIndex(table).ids("subject", "session", "trial", "segment")
    end = numbers(table, "end_s")
    last = pd.Series(end).groupby(parts).transform("max").to_numpy()
    return end[:, None] + np.array(horizons) <= last[:, None] + 1e-3
