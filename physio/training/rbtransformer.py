"""RBTransformer as a model for evaluations, trained in each fold."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from physio.core.block import Array
from physio.datasets.feature_table import WHY
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.models.nested_cv import INNER
from physio.io.montage import nearest, places
from physio.models.rbtransformer import (
    RBTransformer,
    RBTransformerConfig,
    single_thread,
)
from physio.training import attribution, masked_pretraining, trainer
from physio.training.checkpoint import Checkpoints
from physio.training.trainer import TrainingConfig

CURVE: Final = "curve.json"
"""File in a network's folder with the seed and the mean loss of each epoch."""

_ROWS: Final = 1024  # windows in a batch of inference


class Tokens(NamedTuple):
    """Features of a table, arranged as one token per electrode.

    ``x`` has shape (n, electrodes, bands), NaN where a feature is missing.
    """

    x: Array
    electrodes: tuple[str, ...]
    bands: tuple[str, ...]

    def of(self, wanted: Sequence[str]) -> "Tokens":
        """Return the tokens of ``wanted`` electrodes, in order; of all if it is empty.

        Raises
        ------
        ValueError
            If the table lacks one of the electrodes.
        """
        if not wanted:
            return self
        if unknown := [e for e in wanted if e not in self.electrodes]:
            raise ValueError(
                f"the table has no electrode {unknown[0]!r}; it has "
                f"{', '.join(self.electrodes)}"
            )
        at = [self.electrodes.index(e) for e in wanted]
        return Tokens(self.x[:, at], tuple(wanted), self.bands)


class Trained(NamedTuple):
    """Networks and scaling fitted to a fold's training participants.

    ``networks``: one network for each seed; ``electrodes``: the training electrodes;
    ``scale``: the divisor of the features, shape (electrodes, bands).
    """

    networks: tuple[RBTransformer, ...]
    electrodes: tuple[str, ...]
    scale: Array


def tokens(table: pd.DataFrame, front: str) -> Tokens:
    """Return the columns ``<front>.<band>.<electrode>`` of a table as tokens.

    Raises
    ------
    ValueError
        If there are no such columns, or electrodes have different bands.
    """
    names = [
        c.removeprefix(f"{front}.").split(".")
        for c in map(str, table.columns)
        if c.startswith(f"{front}.") and not c.endswith(WHY)
    ]
    bands = tuple(dict.fromkeys(n[0] for n in names))
    electrodes = tuple(dict.fromkeys(n[-1] for n in names))
    columns = [f"{front}.{b}.{e}" for e in electrodes for b in bands]
    if not names or (lacking := [c for c in columns if c not in table.columns]):
        inputs = f"no column {lacking[0]!r}" if names else f"no feature of {front}"
        raise ValueError(
            f"the table has {inputs}: tokens are columns {front}.<band>.<electrode>, "
            "every band of every electrode"
        )
    x = table[columns].to_numpy(np.float64)
    return Tokens(x.reshape(len(x), len(electrodes), len(bands)), electrodes, bands)


@dataclass(frozen=True)
class RBTransformerClassifier:
    """Classifier with an RBTransformer on the tokens of a table.

    Parameters
    ----------
    network
        Size of the network; electrodes, bands, classes and positions are taken from the
        table.
    schedule
        Training settings.
    front
        Prefix of the names of the token columns.
    embedding
        Embedding that identifies electrodes: see `RBTransformerConfig`.
    seeds
        Number of networks, each trained with another seed; their outputs are averaged.
    scale
        Whether to divide features by their standard deviation in the training rows.
    oversample
        Whether to balance the classes by SMOTE, in the training rows alone.
    pretrain
        Number of epochs of self-supervised pretraining on the training participants'
        windows, in which the features of masked electrodes are predicted.
    learns
        Training electrodes; by default all of the table.
    present
        Electrodes that are present in the test; by default the training electrodes.
        Other electrodes need ``embedding = "place"``.
    folder
        Parent folder of checkpoints and loss curves, with one folder per fold; an
        interrupted run is resumed. Networks of inner folds are not stored.
    """

    network: RBTransformerConfig = field(default_factory=RBTransformerConfig)
    schedule: TrainingConfig = field(default_factory=TrainingConfig)
    front: str = "eeg.de"
    embedding: Literal["learned", "place", "none"] = "learned"
    seeds: int = 1
    scale: bool = True
    oversample: bool = False
    pretrain: int = 0
    learns: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    folder: Path | None = None

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the classes, shape (test rows, classes)."""
        return self.answer(self.trained(given), given)

    def trained(self, given: FoldData) -> Trained:
        """Return the networks and scaling fitted to the training rows of a fold."""
        if not given.classes:
            raise ValueError("this network tells classes; its affect head is for live")
        trained = tokens(given.table, self.front).of(self.learns)
        train = given.fold.train
        size = self.size(trained, len(given.classes))
        scale = np.ones(trained.x.shape[1:])
        if self.scale:
            scale = np.nanstd(trained.x[train], axis=0)
            scale = np.where(scale > 0, scale, 1.0)
        x, y = trained.x[train] / scale, given.y[train]
        networks = [
            self._fitted(size, x, y, given.seed + k, self._into(given, k))
            for k in range(self.seeds)
        ]
        return Trained(tuple(networks), trained.electrodes, scale)

    def answer(self, trained: Trained, given: FoldData) -> Array:
        """Return the mean output of the networks for the test rows of a fold."""
        trained, shown = self._shown(trained, tokens(given.table, self.front))
        x = shown.x[given.fold.test] / trained.scale
        total: Any = 0.0
        for k, network in enumerate(trained.networks):
            total = total + probabilities(network, x)
            into = self._into(given, k)
            if into is not None:
                outputs = attribution.attribution(network, x, given.seed)
                names = {"electrodes": shown.electrodes, "bands": shown.bands}
                attribution.write(into, {"fold": given.fold.name, **names, **outputs})
        return np.asarray(total / self.seeds)

    def size(self, shape: Tokens, classes: int) -> RBTransformerConfig:
        """Return the settings of a network for the given tokens and classes."""
        at: Any = ()
        if self.embedding == "place":
            at = tuple(tuple(p) for p in places(shape.electrodes).tolist())
        return replace(
            self.network,
            electrodes=len(shape.electrodes),
            bands=len(shape.bands),
            classes=classes,
            embedding=self.embedding,
            places=at,
        )

    def _shown(self, trained: Trained, tokens: Tokens) -> tuple[Trained, Tokens]:
        """Return networks for the test electrodes, and the tokens of these electrodes.

        An electrode outside the training montage has the scale of the nearest training
        electrode.
        """
        present = self.present or trained.electrodes
        shown = tokens.of(present)
        if set(present) <= set(trained.electrodes):
            columns = tokens.of(trained.electrodes)
            usable = np.isin(trained.electrodes, present)
            x = np.where(usable[:, None], columns.x, np.nan)
            return trained, columns._replace(x=x)
        at = places(present).tolist()
        networks = tuple(network.for_montage(at) for network in trained.networks)
        scale = trained.scale[nearest(present, trained.electrodes)]
        return Trained(networks, shown.electrodes, scale), shown

    def _into(self, given: FoldData, k: int) -> Path | None:
        if self.folder is None or given.fold.name.startswith(INNER):
            return None
        return self.folder / f"{given.fold.name} {k}".replace("/", "-")

    def _fitted(
        self, size: RBTransformerConfig, x: Array, y: Any, seed: int, into: Path | None
    ) -> RBTransformer:
        begin = None
        if self.pretrain:
            quiet = replace(self.schedule, epochs=self.pretrain)
            begin = masked_pretraining.fit(size, x, quiet, seed)
        if self.oversample:
            x, y = oversampled(x, y, seed)
        checkpoints = None if into is None else Checkpoints(into)
        network = trainer.fit(
            size, x, y, self.schedule, seed, begin=begin, checkpoints=checkpoints
        )
        if into is not None:
            text = json.dumps({"seed": seed, "losses": network.losses})
            (into / CURVE).write_text(text + "\n", "utf-8")
        return network.model


def probabilities(model: RBTransformer, x: Array) -> Array:
    """Return the probabilities of the classes, shape (n, classes).

    Electrodes with a missing band are masked; a row without any electrode is NaN.
    """
    batch: Any = np.isfinite(x).all(axis=2)
    some = batch.any(axis=1)
    output = np.full((len(x), model.config.classes), np.nan)
    filled = torch.as_tensor(np.where(batch[..., None], x, 0), dtype=torch.float32)
    mask = None if batch.all() else torch.as_tensor(batch)
    with torch.no_grad(), single_thread():
        parts = [
            model(
                filled[i : i + _ROWS], None if mask is None else mask[i : i + _ROWS]
            ).softmax(dim=1)
            for i in range(0, len(x), _ROWS)
        ]
    output[some] = torch.cat(parts).double().numpy()[some]
    return output


def oversampled(x: Array, y: Any, seed: int) -> tuple[Array, Any]:
    """Return windows with all classes oversampled to the majority class by SMOTE.

    Parameters
    ----------
    x, y
        Windows and classes of the training rows alone; each synthetic window lies
        between two of them.
    seed
        Seed of the selection of the pairs and of the positions between them.

    Raises
    ------
    ValueError
        If imbalanced-learn is not installed, or a class has fewer than six windows.
    """
    try:
        from imblearn.over_sampling import SMOTE
    except ImportError:
        raise ValueError(
            "oversampling needs imbalanced-learn: pip install 'physio-affect[train]'"
        ) from None
    if np.bincount(y).min(initial=6, where=np.bincount(y) > 0) < 6:
        raise ValueError(
            "SMOTE needs six windows of each class; here a class has "
            f"{np.bincount(y)[np.bincount(y) > 0].min()}"
        )
    flat, sampled = SMOTE(random_state=seed).fit_resample(x.reshape(len(x), -1), y)
    return flat.reshape(-1, *x.shape[1:]), sampled
