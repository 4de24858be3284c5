"""One hour of a real wristband before and after removal of contact artifacts.

``python -m experiments.eda_artifacts.picture --data DATA --out OUT.png``
"""

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.eda_artifacts.recordings import RATE
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.missing import MissingReason
from physio.core.stage import apply
from physio.features.eda.contact_artifacts import find_artifacts
from physio.features.eda.scl_scr import EdaFeatures
from physio.features.eda.scr_detection import ScrDetection

LATE = 5.0  # s, age of the level


def features(x: Array, *, removed: bool) -> tuple[Array, Array, Events]:
    """Return times and values of the level, and the responses."""
    info = StreamInfo("e4.eda", Fraction(RATE), (Channel("eda", "gsr", "uS"),))
    block = Block(info, 0, 0.0, np.ascontiguousarray(x[:, None]))
    level = apply(EdaFeatures(artifacts=removed), block)
    responses = events_from_grid(apply(ScrDetection(artifacts=removed), block))
    return level.times - LATE, level.column("tonic"), responses


def draw(x: Array) -> Figure:
    """Return the picture of a recording at 4 Hz."""
    y = np.where(x < 0.02, MissingReason.POOR_QUALITY.nan, x)
    t, bad = np.arange(len(y)) / RATE / 60, find_artifacts(y)
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    titles = "artifacts not removed", "contact artifacts removed"
    for ax, title, removed in zip(axes, titles, (False, True), strict=True):
        times, level, responses = features(y, removed=removed)
        shown = np.where(bad & removed, np.nan, y)
        ax.plot(t, shown, color="0.6", lw=0.6, label="conductance")
        ax.plot(times / 60, level, color="C0", lw=1.2, label="tonic level")
        heights = responses.data[:, 0]
        at = np.interp(responses.times / 60, t, np.nan_to_num(y))
        ax.vlines(responses.times / 60, at, at + heights, color="C3", lw=1.0)
        ax.plot([], [], color="C3", label="responses (amplitude)")
        if removed:
            ax.fill_between(
                t, 0, 1, where=bad, transform=ax.get_xaxis_transform(),
                color="C1", alpha=0.35, lw=0, label="artifact",
            )  # fmt: skip
        total = heights.sum()
        ax.set_title(f"{title}: {len(heights)} responses, {total:.1f} uS", loc="left")
        ax.set_ylabel("uS")
    axes[1].set_xlabel("minutes")
    axes[1].legend(loc="upper left", ncol=4, frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    x = np.loadtxt(args.data / "empatica_e4" / "session61min" / "EDA.csv")[2:]
    draw(x).savefig(args.out, dpi=90)


if __name__ == "__main__":
    main()
