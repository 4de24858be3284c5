"""Accuracy and availability of respiration rate."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

import physio
from benchmarks.timing import Row, untimed_row
from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.core.stage import Chain, apply
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.respiration.ecg_derived import EcgDerivedRespiration
from physio.features.respiration.respiration_belt import RespirationBelt

PEOPLE: Final = range(31, 37)
LENGTH: Final = 240.0  # s of each recording
_DERIVED: Final = Chain((BeatDetection(), EcgDerivedRespiration()))


def rows(data: Path | None) -> list[Row]:
    """Return rate errors on simulated participants, and two rates of a real one."""
    results = _simulated()
    file = None if data is None else data / "biosignals/neurokit_resting_5min_100hz.csv"
    return [*results, *_rest(file)] if file is not None and file.is_file() else results


def _simulated() -> list[Row]:
    belts, beats, parts = [], [], []
    for seed in PEOPLE:
        chest = {"use": "devices.simulated:Chest", "seed": seed}
        lived = record(config.build(chest, "bench"), LENGTH)
        belt, ecg = (_whole(lived.streams[f"participant.{s}"]) for s in ("resp", "ecg"))
        rate = apply(RespirationBelt(), belt)
        turns = _peaks(belt)
        belts.append(_off(rate, "rate", turns, 30.0))
        derived = apply(_DERIVED, ecg)
        beats.append(_off(derived, "edr_rate", turns, 60.0))
        parts.append(float(np.isfinite(derived.data[240:]).mean()))
    peer = "the simulated truth, over the same window"
    work = f"breathing, {len(PEOPLE)} simulated participants (1/min)"
    off, far = np.concatenate(belts), np.concatenate(beats)
    return [
        untimed_row(
            f"{work}: the belt's rate",
            peer,
            median=float(np.median(off)),
            at_most=float(off.max()),
            by_participant=[float(np.median(b)) for b in belts],
        ),
        untimed_row(
            f"{work}: derived from an ECG",
            peer,
            median=float(np.median(far)),
            at_most=float(far.max()),
            part_of_time=parts,
        ),
    ]


def _whole(blocks: tuple[Block, ...]) -> Block:
    there = [b for b in blocks if len(b)]
    data = np.concatenate([b.data for b in there])
    return Block(there[0].info, 0, there[0].t0, data)


def _peaks(belt: Block) -> Array:
    """Return the times of the girth's peaks (s); the device's own noise is 1 %."""
    import scipy.ndimage
    import scipy.signal

    girth = scipy.ndimage.gaussian_filter1d(belt.data[:, 0], 5)  # 0.2 s
    return belt.times[scipy.signal.find_peaks(girth, prominence=0.6)[0]]


def _off(block: Block, name: str, peaks: Array, width: float) -> Array:
    """Return the errors of a rate against the breaths in the same window (1/min)."""
    off = []
    for t, rate in zip(block.times, block.column(name), strict=True):
        recent = peaks[(peaks > t - width) & (peaks <= t)]
        if np.isfinite(rate) and len(recent) > 2:
            off.append(abs(rate - 60 / float(np.diff(recent).mean())))
    return np.array(off)


def _rest(file: Path) -> list[Row]:
    """Return the rates from belt, beats and intervals of a participant at rest.

    A derived rate, of the last minute, is compared with the mean of the belt's rates of
    the same minute, where half of them exist.
    """
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    kinds = ("ecg", "bio", "resp")
    blocks = {
        kind: Block(
            StreamInfo(f"rest.{kind}", Fraction(100), (Channel(kind, kind, "1"),)),
            0,
            0.0,
            np.ascontiguousarray(table[:, i : i + 1]),
        )
        for i, kind in enumerate(kinds)
    }
    estimated = apply(RespirationBelt(), blocks["resp"]).column("rate")
    results = [
        untimed_row(
            "breathing, a participant at rest (1/min): the belt's rate",
            "none",
            part_of_time=float(np.isfinite(estimated).mean()),
        )
    ]
    belt = pd.Series(estimated).rolling(240, min_periods=120).mean().to_numpy()
    rates = {kind: apply(_DERIVED, blocks[kind]).data[:, 0] for kind in kinds[:2]}
    rates["intervals of the ecg alone"] = _of_intervals(blocks["ecg"])
    for kind, derived in rates.items():
        n = min(len(derived), len(belt))
        off = np.abs(derived[:n] - belt[:n])
        results.append(
            untimed_row(
                f"breathing, a participant at rest (1/min): derived from {kind}",
                "the belt's rate, mean of the same minute",
                median=float(np.nanmedian(off)),
                part_of_time=float(np.isfinite(derived).mean()),
            )
        )
    return results


def _of_intervals(ecg: Block) -> Array:
    """Return the rate every 0.25 s of the chain that reads intervals alone."""
    beats = apply(BeatDetection(), ecg)
    rows = np.flatnonzero(~np.isnan(beats.data[:, 0]))
    times = beats.times[rows] + beats.data[rows, 0]
    info = StreamInfo("strap.ibi", Fraction(0), (Channel("interval", "misc", "s"),))
    interval = np.diff(times)[:, np.newaxis]
    events = Events(info, float(times[-1]), times[1:], interval)
    features = physio.compute_features(Recording({}, {info.name: events}))
    late = round(4 * features.times[0])
    return np.concatenate([np.full(late, np.nan), features.column("ibi.edr_rate")])
