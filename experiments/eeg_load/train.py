"""Training and evaluation of eeg-load, with rivals and another laboratory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from experiments.eeg_load import tables
from experiments.eeg_load.models import (
    EqualOdds,
    RegionMean,
    WithoutRival,
    columns,
)
from experiments.eeg_load.scores import (
    AUC,
    GAIN,
    LOSS,
    calibration_slope,
    observed_shares,
    score_rows,
)
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.core.filename import valid_name
from physio.datasets.eegmat import EEG
from physio.evaluation import splits
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import Model
from physio.evaluation.statistics import bootstrap_ci, paired_differences
from physio.models.baseline import BaselinePrior
from physio.training import save_weights
from physio.training.intervals import CONFIDENCE
from physio.training.learner import LearnerModel, Samples, outputs, silent
from physio.training.linear_learner import LogisticLearner

LOGISTIC: Final = "logistic regression"
ATTENTION: Final = "attention"
ELSEWHERE: Final = "SAM 40, unseen"

RIVALS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "eyes: frontal, 1 to 4 Hz": ("slow", ("Fp1", "Fp2"), ("delta",)),
    "muscle: temporal, 31 to 49 Hz": (
        "eeg",
        ("F7", "F8", "T3", "T4", "T5", "T6"),
        ("gamma",),
    ),
    "eyes closed or open: occipital alpha": ("eeg", ("O1", "O2"), ("alpha",)),
    "amplitude: mean of all, 1 to 45 Hz": ("broad", EEG, ("1to45",)),
    "ECG": ("ecg", ("ecg",), ()),
}
"""Chain, electrodes and bands of what could tell task from rest without the brain."""


class Montage(NamedTuple):
    """Results on the electrodes of a montage: which model ships, if any."""

    name: str
    features: tuple[str, ...]
    ships: str


@dataclass(frozen=True)
class TrainEegLoad:
    """Training and evaluation of the odds of a task against rest.

    Parameters
    ----------
    logistic, attention
        The models that are compared at each montage.
    montages
        Electrodes of each montage, under eegmat's names; the first one is that of the
        stored weights. No electrodes: all.
    name
        Name of the weights.
    baseline
        Duration of the baseline within the participant's rest (s).
    seed
        Seed of networks and bootstrap.
    """

    logistic: LogisticLearner
    attention: Any
    montages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str = "eeg-load"
    baseline: float = 20.0
    seed: int = 23

    def __post_init__(self) -> None:
        valid_name(self.name, "a set of weights")
        for electrodes in self.montages.values():
            if unknown := [e for e in electrodes if e not in EEG]:
                raise ValueError(f"eegmat has no electrode {unknown[0]!r}")

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train and evaluate; store the weights in ``out``; return the results.

        Parameters
        ----------
        root
            The folder with ``eegmat`` and, for the test elsewhere, ``sam40``.
        out
            Parent of the folder for the weights.
        """
        work, levels = tables.eegmat(root, self.baseline)
        features = {m: self._columns(work, m) for m in self.montages}
        evaluation = evaluate(
            work,
            splits.protocol("loso"),
            self._models(work, features),
            EvaluationOptions(metric_names=("AUC",), seed=self.seed),
        )
        rows, slopes = self._scored(evaluation)
        paired = self._paired(rows)
        samples = self._samples(work, next(iter(features.values())))
        elsewhere = self._elsewhere(root, work, features)
        rows += elsewhere["rows"]
        slopes |= elsewhere["slopes"]
        ships = {m: self._ships(m, rows, paired) for m in self.montages}
        carries = self._carries(rows, slopes)
        results: dict[str, Any] = {
            "dataset": work.dataset,
            "protocol": evaluation.protocol,
            "rows": rows,
            "paired": paired,
            "slopes": slopes,
            "alpha": self._alpha(work),
            "ships": ships,
            "other_devices": "odds" if carries else "prior",
            "participants": list(evaluation.participants),
        }
        first = next(iter(self.montages))
        results["observed"] = self._observed(evaluation, f"{LOGISTIC}, {first}")
        rest = tables.resting_prior(work, levels, [c for c, _ in samples.columns])
        self._store(out, rest, samples, results)
        return {**results, "table": table_text(results)}

    def _columns(self, work: Task, montage: str) -> tuple[str, ...]:
        electrodes = self.montages[montage] or EEG
        return tuple(c for e in electrodes for c in columns(work.names, "eeg", (e,)))

    def _models(
        self, work: Task, features: Mapping[str, tuple[str, ...]]
    ) -> dict[str, Model]:
        """Return the models by name, logistic regression first."""
        every = [str(c) for c in work.table.columns]
        models: dict[str, Model] = {}
        for montage, names in features.items():
            models[f"{LOGISTIC}, {montage}"] = LearnerModel(self.logistic, names)
        for montage in features:
            models[f"{ATTENTION}, {montage}"] = replace(
                self.attention, learns=self.montages[montage] or EEG
            )
        full = next(iter(features.values()))
        for name, (chain, electrodes, bands) in RIVALS.items():
            rival = columns(every, chain, electrodes, *bands)
            rival = tuple(c for c in rival if not c.endswith(".missing"))
            alone = RegionMean if name.startswith("amplitude") else LearnerModel
            models[f"{name}, alone"] = alone(self.logistic, rival)
            models[f"{LOGISTIC} without {name}"] = WithoutRival(
                self.logistic, full, rival
            )
        return {**models, "prior": EqualOdds()}

    def _scored(
        self, evaluation: Evaluation
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return rows of results, and the calibration slope of the montages."""
        y = evaluation.tested["y"].to_numpy()
        who = evaluation.tested["subject"].astype(str).to_numpy()
        rows, slopes = [], {}
        for name, odds in evaluation.outputs.items():
            rows += score_rows(name, odds[:, 1], y, who, self.seed)
            if name.partition(", ")[2] in self.montages:
                slopes[name] = calibration_slope(odds[:, 1], y, who, self.seed)
        return rows, slopes

    def _observed(self, evaluation: Evaluation, name: str) -> list[dict[str, float]]:
        tested = evaluation.tested
        return observed_shares(
            evaluation.outputs[name][:, 1],
            tested["y"].to_numpy(),
            tested["subject"].astype(str).to_numpy(),
            self.seed,
        )

    def _paired(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return attention less logistic regression, and what each rival costs."""
        paired = []
        for montage in self.montages:
            pair = (f"{ATTENTION}, {montage}", f"{LOGISTIC}, {montage}")
            paired += self._differences(rows, *pair)
        full = f"{LOGISTIC}, {next(iter(self.montages))}"
        for name in RIVALS:
            paired += self._differences(rows, full, f"{LOGISTIC} without {name}")
            paired += self._differences(rows, full, f"{name}, alone")
        return paired

    def _differences(
        self, rows: list[dict[str, Any]], first: str, other: str
    ) -> list[dict[str, Any]]:
        selected = [
            r for r in rows if r["model"] in (first, other) and r["metric"] != GAIN
        ]
        return paired_differences(selected, first, self.seed)

    def _ships(
        self, montage: str, rows: list[dict[str, Any]], paired: list[dict[str, Any]]
    ) -> str:
        """Return the model that ships at a montage; empty if it abstains.

        Attention ships if its log loss is lower than that of logistic regression with
        an interval below 0. Whichever it is ships if its gain over equal odds is above
        0 with one-sided 95 %, as of all probabilities of this package.
        """
        difference = _row(paired, f"{ATTENTION}, {montage}", LOSS)
        model = ATTENTION if difference["high"] < 0 else LOGISTIC
        gain = _row(rows, f"{model}, {montage}", GAIN)["per_participant"]
        values = np.array(list(gain.values()))
        error = values.std(ddof=1) / np.sqrt(len(values))
        return model if values.mean() > CONFIDENCE * error else ""

    def _carries(self, rows: list[dict[str, Any]], slopes: Mapping[str, Any]) -> bool:
        """Return whether the odds hold in the other laboratory."""
        name = f"{ELSEWHERE}, {next(iter(self.montages))}"
        if name not in slopes:
            return False
        slope = slopes[name]
        better = _row(rows, name, GAIN)["low"] > 0
        return bool(better and slope["low"] <= 1 <= slope["high"])

    def _samples(self, work: Task, features: tuple[str, ...]) -> Samples:
        table = work.table[work.included].reset_index(drop=True)
        trials = table["label"].astype(str).to_numpy()
        return Samples(
            x=table[list(features)].to_numpy(np.float64),
            y=(trials == "arithmetic").astype(np.intp),
            participants=table["subject"].astype(str).to_numpy(),
            units=(trials == "arithmetic").astype(int),
            sessions=np.full(len(table), ""),
            times=table["end_s"].to_numpy(np.float64),
            columns=tuple((c, "raw") for c in features),
            classes=tuple(tables.CLASSES),
            seed=self.seed,
        )

    def _elsewhere(
        self,
        root: Path | None,
        work: Task,
        features: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any]:
        """Return the results of logistic regression of eegmat on SAM 40."""
        table = tables.sam40(root)
        rows: list[dict[str, Any]] = []
        slopes: dict[str, Any] = {}
        if table is None:
            return {"rows": rows, "slopes": slopes}
        for montage, names in features.items():
            model = self.logistic.fit(self._samples(work, names), silent)
            odds = _odds_of(model, table, names)
            y, who = table["y"].to_numpy(), table["subject"].astype(str).to_numpy()
            name = f"{ELSEWHERE}, {montage}"
            rows += score_rows(name, odds, y, who, self.seed)
            slopes[name] = calibration_slope(odds, y, who, self.seed)
        return {"rows": rows, "slopes": slopes}

    def _alpha(self, work: Task) -> dict[str, float]:
        """Return the change of occipital alpha from rest to task (bits), 95 %."""
        names = list(columns(work.names, "eeg", ("O1", "O2"), "alpha"))
        table = work.table[work.included]
        mean = table[names].mean(axis=1).groupby([table["subject"], table["label"]])
        means = mean.mean().unstack()
        change = (means["arithmetic"] - means["rest"]).to_numpy(np.float64)
        low, high = bootstrap_ci(change, self.seed)
        return {
            "mean": float(change.mean()),
            "low": low,
            "high": high,
            "falls": int((change < 0).sum()),
            "participants": len(change),
        }

    def _store(
        self,
        out: Path,
        rest: BaselinePrior,
        samples: Samples,
        results: Mapping[str, Any],
    ) -> None:
        from experiments.eeg_load.card import card

        model = self.logistic.fit(samples, silent)
        unrated = np.full(len(DIMENSIONS), np.nan)
        save_weights.store(
            out / self.name,
            card(self.baseline, samples, results),
            model,
            rest,
            (unrated, unrated),
            {
                f"odds.{key}": np.array([row[key] for row in results["observed"]])
                for key in ("low_odds", "mean", "low", "high")
            },
        )


def _odds_of(model: Any, table: pd.DataFrame, names: tuple[str, ...]) -> Array:
    """Return the probability of a task in each row of a table."""
    n = len(table)
    samples = Samples(
        x=table[list(names)].to_numpy(np.float64),
        y=table["y"].to_numpy(np.intp),
        participants=table["subject"].to_numpy(),
        units=np.zeros(n, int),
        sessions=np.full(n, ""),
        times=table["end_s"].to_numpy(np.float64),
        classes=tuple(tables.CLASSES),
    )
    return outputs(model, samples)[0][:, 1]


def _row(rows: list[dict[str, Any]], model: str, metric: str) -> dict[str, Any]:
    return next(r for r in rows if (r["model"], r["metric"]) == (model, metric))


def table_text(results: Mapping[str, Any]) -> str:
    """Return the results as text."""

    def interval(r: Mapping[str, Any]) -> str:
        return f"{r['mean']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"

    rows, slopes = results["rows"], results["slopes"]
    lines = ["model: AUC; log loss; below the prior's by; calibration slope", ""]
    for name in dict.fromkeys(r["model"] for r in rows):
        parts = [interval(_row(rows, name, m)) for m in (AUC, LOSS, GAIN)]
        parts += [interval(slopes[name])] if name in slopes else []
        lines.append(f"{name}: {'; '.join(parts)}")
    lines += ["", "difference: AUC or log loss, better in, p (Holm)", ""]
    lines += [
        f"{r['model']} - {r['than']}: {r['metric']} {interval(r)}, {r['better']} of "
        f"{r['participants']}, {r['holm']:.3f}"
        for r in results["paired"]
    ]
    alpha = results["alpha"]
    lines += [
        "",
        f"occipital alpha, task less rest: {interval(alpha)} bit; lower in "
        f"{alpha['falls']} of {alpha['participants']} (rest: eyes closed)",
        *(f"{m}: {s or 'abstains'}" for m, s in results["ships"].items()),
        f"other devices: {results['other_devices']}",
        *(
            f"odds {r['low_odds']:.1f} to {r['high_odds']:.1f}: task in {interval(r)} "
            f"of held-out moments, {r['participants']} participants"
            for r in results["observed"]
        ),
    ]
    return "\n".join(lines)
