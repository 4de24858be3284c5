"""Learner of RBTransformer on tokens: differential entropy by electrode and band."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import torch

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.inference.token_model import (
    TokenModel,
    TokenModelConfig,
    standardized_tokens,
)
from physio.io.montage import places
from physio.models.rbtransformer import RBTransformerConfig
from physio.training import checkpoint, trainer
from physio.training.checkpoint import Checkpoints
from physio.training.learner import (
    Progress,
    ProgressOf,
    Rows,
    Samples,
    trained_rows,
)
from physio.training.linear_learner import refuse_classes, refuse_ratings
from physio.training.moments import TOKEN

SIZES: Final = {
    "small": RBTransformerConfig(width=32, blocks=2, heads=2, head_width=16),
    "published": RBTransformerConfig(),
}
"""Sizes of the network: one for a CPU, and the published one."""

_DESCRIBED: Final = ("electrodes", "bands", "head", "classes", "embedding", "places")


@dataclass(frozen=True)
class RBTransformerLearner:
    """Learner of RBTransformer: attention between electrodes on their entropy.

    Its features are tokens, ``form = "tokens"`` in ``[features]``. Complete rows
    train, those of long trials and frequent classes thinned; there is no early
    stopping, and the figure of the progress is the loss in training.

    Parameters
    ----------
    size
        ``small``, a fortieth of the parameters, trains on a CPU; ``published`` is the
        network of the publication.
    montage
        ``training``: the weights run with the electrodes of the training, each of which
        has a learned vector, as published. ``any``: electrodes are encoded by their
        position, and the weights run with any headset whose electrodes have names of
        the 10-05 system.
    settings
        Further settings of `physio.models.rbtransformer.RBTransformerConfig`, as
        ``pooling = "flat"``, which is better with the montage of the training.
    epochs, batch, rate, decay
        Number of epochs, batch size, initial learning rate and weight decay of AdamW,
        with a cosine schedule.
    missing
        Maximum proportion of electrodes that are left out at random in training, so
        that the network tolerates missing ones.
    device
        Device of torch; by default the GPU where there is one.
    """

    size: Literal["small", "published"] = "small"
    montage: Literal["training", "any"] = "training"
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 30
    batch: int = 64
    rate: float = 1e-3
    decay: float = 1e-3
    missing: float = 0.3
    device: str = ""
    _store: Path | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if given := [k for k in self.settings if k in _DESCRIBED]:
            raise ValueError(
                f"settings.{given[0]} follows from the data and from montage, and is "
                "not set"
            )
        self._size(("Cz",), ("alpha",), 2)
        self._schedule()

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        usable = np.flatnonzero(_usable(samples))
        used = np.zeros(len(samples), np.bool_)
        used[usable[resampled(samples.take(usable))]] = True
        if (count := int(used.sum())) == len(usable):
            return trained_rows(used, "an electrode with all bands")
        return (
            f"{count} of {len(samples)} moments train the stored weights: of the "
            f"{len(usable)} with an electrode with all bands, those of long trials and "
            "of frequent classes are thinned, so that all count the same."
        )

    def resuming(self, folder: Path) -> Self:
        """Return a copy that stores its epochs in a folder, and resumes from them.

        A fit that was stopped gives the same bits when it is called again.
        """
        return replace(self, _store=folder)

    def fit(self, samples: Samples, progress: ProgressOf) -> TokenModel:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        refuse = refuse_ratings if samples.classes else refuse_classes
        refuse(samples, "RBTransformer")
        electrodes, bands = token_names(samples.columns)
        samples = samples.take(np.flatnonzero(_usable(samples)))
        x = samples.x.reshape(len(samples), len(electrodes), len(bands))
        center, scale = np.nanmean(x, axis=(0, 1)), np.nanstd(x, axis=(0, 1))
        scale = np.where(scale > 1e-9, scale, 1.0)
        size = self._size(electrodes, bands, len(samples.classes))
        rows = resampled(samples)
        tokens = standardized_tokens(x, center, scale)[rows]
        targets = _targets(samples)[rows]
        stored = self._stored(samples.seed, tokens, targets)
        fitted = trainer.fit(
            size,
            tokens,
            targets,
            self._schedule(),
            samples.seed,
            checkpoints=stored,
            on_progress=lambda epoch, loss: progress(
                Progress(epoch + 1, self.epochs, loss, "training loss")
            ),
        )
        if stored is not None:
            shutil.rmtree(stored.folder, ignore_errors=True)
        config = TokenModelConfig(size, samples.targets, samples.classes)
        return TokenModel(config, fitted.model, center, scale)

    def _stored(self, seed: int, x: Array, y: Array) -> Checkpoints | None:
        """Return the place of the epochs of this fit; None where none is wanted."""
        if self._store is None:
            return None
        tensors = (torch.from_numpy(np.ascontiguousarray(part)) for part in (x, y))
        mark = checkpoint.mark(repr(self), repr(self._schedule()), seed, *tensors)
        return Checkpoints(self._store / f"fit-{mark[:24]}", every=1)

    def _size(
        self, electrodes: Sequence[str], bands: Sequence[str], classes: int
    ) -> RBTransformerConfig:
        """Return the settings of the network."""
        shape: dict[str, Any] = {"electrodes": len(electrodes), "bands": len(bands)}
        if self.montage == "any":
            at = tuple(tuple(p) for p in places(electrodes).tolist())
            shape |= {"embedding": "place", "places": at}
        shape |= {"classes": classes} if classes else {"head": "affect"}
        try:
            size = replace(SIZES[self.size], **{**self.settings, **shape})
        except TypeError as error:
            raise ValueError(f"settings of RBTransformer: {error}") from None
        if self.montage == "any" and size.pooling != "mean":
            raise ValueError(
                "montage = 'any' needs pooling = 'mean': a head that reads all "
                "electrodes side by side knows only those of the training"
            )
        return size

    def _schedule(self) -> trainer.TrainingConfig:
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return trainer.TrainingConfig(
            self.epochs,
            (self.batch,),
            self.rate,
            self.decay,
            clip=1.0,
            missing=self.missing,
            device=device,
        )


def token_names(
    columns: Sequence[tuple[str, str]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the electrodes and bands of tokens, in order.

    Parameters
    ----------
    columns
        Features with their transforms: ``<chain>.de.<band>.<electrode>``, all bands of
        an electrode, then those of the next.

    Raises
    ------
    ValueError
        If these are no tokens.
    """
    matches = [TOKEN.fullmatch(name) for name, _ in columns]
    parts = [(m["band"], m["electrode"]) for m in matches if m]
    bands = tuple(dict.fromkeys(band for band, _ in parts))
    electrodes = tuple(dict.fromkeys(electrode for _, electrode in parts))
    wanted = [(band, electrode) for electrode in electrodes for band in bands]
    if not parts or None in matches or parts != wanted:
        first = columns[0][0] if columns else "none"
        raise ValueError(
            "RBTransformer reads tokens, all bands of one electrode after the other, "
            f"and the features begin with {first}: set form = 'tokens' in [features], "
            "without columns"
        )
    return electrodes, bands


def resampled(samples: Samples) -> Rows:
    """Return as many rows as there are, each as often as its weight says.

    Rows of a weight of 1 occur once; the remainders are drawn systematically, so that
    every sum of weights is met within one row.
    """
    ends = np.concatenate([[0.0], np.cumsum(samples.row_weights)])
    marks = np.floor(ends * (1 + 1e-12) + 0.5).astype(np.intp)
    return np.repeat(np.arange(len(samples)), np.diff(marks))


def _targets(samples: Samples) -> Array:
    """Return class numbers, or ratings in the order of all dimensions, (n, 3)."""
    if samples.classes:
        return np.asarray(samples.y)
    y = np.full((len(samples), len(DIMENSIONS)), np.nan)
    y[:, scale_places(samples.targets)] = samples.y
    return y


def _usable(samples: Samples) -> Any:
    """Return the mask of the rows with a whole electrode and a target."""
    electrodes, _ = token_names(samples.columns)
    x = samples.x.reshape(len(samples), len(electrodes), -1)
    usable: Any = np.isfinite(x).all(axis=2)
    usable = usable.any(axis=1)
    if samples.targets:
        usable &= np.isfinite(samples.y).any(axis=1)
    return usable
