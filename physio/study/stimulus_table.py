"""Table of the presented stimuli of a study, with their timing and their answers."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pandas as pd

from physio.core.recording import Recording
from physio.study.contrasts import RecordedSession
from physio.study.outcomes import iter_markers
from physio.study.page_runner import ONSETS, TIMING

COLUMNS: Final = (
    "participant", "recording", "condition", "position", "stimulus", "onset_s",
    "seconds", "uncertainty_ms", "presented_ms",
)  # fmt: skip
"""Columns of the table, before those of the answers (``sam.valence``)."""

_ANSWER: Final = re.compile(r"answer (\S+) (\S+) (\S+) for (.+)")


def stimulus_table(sessions: Iterable[RecordedSession]) -> pd.DataFrame:
    """Return a row for each presentation of a stimulus in completed conditions.

    If a participant completed a condition twice, the last run counts. ``onset_s`` is
    relative to the begin of the recording, ``seconds`` NaN if the presentation was
    interrupted. Further columns are the answers about the stimulus.
    """
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for session in sessions:
        for condition, shown in _session_runs(session):
            runs.pop((session.participant, condition), None)
            runs[session.participant, condition] = shown
    rows = [row for shown in runs.values() for row in shown]
    answers = sorted({key for row in rows for key in row} - set(COLUMNS))
    return pd.DataFrame(rows, columns=[*COLUMNS, *answers])


def _session_runs(
    session: RecordedSession,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each completed condition with the rows of its presentations."""
    recording = session.recording
    shown = list(_presentations(recording))
    for span in session.segments:
        inside = [row for row in shown if span.begin <= row["onset_s"] < span.end]
        rows = [
            {
                "participant": session.participant,
                "recording": session.name,
                "condition": span.name,
                "position": position,
                **row,
                "onset_s": row["onset_s"] - recording.begin,
            }
            for position, row in enumerate(inside, 1)
        ]
        yield span.name, rows


def _presentations(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the presentations, whose onsets are on the session clock."""
    onsets = recording.events.get(ONSETS.name)
    if onsets is None:
        return
    rows: list[dict[str, Any]] = []
    for at, label in zip(onsets.times.tolist(), onsets.labels, strict=True):
        kind, _, name = label.partition(" ")
        if kind == "stimulus":
            rows.append({"stimulus": name, "onset_s": at})
        elif kind == "offset" and rows and rows[-1]["stimulus"] == name:
            rows[-1]["seconds"] = at - rows[-1]["onset_s"]
    _add_timing(recording, rows)
    for at, label in iter_markers(recording):
        if match := _ANSWER.fullmatch(label):
            about = [r for r in rows if r["stimulus"] == match[4] and r["onset_s"] < at]
            if about:
                about[-1][f"{match[1]}.{match[2]}"] = float(match[3])
    yield from rows


def _add_timing(recording: Recording, rows: list[dict[str, Any]]) -> None:
    """Add the timing of each onset, which has the same time."""
    timing = recording.events.get(TIMING.name)
    if timing is None:
        return
    names = timing.info.names
    values = dict(zip(timing.times.tolist(), timing.data, strict=True))
    for row in rows:
        if (measured := values.get(row["onset_s"])) is not None:
            for name in ("uncertainty", "presented"):
                row[f"{name}_ms"] = float(measured[names.index(name)])
