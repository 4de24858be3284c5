"""Figure of a confound card: scores of rivals of the physiology."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import INK, PALE

_CONFOUND, _NONE, _OTHER = "#D55E00", "#56B4E9", "#0072B2"


def confound_figure(card: Mapping[str, Any]) -> Figure:
    """Draw the score of each rival with its interval, a panel for each target.

    Parameters
    ----------
    card
        A card as `physio.evaluation.leakage.confound_card.ConfoundCard.to_dict`.
    """
    targets = card["targets"]
    most = max(len(t["rivals"]) for t in targets)
    size = (7.2, 0.8 + len(targets) * (0.9 + 0.34 * most))
    figure = PlainTextFigure(size, layout="constrained")
    panels = figure.subplots(len(targets), 1, squeeze=False)[:, 0]
    for ax, target in zip(panels, targets, strict=True):
        rivals = target["rivals"]
        for k, rival in enumerate(rivals):
            colour = _NONE
            if rival["name"] in target["confounds"]:
                colour = _CONFOUND
            elif k == len(rivals) - 1:
                colour = _OTHER
            values = list(rival["per_participant"].values())
            ax.plot(values, [k] * len(values), "|", color=PALE, zorder=0)
            ax.plot([rival["low"], rival["high"]], [k, k], color=colour, linewidth=2)
            ax.plot(rival["value"], k, "o", color=colour)
        ax.axvline(target["chance"], color=INK, linewidth=1, linestyle=":")
        ax.annotate(
            "chance", (target["chance"], -0.8), (3, 0), textcoords="offset points",
            color=INK, fontsize="small", va="center",
        )  # fmt: skip
        ax.set_yticks(range(len(rivals)), [r["name"] for r in rivals])
        ax.set_ylim(len(rivals) - 0.4, -1.2)
        ax.set_xlabel(target["metric"])
        ax.set_title(target["target"], loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{card['dataset'] or 'Table'}: scores of rivals (orange: above chance)\n"
        "mean over held-out participants, 95 % interval; ticks: participants",
        fontsize="medium",
    )
    return figure
