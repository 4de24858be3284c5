"""Storage of trained weights."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from physio.core.block import Array, Origin
from physio.models import model_card
from physio.models.base import Model
from physio.models.baseline import BaselinePrior
from physio.models.golden import example


def minimal_card(
    use: str,
    columns: tuple[tuple[str, str], ...],
    rest: float,
    origin: Origin,
    supports: tuple[str, ...],
) -> model_card.ModelCard:
    """Return a model card with only the fields that are needed to run the weights."""
    return model_card.ModelCard(
        use=use,
        config={},
        columns=columns,
        baseline=rest,
        origin=origin,
        supports=supports,
        data="",
        citation="",
        licence="",
        protocol="",
        figures={},
        limits=(),
        command="",
    )


def store(
    folder: Path,
    card: model_card.ModelCard,
    model: Model,
    rest: BaselinePrior,
    prior: tuple[Array, Array],
    more: Mapping[str, Array] = MappingProxyType({}),
) -> model_card.Weights:
    """Store a model with its card, to which the model's settings are added.

    An example of inputs and outputs is stored too, which the weights must repeat when
    they are loaded.

    Parameters
    ----------
    folder
        Folder of the weights; its last part is their name.
    card
        Model card of the weights.
    model, rest
        Trained model, and prior of the resting baselines.
    prior
        Mean and standard deviation of the ratings without any feature, (3,) each.
    more
        Additional arrays: ``density.limit``, ``participant.cov``.
    """
    arrays = {f"model.{k}": v for k, v in model.arrays().items()}
    arrays |= {f"rest.{k}": v for k, v in rest.arrays().items()}
    arrays |= {"prior.mean": prior[0], "prior.sd": prior[1]}
    arrays |= more
    card = replace(card, config=asdict(model.config))
    return model_card.save(folder, card, arrays, example(model, rest.arrays()))


def renew_example(folder: Path, trust: tuple[str, ...] = ()) -> None:
    """Store the example of a folder anew, after a change that its outputs are due to.

    Parameters
    ----------
    folder
        Folder of the weights.
    trust
        Packages, beside this library, that may define the model.
    """
    card = model_card.ModelCard.parse(
        (folder / "card.json").read_text("utf-8"), folder / "card.json"
    )
    arrays = model_card.read_arrays(folder)
    weights = model_card.Weights(folder.name, card, arrays, {})
    given = example(weights.restored(trust), weights.part("rest"))
    model_card.save(folder, card, arrays, given)


def results_text(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return rows of results as text for the figures of a card."""
    return {
        f"{r['model']}: {r['metric']}": f"{r['mean']:.2f} "
        f"({r['low']:.2f} to {r['high']:.2f})"
        for r in rows
    }
