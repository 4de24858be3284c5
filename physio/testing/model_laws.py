"""Laws of a model: live in a session, in an evaluation, and of its training loss."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.core.missing import MissingReason, missing_reason
from physio.evaluation.folds import Fold
from physio.evaluation.models.baselines import FoldData
from physio.models.base import Model
from physio.testing.violation import require, require_equal

CONFIG: Final = "law 10 (the settings of a model are a value that JSON can hold)"
RESTORED: Final = "law 10 (a restored model predicts the same)"
PREDICTION: Final = "law 10 (a prediction is three means and three deviations)"
MISSING: Final = (
    "law 10 (where every feature is missing, the estimate is, and says why)"
)
OUTPUTS: Final = (
    "law 10 (a model returns a row of probabilities, or values, a test row)"
)
REPEATED: Final = "law 10 (a model trained twice predicts the same)"
UNCHANGED: Final = "law 10 (a model does not change the data of a fold)"
LOSS: Final = "law 11 (a loss has named, finite terms, each with a gradient)"

_AFFECT: Final = ("valence", "arousal", "dominance")


@dataclass(frozen=True)
class LiveModelLaws:
    """The laws of a model that runs in a session; each raises AssertionError.

    Parameters
    ----------
    model
        The model.
    n_features
        Number of features that it reads; by default the setting ``features`` of its
        ``config``, or ``electrodes`` times ``bands``.
    """

    model: Model
    n_features: int = 0

    @property
    def width(self) -> int:
        """Number of features that the model reads."""
        config = asdict(self.model.config)
        if self.n_features or isinstance(config.get("features"), int):
            return self.n_features or int(config["features"])
        if {"electrodes", "bands"} <= set(config):
            return int(config["electrodes"] * config["bands"])
        raise ValueError(
            f"the settings of {type(self.model).__name__} do not have a number of "
            "features: name them, check_model(model, features=('eda.tonic', ...))"
        )

    def config(self) -> None:
        """Settings are a frozen dataclass that JSON can hold and `restore` takes."""
        config = self.model.config
        self._require(is_dataclass(config), CONFIG, "config is no dataclass")
        same = hash(config) == hash(replace(config))
        self._require(same, CONFIG, "equal settings hash apart")
        table = json.loads(json.dumps(asdict(config)))
        again = type(self.model).restore(table, self.model.arrays())
        text = f"restore gave the settings {again.config}, not {config}"
        self._require(again.config == config, CONFIG, text)

    def restored(self) -> None:
        """A model that `restore` makes of `arrays` predicts the same."""
        model = self._evaluating()
        again = type(model).restore(asdict(model.config), model.arrays())
        z, spread = np.linspace(-1, 1, self.width), np.zeros(self.width)
        predicted = np.stack(again.predict(z, spread))
        expected = np.stack(model.predict(z, spread))
        require_equal(predicted, expected, self._name, RESTORED, _AFFECT)

    def prediction(self) -> None:
        """Mean and deviation have shape (3,), float64; finite, and above 0."""
        model, zeros = self._evaluating(), np.zeros(self.width)
        for name, part in zip(("mean", "sd"), model.predict(zeros, zeros), strict=True):
            text = f"{name} has shape {np.shape(part)}, not (3,)"
            self._require(np.shape(part) == (3,), PREDICTION, text)
            text = f"{name} is {part.dtype}, not float64"
            self._require(part.dtype == np.float64, PREDICTION, text)
            text = f"{name} is {part.tolist()}"
            self._require(np.isfinite(part).all(), PREDICTION, text)
            self._require(name == "mean" or (part > 0).all(), PREDICTION, text)

    def missing(self) -> None:
        """Features that are all missing give an estimate missing for that reason."""
        z = np.full(self.width, MissingReason.POOR_QUALITY.nan)
        for part in self._evaluating().predict(z, np.zeros(self.width)):
            reasons = {MissingReason(int(r)).words for r in missing_reason(part)}
            text = f"features of poor quality give {part.tolist()} ({reasons})"
            expected = {MissingReason.POOR_QUALITY.words}
            self._require(reasons == expected, MISSING, text)

    def all(self) -> None:
        """Check every law."""
        self.config()
        self.restored()
        self.prediction()
        self.missing()

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _evaluating(self) -> Model:
        """Return the model, a network without the noise of training."""
        if callable(evaluating := getattr(self.model, "eval", None)):
            evaluating()
        return self.model

    def _require(self, holds: object, law: str, difference: str) -> None:
        require(holds, self._name, law, difference)


@dataclass(frozen=True)
class FoldModelLaws:
    """The laws of a model in an evaluation; each raises AssertionError.

    Parameters
    ----------
    model
        Function of `FoldData` that returns its outputs for the test rows.
    features
        Columns of the table that it reads.
    classes
        Names of the classes; empty for a model that predicts numbers.
    """

    model: Callable[[FoldData], Array]
    features: tuple[str, ...] = ("eda.tonic", "eda.scr_rate", "heart.rate")
    classes: tuple[str, ...] = ("calm", "stress")

    def outputs(self) -> None:
        """A row for each test row: probabilities with sum 1, or value and deviation."""
        data = self._fold()
        outputs = np.asarray(self.model(data), np.float64)
        rows = len(data.fold.test)
        if self.classes:
            shapes: list[tuple[int, ...]] = [(rows, len(self.classes))]
        else:
            shapes = [(rows,), (rows, 1), (rows, 2)]
        text = (
            f"for {rows} test rows the shape is {outputs.shape}, not "
            f"{' or '.join(map(str, shapes))}"
        )
        self._require(outputs.shape in shapes, OUTPUTS, text)
        text = "an output is infinite"
        self._require(not np.isinf(outputs).any(), OUTPUTS, text)
        if self.classes:
            given = outputs[~np.isnan(outputs).any(axis=1)]
            text = "probabilities are below 0, or do not add up to 1"
            proper = (given >= 0).all() and np.allclose(given.sum(axis=1), 1)
            self._require(proper, OUTPUTS, text)

    def repeated(self) -> None:
        """Training twice on the same fold with the same seed gives the same outputs."""
        first, second = (np.asarray(self.model(self._fold())) for _ in range(2))
        same = np.array_equal(first, second, equal_nan=True)
        text = "two outputs for one fold and one seed differ"
        self._require(same, REPEATED, text)

    def unchanged(self) -> None:
        """Features, targets and table are afterwards as they were."""
        data = self._fold()
        before = deepcopy(data)
        self.model(data)
        same = np.array_equal(data.x, before.x, equal_nan=True)
        same = same and np.array_equal(data.y, before.y, equal_nan=True)
        same = same and data.table.equals(before.table)
        self._require(same, UNCHANGED, "x, y or table differ afterwards")

    def all(self) -> None:
        """Check every law."""
        self.outputs()
        self.repeated()
        self.unchanged()

    def _fold(self) -> FoldData:
        """Return a fold of random windows of four participants, with missing values."""
        rng = np.random.default_rng(3)
        participants, windows = 4, 20
        n = participants * windows
        times = np.tile(np.arange(windows) * 30.0, participants)
        stress = np.tile(np.arange(windows) >= windows // 2, participants)
        x = rng.normal(0, 1, (n, len(self.features))) + stress[:, None]
        x[rng.random(x.shape) < 0.02] = np.nan
        table = pd.DataFrame(x, columns=list(self.features))
        table["dataset"] = "example"
        table["subject"] = np.repeat(
            [f"P{i + 1}" for i in range(participants)], windows
        )
        table["session"] = table["trial"] = ""
        table["segment"] = stress.astype(int)
        table["start_s"], table["end_s"] = times, times + 30.0
        for name in ("start_sample", "support_start_sample"):
            table[name] = (times * 4).astype(int)
        table["end_sample"] = table["start_sample"] + 120
        rows = np.arange(n)
        fold = Fold("P4", rows[:-windows], rows[-windows:])
        numbers = stress - 0.5 + rng.normal(0, 0.2, n)
        y = stress.astype(np.intp) if self.classes else numbers
        if len(self.classes) > 2:
            y = rng.integers(0, len(self.classes), n)
        y[fold.test] = -1 if self.classes else np.nan
        return FoldData(x, y, table, fold, self.classes, seed=7)

    def _require(self, holds: object, law: str, difference: str) -> None:
        require(holds, type(self.model).__name__, law, difference)


def check_loss(model: Any, terms: Callable[[], Mapping[str, Any]]) -> None:
    """Law 11: a loss has named, finite terms, each with a finite gradient.

    Parameters
    ----------
    model
        A network of PyTorch.
    terms
        Function that computes the terms of its loss anew.
    """
    subject, names = type(model).__name__, list(terms())
    require(names, subject, LOSS, "there is no term")
    for name in names:
        model.zero_grad()
        term = terms()[name]
        shape = tuple(term.shape)
        require(shape == (), subject, LOSS, f"{name!r} has shape {shape}, not ()")
        require(
            bool(term.isfinite()), subject, LOSS, f"{name!r} is {float(term.detach())}"
        )
        term.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        require(gradients, subject, LOSS, f"{name!r} has no gradient")
        finite = all(bool(g.isfinite().all()) for g in gradients)
        require(finite, subject, LOSS, f"the gradient of {name!r} is not finite")
        some = any(float(g.abs().max()) > 0 for g in gradients)
        require(some, subject, LOSS, f"the gradient of {name!r} is 0 everywhere")


def model_laws(
    model: Any, features: Sequence[str], classes: Sequence[str]
) -> LiveModelLaws | FoldModelLaws:
    """Return the laws for a model: those of a session, or those of an evaluation.

    Raises
    ------
    TypeError
        If it is neither a `Model` nor a function of `FoldData`.
    """
    if isinstance(model, Model):
        return LiveModelLaws(model, len(features))
    if isinstance(model, type) or not callable(model):
        raise TypeError(
            f"{model!r} is no model: neither an instance of a class that derives from "
            "physio.models.base.Model, nor a function of one FoldData"
        )
    if features:
        return FoldModelLaws(model, tuple(features), tuple(classes))
    return FoldModelLaws(model, classes=tuple(classes))
