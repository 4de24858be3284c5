"""Figures of signal coverage over time, and of features by condition."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from physio.core.block import Array, Block
from physio.core.printable import printable
from physio.core.stitch import stitched
from physio.view.labels import origin_labels
from physio.view.plots.envelope import envelope
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import (
    ConditionInterval,
    TimeAxes,
    display_unit,
)
from physio.view.stream_stats import ALWAYS_VARYING

BINS: Final = 400
_SUMMARY: Final = ("scr_rate", "scr_amplitude", "rate", "amplitude", "rmssd")
_KINDS: Final = ("missing", "flat or partly missing", "valid")
_COLOURS: Final = ("#c8321e", "#f0c36a", "#0072b2")


def valid_fraction(blocks: Sequence[Block], edges: Array) -> Array:
    """Return the fraction of a stream's values that is valid in each interval of time.

    Parameters
    ----------
    blocks
        The stream.
    edges
        Limits of the intervals (s, session clock), shape (k + 1,).

    Returns
    -------
    ndarray
        Shape (k,), NaN before the first and after the last sample. A flat channel of a
        kind that is never constant on a body is invalid.
    """
    times, data = stitched(blocks)
    good = np.isfinite(data)
    lively = np.array([c.kind in ALWAYS_VARYING for c in blocks[0].info.channels], bool)
    still = np.zeros_like(good)
    if len(data) > 1 and lively.any():
        still[1:] = (np.diff(data, axis=0) == 0) & lively
    at = np.searchsorted(times, edges)
    fractions = np.full(len(edges) - 1, np.nan)
    for i, (a, b) in enumerate(pairwise(at.tolist())):
        if b > a:
            unmoved = still[a:b].mean(axis=0) > 0.95
            fractions[i] = float((good[a:b] & ~unmoved).mean())
    inside = np.flatnonzero(np.isfinite(fractions))
    if len(inside):  # an interval shorter than a sample takes the previous value
        for i in range(inside[0], inside[-1] + 1):
            if np.isnan(fractions[i]):
                late = edges[i] - times[max(at[i] - 1, 0)]
                due = late >= 2 / float(blocks[0].info.rate)
                fractions[i] = 0.0 if due else fractions[i - 1]
    return fractions


def quality_figure(
    streams: Mapping[str, Sequence[Block]], begin: float, end: float
) -> Figure:
    """Draw the coverage of each stream over time: valid, flat or missing."""
    filled = {n: b for n, b in streams.items() if any(map(len, b))}
    edges = np.linspace(begin, max(end, begin + 1e-3), BINS + 1)
    shares = np.array([valid_fraction(b, edges) for b in filled.values()]).reshape(
        -1, BINS
    )
    code = np.where(shares >= 0.95, 2.0, np.where(shares > 0, 1.0, 0.0))
    code[np.isnan(shares)] = 0.0
    figure = PlainTextFigure((11, 1.3 + 0.3 * len(filled)), layout="constrained")
    ax: Any = figure.subplots()
    unit, name = (60.0, "minutes") if end - begin > 180 else (1.0, "s")
    ax.imshow(
        code, aspect="auto", interpolation="nearest",
        cmap=ListedColormap(_COLOURS), norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3),
        extent=(0, (end - begin) / unit, len(filled) - 0.5, -0.5),
    )  # fmt: skip
    ax.set_yticks(range(len(filled)), [printable(n) for n in filled])
    ax.set_xlabel(f"time ({name})")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_yticks(np.arange(len(filled) + 1) - 0.5, minor=True)
    ax.grid(which="minor", axis="y", color="white", lw=3)
    handles = [Patch(color=c, label=k) for c, k in zip(_COLOURS, _KINDS, strict=True)]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
    return figure


def feature_figure(
    features: Block, parts: Sequence[ConditionInterval], title: str = ""
) -> Figure | None:
    """Draw SCRs, heart rate, HRV and respiration over time, with the conditions.

    Returns
    -------
    Figure or None
        None without any such feature.
    """
    names = [
        c.name for c in features.info.channels
        if c.name.count(".") == 1 and c.name.partition(".")[2] in _SUMMARY
        and np.isfinite(features.column(c.name)).any()
    ]  # fmt: skip
    if not names:
        return None
    unit = {c.name: display_unit(c.unit) for c in features.info.channels}
    times = features.times
    page = TimeAxes(
        title=title,
        labels=origin_labels([features.info]),
        about="",
        heights=[1.1] * len(names),
        begin=float(times[0]),
        end=float(times[-1]),
    )
    for ax, name in zip(page.axes, names, strict=True):
        ax.plot(*envelope(times, features.column(name)), color="#0072b2", lw=1)
        page.label_panel(ax, f"{name}\n{unit[name]}".strip())
    page.draw_conditions(parts)
    return page.figure
