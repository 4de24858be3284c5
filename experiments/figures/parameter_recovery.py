"""Recovery of the parameters of the tonic model on simulated participants.

python -m experiments.figures.parameter_recovery \
    --json experiments/figures/results/parameter-recovery.json
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.simulated.eda_dynamics import SkinSimulation, simulate
from experiments.wesad.tonic_model import fit, session
from physio.core.affect import LEVELS

SHAPES = ((0.5, 1.8), (0.5, 3.0), (0.7, 2.0), (0.9, 1.8), (0.9, 3.0))
"""True rise and decay (s) of the SCR; the model assumes 0.7 and 2.0 s."""


def recovered(
    settings: SkinSimulation, seeds: range, levels: tuple[float, ...]
) -> dict[str, Any]:
    """Return median errors, and the coverage of the intervals at each level.

    ``three_deviations``: three binomial standard deviations of the nominal coverage.
    """
    errors: dict[str, list[float]] = {}
    covered: dict[str, dict[str, list[bool]]] = {str(level): {} for level in levels}
    known: list[bool] = []
    for seed in seeds:
        simulated = simulate(settings, seed)
        data = session(simulated.eda, settings.rate, simulated.conditions)
        truth = {"time": simulated.time, **simulated.sizes}
        for level in levels:
            estimate = fit(data, level)
            estimates = {
                "time": estimate.time,
                **{k: estimate.size[k] for k in simulated.sizes},
            }
            for name, value in truth.items():
                inside = estimates[name].low <= value <= estimates[name].high
                covered[str(level)].setdefault(name, []).append(bool(inside))
        for name, value in truth.items():  # last fit: the widest intervals
            errors.setdefault(name, []).append(abs(estimates[name].value / value - 1))
            known.append(bool(np.isfinite(estimates[name].known.value)))
    count = 3 * len(seeds)
    return {
        "participants": len(seeds),
        "median_error": {k: round(float(np.median(v)), 4) for k, v in errors.items()},
        "known": round(float(np.mean(known)), 4),
        "covered": {
            level: {
                **{k: round(float(np.mean(v)), 4) for k, v in by.items()},
                "all": round(float(np.mean([x for v in by.values() for x in v])), 4),
                "three_deviations": round(
                    float(3 * np.sqrt(float(level) * (1 - float(level)) / count)), 4
                ),
            }
            for level, by in covered.items()
        },
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--json", type=Path, required=True)
    asked.add_argument("--participants", type=int, default=40)
    asked.add_argument("--shaped", type=int, default=10)
    given = asked.parse_args()
    began, usual = time.monotonic(), SkinSimulation()
    shapes = {}
    for rise, fall in SHAPES:
        settings = replace(usual, rises=(rise, rise), falls=(fall, fall))
        shapes[f"{rise} and {fall} s"] = recovered(
            settings, range(given.shaped), (0.95,)
        )
    result = {
        "recovery": recovered(usual, range(1000, 1000 + given.participants), LEVELS),
        "shapes": shapes,
        "seconds": round(time.monotonic() - began, 1),
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
