"""Figure of the analysis of a whole recording: signals with beats and SCRs marked."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.view.plots.envelope import code_runs, envelope
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import (
    INK,
    ConditionInterval,
    condition_tints,
    display_unit,
    short_names,
)

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 14  # panels
_BEAT_SECTION: Final = 10.0  # s of a signal that show its beats
_SCR_SECTION: Final = 90.0  # s of skin conductance that show its responses
_SECTIONS: Final = 3  # of a signal
_TITLE: Final = "Whole-record analysis, non-causal: values depend on later samples"
_LANE: Final = 0.07  # height of the lane of artifacts, relative to its panel
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#999999"

_Draw = Callable[[Axes], None]
_Panel = tuple[str, Sequence[_Draw], bool]
"""Label, function of each part, and whether the parts are the whole recording."""


def whole_record_figure(
    recording: Recording,
    signals: "Mapping[str, pd.DataFrame]",
    tables: "Mapping[str, pd.DataFrame]",
    conditions: Sequence[ConditionInterval],
    title: str = "",
) -> Figure:
    """Return a figure of the signals of an analysis, one below the other.

    A lane below a signal marks its artifacts (orange) and missing samples (grey).
    Three sections of each raw signal show the beats or responses in it.

    Parameters
    ----------
    recording
        The recording.
    signals, tables
        Tracks of the analysis by name, and its tables ``beats`` and ``scrs``.
    conditions
        Conditions, which are shaded; where a name does not fit, its number is shown.
    title
        Name of the recording, in the title.
    """
    panels: list[_Panel] = []
    for frame in signals.values():
        panels += _panels(recording, frame, tables)
    panels = panels[:_MOST]
    figure = PlainTextFigure(
        figsize=(12, 1.0 + 1.5 * max(1, len(panels))), layout="constrained"
    )
    grid = figure.add_gridspec(max(1, len(panels)), _SECTIONS)
    begin, end = recording.begin, max(recording.end, recording.begin + 1e-3)
    named = False
    for i, (label, draws, is_whole) in enumerate(panels):
        places = [grid[i, :]] if is_whole else [grid[i, k] for k in range(len(draws))]
        for k, (place, draw) in enumerate(zip(places, draws, strict=True)):
            ax = figure.add_subplot(place)
            draw(ax)
            ax.tick_params(labelsize=7)
            ax.spines[["top", "right"]].set_visible(False)
            if k == 0:
                ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
            if is_whole:
                _shade(ax, conditions, (begin, end), named=not named)
                named = True
            _time_axis(ax, begin, whole=is_whole)
    figure.suptitle(" · ".join(filter(None, (title, _TITLE))), fontsize=10)
    return figure


def _panels(
    recording: Recording, frame: "pd.DataFrame", tables: "Mapping[str, pd.DataFrame]"
) -> list[_Panel]:
    """Return the panels of a track."""
    about = frame.attrs
    kind, name = about["kind"], f"{about['stream']}\n{about['channel']}"
    if kind == "skin":
        raw = _raw(recording, about)
        return _skin_panels(frame, _of(tables["scrs"], about), name, raw)
    if kind == "heart":
        return _heart_panels(recording, frame, _of(tables["beats"], about), name)
    column = next(iter(about["units"]))
    if kind == "eeg":
        columns = [c for c in frame.columns if c.startswith("alpha/")]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(frame[columns].to_numpy(float))
        good = np.isfinite(values)
        total = np.where(good, values, 0.0).sum(axis=1)
        n = good.sum(axis=1)
        mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
        label = f"{about['stream']}\nalpha power\nlog10 {display_unit('uV')}²"
        return [(label, [partial(_line, frame.index.to_numpy(), mean)], True)]
    unit = display_unit(about["units"][column])
    track = frame[column].to_numpy(float)
    draw = partial(_line, frame.index.to_numpy(), track)
    return [(f"{name}\n{unit}", [draw], True)]


def _raw(
    recording: Recording, about: Mapping[Any, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the times and samples of the channel of a track, as recorded."""
    blocks = recording.streams[str(about["stream"])]
    time, data = stitched(blocks)
    return time, data[:, blocks[0].info.names.index(str(about["channel"]))]


def _of(table: "pd.DataFrame", about: Mapping[Any, Any]) -> "pd.DataFrame":
    mine = (table["stream"] == about["stream"]) & (table["channel"] == about["channel"])
    return table[mine]


def _line(time: np.ndarray, values: np.ndarray, ax: Axes) -> None:
    ax.plot(*envelope(time, values), color=INK, lw=0.8)


def _skin_panels(
    frame: "pd.DataFrame",
    scrs: "pd.DataFrame",
    name: str,
    raw: tuple[np.ndarray, np.ndarray],
) -> list[_Panel]:
    label = f"{name}\n{display_unit('uS')}"
    onset = scrs["onset"].to_numpy(float)
    time = frame.index.to_numpy(float)
    sections = _sections(onset, time, _SCR_SECTION)
    draws: list[_Draw] = [
        partial(_skin, frame, scrs, raw, (at, at + _SCR_SECTION)) for at in sections
    ]
    whole = partial(_skin, frame, scrs, raw, None)
    panels: list[_Panel] = [(label, [whole], True)]
    if len(time) and time[-1] - time[0] > 2 * _SCR_SECTION:
        panels.append((f"sections of\n{_SCR_SECTION:g} s", draws, False))
    return panels


def _skin(
    frame: "pd.DataFrame",
    scrs: "pd.DataFrame",
    raw: tuple[np.ndarray, np.ndarray],
    limits: tuple[float, float] | None,
    ax: Axes,
) -> None:
    """Draw skin conductance with its responses, of the whole recording or a section."""
    first, last = np.searchsorted(raw[0], limits or (-np.inf, np.inf))
    ax.plot(*envelope(raw[0][first:last], raw[1][first:last]), color="0.75", lw=0.8)
    if limits is not None:
        frame = frame[(frame.index >= limits[0]) & (frame.index < limits[1])]
        inside = (scrs["onset"] >= limits[0]) & (scrs["peak"] < limits[1])
        scrs = scrs[inside]
    time = frame.index.to_numpy(float)
    level = frame["conductance"].to_numpy(float)
    _line(time, level, ax)
    ax.plot(*envelope(time, frame["scl"].to_numpy(float)), color="#CC79A7", lw=1.0)
    onset, peak = scrs["onset"].to_numpy(float), scrs["peak"].to_numpy(float)
    for at, mark, colour, size in (
        (onset, "|", _BLUE, 40), (peak, "v", _ORANGE, 12)
    ):  # fmt: skip
        y = np.interp(at, time, level) if len(time) else np.full(len(at), np.nan)
        ax.scatter(at, y, s=size, c=colour, marker=mark, zorder=3)
    _lane(ax, time, frame["artifact"].to_numpy(bool), np.isnan(level))
    if limits is not None:
        ax.set_xlim(*limits)
        return
    handles = ("recorded", "without artifacts", "SCL", "SCR onset", "SCR peak")
    ax.legend(handles, loc="upper right", fontsize=6, framealpha=0.7, ncols=5)


def _heart_panels(
    recording: Recording, frame: "pd.DataFrame", beats: "pd.DataFrame", name: str
) -> list[_Panel]:
    about = frame.attrs
    whole = partial(_rate, frame, beats)
    panels: list[_Panel] = [(f"{name}\nheart rate\n1/min", [whole], True)]
    if about["stream"] not in recording.streams:
        return panels
    time, values = _raw(recording, about)
    info = recording.streams[str(about["stream"])][0].info
    channel = info.channels[info.names.index(str(about["channel"]))]
    accepted = beats[beats["accepted"]]["time"].to_numpy(float)
    draws: list[_Draw] = [
        partial(_beat_section, time, values, beats, at)
        for at in _sections(accepted, time, _BEAT_SECTION)
    ]
    unit = display_unit(channel.unit)
    panels.append((f"sections of\n{_BEAT_SECTION:g} s\n{unit}".strip(), draws, False))
    return panels


def _rate(frame: "pd.DataFrame", beats: "pd.DataFrame", ax: Axes) -> None:
    ax.plot(frame.index, frame["heart_rate"], color="#AA3377", lw=0.6)
    good = beats[beats["accepted"] & ~beats["corrected"]]
    fixed = beats[beats["accepted"] & beats["corrected"]]
    for part, colour, label in (
        (good, "#AA3377", "accepted"), (fixed, _ORANGE, "corrected")
    ):  # fmt: skip
        ax.plot(
            part["time"], 60 / part["interval"], ".", color=colour, ms=2, label=label
        )
    time, bad = frame.index.to_numpy(float), frame["artifact"].to_numpy(bool)
    _lane(ax, time, bad, frame["heart_rate"].isna().to_numpy() & ~bad)
    ax.legend(loc="upper right", fontsize=6, framealpha=0.7, ncols=2)


def _beat_section(
    time: np.ndarray, values: np.ndarray, beats: "pd.DataFrame", begin: float, ax: Axes
) -> None:
    """Draw a section of a raw signal with all its beats."""
    first, last = np.searchsorted(time, (begin, begin + _BEAT_SECTION))
    ax.plot(time[first:last], values[first:last], color=INK, lw=0.7)
    ax.set_xlim(begin, begin + _BEAT_SECTION)
    shown = beats[(beats["time"] >= begin) & (beats["time"] < begin + _BEAT_SECTION)]
    for part, colour, label in (
        (shown[shown["accepted"] & ~shown["corrected"]], _GREEN, "accepted"),
        (shown[shown["corrected"]], _ORANGE, "corrected"),
        (shown[~shown["accepted"]], _GREY, "not accepted"),
    ):
        if len(part):
            at = part["time"].to_numpy(float)
            y = np.interp(at, time, values)
            ax.plot(at, y, "v", color=colour, ms=4, label=label)
    if len(shown):
        ax.margins(y=0.15)
        ax.legend(loc="upper right", fontsize=6, framealpha=0.7, ncols=3)


def _sections(marks: np.ndarray, time: np.ndarray, seconds: float) -> list[float]:
    """Return the begins of sections early, midway and late among the marks."""
    if not len(time):
        return []
    places = marks if len(marks) else time
    last = max(float(time[0]), float(time[-1]) - seconds)
    quarters = [int(q * (len(places) - 1)) for q in (0.15, 0.5, 0.85)]
    return [
        float(np.clip(places[q] - seconds / 2, time[0], last))
        for q in quarters[:_SECTIONS]
    ]


def _lane(
    ax: Axes, time: np.ndarray, artifact: np.ndarray, missing: np.ndarray
) -> None:
    """Mark artifacts and missing samples in a lane at the bottom of a panel."""
    if len(time) < 2:
        return
    ends = np.append(time[1:], 2 * time[-1] - time[-2])
    codes = np.where(artifact, 2, np.where(missing, 1, 0))
    for code, colour in ((1, "#BBBBBB"), (2, "#E69F00")):
        spans = [
            (float(time[a]), float(ends[b - 1] - time[a]))
            for a, b, c in code_runs(codes)
            if c == code
        ]
        ax.broken_barh(
            spans, (0.0, _LANE), transform=ax.get_xaxis_transform(), color=colour, lw=0
        )


def _shade(
    ax: Axes,
    conditions: Sequence[ConditionInterval],
    limits: tuple[float, float],
    *,
    named: bool,
) -> None:
    tint = condition_tints(conditions)
    texts = short_names(conditions, *limits, 150)
    for part, text in zip(conditions, texts, strict=True):
        begin, end = max(part.begin, limits[0]), min(part.end, limits[1])
        if begin >= end:
            continue
        ax.axvspan(begin, end, color=tint[part.name], alpha=0.16, lw=0, zorder=0)
        if named and text:
            ax.text(
                (begin + end) / 2, 1.02, text, transform=ax.get_xaxis_transform(),
                fontsize=7, ha="center", va="bottom",
            )  # fmt: skip
    ax.set_xlim(*limits)


def _time_axis(ax: Axes, begin: float, *, whole: bool) -> None:
    """Label the time since the beginning: minutes of a long recording, else seconds."""
    low, high = ax.get_xlim()
    in_minutes = whole and high - low > 180
    unit = 60.0 if in_minutes else 1.0
    ticks = MaxNLocator(12 if whole else 5, steps=[1, 2, 5, 10])
    values = np.array(ticks.tick_values((low - begin) / unit, (high - begin) / unit))
    at = begin + values * unit
    ax.set_xticks(at[(at >= low) & (at <= high)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{(x - begin) / unit:g}"))
    ax.set_xlabel("minutes" if in_minutes else "s", fontsize=7, labelpad=1)
