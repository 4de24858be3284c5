"""Adaptation of a model to the headset that is worn."""

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from physio.inference.onnx import to_onnx_model
from physio.models import model_card
from physio.models.base import Model
from physio.models.baseline import BaselinePrior

if TYPE_CHECKING:
    from physio.inference.expert import Expert

Columns = tuple[tuple[str, str], ...]
"""Features, ``<chain>.<feature>.<band>.<electrode>``, and the transform of each."""


class MontageAdaptation(NamedTuple):
    """A model on the electrodes that are worn.

    ``columns``, the features that it reads; ``model``, in its fastest form;
    ``baseline``, the distribution of the participants' baselines of those features.
    """

    columns: Columns
    model: Model
    baseline: BaselinePrior


def adapt_to_montage(
    stored: model_card.Weights, names: Sequence[str], trust: tuple[str, ...] = ()
) -> MontageAdaptation:
    """Return weights for the electrodes that are present.

    A network that knows electrodes by their positions runs on any headset. An electrode
    that it was not trained with has the baseline of the nearest one that it was.

    Parameters
    ----------
    stored
        The weights.
    names
        The features that are present.
    trust
        Packages, beside this library, from which the model may come.

    Raises
    ------
    ValueError
        If the model is of no trusted package.
    """
    columns = read(stored, names, trust)
    baseline = BaselinePrior.restore(stored.part("rest"))
    model = _restored(stored, trust)
    if columns != stored.card.columns:
        from physio.io.montage import nearest, places

        worn, trained = _electrodes(columns), _electrodes(stored.card.columns)
        bands = len(columns) // len(worn)
        model = model.for_montage(places(worn).tolist())
        at = [k * bands + b for k in nearest(worn, trained) for b in range(bands)]
        baseline = BaselinePrior(
            **{f.name: getattr(baseline, f.name)[at] for f in fields(BaselinePrior)}
        )
    return MontageAdaptation(columns, to_onnx_model(model), baseline)


@lru_cache(maxsize=8)
def _shared(stored: model_card.Weights, trust: tuple[str, ...]) -> Model:
    """Return a model that all sessions share: it is large, and slow to make."""
    return stored.model(trust)


def _restored(stored: model_card.Weights, trust: tuple[str, ...]) -> Model:
    """Return the model of weights, a shared one where its class says so."""
    if stored.model_class(trust).shared:
        return _shared(stored, trust)
    return stored.model(trust)


def read(
    stored: model_card.Weights, names: Sequence[str], trust: tuple[str, ...] = ()
) -> Columns:
    """Return the features that weights read where ``names`` are present.

    Those on their card; or, where the model knows electrodes by their positions, the
    same features of the electrodes that are present. Electrodes of unknown position are
    left out. Parameters and errors as of `adapt_to_montage`.
    """
    card = stored.card
    trained = {name for name, _ in card.columns}
    if trained <= set(names) or not _fits_any_montage(stored, trust):
        return card.columns
    from physio.io.montage import known

    transforms = {name.rpartition(".")[0]: scale for name, scale in card.columns}
    of_feature = [set(_of(front, names)) for front in transforms]
    candidates = _of(next(iter(transforms)), names)
    electrodes = known([e for e in candidates if all(e in s for s in of_feature)])
    if not electrodes:
        return card.columns
    return tuple(
        (f"{front}.{e}", scale)
        for e in electrodes
        for front, scale in transforms.items()
    )


def unplaced(experts: Sequence["Expert"], names: Sequence[str]) -> list[str]:
    """Return a sentence on each expert whose model cannot read all electrodes."""
    from physio.io.montage import known

    messages = []
    for expert in experts:
        stored = model_card.load(expert.weights)
        if not _fits_any_montage(stored, expert.trust):
            continue
        present = _of(stored.card.columns[0][0].rpartition(".")[0], names)
        unknown = [e for e in present if e not in known(present)]
        if unknown:
            messages.append(
                f"{expert.weights}: without {', '.join(unknown)}, whose positions are "
                "unknown; names are those of the 10-05 system"
            )
    return messages


def _fits_any_montage(stored: model_card.Weights, trust: tuple[str, ...]) -> bool:
    return stored.model_class(trust).fits_any_montage(stored.card.config)


def _electrodes(columns: Columns) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name, _ in columns))


def _of(front: str, names: Sequence[str]) -> list[str]:
    """Return the electrodes that have a feature."""
    rests = [n.removeprefix(f"{front}.") for n in names if n.startswith(f"{front}.")]
    return [e for e in rests if "." not in e]
