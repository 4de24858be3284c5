"""Skin conductance: its level and its responses."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import events_from_grid
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Stage, apply
from physio.features.eda.scl_scr import EdaFeatures
from physio.features.eda.scr_detection import ScrDetection


def eda(rate: int = 4, unit: str = "uS") -> StreamInfo:
    return StreamInfo("band.eda", Fraction(rate), (Channel("eda", "gsr", unit),))


def made(
    onsets: list[float], sizes: list[float], rate: int = 4, seconds: int = 240
) -> np.ndarray:
    """Responses that rise for 2 s and halve every 3 s, on a level of 2 uS."""
    t = np.arange(seconds * rate)[:, None] / rate - np.array(onsets)
    rise = np.sin(np.pi / 4 * np.clip(t, 0, 2)) ** 2
    noise = 0.002 * np.random.default_rng(1).standard_normal(len(t))
    bumps = np.array(sizes) * rise * 0.5 ** (np.clip(t - 2, 0, None) / 3)
    return 2 + bumps.sum(axis=1) + noise


def of(stage: Stage, x: np.ndarray, rate: int = 4) -> Block:
    return apply(stage, Block(eda(rate), 0, 0.0, np.ascontiguousarray(x)[:, None]))


ONSETS = [40.0, 55.0, 70.0, 90.0, 120.0, 150.0, 200.0]
SIZES = [0.5, 0.1, 0.08, 1.0, 0.3, 0.06, 0.2]


def test_rate_and_amplitude_are_those_of_the_last_minute() -> None:
    x = made(ONSETS, SIZES)
    y, found = of(EdaFeatures(), x), of(ScrDetection(), x)
    assert np.all(missing_reason(y.data[:30, :2]) == MissingReason.WARMING_UP)
    assert np.all(missing_reason(y.data[:60, 2:6]) == MissingReason.WARMING_UP)
    told = np.flatnonzero(~np.isnan(found.data[:, 0]))
    assert len(events_from_grid(found)) == len(told) >= len(ONSETS)
    for k in range(90, len(y)):  # a minute after the first window is full
        mine = told[(told > k - 60) & (told <= k)]
        assert y.column("scr_rate")[k] == pytest.approx(len(mine), abs=1e-9)
        total = found.data[mine, 1].sum()
        assert y.column("scr_amplitude")[k] == pytest.approx(total, abs=1e-9)


def test_rate_is_scaled_to_a_minute() -> None:
    x = made(ONSETS, SIZES)
    minute, half = of(EdaFeatures(), x), of(EdaFeatures(past=30.0), x)
    told = np.flatnonzero(~np.isnan(of(ScrDetection(), x).data[:, 0]))
    k = 110
    mine = ((told > k - 30) & (told <= k)).sum()
    assert half.column("scr_rate")[k] == pytest.approx(2 * mine)
    assert minute.column("scr_rate")[k] >= mine


def test_tonic_is_the_level_without_responses_and_phasic_the_rest() -> None:
    y = of(EdaFeatures(), made(ONSETS, SIZES))
    tonic, phasic = y.column("tonic")[30:], y.column("phasic")[30:]
    # Responses halve every 3 s, the solver's every 1.4 s: the level carries some of it.
    np.testing.assert_allclose(tonic, 2.0, atol=0.15)
    assert np.all(phasic >= 0)
    assert phasic.max() == pytest.approx(1.0, rel=0.25)
    square = y.column("phasic_power")
    assert square[95] == pytest.approx(np.mean(phasic[6:66] ** 2), rel=1e-9)
    t = np.arange(240 * 4) / 4
    slope = of(EdaFeatures(), 2 + 0.6 * t / 60).column("slope")[120:]
    # Splines follow a straight line; at the ends of a window to a few hundredths.
    np.testing.assert_allclose(slope, 0.6, rtol=0.05)


def test_features_lie_as_far_back_as_they_say() -> None:
    """A step shows when the delay has passed: a driver takes a second to explain it."""
    x = np.where(np.arange(1200) < 600, 2.0, 4.0)
    info = EdaFeatures().output_info(eda())
    late = info.channels[info.names.index("tonic")].delay
    level = of(EdaFeatures(), x)
    first = np.flatnonzero(level.column("tonic") + level.column("phasic") > 3.5)[0]
    assert first in (150 + late, 151 + late)


def test_one_percent_of_loss_changes_little_and_a_gap_has_its_reason() -> None:
    rng = np.random.default_rng(2)
    onsets = list(np.arange(10, 590, 13.0))
    x = made(onsets, [0.3] * len(onsets), seconds=600)
    lossy = x.copy()
    lossy[rng.random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    a, b = of(EdaFeatures(), x), of(EdaFeatures(), lossy)
    assert np.isnan(b.column("tonic")[30:]).mean() < 0.02
    # A burst with a lost sample is not told of: a few fewer in a minute.
    assert np.max(np.abs(b.column("scr_rate") - a.column("scr_rate"))[90:]) <= 3.01
    gap = x.copy()
    gap[1200:1400] = MissingReason.NO_SIGNAL.nan  # 50 s from 300 s on
    c = of(EdaFeatures(), gap)
    assert np.all(missing_reason(c.column("tonic")[306:350]) == MissingReason.NO_SIGNAL)
    assert np.all(
        missing_reason(c.column("scr_rate")[345:350]) == MissingReason.NO_SIGNAL
    )
    memory = int(EdaFeatures().output_info(eda()).memory) + 1
    np.testing.assert_array_equal(c.data[350 + memory :], a.data[350 + memory :])
    assert len(a) > 350 + memory


def test_little_comes_of_a_band_off_the_wrist(data: Path) -> None:
    x = np.loadtxt(data / "empatica_e4" / "offwrist33s" / "EDA.csv")[2:]
    assert len(events_from_grid(of(ScrDetection(), x))) == 0


PEOPLE = ["S2", "S3", "S4", "S5", "S6", "S7", "S9", "S10", "S13", "S14", "S15", "S17"]


@pytest.mark.long
def test_stress_has_the_highest_rate_in_eleven_of_twelve(data: Path) -> None:
    """In S7 many returns from contact dips were counted as responses to stress."""
    for participant in [name for name in PEOPLE if name != "S7"]:
        file = np.load(data / "wesad" / participant / f"{participant}_wrist.npz")
        rate = of(EdaFeatures(), np.asarray(file["eda"], np.float64).ravel())
        label = file["label"][::4][: len(rate)]
        rates = [
            np.nanmean(rate.column("scr_rate")[: len(label)][label == c])
            for c in (1, 2, 3, 4)
        ]
        assert np.argmax(rates) == 1, (participant, rates)


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            EdaFeatures(),
            eda(unit="kOhm"),
            "'eda' of 'band.eda' is a resistance in kOhm: turn it into conductance "
            "first, uS = 1000 / kOhm",
        ),
        (
            EdaFeatures(threshold=0.0),
            eda(),
            "the least response on 'band.eda' must be above 0 uS: 0.0",
        ),
        (
            EdaFeatures(window=5.0),
            eda(),
            "skin conductance of 'band.eda' is decomposed over whole seconds, 20 or "
            "more: 5",
        ),
        (
            EdaFeatures(past=0.5),
            eda(),
            "a window of 0.5 s on 'band.eda' is no whole number of steps of 1.0 s",
        ),
        (
            EdaFeatures(),
            StreamInfo(
                "a", Fraction(4), (Channel("l", "gsr", "uS"), Channel("r", "gsr", "uS"))
            ),
            "'a' has 2 channels of kind gsr (l, r): select the one to read",
        ),
    ],
)
def test_refuses(stage: Stage, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message
