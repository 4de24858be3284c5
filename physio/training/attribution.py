"""Attribution of a network's output to bands and electrodes, and attention maps."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from physio.core.block import Array
from physio.models.rbtransformer import RBTransformer, single_thread

NAME: Final = "explained.json"
_MOST: Final = 96  # windows used


def attribution(model: RBTransformer, x: Array, seed: int) -> dict[str, Any]:
    """Return permutation importance of features, and mean attention weights.

    Parameters
    ----------
    model
        The classifier.
    x
        Held-out windows, shape (n, E, bands); those with a NaN are excluded, and at
        most 96 of the rest are used.
    seed
        Seed of the window selection and of the permutation.

    Returns
    -------
    dict
        ``importance``, (E, bands): mean change of the probabilities when a feature is
        replaced by its value in another window. ``attention``, (E, E): attention weight
        of the row's electrode on the column's electrode, mean over windows, blocks and
        heads; empty without attention. ``windows``: number of windows used.

    Notes
    -----
    A change of the output is no evidence that the output is correct. Attention weights
    describe the inputs that the network uses; they do not measure brain connectivity.
    """
    rng = np.random.default_rng(seed)
    whole = x[np.isfinite(x).all(axis=(1, 2))]
    whole = whole[rng.permutation(len(whole))[:_MOST]]
    e, bands = whole.shape[1:]
    windows = torch.as_tensor(whole, dtype=torch.float32)
    importance = np.zeros((e, bands))
    with torch.no_grad(), single_thread():
        out, maps = model.attend(windows)
        output = out.softmax(dim=1)
        for i in range(e):
            for b in range(bands):
                other = windows.clone()
                other[:, i, b] = windows[rng.permutation(len(windows)), i, b]
                moved = (model(other).softmax(dim=1) - output).abs().sum(dim=1) / 2
                importance[i, b] = float(moved.mean())
    inputs = maps.mean(dim=(0, 1, 2)).numpy() if maps.shape[2] else np.empty((0, 0))
    return {
        "importance": importance.round(6).tolist(),
        "attention": inputs.astype(np.float64).round(6).tolist(),
        "windows": len(whole),
    }


def write(folder: Path, attributions: dict[str, Any]) -> None:
    """Write attributions into the folder of the network."""
    (folder / NAME).write_text(json.dumps(attributions) + "\n", "utf-8")
