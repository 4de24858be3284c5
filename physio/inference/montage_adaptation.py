"""Weights on the headset that is worn: which of its electrodes a network can read."""

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Final, NamedTuple

from physio.models import model_card
from physio.models.baseline import BaselinePrior

Columns = tuple[tuple[str, str], ...]
"""Features, ``<chain>.<feature>.<band>.<electrode>``, and how each is read."""

_NETWORK: Final = "physio.models.rbtransformer:RBTransformer"
_TRACKER: Final = "physio.models.gp_smoother:GaussianSmoother"


class MontageAdaptation(NamedTuple):
    """What weights read, and what reads it.

    ``columns``: the features; ``model``: in the way in which it answers soonest;
    ``rest``: how participants's rests differ, of those features.
    """

    columns: Columns
    model: model_card.Model
    rest: BaselinePrior


def adapt_to_montage(
    stored: model_card.Weights, names: Sequence[str]
) -> MontageAdaptation:
    """Return weights for the electrodes that there are.

    A network that knows electrodes by their place runs on any headset. An electrode
    that it was not trained with rests as the nearest one does that it was.

    Parameters
    ----------
    stored
        The weights.
    names
        The features there are.
    """
    columns, rest = read(stored.card, names), BaselinePrior.restore(stored.part("rest"))
    model = _shared(stored) if stored.card.use == _TRACKER else stored.model()
    if columns != stored.card.columns:
        from physio.io.montage import nearest, places
        from physio.models.rbtransformer import RBTransformer

        if not isinstance(model, RBTransformer):
            raise TypeError(f"{stored.card.use} does not know electrodes by place")
        own, trained = _electrodes(columns), _electrodes(stored.card.columns)
        bands = model.config.bands
        model = model.on(places(own).tolist())
        at = [k * bands + b for k in nearest(own, trained) for b in range(bands)]
        rest = BaselinePrior(
            **{f.name: getattr(rest, f.name)[at] for f in fields(BaselinePrior)}
        )
    if stored.card.use == _NETWORK:
        from physio.inference.onnx import (
            to_onnx_model,  # with torch: only where it is needed
        )

        model = to_onnx_model(model)
    return MontageAdaptation(columns, model, rest)


@lru_cache(maxsize=8)
def _shared(stored: model_card.Weights) -> model_card.Model:
    """Return a model that all sessions share: it is large, and slow to make."""
    return stored.model()


def read(card: model_card.ModelCard, names: Sequence[str]) -> Columns:
    """Return the features that weights read where there are ``names``.

    Those on their card; or, where they know electrodes by place, the same features of
    the electrodes there are. Electrodes that nobody knows the place of are left out.
    """
    if not _anywhere(card) or {name for name, _ in card.columns} <= set(names):
        return card.columns
    from physio.io.montage import known

    how = {name.rpartition(".")[0]: kind for name, kind in card.columns}
    each = [set(_of(front, names)) for front in how]
    there = [e for e in _of(next(iter(how)), names) if all(e in s for s in each)]
    found = known(there)
    if not found:
        return card.columns
    return tuple((f"{front}.{e}", kind) for e in found for front, kind in how.items())


def unplaced(experts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return a sentence on each of some weights that cannot read all electrodes."""
    from physio.io.montage import known

    said = []
    for expert in experts:
        card = model_card.load(expert).card
        if not _anywhere(card):
            continue
        there = _of(card.columns[0][0].rpartition(".")[0], names)
        lost = [e for e in there if e not in known(there)]
        if lost:
            said.append(
                f"{expert}: without {', '.join(lost)}, as nobody knows where that is; "
                "names are those of the 10-05 system"
            )
    return said


def _anywhere(card: model_card.ModelCard) -> bool:
    """Tell whether weights run on electrodes that they were not trained with."""
    by_place = card.config.get("embedding") == "place"
    return card.use == _NETWORK and by_place and card.config.get("pooling") == "mean"


def _electrodes(columns: Columns) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name, _ in columns))


def _of(front: str, names: Sequence[str]) -> list[str]:
    """Return the electrodes that have a feature."""
    found = [n.removeprefix(f"{front}.") for n in names if n.startswith(f"{front}.")]
    return [e for e in found if "." not in e]
