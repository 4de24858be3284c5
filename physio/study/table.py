"""The table of outcomes of a study, planned contrasts and mixed models."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from physio.core.recording import Recording
from physio.study.design import Contrast, Exclusion
from physio.study.outcomes import (
    Outcome,
    Segment,
    Signals,
    completed_segments,
    questionnaire_scores,
)
from physio.study.study_folder import Study

COLUMNS = (
    "participant", "condition", "position", "session", "outcome", "value", "unit",
    "coverage", "exclusion",
)  # fmt: skip


class RecordedSession(NamedTuple):
    """A recording with its completed conditions.

    ``scores``: questionnaire scores by condition, from `questionnaire_scores`.
    """

    participant: str
    name: str
    recording: Recording
    segments: Sequence[Segment]
    scores: Mapping[str, Mapping[str, Outcome]]


def read_sessions(study: Study, codes: Iterable[str]) -> Iterator[RecordedSession]:
    """Yield the recordings of participants one by one.

    All intact chunks of an interrupted session are read.
    """
    from physio.datasets.open_recording import read

    for code in codes:
        for folder in study.sessions(code):
            recording = read(folder / "recording.xdf")
            segments = completed_segments(recording)
            yield RecordedSession(
                code, folder.name, recording, segments, questionnaire_scores(recording)
            )


def completed_conditions(study: Study, code: str) -> list[str]:
    """Return the conditions that a participant completed, questionnaires included.

    The log may list more conditions: if an interrupted session did not write its data,
    the condition is lost and must be repeated.
    """
    completed = []
    for session in read_sessions(study, [code]):
        for span in session.segments:
            asked = study.design.conditions[span.condition].questionnaires
            answered = {
                name.partition(".")[0]
                for name in session.scores.get(span.condition, {})
            }
            if set(asked) <= answered:
                completed.append(span.condition)
    return completed


def outcome_table(
    recorded: Iterable[RecordedSession], exclusions: Sequence[Exclusion] = ()
) -> pd.DataFrame:
    """Return the table with a row per participant, condition and outcome.

    Parameters
    ----------
    recorded
        Recorded sessions; if a condition was completed twice, the last one counts.
    exclusions
        Rules of exclusion: an excluded value stays in the table with its reason.

    Returns
    -------
    DataFrame
        ``participant``, ``condition``, ``position`` (1 for the participant's first),
        ``session``, ``outcome``, ``value``, ``unit``, ``coverage`` (valid fraction of
        the condition) and ``exclusion`` (empty if the value is included).
    """
    rows: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    positions: dict[tuple[str, str], int] = {}
    for session in recorded:
        signals = Signals.of(session.recording)
        for span in session.segments:
            key = (session.participant, span.condition)
            before = sum(who == session.participant for who, _ in positions)
            position = positions.setdefault(key, before + 1)
            values = {
                **signals.outcomes(span.begin, span.end),
                **session.scores.get(span.condition, {}),
            }
            for name, (value, unit, coverage) in values.items():
                rows[*key, name] = (
                    *key, position, session.name, name, value, unit, coverage,
                    exclusion_reason(name, coverage, value, exclusions),
                )  # fmt: skip
    return pd.DataFrame(list(rows.values()), columns=list(COLUMNS))


def exclusion_reason(
    outcome: str, coverage: float, value: float, exclusions: Sequence[Exclusion]
) -> str:
    """Return the reason for the exclusion of a value; ``""`` if it is included."""
    for rule in exclusions:
        if rule.applies_to(outcome) and coverage < rule.coverage:
            return f"coverage {coverage:.2f} is below {rule.coverage:g}"
    return "no valid data" if np.isnan(value) else ""


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
    included = table[table["exclusion"] == ""]
    return [
        _estimate(included, contrast, outcome, seed)
        for contrast in planned
        for outcome in contrast.outcomes
    ]


def _estimate(
    included: pd.DataFrame, contrast: Contrast, outcome: str, seed: int
) -> ContrastEstimate:
    values = included[included["outcome"] == outcome]
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
    included = table[table["exclusion"] == ""]
    return {
        "planned": study.design.study.participants,
        "enrolled": len(orders) + study.withdrawn,
        "withdrew and were deleted": study.withdrawn,
        "completed all conditions": len(complete),
        "in the table": int(table["participant"].nunique()),
        "with at least one included value": int(included["participant"].nunique()),
        "values": len(table),
        "values excluded": int((table["exclusion"] != "").sum()),
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

    included = table[(table["exclusion"] == "") & (table["outcome"] == outcome)]
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


def write_table(table: pd.DataFrame, folder: Path) -> None:
    """Write the table as CSV and as Parquet."""
    table.to_csv(folder / "table.csv", index=False)
    table.to_parquet(folder / "table.parquet", index=False)
