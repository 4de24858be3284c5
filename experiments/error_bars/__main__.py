"""Run the measurements of error bars and store their results."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from experiments.error_bars.measure import (
    MODELS,
    TARGETS,
    Laboratory,
    as_text,
    inside,
    outside,
    relative,
    simulated,
)
from physio.datasets import feature_table

_COMMON = ("eda.tonic", "eda.log_slope", "heart.rate", "temperature.slope")
"""Features that can be computed of the records of both wristband studies."""


def from_table(path: Path, name: str, columns: tuple[str, ...] = ()) -> Laboratory:
    """Return the rated windows of a table of features."""
    table = feature_table.read(path)
    ratings = table[[f"rating.{t}" for t in TARGETS]].to_numpy(np.float64)
    table = table[np.isfinite(ratings).any(axis=1)]
    names = list(columns or feature_table.features(table))
    x = table[names].to_numpy(np.float64)
    if "eda.tonic" in names:
        at = names.index("eda.tonic")
        x[:, at] = np.log(np.maximum(x[:, at], 0.01))
    people = table["subject"].astype(str).to_numpy()
    ratings = table[[f"rating.{t}" for t in TARGETS]].to_numpy(np.float64)
    labels = table["label"].astype(str).to_numpy()
    return Laboratory(name, relative(x, people), ratings, people, labels, 0.25)


def songs(root: Path) -> Laboratory:
    """Return the songs of HKU956: an Empatica E4, felt valence and arousal."""
    records = pd.read_csv(root / "records.csv", dtype={"person": str})
    stored = np.load(root / "hku956_e4.npz", allow_pickle=False)
    people = records["person"].astype(str).to_numpy()
    rows = []
    for person, song in zip(people, records["song_no"], strict=True):
        eda, rate, warmth = (
            np.asarray(stored[f"{person}/{song}/{k}"]) for k in ("EDA", "HR", "TEMP")
        )
        level = np.log(np.maximum(eda, 0.01))
        minutes = len(eda) / 240
        slopes = [
            (v[-len(v) // 4 :].mean() - v[: len(v) // 4].mean()) / (0.75 * minutes)
            for v in (level, warmth)
        ]
        rows.append([level.mean(), slopes[0], rate.mean(), slopes[1]])
    ratings = records[list(TARGETS)].to_numpy(np.float64) / 10
    x = relative(np.array(rows), people)
    return Laboratory("HKU956", x, ratings, people, np.full(len(x), "song"))


def main(
    wesad: Annotated[Path, typer.Option(help="Table of WESAD (`physio extract`).")],
    dasps: Annotated[Path, typer.Option(help="Table of DASPS, windows of 15 s.")],
    hku956: Annotated[Path, typer.Option(help="Folder with hku956_e4.npz.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
) -> None:
    """Measure coverage and log score of error bars."""
    laboratories = [
        from_table(wesad, "WESAD"),
        songs(hku956),
        from_table(dasps, "DASPS"),
    ]
    results: dict[str, Any] = {"simulated, 300": {"sd too small": simulated()}}
    for laboratory in laboratories:
        results[laboratory.name] = {
            name: inside(laboratory, model) for name, model in MODELS.items()
        }
    common, other = from_table(wesad, "WESAD", _COMMON), laboratories[1]
    for first, second in ((common, other), (other, common)):
        results[f"{first.name} to {second.name}, not guaranteed"] = {
            name: outside(first, second, model) for name, model in MODELS.items()
        }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    (out / "error-bars.json").write_text(text, "utf-8")
    typer.echo(as_text(results))


if __name__ == "__main__":
    typer.run(main)
