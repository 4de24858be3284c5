"""Report on one session: streams, signal quality, estimates, features, events."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physio.core.affect import DIMENSIONS
from physio.core.block import Block
from physio.core.counted_nouns import counted
from physio.core.events import Events
from physio.core.json_table import stored_config
from physio.core.recording import (
    MARKERS,
    STREAM_TIMEOUT,
    Recording,
    base_name,
    computed,
)
from physio.core.stitch import stitched
from physio.view.labels import (
    CONDITION,
    CONDITION_MEANING,
    MEANING,
    SCALE,
    SCALE_MEANING,
    condition_names,
    estimated_dimensions,
    joined,
    origin_labels,
    scale_names,
    scale_value,
    standard_deviation,
)
from physio.view.plots.coverage import feature_figure, quality_figure
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.session import session_figure
from physio.view.plots.time_axes import ConditionInterval, condition_spans, display_unit
from physio.view.reports.html_report import HtmlReport
from physio.view.reports.methods import (
    SessionFacts,
    methods_paragraph,
    session_facts,
)
from physio.view.stream_table import COLUMNS, stream_cells, stream_sentences
from physio.view.terminal.sparklines import number

_SHEET: Final = {
    "participant": "participant",
    "began": "began",
    "source": "source",
    "consent": "consent text",
    "licence": "licence",
    "citation": "cite",
    "ended": "ended",
    "replayed": "a replay of",
    "physio-affect": "physio-affect",
    "python": "Python",
    "numpy": "NumPy",
}
_SUMMARY: Final = (
    "tonic", "scr_rate", "scr_amplitude", "rate", "amplitude", "rmssd", "activity",
    "level", "slope",
)  # fmt: skip
_MAX_ROWS: Final = 60  # of a table of events


def session_report(
    recording: Recording,
    features: Block | None,
    estimates: Block | None,
    conditions: Events | None = None,
    timing: Mapping[str, str] | None = None,
    streams: Sequence[Mapping[str, Any]] = (),
) -> HtmlReport:
    """Return the report on a session, with embedded figures.

    Parameters
    ----------
    recording
        The recording.
    features, estimates
        The computed streams, each as one block; None without any.
    conditions
        The conditions of a study, if any: see
        `physio.view.plots.time_axes.bands`.
    timing
        Delay of each channel behind its markers, as text, by channel.
    streams
        Entries of `physio.online.session_table.SessionTable.rows`, for the table of
        streams.
    """
    about = recording.metadata
    page = HtmlReport(f"Session {about.get('participant', '')}".strip())
    infos = [*recording.infos, *(b.info for b in (features, estimates) if b)]
    for label in origin_labels(infos):
        page.notice(f"{label.badge}: {label.meaning}.")
    if (date := recording.date) is not None:
        page.text(f"Recorded on {date:%Y-%m-%d} at {date:%H:%M} ({date.tzname()}).")
    parts = condition_spans(conditions, recording.end) if conditions is not None else []
    _add_streams(page, recording, streams)
    page.heading("Signals and estimates")
    truth = [s for n, s in recording.streams.items() if n.endswith(".truth")]
    figure = session_figure(
        recording,
        features,
        estimates,
        truth=_joined_block(truth[0]) if truth else None,
        conditions=conditions,
    )
    page.figure(
        figure,
        _overview_caption(estimates),
        "overview",
    )
    if estimates is not None:
        _add_estimates(page, estimates, parts or _whole_session(recording))
    if features is not None:
        _add_features(page, features, parts or _whole_session(recording))
        if (course := feature_figure(features, parts)) is not None:
            page.figure(
                course,
                "SCRs, heart rate, RMSSD and respiration over time; lines are "
                "interrupted where values are missing.",
                "body",
            )
    _add_spectrum(page, recording)
    _add_events(page, recording)
    facts = session_facts(recording, estimates, streams, features)
    _add_data_sheet(page, recording, timing or {}, facts)
    return page


def _overview_caption(estimates: Block | None) -> str:
    names = estimated_dimensions(estimates.info) if estimates is not None else ()
    if not names:
        return "Signals of the session."
    return (
        f"Signals (above) and {joined(names)} (below) with bands of ±1 standard "
        "deviation and of 95 %; hatched where there is no estimate."
    )


def _add_streams(
    page: HtmlReport, recording: Recording, table: Sequence[Mapping[str, Any]]
) -> None:
    page.heading("Recorded streams")
    streams = {
        n: b
        for n, b in recording.streams.items()
        if not computed(n) and not n.endswith(".truth")
    }
    page.text(f"{recording.seconds:.1f} s of {counted(len(streams), 'stream')}.")
    page.figure(
        quality_figure(streams, recording.begin, recording.end),
        "Coverage of each stream over time: valid, flat or partly missing, missing.",
        "quality",
    )
    rows = {}
    for name, blocks in streams.items():
        filled = [b for b in blocks if len(b)]
        n_samples = sum(map(len, filled))
        n_expected = filled[-1].stop - filled[0].start if filled else 0
        rate = float(blocks[0].info.rate)
        jumps = pairwise(filled)
        longest = max((b.start - a.stop for a, b in jumps), default=0) / rate
        rows[name] = {
            "Hz": f"{rate:g}",
            "channels": _channel_list(blocks[0]),
            "samples": n_samples,
            "lost": n_expected - n_samples,
            "proportion lost": f"{(n_expected - n_samples) / max(n_expected, 1):.2%}",
            "longest gap (s)": f"{longest:.2f}",
            "body site": blocks[0].info.site or "",
        }
    recorded = pd.DataFrame(rows).T
    if table:  # which has these columns too
        recorded = recorded.drop(columns=["Hz", "samples", "lost"], errors="ignore")
    page.table(recorded)
    if table:
        _add_computed(page, table)
    for note in filter(None, recording.metadata.get("warnings", "").split("; ")):
        page.text(note)


def _add_computed(page: HtmlReport, table: Sequence[Mapping[str, Any]]) -> None:
    page.heading("Computed from each stream")
    cells = pd.DataFrame(stream_cells(table), columns=list(COLUMNS))
    page.table(cells.set_index("stream"))
    page.text(
        "Typical: median of the channels, or median standard deviation within a second "
        "(sd). Available: share of time with a value. Missing: reasons for the rest.",
        small=True,
    )
    for sentence in stream_sentences(table):
        page.text(sentence)


def _channel_list(block: Block) -> str:
    names = [f"{c.name} {display_unit(c.unit)}".strip() for c in block.info.channels]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _add_estimates(
    page: HtmlReport, estimates: Block, parts: list[ConditionInterval]
) -> None:
    names = estimated_dimensions(estimates.info)
    conditions = condition_names(estimates.info)
    scales = scale_names(estimates.info)
    page.heading(joined(names).capitalize() or "Estimates")
    page.text(MEANING)
    rows: dict[str, Any] = {}
    for part in parts:
        inside = (estimates.times >= part.begin) & (estimates.times < part.end)
        row: dict[str, Any] = {"from (s)": f"{part.begin - parts[0].begin:.0f}"}
        for name in names:
            mean = estimates.column(name)[inside]
            sd = standard_deviation(estimates, name)[inside]
            valid = np.isfinite(mean)
            row[name] = (
                number(float(mean[valid].mean()), float(sd[valid].mean()))
                if valid.any()
                else "missing"
            )
            row[f"{name} available"] = f"{valid.mean():.0%}" if len(valid) else "0%"
        for name in conditions:
            odds = estimates.column(f"{CONDITION}{name}")[inside]
            valid = np.isfinite(odds)
            mean_odds = f"{odds[valid].mean():.0%}" if valid.any() else "missing"
            row[f"probability of {name}"] = mean_odds
        for name in scales:
            mean, sd, half = (
                estimates.column(f"{SCALE}{name}{end}")[inside]
                for end in ("", ".sd", ".ci80")
            )
            valid = np.isfinite(mean)
            row[name] = "missing" if not valid.any() else scale_value(
                *(float(v[valid].mean()) for v in (mean, sd, half))
            )  # fmt: skip
        rows[f"{len(rows) + 1}. {part.name}"] = row
    page.table(pd.DataFrame(rows).T)
    page.text(
        "Mean over each condition ± mean standard deviation of a single estimate, and "
        "the proportion of the condition with an estimate. Conditions are in order of "
        "time."
        + (f" {CONDITION_MEANING}" if conditions else "")
        + (f" {SCALE_MEANING} In parentheses, the interval of 80 %." if scales else ""),
        small=True,
    )


def _add_features(
    page: HtmlReport, features: Block, parts: list[ConditionInterval]
) -> None:
    names = [
        n
        for n in features.info.names
        if n.rpartition(".")[2] in _SUMMARY and n.count(".") == 1
    ]
    if not names:
        return
    page.heading("Skin conductance, heart, respiration and movement")
    unit = {c.name: c.unit for c in features.info.channels}
    rows: dict[str, Any] = {}
    for part in parts:
        inside = (features.times >= part.begin) & (features.times < part.end)
        row = {}
        for name in names:
            values = features.column(name)[inside]
            good = values[np.isfinite(values)]
            column = f"{name} ({display_unit(unit[name])})".replace(" ()", "")
            row[column] = f"{good.mean():.3g}" if len(good) else "missing"
        rows[f"{len(rows) + 1}. {part.name}"] = row
    page.table(pd.DataFrame(rows).T)
    page.text(
        "Means of the available values in each condition. scr_rate is the rate of skin "
        "conductance responses (SCR), tonic the skin conductance level (SCL).",
        small=True,
    )


def _whole_session(recording: Recording) -> list[ConditionInterval]:
    return [ConditionInterval("whole session", recording.begin, recording.end + 1e-6)]


def _add_spectrum(page: HtmlReport, recording: Recording) -> None:
    spectrum = _spectrum(recording)
    if spectrum is not None:
        page.heading("Spectrum of the EEG")
        caption = "Power by frequency, a line for each channel."
        page.figure(spectrum, caption, "spectrum")


def _spectrum(recording: Recording) -> Figure | None:
    """Draw the power spectrum of the first EEG stream (Welch's method, MNE)."""
    from mne.time_frequency import psd_array_welch

    for name, blocks in recording.streams.items():
        channels = blocks[0].info.channels
        eeg = [i for i, c in enumerate(channels) if c.kind == "eeg"]
        if not eeg or computed(name) or not any(map(len, blocks)):
            continue
        rate = float(blocks[0].info.rate)
        _, data = stitched(blocks)
        data = np.nan_to_num(data[:, eeg] - np.nanmedian(data[:, eeg], axis=0))
        n = int(min(4 * rate, len(data)))
        if n < rate:
            return None
        power, freqs = psd_array_welch(
            data.T, rate, 0.5, min(80.0, 0.45 * rate), n_fft=n, verbose="error"
        )
        figure = PlainTextFigure((9, 3.4), layout="constrained")
        ax: Any = figure.subplots()
        with np.errstate(divide="ignore"):
            ax.plot(freqs, 10 * np.log10(power.T), lw=0.8, alpha=0.8)
        ax.set(xlabel="frequency (Hz)", ylabel="power (dB, uV²/Hz)")
        ax.spines[["top", "right"]].set_visible(False)
        if len(eeg) <= 16:
            ax.legend(
                [channels[i].name for i in eeg], fontsize=7, ncols=4, frameon=False
            )
        return figure
    return None


def _add_events(page: HtmlReport, recording: Recording) -> None:
    rows = []
    for name, events in recording.events.items():
        quiet = name == STREAM_TIMEOUT or name == "session.status" or not len(events)
        if quiet or not (events.labels or set(DIMENSIONS) & set(events.info.names)):
            continue
        for i, at in enumerate(events.times.tolist()):
            values = zip(events.info.names, events.data[i].tolist(), strict=True)
            rating = ", ".join(
                f"{k} {v:+.2f}" for k, v in values if k in DIMENSIONS and v == v
            )
            label = events.labels[i] if events.labels else ""
            kind = "marker" if base_name(name) == MARKERS else name
            if label or rating:
                rows.append((at - recording.begin, kind, label, rating))
    rows.sort()
    if rows:
        page.heading("Markers and ratings")
        table = pd.DataFrame(
            rows[:_MAX_ROWS], columns=["time (s)", "stream", "label", "rating"]
        )
        table["time (s)"] = table["time (s)"].map("{:.2f}".format)
        page.table(table.set_index("time (s)"))
        if len(rows) > _MAX_ROWS:
            page.text(f"and {len(rows) - _MAX_ROWS} more", small=True)
    status = recording.events.get("session.status")
    if status is not None and len(status):
        page.heading("Status messages")
        at = [f"{t - recording.begin:.2f}" for t in status.times.tolist()[:_MAX_ROWS]]
        page.table(pd.DataFrame({"message": status.labels[:_MAX_ROWS]}, index=at))


def _add_data_sheet(
    page: HtmlReport,
    recording: Recording,
    timing: Mapping[str, str],
    facts: SessionFacts,
) -> None:
    about: Mapping[str, str] = recording.metadata
    page.heading("Data sheet")
    if "began" not in about and (date := recording.date) is not None:
        about = {**about, "began": date.isoformat(timespec="seconds")}
    rows = {name: about[key] for key, name in _SHEET.items() if about.get(key)}
    rows |= {
        f"delay of {channel} behind its marker": d for channel, d in timing.items()
    }
    page.table(pd.DataFrame({"": rows}))
    config = stored_config(about)
    text, references = methods_paragraph(config, version("physio-affect"), facts)
    page.heading("Methods")
    page.text(text or "Nothing was computed from these signals.")
    for reference in references:
        page.text(reference, small=True)


def _joined_block(blocks: Any) -> Block | None:
    times, data = stitched(blocks)
    if not len(times):
        return None
    first = next(b for b in blocks if len(b))
    return Block(first.info, first.start, first.t0, np.ascontiguousarray(data))
