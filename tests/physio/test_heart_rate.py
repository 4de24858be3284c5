"""Heart beats and their rhythm, against neurokit2 and closed forms."""

import zipfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, Fork, Stage, apply
from physio.features.cardiac.beat_to_beat import BeatToBeatVariability
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate

HEART = Chain((BeatDetection(), Fork((HeartRate(), BeatToBeatVariability()))))


def block(x: np.ndarray, rate: int, kind: str) -> Block:
    info = StreamInfo(f"band.{kind}", Fraction(rate), (Channel(kind, kind, "1"),))
    return Block(info, 0, 0.0, np.array(x, np.float64).reshape(-1, 1))


def beats(source: Block) -> Events:
    return events_from_grid(apply(BeatDetection(), source))


@cache
def e4(folder: Path, participant: str, name: str) -> np.ndarray:
    with zipfile.ZipFile(
        folder / "wesad" / participant / f"{participant}_E4_Data.zip"
    ) as archive:
        return np.loadtxt(archive.open(f"{name}.csv"))


def train(times: np.ndarray, rate: int, seconds: int, wide: float) -> np.ndarray:
    """One bump of ``wide`` seconds at each of ``times``."""
    t = np.arange(seconds * rate) / rate
    return np.exp(-0.5 * ((t[:, None] - times) / wide) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    ("kind", "rate", "wide"), [("ecg", 250, 0.01), ("bio", 64, 0.1)]
)
def test_beats_lie_where_they_were_put(kind: str, rate: int, wide: float) -> None:
    rng = np.random.default_rng(1)
    true = 1 + np.cumsum(rng.uniform(0.75, 1.0, 160))
    source = block(train(true, rate, 120, wide), rate, kind)
    found = beats(source)
    true = true[(true > 4) & (true < 118)]
    late = (found.times > 3.95) & (found.times < 118.1)
    times = found.times[late]
    assert len(times) == len(true) > 110
    # Two overlapping bumps, a filter, and a parabola through three samples of either.
    np.testing.assert_allclose(times, true, atol=0.02)
    intervals = found.data[late, 0][3:]
    assert np.isfinite(intervals).mean() > 0.95
    np.testing.assert_allclose(
        intervals[np.isfinite(intervals)],
        np.diff(true)[2:][np.isfinite(intervals)],
        atol=0.01,
    )


def test_rate_and_rmssd_of_a_known_rhythm() -> None:
    # Intervals of 0.8 and 0.9 s in turn: 60 / 0.85 a minute, RMSSD 100 ms.
    true = 1 + np.cumsum(np.tile([0.8, 0.9], 100))
    y = apply(HEART, block(train(true, 250, 160, 0.01), 250, "ecg")).data
    assert np.all(missing_reason(y[:40, 0]) == MissingReason.WARMING_UP)
    assert np.all(missing_reason(y[:240, 1]) == MissingReason.WARMING_UP)
    # 10 s hold 11 or 12 intervals, so that one more of 0.8 than of 0.9 s may be in it:
    # 0.05 / 11 s of 0.85.
    np.testing.assert_allclose(y[80:, 0], 60 / 0.85, rtol=0.006)
    # The beat is found to a fraction of the 4 ms of a sample.
    np.testing.assert_allclose(y[300:, 1], 100, atol=3)


def signals() -> dict[str, Block]:
    rng = np.random.default_rng(2)
    n = 64 * 600
    return {
        "white noise": block(30 * rng.standard_normal(n), 64, "bio"),
        "brown noise": block(np.cumsum(rng.standard_normal(n)), 64, "bio"),
        "flat": block(np.zeros(n), 64, "bio"),
        "white noise in an ECG": block(rng.standard_normal(250 * 300), 250, "ecg"),
        "flat ECG": block(np.full(250 * 300, 0.3), 250, "ecg"),
    }


@pytest.mark.parametrize("name", list(signals()))
def test_no_heart_rate_comes_of_what_is_no_heart(name: str) -> None:
    y = apply(HEART, signals()[name]).data
    assert np.isnan(y).all()
    assert np.all(missing_reason(y[300:]) == MissingReason.POOR_QUALITY)


def test_no_heart_rate_comes_of_a_band_off_the_wrist(data: Path) -> None:
    x = np.loadtxt(data / "empatica_e4" / "offwrist33s" / "BVP.csv")[2:]
    y = apply(HEART, block(x, 64, "bio")).data
    assert np.isnan(y).all()
    assert np.all(missing_reason(y[60:, 0]) == MissingReason.POOR_QUALITY)


def test_a_gap_has_its_reason_and_is_over_after_a_window() -> None:
    true = 1 + np.cumsum(np.full(300, 0.8))
    x = train(true, 64, 200, 0.1)
    holes = x.copy()
    holes[64 * 100 : 64 * 120] = MissingReason.NO_SIGNAL.nan
    y = apply(HEART, block(holes, 64, "bio")).data
    assert np.all(missing_reason(y[4 * 110 : 4 * 120, 0]) == MissingReason.NO_SIGNAL)
    assert np.all(np.isfinite(y[4 * 80 : 4 * 100, 0]))
    assert np.all(np.isfinite(y[4 * 140 :, 0]))


def test_one_percent_of_loss_is_survived(data: Path) -> None:
    x = e4(data, "S10", "BVP")[2:][64 * 1800 : 64 * 3000].copy()
    whole = apply(HEART, block(x, 64, "bio")).data
    x[np.random.default_rng(3).random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    lossy = apply(HEART, block(x, 64, "bio")).data
    assert np.isfinite(lossy[:, 0]).mean() > 0.9 * np.isfinite(whole[:, 0]).mean()
    both = np.isfinite(lossy[:, 0]) & np.isfinite(whole[:, 0])
    # A beat more or less, or one placed a few samples off, in some windows of 10 s.
    assert np.mean(np.abs(lossy[both, 0] - whole[both, 0])) < 0.5


def f1(found: np.ndarray, true: np.ndarray, seconds: float) -> float:
    """Agreement of beats within 50 ms, the first 6 s (settling) left out."""
    a = found[(found > 6) & (found < seconds - 2)]
    b = true[(true > 6) & (true < seconds - 2)]
    hits = np.sum(np.abs(b[:, None] - a).min(axis=1) <= 0.05)
    return 2 * float(hits) / (len(a) + len(b))


@pytest.mark.parametrize(("kind", "column"), [("ecg", 0), ("bio", 1)])
def test_finds_the_beats_that_neurokit_finds_at_rest(
    data: Path, kind: str, column: int
) -> None:
    nk = pytest.importorskip("neurokit2")
    file = data / "biosignals" / "neurokit_resting_5min_100hz.csv"
    x = np.loadtxt(file, delimiter=",", skiprows=1)[:, column]
    if kind == "ecg":
        _, info = nk.ecg_peaks(nk.ecg_clean(x, sampling_rate=100), sampling_rate=100)
        true = info["ECG_R_Peaks"]
    else:
        clean = nk.ppg_clean(x, sampling_rate=100)
        true = nk.ppg_findpeaks(clean, sampling_rate=100)["PPG_Peaks"]
    found = beats(block(x, 100, kind)).times
    assert f1(found, np.asarray(true) / 100, len(x) / 100) > 0.98


def test_confident_beats_are_those_of_a_detector_that_corrects_nothing(
    data: Path,
) -> None:
    """Its sibling `ecg_process` moves nine beats off R waves: see the documentation."""
    nk = pytest.importorskip("neurokit2")
    file = data / "biosignals" / "neurokit_resting_5min_100hz.csv"
    x = np.loadtxt(file, delimiter=",", skiprows=1)[:, 0]
    _, info = nk.ecg_peaks(nk.ecg_clean(x, sampling_rate=100), sampling_rate=100)
    found = beats(block(x, 100, "ecg"))
    sure = found.times[found.data[:, 1] >= 0.7]
    assert f1(sure, np.asarray(info["ECG_R_Peaks"]) / 100, len(x) / 100) >= 0.99
    # Seven movements of about a second: no others lack confidence.
    assert np.sum(found.data[found.times > 6, 1] < 0.7) < 12


def test_ecg_and_pulse_have_the_same_rmssd(data: Path) -> None:
    file = data / "biosignals" / "neurokit_resting_5min_100hz.csv"
    x = np.loadtxt(file, delimiter=",", skiprows=1)
    told = []
    for kind, column in (("ecg", 0), ("bio", 1)):
        change = np.diff(beats(block(x[:, column], 100, kind)).data[:, 0])
        assert np.isfinite(change).mean() > 0.9
        told.append(1000 * np.sqrt(np.nanmean(change**2)))
    assert abs(told[0] - told[1]) < 2


def noisy_beats(noise: float) -> Block:
    """Beats whose peaks and half-rise points have errors of their own (s)."""
    rng = np.random.default_rng(5)
    true = 0.8 + 0.02 * rng.standard_normal(300)  # RMSSD 28 ms
    peak, rise = (np.diff(noise * rng.standard_normal(301)) for _ in range(2))
    info = StreamInfo(
        "wrist.bvp",
        Fraction(8),
        (
            Channel("event", "event", "s"),
            *(Channel(c, "misc") for c in ("interval", "confidence", "rise")),
        ),
    )
    x = np.full((8 * 230, 4), np.nan)
    for at, a, b in zip(np.cumsum(true), true + peak, true + rise, strict=True):
        row = int(np.ceil(at * 8))
        if row < len(x):
            x[row] = at - row / 8, a, 1.0, b
    return Block(info, 0, 0.0, x)


def test_noise_of_the_times_does_not_count_as_variability() -> None:
    clean, noisy = (
        apply(BeatToBeatVariability(), noisy_beats(n)).column("rmssd")[240:]
        for n in (0.0, 0.007)
    )
    # Unsubtracted, the errors would add sqrt(28^2 + 6 * 7^2) - 28 = 5 ms, 17 %.
    assert abs(np.mean(noisy / clean) - 1) < 0.08
    drowned = apply(BeatToBeatVariability(), noisy_beats(0.05)).column("rmssd")[240:]
    assert np.all(missing_reason(drowned) == MissingReason.POOR_QUALITY)


@pytest.mark.parametrize(
    ("name", "kind", "least"),
    [("biosppy_ecg", "ecg", 0.99), ("biosppy_ppg", "bio", 0.99)],
)
def test_finds_them_in_raw_converter_counts_at_1000_hz(
    data: Path, name: str, kind: str, least: float
) -> None:
    nk = pytest.importorskip("neurokit2")
    x = np.loadtxt(data / "biosignals" / f"{name}.txt", comments="#")
    x = x if x.ndim == 1 else x[:, -1]
    if kind == "ecg":
        _, info = nk.ecg_peaks(nk.ecg_clean(x, sampling_rate=1000), sampling_rate=1000)
        true = info["ECG_R_Peaks"]
    else:
        clean = nk.ppg_clean(x, sampling_rate=1000)
        true = nk.ppg_findpeaks(clean, sampling_rate=1000)["PPG_Peaks"]
    found = beats(block(x, 1000, kind)).times
    assert f1(found, np.asarray(true) / 1000, len(x) / 1000) >= least


@pytest.mark.parametrize("participant", ["S4", "S10", "S14"])
def test_agrees_loosely_with_the_wristbands_own_heart_rate(
    data: Path, participant: str
) -> None:
    bvp, hr = e4(data, participant, "BVP"), e4(data, participant, "HR")
    y = apply(HEART, block(bvp[2:], 64, "bio")).data[:, 0]
    at = np.round((hr[0] - bvp[0] + np.arange(len(hr) - 2)) * 4).astype(int)
    at = at[at < len(y)]
    off = y[at] - hr[2 : 2 + len(at)]
    assert np.isfinite(off).mean() > 0.4
    # The band's own figure is smoothed over 10 s and more, and bridges what it misses.
    assert abs(np.nanmedian(off)) < 2
    assert np.nanmean(np.abs(off)) < 6


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            HeartRate(),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "a heart rate is read from beats, with their interval and confidence: put "
            "BeatDetection before it; 'band.bio' has bvp",
        ),
        (
            Chain((BeatDetection(), HeartRate(window=5.0))),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "heart rate needs at least 10 s: 5",
        ),
        (
            Chain((BeatDetection(), BeatToBeatVariability(window=30.0))),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "RMSSD needs at least 60 s: 30",
        ),
        (
            BeatDetection(),
            StreamInfo("band.bio", Fraction(16), (Channel("bvp", "bio"),)),
            "cannot find beats in the 0.5 to 8 Hz of 'band.bio': cutoffs must rise and "
            "lie between 0 and 8 Hz",
        ),
        (
            BeatDetection(min_confidence=1.5),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "min_confidence of beats on 'band.bio' must be above 0 and below 1: 1.5",
        ),
    ],
)
def test_refuses(stage: Stage, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message
