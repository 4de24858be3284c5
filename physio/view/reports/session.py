"""Report on one session: streams, signal quality, estimates, features, events."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.affect import DIMENSIONS
from physio.core.block import Block
from physio.core.counted_nouns import counted
from physio.core.json_table import stored_config
from physio.core.recording import (
    MARKERS,
    STREAM_TIMEOUT,
    Recording,
    base_name,
    computed,
)
from physio.core.stitch import stitched
from physio.view.labels import estimated_dimensions, joined, origin_labels
from physio.view.plots.coverage import feature_figure, quality_figure
from physio.view.plots.distributions import (
    baseline_of,
    distribution_figure,
    measures,
)
from physio.view.plots.eeg_spectra import (
    eeg_spectra,
    spectrum_figure,
    topography_figure,
)
from physio.view.plots.session import recording_title, session_figure
from physio.view.plots.time_axes import ConditionInterval, display_unit
from physio.view.plots.whole_record_plot import whole_record_figure
from physio.view.reports.condition_tables import add_estimates, add_features
from physio.view.reports.html_report import HtmlReport
from physio.view.reports.methods import (
    SessionFacts,
    methods_paragraph,
    session_facts,
)
from physio.view.stream_table import COLUMNS, stream_cells, stream_sentences

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
_MAX_ROWS: Final = 60  # of a table of events


class WholeRecordTables(NamedTuple):
    """Analysis of a whole recording: see `physio.offline.analysis.Analysis`.

    Parameters
    ----------
    signals
        Tracks by name.
    tables
        ``beats`` and ``scrs``.
    notes
        Sentences on what was not analysed, and why.
    """

    signals: Mapping[str, pd.DataFrame]
    tables: Mapping[str, pd.DataFrame]
    notes: Sequence[str] = ()


def session_report(
    recording: Recording,
    features: Block | None,
    estimates: Block | None,
    conditions: Sequence[ConditionInterval] = (),
    timing: Mapping[str, str] | None = None,
    streams: Sequence[Mapping[str, Any]] = (),
    *,
    name: str = "",
    analysis: WholeRecordTables | None = None,
) -> HtmlReport:
    """Return the report on a session, with embedded figures.

    Parameters
    ----------
    recording
        The recording.
    features, estimates
        The computed streams, each as one block; None without any.
    conditions
        The conditions, in order of time.
    timing
        Delay of each channel behind its markers, as text, by channel.
    streams
        Entries of `physio.online.session_table.SessionTable.rows`, for the table of
        streams.
    name
        Name of the file, in the titles.
    analysis
        Analysis of the whole recording.
    """
    title = recording_title(recording, name)
    page = HtmlReport(title)
    infos = [*recording.infos, *(b.info for b in (features, estimates) if b)]
    for label in origin_labels(infos):
        page.notice(f"{label.badge}: {label.meaning}.")
    if (date := recording.date) is not None:
        page.text(f"Recorded on {date:%Y-%m-%d} at {date:%H:%M} ({date.tzname()}).")
    parts = list(conditions) or _whole_session(recording)
    _add_streams(page, recording, streams)
    page.heading("Signals and estimates")
    truth = [s for n, s in recording.streams.items() if n.endswith(".truth")]
    figure = session_figure(
        recording,
        features,
        estimates,
        truth=_joined_block(truth[0]) if truth else None,
        conditions=conditions,
        title=title,
    )
    page.figure(figure, _overview_caption(estimates, conditions), "overview")
    if estimates is not None:
        add_estimates(page, estimates, parts, recording.begin)
    if features is not None:
        add_features(page, features, parts)
        if (course := feature_figure(features, conditions, title)) is not None:
            page.figure(
                course,
                "SCRs, heart rate, RMSSD and respiration over time; lines are "
                "interrupted where values are missing.",
                "body",
            )
    _add_distributions(page, features, estimates, conditions)
    _add_analysis(page, recording, conditions, analysis, title)
    _add_spectra(page, recording, parts)
    _add_events(page, recording)
    facts = session_facts(recording, estimates, streams, features)
    _add_data_sheet(page, recording, timing or {}, facts)
    return page


def _overview_caption(
    estimates: Block | None, conditions: Sequence[ConditionInterval]
) -> str:
    names = estimated_dimensions(estimates.info) if estimates is not None else ()
    names = tuple(
        n for n in names if estimates and np.isfinite(estimates.column(n)).any()
    )
    numbers = (
        " Where the name of a condition does not fit, its number in the tables stands."
        if conditions
        else ""
    )
    if not names:
        return f"Signals of the session.{numbers}"
    return (
        f"Signals (above) and {joined(names)} (below) with bands of ±1 standard "
        f"deviation and of 95 %; hatched where there is no estimate.{numbers}"
    )


def _add_distributions(
    page: HtmlReport,
    features: Block | None,
    estimates: Block | None,
    conditions: Sequence[ConditionInterval],
) -> None:
    chosen = measures(features, estimates)
    figure = distribution_figure(chosen, conditions)
    if figure is None:
        return
    i = baseline_of(conditions)
    absent = [m.name for m in chosen if not len(m.inside(conditions[i]))]
    without = f" Without a value in the baseline: {', '.join(absent)}."
    page.figure(
        figure,
        "Values over time in each condition, less the mean of the participant's own "
        f"baseline ({i + 1}. {conditions[i].name}): median, quartiles, 5th and 95th "
        "percentile. Values of neighbouring times overlap: a box is no interval of a "
        "mean. Hollow and dashed: the condition is shorter than the window."
        + (without if absent else ""),
        "distributions",
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


def _whole_session(recording: Recording) -> list[ConditionInterval]:
    return [ConditionInterval("whole session", recording.begin, recording.end + 1e-6)]


def _add_spectra(
    page: HtmlReport, recording: Recording, parts: Sequence[ConditionInterval]
) -> None:
    spectra = eeg_spectra(recording, parts)
    if spectra is None:
        return
    page.heading("EEG")
    most = f"150 {display_unit('uV')}"
    shares = ", ".join(f"{name} {used:.0%}" for name, used in spectra.used.items())
    page.figure(
        spectrum_figure(spectra),
        f"Power spectra of windows of 2 s without artifacts (range up to {most}): each "
        f"electrode, and each condition. Windows used: {shares}.",
        "spectrum",
    )
    if (maps := topography_figure(spectra)) is not None:
        page.figure(
            maps,
            "Power of each band over the head, nose up, one scale for each band. Dots: "
            "fewer than 16 electrodes, between which nothing is interpolated.",
            "topography",
        )


def _add_analysis(
    page: HtmlReport,
    recording: Recording,
    parts: Sequence[ConditionInterval],
    analysis: WholeRecordTables | None,
    title: str,
) -> None:
    if analysis is None:
        return
    page.heading("Beats and responses in the raw signals")
    figure = whole_record_figure(
        recording, analysis.signals, analysis.tables, parts, title
    )
    page.figure(
        figure,
        "Whole-record analysis, which is not that of a live session: skin conductance "
        "with its level and responses (onset and peak), heart rate with each accepted "
        "or corrected interval, and sections of the raw signals. Lane at the bottom: "
        "orange artifacts, grey missing.",
        "beats-and-responses",
    )
    for note in analysis.notes:
        page.text(note, small=True)


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
