"""Protocol that the PINN's paper is assumed to have used: shuffled rows (it leaks).

For reproduction only: every participant and condition is in both training and test
rows, and the self-reports on a condition are inputs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.shared import open_wesad
from experiments.wesad.eda_forecast import Persistence
from experiments.wesad.multitask import traces
from experiments.wesad.pinn_paper_network import PaperRowsData, labels, networks, scaled
from physio import config
from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.wesad import Wesad
from physio.evaluation import splits
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.feature_benchmark import FeatureBenchmark
from physio.evaluation.models.baselines import (
    FoldData,
    MajorityClass,
    SklearnModel,
)

CLASSES: Final = {c: (c,) for c in ("baseline", "stress", "amusement")}
_LATER: Final = 5.0  # s


def answers(data: Wesad, table: pd.DataFrame) -> Array:
    """Return the self-reports on the condition of each row, shape (n, 26).

    Two manikins (valence, arousal, 1 to 9) and 24 items of PANAS (1 to 5); NaN outside
    of all parts and where no answer was given.
    """
    scores_by_row = np.full((len(table), 26), np.nan)
    participants = table["subject"].to_numpy()
    labels = table[feature_table.LABEL].to_numpy()
    for participant in np.unique(participants):
        parts = data.conditions(str(participant))
        items = list(parts[0].panas)  # baseline's: asked of every part
        for part in parts:
            mask = (participants == participant) & (labels == part.name)
            scores = [*part.sam.values(), *(part.panas[i] for i in items)]
            scores_by_row[mask] = scores
    return scores_by_row


@dataclass(frozen=True)
class PaperRows:
    """Prediction of condition or EDA with training rows from the same minutes.

    Parameters
    ----------
    target
        ``"condition"`` (F1) or ``"eda"``: conductance 5 s after the window's end, on a
        scale on which all rows range from 0 to 1.
    k, seed
        See `physio.evaluation.splits.PaperRowKFold`.
    epochs, rate
        Number of epochs, and learning rate, of the network (`physio.models.pinn`).
    """

    target: str = "condition"
    k: int = 5
    seed: int = 23
    epochs: int = 40
    rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.target not in ("condition", "eda"):
            raise ValueError(
                f"target must be 'condition' or 'eda', not {self.target!r}"
            )

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train and evaluate on a table."""
        if table is None:
            raise ValueError("rows of a table are shuffled: give [table] or --table")
        data = open_wesad(root)
        plain = FeatureBenchmark({}, splits.PaperRowKFold.name, classes=CLASSES)
        names = plain.task(table).names
        past, ahead = traces(data, table, [_LATER])
        known = table[feature_table.LABEL].isin(
            [c for labels_of_class in CLASSES.values() for c in labels_of_class]
        )
        usable = known.to_numpy() & np.isfinite(past).all(axis=1)
        usable &= np.isfinite(ahead[:, 0])
        low, high = ahead[usable].min(), ahead[usable].max()
        now = (past[:, -1:] - low) / (high - low)
        signals = table[names].to_numpy(np.float64)
        x = np.hstack([signals, answers(data, table), now])
        n = len(names)
        parts = {
            "signals and self-reports": slice(0, n + 26),
            "self-reports alone": slice(n, n + 26),
            "signals alone": slice(0, n),
        }
        models: dict[str, Any] = {"majority class": MajorityClass()}
        trees, linear = _peers(classes=self.target != "eda")
        for name, columns in parts.items():
            models[f"boosted trees, {name}"] = Columns(trees, columns)
            models[f"linear, {name}"] = Columns(linear, columns)
        asked: dict[str, Any] = {"classes": CLASSES}
        measured: tuple[str, ...] = ("macro-F1", "accuracy")
        if self.target == "eda":
            asked = {"y": (ahead[:, 0] - low) / (high - low)}
            measured = ("RMSE", "r")
            models["persistence"] = Columns(Persistence(), slice(n + 26, n + 27))
        z, ends = scaled(x, usable), (float(low), float(high))
        rows = PaperRowsData(data, z, past, ahead, labels(table), ends)
        asked_of = (self.target, rows, parts, _LATER, self.epochs, self.rate)
        models |= networks(*asked_of)
        return evaluate(
            Task(table, x=x, included=usable, dataset=data.name, **asked),
            splits.PaperRowKFold(self.k, self.seed),
            models,
            EvaluationOptions(metric_names=measured, seed=self.seed),
            config=config.describe(self),
        )


@dataclass(frozen=True, eq=False)
class Columns:
    """A model that reads only some columns of ``x``."""

    model: Any
    columns: slice

    def __call__(self, given: FoldData) -> Array:
        predicted: Array = self.model(given._replace(x=given.x[:, self.columns]))
        return predicted


def _peers(*, classes: bool) -> tuple[SklearnModel, SklearnModel]:
    """Return boosted trees on unscaled features, and a linear model."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBClassifier, XGBRegressor

    settings = {
        "n_estimators": 200,
        "max_depth": 3,
        "learning_rate": 0.05,
        "subsample": 0.8,
        "n_jobs": 1,
    }
    if not classes:
        trees = make_pipeline(XGBRegressor(**settings))
        return SklearnModel(trees), SklearnModel(Ridge(0.1))
    trees = make_pipeline(XGBClassifier(**settings))
    linear = LogisticRegression(C=10.0, class_weight="balanced", max_iter=5000)
    return SklearnModel(trees, sample_weight="balanced"), SklearnModel(linear)
