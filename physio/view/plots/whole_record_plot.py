"""Figure of the analysis of a whole recording: signals with beats and SCRs marked."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes

from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.datasets.base import ConditionSpan
from physio.view.plots.envelope import envelope
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import INK, display_unit

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 14  # panels
_SECTION: Final = 10.0  # s of a signal that show its beats
_TITLE: Final = "Whole record, non-causal"

_Draw = Callable[[Axes], None]


def plot_whole_record(
    recording: Recording,
    signals: "Mapping[str, pd.DataFrame]",
    tables: "Mapping[str, pd.DataFrame]",
    conditions: Sequence[ConditionSpan],
    path: Path,
) -> None:
    """Draw the signals of an analysis, one below the other.

    Parameters
    ----------
    recording
        The recording.
    signals, tables
        Tracks of the analysis by name, and its tables ``beats`` and ``scrs``.
    conditions
        Conditions, which are shaded.
    path
        The image file; its suffix selects the format.
    """
    import matplotlib as mpl

    mpl.use("Agg", force=False)
    panels: list[tuple[str, _Draw, bool]] = []
    for frame in signals.values():
        panels += _panels(recording, frame, tables)
    panels = panels[:_MOST]
    figure = PlainTextFigure(
        figsize=(11, 1.2 + 1.5 * len(panels)), layout="constrained"
    )
    axes = np.atleast_1d(figure.subplots(len(panels), 1))
    whole = [ax for ax, (_, _, is_whole) in zip(axes, panels, strict=True) if is_whole]
    for ax in whole[1:]:
        ax.sharex(whole[0])
    for ax, (label, draw, is_whole) in zip(axes, panels, strict=True):
        draw(ax)
        ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        if is_whole:
            _shade(ax, conditions, named=ax is axes[0])
    axes[-1].set_xlabel("time (s, session clock)")
    figure.suptitle(f"{_TITLE}: values depend on later samples", fontsize=9)
    figure.savefig(path, dpi=110)


def _panels(
    recording: Recording, frame: "pd.DataFrame", tables: "Mapping[str, pd.DataFrame]"
) -> list[tuple[str, _Draw, bool]]:
    """Return label, function and whether the whole record is drawn, for each panel."""
    about = frame.attrs
    kind, name = about["kind"], f"{about['stream']}\n{about['channel']}"
    if kind == "skin":
        scrs = _of(tables["scrs"], about)
        label = f"{name}\n{display_unit('uS')}"
        return [(label, lambda ax: _skin(ax, frame, scrs), True)]
    if kind == "heart":
        beats = _of(tables["beats"], about)
        rate = (f"{name}\nheart rate\n1/min", lambda ax: _rate(ax, frame, beats), True)
        if about["stream"] not in recording.streams:
            return [rate]
        part = (
            f"{name}\n{_SECTION:g} s of it",
            lambda ax: _section(ax, recording, about, beats),
            False,
        )
        return [rate, part]
    column = next(iter(about["units"]))
    if kind == "eeg":
        columns = [c for c in frame.columns if c.startswith("alpha/")]
        values = np.log10(frame[columns].to_numpy(float))
        with np.errstate(all="ignore"):
            mean = np.nanmean(np.where(np.isfinite(values), values, np.nan), axis=1)
        label = f"{about['stream']}\nalpha power\nlog10 {display_unit('uV')}²"
        return [(label, lambda ax: _line(ax, frame.index.to_numpy(), mean), True)]
    unit = display_unit(about["units"][column])
    track = frame[column].to_numpy(float)
    return [
        (f"{name}\n{unit}", lambda ax: _line(ax, frame.index.to_numpy(), track), True)
    ]


def _of(table: "pd.DataFrame", about: Mapping[Any, Any]) -> "pd.DataFrame":
    mine = (table["stream"] == about["stream"]) & (table["channel"] == about["channel"])
    return table[mine]


def _line(ax: Axes, time: np.ndarray, values: np.ndarray) -> None:
    ax.plot(*envelope(time, values), color=INK, lw=0.8)


def _skin(ax: Axes, frame: "pd.DataFrame", scrs: "pd.DataFrame") -> None:
    time = frame.index.to_numpy(float)
    _line(ax, time, frame["conductance"].to_numpy(float))
    ax.plot(*envelope(time, frame["scl"].to_numpy(float)), color="#CC79A7", lw=1.0)
    level = frame["conductance"].to_numpy(float)
    onset, peak = scrs["onset"].to_numpy(float), scrs["peak"].to_numpy(float)
    for at, mark, colour, size in (
        (onset, "|", "#0072B2", 40), (peak, "v", "#D55E00", 12)
    ):  # fmt: skip
        y = np.interp(at, time, level)
        ax.scatter(at, y, s=size, c=colour, marker=mark, zorder=3)
    top = float(np.nanmax(level)) if np.isfinite(level).any() else 1.0
    bad = frame["artifact"].to_numpy(bool)
    ax.plot(time[bad], np.full(int(bad.sum()), top), "s", color="#999999", ms=2)
    handles = ("conductance", "tonic level", "onset", "peak")
    ax.legend(handles, loc="upper right", fontsize=6, frameon=False, ncols=4)


def _rate(ax: Axes, frame: "pd.DataFrame", beats: "pd.DataFrame") -> None:
    ax.plot(frame.index, frame["heart_rate"], color="#AA3377", lw=0.6)
    good = beats[beats["accepted"] & ~beats["corrected"]]
    fixed = beats[beats["accepted"] & beats["corrected"]]
    for part, colour, label in (
        (good, "#AA3377", "accepted"), (fixed, "#D55E00", "corrected")
    ):  # fmt: skip
        ax.plot(
            part["time"], 60 / part["interval"], ".", color=colour, ms=2, label=label
        )
    ax.legend(loc="upper right", fontsize=6, frameon=False, ncols=2)


def _section(
    ax: Axes, recording: Recording, about: Mapping[Any, Any], beats: "pd.DataFrame"
) -> None:
    """Draw the seconds around the middle of the accepted beats, with all beats."""
    blocks = recording.streams[str(about["stream"])]
    time, data = stitched(blocks)
    values = data[:, blocks[0].info.names.index(str(about["channel"]))]
    good = beats[beats["accepted"]]["time"].to_numpy(float)
    middle = good[len(good) // 2] if len(good) else float(time[len(time) // 2])
    begin = max(middle - _SECTION / 2, float(time[0]))
    first, last = np.searchsorted(time, (begin, begin + _SECTION))
    ax.plot(time[first:last], values[first:last], color=INK, lw=0.7)
    ax.set_xlim(begin, begin + _SECTION)
    shown = beats[(beats["time"] >= begin) & (beats["time"] < begin + _SECTION)]
    for part, colour, label in (
        (shown[shown["accepted"] & ~shown["corrected"]], "#009E73", "accepted"),
        (shown[shown["corrected"]], "#D55E00", "corrected"),
        (shown[~shown["accepted"]], "#999999", "not accepted"),
    ):
        at = part["time"].to_numpy(float)
        ax.plot(at, np.interp(at, time, values), "v", color=colour, ms=4, label=label)
    ax.legend(loc="upper right", fontsize=6, frameon=False, ncols=3)


def _shade(ax: Axes, conditions: Sequence[ConditionSpan], *, named: bool) -> None:
    low, high = ax.get_xlim()
    for i, condition in enumerate(conditions):
        ax.axvspan(condition.begin, condition.end, color="#56B4E9", alpha=0.12, lw=0)
        if named:
            ax.text(
                condition.begin, 1.02 + 0.12 * (i % 2), condition.name[:24],
                transform=ax.get_xaxis_transform(), fontsize=7,
            )  # fmt: skip
    ax.set_xlim(low, high)
