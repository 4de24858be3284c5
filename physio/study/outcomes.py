"""Scores of questionnaires, from the markers of a recording or its ratings."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from physio.core.events import Events
from physio.core.recording import MARKERS, Recording
from physio.datasets.base import ConditionSpan
from physio.study.protocol_runner import END, REPEAT
from physio.study.questionnaires import Questionnaire, load, questionnaire_names

RATINGS: Final = "study.ratings"
"""Name of the stream with the ratings of a data set."""


class Outcome(NamedTuple):
    """Value, unit, valid fraction of the segment (0 to 1), and kind of report."""

    value: float
    unit: str
    coverage: float
    report: str = "self-report"


def questionnaire_scores(
    recording: Recording, known: Mapping[str, Questionnaire] | None = None
) -> dict[str, dict[str, Outcome]]:
    """Return the scores of questionnaires: ``{"stress": {"sam.arousal": ...}}``.

    Scores are assigned to the last condition that ended before them; those of a
    condition that ended twice, to its last run. For a data set, they are its ratings
    on the scale of the self-assessment manikin.

    Parameters
    ----------
    recording
        Recording with the markers of the answers.
    known
        Questionnaires by name; default: those that are shipped.
    """
    if known is None:
        known = {name: load(name) for name in questionnaire_names()}
    rated = recording.events.get(RATINGS)
    if rated is not None:
        names = [n for n in rated.info.names if n.endswith(".sam")]
        at = [rated.info.names.index(n) for n in names]
        return {
            label: {
                f"sam.{n.removesuffix('.sam')}": Outcome(float(v), "1", 1.0)
                for n, v in zip(names, row[at], strict=True)
            }
            for label, row in zip(rated.labels, rated.data, strict=True)
        }
    answered: dict[str, dict[str, dict[str, float]]] = {}
    condition = ""
    for _, label in iter_markers(recording):
        if label.startswith(END):
            condition = label.removeprefix(END)
            answered.pop(condition, None)
        answer = _answer(label, known)
        if answer is not None and condition:
            name, item, value = answer
            responses = answered.setdefault(condition, {}).setdefault(name, {})
            responses[item] = value
    return {
        condition: {
            f"{name}.{scale}": Outcome(score, "1", 1.0, known[name].report)
            for name, items in questionnaires.items()
            if len(items) == len(known[name].items)
            for scale, score in known[name].scores(items).items()
        }
        for condition, questionnaires in answered.items()
    }


def last_runs(
    recording: Recording, segments: Iterable[ConditionSpan]
) -> list[ConditionSpan]:
    """Return the conditions; of one that was repeated, its last complete run alone.

    Parameters
    ----------
    recording
        Recording with the markers ``repeat NAME``.
    segments
        Its complete conditions, in order.
    """
    labels = [label for _, label in iter_markers(recording)]
    spans = list(segments)
    return [
        span
        for i, span in enumerate(spans)
        if f"{REPEAT}{span.name}" not in labels
        or span.name not in {later.name for later in spans[i + 1 :]}
    ]


def _answer(
    label: str, known: Mapping[str, Questionnaire]
) -> tuple[str, str, float] | None:
    """Return questionnaire, item and value of an answer; None for another marker."""
    parts = label.split(" ")
    if parts[0] != "answer" or len(parts) != 4 or parts[1] not in known:
        return None
    try:
        value = float(parts[3])
    except ValueError:
        return None
    return (parts[1], parts[2], value) if parts[2] in known[parts[1]].items else None


def iter_markers(recording: Recording) -> Iterator[tuple[float, str]]:
    """Yield time and label of the markers of all streams, in order."""
    rows: list[tuple[float, int, str]] = []
    for name, events in recording.events.items():
        if events.labels and _is_marker_stream(name, events):
            rows += [
                (float(t), i, label)
                for i, (t, label) in enumerate(
                    zip(events.times, events.labels, strict=True)
                )
            ]
    for time, _, label in sorted(rows):
        yield time, label


def _is_marker_stream(name: str, events: Events) -> bool:
    """Return True if a stream holds markers, of the session or of other software."""
    if name.startswith("session."):
        return name.startswith(MARKERS)
    return not events.info.channels
