"""Detection of real artifacts in clean recordings of others, beside published rules.

``python -m experiments.eda_artifacts.evaluate --data DATA --out OUT.json``
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, find_peaks, sosfiltfilt

from experiments.eda_artifacts.recordings import (
    RATE,
    Artifact,
    Stretch,
    artifacts,
    participant,
    recordings,
    stretches,
)
from experiments.eda_artifacts.rules import Taylor, kleckner, kocielnik
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.stage import apply
from physio.features.eda.contact_artifacts import find_artifacts
from physio.features.eda.scl_scr import EdaFeatures
from physio.features.eda.scr_detection import ScrDetection

Mask = npt.NDArray[np.bool_]
Rule = Callable[[Array], Mask]
INFO = StreamInfo("band.eda", Fraction(RATE), (Channel("eda", "gsr", "uS"),))
LEAD = 40 * RATE  # values in front of stretches with responses
PER_STRETCH = 12  # artifacts inserted into a stretch, one at a time
BEFORE, BEHIND = 5 * RATE, 8 * RATE  # values around an artifact that count as its


class Insertion(NamedTuple):
    """A clean stretch with one artifact."""

    host: Stretch
    artifact: Artifact
    begin: int
    values: Array

    @property
    def end(self) -> int:
        """Return the end of the artifact."""
        return self.begin + len(self.artifact.factor)


def insertions(
    hosts: Sequence[Stretch], cut: Sequence[Artifact], seed: int = 1
) -> Iterator[Insertion]:
    """Yield artifacts of others in each stretch."""
    rng = np.random.default_rng(seed)
    for host in hosts:
        others = [a for a in cut if a.participant != host.participant]
        for k in rng.permutation(len(others))[:PER_STRETCH]:
            artifact = others[k]
            begin = int(rng.integers(160, 400))
            y = host.values.copy()
            y[begin : begin + len(artifact.factor)] *= artifact.factor
            y[begin + len(artifact.factor) :] *= artifact.after
            yield Insertion(host, artifact, begin, y)


def detection(rule: Rule, cases: Sequence[Insertion]) -> dict[str, Any]:
    """Return F1 over artifacts, its interval, and the recall of each kind.

    A dip, slip or spike is found if half of its values are, a step if any is. A run of
    other values is one false alarm.
    """
    rows: dict[str, list[tuple[str, bool, int]]] = {}
    for case in cases:
        bad = rule(case.values)
        inside = bad[case.begin : case.end]
        hit = inside.any() if case.artifact.kind == "step" else inside.mean() >= 0.5
        bad[max(case.begin - BEFORE, 0) : case.end + BEHIND] = False
        alarms = int((np.diff(bad.astype(int), prepend=0) == 1).sum())
        row = case.artifact.kind, bool(hit), alarms
        rows.setdefault(case.host.participant, []).append(row)
    people = sorted(rows)
    rng = np.random.default_rng(0)
    again = [_f1(rows, rng.choice(people, len(people)).tolist()) for _ in range(1000)]
    every = [row for name in people for row in rows[name]]
    kinds = sorted({kind for kind, _, _ in every})
    return {
        "f1": round(_f1(rows, people), 3),
        "interval": np.round(np.quantile(again, (0.025, 0.975)), 3).tolist(),
        "participants": len(people),
        "artifacts": len(every),
        "false alarms": sum(n for _, _, n in every),
        "recall": {
            kind: round(float(np.mean([f for k, f, _ in every if k == kind])), 3)
            for kind in kinds
        },
    }


def _f1(rows: dict[str, list[tuple[str, bool, int]]], people: Sequence[str]) -> float:
    every = [row for name in people for row in rows[name]]
    hits, alarms = sum(f for _, f, _ in every), sum(n for _, _, n in every)
    return 2 * hits / (len(every) + hits + alarms)


def responses_lost(rule: Rule, hosts: Sequence[Stretch]) -> dict[str, Any]:
    """Return the proportion of responses of clean stretches that a rule removes.

    Responses are rises from trough to peak of at least 0.02 uS and 0.5 % of the level,
    below 1 Hz; one is lost if a value of the 1.5 s before its peak is removed.
    """
    lost, total = 0, 0
    low = butter(2, 1.0, fs=RATE, output="sos")
    for host in hosts:
        bad, smooth = rule(host.values), sosfiltfilt(low, host.values)
        least = max(0.02, 0.005 * float(np.median(host.values)))
        peaks = find_peaks(smooth, prominence=least)[0]
        peaks = peaks[peaks >= LEAD]
        total += len(peaks)
        lost += sum(bool(bad[max(p - 6, 0) : p + 1].any()) for p in peaks)
    return {"lost": lost, "responses": total, "share": round(lost / total, 4)}


def level(cases: Sequence[Insertion], *, removed: bool) -> dict[str, Any]:
    """Return the error of the tonic level, and false responses, by kind.

    The level is compared with that of the untouched stretch, times the factor that
    stays behind a step, from 5 s before the artifact to 30 s after it.
    """
    kinds: dict[str, list[tuple[float, float, float, float]]] = {}
    for case in cases:
        clean, y = case.host.values, case.values
        tonic, truth = (_features(v, removed=removed) for v in (y, clean))
        at = np.arange(len(tonic)) * RATE - 5 * RATE
        near = (at >= case.begin - 20) & (at < case.end + 30 * RATE)
        expected = truth * np.where(at >= case.end, case.artifact.after, 1.0)
        error = np.abs(tonic / expected - 1)[near]
        missing, error = float(np.isnan(error).mean()), error[~np.isnan(error)]
        span = case.begin / RATE - 2, case.end / RATE + 8
        more, fewer = (_sum(_responses(v, removed=removed), span) for v in (y, clean))
        kinds.setdefault(case.artifact.kind, []).append(
            (
                float(error.mean()) if len(error) else np.nan,
                float((error > 0.05).mean()) if len(error) else np.nan,
                missing,
                max(more - fewer, 0) / float(np.median(clean)),
            )
        )
    names = "mean error", "time above 5 %", "missing", "false amplitude per level"
    return {
        kind: dict(zip(names, np.nanmean(rows, axis=0).round(4).tolist(), strict=True))
        for kind, rows in sorted(kinds.items())
    }


def _features(y: Array, *, removed: bool) -> Array:
    block = Block(INFO, 0, 0.0, np.ascontiguousarray(y[:, None]))
    return apply(EdaFeatures(artifacts=removed), block).column("tonic")


def _responses(y: Array, *, removed: bool) -> Events:
    block = Block(INFO, 0, 0.0, np.ascontiguousarray(y[:, None]))
    return events_from_grid(apply(ScrDetection(artifacts=removed), block))


def _sum(events: Events, span: tuple[float, float]) -> float:
    mine = (events.times >= span[0]) & (events.times <= span[1])
    return float(events.data[mine, 0].sum())


def removed_share(records: dict[str, Array]) -> dict[str, float]:
    """Return the proportion of each recording's values on skin that are removed."""
    shares = {}
    for name, x in records.items():
        y = np.where(x < 0.02, np.nan, x)
        there = np.isfinite(y)
        if there.any():
            shares[name] = round(float(find_artifacts(y)[there].mean()), 3)
    return shares


def evaluate(data: Path) -> dict[str, Any]:
    """Return all figures."""
    records = recordings(data)
    sets: dict[str, list[Insertion]] = {}
    for name, of, into in (
        ("tuned on", "train", "train"),
        ("others' recordings", "train", "test"),
        ("others' recordings and artifacts", "test", "test"),
    ):
        hosts = stretches(records, into, "still")
        sets[name] = list(insertions(hosts, artifacts(records, of)))
    training = sets["tuned on"]
    masks = [np.zeros(len(c.values), np.bool_) for c in training]
    for mask, case in zip(masks, training, strict=True):
        mask[case.begin : case.end] = True
    rules: dict[str, Rule] = {
        "ours": find_artifacts,
        "Kleckner 2018": kleckner,
        "Kocielnik 2013": kocielnik,
        "Taylor 2015": Taylor([c.values for c in training], masks),
    }
    cases = sets["others' recordings"][:: PER_STRETCH // 2]
    rich = stretches(records, "test", "responses", LEAD)
    return {
        "participants": {
            part: sorted({participant(r) for r in _marked(records, part)})
            for part in ("train", "test")
        },
        "detection": {
            name: {rule: detection(f, c) for rule, f in rules.items()}
            for name, c in sets.items()
        },
        "responses lost": {rule: responses_lost(f, rich) for rule, f in rules.items()},
        "level": {
            "removed": level(cases, removed=True),
            "not removed": level(cases, removed=False),
        },
        "removed": removed_share(records),
    }


def _marked(records: dict[str, Array], part: str) -> list[str]:
    cut = [a.participant for a in artifacts(records, part)]
    still = [s.participant for s in stretches(records, part, "still")]
    rich = [s.participant for s in stretches(records, part, "responses")]
    return [*cut, *still, *rich]


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.write_text(json.dumps(evaluate(args.data), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
