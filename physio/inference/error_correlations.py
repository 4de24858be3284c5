"""Correlations of the errors of shipped experts."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

import physio.assets
from physio.core.block import Array
from physio.models.fusion import nearest

ERRORS: Final = Path(physio.assets.__file__).parent / "errors.json"
"""Correlations on held-out participants: see `experiments.weights.error_model`."""


@lru_cache(maxsize=64)
def known_errors(names: tuple[str, ...], hashes: tuple[str, ...]) -> Array | None:
    """Return the error correlations of experts, if available.

    Parameters
    ----------
    names, hashes
        Names of the weights, in order, and the sha256 of their files.

    Returns
    -------
    ndarray, shape (3, k, k), or None
        None if two of the experts were not evaluated on the same participants, or if a
        hash differs from that of the evaluated weights.
    """
    pairs = json.loads(ERRORS.read_text("utf-8"))["pairs"] if ERRORS.is_file() else {}
    matrices = np.tile(np.eye(len(names)), (3, 1, 1))
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            pair = pairs.get("|".join(sorted((a, b))))
            if pair is None or pair["sha256"] != {a: hashes[i], b: hashes[j]}:
                return None
            matrices[:, i, j] = matrices[:, j, i] = pair["correlation"]
    return np.stack([nearest(corr) for corr in matrices])
