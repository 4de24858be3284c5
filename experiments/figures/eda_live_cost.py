"""Picture of the live EDA decomposition: error against the cost of an update.

``python -m experiments.figures.eda_live_cost`` reads ``benchmarks/results/dsp.json``,
and writes ``docs/images/eda-live-cost.png``. Dashed: the last 180 s solved again.
"""

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
AGES: Final = 0, 2, 10  # s
_COLOURS: Final = "#d55e00", "#0072b2", "#009e73"


def main() -> None:
    """Draw tonic and phasic error of each window, and of windows solved again."""
    import matplotlib.pyplot as plt

    table = json.loads((ROOT / "benchmarks/results/dsp.json").read_text("utf-8"))
    rows = [r for r in table["rows"] if r["work"].startswith("EDA live default")]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="tight")
    for ax, part in zip(axes, ("tonic", "phasic"), strict=True):
        _draw(ax, [r for r in rows if f", {part}," in r["work"]])
        ax.set(title=part, xlabel="processor time of an update (ms)", ylim=(0, None))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("RMS error (SD of the phasic part)")
    axes[1].legend(frameon=False, fontsize="small", loc="lower left")
    figure.savefig(ROOT / "docs/images/eda-live-cost.png", dpi=110)


def _draw(ax: Any, rows: list[dict[str, Any]]) -> None:
    """Draw the curve of each age, with the shipped point marked."""
    rows = sorted(rows, key=lambda r: float(r["ours_s"]))
    cost = [1000 * float(r["ours_s"]) for r in rows]
    shipped = next(i for i, r in enumerate(rows) if r["work"].endswith("shipped"))
    for age, colour in zip(AGES, _COLOURS, strict=True):
        at = rows[0]["ages_s"].index(age)
        error = [r["error"][at] for r in rows]
        ax.plot(cost, error, "o-", ms=4, color=colour, label=f"{age} s ago")
        ax.plot(cost[shipped], error[shipped], "o", ms=10, mfc="none", color=colour)
        again = rows[0]["windows_s_error"]["180"][at]
        ax.axhline(again, color=colour, lw=0.8, ls="--")


if __name__ == "__main__":
    main()
