"""The figures of docs/wrist.md, from the data and from experiments/wesad/results.

python -m experiments.figures.wrist --data DATA [--participant S10]
"""

import argparse
import json
from pathlib import Path
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from experiments.shared import open_wesad
from experiments.simulated.eda_dynamics import SkinSimulation, simulate
from experiments.wesad.multitask import relaxation
from experiments.wesad.tonic_model import fit, session
from physio.core.block import Array
from physio.datasets.wesad import Wesad
from physio.features.eda.decomposition import decompose
from physio.models import model_card
from physio.models.pinn import Pinn

ROOT = Path(__file__).resolve().parents[2]
COLORS = {
    "baseline": "#dfe7ee",
    "stress": "#f6cfc4",
    "amusement": "#fbe9b7",
    "meditation": "#d5ead2",
}
INK, TONIC, DRIVER, FAN = "#22313f", "#1f6f8b", "#b5473c", "#6a51a3"


def shade(ax: Axes, data: Wesad, participant: str, *, named: bool) -> None:
    for part in data.conditions(participant):
        name = part.name.split()[0]
        ax.axvspan(part.begin / 60, part.end / 60, color=COLORS[name], lw=0)
        if named:
            middle = (part.begin + part.end) / 120
            ax.text(middle, 1.02, name, ha="center", transform=ax.get_xaxis_transform())


def forecaster(participant: str) -> Pinn:
    """Return the shipped network, if a participant is held out of its training."""
    stored = model_card.load("wrist-network")
    if participant in stored.card.data.partition(")")[0]:
        raise ValueError(
            f"the shipped network learned from {participant}: take another"
        )
    return cast("Pinn", stored.model())


def fans(ax: Axes, y: Array, at: list[int], model: Pinn) -> None:
    ahead = np.array([0.0, *model.config.horizons])
    nothing = np.zeros(model.config.features)  # as at rest
    for now in at:
        quantiles = model.forecast(nothing, y[now - 239 : now + 1])
        low, middle, high = (
            np.concatenate([[y[now]], part])
            for part in (quantiles.low, quantiles.middle, quantiles.high)
        )
        t = (now / 4 + ahead) / 60
        ax.fill_between(t, low, high, color=FAN, alpha=0.25, lw=0)
        ax.plot(t, middle, color=FAN, lw=1.4)
        ax.plot(t[0], middle[0], "o", color=FAN, ms=3)


def plot_session(data: Wesad, participant: str, out: Path) -> None:
    recording = data.participant(participant)
    (block,) = recording.streams["e4.eda"]
    y = block.data[:, 0]
    parts = decompose(y, 4.0)
    t = np.arange(len(y)) / 4 / 60
    figure, axes = plt.subplots(3, 1, figsize=(11, 8.6), constrained_layout=True)
    for ax in axes[:2]:
        shade(ax, data, participant, named=ax is axes[0])
        ax.set_xlim(0, t[-1])
    axes[0].plot(t, y, color=INK, lw=0.7, label="measured")
    axes[0].plot(t, parts.tonic, color=TONIC, lw=1.6, label="level")
    axes[0].set_ylabel("skin conductance (uS)")
    axes[0].legend(loc="upper right", frameon=False, ncols=2)
    second = len(y) // 4
    driver = np.nanmean(parts.driver[: second * 4].reshape(second, 4), axis=1)
    axes[1].fill_between(np.arange(second) / 60, driver, color=DRIVER, lw=0)
    axes[1].set_ylabel("inferred driver (uS/s)")
    axes[1].set_xlabel("minutes")
    stress = next(c for c in data.conditions(participant) if c.name == "stress")
    first = int((stress.begin - 90) * 4)
    span = slice(first, first + 4 * 420)
    shade(axes[2], data, participant, named=False)
    axes[2].plot(t[span], y[span], color=INK, lw=1)
    at = list(range(first + 4 * 30, first + 4 * 390, 4 * 45))
    fans(axes[2], y, at, forecaster(participant))
    axes[2].set_xlim(t[span][0], t[span][-1])
    axes[2].set_ylabel("forecast (uS)")
    axes[2].set_xlabel(
        "minutes: 30 s ahead every 45 s, by the shipped network, which never saw this "
        "participant; 80 % bands"
    )
    figure.suptitle(f"WESAD {participant}: skin conductance taken apart and foretold")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def parameters(data: Wesad, out: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.6), constrained_layout=True)
    truth, estimates = [], []
    for seed in range(24):
        simulated = simulate(SkinSimulation(), seed)
        relaxed = fit(session(simulated.eda, 4.0, simulated.conditions))
        truth.append([simulated.time, *simulated.sizes.values()])
        estimates.append([relaxed.time, *(relaxed.size[k] for k in simulated.sizes)])
    for k, (name, color) in enumerate(
        (
            ("time constant (min)", INK),
            ("stress (uS)", DRIVER),
            ("amusement (uS)", "#b38a1d"),
        )
    ):
        x = np.array([row[k] for row in truth])
        intervals = [row[k] for row in estimates]
        y = np.array([e.value for e in intervals])
        off = np.array([[e.value - e.low, e.high - e.value] for e in intervals]).T
        axes[0].errorbar(
            x, y, off, fmt="o", ms=3, lw=0.8, color=color, label=name, alpha=0.8
        )
    axes[0].axline((1, 1), slope=1, color="0.6", lw=0.8)
    axes[0].set_xlabel("true")
    axes[0].set_ylabel("estimated, 95 % interval")
    axes[0].set_title("24 simulated participants")
    axes[0].legend(frameon=False)
    relaxations = {p: relaxation(data, p) for p in data.participants}
    rows = range(len(relaxations))
    for i, relaxed in zip(rows, relaxations.values(), strict=True):
        high = min(relaxed.time.high, 60.0)
        known = np.isfinite(relaxed.time.known.value)
        axes[1].plot([max(relaxed.time.low, 0.1), high], [i, i], color=INK, lw=1.2)
        face = INK if known else "white"  # hollow: the interval is too wide
        axes[1].plot(relaxed.time.value, i, "o", color=INK, mfc=face, ms=5)
        for k, (name, color) in enumerate(
            (("stress", DRIVER), ("amusement", "#b38a1d"), ("meditation", "#4f8f4a"))
        ):
            size = relaxed.size[name]
            height = i + 0.22 * (k - 1)
            axes[2].plot([size.low, size.high], [height, height], color=color, lw=1.4)
            face = color if np.isfinite(size.known.value) else "white"
            label = name if i == 0 else None
            axes[2].plot(
                size.value, height, "o", ms=4, color=color, mfc=face, label=label
            )
    for ax in axes[1:]:
        ax.set_yticks(list(rows), list(relaxations))
        ax.invert_yaxis()
    axes[1].set_xscale("log")
    axes[1].set_xlabel("time constant (min): interval")
    axes[1].set_title("WESAD (hollow: not known)")
    axes[2].axvline(0, color="0.6", lw=0.8)
    axes[2].set_xlabel("size (uS): 95 % interval")
    axes[2].set_title("WESAD: effect of a condition")
    axes[2].legend(frameon=False, loc="lower right")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def participants(results: Path, out: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), constrained_layout=True)
    result = json.loads((results / "primary.json").read_text("utf-8"))
    picks = {
        "placed": (TONIC, "o"),
        "discriminant": (INK, "s"),
        "motion alone": ("#b38a1d", "^"),
        "time only": ("0.6", "x"),
    }
    rows = {r["model"]: r for r in result["rows"] if r["metric"] == "macro-F1"}
    for j, (name, (color, mark)) in enumerate(picks.items()):
        values = rows[name]["per_participant"]
        at = np.arange(len(values)) + 0.14 * (j - 1.5)
        axes[0].plot(at, list(values.values()), mark, color=color, label=name, ms=6)
        axes[0].axhline(rows[name]["mean"], color=color, lw=0.8, ls=":")
    axes[0].set_xticks(range(len(values)), list(values))
    axes[0].set_ylim(-0.03, 1.05)
    axes[0].set_ylabel("macro-F1, stress against amusement")
    axes[0].set_title("The other order of conditions trains (dotted: means)")
    axes[0].legend(frameon=False, loc="lower left", ncols=2)
    result = json.loads((results / "forecast.json").read_text("utf-8"))
    rows = {(r["model"], r["metric"]): r["per_participant"] for r in result["rows"]}
    names = ("network", "autoregression", "ridge")
    for j, horizon in enumerate(("5", "15", "30")):
        metric = f"{horizon} s ahead: RMSE"
        still = rows["persistence", metric]
        for k, name in enumerate(names):
            skill = [100 * (1 - v / still[p]) for p, v in rows[name, metric].items()]
            x = j + 0.25 * (k - 1)
            color = (TONIC, INK, "#b38a1d")[k]
            spread = np.linspace(-0.08, 0.08, len(skill))
            axes[1].plot(x + spread, skill, ".", color=color)
            axes[1].plot([x - 0.1, x + 0.1], [np.mean(skill)] * 2, color=color, lw=2)
            if j == 0:
                axes[1].plot([], [], ".", color=color, label=name)
    axes[1].axhline(0, color="0.6", lw=0.8)
    axes[1].set_xticks(range(3), ["5 s", "15 s", "30 s"])
    axes[1].set_ylabel("error below persistence (%)")
    axes[1].set_title("Forecast of skin conductance, a dot a participant")
    axes[1].legend(frameon=False)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--participant", default="S10")
    given = asked.parse_args()
    data, images = open_wesad(given.data), ROOT / "docs" / "images"
    plot_session(data, given.participant, images / "wrist-session.png")
    parameters(data, images / "wrist-parameters.png")
    participants(
        ROOT / "experiments" / "wesad" / "results", images / "wrist-participants.png"
    )


if __name__ == "__main__":
    main()
