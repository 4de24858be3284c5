"""Rules that exclude values of a table, stated before the values are known."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from physio import config

HEART: Final = ("mean_heart_rate", "hrv_", "prv_", "irregular_share", "share_corrected")
"""Prefixes of the measures whose number ``n`` counts beats."""

MISSING: Final = "no valid data"
"""Reason for the exclusion of a value that is missing."""


@dataclass(frozen=True)
class Exclusion:
    """A table of ``[[exclusions]]``: a rule that excludes values.

    Parameters
    ----------
    outcomes
        Prefixes of the names of measures, such as ``"eda"``; empty for all.
    coverage
        Smallest valid fraction of a condition, 0 to 1.
    beats
        Smallest number of beats, for measures of the heart.
    corrected
        Largest share of beats that were corrected, 0 to 1, for measures of the heart.
    """

    coverage: float = 0.0
    outcomes: tuple[str, ...] = ()
    beats: int = 0
    corrected: float = 1.0

    def __post_init__(self) -> None:
        for name in ("coverage", "corrected"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} must be from 0 to 1, not {getattr(self, name):g}"
                )
        if self.beats < 0:
            raise ValueError(f"beats must be 0 or more, not {self.beats}")

    def applies_to(self, measure: str) -> bool:
        """Return True if the rule applies to a measure."""
        return not self.outcomes or measure.startswith(self.outcomes)

    def reason(self, measure: str, coverage: float, n: float, corrected: float) -> str:
        """Return the reason for the exclusion of a value; ``""`` if it is included.

        Parameters
        ----------
        measure
            Name of the measure.
        coverage
            Valid fraction of the condition.
        n
            Number of beats.
        corrected
            Share of beats that were corrected.
        """
        if not self.applies_to(measure):
            return ""
        if coverage < self.coverage:
            return f"coverage {coverage:.2f} is below {self.coverage:g}"
        if not measure.startswith(HEART):
            return ""
        if n < self.beats:
            return f"{n:.0f} beats are below {self.beats}"
        if corrected > self.corrected:
            return (
                f"share of corrected beats {corrected:.2f} is above {self.corrected:g}"
            )
        return ""

    @property
    def words(self) -> str:
        """The rule in words."""
        parts = [
            f"coverage below {self.coverage:g}" if self.coverage else "",
            f"fewer than {self.beats} beats" if self.beats else "",
            f"more than {self.corrected:g} of the beats corrected"
            if self.corrected < 1
            else "",
        ]
        limits = " or ".join(filter(None, parts)) or "no limit"
        return f"{', '.join(self.outcomes) or 'all measures'}: {limits}"


def read_rules(path: Path) -> tuple[Exclusion, ...]:
    """Return the rules of a file (TOML) with tables ``[[exclusions]]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a key or a value is invalid, or there is no rule.
    """
    tables = config.read(path)
    config.allow(tables, ("exclusions",), path.name, "a file of exclusion rules")
    rows = tables.get("exclusions")
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: state rules in tables [[exclusions]]")
    rules = []
    for i, row in enumerate(rows):
        at = f"{path.name}: exclusions[{i}]"
        if not isinstance(row, dict):
            raise ValueError(f"{at} = {row!r} must be a table")
        rules.append(config.make(Exclusion, config.build(row, at), at))
    return tuple(rules)


def exclusion_reason(rules: Sequence[Exclusion], row: Any) -> str:
    """Return the reason for the exclusion of a row; ``""`` if it is included.

    ``row`` has ``measure``, ``value``, ``coverage``, ``n`` and ``corrected_share``.
    """
    coverage = 0.0 if math.isnan(row.coverage) else float(row.coverage)
    n = 0.0 if math.isnan(row.n) else float(row.n)
    for rule in rules:
        if reason := rule.reason(row.measure, coverage, n, row.corrected_share):
            return reason
    return MISSING if math.isnan(row.value) else ""


def _without_value(reason: str) -> str:
    """Return a reason without the value: ``"coverage is below 0.5"``."""
    return re.sub(r"^\d+ (?=beats)| [\d.]+(?= is )", "", reason)


def by_condition(table: pd.DataFrame) -> pd.DataFrame:
    """Return exclusions and coverage by condition and measure.

    Parameters
    ----------
    table
        Long table, as of `physio.offline.condition_table.long_table`.

    Returns
    -------
    DataFrame
        ``condition``, ``measure``, ``analysis``, ``participants``, ``values``,
        ``excluded``, ``excluded_share``, ``coverage_mean``, ``coverage_min``,
        ``artifact_share_mean``, ``edited_share_mean`` and ``marked_share_mean`` (by
        eye), and ``reasons``, each reason with its number of values.
    """
    rows = []
    primary = table[table["baseline_role"] != "sensitivity"]
    keys = ["condition", "measure", "analysis"]
    for key, part in primary.groupby(keys, sort=False):
        stated = part.loc[part["exclusion"] != "", "exclusion"]
        reasons = stated.map(_without_value).value_counts()
        excluded = int((part["exclusion"] != "").sum())
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "participants": part["participant"].nunique(),
                "values": len(part),
                "excluded": excluded,
                "excluded_share": excluded / len(part),
                "coverage_mean": part["coverage"].mean(),
                "coverage_min": part["coverage"].min(),
                "artifact_share_mean": part["artifact_share"].mean(),
                "edited_share_mean": part["edited_share"].mean(),
                "marked_share_mean": part["marked_share"].mean(),
                "reasons": "; ".join(f"{n} x {why}" for why, n in reasons.items()),
            }
        )
    return pd.DataFrame(rows)
