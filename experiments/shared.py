"""Functions that several experiments use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import rankdata

from physio.core.block import Array
from physio.core.filename import to_filename
from physio.datasets.wesad import Wesad
from physio.evaluation.results import dumped
from physio.models import model_card


def open_wesad(root: Path | None) -> Wesad:
    """Return WESAD in a folder, or in the folder ``wesad`` inside it.

    Parameters
    ----------
    root
        The folder given by ``--data``.

    Raises
    ------
    ValueError
        If no folder is given.
    FileNotFoundError
        If WESAD is not there: see `physio.datasets.wesad.Wesad`.
    """
    if root is None:
        raise ValueError(
            "skin conductance is read from WESAD itself: say where it is, with --data"
        )
    inside = root / "wesad"
    return Wesad(inside if inside.is_dir() else root)


def stored_part(
    run: Path, name: str, config: Any, compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return a part of a long run, computed, or read from the run's folder.

    Parameters
    ----------
    run
        Folder of the run, as ``--out`` names it; nothing is stored if it is the folder
        of the shipped weights, the default of ``--out``.
    name
        Name of the part, of which its file's name is made.
    config
        Settings of the part, which JSON can hold; a file of others is overwritten.
    compute
        Function that computes the part, which JSON can hold.
    """
    if run == model_card.STORE:
        return json.loads(dumped(compute()))
    path = run / f"{to_filename(name)}.json"
    mark = json.loads(dumped({"config": config}))
    if path.is_file():
        stored = json.loads(path.read_text("utf-8"))
        if stored["config"] == mark["config"]:
            return dict(stored["part"])
    part = dict(json.loads(dumped(compute())))
    run.mkdir(parents=True, exist_ok=True)
    path.write_text(dumped({**mark, "part": part}), "utf-8")
    return part


def rank_auc(truth: Array, p: Array) -> float:
    """Return the area under the ROC curve; NaN where all rows are of one class.

    As `physio.evaluation.metrics.auc` of two classes, for thousands of curves.
    """
    high = truth > 0
    n, m = int(high.sum()), int((~high).sum())
    if not n * m:
        return float("nan")
    return float((rankdata(p)[high].sum() - n * (n + 1) / 2) / (n * m))
