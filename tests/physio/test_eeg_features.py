"""Two ways to entropy, and what else rhythms say: against SciPy."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, StageRunner, apply, read_only
from physio.dsp.iir import run, sections
from physio.dsp.window import STATISTICS, panes, slide
from physio.features.eeg.asymmetry import Asymmetry
from physio.features.eeg.band_power import BandPower
from physio.features.eeg.differential_entropy import BANDS, DifferentialEntropy
from physio.features.eeg.published_de import pairwise

PAPER = DifferentialEntropy(window=4.0, step=0.5, mode="paper")


def eeg(rate: int, *names: str) -> StreamInfo:
    return StreamInfo(
        "h.eeg", Fraction(rate), tuple(Channel(n, "eeg", "uV") for n in names)
    )


def noise(n: int, width: int = 3) -> Array:
    return 20 * np.random.default_rng(9).standard_normal((n, width))


def published(window: Array, rate: float) -> Array:
    """Return what the published pipeline gives for (n, electrodes), flat."""
    x = np.ascontiguousarray(window.T)
    x = (x - x.mean()) / x.std()
    rows = []
    for _, lo, hi in BANDS:
        ba = scipy.signal.butter(5, [lo / (rate / 2), hi / (rate / 2)], "band")
        y = scipy.signal.lfilter(*ba, x)
        rows.append(0.5 * np.log2(2 * np.pi * np.e * y.var(axis=1)))
    return np.ravel(rows)


@pytest.mark.parametrize("rate", [128, 200])
def test_the_paper_mode_gives_published_numbers(rate: int) -> None:
    info, x = eeg(rate, "F3", "Cz", "F4"), noise(10 * rate)
    out = apply(PAPER, Block(info, 0, 0.0, x.copy()))
    for k in (8, 13, 19):
        end = k * rate // 2 + 1
        expected = published(x[end - 4 * rate : end], rate)
        # The same arithmetic in the same order; but for the variance's, 1e-15.
        np.testing.assert_allclose(out.data[k], expected, rtol=0, atol=1e-9)


def test_seed_is_filtered_as_200_hz_unless_the_slip_is_asked_for() -> None:
    info, x = eeg(200, "F3", "Cz"), noise(900, 2)
    slip = DifferentialEntropy(mode="paper", published_rate=128.0)
    out = apply(slip, Block(info, 0, 0.0, x.copy()))
    expected = published(x[1:801], 128)
    np.testing.assert_allclose(out.data[16], expected, rtol=0, atol=1e-9)
    assert np.all(np.abs(published(x[1:801], 200) - expected)[:2] > 0.2)


def test_a_baseline_is_subtracted() -> None:
    info, x = eeg(128, "F3", "F4"), noise(12 * 128, 2)
    stage = DifferentialEntropy(mode="paper", baseline=3.0, step=0.5)
    out = apply(stage, Block(info, 0, 0.0, x.copy()))
    rest = published(x[:384].reshape(3, 128, 2).mean(axis=0), 128)
    assert np.all(missing_reason(out.data[13]) == MissingReason.WARMING_UP)
    end = 20 * 64 + 1
    expected = published(x[end - 512 : end], 128) - rest
    np.testing.assert_allclose(out.data[20], expected, rtol=0, atol=1e-9)


def test_the_paper_mode_does_not_depend_on_the_cuts() -> None:
    info = eeg(250, "F3", "F4")
    stage = DifferentialEntropy(mode="paper", baseline=2.0, window=1.0)
    whole = Block(info, 0, 0.0, noise(2000, 2))
    flow = StageRunner(stage, info)
    got = [flow.push(b).data for b in whole.split([1, 1, 62, 63, 700, 1500])]
    np.testing.assert_array_equal(np.concatenate(got), apply(stage, whole).data)


def test_a_lost_sample_ends_with_its_window() -> None:
    info, x = eeg(128, "F3", "F4"), noise(1280, 2)
    x[600, 0] = MissingReason.POOR_QUALITY.nan
    out = missing_reason(apply(PAPER, Block(info, 0, 0.0, x)).data[:, 0])
    assert list(np.flatnonzero(out == MissingReason.POOR_QUALITY)) == list(
        range(10, 18)
    )


def holes(x: Array) -> Array:
    """Return ``x`` with samples missing here and there, and a long gap."""
    rng = np.random.default_rng(1)
    y = x.copy()
    y[rng.random(x.shape) < 2e-3] = MissingReason.NO_SIGNAL.nan
    y[rng.random(x.shape) < 1e-4] = np.inf
    y[2000:2300, 1] = MissingReason.POOR_QUALITY.nan
    return y


@pytest.mark.parametrize("channels", [4, 8, 11])
def test_the_bank_is_plain_filters_and_windows(channels: int) -> None:
    names = [f"E{i}" for i in range(channels)]
    info, x = eeg(250, *names), holes(noise(4000, channels))
    sos = [
        scipy.signal.butter(4, edges, "bandpass", fs=250, output="sos")
        for _, *edges in BANDS
    ]
    passed = run(*sections(info, sos, 0.05, channels), read_only(x.copy()))
    windows = panes(info, (4.0,), 0.25, 0.5, 4 * channels)
    plain = slide(*windows, read_only(passed))[:, 0, STATISTICS.index("deviation")]
    got = apply(DifferentialEntropy(), Block(info, 0, 0.0, x)).data
    bits = np.log2(plain * np.sqrt(2 * np.pi * np.e))
    # The zeros stand in other sections and operations are fused: each rounds to 2**-53
    # of what the sections hold, some hundreds of times the passed signal.
    np.testing.assert_allclose(got, np.where(np.isnan(plain), plain, bits), atol=1e-10)
    np.testing.assert_array_equal(missing_reason(got), missing_reason(plain))


def test_no_bit_depends_on_what_others_lose() -> None:
    info, x = eeg(250, *"abcdefghi"), noise(4000, 9)
    lossy = holes(x)
    lossy[:, 3] = x[:, 3]
    whole = apply(DifferentialEntropy(), Block(info, 0, 0.0, x)).data
    got = apply(DifferentialEntropy(), Block(info, 0, 0.0, lossy)).data
    np.testing.assert_array_equal(got[:, 3::9], whole[:, 3::9])
    assert not np.array_equal(got, whole, equal_nan=True)
    alone = apply(DifferentialEntropy(), Block(eeg(250, "d"), 0, 0.0, x[:, 3:4].copy()))
    np.testing.assert_array_equal(got[:, 3::9], alone.data)


@pytest.mark.parametrize("shape", [(3,), (9,), (137,), (4096,), (62, 200), (20000,)])
def test_sums_in_the_order_of_numpy(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).standard_normal(shape)
    assert pairwise(x.ravel(), x.size) == x.sum()


def test_what_is_above_20_hz_can_be_left_out() -> None:
    info = eeg(128, "F3")
    stage = DifferentialEntropy(highest=20.0)
    assert stage.output_info(info).names == ("de.theta.F3", "de.alpha.F3", "de.beta.F3")
    bands = (*BANDS[:2], ("beta", 14.0, 20.0))
    block = Block(info, 0, 0.0, noise(1280, 1))
    expected = apply(DifferentialEntropy(bands=bands), block)
    np.testing.assert_array_equal(apply(stage, block).data, expected.data)


def test_power_is_entropy_without_its_logarithm() -> None:
    block = Block(eeg(128, "F3", "F4"), 0, 0.0, noise(2560, 2))
    power = apply(BandPower(), block).data[-1]
    bits = apply(DifferentialEntropy(), block).data[-1]
    np.testing.assert_allclose(
        0.5 * np.log2(2 * np.pi * np.e * power), bits, rtol=1e-12
    )
    relative = apply(BandPower(relative=True), block)
    parts = relative.data[-1].reshape(4, 2)
    np.testing.assert_allclose(parts.sum(axis=0), 1, rtol=1e-12)
    assert relative.info.names[0] == "relative.theta.F3"


def test_left_and_right_and_front_and_back() -> None:
    info = eeg(128, "F3", "F4", "P3")
    block = Block(info, 0, 0.0, noise(2560) * np.array([1.0, 2.0, 1.0]))
    de = apply(DifferentialEntropy(), block)
    out = apply(Chain((DifferentialEntropy(), Asymmetry())), block)
    at = dict(zip(out.info.names, out.data[-1], strict=True))
    of = dict(zip(de.info.names, de.data[-1], strict=True))
    left, right = of["de.alpha.F3"], of["de.alpha.F4"]
    assert at["dasm.alpha.F3-F4"] == left - right
    assert at["rasm.alpha.F3-F4"] == left / right
    assert at["dcau.alpha.F3-P3"] == left - of["de.alpha.P3"]
    power = apply(BandPower(), block)
    alpha = dict(zip(power.info.names, power.data[-1], strict=True))
    expected = np.log(alpha["power.alpha.F4"]) - np.log(alpha["power.alpha.F3"])
    assert at["frontal.F4-F3"] == pytest.approx(expected, rel=1e-9)


def test_asymmetry_needs_electrodes_that_mirror_each_other() -> None:
    with pytest.raises(ValueError, match="no two electrodes that mirror each other"):
        Chain((DifferentialEntropy(), Asymmetry())).output_info(eeg(128, "Cz", "Pz"))


def test_settings_of_the_paper_mode_alone() -> None:
    with pytest.raises(
        ValueError,
        match=r"^a baseline and a published rate belong to the paper mode of entropy: "
        r"give mode = 'paper', or leave them out$",
    ):
        DifferentialEntropy(baseline=3.0).output_info(eeg(128, "Cz"))
