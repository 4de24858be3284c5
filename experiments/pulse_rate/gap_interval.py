"""Coverage of the 80 % interval in gaps, with the error of the reference itself.

``python -m experiments.pulse_rate.gap_interval --data DATA --weights WEIGHTS.json \
--out OUT.json``
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.pulse_rate.evaluate import Weights, held_out, tracked
from experiments.pulse_rate.recordings import gap_reference, laboratory, wristbands
from physio.core.block import Array

TRIALS: Final = 400
"""Artificial gaps that are tried in each wristband."""

_NORMAL: Final = 1.2816  # half width of an 80 % interval in standard deviations
_LEAST: Final = 0.5  # 1/min, half a step of the distribution
_START: Final = 12  # s, before which nothing is scored
_FEWEST: Final = 10  # compared seconds of a participant


def interpolation_errors(reference: Array, rng: np.random.Generator) -> list[float]:
    """Return the errors of a straight line over known stretches (1/min).

    The stretches are as long as the gaps of the same wristband, and their ends agree as
    those of gaps do: see `gap_reference`.
    """
    known = np.flatnonzero(np.isfinite(reference))
    lengths = [
        b - a
        for a, b in zip(known[:-1].tolist(), known[1:].tolist(), strict=True)
        if 8 < b - a <= 30 and abs(reference[a] - reference[b]) <= 6
    ]
    errors: list[float] = []
    for _ in range(TRIALS if lengths else 0):
        n = int(rng.choice(lengths))
        a = int(rng.integers(0, len(reference) - n - 1))
        part = reference[a : a + n + 1]
        if np.isfinite(part).all() and abs(part[0] - part[-1]) <= 6:
            at = np.arange(4, n - 3)
            line = np.interp(at, [0, n], part[[0, -1]])
            errors += (line - part[at]).tolist()
    return errors


def evaluate(data: Path, weights: Weights) -> dict[str, Any]:
    """Return coverage with and without the error of the reference."""
    parts: dict[str, tuple[str, Array]] = {}
    errors: dict[str, list[float]] = {}
    for band in wristbands(data):
        lab = laboratory(band)
        rates, gap = (
            tracked(band, held_out(band, weights)),
            gap_reference(band.reference),
        )
        rng = np.random.default_rng(0)
        errors.setdefault(lab, []).extend(interpolation_errors(band.reference, rng))
        n = min(len(rates), len(gap))
        scored = np.isfinite(gap[:n]) & (np.arange(n) >= _START)
        table = np.column_stack([rates[:n], gap[:n]])[scored]
        table = table[np.isfinite(table).all(axis=1)]
        if len(table) > _FEWEST:
            parts[band.name] = lab, table
    spreads = {lab: float(np.std(values)) for lab, values in errors.items()}
    plain: dict[str, float] = {}
    with_reference: dict[str, float] = {}
    for name, (lab, table) in parts.items():
        off = np.abs(table[:, 0] - table[:, 2])
        other = next(x for k, x in spreads.items() if k != lab)  # other laboratory
        for rows, sd in (
            (plain, table[:, 1]),
            (with_reference, np.hypot(table[:, 1], other)),
        ):
            rows[name] = float(np.mean(off <= np.maximum(_NORMAL * sd, _LEAST)))
    return {
        "interpolation": {
            lab: {
                "windows": len(values),
                "sd": float(np.std(values)),
                "off_by_5": float(np.mean(np.abs(values) > 5)),
            }
            for lab, values in errors.items()
        },
        "interval_80": _summary(plain),
        "interval_80_with_the_error_of_the_reference": _summary(with_reference),
    }


def _summary(rows: dict[str, float]) -> dict[str, Any]:
    values = list(rows.values())
    return {"mean": float(np.mean(values)), "least": min(values), "participants": rows}


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--weights", type=Path, required=True, help="output of train")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    weights = json.loads(options.weights.read_text("utf-8"))
    figures = evaluate(options.data, weights)
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
