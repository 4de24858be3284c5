"""Baselines of a table: difference of each value from the participant's baseline."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.baseline_choice import BaselineChoice
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan

PRIMARY: Final = "primary"
SENSITIVITY: Final = "sensitivity"

COLUMNS: Final = {
    "baseline_role": "primary: the baseline chosen beforehand; sensitivity: the next",
    "baseline": "name of the baseline",
    "baseline_begin_s": "begin of the baseline (s after the beginning)",
    "baseline_end_s": "end of the baseline (s after the beginning)",
    "baseline_seconds": "length of the baseline (s)",
    "baseline_coverage": "valid fraction of the baseline, of this measure",
    "baseline_slope": "second less first half of the baseline, per minute",
    "baseline_since_worn_s": "time since the sensor was put on (s); missing: unknown",
    "baseline_value": "value in the baseline, for use as a covariate",
    "difference": "value less baseline_value; missing where either is excluded",
    "baseline_exclusion": "reason for the exclusion of the baseline",
}
"""Columns of the baseline, and their descriptions."""

_TEXTS: Final = ("baseline_role", "baseline", "baseline_exclusion")


class BaselineSpan(NamedTuple):
    """A baseline of a participant (s, session clock), and its halves.

    ``role`` is `PRIMARY` or `SENSITIVITY`.
    """

    role: str
    name: str
    begin: float
    end: float

    @property
    def spans(self) -> tuple[ConditionSpan, ...]:
        """The baseline, its first and its second half."""
        middle = (self.begin + self.end) / 2
        return (
            ConditionSpan(self.name, self.begin, self.end),
            ConditionSpan(self.name, self.begin, middle),
            ConditionSpan(self.name, middle, self.end),
        )


def baseline_spans(
    choice: BaselineChoice, recording: Recording, conditions: Sequence[ConditionSpan]
) -> tuple[BaselineSpan, BaselineSpan]:
    """Return the chosen baseline of a recording, and the next-best one.

    The next-best baseline is the next occurrence of the same condition; if there is
    none, the second half of the chosen baseline, in which the sensor had more time to
    settle.

    Raises
    ------
    ValueError
        If the recording has no such condition, or ends before the baseline.
    """
    if not choice.condition:
        begin, end = recording.begin + choice.begin, recording.begin + choice.end
        if end > recording.end + 1.0:
            raise ValueError(
                f"the baseline from {choice.begin:g} to {choice.end:g} s is not in the "
                f"recording, which lasts {recording.seconds:.0f} s"
            )
        first = BaselineSpan(PRIMARY, choice.words, begin, end)
        return first, _second_half(first)
    named = [c for c in conditions if c.name == choice.condition]
    if not named:
        known = ", ".join(dict.fromkeys(c.name for c in conditions)) or "none"
        raise ValueError(
            f"the recording has no condition {choice.condition!r} as baseline (its "
            f"conditions are {known})"
        )
    first = BaselineSpan(PRIMARY, named[0].name, named[0].begin, named[0].end)
    if len(named) == 1:
        return first, _second_half(first)
    name = f"{named[1].name} (2)"
    return first, BaselineSpan(SENSITIVITY, name, named[1].begin, named[1].end)


def add_baselines(
    rows: pd.DataFrame,
    measured: Sequence[pd.DataFrame],
    baselines: Sequence[BaselineSpan],
    begin: float,
) -> pd.DataFrame:
    """Return the rows of conditions with each baseline; without baselines, once.

    Parameters
    ----------
    rows
        Rows of the conditions, with ``exclusion``.
    measured
        Rows of each baseline and of its halves, with ``span`` 0, 1 and 2.
    baselines
        The baselines.
    begin
        Begin of the recording (s, session clock).
    """
    if not baselines:
        rows = rows.copy()
        for column in COLUMNS:
            rows[column] = "" if column in _TEXTS else np.nan
        return rows
    parts = []
    for baseline, values in zip(baselines, measured, strict=True):
        key = ["measure", "source", "analysis"]
        whole, first, second = (
            values[values["span"] == k].drop_duplicates(key).set_index(key)
            for k in range(3)
        )
        minutes = (baseline.end - baseline.begin) / 120
        columns = pd.DataFrame(
            {
                "baseline_coverage": whole["coverage"],
                "baseline_slope": (second["value"] - first["value"]) / minutes,
                "baseline_since_worn_s": whole["since_worn_s"],
                "baseline_value": whole["value"],
                "baseline_exclusion": whole["exclusion"],
            }
        )
        part = rows.join(columns, on=key)
        part["baseline_exclusion"] = part["baseline_exclusion"].fillna("not measured")
        part["baseline_role"], part["baseline"] = baseline.role, baseline.name
        part["baseline_begin_s"] = baseline.begin - begin
        part["baseline_end_s"] = baseline.end - begin
        part["baseline_seconds"] = baseline.end - baseline.begin
        usable = (part["exclusion"] == "") & (part["baseline_exclusion"] == "")
        difference = part["value"] - part["baseline_value"]
        part["difference"] = difference.where(usable)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _second_half(first: BaselineSpan) -> BaselineSpan:
    middle = (first.begin + first.end) / 2
    return BaselineSpan(SENSITIVITY, f"{first.name}, second half", middle, first.end)
