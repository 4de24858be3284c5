"""Relative slope and activity of skin conductance."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.features.eda.relative_change import EdaRelativeChange

SECONDS = 150


def changes(x: np.ndarray, rate: str = "4") -> Block:
    info = StreamInfo("band.eda", Fraction(rate), (Channel("eda", "gsr", "uS"),))
    data = np.ascontiguousarray(x, np.float64)[:, None]
    return apply(EdaRelativeChange(), Block(info, 0, 0.0, data))


def made(rate: float, scale: float = 1.0) -> np.ndarray:
    """Rise by a tenth in a minute, with waves that grow with the level."""
    t = np.arange(round(SECONDS * rate)) / rate
    return scale * 3 * np.exp(0.1 * t / 60) * (1 + 0.02 * np.sin(2 * np.pi * t / 7))


def test_they_are_numpys_of_the_last_minute() -> None:
    x = made(4)
    y = changes(x)
    assert set(missing_reason(y.data[:60]).ravel()) == {MissingReason.WARMING_UP}
    for second in (61, 100, SECONDS - 1):
        last = x[4 * second - 239 : 4 * second + 1]
        slope = np.polyfit(np.arange(240) / 240, np.log(last), 1)[0]
        differences = np.diff(x[4 * second - 240 : 4 * second + 1])
        activity = np.hypot(differences.std(), 1e-4)
        assert y.data[second] == pytest.approx([slope, activity], rel=1e-6)


@pytest.mark.parametrize("rate", ["8", "15.6", "64", "700"])
def test_they_do_not_depend_on_the_rate(rate: str) -> None:
    few, many = changes(made(4)).data[70:], changes(made(float(rate)), rate).data[70:]
    np.testing.assert_allclose(few[:, 0], many[:, 0], atol=0.003)
    np.testing.assert_allclose(few[:, 1], many[:, 1], rtol=0.02)


def test_the_slope_does_not_depend_on_the_level() -> None:
    low, high = changes(made(4)).data[60:], changes(made(4, 5.0)).data[60:]
    np.testing.assert_allclose(low[:, 0], high[:, 0], rtol=1e-9)
    np.testing.assert_allclose(5 * low[:, 1], high[:, 1], rtol=1e-3)
    flat = changes(np.full(4 * SECONDS, 0.0))
    np.testing.assert_allclose(
        flat.data[60:], [[0.0, 1e-4]] * (SECONDS - 60), atol=1e-12
    )


def test_a_lost_half_minute_is_missing_for_its_reason() -> None:
    x = made(4)
    x[260:400] = MissingReason.POOR_QUALITY.nan
    y = changes(x)
    assert missing_reason(y.data[99]).tolist() == [MissingReason.POOR_QUALITY] * 2
    assert np.isfinite(y.data[[64, 90, 140]]).all()


def test_another_unit_is_refused() -> None:
    info = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "kOhm"),))
    with pytest.raises(ValueError, match=r"^skin conductance is read in uS, but 'eda'"):
        EdaRelativeChange().output_info(info)
