"""Picture of the matrix: an estimate under lost sensors, and the cells' verdicts.

``python -m experiments.robustness.picture --data DATA --matrix MATRIX.json --out OUT``
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.robustness.evaluate import Estimates, Participant
from experiments.robustness.perturbations import perturbations
from experiments.robustness.recordings import wristbands
from physio.core.affect import LEVELS

AROUSAL: Final = 1
BEGIN: Final = 420.0
NAMES: Final = {
    "gsr": "EDA", "bio": "pulse", "misc": "motion", "temperature": "temperature",
    "eeg": "EEG", "all": "all",
}  # fmt: skip
COLOURS: Final = {"same": "C0", "absent": "C1", "nothing": "C1", "undetectable": "0.6"}


def course(
    ax: Axes, participant: Participant, estimates: Estimates, title: str
) -> None:
    """Draw arousal and its 80 % interval from the begin of the perturbation on."""
    mean, sd = estimates.values[:, :, AROUSAL]
    half = participant.widths[AROUSAL, LEVELS.index(0.8)] * sd
    t = np.arange(len(mean)) / 60
    ax.fill_between(t, mean - half, mean + half, color="C0", alpha=0.25, lw=0)
    ax.plot(t, mean, color="C0", lw=1.2)
    ax.set_title(title, loc="left", fontsize=9)
    ax.set(ylim=(-1.3, 0.9), ylabel="arousal")


def cells(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the worst shift of each cell; hollow where a participant misses."""
    names = list(dict.fromkeys(r["perturbation"] for r in rows))
    sensors = list(dict.fromkeys(r["sensor"] for r in rows))
    for row in rows:
        x = sensors.index(row["sensor"])
        y = len(names) - names.index(row["perturbation"])
        passed = row["passed"] == row["participants"]
        colour = COLOURS[row["demand"]]
        free = row["demand"] == "undetectable"
        ax.scatter(
            x, y, s=150, color=colour if passed else "none", edgecolor=colour,
            linewidth=1.6, marker="s" if not free else "o",
        )  # fmt: skip
        text = "-" if row["worst_shift"] is None else f"{row['worst_shift']:+.2f}"
        ax.text(x + 0.17, y, text, va="center", fontsize=7)
    ax.set_yticks(range(len(names), 0, -1), names, fontsize=8)
    ax.set_xticks(range(len(sensors)), [NAMES[s] for s in sensors], fontsize=8)
    ax.set_xlim(-0.4, len(sensors) - 0.3)
    ax.tick_params(length=0)
    ax.set_title(
        "worst shift of a participant (prior sd)\n"
        "blue: same, orange: absent, grey: no demand; hollow: missed",
        loc="left",
        fontsize=9,
    )


def draw(participant: Participant, matrix: Mapping[str, Any]) -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    courses_part, cells_part = parts
    axes = courses_part.subplots(4, 1, sharex=True)
    rows = {p.name: p for p in perturbations(participant.sensors[0])}
    every = participant.sensors
    courses = {
        "clean": participant.clean(0.0),
        "EDA: white noise": participant.estimates(("gsr",), rows["white noise"], 0.0),
        "pulse: white noise": participant.estimates(("bio",), rows["white noise"], 0.0),
        "all sensors removed": participant.estimates(every, rows["removed"], 0.0),
    }
    for ax, (title, estimates) in zip(axes, courses.items(), strict=True):
        course(ax, participant, estimates, title)
    axes[-1].set_xlabel("minutes after the begin of the perturbation")
    both = [*matrix["wristbands"]["cells"], *matrix["headsets"]["cells"]]
    cells(cells_part.subplots(), both)
    return figure


def main() -> None:
    """Draw the picture of a computed matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--matrix", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    recording, other = islice(wristbands(given.data), 2)
    matrix = json.loads(given.matrix.read_text("utf-8"))
    draw(Participant(recording, other, BEGIN), matrix).savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
