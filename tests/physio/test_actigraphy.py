"""Movement, posture and warmth, against plain NumPy and closed forms."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Stage, apply
from physio.features.actigraphy import Actigraphy, Temperature

ACC = StreamInfo(
    "band.acc", Fraction(32), tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
)
TEMP = StreamInfo("band.temp", Fraction(4), (Channel("temp", "temperature", "degC"),))


def acc(x: np.ndarray) -> np.ndarray:
    return apply(Actigraphy(), Block(ACC, 0, 0.0, x.copy())).data


def temp(x: np.ndarray) -> np.ndarray:
    return apply(Temperature(), Block(TEMP, 0, 0.0, x[:, None].copy())).data


def test_activity_is_the_deviation_of_the_magnitude() -> None:
    x = 0.2 * np.random.default_rng(1).standard_normal((32 * 90, 3)) + [0, 0.6, 0.8]
    x[np.random.default_rng(2).random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    y = acc(x)
    size = np.linalg.norm(x, axis=1)
    for k in range(40, len(y)):
        window = size[8 * (k - 40) + 1 : 8 * k + 1]
        # Squares of about 1 less squares of about 1, for a variance of 0.04: rounding.
        np.testing.assert_allclose(y[k, 0], np.nanstd(window), rtol=1e-10)


def test_a_limb_at_rest_is_still_and_one_that_turns_is_not_where_it_was() -> None:
    x = np.tile([0.0, 0.0, 1.0], (32 * 120, 1))
    x[32 * 100 :] = [1.0, 0.0, 0.0]
    y = acc(x)
    assert np.all(missing_reason(y[:40]) == MissingReason.WARMING_UP)
    assert np.all(missing_reason(y[40:240, 1]) == MissingReason.WARMING_UP)
    # Sums of ones lose nothing, so rest is 0 to the root of rounding.
    np.testing.assert_allclose(y[240:400], 0, atol=1e-7)
    # 10 s of x after 50 s of z: the mean of the minute points 10 in x, 50 in z.
    angle = np.degrees(np.arctan2(50, 10))
    assert y[440, 1] == pytest.approx(angle, abs=0.5)  # a sample either way


def test_temperature_is_a_mean_and_a_line() -> None:
    t = np.arange(4 * 120) / 4
    y = temp(33 + 0.3 * t / 60)
    assert np.all(missing_reason(y[:40, 0]) == MissingReason.WARMING_UP)
    assert np.all(missing_reason(y[:240, 1]) == MissingReason.WARMING_UP)
    np.testing.assert_allclose(y[240:, 1], 0.3, rtol=1e-8)
    # The mean of 40 samples lies 19.5 of them back.
    now = 33 + 0.3 * (t[40:] - 19.5 / 4) / 60
    np.testing.assert_allclose(y[40:, 0], now, rtol=1e-12)


def test_a_gap_leaves_after_a_window_and_has_a_reason() -> None:
    x = 33 + 0.01 * np.random.default_rng(3).standard_normal(4 * 200)
    holes = x.copy()
    holes[400:440] = MissingReason.NO_SIGNAL.nan
    y, whole = temp(holes), temp(x)
    assert np.all(missing_reason(y[425:455, 0]) == MissingReason.NO_SIGNAL)
    np.testing.assert_array_equal(y[480:, 0], whole[480:, 0])
    np.testing.assert_array_equal(y[680:, 1], whole[680:, 1])
    assert np.all(np.isfinite(y[240:, 1]))


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            Actigraphy(),
            TEMP,
            "movement needs acc.x, acc.y and acc.z, but 'band.temp' has no 'acc.x'; it "
            "has temp",
        ),
        (
            Actigraphy(),
            StreamInfo("a", Fraction(32), tuple(Channel(f"acc.{c}") for c in "xyz")),
            "movement is read in g, but 'acc.x' of 'a' is in 1",
        ),
        (
            Temperature(),
            StreamInfo("t", Fraction(4), (Channel("t", "temperature", "K"),)),
            "skin temperature is read in degC, but 't' of 't' is in K",
        ),
    ],
)
def test_refuses(stage: Stage, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [np.inf, -np.inf, 50.0])
def test_an_impossible_sample_of_an_axis_is_missing(value: float) -> None:
    x = 0.1 * np.random.default_rng(1).standard_normal((32 * 90, 3)) + [0, 0.6, 0.8]
    gap = x.copy()
    x[500::97, 1] = value
    gap[500::97] = MissingReason.POOR_QUALITY.nan
    np.testing.assert_allclose(acc(x)[:, 0], acc(gap)[:, 0])
    assert np.isfinite(acc(x)[240:]).all()
