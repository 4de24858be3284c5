"""Whether parameters of the skin are recovered, on simulated participants: two minutes.

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

LEVELS = (0.5, 0.8, 0.95)
SHAPES = ((0.5, 1.8), (0.5, 3.0), (0.7, 2.0), (0.9, 1.8), (0.9, 3.0))
"""Rise and decay (s) that are so, where 0.7 and 2.0 s are assumed."""


def recovered(
    settings: SkinSimulation, seeds: range, levels: tuple[float, ...]
) -> dict[str, Any]:
    """Return median errors, and how often intervals held the truth at each level.

    With binomial limits of what a nominal rate allows (three deviations).
    """
    errors: dict[str, list[float]] = {}
    held: dict[str, dict[str, list[bool]]] = {str(level): {} for level in levels}
    told: list[bool] = []
    for seed in seeds:
        made = simulate(settings, seed)
        one = session(made.eda, settings.rate, made.conditions)
        truth = {"time": made.time, **made.sizes}
        for level in levels:
            said = fit(one, level)
            each = {"time": said.time, **{k: said.size[k] for k in made.sizes}}
            for name, value in truth.items():
                inside = each[name].low <= value <= each[name].high
                held[str(level)].setdefault(name, []).append(bool(inside))
        for name, value in truth.items():  # of the widest interval's fit: the last
            errors.setdefault(name, []).append(abs(each[name].value / value - 1))
            told.append(bool(np.isfinite(each[name].known.value)))
    count = 3 * len(seeds)
    return {
        "participants": len(seeds),
        "median_error": {k: round(float(np.median(v)), 4) for k, v in errors.items()},
        "told": round(float(np.mean(told)), 4),
        "held": {
            level: {
                **{k: round(float(np.mean(v)), 4) for k, v in by.items()},
                "all": round(float(np.mean([x for v in by.values() for x in v])), 4),
                "three_deviations": round(
                    float(3 * np.sqrt(float(level) * (1 - float(level)) / count)), 4
                ),
            }
            for level, by in held.items()
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
        own = replace(usual, rises=(rise, rise), falls=(fall, fall))
        shapes[f"{rise} and {fall} s"] = recovered(own, range(given.shaped), (0.95,))
    result = {
        "recovery": recovered(usual, range(1000, 1000 + given.participants), LEVELS),
        "shapes": shapes,
        "seconds": round(time.monotonic() - began, 1),
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
