"""EDA decomposition beside cvxEDA of NeuroKit2, on wristbands and known truth."""

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Final

import numpy as np

from benchmarks.timing import Row, compiling, interleaved, row
from physio.core.block import Array, Channel, StreamInfo
from physio.features.eda.contact_artifacts import contact_gain, find_artifacts
from physio.features.eda.decomposition import decompose
from physio.features.eda.online_decomposition import (
    AGES,
    append,
    decompose_recent,
    eda_window,
    estimates,
)
from physio.quality.range_checks import EdaQuality

PEER: Final = "neurokit2 eda_phasic(cvxeda)"
WINDOWS: Final = (60, 180)  # s
LENGTHS: Final = (30, 20, 60, 120)  # s; the first is shipped
_EVERY: Final = 15  # s between compared updates
_INFO: Final = StreamInfo("bench.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
_SKIN: Final = (
    "import numpy as np; from physio.features.eda.decomposition import decompose; "
    "decompose(np.ones(80), 4)"
)


def rows(data: Path | None) -> list[Row]:
    """Return the rows of EDA; rows with a peer need real recordings."""
    results = (
        [] if data is None else _participants(sorted(data.glob("wesad/S*/*_wrist.npz")))
    )
    return [
        *results,
        *_growth(),
        compiling("physio.features.eda.deconvolution_solver", _SKIN),
    ]


def _named(files: list[Path]) -> dict[str, Array]:
    return {f.parent.name: np.load(f)["eda"].astype(float).ravel() for f in files}


def _peer(y: Array) -> Callable[[], Array] | None:
    if importlib.util.find_spec("cvxopt") is None:
        return None
    import neurokit2

    def work() -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = neurokit2.eda_phasic(y, sampling_rate=4, method="cvxeda")
        return np.asarray(parts["EDA_Phasic"])

    return work


def _participants(files: list[Path]) -> list[Row]:
    participants = _named(files)
    wrists = list(participants.values())
    whole = [_whole(y) for y in wrists]
    ours, theirs = (_sum(t[k] for t in whole) for k in (0, 1))
    gap = max(float(t[2]) for t in whole if t[2] is not None)
    name = PEER if theirs is not None else f"{PEER} (not measured: no cvxopt)"
    work = (
        f"EDA decomposition cvxeda, {len(wrists)} participants of WESAD, 4 Hz, summed"
    )
    results = [row(work, name, ours or 0.0, theirs, greatest_gap=gap)]
    return [
        *results,
        *_updates(wrists[0]),
        *_consistent(participants),
        *_shipped(participants),
    ]


def _sum(times: object) -> float | None:
    every = list(times)  # type: ignore[call-overload]
    return None if None in every else float(sum(every))


def _whole(y: Array) -> tuple[float, float | None, float]:
    peer, gap = _peer(y), decompose(y, 4, "cvxeda").gap
    if peer is None:
        return (
            interleaved(lambda: decompose(y, 4, "cvxeda"), lambda: 0, 1)[0],
            None,
            gap,
        )
    return *interleaved(lambda: decompose(y, 4, "cvxeda"), peer, 1), gap


def _updates(y: Array) -> list[Row]:
    """Return the cost of an update by a second, and of solving the problem anew."""
    memory, updates = eda_window(_INFO, 30.0), []
    for value in y[:4000]:
        append(memory, value)
    for width in WINDOWS:
        peer = _peer(y[4000 - width * 4 : 4000])
        work = f"EDA streaming cvxeda, a new second (peer: the last {width} s)"

        def update() -> None:
            for _ in range(10):
                decompose_recent(memory, "cvxeda", 0.5)

        ours, theirs = interleaved(update, peer or (lambda: 0), 10)
        updates.append(row(work, PEER, ours / 10, theirs if peer else None))
    return updates


def _consistent(wrists: dict[str, Array]) -> list[Row]:
    """Return errors of phasic estimates against the whole record's, by age.

    The correction of each participant is fitted on the others only.
    """
    off = np.array(
        [_off(y, name) for name, y in wrists.items()]
    )  # participants, ways, ages
    best = np.median(off[:, 1:], axis=0).min(axis=0)
    return [
        {
            **row(f"EDA streaming cvxeda, phasic error at {age} s", PEER, 0.0, None),
            "ours_s": None,
            "error": float(np.median(off[:, 0, i])),
            "better_window_s_error": float(best[i]),
            "participants_better_than_both": int(
                (off[:, 0, i] < off[:, 1:, i].min(1)).sum()
            ),
            "participants": len(wrists),
        }
        for i, age in enumerate(AGES)
    ]


def _off(y: Array, participant: str) -> Array:
    """Return RMS errors in units of the phasic spread, (ours, 60, 180) x ages.

    Windows are solved by this package's solver, which agrees to 1e-4 uS.
    """
    truth, memory = decompose(y, 4, "cvxeda").phasic, eda_window(_INFO, 30.0)
    off: list[list[list[float]]] = []
    for i, value in enumerate(y):
        if not append(memory, value) or i < 720 or (i // 4) % _EVERY:
            continue
        ours = decompose_recent(memory, "cvxeda", 0.5, participant)
        again = [decompose(y[i + 1 - w * 4 : i + 1], 4, "cvxeda") for w in WINDOWS]
        ways = [ours, *again]
        errors = [
            [estimates(w, a)[1] - truth[i - 4 * a] for a in AGES]
            for w in ways
            if not isinstance(w, float)
        ]
        off.append(errors)
    return np.asarray(np.sqrt(np.mean(np.square(off), axis=0)) / truth.std())


def _shipped(wrists: dict[str, Array]) -> list[Row]:
    """Return errors and costs of the shipped setting, against its whole record.

    Artifacts are removed as in the shipped chain. Peers: the last 60 and 180 s solved
    by the same solver with the noise of that window alone. Windows of other lengths are
    points of the curve of accuracy against cost; the first is shipped.
    """
    rows, again = [], np.array([_windows(y) for y in wrists.values()])
    for window in LENGTHS:
        live = [_live(y, window) for y in wrists.values()]
        off = np.array([errors for errors, _ in live])  # participants, ages, parts
        cost = float(np.median([seconds for _, seconds in live]))
        for part, name in enumerate(("tonic", "phasic")):
            mark = ", shipped" if window == LENGTHS[0] else ""
            rows.append(
                {
                    **row(
                        f"EDA live default, {name}, {window} s{mark}",
                        "the last 60 and 180 s solved again",
                        cost,
                        None,
                    ),
                    "ages_s": list(AGES),
                    "error": np.median(off[..., part], axis=0).round(4).tolist(),
                    "windows_s_error": {
                        str(w): np.median(again[:, k, :, part], axis=0)
                        .round(4)
                        .tolist()
                        for k, w in enumerate(WINDOWS)
                    },
                    "participants_at_least_as_close": (
                        (off[..., part] <= again[..., part].min(axis=1))
                        .sum(axis=0)
                        .tolist()
                    ),
                    "participants": len(wrists),
                }
            )
    return rows


def _whole_clean(y: Array) -> tuple[Array, Array, Array]:
    """Return conductance, its artifacts, and tonic and phasic part of the record."""
    y = np.where(y < EdaQuality().low, np.nan, y)
    bad = find_artifacts(y)
    gain = contact_gain(y, bad)
    whole = decompose(np.where(bad, np.nan, y) * gain, 4)
    return y, bad, np.array([whole.tonic, whole.phasic]) / gain


def _compared(bad: Array, y: Array) -> list[int]:
    """Return the newest values of the updates that are compared."""
    ages = 4 * np.array(AGES)
    every = range(4 * max(WINDOWS), len(y), 4 * _EVERY)
    return [i for i in every if not (bad | np.isnan(y))[i - ages].any()]


def _live(y: Array, window: int) -> tuple[Array, float]:
    """Return RMS errors of a live window, (ages, parts), and seconds an update."""
    y, bad, truth = _whole_clean(y)
    compared, off = set(_compared(bad, y)), []
    memory = eda_window(_INFO, float(window), artifacts=True)
    spent = 0.0
    for i, value in enumerate(y):
        began = process_time()
        if not append(memory, value) or i not in compared:
            continue
        live = decompose_recent(memory, "default", 0.5)
        spent += process_time() - began
        if not isinstance(live, float):
            off.append([_error(live[:2], truth, i, age) for age in AGES])
    errors = np.sqrt(np.nanmean(np.square(off), axis=0))
    return errors / np.nanstd(truth[1]), spent / len(compared)


def _windows(y: Array) -> Array:
    """Return RMS errors of solving `WINDOWS` again, (windows, ages, parts)."""
    y, bad, truth = _whole_clean(y)
    off = []
    for i in _compared(bad, y):
        recent = np.ascontiguousarray(
            y[max(i + 1 - 4 * (max(WINDOWS) + 20), 0) : i + 1]
        )
        wrong = find_artifacts(recent)
        gain = contact_gain(recent, wrong)
        clean, ways = np.where(wrong, np.nan, recent) * gain, []
        for width in WINDOWS:
            solved = decompose(clean[-4 * width :], 4, tolerance=1e-4)
            parts = [part / gain[-4 * width :] for part in solved[:2]]
            ways.append([_error(parts, truth, i, age) for age in AGES])
        off.append(ways)
    errors = np.sqrt(np.nanmean(np.square(off), axis=0))
    return np.asarray(errors / np.nanstd(truth[1]))


def _error(parts: Sequence[Array], truth: Array, newest: int, age: int) -> list[float]:
    back = 4 * age
    return [float(p[-1 - back] - truth[k, newest - back]) for k, p in enumerate(parts)]


def _growth() -> list[Row]:
    """Return the growth of cost with twice the duration and twice the rate."""
    rng = np.random.default_rng(1)
    walk = np.abs(2 + 0.02 * np.cumsum(rng.standard_normal(24000)))
    short, two = walk[:12000], walk

    def work(y: Array, rate: float) -> Callable[[], object]:
        return lambda: decompose(y, rate)

    once, twice = interleaved(work(short, 4), work(two, 4), 3)
    rate = interleaved(work(short, 4), work(np.repeat(short, 2), 8), 3)
    return [
        row("EDA decomposition, 50 min", "100 min", once, twice),
        row("EDA decomposition, 4 Hz", "8 Hz", *rate),
    ]
