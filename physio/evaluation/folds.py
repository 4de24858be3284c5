"""Folds as data: training rows, test rows and inner folds of a table."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.datasets.feature_table import LABEL, PLACE

Rows = npt.NDArray[np.intp]
PAPER: Final = "paper-"
"""Prefix of protocols with leakage, for the reproduction of papers only."""

_KEYS: Final = ("protocol", "settings", "table", "rows", "folds")


@dataclass(frozen=True, eq=False)
class Fold:
    """Division of the rows of a table into training and test rows.

    Parameters
    ----------
    name
        Name of the test set, as the participant's code ``"S2"``.
    train, test
        Indices of the rows, in ascending order.
    inner
        Divisions of ``train`` alone, for model selection.
    calibration
        Baseline rows of the tested participants, if any, by which their features are
        corrected. These rows neither train nor test.
    """

    name: str
    train: Rows
    test: Rows
    inner: tuple["Fold", ...] = ()
    calibration: Rows = field(default_factory=lambda: np.empty(0, np.intp))

    def to_dict(self) -> dict[str, Any]:
        """Return the fold as a JSON object; rows as pairs of first and last + 1."""
        return {
            "name": self.name,
            "train": _spans(self.train),
            "test": _spans(self.test),
            "calibration": _spans(self.calibration),
            "inner": [fold.to_dict() for fold in self.inner],
        }

    @classmethod
    def read(cls, table: Mapping[str, Any], at: str) -> Self:
        """Return the fold that `to_dict` describes."""
        try:
            parts = {k: _rows(table.get(k, [])) for k in ("train", "test")}
            calibration = _rows(table.get("calibration", []))
            inner = tuple(cls.read(f, at) for f in table.get("inner", []))
            return cls(
                str(table["name"]), **parts, inner=inner, calibration=calibration
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{at}: a fold has a name, and as train and test pairs of row numbers, "
                f"[[0, 120], [240, 360]]; this one has not: {error}"
            ) from None


@dataclass(frozen=True, eq=False)
class Folds:
    """All folds of one table by one protocol; their construction is deterministic.

    Parameters
    ----------
    protocol
        Name of the protocol: see `physio.evaluation.splits.PROTOCOLS`.
    folds
        The folds.
    settings
        Settings of the protocol.
    table, rows
        Hash of the table (see `fingerprint`), and its number of rows.
    """

    protocol: str
    folds: tuple[Fold, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""
    rows: int = 0

    @property
    def paper(self) -> bool:
        """True for a protocol with leakage, which only reproduces a paper."""
        return self.protocol.startswith(PAPER)

    def to_dict(self) -> dict[str, Any]:
        """Return the folds as a JSON object: see `read`."""
        return {
            "protocol": self.protocol,
            "settings": {
                k: list(v) if isinstance(v, tuple) else v
                for k, v in self.settings.items()
            },
            "table": self.table,
            "rows": self.rows,
            "folds": [fold.to_dict() for fold in self.folds],
        }

    def summary(self) -> dict[str, Any]:
        """Return a summary of the folds, without row numbers.

        ``folds`` is the number of folds. ``fingerprint`` is the SHA-256 of all row
        numbers; folds that are computed again from the same table have the same value.
        """
        numbers = json.dumps([fold.to_dict() for fold in self.folds])
        return {
            **self.to_dict(),
            "folds": len(self.folds),
            "fingerprint": hashlib.sha256(numbers.encode()).hexdigest(),
        }

    def write(self, path: Path) -> None:
        """Write the folds as JSON."""
        path.write_text(json.dumps(self.to_dict()) + "\n", "utf-8")

    def of(self, table: pd.DataFrame) -> Self:
        """Return these folds after a check that they belong to ``table``.

        Raises
        ------
        ValueError
            If the folds belong to another table, or contain rows that it lacks.
        """
        if self.table and self.table != fingerprint(table):
            raise ValueError(
                f"these folds are of another table of {self.rows} rows: this one has "
                f"{len(table)}, or other rows or labels; make the folds again"
            )
        for fold in self.folds:
            for rows in (fold.train, fold.test, fold.calibration):
                if len(rows) and not 0 <= rows.min() <= rows.max() < len(table):
                    raise ValueError(
                        f"fold {fold.name!r} names row {rows.max()} of a table of "
                        f"{len(table)} rows"
                    )
        return self

    def lifted(self, rows: Rows, table: pd.DataFrame) -> Self:
        """Return these folds, of some rows of a table, as folds of the whole table."""

        def of(fold: Fold) -> Fold:
            train, test, rest = (
                rows[at] for at in (fold.train, fold.test, fold.calibration)
            )
            return Fold(fold.name, train, test, tuple(map(of, fold.inner)), rest)

        folds = tuple(of(fold) for fold in self.of(table.iloc[rows]).folds)
        return replace(self, folds=folds, table=fingerprint(table), rows=len(table))


def read(path: Path) -> Folds:
    """Return the folds of a JSON file.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file does not exist, or contains no folds.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        tables = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(tables, dict) or not {"protocol", "folds"} <= set(tables):
        raise ValueError(f"{path} holds no folds: it has {', '.join(_KEYS)}")
    folds = tuple(Fold.read(f, str(path)) for f in tables["folds"])
    rest = {k: tables[k] for k in ("settings", "table", "rows") if k in tables}
    return Folds(str(tables["protocol"]), folds, **rest)


def fingerprint(table: pd.DataFrame) -> str:
    """Return a hash of the windows of a table, their order and their labels."""
    columns = [c for c in (*PLACE, LABEL, "dataset") if c in table.columns]
    digest = hashlib.sha256(repr((columns, len(table))).encode())
    for column in columns:
        digest.update("\n".join(map(str, table[column].tolist())).encode())
    return digest.hexdigest()


def _spans(rows: Rows) -> list[list[int]]:
    """Return ascending numbers as runs, pairs of the first and the last + 1."""
    if not len(rows):
        return []
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    return [[int(r[0]), int(r[-1]) + 1] for r in np.split(rows, cuts)]


def _rows(spans: Sequence[Sequence[int]]) -> Rows:
    parts = [np.arange(first, stop) for first, stop in spans]
    return np.concatenate(parts) if parts else np.empty(0, np.intp)
