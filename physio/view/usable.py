"""A picture of what is usable of each person of a data set."""

import pandas as pd
from matplotlib.figure import Figure


def usable_figure(shares: pd.DataFrame, title: str = "") -> Figure:
    """Draw for each person and sensor in which share of windows it was usable.

    Parameters
    ----------
    shares
        One row a person, one column a sensor, on [0, 1]; a column ``windows`` is told
        beside the names: see `physio.data.windows.usable`.
    title
        What stands above it.
    """
    sensors = [c for c in shares.columns if c != "windows"]
    height = 1.2 + 0.3 * len(shares)
    figure = Figure((2.5 + 1.1 * len(sensors), height), layout="constrained")
    ax = figure.subplots()
    values = shares[sensors].to_numpy()
    image = ax.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    names = [str(p) for p in shares.index]
    if "windows" in shares.columns:
        counts = shares["windows"].astype(int)
        names = [f"{p} ({n})" for p, n in zip(names, counts, strict=True)]
    ax.set_xticks(range(len(sensors)), sensors)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    for i, row in enumerate(values):
        for j, share in enumerate(row):
            ink = "black" if share > 0.5 else "white"
            ax.text(j, i, f"{share:.0%}", ha="center", va="center", color=ink)
    ax.set_ylabel("person (windows)")
    ax.set_title(f"{title}: usable share of windows".lstrip(": "))
    figure.colorbar(image, ax=ax, format=lambda v, _: f"{v:.0%}")
    return figure
