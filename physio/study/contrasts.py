"""The table of a study, planned contrasts and mixed models."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from physio.core.baseline_choice import BaselineChoice
from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.offline.condition_baseline import SENSITIVITY
from physio.offline.condition_measures import MeasureSettings
from physio.offline.condition_table import (
    TableSettings,
    long_table,
    measure_recording,
    wide_table,
)
from physio.offline.conditions import recorded_conditions
from physio.offline.edits_file import BY_DEFAULT, EditsChoice, edits_of
from physio.offline.exclusions import MISSING, Exclusion, by_condition
from physio.study.design import Contrast
from physio.study.outcomes import Outcome, last_runs, questionnaire_scores
from physio.study.study_folder import Study


class RecordedSession(NamedTuple):
    """A recording with its completed conditions.

    ``scores``: questionnaire scores by condition, from `questionnaire_scores`;
    ``edits``: edits by eye, on the session clock.
    """

    participant: str
    name: str
    recording: Recording
    segments: Sequence[ConditionSpan]
    scores: Mapping[str, Mapping[str, Outcome]]
    edits: Edits | None = None


def read_sessions(
    study: Study, codes: Iterable[str], choice: EditsChoice = BY_DEFAULT
) -> Iterator[RecordedSession]:
    """Yield the recordings of participants one by one, with the chosen edits.

    All intact chunks of an interrupted session are read. Of a condition that was
    repeated, the last complete run counts.
    """
    from physio.datasets.open_recording import read

    for code in codes:
        for folder in study.sessions(code):
            recording = read(folder / "recording.xdf")
            segments = last_runs(recording, recorded_conditions(recording))
            scores = questionnaire_scores(recording, study.design.scored)
            edits, _ = edits_of(folder, recording.begin, choice)
            yield RecordedSession(code, folder.name, recording, segments, scores, edits)


def completed_conditions(study: Study, code: str) -> list[str]:
    """Return the conditions that a participant completed, questionnaires included.

    The log may list more conditions: if an interrupted session did not write its data,
    the condition is lost and must be repeated.
    """
    completed = []
    for session in read_sessions(study, [code], EditsChoice(used=False)):
        for span in session.segments:
            asked = study.design.conditions[span.name].questionnaires
            answered = {
                name.partition(".")[0] for name in session.scores.get(span.name, {})
            }
            if set(asked) <= answered:
                completed.append(span.name)
    return completed


def study_table(
    recorded: Iterable[RecordedSession],
    exclusions: Sequence[Exclusion] = (),
    baseline: str = "",
) -> pd.DataFrame:
    """Return the table of a study, as of `physio table`, with the scores.

    Parameters
    ----------
    recorded
        Recorded sessions; if a condition was completed twice, the last one counts.
    exclusions
        Rules of exclusion: an excluded value stays in the table with its reason.
    baseline
        Condition from which differences are taken; empty for none.

    Returns
    -------
    DataFrame
        Columns of `physio.offline.condition_table.LONG`; ``recording`` is the name of
        the session.
    """
    choice = BaselineChoice(baseline) if baseline else None
    settings = TableSettings(
        baseline=choice,
        exclusions=tuple(exclusions),
        measures=MeasureSettings(estimates=False),
    )
    parts: list[pd.DataFrame] = []
    for session in recorded:
        rows = _session_rows(session, settings)
        done = set(rows["condition"])
        parts = [
            part[
                (part["participant"] != session.participant)
                | ~part["condition"].isin(done)
            ]
            for part in parts
        ]
        parts.append(rows)
    return long_table(parts)


def _session_rows(session: RecordedSession, settings: TableSettings) -> pd.DataFrame:
    """Return the measures and the scores of a session."""
    recording = session.recording
    try:
        edits = session.edits
        rows, _ = measure_recording(recording, session.segments, settings, edits)
    except ValueError:  # no sensor at all
        rows = pd.DataFrame(columns=["condition"])
    scores = pd.DataFrame(
        [
            {
                "condition": span.name,
                "begin_s": span.begin - recording.begin,
                "end_s": span.end - recording.begin,
                "seconds": span.end - span.begin,
                "measure": name,
                "source": "questionnaire",
                "analysis": score.report,
                "value": score.value,
                "unit": score.unit,
                "n": 1.0,
                "n_of": "answers",
                "coverage": score.coverage,
                "exclusion": "" if np.isfinite(score.value) else MISSING,
                **dict.fromkeys(("reason", "baseline", "baseline_exclusion"), ""),
                "baseline_role": "primary" if settings.baseline else "",
            }
            for span in session.segments
            for name, score in session.scores.get(span.name, {}).items()
        ]
    )
    parts = [part for part in (rows, scores) if len(part)]
    joined = pd.concat(parts, ignore_index=True) if parts else rows
    joined.insert(0, "participant", session.participant)
    joined.insert(1, "recording", session.name)
    return joined


@dataclass(frozen=True)
class ContrastEstimate:
    """The estimate of a planned contrast of an outcome, within participants.

    ``mean`` and its 95 % interval (bootstrap over participants), ``n`` participants
    with both conditions, ``per_participant``, and ``d``, the mean divided by the
    standard deviation of the differences.
    """

    outcome: str
    of: str
    against: str
    mean: float
    low: float
    high: float
    n: int
    d: float
    per_participant: dict[str, float] = field(default_factory=dict)


def estimate_contrasts(
    table: pd.DataFrame, planned: Sequence[Contrast], seed: int = 1
) -> list[ContrastEstimate]:
    """Return the estimates of the planned contrasts, of the included values."""
    included = _included(table)
    return [
        _estimate(included, contrast, outcome, seed)
        for contrast in planned
        for outcome in contrast.outcomes
    ]


def _estimate(
    included: pd.DataFrame, contrast: Contrast, outcome: str, seed: int
) -> ContrastEstimate:
    values = included[included["measure"] == outcome]
    wide = values.pivot_table(index="participant", columns="condition", values="value")
    absent = [c for c in (contrast.of, contrast.against) if c not in wide.columns]
    key = (outcome, contrast.of, contrast.against)
    if absent:
        return ContrastEstimate(*key, np.nan, np.nan, np.nan, 0, np.nan)
    differences = (wide[contrast.of] - wide[contrast.against]).dropna()
    per_participant = {str(k): float(v) for k, v in differences.items()}
    if len(differences) < 2:
        mean = float(differences.mean()) if len(differences) else np.nan
        return ContrastEstimate(
            *key, mean, np.nan, np.nan, len(differences), np.nan, per_participant
        )
    rng = np.random.default_rng(seed)
    drawn = rng.choice(differences.to_numpy(), (4000, len(differences))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    spread = float(differences.std(ddof=1))
    d = float(differences.mean()) / spread if spread else np.nan
    return ContrastEstimate(
        *key, float(differences.mean()), low, high, len(differences), d, per_participant
    )


def participant_flow(study: Study, table: pd.DataFrame) -> dict[str, int]:
    """Return the participant flow from planned to included."""
    orders = study.participants
    completed = table.groupby("participant")["condition"].agg(set).to_dict()
    complete = [
        c for c in orders if set(study.conditions(c)) <= completed.get(c, set())
    ]
    included = _included(table)
    return {
        "planned": study.design.study.participants,
        "enrolled": len(orders) + study.withdrawn,
        "withdrew and were deleted": study.withdrawn,
        "completed all conditions": len(complete),
        "in the table": int(table["participant"].nunique()),
        "with at least one included value": int(included["participant"].nunique()),
        **value_counts(table),
    }


def mixed_model(table: pd.DataFrame, outcome: str, baseline: str) -> dict[str, Any]:
    """Fit a linear mixed model: value ~ condition + position, random intercepts.

    Raises
    ------
    ValueError
        If too few values are included.
    """
    try:
        import statsmodels.formula.api as smf
    except ImportError:
        raise ValueError(
            "mixed models need statsmodels: pip install 'physio-affect[study]'"
        ) from None
    import warnings

    included = _included(table)
    included = included[included["measure"] == outcome]
    participants, conditions = (
        included["participant"].nunique(),
        included["condition"].nunique(),
    )
    if (
        participants < 3
        or baseline not in set(included["condition"])
        or len(included) <= conditions + 2
    ):
        raise ValueError(
            f"a mixed model of {outcome!r} needs three participants and {baseline!r}; "
            f"there are {participants} with {conditions} conditions"
        )
    formula = f"value ~ C(condition, Treatment({baseline!r})) + position"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at the boundary: see "converged"
        fitted = smf.mixedlm(formula, included, groups=included["participant"]).fit()
        bounds = fitted.conf_int()
    return {
        "outcome": outcome,
        "formula": formula,
        "participants": participants,
        "values": len(included),
        "converged": bool(fitted.converged),
        "effects": {
            name: {
                "estimate": float(fitted.params[name]),
                "low": float(bounds.loc[name, 0]),
                "high": float(bounds.loc[name, 1]),
                "p": float(fitted.pvalues[name]),
            }
            for name in fitted.fe_params.index
        },
    }


def value_counts(table: pd.DataFrame) -> dict[str, int]:
    """Return the number of values, and of those that are excluded or missing."""
    primary = table[table["baseline_role"] != SENSITIVITY]
    excluded = int((primary["exclusion"] != "").sum())
    return {"values": len(primary), "values excluded": excluded}


def write_table(table: pd.DataFrame, folder: Path) -> None:
    """Write the table as CSV and Parquet; the wide table, and coverage by condition."""
    table.to_csv(folder / "table.csv", index=False)
    table.to_parquet(folder / "table.parquet", index=False)
    wide_table(table).to_csv(folder / "table_wide.csv", index=False)
    by_condition(table).to_csv(folder / "table_coverage.csv", index=False)


def _included(table: pd.DataFrame) -> pd.DataFrame:
    """Return the included values, each once, of the first sensor of a measure."""
    rows = table[(table["exclusion"] == "") & (table["baseline_role"] != SENSITIVITY)]
    key = ["participant", "condition", "repeat", "measure"]
    return rows.drop_duplicates([k for k in key if k in rows])
