"""Identity of the rows of a table: participant, recording, segment and samples."""

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array
from physio.datasets.base import natural_sorted
from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Rows

Codes = npt.NDArray[np.str_]


ORDER: Final = "order"
"""Optional column of labels whose order groups participants, instead of ``label``."""

_RECORDING: Final = ("dataset", "subject", "session", "trial")


class RowIndex:
    """Table with the identities of its rows, each computed once and cached.

    Parameters
    ----------
    table
        The rows, as `physio.datasets.feature_table` describes them.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self._ids: dict[tuple[str, ...], Codes] = {}

    @classmethod
    def of(cls, table: "Table") -> "RowIndex":
        """Return the index of a table; return an index unchanged."""
        return table if isinstance(table, RowIndex) else cls(table)

    @property
    def participants(self) -> Codes:
        """Code of each row's participant, with the data set where there is one."""
        return self.ids("dataset", "subject")

    @property
    def recordings(self) -> Codes:
        """Code of each row's recording."""
        return self.ids(*_RECORDING)

    @property
    def segments(self) -> Codes:
        """Code of each row's segment of a recording: the unit of a trial."""
        named(self.table.iloc[:0], "subject")
        return self.ids(*_RECORDING, "segment")

    def ids(self, *columns: str) -> Codes:
        """Return a code of each row from the columns that the table has."""
        key = tuple(c for c in columns if c in self.table.columns)
        if key not in self._ids:
            texts = (named(self.table, c) for c in key)
            joined = ["\x1f".join(row) for row in zip(*texts, strict=True)]
            self._ids[key] = np.array(joined, np.str_)
        return self._ids[key]

    def take(self, rows: Rows) -> Self:
        """Return the index of some rows, without computing codes anew."""
        return self._derived(
            self.table.iloc[rows], {k: v[rows] for k, v in self._ids.items()}
        )

    def without(self, columns: Sequence[str]) -> Self:
        """Return the index without some columns, which must not identify rows."""
        return self._derived(self.table.drop(columns=list(columns)), dict(self._ids))

    def with_columns(self, columns: Sequence[str], values: Array) -> Self:
        """Return the index with other values of columns that do not identify rows."""
        changed = dict(zip(columns, np.asarray(values).T, strict=True))
        return self._derived(self.table.assign(**changed), dict(self._ids))

    def _derived(self, table: pd.DataFrame, ids: dict[tuple[str, ...], Codes]) -> Self:
        derived = type(self)(table)
        derived._ids.update(ids)  # noqa: SLF001 an object of this class
        return derived


Table = pd.DataFrame | RowIndex
"""A table of rows, with or without its index."""


def orders(table: pd.DataFrame) -> Codes:
    """Return for each row the order of first occurrence of the participant's labels."""
    subjects = named(table, "subject")
    labels = named(table, ORDER if ORDER in table.columns else LABEL)
    times = numbers(table, "start_s")
    order = np.empty(len(table), object)
    for participant in np.unique(subjects):
        rows = subjects == participant
        row_labels = labels[rows]
        first = {
            name: times[rows][row_labels == name].min()
            for name in np.unique(row_labels)
            if name
        }
        order[rows] = " > ".join(sorted(first, key=lambda name: first[name]))
    return order.astype(np.str_)


def as_table(groups: Any, y: Any) -> pd.DataFrame:
    """Return groups, a table or the participant code of each row, as a table."""
    if groups is None:
        raise ValueError(
            "groups must name the participant of each row: give the table, or "
            "participant codes"
        )
    if not isinstance(groups, pd.DataFrame):
        groups = pd.DataFrame({"subject": np.asarray(groups).astype(np.str_)})
    if LABEL not in groups.columns and y is not None:
        groups = groups.assign(**{LABEL: np.asarray(y).astype(np.str_)})
    return groups


def named(table: pd.DataFrame, column: str) -> Codes:
    """Return a column of strings; raise an error that lists the columns if missing."""
    if column not in table.columns:
        raise ValueError(
            f"the table has no column {column!r}; it has {', '.join(table.columns)}"
        )
    return table[column].astype(str).to_numpy().astype(np.str_)


def numbers(table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers; raise an error that lists the columns if missing."""
    named(table.iloc[:0], column)
    return table[column].to_numpy(np.float64)


def several(codes: Codes, least: int, noun: str, name: str) -> list[str]:
    """Return the unique codes in natural order; raise if fewer than ``least``."""
    different = natural_sorted(set(codes.tolist()))
    if len(different) < least:
        raise ValueError(
            f"{name} needs at least {least} {noun}; the table has {len(different)}"
        )
    return different


def overlap(
    first: npt.NDArray[np.float64],
    stop: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    stops: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return the mask of sample spans that overlap any of the other spans."""
    begun = np.searchsorted(np.sort(others), stop, side="left")
    over = np.searchsorted(np.sort(stops), first, side="right")
    touched: npt.NDArray[np.bool_] = begun > over
    return touched


def overlapping(table: Table, rows: Rows, others: Rows) -> list[int]:
    """Return those of ``rows`` that share a raw sample with any of ``others``.

    The comparison uses the spans from ``support_start_sample`` to ``end_sample`` within
    each recording.
    """
    index = RowIndex.of(table)
    recordings = index.recordings
    first, stop = (
        numbers(index.table, k) for k in ("support_start_sample", "end_sample")
    )
    shared: list[int] = []
    other_recordings = recordings[others]
    for recording in np.unique(recordings[rows]):
        a = rows[recordings[rows] == recording]
        b = others[other_recordings == recording]
        shared += a[overlap(first[a], stop[a], first[b], stop[b])].tolist()
    return sorted(shared)
