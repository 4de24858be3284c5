"""Tables of measures by participant and condition, of many recordings."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from physio.core.baseline_choice import BaselineChoice
from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.offline import condition_baseline
from physio.offline.condition_baseline import add_baselines, baseline_spans
from physio.offline.condition_measures import Measures, MeasureSettings
from physio.offline.conditions import (
    ConditionSheet,
    PlacedConditions,
    recorded_conditions,
)
from physio.offline.edits_file import EditsChoice, edits_of
from physio.offline.exclusions import Exclusion, exclusion_reason
from physio.offline.parallel import run_jobs

LONG: Final = {
    "participant": "code of the participant",
    "recording": "file",
    "condition": "name of the condition",
    "repeat": "number of the occurrence of the condition, from 1",
    "position": "place of the occurrence in the participant's order, from 1",
    "begin_s": "begin of the condition (s after the beginning of the recording)",
    "end_s": "end of the condition (s after the beginning of the recording)",
    "seconds": "length of the condition (s)",
    "measure": "name of the measure",
    "source": "stream and channel that was measured",
    "analysis": "whole record (non-causal), or live features (causal)",
    "value": "value, not corrected by a baseline",
    "value_without_edits": "value without the edits by eye; empty if there are none",
    "unit": "unit of value, baseline_value and difference",
    "n": "number of beats, responses, breaths or values behind the value",
    "n_of": "kind of the number n",
    "coverage": "valid fraction of the condition",
    "artifact_share": "fraction of the condition that was masked as artifact",
    "corrected_share": "share of the beats that were corrected",
    "edited_share": "share of the beats or responses that were edited by eye",
    "marked_share": "fraction of the condition that was marked as bad by eye",
    "respiration_rate": "mean respiration rate in the condition (1/min)",
    "reason": "reason for a missing value",
    "exclusion": "reason for the exclusion of the value; empty if it is included",
    **condition_baseline.COLUMNS,
}
"""Columns of the long table, and their descriptions."""

FAILURES: Final = (
    ValueError, OSError, ArithmeticError, MemoryError, LookupError, TypeError,
)  # fmt: skip
"""Errors of a recording that cost its own rows alone."""


@dataclass(frozen=True)
class TableSettings:
    """Settings of a table.

    Parameters
    ----------
    sheet
        Conditions; by default those that the events of each recording state.
    baseline
        The baseline that was chosen; None for none.
    exclusions
        Rules that exclude values.
    measures
        What is measured: see `MeasureSettings`.
    events
        Prefixes of the markers of the event-related table.
    participant
        Participant of all recordings; default: of each file.
    zone
        Zone of clock times without one.
    edits
        Choice of the edits by eye.
    """

    sheet: ConditionSheet | None = None
    baseline: BaselineChoice | None = None
    exclusions: tuple[Exclusion, ...] = ()
    measures: MeasureSettings = field(default_factory=MeasureSettings)
    events: tuple[str, ...] = ()
    participant: str = ""
    zone: tzinfo | None = None
    edits: EditsChoice = field(default_factory=EditsChoice)


class RecordingJob(NamedTuple):
    """A recording to be measured: file, its name in the table, reader, settings."""

    path: Path
    name: str
    reader: Callable[[Path], Recording]
    settings: TableSettings


class RecordingRows(NamedTuple):
    """Rows of a recording in the tables, or the reason why it has none.

    Parameters
    ----------
    path, participant
        File and participant.
    rows
        Long table of this recording.
    events
        Event-related table of this recording.
    notes
        Sentences on what was not used, or interpreted.
    problems
        Sentences on rows of the sheet that are not in the recording.
    error
        Reason for which the recording has no rows; empty if it has.
    """

    path: Path
    participant: str
    rows: pd.DataFrame
    events: pd.DataFrame
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    error: str = ""


class Tables(NamedTuple):
    """Tables of many recordings.

    Parameters
    ----------
    long
        A row per participant, condition, measure and baseline, columns of `LONG`.
    events
        A row per event.
    recordings
        Result of each recording, in the order given.
    """

    long: pd.DataFrame
    events: pd.DataFrame
    recordings: tuple[RecordingRows, ...]


def make_tables(
    paths: Sequence[Path],
    reader: Callable[[Path], Recording],
    settings: TableSettings,
    backend: str = "serial",
    report: Callable[[RecordingRows], None] = lambda _: None,
) -> Tables:
    """Return the tables of recordings; one that fails costs only its own rows.

    Parameters
    ----------
    paths
        The recordings.
    reader
        Function that reads a recording, which other processes must be able to import.
    settings
        Conditions, baseline and rules.
    backend
        See `physio.offline.parallel.run_jobs`.
    report
        Called with the result of each recording.
    """
    names = distinct_names(paths)
    jobs = [RecordingJob(path, names[path], reader, settings) for path in paths]
    done: dict[Path, RecordingRows] = {}
    for result in run_jobs(measure_file, jobs, backend):
        done[result.path] = result
        report(result)
    results = tuple(done[path] for path in paths)
    long = long_table([r.rows for r in results])
    events = [r.events for r in results if len(r.events)]
    return Tables(
        long,
        pd.concat(events, ignore_index=True) if events else pd.DataFrame(),
        results,
    )


def measure_file(job: RecordingJob) -> RecordingRows:
    """Return the rows of a recording, or its failure."""
    path, settings = job.path, job.settings
    nothing = RecordingRows(path, "", pd.DataFrame(), pd.DataFrame())
    try:
        whole = job.reader(path)
        recording = _of_participant(whole, settings.participant)
        code = settings.participant or participant_code(path, recording, settings.sheet)
        placed = _placed(recording, code, path, settings)
        edits, words = edits_of(path, whole.begin, settings.edits)
        rows, notes = measure_recording(recording, placed.spans, settings, edits)
        notes = (*notes, words) if words and edits is None else notes
        refused = _refused(placed)
        rows = pd.concat([r for r in (rows, refused) if len(r)] or [rows])
        events = pd.DataFrame()
        if settings.events:
            measures = Measures.of(recording, settings.measures, (), edits)
            events = measures.events(settings.events)
            if not len(events):
                labels = " or ".join(map(repr, settings.events))
                notes += (f"no marker begins with {labels}",)
    except FAILURES as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return nothing._replace(error=text)
    for frame in (rows, events):
        frame.insert(0, "participant", code)
        frame.insert(1, "recording", job.name)
    problems = tuple(text for _, text in placed.problems)
    return RecordingRows(path, code, rows, events, (*placed.notes, *notes), problems)


def measure_recording(
    recording: Recording,
    conditions: Sequence[ConditionSpan],
    settings: TableSettings,
    edits: Edits | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows of the conditions of a recording, and notes.

    Notes are on its edits by eye, if there are any, and on the baseline.
    """
    notes: tuple[str, ...] = ()
    baselines: Sequence[condition_baseline.BaselineSpan] = ()
    if settings.baseline is not None:
        try:
            baselines = baseline_spans(settings.baseline, recording, conditions)
        except ValueError as error:
            notes = (f"no differences: {error}",)
    measures = Measures.of(recording, settings.measures, baselines[:1], edits)

    def measured(spans: Sequence[ConditionSpan]) -> pd.DataFrame:
        frame = measures.spans(spans)
        frame["exclusion"] = [
            str(row.excluded_by_eye) or exclusion_reason(settings.exclusions, row)
            for row in frame.itertuples()
        ]
        return frame

    rows = measured(conditions)
    of_baselines = [measured(b.spans) for b in baselines]
    rows = add_baselines(rows, of_baselines, baselines, recording.begin)
    spans = [conditions[i] for i in rows["span"]]
    rows["condition"] = [s.name for s in spans]
    rows["begin_s"] = [s.begin - recording.begin for s in spans]
    rows["end_s"] = [s.end - recording.begin for s in spans]
    rows["seconds"] = rows["end_s"] - rows["begin_s"]
    return rows, (*notes, *measures.notes)


def long_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of recordings as one table, with ``repeat`` and ``position``.

    Occurrences of a condition are counted over all recordings of a participant, in the
    order given and by their begin.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=list(LONG))
    table = pd.concat(filled, ignore_index=True)
    order = {name: i for i, name in enumerate(dict.fromkeys(table["recording"]))}
    occurrence = ["participant", "recording", "condition", "begin_s"]
    spans = table[occurrence].drop_duplicates()
    spans = spans.assign(order=spans["recording"].map(order))
    spans = spans.sort_values(["order", "begin_s"], kind="stable", na_position="last")
    spans["repeat"] = spans.groupby(["participant", "condition"]).cumcount() + 1
    spans["position"] = spans.groupby("participant").cumcount() + 1
    table = table.drop(columns=[c for c in ("repeat", "position") if c in table])
    table = table.merge(
        spans[[*occurrence, "repeat", "position"]], on=occurrence, how="left"
    )
    return table.reindex(columns=list(LONG))


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per participant: included values, differences and baselines.

    Columns are ``<measure>.<condition>``, ``<measure>.<condition>.difference`` and
    ``<measure>.baseline``, and where a recording has edits by eye
    ``<measure>.<condition>.without_edits``; a repeated condition has its number,
    ``rest_2``; measures of another analysis, or of a second sensor, have its name in
    front. A column without a value is left out.
    """
    rows = table[table["baseline_role"] != condition_baseline.SENSITIVITY].copy()
    rows = rows[rows["measure"] != ""]
    if not len(rows):
        return pd.DataFrame({"participant": sorted(set(table["participant"]))})
    repeated = rows["repeat"] > 1
    number = "_" + rows["repeat"].astype(int).astype(str)
    rows["place"] = rows["condition"] + number.where(repeated, "")
    rows["name"] = _distinct(rows)
    value = rows["value"].where(rows["exclusion"] == "")
    level = rows["baseline_value"].where(rows["baseline_exclusion"] == "")
    parts = [
        (rows["name"] + "." + rows["place"], value),
        (rows["name"] + "." + rows["place"] + ".difference", rows["difference"]),
        (rows["name"] + ".baseline", level),
    ]
    if (rows["baseline_role"] == "").all():
        parts = parts[:1]
    if "value_without_edits" in rows:
        unedited = rows["value_without_edits"]
        parts.append((rows["name"] + "." + rows["place"] + ".without_edits", unedited))
    columns = list(dict.fromkeys(n for names, _ in parts for n in names))
    stacked = pd.concat(
        pd.DataFrame({"participant": rows["participant"], "column": n, "value": v})
        for n, v in parts
    )
    wide = stacked.pivot_table(
        index="participant", columns="column", values="value", aggfunc="first",
        dropna=False,
    )  # fmt: skip
    order = list(dict.fromkeys(table["participant"]))
    wide = wide.reindex(index=order, columns=columns).dropna(axis=1, how="all")
    wide.columns.name = None
    return wide.reset_index()


def distinct_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a distinct name of each file: its own, or its path if that is not so."""
    names = {
        path: f"{path.parent.name}/{path.name}"
        if path.stem == "recording" and path.parent.name
        else path.name
        for path in paths
    }
    counts = Counter(names.values())
    return {p: str(p) if counts[name] > 1 else name for p, name in names.items()}


def _of_participant(recording: Recording, participant: str) -> Recording:
    """Return the part of a recording of several that is of one participant.

    Raises
    ------
    ValueError
        If the recording is of several participants, and none of them is named.
    """
    codes = sorted({i.participant for i in recording.inputs if i.participant})
    if len(codes) < 2:
        return recording
    if participant not in codes:
        raise ValueError(
            f"the recording is of several participants: name one of "
            f"{', '.join(codes)} with --participant"
        )
    streams = {
        name: blocks
        for name, blocks in recording.streams.items()
        if blocks[0].info.participant in ("", participant)
    }
    events = {
        name: part
        for name, part in recording.events.items()
        if part.info.participant in ("", participant)
    }
    return Recording(streams, events, (), recording.metadata)


def participant_code(
    path: Path, recording: Recording, sheet: ConditionSheet | None
) -> str:
    """Return the participant of a file: of the sheet, the recording, or the name.

    Raises
    ------
    ValueError
        If the sheet is of participants of which the file names none.
    """
    stated = recording.metadata.get("participant", "")
    code = sheet.participant_of(path, stated) if sheet is not None else stated
    if not code and sheet is not None and sheet.participants:
        known = ", ".join(sheet.participants[:8])
        raise ValueError(
            f"{sheet.path.name} has no row of this recording: name its file after one "
            f"of the participants ({known}), or give the sheet a column recording"
        )
    stem = path.name.partition(".")[0]
    return code or (path.parent.name if stem == "recording" else stem)


def _placed(
    recording: Recording, code: str, path: Path, settings: TableSettings
) -> PlacedConditions:
    """Return the conditions of a recording; raise if there is none."""
    if settings.sheet is not None:
        placed = settings.sheet.place(recording, code, path=path, zone=settings.zone)
        if not placed.spans and placed.problems:
            raise ValueError("; ".join(text for _, text in placed.problems))
        if not placed.spans:
            raise ValueError(f"{settings.sheet.path.name} has no row of {code!r}")
        return placed
    spans = recorded_conditions(recording)
    if not spans:
        raise ValueError(
            "the recording states no conditions (events with a duration, or markers "
            "`begin NAME` and `end NAME`): state them in a sheet with --conditions"
        )
    return PlacedConditions(spans)


def _refused(placed: PlacedConditions) -> pd.DataFrame:
    """Return a row without values for each condition that is not in the recording."""
    return pd.DataFrame(
        [
            {
                "condition": name, "measure": "", "source": "", "analysis": "",
                "unit": "", "n_of": "", "reason": text, "exclusion": text,
                "baseline_role": "", "baseline": "", "baseline_exclusion": "",
            }
            for name, text in placed.problems
        ]
    )  # fmt: skip


def _distinct(rows: pd.DataFrame) -> list[str]:
    """Return the name of each row's measure, distinct for each source and analysis."""
    firsts: dict[tuple[str, str], tuple[Any, ...]] = {}
    names = []
    for row in rows.itertuples():
        key = (str(row.source), str(row.analysis))
        first = firsts.setdefault((str(row.recording), str(row.measure)), key)
        is_live = str(row.analysis).startswith("live")
        whole = f"live.{row.measure}" if is_live else str(row.measure)
        names.append(whole if key == first else f"{row.source}.{whole}")
    return names
