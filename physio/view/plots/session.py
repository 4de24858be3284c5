"""Figures of sessions: signals and estimates on one time axis."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from physio.core.block import Array, Block, Channel
from physio.core.printable import printable
from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.view.labels import (
    COLOURS,
    ENDS,
    MEANING,
    estimated_dimensions,
    joined,
    origin_labels,
    reason_codes,
    reason_words,
    standard_deviation,
)
from physio.view.plots.envelope import code_runs, envelope
from physio.view.plots.signals import signal_panels
from physio.view.plots.time_axes import (
    INK,
    PALE,
    ConditionInterval,
    TimeAxes,
    condition_spans,
    display_unit,
)

_ROWS: Final = 16
"""Maximum number of channels of a stream that `plot` draws."""


def session_figure(
    recording: Recording,
    features: Block | None,
    estimates: Block | None,
    *,
    truth: Block | None = None,
    conditions: Sequence[ConditionInterval] = (),
    title: str = "",
) -> Figure:
    """Draw the signals of a session and its estimates.

    Signals are above, estimates below, each as a line with bands of ±1 standard
    deviation and of 95 %. Without an estimate the panel is hatched and shows the
    reason; if the reason does not fit, it is in the line below the figure. Self-reports
    are dots; the true affect of a simulated participant is a dashed line.

    Parameters
    ----------
    recording
        The session.
    features, estimates
        The computed streams, each as one block.
    truth
        True affect of a simulated participant: channels named as the estimates.
    conditions
        Conditions of a study: see `physio.view.plots.time_axes.condition_spans`.
    title
        Title of the figure; default: `recording_title`.

    Notes
    -----
    More than 6000 samples are drawn as minimum and maximum of 1500 intervals.
    """
    panels = signal_panels(recording, features)
    names, absent = _divided_dimensions(estimates)
    infos = [*recording.infos, *(b.info for b in (features, estimates, truth) if b)]
    page = TimeAxes(
        title=title or recording_title(recording),
        labels=origin_labels(infos),
        about=" ".join(filter(None, (MEANING if names else "", absent))),
        heights=[*(p.height for p in panels), *(1.5 for _ in names)],
        begin=recording.begin,
        end=recording.end,
    )
    axes = page.axes
    for panel, ax in zip(panels, axes, strict=False):
        panel.draw(ax)
        page.label_panel(ax, panel.title)
    reasons: set[str] = set()
    for name, ax in zip(names, axes[len(panels) :], strict=True):
        if estimates is not None:
            reasons |= _draw_estimate(ax, estimates, name)
        _draw_truth(ax, truth, name)
        _draw_ratings(ax, recording, name)
        page.label_panel(ax, name.capitalize())
    if names:
        _legend(axes[len(panels)])
    page.draw_conditions(conditions)
    page.draw_markers(_marker_labels(recording))
    hatched = f"Hatched: no estimate ({', '.join(sorted(reasons))})" if reasons else ""
    page.draw_footer(recording.metadata.get("citation", ""), hatched)
    return page.figure


def plot(recording: Recording) -> Figure:
    """Draw all streams of a recording, one below the other.

    Up to three channels of one unit share a scale. More channels, at most sixteen, are
    drawn one above the other, each on its own scale.
    """
    streams = {n: b for n, b in recording.streams.items() if any(map(len, b))}
    if not streams:
        raise ValueError("cannot plot the recording: no stream has a sample")
    counts = [len(b[0].info.channels) for b in streams.values()]
    page = TimeAxes(
        title=recording_title(recording),
        labels=origin_labels(recording.infos),
        about="",
        heights=[1.0 if n <= 3 else 1.0 + 0.18 * min(n, _ROWS) for n in counts],
        begin=recording.begin,
        end=recording.end,
    )
    for (name, blocks), ax in zip(streams.items(), page.axes, strict=True):
        channels = blocks[0].info.channels
        times, data = stitched(blocks)
        if len(channels) <= 3 and len({c.unit for c in channels}) == 1:
            _draw_overlaid(ax, times, data, channels)
            page.label_panel(ax, f"{name}\n{display_unit(channels[0].unit)}".strip())
        else:
            _draw_stacked(ax, times, data, channels)
            more = len(channels) > _ROWS
            page.label_panel(
                ax, f"{name}\n{_ROWS} of {len(channels)} shown" if more else name
            )
    named = [e for n, e in recording.events.items() if n.endswith(".conditions")]
    page.draw_conditions(condition_spans(named[0], recording.end) if named else [])
    page.draw_markers(_marker_labels(recording))
    page.draw_footer(recording.metadata.get("citation", ""), "")
    return page.figure


def _draw_estimate(ax: Axes, block: Block, name: str) -> set[str]:
    """Draw an estimate; return the reasons of its missing values."""
    step = max(1, len(block) // 4000)  # far more rows than there are pixels
    rows = slice(None, None, step)
    times, colour = block.times, COLOURS.get(name, INK)
    mean, sd = block.column(name), standard_deviation(block, name)
    prefix = (
        "" if np.isfinite(mean * sd).any() else "_"
    )  # matplotlib omits labels "_..."
    for width, alpha, label in ((1.96, 0.15, "95 %"), (1.0, 0.28, "±1 SD")):
        low, high = ((mean + width * sd * sign)[rows] for sign in (-1, 1))
        ax.fill_between(
            times[rows],
            low,
            high,
            color=colour,
            alpha=alpha,
            lw=0,
            label=prefix + label,
        )
    ax.plot(*envelope(times, mean), color=colour, lw=1.3)
    ax.axhline(0, color=PALE, lw=0.6, zorder=0)
    ax.set_ylim(-1.05, 1.05)
    low_end, high_end = ENDS.get(name, ("-1", "+1"))
    ax.set_yticks([-1, 0, 1], [low_end, "0", high_end], fontsize=7)
    return _hatch_missing(ax, block, name)


def _hatch_missing(ax: Axes, block: Block, name: str) -> set[str]:
    times, codes = block.times, reason_codes(block, name)
    begin_limit, end_limit = ax.get_xlim()
    ends = np.append(times, times[-1:] + 1 / float(block.info.rate))
    spans_by_code = code_runs(codes)
    for code in {code for _, _, code in spans_by_code}:
        spans = [(ends[a], ends[b] - ends[a]) for a, b, c in spans_by_code if c == code]
        ax.broken_barh(
            spans, (-1.05, 2.1), facecolor="none", edgecolor=PALE, hatch="////", lw=0
        )
        begin, length = max(spans, key=lambda s: float(s[1]))
        # About 180 characters of this size fit across the panel.
        room = length / (end_limit - begin_limit) * 180
        captions = (f"no estimate: {reason_words(code)}", reason_words(code), "")
        fits = next(s for s in captions if not s or len(s) + 2 <= room)
        if fits:
            ax.text(
                begin + length / 2, 0, fits, fontsize=8,
                ha="center", va="center", color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
            )  # fmt: skip
    return {reason_words(code) for _, _, code in spans_by_code}


def _draw_truth(ax: Axes, truth: Block | None, name: str) -> None:
    if truth is not None and name in truth.info.names:
        times, values = envelope(truth.times, truth.column(name))
        ax.plot(
            times, values, color="black", lw=1.1, ls=(0, (4, 2)), label="true value"
        )


def _draw_ratings(ax: Axes, recording: Recording, name: str) -> None:
    for events in recording.events.values():
        if name in events.info.names and len(events):
            values = events.data[:, events.info.names.index(name)]
            ax.plot(
                events.times, values, "o", ms=6, mfc="white", mec="black", mew=1.2,
                label="self-report", zorder=4, clip_on=False,
            )  # fmt: skip


def _legend(ax: Axes) -> None:
    handles, names = ax.get_legend_handles_labels()
    known = dict(zip(names, handles, strict=True))
    if known:
        ax.legend(
            known.values(), known.keys(), loc="upper right", fontsize=7, ncols=4
        ).set_zorder(6)


def _marker_labels(recording: Recording) -> Mapping[float, str]:
    """Return the labels of markers by time, without the session's own messages."""
    quiet = ("session.stream_timeout", "session.status")
    return {
        float(time): label
        for name, events in recording.events.items()
        if name not in quiet and not name.endswith((".conditions", ".ratings"))
        for time, label in zip(events.times, events.labels, strict=False)
        if label
    }


def _draw_overlaid(
    ax: Axes, times: Array, data: Array, channels: tuple[Channel, ...]
) -> None:
    colours = [INK] if len(channels) == 1 else list(COLOURS.values())
    for i, channel in enumerate(channels):
        line = envelope(times, data[:, i])
        ax.plot(*line, color=colours[i % 3], lw=0.7, label=channel.name)
    if len(channels) > 1:
        ax.legend(loc="upper right", fontsize=7, ncols=3)


def _draw_stacked(
    ax: Axes, times: Array, data: Array, channels: tuple[Channel, ...]
) -> None:
    count = min(len(channels), _ROWS)
    for i in range(count):
        values = data[:, i]
        good = values[np.isfinite(values)]
        if len(good):
            low, middle, high = np.percentile(good, [1, 50, 99])
            size = high - low if high > low else 1.0
            x, y = envelope(times, (values - middle) / size)
            ax.plot(x, y - i, color=INK, lw=0.5)
    names = [c.name for c in channels[:count]]
    ax.set_yticks(-np.arange(count), [printable(n) for n in names], fontsize=7)
    ax.set_ylim(-count + 0.3, 0.7)


def recording_title(recording: Recording, name: str = "") -> str:
    """Return the participant or the file name, the source, and the date and time."""
    about, date = recording.metadata, recording.date
    parts = [
        about.get("participant", ""),
        name if name != about.get("participant", "") else "",
        about.get("source", ""),
        f"{date:%Y-%m-%d %H:%M}" if date is not None else "",
    ]
    return " · ".join(printable(p) for p in parts if p) or "session"


def _divided_dimensions(estimates: Block | None) -> tuple[tuple[str, ...], str]:
    """Return the dimensions with an estimate, and a sentence on those without any."""
    if estimates is None:
        return (), ""
    names = estimated_dimensions(estimates.info)
    given = tuple(n for n in names if np.isfinite(estimates.column(n)).any())
    absent: dict[str, list[str]] = {}
    for name in names:
        if name not in given:
            codes = sorted({c for c in reason_codes(estimates, name).tolist() if c})
            reasons = ", ".join(reason_words(code) for code in codes)
            absent.setdefault(reasons, []).append(name)
    return given, " ".join(
        f"No estimate of {joined(group)}{f' ({reasons})' if reasons else ''}."
        for reasons, group in absent.items()
    )
