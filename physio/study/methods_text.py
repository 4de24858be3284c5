"""Methods text of a study: sentences on what was recorded, not on what was planned."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.counted_nouns import counted
from physio.offline.condition_measures import MeasureSettings
from physio.offline.table_methods import signal_sentences
from physio.study.contrasts import ContrastEstimate, RecordedSession, value_counts
from physio.study.counterbalancing import williams_design
from physio.study.design import Design

LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "pandas", "statsmodels")


class StudyRecord(NamedTuple):
    """Facts of a study beside its table.

    ``orders``: assigned order of conditions by participant; empty if none was assigned.
    ``durations``: recorded durations of each condition (s). ``frozen``: time at which
    the plan was frozen, None if it was not. ``early``: number of sessions that began
    before that, or at an unknown time. ``deviations``: reasons of logged deviations.
    ``simulated``: whether a participant is simulated. ``edits``: a sentence on the
    edits by eye of each session that has some.
    """

    orders: Mapping[str, Sequence[str]]
    durations: Mapping[str, Sequence[float]]
    frozen: datetime | None
    early: int
    deviations: Sequence[str]
    simulated: bool
    edits: Sequence[str] = ()


def study_record(
    recorded: Sequence[RecordedSession],
    *,
    simulated: bool,
    orders: Mapping[str, Sequence[str]] | None = None,
    frozen: str = "",
    deviations: Sequence[str] = (),
) -> StudyRecord:
    """Return the facts of a study from its recordings and its log.

    Parameters
    ----------
    recorded
        The recorded sessions.
    simulated
        Whether a participant is simulated.
    orders
        Assigned order of conditions by participant.
    frozen
        Time at which the plan was frozen (ISO 8601); empty if it was not.
    deviations
        Reasons of the logged deviations.
    """
    durations: dict[str, list[float]] = {}
    for session in recorded:
        for span in session.segments:
            durations.setdefault(span.name, []).append(span.end - span.begin)
    at = datetime.fromisoformat(frozen) if frozen else None
    dates = [session.recording.date for session in recorded]
    early = sum(date is None or date < at for date in dates) if at else 0
    edits = [f"{s.name}: {s.edits.sentence}" for s in recorded if s.edits is not None]
    return StudyRecord(orders or {}, durations, at, early, deviations, simulated, edits)


def methods_text(
    design: Design,
    flow: Mapping[str, int],
    table: pd.DataFrame,
    contrasts: Sequence[ContrastEstimate],
    record: StudyRecord,
) -> str:
    """Return a paragraph for the methods section.

    Each sentence is derived from the recordings and the log; what did not happen is
    not mentioned, or named as missing.

    Parameters
    ----------
    design
        The plan.
    flow
        Numbers of participants: see `physio.study.contrasts.participant_flow`.
    table
        The outcomes.
    contrasts
        The estimated contrasts.
    record
        Further facts.
    """
    sentences = [
        "SIMULATED participants: a rehearsal, not data." if record.simulated else "",
        _participants(flow, record),
        _conditions(design, record),
        _order(design, table, record),
        _questionnaires(design, table),
        *signal_sentences(_with_values(table), MeasureSettings().scr_threshold),
        f"Sessions were {'; '.join(record.edits)}." if record.edits else "",
        _exclusions(design, table),
        _contrasts(contrasts),
        _plan(design, record),
        f"Computed with {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}.",
    ]
    return " ".join(sentence for sentence in sentences if sentence) + "\n"


def _participants(flow: Mapping[str, int], record: StudyRecord) -> str:
    if not record.orders:
        return f"The data of {counted(flow['enrolled'], 'participant')} were analysed."
    text = (
        f"{flow['enrolled']} of {flow['planned']} planned participants were enrolled."
    )
    if withdrew := flow["withdrew and were deleted"]:
        text += f" {withdrew} withdrew and their data were deleted."
    return text


def _conditions(design: Design, record: StudyRecord) -> str:
    """Name the recorded conditions with their durations, and the missing ones."""
    parts = []
    for name, seconds in record.durations.items():
        low, high = min(seconds), max(seconds)
        span = f"{np.median(seconds):.0f} s"
        if high - low > 1:
            span = f"median {span}, {low:.0f} to {high:.0f} s"
        parts.append(f"{name} ({span}, recorded {len(seconds)} times)")
    text = f"Conditions were {', '.join(parts)}." if parts else ""
    missing = [name for name in design.conditions if name not in record.durations]
    if missing:
        text += f" Of the planned conditions, {', '.join(missing)} was not recorded."
    return text.strip()


def _order(design: Design, table: pd.DataFrame, record: StudyRecord) -> str:
    """State how the order was balanced, if it was assigned and followed."""
    balanced = design.placed("balanced")
    if not record.orders or len(balanced) < 2 or table.empty:
        return ""
    rows = table.drop_duplicates(["participant", "condition"]).sort_values("position")
    actual = {
        str(code): [c for c in part["condition"] if c in balanced]
        for code, part in rows.groupby("participant")
    }
    complete = {c: o for c, o in actual.items() if len(o) == len(balanced)}
    assigned = {
        code: [c for c in order if c in balanced]
        for code, order in record.orders.items()
    }
    other = [c for c, order in complete.items() if order != assigned.get(c)]
    sequences = {
        tuple(balanced[i] for i in row) for row in williams_design(len(balanced))
    }
    counts = Counter(map(tuple, complete.values()))
    names = ", ".join(balanced)
    equal = set(counts) == sequences and len(set(counts.values())) == 1
    if equal and len(complete) == len(actual) and not other:
        return (
            f"The order of {names} was counterbalanced in a Williams design (Williams "
            f"1949) with the seed {design.study.seed}."
        )
    text = (
        f"The order of {names} was drawn from a Williams design (Williams 1949) with "
        f"the seed {design.study.seed}; it is not balanced: {len(complete)} "
        f"participants completed these conditions, in {len(set(counts) & sequences)} "
        f"of its {len(sequences)} orders"
    )
    return text + (f", {len(other)} not in the assigned order." if other else ".")


def _questionnaires(design: Design, table: pd.DataFrame) -> str:
    planned = sorted({q for c in design.conditions.values() for q in c.questionnaires})
    present = {str(name).partition(".")[0] for name in _with_values(table)}
    known = design.scored
    scored = [q for q in planned if q in present]
    text = ""
    for report in dict.fromkeys(known[q].report for q in scored):
        mine = [known[q] for q in scored if known[q].report == report]
        named = "; ".join(f"{q.title} ({q.citation})" for q in mine)
        text += f" {report.capitalize()}s: {named}."
    if missing := [known[q].title for q in planned if q not in present]:
        text += f" No answers were recorded to {'; '.join(missing)}."
    return text.strip()


def _exclusions(design: Design, table: pd.DataFrame) -> str:
    if not design.exclusions:
        return ""
    rules = "; ".join(rule.words for rule in design.exclusions)
    counts = value_counts(table)
    return (
        f"Exclusion rules of the plan: {rules}; {counts['values excluded']} of "
        f"{counts['values']} values were excluded or missing."
    )


def _contrasts(contrasts: Sequence[ContrastEstimate]) -> str:
    if not any(c.n >= 2 for c in contrasts):
        return "No contrast could be computed." if contrasts else ""
    return (
        "Contrasts are differences within participants, with 95 % bootstrap intervals "
        "over participants."
    )


def _plan(design: Design, record: StudyRecord) -> str:
    name = f"The plan (SHA-256 {design.hash[:16]}...)"
    if record.frozen is None:
        return f"{name} was applied to data that were recorded without it."
    text = f"{name} was frozen on {record.frozen.date().isoformat()}"
    if record.early:
        text += f"; {record.early} sessions began before that or have no date"
    else:
        text += ", before the first session"
    if record.deviations:
        text += f"; deviations: {'; '.join(record.deviations)}"
    return f"{text}."


def _with_values(table: pd.DataFrame) -> list[str]:
    """Return the outcomes with at least one value."""
    return sorted(set(table.loc[table["value"].notna(), "measure"]))
