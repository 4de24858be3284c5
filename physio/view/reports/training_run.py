"""The page of a run: how good it is for whom, how sure, and what it reads."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physio.view.plots import results
from physio.view.reports.html import HtmlReport

RESULT: Final = "evaluation.json"
_OUTPUTS: Final = "outputs.parquet"
_SHOWN: Final = 4  # models in a picture


def add_run_figures(page: HtmlReport, run: Path) -> HtmlReport:
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
    result = json.loads((run / RESULT).read_text("utf-8"))
    for note in result.get("notes", ()):
        page.text(note)
    for heading, words, figure in _result_figures(run, result):
        name = "".join(c if c.isalnum() else "-" for c in heading.lower())
        page.heading(heading).figure(figure, words, name)
    return page


def _result_figures(
    run: Path, result: Mapping[str, Any]
) -> Iterator[tuple[str, str, Figure]]:
    """Yield heading, what it tells, and the picture itself."""
    rows = result["rows"]
    metric = str(rows[0]["metric"])
    models = _shown_models(rows, metric)
    yield (
        "From the worst to the best told",
        f"{metric} of each participant, from the worst to the best by {models[0]!r}. "
        "Below the line is worse than knowing nothing: for such a participant what others "
        "share is the other way round.",
        results.participants_figure(rows, metric, models),
    )
    classes = result.get("classes") or []
    if classes and (run / _OUTPUTS).is_file():
        outputs = pd.read_parquet(run / _OUTPUTS)
        calibrated = [m for m in models if f"{m}.{classes[0]}" in outputs.columns]
        if calibrated:
            yield (
                "Calibration",
                "Above the line it was surer than it said, below it was not as sure. "
                "The number is the mean distance, in parts of 1; dots are as large as "
                "there are windows.",
                results.calibration_figure(outputs, calibrated, classes),
            )
            yield (
                "What was taken for what",
                f"What {calibrated[0]!r} said of each class: shares of its windows, and how "
                "many.",
                results.confusion_figure(outputs, calibrated[0], classes),
            )
    yield from _network_figures(run / "networks")


def _network_figures(folder: Path) -> Iterator[tuple[str, str, Figure]]:
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
    explanations = [
        json.loads(p.read_text("utf-8"))
        for p in sorted(folder.glob("*/explained.json"))
    ]
    if not explanations:
        return
    electrodes, bands = explanations[0]["electrodes"], explanations[0]["bands"]
    importance = np.mean(
        [explanation["importance"] for explanation in explanations], axis=0
    )
    yield (
        "Which bands of which electrodes",
        "What moves the answers, mean over folds. It is no evidence that the answers "
        "are right, nor that a rhythm comes from below the electrode; what is high at "
        "the rim of the head, in beta and gamma, is often muscle.",
        results.importance_figure(importance, electrodes, bands),
    )
    if explanations[0]["attention"]:
        attention = np.mean([one["attention"] for one in explanations], axis=0)
        yield (
            "Who looks at whom",
            results.NOT_CONNECTIVITY,
            results.attention_figure(attention, electrodes),
        )


def _shown_models(rows: list[dict[str, Any]], metric: str) -> list[str]:
    """Return which models are shown: the first that know anything."""
    names = [str(r["model"]) for r in rows if r["metric"] == metric]
    return [n for n in names if n != "majority class"][:_SHOWN] or names
