"""Agreement of the demonstration's estimates with the true values, over seeds."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.io import xdf
from physio.online.demo_session import (
    SECONDS,
    TruthAgreement,
    demo_session,
    truth_agreement,
)
from physio.online.session import Session
from physio.sinks.xdf import Xdf

SEEDS: Final = range(20)


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return the coverage of the 80 % intervals and the correlation, by dimension."""
    agreements: list[list[TruthAgreement]] = []
    rated: list[list[float]] = []
    for seed in SEEDS:
        recording = _recording(seed)
        agreements.append(truth_agreement(recording))
        rated.append(_ratings_inside(recording))
    return [
        _row(name, [a[k] for a in agreements], [r[k] for r in rated])
        for k, name in enumerate(DIMENSIONS)
    ]


def _recording(seed: int) -> Recording:
    file, clock = demo_session(seed=seed), FastClock()
    devices = file.devices(clock)
    with tempfile.TemporaryDirectory() as name:
        sinks = [Xdf(Path(name), {})]
        with Session(file.plan, devices, sinks, clock, 0.25, SECONDS) as session:
            for _ in session:
                pass
        return xdf.read(Path(name) / "recording.xdf")


def _ratings_inside(recording: Recording) -> list[float]:
    """Return for each dimension the proportion of self-reports in the 80 % interval."""
    (estimates,) = (b for n, b in recording.streams.items() if n == "estimates")
    ratings = recording.events["headset.ratings"]
    names = estimates[0].info.names
    times = np.concatenate([b.times for b in estimates if len(b)])
    data = np.concatenate([b.data for b in estimates if len(b)])
    at = np.searchsorted(times, ratings.times[1:], side="right") - 1
    inside = []
    for k, name in enumerate(DIMENSIONS):
        mean, width = (data[at, names.index(n)] for n in (name, f"{name}.ci80"))
        given = ratings.data[1:, k]
        inside.append(float((np.abs(given - mean) <= width).mean()))
    return inside


def _row(
    name: str, agreements: Sequence[TruthAgreement], rated: Sequence[float]
) -> dict[str, Any]:
    r = np.array([a.r for a in agreements])
    return {
        "work": f"{name}, {len(agreements)} seeds",
        "peer": "",
        "true_value_inside_80": float(np.mean([a.inside for a in agreements])),
        "self_report_inside_80": float(np.mean(rated)),
        "r_median": float(np.median(r)),
        "r_least": float(r.min()),
    }
