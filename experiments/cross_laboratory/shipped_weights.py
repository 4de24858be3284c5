"""Shipped weights on changes from a person's rest: nothing is trained."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData
from physio.models import model_card


@dataclass(frozen=True)
class ShippedWeights:
    """Arousal of shipped weights for windows that did not train them.

    Parameters
    ----------
    features
        Columns of the table, already relative to the person's rest, in the order of the
        features of the weights.
    weights
        Name of the weights.
    """

    features: tuple[str, ...]
    weights: str = "wrist"

    def __call__(self, given: FoldData) -> Array:
        model = model_card.load(self.weights).model()
        rows = given.table[list(self.features)].to_numpy(np.float64)[given.fold.test]
        none = np.zeros(rows.shape[1])
        arousal = DIMENSIONS.index("arousal")
        x = np.array([model.predict(row, none)[0][arousal] for row in rows])
        p = expit(np.nan_to_num((x - np.nanmean(x)) / (np.nanstd(x) or 1.0)))
        return np.stack([1 - p, p], axis=1)
