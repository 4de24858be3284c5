"""Effect of edits by eye on the measures of a recording, by condition."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.offline.analysis import Analysis, HasSpan, analyze
from physio.offline.span_measures import SPAN_KEY


def spans_beside(
    edited: Analysis, unedited: Analysis, conditions: Sequence[HasSpan] = ()
) -> pd.DataFrame:
    """Return the measures of conditions with their values without edits.

    Parameters
    ----------
    edited, unedited
        Analyses of one recording with and without edits.
    conditions
        Its conditions; without any, the whole recording is one.

    Returns
    -------
    DataFrame
        Columns of `Analysis.spans`, and ``value_without_edits`` after ``value``.
        Measures of a stream of which the edits leave nothing are missing.
    """
    end = max(edited.end, unedited.end)
    chosen = list(conditions) or [ConditionSpan("recording", edited.begin, end)]
    table, other = edited.spans(chosen), unedited.spans(chosen)
    rows, others = (pd.MultiIndex.from_frame(t[SPAN_KEY]) for t in (table, other))
    gone = other[~others.isin(rows)].assign(
        value=np.nan, n=0, coverage=0.0, artifact=0.0,
        reason="the edits leave nothing of this stream",
    )  # fmt: skip
    if edited.edits is not None and len(gone):
        marked, excluded = edited.edits.marked_share, edited.edits.excluded
        places = list(gone[SPAN_KEY].itertuples(index=False, name=None))
        gone["marked_share"] = [
            marked(s, c, a, b, unedited.parts_of(s, c)) for _, a, b, s, c, _ in places
        ]
        gone["exclusion"] = [excluded(a, b) for _, a, b, *_ in places]
        attributes = table.attrs
        table = pd.concat([table, gone], ignore_index=True)
        table.attrs = attributes
        rows = pd.MultiIndex.from_frame(table[SPAN_KEY])
    known = other.drop_duplicates(SPAN_KEY).set_index(SPAN_KEY)["value"]
    at = list(table.columns).index("value") + 1
    table.insert(at, "value_without_edits", known.reindex(rows).to_numpy(float))
    return table


def edits_summary(
    recording: Recording, edits: Edits, conditions: Sequence[HasSpan] = ()
) -> pd.DataFrame:
    """Return the measures of each condition with and without edits, as text.

    Parameters
    ----------
    recording
        The recording.
    edits
        Its edits, on the session clock.
    conditions
        Its conditions; without any, the whole recording is one.

    Returns
    -------
    DataFrame
        By number: condition, measure, value with and without edits, shares edited and
        marked as bad, and the exclusion. Measures that no edit changes are left out.
    """
    edited, unedited = analyze(recording, edits=edits), analyze(recording)
    table = spans_beside(edited, unedited, conditions)
    without = table["value_without_edits"]
    same = (table["value"] == without) | (table["value"].isna() & without.isna())
    touched = (table["edited_share"] > 0) | (table["marked_share"] > 0)
    rows = table[~same | touched | (table["exclusion"] != "")].reset_index(drop=True)
    shown = pd.DataFrame(
        {
            "condition": rows["condition"],
            "measure": rows["measure"] + " (" + rows["unit"] + ")",
            "with edits": [_text(v) for v in rows["value"]],
            "without edits": [_text(v) for v in rows["value_without_edits"]],
            "edited": [f"{v:.1%}" for v in rows["edited_share"]],
            "marked as bad": [f"{v:.1%}" for v in rows["marked_share"]],
            "exclusion": rows["exclusion"],
        }
    )
    shown.index = pd.RangeIndex(1, len(shown) + 1)
    return shown


def _text(value: float) -> str:
    return "missing" if pd.isna(value) else f"{value:.4g}"
