"""Fits of a learner in each fold, as models of an evaluation; stored on disk."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.models.baselines import Model as EvaluatedModel
from physio.training.learner import Learner, ProgressOf
from physio.training.moment_set import MomentSet
from physio.training.moments import Rows


@dataclass(eq=False)
class FoldFits:
    """A learner, fitted in each fold to the training moments alone.

    The distribution of baselines is that of the training recordings, and the inputs and
    answers are those of a session. The answers of a fold are stored in a folder, so
    that a run that was stopped goes on with the next fold.

    Parameters
    ----------
    moments
        The moments.
    learner
        The learner.
    mark
        Text that names learner and settings, for the stored answers.
    store
        Folder of the stored answers.
    progress
        Callback of the learner.
    """

    moments: MomentSet
    learner: Learner
    mark: str
    store: Path
    progress: ProgressOf
    answers: dict[str, Array] = field(default_factory=dict)
    _held_out: Array | None = None

    def of(self, given: FoldData) -> Array:
        """Return the answers to the test rows of a fold: see `MomentSet.outputs`."""
        number = given.table["moment"].to_numpy(np.intp)
        train, test = number[given.fold.train], number[given.fold.test]
        text = repr((self.mark, self.moments.fingerprint, train.tolist()))
        name = hashlib.sha256(text.encode() + test.tobytes()).hexdigest()[:24]
        if name not in self.answers:
            self.answers[name] = self._stored(name, train, test)
            self.held_out[test] = self.answers[name]
        return self.answers[name]

    @property
    def held_out(self) -> Array:
        """Answers to all moments while they were held out, NaN for those never tested.

        The shapes are those of `MomentSet.outputs`.
        """
        if self._held_out is None:
            width = len(self.moments.classes) or len(self.moments.targets)
            shape = (len(self.moments), width, *((2,) if self.moments.targets else ()))
            self._held_out = np.full(shape, np.nan)
        return self._held_out

    def target(self, k: int) -> EvaluatedModel:
        """Return the model of an evaluation of one rating, or of the classes."""

        def model(given: FoldData) -> Array:
            answers = self.of(given)
            return answers if self.moments.classes else answers[:, k]

        return model

    def _stored(self, name: str, train: Rows, test: Rows) -> Array:
        path = self.store / f"fold-{name}.npy"
        if path.is_file():
            return np.asarray(np.load(path, allow_pickle=False))
        known = train[self._labelled(train)]
        prior = self.moments.prior(known)
        z, _ = self.moments.inputs(prior)
        model = self.learner.fit(self.moments.samples(known, z), self.progress)
        answers = self.moments.outputs(model, test, prior)
        self.store.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, answers)
        part.replace(path)
        return answers

    def _labelled(self, rows: Rows) -> Any:
        y = self.moments.y[rows]
        return y >= 0 if self.moments.classes else np.isfinite(y).any(axis=1)


@dataclass(frozen=True, eq=False)
class RelativeModel:
    """A model of an evaluation on features relative to the baseline.

    Parameters
    ----------
    moments
        The moments.
    model
        The model, which reads `FoldData.x`.
    columns
        Numbers of the features that it reads.
    """

    moments: MomentSet
    model: Callable[[FoldData], Array]
    columns: tuple[int, ...]

    def __call__(self, given: FoldData) -> Array:
        """Return the outputs for the test rows."""
        number = given.table["moment"].to_numpy(np.intp)
        prior = self.moments.prior(number[given.fold.train])
        z = self.moments.inputs(prior)[0][:, list(self.columns)]
        x = np.full((len(number), z.shape[1]), np.nan)
        x[number >= 0] = z[number[number >= 0]]
        return self.model(given._replace(x=x))
