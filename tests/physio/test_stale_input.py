"""A sensor that was removed has no values after ten seconds."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.features.actigraphy import Temperature
from physio.quality.stale_input import ExpireStale

INFO = StreamInfo("band.temp", Fraction(4), (Channel("temp", "temperature", "degC"),))


def level(x: Array, *, expire: bool) -> Array:
    stage = Temperature(window=60.0)
    wrapped = ExpireStale((stage,)) if expire else stage
    return apply(wrapped, Block(INFO, 0, 0.0, x[:, None].copy())).data[:, 0]


@pytest.mark.parametrize(
    "reason", [MissingReason.NO_SIGNAL, MissingReason.POOR_QUALITY]
)
def test_outputs_expire_with_the_reason_of_the_input(reason: MissingReason) -> None:
    x = np.full(4 * 200, 33.0)
    x[4 * 100 : 4 * 150] = reason.nan
    y, plain = level(x, expire=True), level(x, expire=False)
    expired = slice(4 * 110 + 1, 4 * 150)
    assert np.isfinite(plain[4 * 110 + 1 : 4 * 125]).all()
    assert (missing_reason(y[expired])[:50] == reason).all()
    assert np.isnan(y[expired]).all()
    np.testing.assert_array_equal(y[: 4 * 110], plain[: 4 * 110])
    np.testing.assert_array_equal(y[4 * 151 :], plain[4 * 151 :])


def test_a_short_gap_changes_nothing() -> None:
    x = np.full(4 * 200, 33.0)
    x[4 * 100 : 4 * 109] = np.nan
    np.testing.assert_array_equal(level(x, expire=True), level(x, expire=False))


def test_a_time_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="must expire after more than 0 s"):
        ExpireStale((), 0.0).initial_state(INFO)
