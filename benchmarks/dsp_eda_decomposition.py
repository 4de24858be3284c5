"""EDA decomposition beside cvxEDA of NeuroKit2, on wristbands and known truth."""

import importlib.util
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row, compiling, interleaved, row
from physio.core.block import Array, Channel, StreamInfo
from physio.features.eda.decomposition import decompose
from physio.features.eda.online_decomposition import (
    AGES,
    append,
    decompose_recent,
    eda_window,
    estimates,
)

PEER: Final = "neurokit2 eda_phasic(cvxeda)"
WINDOWS: Final = (60, 180)  # s
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
    return [*results, *_updates(wrists[0]), *_consistent(participants)]


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
