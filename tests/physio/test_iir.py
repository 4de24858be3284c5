"""Filters, against SciPy."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.dsp.iir import Bandpass, Highpass, Lowpass, Notch, Recursive

INFO = StreamInfo("headset.eeg", Fraction(250), (Channel("F3"), Channel("F4")))
ALL = [Lowpass(40.0), Highpass(0.5), Bandpass(4.0, 8.0), Notch(50.0)]
each = pytest.mark.parametrize("stage", ALL, ids=lambda s: type(s).__name__)


def noise(n: int = 4000, offset: float = 300.0) -> np.ndarray:
    return offset + 20 * np.random.default_rng(3).standard_normal((n, 2))


def filtered(stage: Recursive, x: np.ndarray) -> np.ndarray:
    return apply(stage, Block(INFO, 0, 0.0, x.copy())).data


def reference(stage: Recursive, x: np.ndarray) -> np.ndarray:
    sos = stage.design(INFO)
    zi = scipy.signal.sosfilt_zi(sos)[:, :, None] * x[0]
    return scipy.signal.sosfilt(sos, x, axis=0, zi=zi)[0]


@each
def test_is_sosfilt_from_the_steady_state_of_the_first_sample(stage: Recursive) -> None:
    x = noise()
    n = round(stage.settle(INFO) * 250)
    y = filtered(stage, x)
    assert np.all(missing_reason(y[:n]) == MissingReason.WARMING_UP)
    # Bit for bit on x86-64; where a compiler fuses multiplication and addition, each
    # step rounds to 2**-53 of the input's size (400) and poles this near the circle
    # add up at most some thousands of them.
    np.testing.assert_allclose(y[n:], reference(stage, x)[n:], rtol=0, atol=1e-9)


@each
def test_settling_is_when_an_impulse_has_died_away(stage: Recursive) -> None:
    impulse = np.zeros((4000, 2))
    impulse[0] = 1
    response = np.abs(scipy.signal.sosfilt(stage.design(INFO), impulse, axis=0))[:, 0]
    n = round(stage.settle(INFO) * 250)
    # Several poles decay together, so the response may stand a few times above the
    # thousandth that the slowest pole alone has come down to.
    assert response[n:].max() < 1e-2 * response.max()


@each
def test_a_bridged_gap_leaves_no_trace_once_settled(stage: Recursive) -> None:
    x = noise()
    holes = x.copy()
    holes[2000:2012, 0] = (
        MissingReason.NO_SIGNAL.nan
    )  # 12 samples: 48 of the 50 ms bridged
    y, whole = filtered(stage, holes), filtered(stage, x)
    assert np.all(missing_reason(y[2000:2012, 0]) == MissingReason.NO_SIGNAL)
    held = np.where(np.isnan(holes), x[1999, 0], holes)
    n = round(stage.settle(INFO) * 250)
    np.testing.assert_allclose(
        y[2012:, 0], reference(stage, held)[2012:, 0], rtol=0, atol=1e-9
    )
    np.testing.assert_array_equal(y[:, 1], whole[:, 1])
    # What the hole changed has decayed to a thousandth of some 20 uV.
    off = np.abs(y[2012 + n :, 0] - whole[2012 + n :, 0])
    assert off.size == 0 or off.max() < 0.2


@each
def test_a_longer_gap_restarts_it_from_the_sample_after(stage: Recursive) -> None:
    x = noise()
    x[1000:1013] = MissingReason.NO_SIGNAL.nan
    y = filtered(stage, x)
    n = round(stage.settle(INFO) * 250)
    assert np.all(missing_reason(y[1000:1013]) == MissingReason.NO_SIGNAL)
    assert np.all(missing_reason(y[1013 : 1013 + n]) == MissingReason.WARMING_UP)
    np.testing.assert_array_equal(y[1013:], filtered(stage, x[1013:]))


@each
def test_an_infinite_sample_is_a_lost_one(stage: Recursive) -> None:
    x = noise()
    holes = x.copy()
    x[2000], holes[2000] = MissingReason.NO_SIGNAL.nan, (np.inf, -np.inf)
    y, whole = filtered(stage, holes), filtered(stage, x)
    np.testing.assert_array_equal(y, whole)
    np.testing.assert_array_equal(missing_reason(y), missing_reason(whole))


def test_a_constant_passes_a_lowpass_from_the_first_settled_sample_on() -> None:
    y = filtered(Lowpass(5.0), np.full((500, 2), 1e5))
    np.testing.assert_allclose(y[np.isfinite(y)], 1e5, rtol=1e-9)
    # A step of d.c. of 1e5 uV does not ring at all: the filter begins in its steady
    # state, to rounding.
    y = filtered(Bandpass(4.0, 8.0), np.full((2000, 2), 1e5))
    np.testing.assert_allclose(y[np.isfinite(y)], 0, atol=1e-5)


def test_the_span_is_what_is_bridged_and_what_settles() -> None:
    stage = Notch(50.0)
    span = stage.output_info(INFO).channels[0].memory
    assert span == pytest.approx(stage.settle(INFO) + 12 / 250, rel=1e-12)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            Bandpass(0.5, 200.0),
            "cannot pass 0.5 to 200 Hz of 'headset.eeg': cutoffs must rise and lie "
            "between 0 and 125 Hz",
        ),
        (
            Lowpass(125.0),
            "cannot pass up to 125 Hz of 'headset.eeg': cutoffs must rise and lie "
            "between 0 and 125 Hz",
        ),
        (
            Highpass(1.0, order=0),
            "cannot pass 1 Hz and more of 'headset.eeg' with order 0: it must be 1 to "
            "12",
        ),
        (
            Notch(150.0),
            "cannot remove 150 Hz from 'headset.eeg': a notch must lie between 0 and "
            "125 Hz",
        ),
        (
            Lowpass(10.0, bridge=-1.0),
            "a filter on 'headset.eeg' cannot bridge -1.0 s: it must not be below 0",
        ),
    ],
)
def test_refuses(stage: Recursive, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(INFO)
    assert str(caught.value) == message
