"""How the errors of shipped experts go together."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

import physio.assets
from physio.core.block import Array
from physio.models.fusion import nearest

ERRORS: Final = Path(physio.assets.__file__).parent / "errors.json"
"""What was measured on participants left out, pair by pair: see `experiments.weights.error_model`."""


@lru_cache(maxsize=64)
def known_errors(names: tuple[str, ...], marks: tuple[str, ...]) -> Array | None:
    """Return how the errors of experts go together, if that was measured.

    Parameters
    ----------
    names, marks
        Of weights, in order: what they are called, and the sha256 of their file.

    Returns
    -------
    ndarray, shape (3, k, k), or None
        None where two of them were never seen on the same participants, or are no
        longer the weights that were.
    """
    pairs = json.loads(ERRORS.read_text("utf-8"))["pairs"] if ERRORS.is_file() else {}
    found = np.tile(np.eye(len(names)), (3, 1, 1))
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            pair = pairs.get("|".join(sorted((a, b))))
            if pair is None or pair["sha256"] != {a: marks[i], b: marks[j]}:
                return None
            found[:, i, j] = found[:, j, i] = pair["correlation"]
    return np.stack([nearest(corr) for corr in found])
