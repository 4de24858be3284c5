"""Which samples, trials and participants the rows of a table are of."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.datasets.base import natural
from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Rows

Codes = npt.NDArray[np.str_]


ORDER: Final = "order"
"""A column of labels by whose order participants are told apart, in place of ``label``."""


def orders(table: pd.DataFrame) -> Codes:
    """Return for each row the order in which its participant's labels first came."""
    subjects = named(table, "subject")
    labels = named(table, ORDER if ORDER in table.columns else LABEL)
    times = numbers(table, "begin")
    found = np.empty(len(table), object)
    for participant in np.unique(subjects):
        here = subjects == participant
        own = labels[here]
        first = {
            name: times[here][own == name].min() for name in np.unique(own) if name
        }
        found[here] = " > ".join(sorted(first, key=lambda name: first[name]))
    return found.astype(np.str_)


def as_table(groups: Any, y: Any) -> pd.DataFrame:
    """Return groups as a table: they are one, or the participants's codes."""
    if groups is None:
        raise ValueError(
            "groups must say whose each row is: give the table, or the participants's codes"
        )
    if not isinstance(groups, pd.DataFrame):
        groups = pd.DataFrame({"subject": np.asarray(groups).astype(np.str_)})
    if LABEL not in groups.columns and y is not None:
        groups = groups.assign(**{LABEL: np.asarray(y).astype(np.str_)})
    return groups


def named(table: pd.DataFrame, column: str) -> Codes:
    """Return a column of texts, or say what there is instead."""
    if column not in table.columns:
        raise ValueError(
            f"the table has no column {column!r}; it has {', '.join(table.columns)}"
        )
    return table[column].astype(str).to_numpy().astype(np.str_)


def numbers(table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, or say what there is instead."""
    named(table.iloc[:0], column)
    return table[column].to_numpy(np.float64)


def parts(table: pd.DataFrame) -> Codes:
    """Return which trial each row is of; the parts of a recording are trials too."""
    named(table.iloc[:0], "subject")
    return row_ids(table, "dataset", "subject", "session", "trial", "part")


def row_ids(table: pd.DataFrame, *columns: str) -> Codes:
    """Return what identifies each row by those of ``columns`` that there are."""
    parts = [named(table, c) for c in columns if c in table.columns]
    rows = zip(*parts, strict=True)
    return np.array(["\x1f".join(row) for row in rows], np.str_)


def several(codes: Codes, least: int, what: str, name: str) -> list[str]:
    """Return the different codes in natural order; refuse fewer than ``least``."""
    found = sorted(set(codes.tolist()), key=natural)
    if len(found) < least:
        raise ValueError(
            f"{name} needs at least {least} {what}; the table has {len(found)}"
        )
    return found


def overlap(
    first: npt.NDArray[np.float64],
    stop: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    stops: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Tell which spans of samples have one in common with any of the others."""
    begun = np.searchsorted(np.sort(others), stop, side="left")
    over = np.searchsorted(np.sort(stops), first, side="right")
    touched: npt.NDArray[np.bool_] = begun > over
    return touched


def overlapping(table: pd.DataFrame, rows: Rows, others: Rows) -> list[int]:
    """Return those of ``rows`` that rest on a sample on which any of the others does.

    Proved from the raw spans ``rests`` to ``stop`` within each recording.
    """
    recordings = row_ids(table, "dataset", "subject", "session", "trial")
    rests, stop = (numbers(table, k) for k in ("rests", "stop"))
    found: list[int] = []
    there = recordings[others]
    for one in np.unique(recordings[rows]):
        a, b = rows[recordings[rows] == one], others[there == one]
        found += a[overlap(rests[a], stop[a], rests[b], stop[b])].tolist()
    return sorted(found)
