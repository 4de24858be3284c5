"""Attribution of a network's output to bands and electrodes, and its attention."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from physio.core.block import Array
from physio.models.rbtransformer import RBTransformer, single_thread

NAME: Final = "explained.json"
_MOST: Final = 96  # windows that are looked at


def attribution(model: RBTransformer, x: Array, seed: int) -> dict[str, Any]:
    """Return what moves a network's answers, and its attention.

    Parameters
    ----------
    model
        The classifier.
    x
        Held-out windows, shape (n, E, bands); those with a NaN are excluded, and at
        most 96 of the rest are used.
    seed
        Seed of the drawn windows and of the windows that replace a feature.

    Returns
    -------
    dict
        ``importance``, (E, bands): by how much the probabilities change, in the mean,
        when a feature is taken from another window. ``attention``, (E, E): the share of
        a row's electrode that a column's has, mean over windows, blocks and heads;
        empty without attention. ``windows``: how many were looked at.

    Notes
    -----
    A change of answers is no evidence that they are right, and attention is no
    connectivity: it tells what the network reads, not what parts of a brain do.
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
    """Write it beside the network it is of."""
    (folder / NAME).write_text(json.dumps(attributions) + "\n", "utf-8")
