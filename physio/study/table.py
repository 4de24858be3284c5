"""The table of a study: participant x condition x measure, and what goes with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from physio.core.recording import Recording
from physio.study.design import Contrast, Exclusion
from physio.study.outcomes import Measure, Segment, Signals, answers, spans
from physio.study.study_folder import Study

COLUMNS = (
    "participant", "condition", "position", "session", "measure", "value", "unit",
    "coverage", "exclusion",
)  # fmt: skip


class RecordedSession(NamedTuple):
    """A recording, and which conditions it has.

    ``said``: scores of questionnaires by condition, as `answers` gives them.
    """

    participant: str
    name: str
    recording: Recording
    spans: Sequence[Segment]
    said: Mapping[str, Mapping[str, Measure]]


def sessions(study: Study, codes: Iterable[str]) -> Iterator[RecordedSession]:
    """Yield what was recorded of participants, one recording after another.

    Of a session that was killed, all that is whole is read.
    """
    from physio.datasets.open_recording import read

    for code in codes:
        for folder in study.sessions(code):
            recording = read(folder / "recording.xdf")
            found = spans(recording)
            yield RecordedSession(
                code, folder.name, recording, found, answers(recording)
            )


def recorded(study: Study, code: str) -> list[str]:
    """Return the conditions that a participant's recordings have whole, answers too.

    The log may know of more: what a session had not written when it was killed is to be
    gone through again.
    """
    found = []
    for session in sessions(study, [code]):
        for span in session.spans:
            asked = study.design.conditions[span.condition].questionnaires
            said = {
                name.partition(".")[0] for name in session.said.get(span.condition, {})
            }
            if set(asked) <= said:
                found.append(span.condition)
    return found


def tidy(
    found: Iterable[RecordedSession], exclusions: Sequence[Exclusion] = ()
) -> pd.DataFrame:
    """Return the table, one row a participant, condition and measure.

    Parameters
    ----------
    found
        What was recorded; of a condition that somebody went through twice, the last
        whole one counts.
    exclusions
        When a value does not count: it stays in the table, and ``exclusion`` says why.

    Returns
    -------
    DataFrame
        ``participant``, ``condition``, ``position`` (1 for the first of the
        participant's), ``session``, ``measure``, ``value``, ``unit``, ``coverage`` (the
        share of the condition that the value rests on) and ``exclusion`` (empty where
        the value counts).
    """
    rows: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    positions: dict[tuple[str, str], int] = {}
    for session in found:
        signals = Signals.of(session.recording)
        for span in session.spans:
            key = (session.participant, span.condition)
            before = sum(who == session.participant for who, _ in positions)
            position = positions.setdefault(key, before + 1)
            measured = {
                **signals.measured(span.begin, span.end),
                **session.said.get(span.condition, {}),
            }
            for name, (value, unit, coverage) in measured.items():
                rows[*key, name] = (
                    *key, position, session.name, name, value, unit, coverage,
                    excluded(name, coverage, value, exclusions),
                )  # fmt: skip
    return pd.DataFrame(list(rows.values()), columns=list(COLUMNS))


def excluded(
    measure: str, coverage: float, value: float, exclusions: Sequence[Exclusion]
) -> str:
    """Return why a value does not count; ``""`` if it does."""
    for rule in exclusions:
        if rule.concerns(measure) and coverage < rule.coverage:
            return f"coverage {coverage:.2f} is below {rule.coverage:g}"
    return "nothing to measure" if np.isnan(value) else ""


@dataclass(frozen=True)
class Difference:
    """A planned contrast: of one measure, within participants.

    ``mean`` and its 95 % interval (bootstrap over participants), ``n`` participants
    with both conditions, ``per_participant``, and ``d``, the mean by the spread of the
    differences.
    """

    measure: str
    of: str
    against: str
    mean: float
    low: float
    high: float
    n: int
    d: float
    per_participant: dict[str, float] = field(default_factory=dict)


def contrasts(
    table: pd.DataFrame, planned: Sequence[Contrast], seed: int = 1
) -> list[Difference]:
    """Return the planned contrasts, of the values that count."""
    counts = table[table["exclusion"] == ""]
    return [
        _difference(counts, contrast, measure, seed)
        for contrast in planned
        for measure in contrast.outcomes
    ]


def _difference(
    counts: pd.DataFrame, contrast: Contrast, measure: str, seed: int
) -> Difference:
    own = counts[counts["measure"] == measure]
    wide = own.pivot_table(index="participant", columns="condition", values="value")
    lacking = [c for c in (contrast.of, contrast.against) if c not in wide.columns]
    told = (measure, contrast.of, contrast.against)
    if lacking:
        return Difference(*told, np.nan, np.nan, np.nan, 0, np.nan)
    each = (wide[contrast.of] - wide[contrast.against]).dropna()
    per_participant = {str(k): float(v) for k, v in each.items()}
    if len(each) < 2:
        mean = float(each.mean()) if len(each) else np.nan
        return Difference(
            *told, mean, np.nan, np.nan, len(each), np.nan, per_participant
        )
    rng = np.random.default_rng(seed)
    drawn = rng.choice(each.to_numpy(), (4000, len(each))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    spread = float(each.std(ddof=1))
    d = float(each.mean()) / spread if spread else np.nan
    return Difference(
        *told, float(each.mean()), low, high, len(each), d, per_participant
    )


def flow(study: Study, table: pd.DataFrame) -> dict[str, int]:
    """Return how many were planned, came, withdrew, went through all, and count."""
    here = study.participants
    seen = table.groupby("participant")["condition"].agg(set).to_dict()
    whole = [c for c in here if set(study.orders[here[c]]) <= seen.get(c, set())]
    counts = table[table["exclusion"] == ""]
    return {
        "planned": study.design.study.participants,
        "enrolled": len(here) + study.withdrawn,
        "withdrew and were deleted": study.withdrawn,
        "went through all conditions": len(whole),
        "in the table": int(table["participant"].nunique()),
        "with at least one value that counts": int(counts["participant"].nunique()),
        "values": len(table),
        "values excluded": int((table["exclusion"] != "").sum()),
    }


def mixed(table: pd.DataFrame, measure: str, baseline: str) -> dict[str, Any]:
    """Return a linear mixed model: value ~ condition + position, a level per participant.

    Raises
    ------
    ValueError
        If too few values count for it.
    """
    try:
        import statsmodels.formula.api as smf
    except ImportError:
        raise ValueError(
            "mixed models need statsmodels: pip install 'physio-affect[study]'"
        ) from None
    import warnings

    counts = table[(table["exclusion"] == "") & (table["measure"] == measure)]
    participants, seen = counts["participant"].nunique(), counts["condition"].nunique()
    if (
        participants < 3
        or baseline not in set(counts["condition"])
        or len(counts) <= seen + 2
    ):
        raise ValueError(
            f"a mixed model of {measure!r} needs three participants and {baseline!r}; there "
            f"are {participants} with {seen} conditions"
        )
    formula = f"value ~ C(condition, Treatment({baseline!r})) + position"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at the boundary: told by "converged"
        fitted = smf.mixedlm(formula, counts, groups=counts["participant"]).fit()
        bounds = fitted.conf_int()
    return {
        "measure": measure,
        "formula": formula,
        "participants": participants,
        "values": len(counts),
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


def write(table: pd.DataFrame, folder: Path) -> None:
    """Write the table as CSV and as Parquet."""
    table.to_csv(folder / "table.csv", index=False)
    table.to_parquet(folder / "table.parquet", index=False)
