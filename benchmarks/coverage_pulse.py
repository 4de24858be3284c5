"""Proportion of wristband recordings with a usable pulse; accuracy of its quality."""

import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.timing import Row, untimed_row
from physio.core.block import Array, Block
from physio.core.events import Events
from physio.core.stage import Chain, apply
from physio.features.actigraphy import Actigraphy
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate
from physio.io import empatica
from physio.quality.beat_template import BeatTemplateSQI
from physio.quality.eda_artifacts import EdaStability
from physio.quality.range_checks import EdaQuality, TemperatureQuality
from physio.quality.wristband import PULSE, PULSE_STILL, STABLE

MAKER: Final = "the maker's intervals (IBI)"
MOVES: Final = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 9.0)  # g
_EVERY: Final = 5.0  # s between compared moments
_WIDTH: Final = 10.0  # s of the windows
_LATE: Final = 1.0  # s, usual delay of beats
_FAR: Final = 5.0  # 1/min, a large error of a rate
_LOOSE: Final = 0.5  # confidence

Flags = npt.NDArray[np.bool_]


class Wrist(NamedTuple):
    """One participant, every 5 s."""

    rate: Array  # ours (1/min)
    loose: Array  # ours, with less confident beats
    peer: Array  # neurokit2's
    maker: Array  # from intervals that fill half of the window
    near: Array  # the maker's, of such windows within 15 s
    likeness: Array
    moves: Array  # g
    steady: Array
    worn: tuple[float, float]  # part of samples that skin, and temperature, call good


def rows(data: Path | None) -> list[Row]:
    """Return coverage and accuracy of the pulse rate, and AUC of its quality."""
    if data is None:
        return []
    wesad = [_read(p) for p in sorted(data.glob("wesad/S*/*_E4_Data.zip"))]
    other = [_read(p) for p in sorted(data.glob("stress_predict/raw/S*.zip"))]
    results = [*_covered("WESAD", wesad), *_covered("Stress-Predict", other)]
    return [*results, *_right(wesad), *_quality_auc(wesad, other), *_worn(wesad, other)]


@cache
def _read(path: Path) -> Wrist:
    recording = empatica.read(path)
    pulse, skin, axes, warmth = (
        recording.streams[f"e4.{s}"][0] for s in ("bvp", "eda", "acc", "temp")
    )
    begin = pulse.t0 + 60.0
    at = np.arange(begin, pulse.complete_until - 1.0, _EVERY)
    beats = apply(BeatDetection(), pulse)
    ibi = recording.events["e4.ibi"]
    maker = _maker(ibi, at)
    known = at[np.isfinite(maker)]
    nearest = np.abs(at[:, None] - known).argmin(axis=1)
    near = maker[np.isfinite(maker)][nearest]
    near[np.abs(at - known[nearest]) > 15.0] = np.nan
    worn = TemperatureQuality(27.0, 40.0, 5.0)
    masked = apply(EdaQuality(), skin).data, apply(worn, warmth).data
    return Wrist(
        _at(apply(HeartRate(), beats), "rate", at),
        _at(apply(Chain((BeatDetection(_LOOSE), HeartRate())), pulse), "rate", at),
        _neurokit(pulse, at),
        maker,
        near,
        _at(apply(BeatTemplateSQI(), beats), "template_sqi", at),
        _at(apply(Actigraphy(), axes), "activity", at),
        _at(apply(EdaStability(), skin), "steady", at),
        (float(np.nanmean(masked[0])), float(np.nanmean(masked[1]))),
    )


def _at(block: Block, name: str, at: Array) -> Array:
    """Return the newest value of a channel at each of some times."""
    newest = np.searchsorted(block.times, at, side="right") - 1
    return block.column(name)[np.maximum(newest, 0)]


def _maker(ibi: Events, at: Array) -> Array:
    """Return the maker's rate (1/min) in windows at least half covered by intervals."""
    total = np.concatenate([[0.0], np.cumsum(ibi.data[:, 0])])
    begin, end = at - _LATE - _WIDTH, at - _LATE
    a, z = (np.searchsorted(ibi.times, t) for t in (begin, end))
    time = total[z] - total[a]
    rate = 60 * (z - a) / np.maximum(time, 0.01)
    return np.where(time >= _WIDTH / 2, rate, np.nan)


def _neurokit(pulse: Block, at: Array) -> Array:
    """Return the rate (1/min) of neurokit2's peaks in the same windows."""
    import neurokit2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, signals = neurokit2.ppg_process(
            pulse.data[:, 0], sampling_rate=float(pulse.info.rate)
        )
    peaks = pulse.times[np.asarray(signals["PPG_Peaks"], np.int64)]
    rates = np.full(len(at), np.nan)
    for i, t in enumerate(at):
        recent = peaks[(peaks > t - _LATE - _WIDTH) & (peaks <= t - _LATE)]
        if len(recent) > 2:
            rates[i] = 60 / float(np.diff(recent).mean())
    return rates


def _covered(name: str, participants: list[Wrist]) -> list[Row]:
    """Return the proportion of time with a rate: in total, and by movement."""
    rate, maker, peer, moves = (
        np.concatenate([getattr(p, k) for p in participants])
        for k in ("rate", "maker", "peer", "moves")
    )
    valid = np.isfinite(rate), np.isfinite(maker), np.isfinite(peer)
    work = f"pulse rate, {len(participants)} wrists of {name}: part of the time"
    rows = [
        untimed_row(
            work,
            MAKER,
            ours=_part(valid[0]),
            maker=_part(valid[1]),
            neurokit2=_part(valid[2]),
            by_participant=[_part(np.isfinite(p.rate)) for p in participants],
        )
    ]
    for low, high in pairwise(MOVES):
        moving = (moves >= low) & (moves < high)
        limb = f"{work}, limb moves {1e3 * low:g} to {1e3 * high:g} mg"
        figures = {"ours": _part(valid[0][moving]), "maker": _part(valid[1][moving])}
        rows.append(untimed_row(limb, MAKER, windows=int(moving.sum()), **figures))
    return rows


def _part(mask: Flags) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _right(participants: list[Wrist]) -> list[Row]:
    """Return differences of both rates from the maker's, and the looser variant."""
    work = f"pulse rate, {len(participants)} wrists of WESAD"
    both = [np.isfinite(p.rate) & np.isfinite(p.maker) for p in participants]
    pairs = list(zip(participants, both, strict=True))
    off = np.abs(np.concatenate([(p.rate - p.maker)[b] for p, b in pairs]))
    shared = [float(b.sum() / np.isfinite(p.maker).sum()) for p, b in pairs]
    peer = [(p.peer - p.maker, np.isfinite(p.rate)) for p in participants]
    extra = np.concatenate(
        [np.isfinite(p.loose) & np.isnan(p.rate) for p in participants]
    )
    near = np.concatenate([p.loose - p.near for p in participants])[extra]
    return [
        untimed_row(
            f"{work}: where the maker's is, ours is too", MAKER, by_participant=shared
        ),
        untimed_row(
            f"{work}: ours less the maker's (1/min)",
            MAKER,
            median=float(np.median(off)),
            off_by_5=_far(off),
        ),
        untimed_row(
            f"{work}: neurokit2 less the maker's, off by more than 5/min",
            MAKER,
            where_ours_is=[_far(o[valid]) for o, valid in peer],
            where_ours_is_not=[_far(o[~valid]) for o, valid in peer],
        ),
        untimed_row(
            f"{work}: confidence 0.5 for 0.7",
            MAKER,
            adds=_part(extra),
            added_off_by_5=_far(near),
        ),
    ]


def _far(off: Array) -> float:
    """Return the proportion of finite differences above 5 /min."""
    there = off[np.isfinite(off)]
    return float((np.abs(there) > _FAR).mean())


def _quality_auc(wesad: list[Wrist], other: list[Wrist]) -> list[Row]:
    """Return AUC in held-out participants and in another laboratory."""
    rows = []
    for target, names, shipped in (
        ("pulse, by likeness and movement", ("likeness", "moves"), PULSE),
        ("pulse, by likeness alone", ("likeness",), PULSE_STILL),
        ("pulse, by movement alone", ("moves",), None),
        ("skin, by movement", ("moves",), STABLE),
    ):
        pairs, far = ([_pair(p, target, names) for p in g] for g in (wesad, other))
        held_out = [
            _area(_fitted(pairs[:i] + pairs[i + 1 :])(x), y)
            for i, (x, y) in enumerate(pairs)
        ]
        whole = _fitted(pairs)
        elsewhere = [_area(whole(x), y) for x, y in far]
        zero = np.zeros((1, len(names)))
        constant = float(whole(zero)[0])
        slopes = (whole(np.eye(len(names))) - constant).tolist()
        rows.append(
            untimed_row(
                f"quality of {target}: area under the curve",
                "what happened",
                left_out=float(np.mean(held_out)),
                other_laboratory=float(np.nanmean(elsewhere)),
                by_participant=held_out,
                fitted=[constant, *slopes],
                shipped=shipped,
                said_seen_windows=_calibrated(whole, far),
            )
        )
    return rows


def _fitted(pairs: list[tuple[Array, Flags]]) -> Callable[[Array], Array]:
    """Return the log-odds function of a fitted logistic regression."""
    from sklearn.linear_model import LogisticRegression

    x, y = (np.concatenate(c) for c in zip(*pairs, strict=True))
    score: Callable[[Array], Array] = (
        LogisticRegression(C=1e3).fit(x, y).decision_function
    )
    return score


def _pair(wrist: Wrist, target: str, names: tuple[str, ...]) -> tuple[Array, Flags]:
    """Return inputs of the quality, shape (n, names), and its binary target."""
    moves = np.log10(np.maximum(wrist.moves, 1e-3))
    read = {"likeness": wrist.likeness, "moves": moves}
    x = np.column_stack([read[n] for n in names])
    good = np.isfinite(wrist.maker) if "pulse" in target else wrist.steady == 1
    there = np.isfinite(x).all(axis=1) & np.isfinite(wrist.steady)
    return x[there], good[there]


def _area(score: Array, good: Flags) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(good, score)) if 0 < good.mean() < 1 else float("nan")


def _calibrated(
    odds: Callable[[Array], Array], pairs: list[tuple[Array, Flags]]
) -> list[tuple[float, float, int]]:
    """Return predicted and observed probability, and window counts, by fifth."""
    x, y = (np.concatenate(c) for c in zip(*pairs, strict=True))
    p = 1 / (1 + np.exp(-odds(x)))
    fifth = np.minimum((5 * p).astype(int), 4)
    fifths = [(p[fifth == k], y[fifth == k]) for k in range(5)]
    return [(float(a.mean()), float(b.mean()), len(a)) for a, b in fifths if len(a)]


def _worn(wesad: list[Wrist], other: list[Wrist]) -> list[Row]:
    """Return the proportion of worn time detected by temperature and EDA; masking."""
    rows = [
        untimed_row(
            f"worn, {len(group)} wrists of {name}: part of samples called good",
            "they were worn",
            skin=[p.worn[0] for p in group],
            temperature=[p.worn[1] for p in group],
        )
        for name, group in (("WESAD", wesad), ("Stress-Predict", other))
    ]
    every = wesad + other
    rate, maker, moves = (
        np.concatenate([getattr(p, k) for p in every])
        for k in ("rate", "maker", "moves")
    )
    for limit in (np.inf, 0.1, 0.05, 0.02, 0.01):
        accepted = np.where(moves < limit, rate, np.nan)
        work = f"pulse rate without windows in which the limb moves {limit:g} g or more"
        rows.append(
            untimed_row(
                work,
                MAKER,
                part=_part(np.isfinite(accepted)),
                off_by_5=_far(accepted - maker),
            )
        )
    return rows
