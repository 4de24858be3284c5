"""Moments of clean recordings without an estimate, by condition and participant.

``python -m experiments.robustness.clean --data DATA --out OUT.json``
"""

import argparse
import json
from collections import defaultdict
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.cross_laboratory.laboratories import laboratories
from experiments.robustness.evaluate import paced
from physio.core.recording import Recording
from physio.core.stage import apply
from physio.offline.compute import feature_ticks
from physio.online.engine import PipelineConfig
from physio.online.session_config import SessionConfig

WARM: Final = 60.0
"""Time after the begin of a recording in which windows fill (s)."""

CONDITION, PARTICIPANT = 0.02, 0.1
"""Greatest proportions without an estimate: of a condition, and of a participant."""


def silent(recording: Recording) -> dict[str, tuple[int, int]]:
    """Return the ticks without arousal, and all, of each condition."""
    plan = SessionConfig().plan(recording.inputs)
    features = paced(feature_ticks(recording, PipelineConfig(plan.chains, plan.join)))
    out = apply(plan.estimator, features)
    missing = np.isnan(out.column("arousal"))
    times = out.times - recording.begin
    conditions = recording.events["study.conditions"]
    counts: dict[str, tuple[int, int]] = {}
    spans = zip(conditions.labels, conditions.times, conditions.data[:, 0], strict=True)
    for label, begin, end in spans:
        inside = (out.times >= begin) & (out.times < end) & (times >= WARM)
        old = counts.get(label, (0, 0))
        counts[label] = old[0] + int(missing[inside].sum()), old[1] + int(inside.sum())
    return counts


def main() -> None:
    """Count the moments and write their proportions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=99)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    for laboratory in laboratories(given.data):
        conditions: dict[str, list[float]] = defaultdict(list)
        people: dict[str, float] = {}
        grouped = groupby(sorted(laboratory.trials()), key=lambda t: t.subject)
        for subject, group in islice(grouped, given.participants):
            total: dict[str, list[int]] = defaultdict(lambda: [0, 0])
            for trial in group:
                for label, counts in silent(laboratory.load(trial)).items():
                    total[label][0] += counts[0]
                    total[label][1] += counts[1]
            for label, (missing, n) in total.items():
                if n:
                    conditions[label].append(missing / n)
            missing, n = np.sum(list(total.values()), axis=0).tolist()
            people[subject] = round(missing / max(n, 1), 4)
        results[laboratory.name] = {
            "conditions": {
                k: round(float(np.mean(v)), 4) for k, v in conditions.items()
            },
            "participants": people,
            "reached": all(np.mean(v) < CONDITION for v in conditions.values())
            and all(v <= PARTICIPANT for v in people.values()),
        }
        given.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
