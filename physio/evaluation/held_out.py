"""Test sets that a user names: another table, participants, or stored folds."""

import inspect
from pathlib import Path
from typing import Any

import pandas as pd

from physio.datasets import feature_table
from physio.evaluation import folds as stored
from physio.evaluation.folds import Folds
from physio.evaluation.row_index import RowIndex
from physio.evaluation.splits import HeldOutParticipants, Protocol


def joined(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a training table and an outside test table as one, and their differences.

    Parameters
    ----------
    train, test
        Feature tables. Columns that only the test table has are left out; features
        that only the training table has are missing in the test rows.

    Returns
    -------
    DataFrame, list of str
        The rows of ``train``, then those of ``test``; and a sentence on features that
        the test table lacks.

    Raises
    ------
    ValueError
        If a participant is in both tables.
    """
    named = "dataset" in train.columns and "dataset" in test.columns
    by = ("dataset", "subject") if named else ("subject",)
    people = [set(RowIndex(t).ids(*by).tolist()) for t in (train, test)]
    if both := sorted(people[0] & people[1]):
        name = " of ".join(reversed([p for p in both[0].split("\x1f") if p]))
        raise ValueError(
            f"{name} is in the training table and in the test table: leave the "
            "participant out of one, or name different data sets in the column dataset"
        )
    if not named:
        train, test = (
            t if "dataset" in t.columns else t.assign(dataset=name)
            for t, name in ((train, "training table"), (test, "test table"))
        )
    features = feature_table.features(train)
    lacking = [c for c in features if c not in test.columns]
    notes = []
    if lacking:
        notes.append(
            f"The test table has no {', '.join(lacking)}: missing in each of its rows."
        )
    columns = [c for c in train.columns if c in test.columns or c in features]
    rows = pd.concat([train[columns], test.reindex(columns=columns)], ignore_index=True)
    return rows, notes


def participants(names: str) -> tuple[str, ...]:
    """Return the participants of a list separated by commas."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def choose(
    settings: Any,
    tables: tuple[pd.DataFrame | None, pd.DataFrame | None],
    names: str,
    folds: Path | None,
) -> tuple[pd.DataFrame | None, Protocol | Folds | None, list[str]]:
    """Return the table, the split and remarks for the test set that a user names.

    Parameters
    ----------
    settings
        The evaluation: see `physio.evaluation.config.EvaluationConfig`.
    tables
        The training table, and the table of an outside test set or None.
    names
        Names of the participants to test, separated by commas, or empty.
    folds
        File of folds (JSON), or None.

    Raises
    ------
    ValueError
        If several are given, or the evaluation decides about its split by itself.
    """
    table, test = tables
    given = [test is not None, bool(names), folds is not None]
    if not any(given):
        return table, None, []
    if sum(given) > 1:
        raise ValueError(
            "--test, --test-participants and --folds each choose the test rows: give "
            "one of them"
        )
    if "split" not in inspect.signature(settings.evaluate).parameters:
        raise ValueError(
            f"{type(settings).__name__} chooses its test rows by itself: leave out "
            "--test, --test-participants and --folds"
        )
    if table is None:
        raise ValueError(
            "a test set needs a table to train on: give [table] or --table"
        )
    if folds is not None:
        return table, stored.read(folds), []
    inner = str(getattr(settings, "protocol", "loso"))
    by = inner if inner in ("loso", "leave-laboratory-out") else "loso"
    if test is None:
        return table, HeldOutParticipants(participants(names), by), []
    rows, notes = joined(table, test)
    tested = RowIndex(rows).participants[len(table) :]
    codes = tuple(dict.fromkeys(" ".join(c.split("\x1f")).strip() for c in tested))
    return rows, HeldOutParticipants(codes, by), notes
