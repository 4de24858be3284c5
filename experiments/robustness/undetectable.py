"""Coverage of intervals under perturbations that no check is asked to detect.

``python -m experiments.robustness.undetectable --out OUT.json``
"""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.robustness.evaluate import Estimates, Participant
from experiments.robustness.perturbations import Demand, perturbations
from experiments.robustness.recordings import BAND, HEADSET, simulated
from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array
from physio.core.recording import Recording
from physio.evaluation.statistics import bootstrap_ci

FIRST: Final = 20_000
"""Seed of the first participant: none trained or evaluated weights."""

SECONDS: Final = 60.0
BEGIN: Final = 24.0
SETTLED: Final = 10.0
CYCLES: Final = 60.0, 120.0, 240.0
"""Durations of the protocol (s), in turn, as in the training of the weights."""

RATER: Final = 0.2
"""Standard deviation of a rating around affect, as in the training of the weights."""

LEAST: Final = 0.7
"""Least proportion of ratings within the 80 % interval."""


def coverage(
    participant: Participant, estimates: Estimates, ratings: Array
) -> dict[str, float]:
    """Return the proportion of ratings within the 80 % interval, per dimension."""
    mean, sd = estimates.values
    n = min(len(mean), len(ratings))
    half = participant.widths[:, LEVELS.index(0.8)] * sd[:n]
    inside = (np.abs(ratings[:n] - mean[:n]) <= half).mean(axis=0)
    return dict(zip(DIMENSIONS, inside.tolist(), strict=True))


def with_truth(number: int) -> Recording:
    """Return the recording of a participant, with true affect."""
    cycle = CYCLES[number % len(CYCLES)]
    devices = [(name, partial(kind, cycle=cycle)) for name, kind in (HEADSET, BAND)]
    return simulated(FIRST + number, devices, SECONDS, truth=True)


def rated(recording: Recording, times: Array, seed: int) -> Array:
    """Return ratings on nine steps at some times, shape (n, 3)."""
    truth = next(b for n, (b,) in recording.streams.items() if n.endswith("truth"))
    at = np.minimum(np.searchsorted(truth.times, times), len(truth.data) - 1)
    affect = truth.data[at, : len(DIMENSIONS)]
    noise = RATER * np.random.default_rng(seed).standard_normal(affect.shape)
    return np.asarray(np.round(np.clip(affect + noise, -1, 1) * 4) / 4)


def pair(number: int, recording: Recording, other: Recording) -> list[dict[str, Any]]:
    """Return the coverage of a participant without and with a perturbation.

    Participants take the perturbations in turn.
    """
    participant = Participant(recording, other, BEGIN)
    times = participant.features.times
    ratings = rated(recording, times[times >= BEGIN + SETTLED], FIRST + number)
    cells = [
        (sensor, cell)
        for sensor in participant.sensors
        for cell in perturbations(sensor)
        if cell.demand is Demand.UNDETECTABLE
    ]
    sensor, cell = cells[number % len(cells)]
    clean = participant.clean(SETTLED)
    changed = participant.estimates((sensor,), cell, SETTLED)
    return [
        {
            "sensor": at,
            "perturbation": name,
            "coverage": coverage(participant, estimates, ratings),
            "lost": estimates.lost,
        }
        for at, name, estimates in (
            ("none", "clean", clean),
            ("any", "all of them", changed),
            (sensor, cell.name, changed),
        )
    ]


def _interval(values: list[float]) -> list[float]:
    """Return the mean and its 95 % interval over participants."""
    x = np.array(values)
    return [round(float(v), 3) for v in (x.mean(), *bootstrap_ci(x, 23))]


def _mean(rows: list[dict[str, Any]]) -> float:
    """Return the mean proportion of missing features."""
    return float(np.mean([row["lost"] for row in rows]))


def summary(
    cells: Mapping[tuple[str, str], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Return the coverage of each cell over its participants."""
    rows = []
    for (sensor, name), mine in cells.items():
        inside = {d: _interval([c["coverage"][d] for c in mine]) for d in DIMENSIONS}
        rows.append(
            {
                "sensor": sensor,
                "perturbation": name,
                "participants": len(mine),
                "coverage": inside,
                "lost": None if name == "clean" else round(_mean(mine), 3),
                "reached": all(h[0] >= LEAST for h in inside.values()),
            }
        )
    return rows


def main() -> None:
    """Compute the coverage over all participants and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=300)
    given = parser.parse_args()
    gathered: dict[tuple[str, str], list[dict[str, Any]]] = {}
    other = with_truth(given.participants)
    for number in range(given.participants):
        recording = with_truth(number)
        for row in pair(number, recording, other):
            gathered.setdefault((row["sensor"], row["perturbation"]), []).append(row)
        other = recording
        if number % 15 == 14 or number == given.participants - 1:
            text = json.dumps(summary(gathered), indent=1)
            given.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
