"""Figures of a training run: by participant, calibration, importance, attention."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physio.view.plots import results
from physio.view.reports.html_report import HtmlReport

RESULT: Final = "evaluation.json"
_OUTPUTS: Final = "outputs.parquet"
_SHOWN: Final = 4  # models in a picture


def add_run_figures(page: HtmlReport, run: Path) -> HtmlReport:
    """Add the figures of a run's folder to the report on its evaluation.

    Parameters
    ----------
    page
        See `physio.view.reports.evaluation`.
    run
        Output folder of `physio evaluate` or `physio train`: results and predictions,
        and with saved networks their training curves and explanations.
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
    """Yield heading, caption and figure of each result."""
    rows = result["rows"]
    metric = str(rows[0]["metric"])
    models = _shown_models(rows, metric)
    yield (
        "Results by participant",
        f"{metric} of each participant, sorted by {models[0]!r}. Bars below the line "
        "are worse than chance: in such a participant the common pattern is reversed.",
        results.participants_figure(rows, metric, models),
    )
    classes = result.get("classes") or []
    if classes and (run / _OUTPUTS).is_file():
        outputs = pd.read_parquet(run / _OUTPUTS)
        calibrated = [m for m in models if f"{m}.{classes[0]}" in outputs.columns]
        if calibrated:
            yield (
                "Calibration",
                "Points below the diagonal are overconfident, points above "
                "it underconfident. The number is the expected calibration error; the "
                "area of a dot shows its share, each participant of weight 1. Lines: "
                "95 % intervals over participants.",
                results.calibration_figure(outputs, calibrated, classes),
            )
            yield (
                "Confusion matrix",
                f"Classes predicted by {calibrated[0]!r}: proportion of the windows of "
                "each true class, and their number.",
                results.confusion_figure(outputs, calibrated[0], classes),
            )
    yield from _network_figures(run / "networks")


def _network_figures(folder: Path) -> Iterator[tuple[str, str, Figure]]:
    """Yield figures of the saved networks."""
    curves = {
        p.parent.name: json.loads(p.read_text("utf-8"))["losses"]
        for p in sorted(folder.glob("*/curve.json"))
    }
    if curves:
        yield (
            "Training",
            "Grey: network of each fold. A curve that still falls at its end would fit "
            "the training windows better with more epochs, not necessarily held-out "
            "participants.",
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
        "Permutation importance of bands and electrodes",
        "Change of the predicted probability, mean over folds. It does not show that "
        "the predictions are right, nor that a rhythm originates below the electrode; "
        "high beta and gamma values at the rim of the head are often muscle artifacts.",
        results.importance_figure(importance, electrodes, bands),
    )
    if explanations[0]["attention"]:
        attention = np.mean(
            [explanation["attention"] for explanation in explanations], axis=0
        )
        yield (
            "Attention between electrodes",
            results.NOT_CONNECTIVITY,
            results.attention_figure(attention, electrodes),
        )


def _shown_models(rows: list[dict[str, Any]], metric: str) -> list[str]:
    """Return the displayed models: the first except the majority class."""
    names = [str(r["model"]) for r in rows if r["metric"] == metric]
    return [n for n in names if n != "majority class"][:_SHOWN] or names
