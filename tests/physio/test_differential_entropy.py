"""Differential entropy, against SciPy and a closed form."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, MaskBadSamples, apply
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.quality.range_checks import EegQuality

BANDS = DifferentialEntropy().bands


def headset(rate: int, *names: str) -> StreamInfo:
    channels = tuple(Channel(n, "eeg", "uV") for n in names)
    return StreamInfo("headset.eeg", Fraction(rate), channels)


def entropy(variance: np.ndarray) -> np.ndarray:
    return 0.5 * np.log2(2 * np.pi * np.e * variance)


@pytest.mark.parametrize("rate", [128, 250, 512])
def test_equals_scipy_filters_and_numpy_variances(rate: int) -> None:
    x = 15 * np.random.default_rng(1).standard_normal((rate * 12, 2))
    stage, source = DifferentialEntropy(), headset(rate, "F3", "F4")
    out, grid = apply(stage, Block(source, 0, 0.0, x)), stage.schedule(source)
    assert out.info.names[:3] == ("de.theta.F3", "de.theta.F4", "de.alpha.F3")
    assert np.all(missing_reason(out.data[:16]) == MissingReason.WARMING_UP)
    for b, (_, low, high) in enumerate(BANDS):
        sos = scipy.signal.butter(4, (low, high), "bandpass", fs=rate, output="sos")
        zi = scipy.signal.sosfilt_zi(sos)[:, :, None] * x[0]
        y, _ = scipy.signal.sosfilt(sos, x, axis=0, zi=zi)
        for k in range(28, len(out)):  # from 7 s on: windows that saw no warming up
            window = y[grid.due(k - 16) + 1 : grid.due(k) + 1]
            # The mean is far below the deviation, so squares lose nothing: rounding.
            np.testing.assert_allclose(
                out.data[k, 2 * b : 2 * b + 2], entropy(window.var(axis=0)), atol=1e-9
            )


def test_a_sine_has_the_entropy_of_half_its_squared_amplitude() -> None:
    x = 30 * np.sin(2 * np.pi * 10.5 * np.arange(128 * 20) / 128)[:, None]
    de = apply(DifferentialEntropy(), Block(headset(128, "Oz"), 0, 0.0, x)).data[-1]
    # 10.5 Hz is near the middle of alpha (geometric: 10.6), where the gain is 1.
    assert de[1] == pytest.approx(float(entropy(np.array(450.0))), abs=1e-3)
    assert np.argmax(de) == 1


def test_other_channels_are_passed_over_and_none_is_refused() -> None:
    x = np.random.default_rng(2).standard_normal((1280, 2))
    eeg, status = Channel("Cz", "eeg", "uV"), Channel("status", "stim")
    mixed = StreamInfo("headset.eeg", Fraction(128), (status, eeg))
    stage = DifferentialEntropy()
    alone = apply(stage, Block(headset(128, "Cz"), 0, 0.0, x[:, 1:].copy()))
    np.testing.assert_array_equal(
        apply(stage, Block(mixed, 0, 0.0, x)).data, alone.data
    )
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(StreamInfo("headset.eeg", Fraction(128), (status,)))
    assert str(caught.value) == (
        "'headset.eeg' has no channel of kind eeg; it has status (stim)"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            headset(64, "Cz"),
            "cannot pass 31 to 49 Hz (gamma) of 'headset.eeg': cutoffs must rise and "
            "lie between 0 and 32 Hz",
        ),
        (
            StreamInfo("headset.eeg", Fraction(128), (Channel("Cz", "eeg", "V"),)),
            "the entropy of 'headset.eeg' needs uV, but 'Cz' is in V",
        ),
    ],
)
def test_refuses(source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        DifferentialEntropy().output_info(source)
    assert str(caught.value) == message


def test_a_dead_electrode_has_no_entropy() -> None:
    x = np.full((1280, 2), 12.0)
    x[:, 1] += np.random.default_rng(4).standard_normal(1280)
    out = apply(DifferentialEntropy(), Block(headset(128, "F3", "F4"), 0, 0.0, x))
    assert np.all(missing_reason(out.data[24:, ::2]) == MissingReason.POOR_QUALITY)
    assert np.all(np.isfinite(out.data[24:, 1::2]))


def test_one_percent_of_loss_and_a_gap_are_survived() -> None:
    rng = np.random.default_rng(6)
    x = 15 * rng.standard_normal((250 * 60, 1))
    lossy = x.copy()
    lossy[rng.random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    lossy[7500:10000] = MissingReason.NO_SIGNAL.nan  # 10 s
    stage, source = DifferentialEntropy(), headset(250, "Cz")
    whole = apply(stage, Block(source, 0, 0.0, x)).data
    out = apply(stage, Block(source, 0, 0.0, lossy)).data
    assert np.all(np.isfinite(out[24:120]))
    assert np.all(missing_reason(out[132:160]) == MissingReason.NO_SIGNAL)  # 33 to 40 s
    assert np.all(np.isfinite(out[180:]))  # 5 s after: filters and half a window
    both = np.r_[24:120, 200:240]
    # One sample in a hundred held instead of known adds noise of 2 % of the variance
    # (0.014 bit) and, as theta has but 2 x 4 Hz x 4 s = 32 degrees of freedom, a chance
    # covariance with the signal of 2 sqrt(0.02 / 32) = 5 % (0.036 bit) a window: no
    # window is off by five times that, and their mean by more than twice the bias.
    off = out[both] - whole[both]
    assert np.abs(off).max() < 0.2
    assert np.abs(off.mean()) < 0.03


def test_masked_bad_samples_do_not_count() -> None:
    x = 10 * np.random.default_rng(8).standard_normal((128 * 30, 1))
    x[1280:1920] = 55.0  # 5 s flat
    stage = Chain((MaskBadSamples(Chain(()), EegQuality()), DifferentialEntropy()))
    out = apply(stage, Block(headset(128, "Cz"), 0, 0.0, x)).data
    assert np.all(missing_reason(out[56:60]) == MissingReason.POOR_QUALITY)
    assert np.all(np.isfinite(out[80:]))


def test_real_eeg_at_rest_falls_off_with_frequency(data: Path) -> None:
    file = np.load(data / "eegmat" / "compact128" / "Subject02.npz")
    names = [str(n) for n in file["ch_names"]]
    eeg = [i for i, n in enumerate(names) if "ECG" not in n and "A2" not in n]
    x = np.ascontiguousarray((file["data"][0].T * file["scale_uV"])[:, eeg], np.float64)
    source = headset(128, *(names[i] for i in eeg))
    out = apply(DifferentialEntropy(), Block(source, 0, 0.0, x)).data[24:]
    assert np.all(np.isfinite(out))
    widths = np.array([high - low for _, low, high in BANDS])
    density = out.reshape(len(out), 4, -1).mean(axis=(0, 2)) - 0.5 * np.log2(widths)
    assert density[0] > density[2] > density[3]
