"""Picture of where a person is on the map: ``python -m ... FIGURES OUT.png``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.prototypes.affect_map import CENTRES
from physio.core.block import Array

_CONDITIONS = ("baseline", "stress", "amusement")


def picture(details: Mapping[str, Any]) -> Figure:
    """Return a person of WESAD in each condition, and the path of a simulated one.

    Shades are the mean weights of the bins.

    Parameters
    ----------
    details
        Details of the results of the experiment.
    """
    person, path = (details[k]["picture"] for k in ("WESAD", "simulated"))
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, 4, sharey=True)
    for ax, name in zip(axes, _CONDITIONS, strict=False):
        ax.set_title(f"{person['participant']}, {name}")
        if name in person:
            _shade(ax, np.array(person[name]["weights"]))
            ax.plot(*person[name]["rated"], "o", mfc="none", color="C3", label="rated")
            ax.plot(*person[name]["read"], "x", color="k", label="read")
    ax = axes[-1]
    ax.set_title(f"simulated, {path['participant']}")
    _shade(ax, np.mean(path["weights"], axis=0))
    for key, color in (("true", "C3"), ("read", "k")):
        ax.plot(*np.array(path[key]).T, color=color, lw=0.8, label=key)
    for ax in axes:
        ax.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="valence", aspect="equal")
        ax.set(xticks=CENTRES, yticks=CENTRES)
        if ax.lines:
            ax.legend(loc="lower left", fontsize="small")
    axes[0].set_ylabel("arousal")
    return figure


def _shade(ax: Axes, weights: Array) -> None:
    side = len(CENTRES)
    ax.imshow(
        weights.reshape(side, side).T,
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap="Blues",
        vmin=0,
    )


def main(figures: Path, out: Path) -> None:
    """Draw the picture of stored results."""
    details = json.loads(figures.read_text("utf-8"))["details"]
    picture(details).savefig(out, dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
