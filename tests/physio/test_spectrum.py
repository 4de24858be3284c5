"""Spectra in a sliding window, against SciPy and closed forms."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, apply
from physio.dsp.spectrum import Spectrum
from physio.features.eeg.hjorth import Hjorth, SpectralEntropy

INFO = StreamInfo("h.eeg", Fraction(128), (Channel("F3", "eeg", "uV"),))


def noise(n: int) -> np.ndarray:
    return 20 * np.random.default_rng(7).standard_normal((n, 1))


def run(stage: Spectrum, x: np.ndarray) -> Block:
    return apply(stage, Block(INFO, 0, 0.0, x.copy()))


def test_is_welch() -> None:
    x = noise(1280)
    out = run(Spectrum(high=64.0, low=0.0), x)
    window = x[9 * 128 + 1 - 4 * 128 : 9 * 128 + 1, 0]
    f, p = scipy.signal.welch(window, 128, nperseg=128)
    np.testing.assert_allclose(out.data[36], p, rtol=1e-12)
    assert out.info.names[10] == f"psd.{f[10]:g}Hz.F3"
    assert out.info.channels[0].unit == "(uV)^2/Hz"


def test_is_the_mean_over_tapers() -> None:
    x = noise(1280)
    out = run(Spectrum(method="multitaper", low=0.0, high=64.0), x)
    window = x[9 * 128 + 1 - 512 : 9 * 128 + 1, 0]
    tapers = scipy.signal.windows.dpss(512, 4, 7)
    p = [
        scipy.signal.periodogram(window - window.mean(), 128, t, detrend=False)[1]
        for t in tapers
    ]
    np.testing.assert_allclose(out.data[36], np.mean(p, axis=0), rtol=1e-10)


@pytest.mark.parametrize("method", ["welch", "multitaper"])
def test_the_area_is_the_power(method: str) -> None:
    x = 10 * np.sin(2 * np.pi * 10 * np.arange(1280) / 128)[:, None]
    stage = Spectrum(method=method, high=60.0)
    step = float(stage.output_info(INFO).names[1][4:].split("Hz")[0]) - 1
    area = run(stage, x).data[-1].sum() * step
    # A sine of 10 uV has 50 uV^2; the tapers leak a thousandth beyond 1 to 60 Hz.
    assert area == pytest.approx(50, rel=2e-3)


def test_segments_with_a_lost_sample_are_left_out() -> None:
    x = noise(1280)
    x[900] = MissingReason.POOR_QUALITY.nan
    welch, taper = run(Spectrum(), x), run(Spectrum(method="multitaper"), x)
    assert np.all(np.isfinite(welch.data[36]))
    assert np.all(missing_reason(taper.data[36]) == MissingReason.POOR_QUALITY)


def test_disorder_lies_between_a_sine_and_noise() -> None:
    sine = 10 * np.sin(2 * np.pi * 10 * np.arange(1280) / 128)[:, None]
    chain = Chain((Spectrum(), SpectralEntropy()))
    entropies = [
        apply(chain, Block(INFO, 0, 0.0, x.copy())).data[-1, 0]
        for x in (sine, noise(1280))
    ]
    # A Hann window spreads a sine over three frequencies of 45: with parts of 1/6, 2/3
    # and 1/6, 0.867 / ln 45 = 0.228. Noise has a spectrum of chi-squared scatter.
    assert entropies[0] == pytest.approx(0.228, abs=1e-3)
    assert 0.93 < entropies[1] < 1


def test_hjorth_of_a_sine() -> None:
    x = 10 * np.sin(2 * np.pi * 10 * np.arange(1280) / 128)[:, None]
    out = apply(Hjorth(), Block(INFO, 0, 0.0, x))
    assert out.info.names == ("activity.F3", "mobility.F3", "complexity.F3")
    activity, mobility, complexity = out.data[-1]
    # 40 whole periods; the difference of neighbours is 2 sin(w / 2) of the signal.
    assert activity == pytest.approx(50, rel=1e-9)
    assert mobility == pytest.approx(256 * np.sin(np.pi * 10 / 128), rel=1e-3)
    assert complexity == pytest.approx(1, rel=1e-3)


def test_hjorth_of_nothing_at_all() -> None:
    out = apply(Hjorth(), Block(INFO, 0, 0.0, np.full((1280, 1), 7.0)))
    assert np.all(missing_reason(out.data[-1]) == MissingReason.POOR_QUALITY)
