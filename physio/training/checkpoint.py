"""Checkpoints of a training run: the complete state before the next epoch."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

NAME: Final = "checkpoint.safetensors"


class Checkpoints(NamedTuple):
    """Folder of the checkpoints of a run, and their interval ``every`` in epochs.

    A run resumes from the checkpoint of the folder, if there is one.
    """

    folder: Path
    every: int = 10


def mark(*parts: Any) -> str:
    """Return a hash of settings and tensors that identifies the run of a checkpoint."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(part.detach().cpu().numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()


def write(
    folder: Path, mark: str, tensors: dict[str, Tensor], losses: Sequence[float]
) -> None:
    """Write a checkpoint atomically: it replaces the previous one when complete.

    Parameters
    ----------
    folder
        Folder of the checkpoint, created if missing.
    mark
        Hash of the run: see `mark`.
    tensors
        Parameters, state of the optimiser, states of the random generators.
    losses
        Losses of the epochs so far, stored without loss of precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NAME}.{os.getpid()}.part"
    state = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata = {"mark": mark, "losses": json.dumps([v.hex() for v in losses])}
    save_file(state, part, metadata)
    part.replace(folder / NAME)


def read(folder: Path, mark: str) -> tuple[dict[str, Tensor], list[float]] | None:
    """Return the tensors and losses of a checkpoint; None where there is none.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another run, or is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from None
    if metadata.get("mark") != mark:
        raise ValueError(
            f"{path} is of a run with other settings, data or seed: give another "
            "folder, or remove it"
        )
    losses = [float.fromhex(v) for v in json.loads(metadata["losses"])]
    return tensors, losses
