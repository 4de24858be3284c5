"""The figure of docs/leakage.md, from the results beside it.

python -m experiments.figures.leakage experiments/eegmat/results docs/images/leakage.png
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

PROTOCOLS = (
    ("window-kfold", "windows shuffled\n(leaks)"),
    ("time-blocked", "later in the\nsame minute"),
    ("loso", "participants\nnever seen"),
)
MODELS = (
    ("RBTransformer, published", "#D55E00"),
    ("attention, one network", "#0072B2"),
    ("support vectors", "#009E73"),
    ("logistic regression", "#56B4E9"),
    ("EEGNet, on the signal", "#CC79A7"),
)
SWAPPED = ", labels swapped"


def rows(folder: Path, protocol: str) -> dict[str, dict[str, Any]]:
    """Return the AUC of each model by one protocol."""
    by_model: dict[str, dict[str, Any]] = {}
    # The shortest name first: its settings were chosen in inner folds.
    paths = folder.glob(f"{protocol}*.json")
    for path in sorted(paths, key=lambda p: (len(p.name), p.name)):
        for row in json.loads(path.read_text("utf-8"))["rows"]:
            if row["metric"] == "AUC":
                by_model.setdefault(row["model"], row)
    return by_model


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    figure = Figure((9, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, end, title in (
        (axes[0], "", "Rest or mental arithmetic"),
        (axes[1], SWAPPED, "The same, labels swapped by a coin for each participant"),
    ):
        ax.axhline(0.5, color="#444", linewidth=1, linestyle=":")
        for i, (protocol, _) in enumerate(PROTOCOLS):
            by_model = rows(folder, protocol)
            there = [(m, c) for m, c in MODELS if m + end in by_model]
            for k, (model, colour) in enumerate(there):
                row = by_model[model + end]
                at = i + (k - (len(there) - 1) / 2) * 0.15
                values = np.array(
                    [v for v in row["per_participant"].values() if v is not None]
                )
                ax.scatter(
                    np.full(len(values), at), values, 8, color=colour, alpha=0.25
                )
                ax.plot([at, at], [row["low"], row["high"]], color=colour, linewidth=2)
                ax.plot(
                    at, row["mean"], "o", color=colour, label=model if not i else ""
                )
        ax.set_xticks(range(len(PROTOCOLS)), [name for _, name in PROTOCOLS])
        ax.set_title(title, fontsize="medium")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("AUC of each participant (pale), mean, 95 % interval")
    axes[1].text(2.4, 0.49, "chance", ha="right", va="top", fontsize="small")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(out, dpi=140)


if __name__ == "__main__":
    main()
