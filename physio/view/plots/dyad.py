"""Figure of two people: their signals over one another, measure by measure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS: Final = {
    "skin conductance": "EDA (uS)", "heart rate": "heart rate (1/min)",
    "breathing": "breathing",
}  # fmt: skip
_COLOURS: Final = ("#0072B2", "#D55E00")  # distinct for all kinds of colour vision


def dyad_figure(
    table: pd.DataFrame, tracks: Mapping[str, pd.DataFrame], names: tuple[str, str]
) -> "Figure":
    """Return a figure with a panel for each measure and person, on one time axis.

    Parameters
    ----------
    table, tracks
        Synchrony and compared tracks by measure: see
        `physio.offline.synchrony.compare_recordings`.
    names
        Names of the two people.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1 + 2.6 * len(tracks)), layout="constrained")
    figure.suptitle(f"{names[0]} and {names[1]}", fontsize=12)
    provenance = table["provenance"].iloc[0]
    figure.supxlabel(f"time (min) - {provenance}", fontsize=9)
    axes: Any = figure.subplots(2 * len(tracks), 1, sharex=True, squeeze=False)[:, 0]
    rows = table.set_index("measure")
    for i, (measure, track) in enumerate(tracks.items()):
        row = rows.loc[measure]
        text = (
            f"{measure}: r {row['correlation']:.2f} at {row['lag']:+.1f} s, "
            f"p {row['correlation_p']:.3f}; coherence {row['coherence']:.2f}, "
            f"p {row['coherence_p']:.3f}"
        )
        axes[2 * i].set_title(text, fontsize=10, loc="left")
        for k, column in enumerate(("first", "second")):
            axis = axes[2 * i + k]
            axis.plot(track.index / 60, track[column], color=_COLOURS[k], lw=0.9)
            axis.set_ylabel(f"{names[k]}\n{_UNITS[measure]}", fontsize=8)
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
    return figure
