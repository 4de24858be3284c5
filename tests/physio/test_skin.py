"""Skin conductance: its level and its responses."""

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, Info
from physio.core.events import Events, points
from physio.core.reason import Reason, why
from physio.core.stage import Stage, apply
from physio.features.skin import Responses, SkinConductance


def eda(rate: int = 4, unit: str = "uS") -> Info:
    return Info("band.eda", Fraction(rate), (Channel("eda", "gsr", unit),))


def made(
    onsets: list[float], sizes: list[float], rate: int = 4, seconds: int = 240
) -> np.ndarray:
    """Responses that rise for 2 s and halve every 3 s, on a level of 2 uS."""
    t = np.arange(seconds * rate)[:, None] / rate - np.array(onsets)
    rise = np.sin(np.pi / 4 * np.clip(t, 0, 2)) ** 2
    return 2 + (np.array(sizes) * rise * 0.5 ** (np.clip(t - 2, 0, None) / 3)).sum(
        axis=1
    )


def features(x: np.ndarray, rate: int = 4) -> np.ndarray:
    return apply(SkinConductance(), Block(eda(rate), 0, 0.0, x[:, None].copy())).data


def responses(x: np.ndarray, rate: int = 4, threshold: float = 0.01) -> Events:
    block = Block(eda(rate), 0, 0.0, np.ascontiguousarray(x, np.float64)[:, None])
    return points(apply(Responses(threshold), block))


ONSETS = [20.0, 45.0, 60.0, 90.0, 120.0, 150.0, 200.0]
SIZES = [0.5, 0.1, 0.05, 1.0, 0.3, 0.03, 0.2]


@pytest.mark.parametrize("rate", [4, 15, 128, 1000])
def test_responses_lie_where_they_begin_and_are_as_large_as_they_are(rate: int) -> None:
    found = responses(made(ONSETS, SIZES, rate), rate)
    # Values come four times a second and are smoothed over 1 s: an onset is found
    # within half of that, and a peak that lasts 2 s loses up to a sixth.
    np.testing.assert_allclose(found.times, ONSETS, atol=0.6)
    np.testing.assert_allclose(found.data[:, 0], SIZES, rtol=1 / 6)
    np.testing.assert_allclose(found.data[:, 1], 2.0, atol=0.75)


def test_what_is_below_the_threshold_is_none() -> None:
    x = made(ONSETS, SIZES)
    assert len(responses(x, threshold=0.08)) == 5
    noise = 0.001 * np.random.default_rng(1).standard_normal(len(x))
    assert len(responses(2 + noise)) == 0
    assert len(responses(x + noise)) == 7


def test_responses_on_the_way_up_are_kept_apart_by_the_trough_between() -> None:
    found = responses(made([20.0, 26.0, 32.0], [0.4, 0.4, 0.4]))
    assert len(found) == 3
    np.testing.assert_allclose(found.times, [20, 26, 32], atol=0.6)


def test_rate_and_amplitude_are_those_of_the_last_minute() -> None:
    x = made(ONSETS, SIZES)
    y, found = features(x), responses(x)
    assert np.all(why(y[:79, 0]) == Reason.WARMING_UP)
    assert np.all(why(y[:240, 2:]) == Reason.WARMING_UP)
    told = apply(Responses(), Block(eda(), 0, 0.0, x[:, None].copy()))
    rows = np.flatnonzero(~np.isnan(told.data[:, 0]))
    for k in range(300, len(y)):
        mine = (rows > k - 240) & (rows <= k)
        assert y[k, 2] == pytest.approx(mine.sum(), rel=1e-12)
        assert y[k, 3] == pytest.approx(found.data[mine, 0].sum(), abs=1e-12)


def test_tonic_is_the_level_without_responses_and_phasic_the_rest() -> None:
    y = features(made(ONSETS, SIZES))[80:]
    # Responses halve every 3 s: a few hundredths of the largest remain on the level.
    np.testing.assert_allclose(y[:, 0], 2.0, atol=0.05)
    assert np.all(y[:, 1] >= 0)
    assert y[:, 1].max() == pytest.approx(1.0, rel=1 / 6)
    t = np.arange(240 * 4) / 4
    slope = features(2 + 0.6 * t / 60)[400:, 4]
    # A straight line has a straight low percentile, and so the same slope.
    np.testing.assert_allclose(slope, 0.6, rtol=1e-6)


def test_one_percent_of_loss_changes_little_and_a_gap_has_its_reason() -> None:
    rng = np.random.default_rng(2)
    onsets = list(np.arange(10, 590, 13.0))
    x = made(onsets, [0.3] * len(onsets), seconds=600)
    lossy = x.copy()
    lossy[rng.random(len(x)) < 0.01] = Reason.NO_SIGNAL.nan
    a, b = features(x), features(lossy)
    assert np.isnan(b[80:, 0]).mean() < 0.02
    np.testing.assert_allclose(b[240:, 2], a[240:, 2], atol=1.01)  # a response or none
    gap = x.copy()
    gap[1200:1400] = Reason.NO_SIGNAL.nan  # 50 s
    c = features(gap)
    assert np.all(why(c[1200:1400, 0]) == Reason.NO_SIGNAL)
    assert np.all(why(c[1375:1400, 2]) == Reason.NO_SIGNAL)
    memory = int(SkinConductance().output(eda()).span * 4) + 1
    np.testing.assert_array_equal(c[1400 + memory :], a[1400 + memory :])
    assert len(a) > 1400 + memory


def test_nothing_comes_of_a_band_off_the_wrist(data: Path) -> None:
    x = np.loadtxt(data / "empatica_e4" / "offwrist33s" / "EDA.csv")[2:]
    assert len(responses(x)) == 0


PEOPLE = ["S2", "S3", "S4", "S5", "S6", "S7", "S9", "S10", "S13", "S14", "S15", "S17"]


def test_stress_has_the_highest_rate_in_each_of_twelve_people(data: Path) -> None:
    for person in PEOPLE:
        file = np.load(data / "wesad" / person / f"{person}_wrist.npz")
        y = features(np.asarray(file["eda"], np.float64))
        rates = [np.nanmean(y[file["label"] == c, 2]) for c in (1, 2, 3, 4)]
        assert np.argmax(rates) == 1, (person, rates)


def test_finds_what_neurokit_finds_on_a_wrist(data: Path) -> None:
    nk = pytest.importorskip("neurokit2")
    with zipfile.ZipFile(data / "wesad" / "S10" / "S10_E4_Data.zip") as archive:
        x = np.loadtxt(archive.open("EDA.csv"))[2:]
    ours = responses(x, threshold=0.05)
    phasic = nk.eda_phasic(x, sampling_rate=4, method="highpass")["EDA_Phasic"].values
    theirs = nk.eda_findpeaks(
        phasic, sampling_rate=4, method="gamboa2008", amplitude_min=0.1
    )["SCR_Peaks"]
    peaks = ours.times + ours.data[:, 1]
    near = np.abs(peaks[:, None] - np.asarray(theirs) / 4).min(axis=1)
    # Another filter and another rule for what is large enough: most are shared.
    assert np.mean(near < 2.0) > 0.6


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            SkinConductance(),
            eda(unit="kOhm"),
            "'eda' of 'band.eda' is a resistance in kOhm: turn it into conductance "
            "first, uS = 1000 / kOhm",
        ),
        (
            Responses(),
            eda(unit="S"),
            "skin conductance is read in uS, but 'eda' of 'band.eda' is in S",
        ),
        (
            SkinConductance(threshold=0.0),
            eda(),
            "the least response on 'band.eda' must be above 0 uS: 0.0",
        ),
        (
            SkinConductance(base=5.0),
            eda(),
            "the tonic level of 'band.eda' must look back over a whole response, 10 s: "
            "5 s is too short",
        ),
        (
            SkinConductance(),
            Info(
                "a", Fraction(4), (Channel("l", "gsr", "uS"), Channel("r", "gsr", "uS"))
            ),
            "'a' has 2 channels of kind gsr (l, r): pick the one to read",
        ),
    ],
)
def test_refuses(stage: Stage, source: Info, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output(source)
    assert str(caught.value) == message
