"""Log score of weights on held-out participants, less that of their prior.

``python -m experiments.robustness.log_score experiments/weights/results/wrist.json``
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.evaluation.statistics import bootstrap_ci

_METRIC = "negative log density"


def gains(rows: Sequence[Mapping[str, Any]], model: str) -> dict[str, list[float]]:
    """Return the mean gain (nats) and its 95 % interval, per dimension."""
    by_dimension = {}
    for d in DIMENSIONS:
        by_model = {
            row["model"]: row["per_participant"]
            for row in rows
            if row["metric"] == f"{d} {_METRIC}"
        }
        if model in by_model and "prior" in by_model:
            mine, prior = by_model[model], by_model["prior"]
            x = np.array([prior[p] - mine[p] for p in sorted(mine)])
            values = x.mean(), *bootstrap_ci(x, 23)
            by_dimension[d] = [round(float(v), 3) for v in values]
    return by_dimension


def main() -> None:
    """Print the gains of each model in a file of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    rows = json.loads(given.results.read_text("utf-8"))["rows"]
    for model in dict.fromkeys(row["model"] for row in rows):
        print(model, gains(rows, model))


if __name__ == "__main__":
    main()
