"""Matrix of estimates under perturbed, absent and foreign signals."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.robustness.perturbations import (
    SENSORS,
    Demand,
    Perturbation,
    perturbations,
    perturbed,
)
from experiments.robustness.recordings import simulated, wristbands
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.core.stage import apply
from physio.offline.compute import feature_ticks
from physio.online.engine import PipelineConfig
from physio.online.session_config import SessionConfig

BEGIN: Final = 420.0
"""Time from which a sensor is perturbed (s): the baseline is over before."""

SETTLED: Final = 10.0
"""Time after a removal from which the estimate is judged (s)."""

SHIFT: Final = {Demand.SAME: 0.1, Demand.ABSENT: 0.05}
"""Greatest change of a participant's mean (standard deviations of the prior)."""

WIDTH: Final = {Demand.SAME: 0.05, Demand.ABSENT: 0.03}
"""Greatest relative change of a participant's mean standard deviation."""

KNOWS_NOTHING: Final = 0.98
"""Least width, relative to the prior, of an estimate without any sensor."""


class Estimates(NamedTuple):
    """Mean and standard deviation at the judged ticks, shape (2, n, 3)."""

    values: Array
    missing: Mapping[str, float]  # chain: proportion of its values that are missing

    def mean(self, where: npt.NDArray[np.bool_] | None = None) -> Array:
        """Return mean and standard deviation over time, shape (2, 3)."""
        values = self.values if where is None else np.where(where, self.values, np.nan)
        present = np.isfinite(values)
        count = present.sum(axis=1)
        total = np.where(present, values, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    @property
    def answered(self) -> Array:
        """Proportion of ticks with an estimate, shape (3,)."""
        return np.isfinite(self.values[0]).mean(axis=0)


class Participant:
    """A participant's recording, whose features without perturbation are kept.

    Parameters
    ----------
    recording, other
        The recording, and that of another participant with the same streams.
    plan
        The computation.
    """

    def __init__(
        self, recording: Recording, other: Recording, plan: PipelineConfig
    ) -> None:
        self.recording, self.other, self.plan = recording, other, plan
        self.features = feature_ticks(recording, PipelineConfig(plan.chains, plan.join))

    def sensors(self) -> tuple[str, ...]:
        """Return the sensors whose streams a chain reads."""
        read = {name for c in self.plan.chains.values() for name in c.streams}
        kinds = {
            b[0].info.channels[0].kind
            for name, b in self.recording.streams.items()
            if name in read
        }
        return tuple(s for s in SENSORS if s in kinds)

    def estimates(
        self, sensors: Sequence[str], perturbation: Perturbation, settled: float
    ) -> Estimates:
        """Return the estimates under a perturbation of some sensors.

        Parameters
        ----------
        sensors
            The perturbed sensors.
        perturbation
            The perturbation.
        settled
            Time after its begin from which ticks are judged (s).
        """
        recording = self.recording
        for sensor in sensors:
            row = next(
                (p for p in perturbations(sensor) if p.name == perturbation.name), None
            )
            if row is not None:
                recording = perturbed(recording, sensor, row, self.other, BEGIN, 1)
        features = self._features(recording, sensors)
        return self._judged(features, settled)

    def clean(self, settled: float) -> Estimates:
        """Return the estimates without perturbation."""
        return self._judged(self.features, settled)

    def _features(self, recording: Recording, sensors: Sequence[str]) -> Block:
        """Return the features, of which only the affected chains are computed."""
        kinds = {n: b[0].info.channels[0].kind for n, b in recording.streams.items()}
        chains = {
            name: chain
            for name, chain in self.plan.chains.items()
            if any(kinds.get(stream) in sensors for stream in chain.streams)
        }
        read = {stream for chain in chains.values() for stream in chain.streams}
        streams = {n: b for n, b in recording.streams.items() if n in read}
        part = feature_ticks(
            replace(recording, streams=streams), PipelineConfig(chains, self.plan.join)
        )
        data = self.features.data.copy()
        n = min(len(data), len(part))
        names = self.features.info.names
        columns = [names.index(name) for name in part.info.names]
        data[:n, columns] = part.data[:n]
        return replace(self.features, data=data[:n])

    def _judged(self, features: Block, settled: float) -> Estimates:
        out = apply(self.plan.estimator, features)
        names = out.info.names
        first = int((BEGIN + settled) * float(out.info.rate))
        columns = [
            [names.index(f"{d}{end}") for d in DIMENSIONS] for end in ("", ".sd")
        ]
        values = np.stack([out.data[first:, c] for c in columns])
        chains = {
            chain: float(np.isnan(features.data[first:, mine]).mean())
            for chain in self.plan.chains
            if (
                mine := [
                    i
                    for i, name in enumerate(features.info.names)
                    if name.startswith(f"{chain}.")
                    and not name.endswith((".window_start", ".window_end", ".missing"))
                ]
            )
        }
        return Estimates(values, chains)


def plan_of(recording: Recording) -> PipelineConfig:
    """Return the default computation of a recording, with the shipped weights."""
    return SessionConfig().plan(recording.inputs, demo_weights=True)


def matrix(participant: Participant, prior: Array) -> Iterator[dict[str, Any]]:
    """Yield a row for each perturbation of each sensor, and of all of them.

    Parameters
    ----------
    participant
        The participant.
    prior
        Standard deviation of the prior, shape (3,).
    """
    slowest = participant.features.info.memory
    removed = next(p for p in perturbations("gsr") if p.name == "removed")
    sensors = participant.sensors()
    groups: list[tuple[tuple[str, ...], tuple[Perturbation, ...]]] = [
        ((s,), perturbations(s)) for s in sensors
    ]
    absent = tuple(p for p in perturbations("gsr") if p.demand is Demand.ABSENT)
    groups.append((sensors, absent))
    for group, rows in groups:
        for row in rows:
            wait = SETTLED if row.name == "removed" else slowest
            changed = participant.estimates(group, row, wait)
            reference = participant.clean(wait)
            if row.demand is Demand.ABSENT:
                reference = participant.estimates(group, removed, wait)
            yield {
                "participant": participant.recording.metadata["participant"],
                "sensor": " + ".join(group) if len(group) == 1 else "all",
                "perturbation": row.name,
                "demand": str(row.demand),
                **compared(changed, reference, participant.clean(wait), prior),
            }


def compared(
    changed: Estimates, reference: Estimates, clean: Estimates, prior: Array
) -> dict[str, Any]:
    """Return how estimates differ from a reference, per dimension.

    Ticks at which both answer are compared; ``answered`` are proportions of all.
    """
    n = min(changed.values.shape[1], reference.values.shape[1])
    both = np.isfinite(changed.values[:1, :n]) & np.isfinite(reference.values[:1, :n])
    a = Estimates(changed.values[:, :n], {}).mean(both)
    b = Estimates(reference.values[:, :n], {}).mean(both)
    c = clean.mean()
    return {
        "shift": _rounded((a[0] - b[0]) / prior),
        "width": _rounded(a[1] / b[1] - 1),
        "of_prior": _rounded(changed.mean()[1] / prior),
        "from_clean": _rounded((changed.mean()[0] - c[0]) / prior),
        "width_from_clean": _rounded(changed.mean()[1] / c[1] - 1),
        "answered": _rounded(changed.answered),
        "answered_reference": _rounded(reference.answered),
        "missing": {k: round(v, 3) for k, v in changed.missing.items()},
    }


def _rounded(values: Array) -> dict[str, float | None]:
    pairs = zip(DIMENSIONS, values.tolist(), strict=True)
    return {d: round(v, 4) if np.isfinite(v) else None for d, v in pairs}


def prior_sd(plan: PipelineConfig, features: Block) -> Array:
    """Return the standard deviation of the fused prior, shape (3,)."""
    experts = plan.estimator.initial_state(features.info).runtime.experts
    sd = np.full(3, np.nan)
    for expert in experts:
        if expert.in_fusion:
            sd = np.where(np.isnan(sd), expert.ratings.prior[1], sd)
    return sd


def rows_of(recording: Recording, other: Recording) -> list[dict[str, Any]]:
    """Return the matrix of a recording."""
    plan = plan_of(recording)
    participant = Participant(recording, other, plan)
    return list(matrix(participant, prior_sd(plan, participant.features)))


def main() -> None:
    """Compute the matrix and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    for name, source in (
        ("wristbands", wristbands(given.data)),
        ("simulated", simulated(given.participants)),
    ):
        recordings = list(source)[: given.participants]
        with ProcessPoolExecutor(given.workers) as pool:
            others = recordings[1:] + recordings[:1]
            done = pool.map(rows_of, recordings, others)
            results[name] = [row for rows in done for row in rows]
    given.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
