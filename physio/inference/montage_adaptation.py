"""Adaptation of a model to the electrodes of the headset in use."""

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
    """Model adapted to the electrodes that are present.

    ``columns``: the features that the model reads; ``model``: the model in its fastest
    form; ``baseline``: the distribution of the participants' baselines in those
    features; ``stands_for``: the feature of the training that each of them stands for,
    None with the electrodes of the training.
    """

    columns: Columns
    model: Model
    baseline: BaselinePrior
    stands_for: tuple[int, ...] | None = None


def adapt_to_montage(
    stored: model_card.Weights, names: Sequence[str], trust: tuple[str, ...] = ()
) -> MontageAdaptation:
    """Return weights for the electrodes that are present.

    A network with position embeddings of electrodes runs on any headset. An electrode
    outside the training montage has the baseline of the nearest training electrode.

    Parameters
    ----------
    stored
        The weights.
    names
        Features that are present.
    trust
        Packages, beside this library, that may define the model.

    Raises
    ------
    ValueError
        If no trusted package defines the model.
    """
    columns = read(stored, names, trust)
    baseline = BaselinePrior.restore(stored.part("rest"))
    model, index = _restored(stored, trust), None
    if columns != stored.card.columns:
        from physio.io.montage import nearest, places

        worn, trained = _electrodes(columns), _electrodes(stored.card.columns)
        bands = len(columns) // len(worn)
        model = model.for_montage(places(worn).tolist())
        near = nearest(worn, trained)
        at = [k * bands + b for k in near for b in range(bands)]
        index = tuple(at)
        baseline = BaselinePrior(
            **{f.name: getattr(baseline, f.name)[at] for f in fields(BaselinePrior)}
        )
    return MontageAdaptation(columns, to_onnx_model(model), baseline, index)


@lru_cache(maxsize=8)
def _shared(stored: model_card.Weights, trust: tuple[str, ...]) -> Model:
    """Return a model that all sessions share, because it is large and slow to build."""
    return stored.model(trust)


def _restored(stored: model_card.Weights, trust: tuple[str, ...]) -> Model:
    """Return the model of weights, shared if its class requests that."""
    if stored.model_class(trust).shared:
        return _shared(stored, trust)
    return stored.model(trust)


def read(
    stored: model_card.Weights, names: Sequence[str], trust: tuple[str, ...] = ()
) -> Columns:
    """Return the features that weights read if ``names`` are present.

    These are the features on the card. If the model embeds electrodes by position, they
    are the same features of the electrodes that are present, without electrodes of
    unknown position. Parameters and errors are those of `adapt_to_montage`.
    """
    card = stored.card
    trained = {name for name, _ in card.columns}
    if trained <= set(names):
        return card.columns
    from physio.io.montage import known

    transforms = {name.rpartition(".")[0]: scale for name, scale in card.columns}
    of_feature = [set(_of(front, names)) for front in transforms]
    candidates = _of(next(iter(transforms)), names)
    electrodes = known([e for e in candidates if all(e in s for s in of_feature)])
    # The class is imported last, as it may need a large package.
    if not electrodes or not _fits_any_montage(stored, trust):
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
    """Return the electrodes with a feature of this prefix."""
    rests = [n.removeprefix(f"{front}.") for n in names if n.startswith(f"{front}.")]
    return [e for e in rests if "." not in e]
