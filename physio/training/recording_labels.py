"""Labels of recordings: named spans of time with the answers that were given to them.

One function for every kind of recording: conditions and ratings of a data set, events,
phenotype and participants files of a BIDS folder, conditions and questionnaires of a
study, ratings during a session.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.events import Events
from physio.core.recording import RATINGS, Recording, base_name
from physio.datasets.base import ConditionSpan
from physio.inference.self_report import CONTINUOUS
from physio.io.bids.bids_export import ANSWERS, PEOPLE
from physio.io.bids.event_tables import NAME as BIDS_EVENTS
from physio.offline.conditions import recorded_conditions
from physio.study.outcomes import questionnaire_scores

UNNAMED: Final = "recording"
"""Name of the span of a recording without any condition or self-report."""

_NEAR: Final = 1.0  # s between a rating and the end of its span
_NO_ANSWERS: Final = ("end", "seconds")


def labelled_spans(
    recording: Recording, lookback: float = 30.0
) -> tuple[ConditionSpan, ...]:
    """Return the spans of a recording that have a name or answers, in order of time.

    Spans are the conditions that the events state. The answers to a condition are, by
    name:

    - ``valence`` ...: the ratings at its end, and self-reports (SAM) between its end
      and the next condition; on [-1, 1];
    - ``sam.arousal``, ``stai.state`` ...: the scores of questionnaires after it;
    - any column of numbers of the BIDS event that it is;
    - ``<file>.<column>`` of ``phenotype/<file>.tsv`` and ``participants.<column>``, the
      same for all conditions of a recording, or named after one:
      ``phenotype/sam.tsv`` with ``stress_arousal`` gives ``sam.arousal`` to ``stress``.

    Without any condition, each self-report is a span, the ``lookback`` s before it; a
    continuous rating gives a span of its mean every ``lookback`` s. Without these, the
    whole recording is a span.

    Parameters
    ----------
    recording
        The recording, of one participant.
    lookback
        Duration of the past that a self-report refers to (s).
    """
    spans = recorded_conditions(recording)
    if spans:
        return tuple(_with_answers(recording, spans))
    reports = tuple(_reported(recording, lookback))
    if reports:
        return reports
    whole = ConditionSpan(UNNAMED, recording.begin, recording.end)
    return (whole._replace(answers=_background(recording, whole.name)),)


def _with_answers(
    recording: Recording, spans: tuple[ConditionSpan, ...]
) -> Iterator[ConditionSpan]:
    """Yield the conditions with their answers."""
    scores = questionnaire_scores(recording)
    for span in spans:
        later = [s.begin for s in spans if s.begin >= span.end]
        answers = _background(recording, span.name)
        answers |= {k: o.value for k, o in scores.get(span.name, {}).items()}
        answers |= _event_values(recording, span)
        for name, events in recording.events.items():
            if base_name(name) == RATINGS:
                answers |= _report_after(events, span.end, min(later, default=np.inf))
            elif name.endswith(".ratings"):
                answers |= _rated_at(events, span.end)
        yield span._replace(answers={**span.answers, **answers})


def _rated_at(events: Events, end: float) -> dict[str, float]:
    """Return the values of the rating at the end of a span."""
    near = np.flatnonzero(np.abs(events.times - end) < _NEAR)
    return _values(events, int(near[0])) if len(near) else {}


def _report_after(events: Events, begin: float, end: float) -> dict[str, float]:
    """Return the values of the first self-report from ``begin`` to ``end`` (s)."""
    for i, (time, kind) in enumerate(zip(events.times, events.labels, strict=True)):
        if begin <= time < end and kind != CONTINUOUS:
            return _values(events, i)
    return {}


def _event_values(recording: Recording, span: ConditionSpan) -> dict[str, float]:
    """Return the numbers beside the BIDS event that a span is."""
    events = recording.events.get(BIDS_EVENTS)
    if events is None:
        return {}
    at = np.flatnonzero(np.abs(events.times - span.begin) < 1e-6)
    rows = [int(i) for i in at if events.labels[i] == span.name]
    return _values(events, rows[0]) if rows else {}


def _values(events: Events, row: int) -> dict[str, float]:
    pairs = zip(events.info.names, events.data[row].tolist(), strict=True)
    return {k: v for k, v in pairs if k not in _NO_ANSWERS and np.isfinite(v)}


def _reported(recording: Recording, lookback: float) -> Iterator[ConditionSpan]:
    """Yield a span for each self-report, or for each part of a continuous rating."""
    for name, events in recording.events.items():
        if not name.endswith(".ratings") and base_name(name) != RATINGS:
            continue
        kinds = events.labels or ("",) * len(events)
        last, parts = recording.begin, 0
        bins: dict[int, list[int]] = {}
        for i, (time, kind) in enumerate(zip(events.times, kinds, strict=True)):
            if kind == CONTINUOUS:
                bins.setdefault(int((time - recording.begin) // lookback), []).append(i)
                continue
            begin, last = max(float(time) - lookback, last), float(time)
            parts += 1
            yield ConditionSpan(f"report {parts}", begin, last, _values(events, i))
        for k, rows in bins.items():
            begin = recording.begin + k * lookback
            columns = events.data[rows]
            known = np.atleast_1d(np.isfinite(columns).any(axis=0))
            answers = {
                n: float(np.nanmean(columns[:, c]))
                for c, n in enumerate(events.info.names)
                if known[c]
            }
            yield ConditionSpan(f"part {k + 1}", begin, begin + lookback, answers)


def _background(recording: Recording, condition: str) -> dict[str, float]:
    """Return the numbers of phenotype and participants files for a condition."""
    answers: dict[str, float] = {}
    people = _table(recording, PEOPLE)
    instruments = {"participants": people, **_table(recording, ANSWERS)}
    for instrument, columns in instruments.items():
        for column, text in columns.items() if isinstance(columns, dict) else ():
            value = _number(text)
            if value is None:
                continue
            front = f"{condition}_"
            named = column.removeprefix(front)
            if named != column:
                answers[f"{instrument}.{named}"] = value
            else:
                answers.setdefault(f"{instrument}.{column}", value)
    return answers


def _table(recording: Recording, key: str) -> dict[str, Any]:
    try:
        table = json.loads(recording.metadata.get(key, "{}"))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def rating_names(spans: tuple[ConditionSpan, ...]) -> list[str]:
    """Return the names of all answers, valence, arousal and dominance first."""
    names: Mapping[str, None] = dict.fromkeys(n for s in spans for n in s.answers)
    return sorted(names, key=lambda n: (n not in DIMENSIONS, list(names).index(n)))
