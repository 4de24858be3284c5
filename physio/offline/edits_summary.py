"""Effect of edits by eye on the measures of a recording, by condition."""

from collections.abc import Sequence

import pandas as pd

from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.offline.analysis import HasSpan, analyze


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
    table = analyze(recording, edits=edits).spans(conditions)
    table["without"] = analyze(recording).spans(conditions)["value"]
    same = (table["value"] == table["without"]) | (
        table["value"].isna() & table["without"].isna()
    )
    touched = (table["edited_share"] > 0) | (table["marked_share"] > 0)
    rows = table[~same | touched | (table["exclusion"] != "")].reset_index(drop=True)
    shown = pd.DataFrame(
        {
            "condition": rows["condition"],
            "measure": rows["measure"] + " (" + rows["unit"] + ")",
            "with edits": [_text(v) for v in rows["value"]],
            "without edits": [_text(v) for v in rows["without"]],
            "edited": [f"{v:.1%}" for v in rows["edited_share"]],
            "marked as bad": [f"{v:.1%}" for v in rows["marked_share"]],
            "exclusion": rows["exclusion"],
        }
    )
    shown.index = pd.RangeIndex(1, len(shown) + 1)
    return shown


def _text(value: float) -> str:
    return "missing" if pd.isna(value) else f"{value:.4g}"
