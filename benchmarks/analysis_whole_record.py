"""Whole-record analysis: recovery of simulated responses, and agreement with peers.

Agreement is no truth: two methods can agree and both be wrong. Recovery is judged on
simulated participants, whose responses are known, and on clips with an ECG.
"""

import warnings
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from scipy.interpolate import pchip_interpolate
from scipy.ndimage import gaussian_filter1d

from benchmarks.timing import Row, untimed_row
from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.offline.whole_heart import analyze_beats
from physio.offline.whole_skin import analyze_skin

SEEDS: Final = range(60, 68)
LENGTH: Final = 600.0  # s of each recording
THRESHOLDS: Final = 0.01, 0.03, 0.05  # uS
CLOSE: Final = 2.0  # s between a true and a detected onset
WINDOW: Final = 1.0, 4.0  # s after an event
CLIPS: Final = 300
_TUNED: Final = 200  # clips with which the rules for a pulse wave were chosen
_SLOW, _FAST = 2.0, 0.75  # s
_GRID: Final = 10.0  # s
_IMPULSE: Final = 0.05  # uS/s: less belongs to the tonic driver

Method = Callable[[Array, float], Array]
"""Onset (s) and amplitude (uS) of the responses in a record at 4 Hz, (n, 2)."""


def rows(data: Path | None) -> list[Row]:
    """Return recovery, event-related recovery, and agreement, for three thresholds."""
    people = [_participant(seed) for seed in SEEDS]
    results = [row for threshold in THRESHOLDS for row in _simulated(people, threshold)]
    if data is None:
        return results
    wrists = sorted((data / "wesad").glob("S*/S*_wrist.npz"))
    if wrists:
        records = [_wrist(file) for file in wrists]
        results += [
            row for threshold in THRESHOLDS for row in _agreement(records, threshold)
        ]
    clips = data / "rcqoea360" / "shimmer_polar.npz"
    return [*results, *_pulse_rates(clips)] if clips.is_file() else results


def whole_record(y: Array, threshold: float) -> Array:
    """Return the responses that `physio.analyze` finds."""
    channel = Channel("eda", "gsr", "uS")
    info = StreamInfo("bench.eda", Fraction(4), (channel,))
    block = Block(info, 0, 0.0, np.ascontiguousarray(y[:, None], np.float64))
    _, _, scrs = analyze_skin((block,), channel, threshold)
    return scrs[["onset", "amplitude"]].to_numpy(float)


def neurokit(y: Array, threshold: float) -> Array:
    """Return the responses of neurokit2's default: high-pass, then its peaks."""
    import neurokit2

    filled = _filled(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phasic = neurokit2.eda_phasic(filled, 4, method="highpass")["EDA_Phasic"]
        _, peaks = neurokit2.eda_peaks(
            phasic.to_numpy(), 4, amplitude_min=threshold / float(phasic.max())
        )
    onsets = np.asarray(peaks["SCR_Onsets"], float) / 4
    responses = np.column_stack([onsets, np.asarray(peaks["SCR_Amplitude"], float)])
    return responses[np.isfinite(responses).all(axis=1)]


def continuous(y: Array, threshold: float) -> Array:
    """Return the responses of a continuous decomposition analysis.

    After Benedek and Kaernbach (2010), Journal of Neuroscience Methods 190:80, from the
    definition in the paper: the driver is the record deconvolved by a Bateman function
    (2 and 0.75 s, fixed; they fit it to the record), smoothed by 0.2 s; the tonic
    driver interpolates the parts between impulses on a grid of 10 s; a response is an
    impulse of the remaining driver whose own response reaches the threshold.
    """
    step = 0.25
    smooth = gaussian_filter1d(_filled(y), 0.2 / step)
    first = np.gradient(smooth, step)
    driver = smooth + (_SLOW + _FAST) * first
    driver = (driver + _SLOW * _FAST * np.gradient(first, step)) / (_SLOW - _FAST)
    parts = _impulses(driver)
    quiet = np.ones(len(driver), bool)
    for a, b in parts:
        floor = max(driver[a], driver[b - 1])
        quiet[a:b] &= driver[a:b].max() - floor < _IMPULSE
    cells = np.arange(len(driver)) // round(_GRID / step)
    knots = np.array(
        [
            np.mean(driver[(cells == c) & quiet])
            if (quiet & (cells == c)).any()
            else np.min(driver[cells == c])
            for c in range(cells[-1] + 1)
        ]
    )
    at = (np.arange(len(knots)) + 0.5) * _GRID
    time = np.arange(len(driver)) * step
    tonic = pchip_interpolate(at, knots, np.clip(time, at[0], at[-1]))
    phasic = np.maximum(driver - tonic, 0.0)
    lag = np.arange(0.0, 15.0, step)
    shape = (np.exp(-lag / _SLOW) - np.exp(-lag / _FAST)) * step
    responses = [
        (a * step, float(np.convolve(phasic[a:b], shape).max())) for a, b in parts
    ]
    large = [r for r in responses if r[1] >= threshold]
    return np.array(large).reshape(len(large), 2)


METHODS: Final[dict[str, Method]] = {
    "physio": whole_record,
    "neurokit2": neurokit,
    "continuous decomposition": continuous,
}


def _impulses(driver: Array) -> list[tuple[int, int]]:
    """Return the parts between local minima."""
    inner = (driver[1:-1] <= driver[:-2]) & (driver[1:-1] < driver[2:])
    edges = [0, *(np.flatnonzero(inner) + 1).tolist(), len(driver) - 1]
    return [(a, b + 1) for a, b in pairwise(edges) if b > a]


def _filled(y: Array) -> Array:
    there = np.isfinite(y)
    return np.interp(np.arange(len(y)), np.flatnonzero(there), y[there])


def _participant(seed: int) -> tuple[Array, Array]:
    """Return conductance at 4 Hz, and onset and amplitude of the true responses."""
    band = {"use": "devices.simulated:Wristband", "seed": seed}
    recording = record(config.build(band, "bench"), LENGTH)
    blocks = [b for b in recording.streams["participant.eda"] if len(b)]
    y = np.concatenate([b.data[:, 0] for b in blocks])
    scr = next(e for n, e in recording.events.items() if n.endswith(".responses"))
    onsets = scr.times - float(blocks[0].times[0])
    true = np.column_stack([onsets, scr.data[:, 0]])
    return y, true[(onsets >= 0) & (onsets < len(y) / 4 - 1)]


def _wrist(file: Path) -> Array:
    with np.load(file) as stored:
        name = next(k for k in stored.files if k.lower().startswith("eda"))
        return np.asarray(stored[name], np.float64).ravel()


def _simulated(people: list[tuple[Array, Array]], threshold: float) -> list[Row]:
    """Return the recovery of true responses, and of those to events."""
    results = []
    for name, method in METHODS.items():
        scores, sums, yes, no = [], [], [], []
        for y, true in people:
            detected = method(y, threshold)
            large = true[true[:, 1] >= threshold]
            scores.append(_hits(detected[:, 0], large[:, 0], true[:, 0]))
            sums.append(detected[:, 1].sum() / large[:, 1].sum())
            sensitive, false = _event_related(detected[:, 0], true, threshold, len(y))
            yes.append(sensitive)
            no.append(false)
        recall, precision = np.nanmean(scores, axis=0).tolist()
        work = f"SCRs, {len(people)} simulated participants, {threshold:g} uS"
        results.append(
            untimed_row(
                work,
                name,
                recall=recall,
                precision=precision,
                f1=2 * recall * precision / max(recall + precision, 1e-9),
                sum_of_amplitudes=float(np.median(sums)),
                events_with_response_detected=float(np.nanmean(yes)),
                events_without_response_detected=float(np.nanmean(no)),
            )
        )
    return results


def _hits(detected: Array, large: Array, true: Array) -> tuple[float, float]:
    """Return the share of large responses detected, and of detections that are true."""
    recalled = [np.abs(detected - t).min(initial=np.inf) <= CLOSE for t in large]
    right = [np.abs(true - t).min(initial=np.inf) <= CLOSE for t in detected]
    return float(np.mean(recalled or [np.nan])), float(np.mean(right or [np.nan]))


def _event_related(
    detected: Array, true: Array, threshold: float, n: int
) -> tuple[float, float]:
    """Return the share of events with a response, where there is one and where not.

    An event with a response lies 2 s before one of at least twice the threshold; an
    event without lies where none begins from 2 s before its window to 2 s after it.
    """
    answered = true[true[:, 1] >= 2 * threshold, 0] - 2.0
    candidates = np.arange(5.0, n / 4 - 10.0, 1.0)
    distance = [
        np.any((true[:, 0] > t + WINDOW[0] - 2) & (true[:, 0] < t + WINDOW[1] + 2))
        for t in candidates
    ]
    silent = candidates[~np.array(distance)]
    shares = []
    for events in (answered, silent):
        hits = [
            np.any((detected >= t + WINDOW[0]) & (detected <= t + WINDOW[1]))
            for t in events
        ]
        shares.append(float(np.mean(hits)) if hits else np.nan)
    return shares[0], shares[1]


def _agreement(records: list[Array], threshold: float) -> list[Row]:
    """Return bias and 95 % limits of agreement of responses per minute."""
    counts = {
        name: np.concatenate([_per_minute(method(y, threshold), y) for y in records])
        for name, method in METHODS.items()
    }
    results = []
    for name in list(METHODS)[1:]:
        difference = counts["physio"] - counts[name]
        bias, spread = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
        results.append(
            untimed_row(
                f"SCRs per minute, {len(records)} wrists, {threshold:g} uS: agreement",
                name,
                bias=bias,
                limits=[bias - spread, bias + spread],
                minutes=len(difference),
                physio_mean=float(counts["physio"].mean()),
                peer_mean=float(counts[name].mean()),
            )
        )
    return results


def _per_minute(detected: Array, y: Array) -> Array:
    minutes = len(y) // 240
    return np.histogram(detected[:, 0], np.arange(minutes + 1) * 60.0)[0].astype(float)


def _pulse_rates(file: Path) -> list[Row]:
    """Return the errors of pulse rates against an ECG, of clips that tuned nothing."""
    import neurokit2

    with np.load(file) as stored:
        names = sorted({k.rsplit("/", 1)[0] for k in stored.files})
        tuned = np.random.default_rng(1).choice(len(names), _TUNED, replace=False)
        fresh = sorted(set(range(len(names))) - set(tuned.tolist()))
        chosen = np.random.default_rng(2).choice(fresh, CLIPS, replace=False)
        errors, peers, covered = [], [], []
        for i in chosen.tolist():
            ecg, ppg = (stored[f"{names[i]}/{k}"] for k in ("ecg130", "ppg"))
            true, _ = _rate(ecg, Fraction(1304, 10), "ecg")
            rate, share = _rate(ppg, Fraction(130), "bio")
            covered.append(share)
            errors.append(abs(rate - true))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                clean = neurokit2.ppg_clean(ppg.astype(float), sampling_rate=130)
                peaks = neurokit2.ppg_findpeaks(clean, sampling_rate=130)["PPG_Peaks"]
            peers.append(abs(60 * 130 / float(np.mean(np.diff(peaks))) - true))
    off, far = np.array(errors), np.array(peers)
    return [
        untimed_row(
            f"pulse rate of {CLIPS} clips of 30 s against an ECG (1/min)",
            "neurokit2",
            physio_mean_error=float(np.nanmean(off)),
            peer_mean_error=float(np.nanmean(far)),
            physio_off_by_5=float(np.mean(off > 5)),
            peer_off_by_5=float(np.mean(far > 5)),
            physio_answered=float(np.isfinite(off).mean()),
            physio_coverage=float(np.mean(covered)),
        )
    ]


def _rate(x: Array, rate: Fraction, kind: str) -> tuple[float, float]:
    """Return the mean rate (1/min) of the accepted intervals, and their share."""
    channel = Channel("wave", kind, "1")
    info = StreamInfo("bench.wave", rate, (channel,))
    data = np.ascontiguousarray(x[:, None], np.float64)
    _, beats = analyze_beats((Block(info, 0, 0.0, data),), channel)
    good = beats["interval"][beats["accepted"]]
    seconds = float(good.sum())
    return (60 * len(good) / seconds if seconds else np.nan), seconds / (
        len(x) / float(rate)
    )
