"""The page of a run: how good it is for whom, how sure, and what it reads."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physio.view.plots import results
from physio.view.reports.html import Page

RESULT: Final = "evaluation.json"
_OUTPUTS: Final = "outputs.parquet"
_SHOWN: Final = 4  # models in a picture


def added(page: Page, run: Path) -> Page:
    """Add to the page of an evaluation what only its folder tells.

    Parameters
    ----------
    page
        See `physio.view.reports.evaluation`.
    run
        A folder that `physio evaluate --out` or `physio train --out` left: its results
        and what was said of each row; training curves and what the networks read, where
        networks were kept.
    """
    told = json.loads((run / RESULT).read_text("utf-8"))
    for note in told.get("notes", ()):
        page.text(note)
    for heading, words, figure in _pictures(run, told):
        name = "".join(c if c.isalnum() else "-" for c in heading.lower())
        page.heading(heading).picture(figure, words, name)
    return page


def _pictures(run: Path, told: Mapping[str, Any]) -> Iterator[tuple[str, str, Figure]]:
    """Yield heading, what it tells, and the picture itself."""
    rows = told["rows"]
    metric = str(rows[0]["metric"])
    models = _models(rows, metric)
    yield (
        "From the worst to the best told",
        f"{metric} of each participant, from the worst to the best by {models[0]!r}. "
        "Below the line is worse than knowing nothing: for such a participant what others "
        "share is the other way round.",
        results.participants_figure(rows, metric, models),
    )
    classes = told.get("classes") or []
    if classes and (run / _OUTPUTS).is_file():
        said = pd.read_parquet(run / _OUTPUTS)
        there = [m for m in models if f"{m}.{classes[0]}" in said.columns]
        if there:
            yield (
                "Calibration",
                "Above the line it was surer than it said, below it was not as sure. "
                "The number is the mean distance, in parts of 1; dots are as large as "
                "there are windows.",
                results.calibration_figure(said, there, classes),
            )
            yield (
                "What was taken for what",
                f"What {there[0]!r} said of each class: shares of its windows, and how "
                "many.",
                results.confusion_figure(said, there[0], classes),
            )
    yield from _networks(run / "networks")


def _networks(folder: Path) -> Iterator[tuple[str, str, Figure]]:
    """Yield pictures of the networks that were kept."""
    curves = {
        p.parent.name: json.loads(p.read_text("utf-8"))["losses"]
        for p in sorted(folder.glob("*/curve.json"))
    }
    if curves:
        yield (
            "Training",
            "Grey: each fold's network. Where a curve still falls at its end, more "
            "epochs would fit the training windows better, and not for that the "
            "participants left out.",
            results.curves_figure(curves),
        )
    read = [
        json.loads(p.read_text("utf-8"))
        for p in sorted(folder.glob("*/explained.json"))
    ]
    if not read:
        return
    electrodes, bands = read[0]["electrodes"], read[0]["bands"]
    moved = np.mean([one["importance"] for one in read], axis=0)
    yield (
        "Which bands of which electrodes",
        "What moves the answers, mean over folds. It is no evidence that the answers "
        "are right, nor that a rhythm comes from below the electrode; what is high at "
        "the rim of the head, in beta and gamma, is often muscle.",
        results.importance_figure(moved, electrodes, bands),
    )
    if read[0]["attention"]:
        seen = np.mean([one["attention"] for one in read], axis=0)
        yield (
            "Who looks at whom",
            results.NOT_CONNECTIVITY,
            results.attention_figure(seen, electrodes),
        )


def _models(rows: list[dict[str, Any]], metric: str) -> list[str]:
    """Return which models are shown: the first that know anything."""
    names = [str(r["model"]) for r in rows if r["metric"] == metric]
    return [n for n in names if n != "commonest"][:_SHOWN] or names
