"""Scores by population, so that a mean does not hide a group of participants."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.evaluation import statistics
from physio.evaluation.row_index import Codes

KEY: Final = "populations"
"""Key of the scores by population in the details of results."""

UNKNOWN: Final = "unknown"


def population_of(table: pd.DataFrame, column: str, codes: Codes) -> dict[str, str]:
    """Return the population of each participant.

    Parameters
    ----------
    table
        Rows with the column; one value per participant. An empty or missing value is
        the population `UNKNOWN`.
    column
        Name of the column.
    codes
        Participant of each row, shape (n,).

    Raises
    ------
    ValueError
        If there is no such column, or a participant has two values.
    """
    if column not in table.columns:
        raise ValueError(
            f"population = {column!r} is no column of the table; it has "
            f"{', '.join(map(str, table.columns))}"
        )
    values = table[column].astype(object).where(table[column].notna(), "")
    names = np.array([str(v).strip() or UNKNOWN for v in values])
    out: dict[str, str] = {}
    for code, name in zip(codes.tolist(), names.tolist(), strict=True):
        if out.setdefault(code, name) != name:
            raise ValueError(
                f"{column} of participant {code!r} is {out[code]!r} and {name!r}: a "
                "population column needs one value per participant"
            )
    return out


def by_population(
    rows: Sequence[Mapping[str, Any]],
    population_by_participant: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    """Return each result within each population.

    Parameters
    ----------
    rows
        Rows of results: see `physio.evaluation.statistics.summary`.
    population_by_participant
        Population of each participant.
    seed
        Seed of the bootstrap.

    Returns
    -------
    dict
        ``participants``: number of participants of each population; ``rows``: the rows
        with ``population``, its ``mean``, ``low`` and ``high``. Models are trained as
        for all: only the participants of the mean differ.
    """
    names = sorted(set(population_by_participant.values()))
    sizes = dict.fromkeys(names, 0)
    for name in population_by_participant.values():
        sizes[name] += 1
    parts = []
    for row in rows:
        for name in names:
            scores = {
                p: float("nan") if v is None else float(v)
                for p, v in row["per_participant"].items()
                if population_by_participant.get(p) == name
            }
            short = statistics.summary(row["model"], row["metric"], scores, seed)
            del short["per_participant"]
            parts.append({"population": name, **short})
    return {"participants": sizes, "rows": parts}
