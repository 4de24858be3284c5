"""The laws of a model, in `physio.testing`, on all models and all shipped weights."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge

import physio.models
from physio.core.block import Array, Origin
from physio.core.missing import MissingReason
from physio.evaluation.models.baselines import (
    FoldData,
    MajorityClass,
    PermutedLabels,
    SklearnModel,
    TimeOnly,
)
from physio.models import model_card
from physio.models.base import Model
from physio.models.baseline import BaselineAccumulator, BaselinePrior
from physio.models.pinn import Moments, Pinn
from physio.testing import check_model
from physio.testing.model_laws import LiveModelLaws, check_loss

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "weights"


def models() -> Iterator[type]:
    """Yield every class that can be stored and can predict."""
    for module in pkgutil.iter_modules(physio.models.__path__, "physio.models."):
        found = importlib.import_module(module.name)
        for _, cls in inspect.getmembers(found, inspect.isclass):
            ours = cls.__module__ == module.name and not inspect.isabstract(cls)
            if ours and issubclass(cls, Model):
                yield cls


def variants(cls: type) -> Iterator[Any]:
    """Yield a model of the default settings, and one with each of its heads."""
    torch.manual_seed(0)
    config = get_type_hints(cls.__init__)["config"]
    yield cls(config())
    if "head" in (f.name for f in fields(config)):
        for head in ("classes", "affect"):
            yield cls(config(head=head))


ALL = [m for cls in models() for m in variants(cls)]
each = pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
predicting = pytest.mark.parametrize(
    "model",
    [m for m in ALL if getattr(m.config, "head", "affect") == "affect"],
    ids=lambda m: type(m).__name__,
)
losing = pytest.mark.parametrize(
    "model", [m for m in ALL if hasattr(m, "loss")], ids=lambda m: type(m).__name__
)
shipped = pytest.mark.parametrize("name", model_card.shipped_names())


def test_there_is_something_under_the_laws() -> None:
    names = {type(m).__name__ for m in ALL}
    assert {"Gaussian", "Pinn", "RBTransformer"} <= names
    assert {"wrist", "eeg-demo", "wrist-demo"} <= set(model_card.shipped_names())


@each
def test_10_a_config_is_a_value_that_json_keeps(model: Any) -> None:
    LiveModelLaws(model).config()


@predicting
def test_10_a_restored_model_says_the_same(model: Any) -> None:
    LiveModelLaws(model).restored()


@predicting
def test_10_a_prediction_is_three_means_and_three_deviations(model: Any) -> None:
    LiveModelLaws(model).prediction()


@predicting
def test_10_nothing_in_nothing_out_for_the_same_reason(model: Any) -> None:
    LiveModelLaws(model).missing()


def losses(model: Any) -> dict[str, torch.Tensor]:
    config = model.config
    rng = torch.Generator().manual_seed(0)
    if isinstance(getattr(model, "model", model), Pinn):
        z = torch.randn(6, config.features, generator=rng)
        trace = 2 + torch.rand(6, config.samples, generator=rng)
        ahead = 2 + torch.rand(6, len(config.horizons), generator=rng)
        label = torch.randint(len(config.classes), (6,), generator=rng)
        ratings = torch.rand(6, len(config.dimensions), generator=rng) * 2 - 1
        found: dict[str, torch.Tensor] = model.loss(
            Moments(z, trace, ahead, label, ratings)
        )
        return found
    x = torch.randn(6, config.electrodes, config.bands, generator=rng)
    target = torch.randint(config.classes, (6,), generator=rng)
    if config.head == "affect":
        target = torch.rand(6, 3, generator=rng) * 2 - 1
    terms: dict[str, torch.Tensor] = model.loss(x, target)
    return terms


@losing
def test_11_a_loss_is_named_finite_terms_with_gradients(model: Any) -> None:
    check_loss(model, lambda: losses(model))


class Dull(torch.nn.Module):
    """Has a term that teaches nothing: the law must break."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def loss(self, *given: Any) -> dict[str, torch.Tensor]:
        terms: dict[str, torch.Tensor] = self.model.loss(*given)
        return {**terms, "dull": 0 * sum(terms.values())}


class Broken(Dull):
    """Has a term that is not finite."""

    def loss(self, *given: Any) -> dict[str, torch.Tensor]:
        terms: dict[str, torch.Tensor] = self.model.loss(*given)
        return {k: v / 0 for k, v in terms.items()}


@losing
@pytest.mark.parametrize("bug", [Dull, Broken])
def test_the_law_of_losses_breaks(model: Any, bug: Any) -> None:
    broken = bug(model)
    with pytest.raises(AssertionError):
        check_loss(broken, lambda: losses(broken))


@dataclass(frozen=True)
class Settings:
    """Number of features."""

    features: int = 2


class Lawful(Model):
    """The mean of its features, for all three dimensions."""

    def __init__(self, config: Settings | None = None, shift: float = 0.25) -> None:
        self.config, self.shift = config or Settings(), shift

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        mean = np.mean(z) + self.shift if np.isfinite(z).all() else z[0]
        return np.full(3, mean), np.full(3, np.where(np.isnan(mean), mean, 0.5))

    def arrays(self) -> Any:
        return {"shift": np.array([self.shift])}

    @classmethod
    def restore(cls, config: Any, arrays: Any) -> "Lawful":
        return cls(Settings(**config), float(arrays["shift"][0]))


class Forgetful(Lawful):
    @classmethod
    def restore(cls, config: Any, arrays: Any) -> "Lawful":  # noqa: ARG003
        return cls(Settings(**config), 0.0)


class Unsettled(Lawful):
    @classmethod
    def restore(cls, config: Any, arrays: Any) -> "Lawful":  # noqa: ARG003
        return cls(Settings(config["features"] + 1))


class Certain(Lawful):
    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        mean, sd = super().predict(z, spread)
        return mean, 0 * sd


class Inventive(Lawful):
    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        return super().predict(np.nan_to_num(z), spread)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (Forgetful(), "a restored model predicts the same"),
        (Unsettled(), "restore gave the settings"),
        (Certain(), "three means and three deviations"),
        (Inventive(), "features of poor quality give"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_10_bites(model: Model, law: str) -> None:
    check_model(Lawful())
    with pytest.raises(AssertionError, match=law):
        check_model(model)


EVALUATED = (
    MajorityClass(),
    TimeOnly(),
    SklearnModel(LogisticRegression()),
    SklearnModel(RandomForestClassifier(20), features=("eda",)),
    PermutedLabels(SklearnModel(LogisticRegression())),
)
EVALUATED_NUMBERS = (MajorityClass(), TimeOnly(), SklearnModel(Ridge()))


@pytest.mark.parametrize("model", EVALUATED, ids=lambda m: type(m).__name__)
def test_10_a_model_of_classes_in_an_evaluation(model: Any) -> None:
    check_model(model)
    check_model(model, classes=("a", "b", "c"))


@pytest.mark.parametrize("model", EVALUATED_NUMBERS, ids=lambda m: type(m).__name__)
def test_10_a_model_of_numbers_in_an_evaluation(model: Any) -> None:
    check_model(model, classes=())


def _half(data: FoldData) -> Array:
    return np.full((len(data.fold.test), 2), 0.5)


def _spoil(data: FoldData) -> Array:
    data.table["eda.tonic"] = 0.0
    return _half(data)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (lambda data: _half(data)[1:], "for 20 test rows the shape is"),
        (lambda data: 2 * _half(data), "do not add up to 1"),
        (lambda data: np.inf * _half(data), "an output is infinite"),
        (
            lambda _: np.random.default_rng().dirichlet((1, 1), 20),
            "for one fold and one seed differ",
        ),
        (_spoil, "x, y or table differ afterwards"),
    ],
    ids=["short", "sum", "infinite", "chance", "spoil"],
)
def test_10_bites_in_an_evaluation(model: Any, law: str) -> None:
    check_model(_half)
    with pytest.raises(AssertionError, match=law):
        check_model(model)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="is no model: neither an instance of a class"):
        check_model(Lawful)
    with pytest.raises(ValueError, match="name them, check_model"):
        LiveModelLaws(Nameless()).missing()


class Nameless(Lawful):
    def __init__(self) -> None:
        super().__init__()
        self.config = Empty()


@dataclass(frozen=True)
class Empty:
    """No setting."""


def example(name: str) -> tuple[Array, Array]:
    """Return features of a made-up moment, and what stays open of the rest."""
    stored = model_card.load(name)
    rest = BaselinePrior.restore(stored.part("rest"))
    rng = np.random.default_rng(7)
    z = rng.standard_normal(len(rest.mean)) * np.sqrt(rest.within)
    return z, np.zeros(len(z))


@shipped
def test_10_weights_answer_as_when_they_were_published(name: str) -> None:
    z, none = example(name)
    model = model_card.load(name).model()
    missing = z.copy()
    missing[: len(z) // 2] = MissingReason.NO_SIGNAL.nan
    got = [
        [[None if np.isnan(v) else float(v) for v in part] for part in said]
        for said in (model.predict(z, none), model.predict(missing, none))
    ]
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    # float32 sums of some hundred terms differ by their order between processors
    np.testing.assert_allclose(
        np.array(got, np.float64), np.array(golden, np.float64), rtol=1e-4, atol=1e-5
    )


@shipped
def test_weights_are_small_and_their_card_is_whole(name: str) -> None:
    stored = model_card.load(name)
    card = stored.card
    assert (model_card.STORE / name / "weights.safetensors").stat().st_size < 3_000_000
    assert card.origin in (Origin.MEASURED, Origin.SIMULATED)
    for text in (card.data, card.citation, card.licence, card.protocol, card.command):
        assert text
    assert card.figures
    assert card.limits
    told = (model_card.STORE / name / "CARD.md").read_text("utf-8")
    assert all(limit in told for limit in card.limits)
    assert f"**{card.origin} participants**" in told
    assert len(card.columns) == LiveModelLaws(stored.model()).width


def test_the_wrist_weights_never_saw_the_participant_of_the_demonstration() -> None:
    card = model_card.load("wrist").card
    seen = card.data.partition("(")[2].partition(")")[0].split(", ")
    assert len(seen) == 11
    assert "S10" not in seen
    assert card.supports == ("valence", "arousal")


def test_a_rest_is_the_sum_over_its_seconds() -> None:
    resting = BaselineAccumulator.empty(2)
    rows = np.array([[np.nan, np.nan], [1.0, np.nan], [np.nan, np.nan], [3.0, 5.0]])
    for row in rows:
        resting.add(row, 0.25)
    assert resting.total.tolist() == [1.0, 1.25]
    assert resting.seconds.tolist() == [0.5, 0.25]
    assert resting.past[0] == 0.75  # it began with the first feature there was
    resting.reset()
    assert not any(part.any() for part in resting)
