"""EDA decomposition on simulated participants with known responses.

Their SCRs are no Bateman functions, and the shape differs between SCRs.
"""

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row
from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import events_from_grid
from physio.core.stage import apply
from physio.features.eda.decomposition import decompose
from physio.features.eda.online_decomposition import EdaDecomposition
from physio.features.eda.scr_detection import ScrDetection, responses

PEER: Final = "the whole record by neurokit2's cvxeda problem"
PEOPLE: Final = 12
LENGTH: Final = 900.0  # s of each recording
LEAST: Final = 0.02  # uS, smallest SCR to detect
CLOSE: Final = 2.0  # s between a true and a detected onset
_AGE: Final = 5  # s
_EDGES: Final = 40, 20  # s excluded at the beginning and at the end
_BLUR: Final = 2.0  # s, over which drivers are compared
_INFO: Final = StreamInfo("bench.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return accuracy of driver and SCRs at a delay of 5 s, with default settings."""
    scores = np.array([_participant(seed) for seed in range(1, PEOPLE + 1)])
    results: list[Row] = []
    for quantity, mine, theirs in (
        ("driver, correlation with the truth", 0, (1,)),
        ("responses, F1 within 2 s", 2, (3, 4)),
    ):
        peer = scores[:, theirs].max(axis=1)
        results.append(
            {
                "work": f"EDA streaming default, {PEOPLE} simulated participants, "
                f"at 5 s: {quantity}",
                "peer": PEER,
                "ours_s": None,
                "peer_s": None,
                "ratio": None,
                "share_of_peak": None,
                "ours": float(np.median(scores[:, mine])),
                "theirs": float(np.median(peer)),
                "participants_as_good": int((scores[:, mine] >= peer).sum()),
                "participants": PEOPLE,
            }
        )
    return results


def _participant(seed: int) -> tuple[float, float, float, float, float]:
    """Return a participant's figures: driver correlations of both, and F1 of SCRs.

    The peer's SCRs are those of neurokit2's ``eda_peaks`` on its phasic part, and those
    that this package detects in its driver.
    """
    band = {"use": "devices.simulated:Wristband", "seed": seed}
    recording = record(config.build(band, "bench"), LENGTH)
    blocks = [b for b in recording.streams["participant.eda"] if len(b)]
    y = np.concatenate([b.data for b in blocks])
    scr = next(e for n, e in recording.events.items() if n.endswith(".responses"))
    onsets = scr.times - float(blocks[0].times[0])
    length = len(y) // 4
    truth = np.histogram(onsets, np.arange(length + 1.0), weights=scr.data[:, 0])[0]
    block = Block(_INFO, 0, 0.0, np.ascontiguousarray(y))
    driver = apply(EdaDecomposition(), block).column(f"driver@{_AGE}s")
    ours = np.zeros(length)
    ours[: length - _AGE - 1] = driver[_AGE + 1 : length]  # row k: the second to k - 5
    whole = decompose(y[:, 0], 4, "cvxeda")
    peer = whole.driver[: 4 * length].reshape(length, 4).mean(axis=1)
    true = _inside(onsets[scr.data[:, 0] >= LEAST], length)
    mine = events_from_grid(apply(ScrDetection(), block)).times
    ways = mine, _peaks(whole.phasic), responses(whole.driver)[:, 0]
    scores = [_f1(_inside(detected, length), true) for detected in ways]
    return _alike(ours, truth), _alike(peer, truth), scores[0], scores[1], scores[2]


def _peaks(phasic: Array) -> Array:
    import neurokit2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, peaks = neurokit2.eda_peaks(
            phasic, sampling_rate=4, amplitude_min=LEAST / float(phasic.max())
        )
    onsets = np.asarray(peaks["SCR_Onsets"], np.float64) / 4
    return onsets[np.isfinite(onsets)]


def _inside(times: Array, length: int) -> Array:
    return times[(times > _EDGES[0]) & (times < length - _EDGES[1])]


def _alike(driver: Array, truth: Array) -> float:
    """Return the correlation of two smoothed drivers at the best lag up to 2 s."""
    t = np.arange(-8.0, 9.0)
    bell = np.exp(-0.5 * (t / _BLUR) ** 2)
    estimated, two = (
        np.convolve(np.nan_to_num(v), bell, "same") for v in (driver, truth)
    )
    inside = slice(_EDGES[0], len(estimated) - _EDGES[1])
    lags = (np.roll(two, lag)[inside] for lag in range(3))
    return max(float(np.corrcoef(estimated[inside], lagged)[0, 1]) for lagged in lags)


def _f1(detected: Array, true: Array) -> float:
    """Return the F1 score, with each true response detected once."""
    remaining = list(true)
    hits = 0
    for t in np.sort(detected):
        near = [v for v in remaining if abs(v - t) <= CLOSE]
        if near:
            remaining.remove(min(near, key=lambda v: abs(v - t)))
            hits += 1
    return 2 * hits / max(len(detected) + len(true), 1)
