"""Filters without feedback, combs, other rates, other references: against SciPy."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.dsp.comb_notch import Comb
from physio.dsp.fir import Fir
from physio.dsp.rereference import Rereference
from physio.dsp.resample import Resample


def eeg(rate: int, *names: str) -> StreamInfo:
    return StreamInfo(
        "headset.eeg", Fraction(rate), tuple(Channel(n, "eeg", "uV") for n in names)
    )


def noise(n: int, width: int = 2) -> np.ndarray:
    return 20 * np.random.default_rng(5).standard_normal((n, width))


@pytest.mark.parametrize(
    "stage", [Fir(), Fir(low=0.0, high=30.0), Fir(low=2.0, high=0.0)], ids=repr
)
def test_a_fir_filter_is_lfilter(stage: Fir) -> None:
    info, x = eeg(250, "F3", "F4"), noise(2000)
    h = stage.design(info)
    got = apply(stage, Block(info, 0, 0.0, x.copy())).data
    n = len(h) - 1
    assert np.all(missing_reason(got[:n]) == MissingReason.WARMING_UP)
    # Both add up some 400 products of size 20: 400 * 20 * 2**-53 < 1e-12.
    np.testing.assert_allclose(
        got[n:], scipy.signal.lfilter(h, 1, x, axis=0)[n:], rtol=0, atol=1e-11
    )


def test_a_fir_filter_is_as_late_as_it_says() -> None:
    info = eeg(250, "F3")
    t = np.arange(2500)[:, None] / 250
    out = apply(Fir(), Block(info, 0, 0.0, np.sin(2 * np.pi * 10 * t)))
    late = np.sin(2 * np.pi * 10 * (t - out.info.channels[0].delay))
    # The ripple of a Hamming design: 0.02 dB, 0.25 %.
    np.testing.assert_allclose(out.data[500:], late[500:], rtol=0, atol=3e-3)


def test_a_fir_filter_runs_through_a_short_gap_and_not_through_a_long_one() -> None:
    info, x = eeg(250, "F3"), noise(3000, 1)
    x[1000:1010] = MissingReason.POOR_QUALITY.nan  # 40 ms
    x[2000:2020] = MissingReason.POOR_QUALITY.nan  # 80 ms
    got = missing_reason(apply(Fir(), Block(info, 0, 0.0, x)).data[:, 0])
    n = len(Fir().design(info)) - 1
    assert np.all(got[1000:1010] == MissingReason.POOR_QUALITY)
    assert np.all(got[1010:2000] == MissingReason.OK)
    assert np.all(got[2020 : 2020 + n] == MissingReason.WARMING_UP)
    assert np.all(got[2020 + n :] == MissingReason.OK)


@pytest.mark.parametrize(
    ("rate", "to", "up", "down"),
    [(128, 64, 1, 2), (250, 128, 64, 125), (64, 128, 2, 1), (512, 200, 25, 64)],
)
def test_another_rate_is_upfirdn(rate: int, to: int, up: int, down: int) -> None:
    info, x = eeg(rate, "F3", "F4"), noise(4000)
    stage = Resample(rate=float(to))
    out = apply(stage, Block(info, 0, 0.0, x.copy()))
    assert out.info.rate == to
    assert stage.factor(info) == Fraction(up, down)
    expected = scipy.signal.upfirdn(stage.design(info), x, up, down, axis=0)
    expected = expected[: len(out)]
    good = ~np.isnan(out.data)
    assert np.all(missing_reason(out.data[~good]) == MissingReason.WARMING_UP)
    assert good.mean() > 0.9
    # As above: some hundred products.
    np.testing.assert_allclose(out.data[good], expected[good], rtol=0, atol=1e-11)


def test_a_wave_keeps_its_place_at_another_rate() -> None:
    info = eeg(250, "F3")
    t = np.arange(5000)[:, None] / 250
    block = Block(info, 0, 100.0, np.sin(2 * np.pi * 10 * t))
    out = apply(Resample(rate=128.0), block)
    true = np.sin(2 * np.pi * 10 * (out.times - 100 - out.info.channels[0].delay))
    good = ~np.isnan(out.data[:, 0])
    # What a Kaiser window of beta 5 lets through beside: -50 dB.
    np.testing.assert_allclose(out.data[good, 0], true[good], rtol=0, atol=4e-3)


def test_a_device_that_is_off_its_nominal_rate() -> None:
    stage, info = Resample(rate=125.0, taken=249.0), eeg(250, "F3")
    assert stage.factor(info) == Fraction(125, 249)
    assert stage.output_info(info).rate == Fraction(250 * 125, 249)


def test_no_factor() -> None:
    with pytest.raises(ValueError, match="no factor with a denominator up to 1000"):
        Resample(rate=128.0, taken=250.001).output_info(eeg(250, "F3"))


@pytest.mark.parametrize(("rate", "freq"), [(250, 50.0), (250, 60.0), (512, 50.0)])
def test_a_comb_takes_every_harmonic_out_and_little_else(
    rate: int, freq: float
) -> None:
    info = eeg(rate, "F3")
    sos = Comb(freq=freq).design(info)
    harmonics = np.arange(1, int(rate / 2 / freq + 1)) * freq
    harmonics = harmonics[harmonics < rate / 2]
    assert len(sos) == len(harmonics)
    _, at = scipy.signal.sosfreqz(sos, harmonics, fs=rate)
    _, between = scipy.signal.sosfreqz(sos, harmonics - freq / 2, fs=rate)
    # Zeros on the unit circle, to the rounding of their coefficients; and half-way
    # from one to the next, 15 half widths away, 1 - 1 / (2 * 15**2) of it remains.
    assert np.all(np.abs(at) < 1e-9)
    assert np.all(np.abs(between) > 0.99)


def test_against_one_electrode_and_against_linked_ones() -> None:
    info, x = eeg(128, "F3", "A1", "A2"), noise(300, 3)
    one = apply(Rereference(("A1",)), Block(info, 0, 0.0, x.copy()))
    assert (one.info.names, one.info.reference) == (("F3", "A2"), "A1")
    np.testing.assert_array_equal(one.data, x[:, [0, 2]] - x[:, [1]])
    two = apply(Rereference(("A1", "A2")), Block(info, 0, 0.0, x.copy()))
    assert (two.info.names, two.info.reference) == (("F3",), "A1+A2")
    np.testing.assert_allclose(
        two.data[:, 0], x[:, 0] - x[:, 1:].mean(axis=1), rtol=0, atol=1e-13
    )


def test_the_average_leaves_bad_electrodes_out() -> None:
    info, x = eeg(128, *(f"E{i}" for i in range(22))), noise(3, 22)
    x[1, :2] = MissingReason.POOR_QUALITY.nan
    x[2, :3] = MissingReason.POOR_QUALITY.nan
    out = apply(Rereference(()), Block(info, 0, 0.0, x.copy())).data
    # The mean of 22 numbers of size 20, in another order.
    np.testing.assert_allclose(out[0], x[0] - x[0].mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(out[1], x[1] - np.nanmean(x[1]), rtol=0, atol=1e-12)
    assert np.all(missing_reason(out[2]) == MissingReason.POOR_QUALITY)


def test_no_average_of_few_electrodes() -> None:
    with pytest.raises(
        ValueError,
        match=r"^an average reference needs at least 20 electrodes, and 'headset.eeg' "
        r"has 2: name one, or linked ones$",
    ):
        Rereference(()).output_info(eeg(128, "F3", "F4"))
