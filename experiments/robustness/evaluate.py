"""Matrix of estimates under perturbed, absent and foreign signals."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from itertools import islice
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
from experiments.robustness.recordings import headsets, wristbands
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Channel
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.inference.expert import BoundExpert
from physio.offline.compute import feature_ticks
from physio.online.engine import PipelineConfig
from physio.online.session_config import SessionConfig

SETTLED: Final = 10.0
"""Time after a removal from which the estimate is judged (s)."""

SHIFT: Final = {Demand.SAME: 0.1, Demand.ABSENT: 0.05}
"""Greatest change of a participant's mean (standard deviations of the prior)."""

WIDTH: Final = {Demand.SAME: 0.05, Demand.ABSENT: 0.03}
"""Greatest relative change of a participant's mean standard deviation."""

KNOWS_NOTHING: Final = 0.98
"""Least width, relative to the prior, of an estimate without any sensor."""

ANSWERED: Final = 0.02
"""Greatest change of the proportion of ticks with an estimate."""

PACE: Final = 4
"""Ticks of the features from one estimate to the next: one estimate per second."""

NAMED: Final = frozenset(
    {MissingReason.POOR_QUALITY, MissingReason.NO_SIGNAL, MissingReason.ARTIFACT}
)
"""Reasons that blame the sensor."""

_NO_SIGNAL: Final = MissingReason.NO_SIGNAL.nan
_NOT_MAIN: Final = {"heart": "bio"}  # a chain of two sensors: that of its rate


class Estimates(NamedTuple):
    """Mean and standard deviation at the judged ticks, shape (2, n, 3).

    ``lost``, the proportion of the sensor's features that are missing; ``named``, the
    proportion of these whose reason blames the sensor; NaN without a sensor.
    """

    values: Array
    lost: float = np.nan
    named: float = np.nan

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
    """A participant's recording, computed once up to the begin of perturbations.

    Parameters
    ----------
    recording, other
        The recording, and that of another participant with the same streams.
    begin
        Time from which a sensor is perturbed (s).
    """

    def __init__(self, recording: Recording, other: Recording, begin: float) -> None:
        self.recording, self.other, self.begin = recording, other, begin
        self.plan = SessionConfig().plan(recording.inputs, demo_weights=True)
        self.kinds = {
            n: b[0].info.channels[0].kind for n, b in recording.streams.items()
        }
        self.features = paced(
            feature_ticks(recording, PipelineConfig(self.plan.chains, self.plan.join))
        )
        self._state: Any = self.plan.estimator.initial_state(self.features.info)
        self._columns = self.plan.estimator.output_info(self.features.info).names
        self._read = {
            self.features.info.names[i]
            for expert in self._experts
            for i in expert.features.index.tolist()
            if i >= 0
        }
        self._first = int(begin * float(self.features.info.rate))
        self.plan.estimator.process(self._state, self.features.data[: self._first])

    @property
    def _experts(self) -> tuple[BoundExpert, ...]:
        experts: tuple[BoundExpert, ...] = self._state.runtime.experts
        return experts

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors that are the main ones of a chain that the estimator reads."""
        read = {name.partition(".")[0] for name in self._read}
        kinds = {self._main(c) for c in self.plan.chains if c in read}
        return tuple(s for s in SENSORS if s in kinds)

    @property
    def prior(self) -> Array:
        """Mean and standard deviation of the fused prior, shape (2, 3)."""
        prior = np.full((2, 3), np.nan)
        for expert in self._experts:
            if expert.in_fusion:
                prior = np.where(np.isnan(prior), expert.ratings.prior, prior)
        return prior

    @property
    def widths(self) -> Array:
        """Half-widths of the intervals (standard deviations), shape (3, levels)."""
        widths: Array = self._state.runtime.widths
        return widths

    def slowest(self, sensors: Sequence[str]) -> float:
        """Return the longest window of the features of some sensors (s)."""
        return max(
            c.memory
            for c in self.features.info.channels
            if np.isfinite(c.memory) and self._of(c, sensors)
        )

    def clean(self, settled: float) -> Estimates:
        """Return the estimates without perturbation."""
        return self._judged(self.features.data, (), settled)

    def estimates(
        self, sensors: Sequence[str], perturbation: Perturbation, settled: float
    ) -> Estimates:
        """Return the estimates under a perturbation of some sensors.

        ``settled`` is the time after its begin from which ticks are judged (s).
        """
        return self._judged(self._under(sensors, perturbation), sensors, settled)

    def without(self, sensors: Sequence[str], settled: float) -> Estimates:
        """Return the estimates with some sensors declared missing.

        Chains that also read another sensor run without the missing one; all values of
        the others are missing.
        """
        removed = next(p for p in perturbations(sensors[0]) if p.name == "removed")
        data = self._under(sensors, removed)
        columns = [
            i
            for i, c in enumerate(self.features.info.channels)
            if self._of(c, sensors) and "." in c.name
        ]
        data[self._first :, columns] = _NO_SIGNAL
        return self._judged(data, sensors, settled)

    def _main(self, chain: str) -> str:
        """Return the kind of the main sensor of a chain."""
        streams = self.plan.chains[chain].streams
        kinds = [self.kinds[s] for s in streams]
        main = _NOT_MAIN.get(chain.rstrip("0123456789"), kinds[0])
        return main if main in kinds else kinds[0]

    def _of(self, column: Channel, sensors: Sequence[str]) -> bool:
        chain = column.name.partition(".")[0]
        return chain in self.plan.chains and self._main(chain) in sensors

    def _under(self, sensors: Sequence[str], perturbation: Perturbation) -> Array:
        """Return the features, of which only the affected chains are computed."""
        recording = self.recording
        for sensor in sensors:
            row = next(
                (p for p in perturbations(sensor) if p.name == perturbation.name), None
            )
            if row is not None:
                recording = perturbed(recording, sensor, row, self.other, self.begin, 1)
        chains = {
            name: chain
            for name, chain in self.plan.chains.items()
            if any(self.kinds.get(stream) in sensors for stream in chain.streams)
        }
        read = {stream for chain in chains.values() for stream in chain.streams}
        streams = {n: b for n, b in recording.streams.items() if n in read}
        part = paced(
            feature_ticks(
                replace(recording, streams=streams),
                PipelineConfig(chains, self.plan.join),
            )
        )
        data = self.features.data.copy()
        names = self.features.info.names
        shared = [n for n in part.info.names if n in names]
        n = min(len(data), len(part))
        for name in shared:
            data[:n, names.index(name)] = part.data[:n, part.info.names.index(name)]
        return np.ascontiguousarray(data[:n])

    def _judged(self, data: Array, sensors: Sequence[str], settled: float) -> Estimates:
        state = deepcopy(self._state)
        out = self.plan.estimator.process(state, data[self._first :])
        rate = float(self.features.info.rate)
        skipped = int(settled * rate)
        columns = [
            [self._columns.index(f"{d}{end}") for d in DIMENSIONS]
            for end in ("", ".sd")
        ]
        values = np.stack([out[skipped:, c] for c in columns])
        channels = self.features.info.channels
        read = [
            expert.features.read(data[self._first + skipped :])[:, k]
            for expert in self._experts
            for k, i in enumerate(expert.features.index.tolist())
            if i >= 0 and self._of(channels[i], sensors)
        ]
        if not read:
            return Estimates(values)
        cells = np.stack(read)
        reasons = missing_reason(cells[np.isnan(cells)])
        blame = np.isin(reasons, [int(r) for r in NAMED])
        named = float(blame.mean()) if len(blame) else np.nan
        return Estimates(values, float(np.isnan(cells).mean()), named)


def paced(features: Block) -> Block:
    """Return every fourth tick."""
    info = replace(features.info, rate=Fraction(features.info.rate) / PACE)
    data = np.ascontiguousarray(features.data[::PACE])
    return Block(info, 0, features.t0, data)


def matrix(participant: Participant) -> Iterator[dict[str, Any]]:
    """Yield a row for each perturbation of each sensor, and of all of them."""
    sensors = participant.sensors
    groups: list[tuple[tuple[str, ...], tuple[Perturbation, ...]]] = [
        ((s,), perturbations(s)) for s in sensors
    ]
    if len(sensors) > 1:
        absent = [p for p in perturbations(sensors[0]) if p.demand is Demand.ABSENT]
        groups.append((sensors, tuple(absent)))
    for group, rows in groups:
        yield from rows_of(participant, group, rows)


def rows_of(
    participant: Participant, group: tuple[str, ...], cells: Sequence[Perturbation]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each perturbation of some sensors together."""
    slowest = participant.slowest(group)
    for cell in cells:
        wait = SETTLED if cell.name == "removed" else slowest
        wait = 0.0 if cell.demand is Demand.SAME else wait
        changed = participant.estimates(group, cell, wait)
        clean = participant.clean(wait)
        absent = cell.demand is Demand.ABSENT
        reference = participant.without(group, wait) if absent else clean
        nothing = absent and group == participant.sensors
        yield {
            "participant": participant.recording.metadata["participant"],
            "sensor": group[0] if len(group) == 1 else "all",
            "perturbation": cell.name,
            "demand": "nothing" if nothing else str(cell.demand),
            **compared(changed, reference, clean, participant.prior),
        }


def compared(
    changed: Estimates, reference: Estimates, clean: Estimates, prior: Array
) -> dict[str, Any]:
    """Return the difference of estimates from a reference, per dimension.

    Ticks at which both have an estimate are compared; ``answered`` are proportions of
    all; ``of_prior`` is the least width relative to the prior's over the ticks.
    """
    n = min(changed.values.shape[1], reference.values.shape[1])
    both = np.isfinite(changed.values[:1, :n]) & np.isfinite(reference.values[:1, :n])
    a = changed._replace(values=changed.values[:, :n]).mean(both)
    b = reference._replace(values=reference.values[:, :n]).mean(both)
    width = changed.mean()[1]
    return {
        "shift": _rounded((a[0] - b[0]) / prior[1]),
        "width": _rounded(a[1] / b[1] - 1),
        "of_prior": _rounded(width / prior[1]),
        "from_prior": _rounded((changed.mean()[0] - prior[0]) / prior[1]),
        "from_clean": _rounded((changed.mean()[0] - clean.mean()[0]) / prior[1]),
        "width_from_clean": _rounded(width / clean.mean()[1] - 1),
        "answered": _rounded(changed.answered),
        "answered_reference": _rounded(reference.answered),
        "lost": round(changed.lost, 3),
        "named": None if np.isnan(changed.named) else round(changed.named, 3),
    }


def _rounded(values: Array) -> dict[str, float | None]:
    pairs = zip(DIMENSIONS, values.tolist(), strict=True)
    return {d: round(v, 4) if np.isfinite(v) else None for d, v in pairs}


def reached(row: Mapping[str, Any]) -> list[str]:
    """Return the demands that a row of `matrix` misses, in words."""
    missed = []
    for d in DIMENSIONS:
        if row["answered_reference"][d] == 0 == row["answered"][d]:
            continue
        if row["demand"] == "nothing":
            wide, shift = row["of_prior"][d], row["from_prior"][d]
            if wide is not None and (wide < KNOWS_NOTHING or abs(shift) > 0.05):
                missed.append(f"{d} is not the prior: {wide}, {shift}")
            continue
        if row["demand"] == Demand.UNDETECTABLE:
            continue
        demand = Demand(row["demand"])
        shift, width = row["shift"][d], row["width"][d]
        if shift is None:
            missed.append(f"{d} has no estimate at a common tick")
            continue
        if abs(shift) > SHIFT[demand]:
            missed.append(f"{d} shifts by {shift}")
        wider = demand is Demand.SAME and row["perturbation"] == "5 % missing"
        if width < -WIDTH[demand] or (width > WIDTH[demand] and not wider):
            missed.append(f"the width of {d} changes by {width}")
        if abs(row["answered"][d] - row["answered_reference"][d]) > ANSWERED:
            missed.append(f"{d} is answered {row['answered'][d]}")
    absent = row["demand"] in ("nothing", Demand.ABSENT)
    if absent and (row["lost"] < 1 - ANSWERED or (row["named"] or 0) < 1 - ANSWERED):
        missed.append(f"lost {row['lost']}, of which named {row['named']}")
    return missed


def table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each cell: its worst participants, and whether it passes."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["sensor"], row["perturbation"]), []).append(row)
    out = []
    for (sensor, name), mine in cells.items():
        missed = [(r["participant"], m) for r in mine if (m := reached(r))]
        out.append(
            {
                "sensor": sensor,
                "perturbation": name,
                "demand": mine[0]["demand"],
                "participants": len(mine),
                "passed": len(mine) - len(missed),
                "worst_shift": _worst(mine, "shift"),
                "worst_width": _worst(mine, "width"),
                "least_of_prior": _worst(mine, "of_prior", least=True),
                "lost": round(float(np.mean([r["lost"] for r in mine])), 3),
                "missed": [f"{p}: {'; '.join(m)}" for p, m in missed],
            }
        )
    return out


def _worst(
    rows: Sequence[Mapping[str, Any]], key: str, *, least: bool = False
) -> float | None:
    values = [v for r in rows for v in r[key].values() if v is not None]
    if not values:
        return None
    return min(values) if least else max(values, key=abs)


def main() -> None:
    """Compute the matrix and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=6)
    parser.add_argument("--only", choices=("wristbands", "headsets"))
    given = parser.parse_args()
    n = given.participants
    sources = {
        "wristbands": (list(islice(wristbands(given.data), n)), 420.0),
        "headsets": (list(headsets(n)), 60.0),
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    for number in range(n):
        for name, (recordings, begin) in sources.items():
            if given.only in (None, name):
                pair = recordings[number], recordings[(number + 1) % n]
                rows[name] += matrix(Participant(*pair, begin))
        results = {k: {"cells": table(v), "rows": v} for k, v in rows.items()}
        given.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
