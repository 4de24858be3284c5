"""Aperiodic slope, muscle power, artifact regression and Riemannian baseline."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, Stage, StageRunner, apply
from physio.dsp.artifact_regression import ArtifactRegression
from physio.dsp.spectrum import Spectrum
from physio.features.eeg.aperiodic import AperiodicSlope
from physio.features.eeg.muscle import MusclePower

RATE = 128


def stream(*channels: tuple[str, str], rate: int = RATE) -> StreamInfo:
    return StreamInfo(
        "h.eeg", Fraction(rate), tuple(Channel(n, k, "uV") for n, k in channels)
    )


def pink(seconds: int, exponent: float, alpha: float, seed: int) -> Array:
    """Return noise with a power of 1 / f ** exponent, and an alpha rhythm."""
    rng, n = np.random.default_rng(seed), seconds * RATE
    f = np.fft.rfftfreq(n, 1 / RATE)
    height = np.where(f > 0, np.maximum(f, 0.5) ** (-exponent / 2), 0)
    noise = np.fft.irfft(height * np.exp(2j * np.pi * rng.random(len(f))), n)
    band = scipy.signal.butter(2, (9, 11), "bandpass", fs=RATE, output="sos")
    rhythm = scipy.signal.sosfilt(band, rng.standard_normal(n))
    return 20 * noise / noise.std() + alpha * rhythm / rhythm.std()


def in_pieces(stage: Stage, info: StreamInfo, x: Array, cuts: list[int]) -> Array:
    flow, out = StageRunner(stage, info), []
    for a, b in zip([0, *cuts], [*cuts, len(x)], strict=True):
        out.append(flow.push(Block(info, a, 0.0, x[a:b].copy())).data)
    return np.concatenate(out)


@pytest.mark.parametrize(
    "stage",
    [
        Chain((Spectrum(window=4.0, step=0.5), AperiodicSlope())),
        MusclePower(high=60.0),
        ArtifactRegression(),
    ],
)
def test_no_bit_depends_on_the_cuts(stage: Stage) -> None:
    rng = np.random.default_rng(1)
    info = stream(("Fp1", "eeg"), ("Cz", "eeg"), ("Pz", "eeg"))
    x = rng.normal(0, 10, (9 * RATE, 3))
    x[300:310, 1] = np.nan
    x[700, 0] = MissingReason.POOR_QUALITY.nan
    whole = in_pieces(stage, info, x, [])
    for cuts in ([1, 2, 3, 640], list(range(37, len(x), 37))):
        np.testing.assert_array_equal(in_pieces(stage, info, x, cuts), whole)


def test_the_slope_is_that_of_fooof() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its successor
        fooof = pytest.importorskip("fooof")
    info = stream(*((f"C{k}", "eeg") for k in range(6)))
    exponents = (0.5, 1.0, 1.5, 2.0, 1.0, 1.5)
    alphas = (0, 0, 0, 0, 15, 15)
    x = np.column_stack(
        [
            pink(61, e, a, k)
            for k, (e, a) in enumerate(zip(exponents, alphas, strict=True))
        ]
    )
    spectrum = Spectrum(window=60.0, step=60.0, segment=2.0, high=45.0)
    density = apply(spectrum, Block(info, 0, 0.0, x))
    slope = apply(AperiodicSlope(), density)
    assert slope.info.names[:2] == ("exponent.C0", "exponent.C1")
    ours = slope.data[-1, :6]
    np.testing.assert_allclose(ours, exponents, atol=0.15)
    frequencies = np.array(
        [float(n[4:].split("Hz")[0]) for n in density.info.names[::6]]
    )
    for k in range(6):
        model = fooof.FOOOF(verbose=False)
        model.fit(frequencies, density.data[-1, k::6], [2, 40])
        offset, exponent = model.get_params("aperiodic_params")
        assert ours[k] == pytest.approx(exponent, abs=0.1)
        assert slope.data[-1, 6 + k] == pytest.approx(offset, abs=0.15)


def test_a_slope_needs_a_spectrum() -> None:
    with pytest.raises(ValueError, match=r"put Spectrum before it; 'h\.eeg' has Cz"):
        AperiodicSlope().output_info(stream(("Cz", "eeg")))
    info = Spectrum(high=4.0).output_info(stream(("Cz", "eeg")))
    with pytest.raises(
        ValueError, match="frequencies from 2 to 40 Hz: a slope needs 5"
    ):
        AperiodicSlope().output_info(info)


def test_muscle_power_is_of_the_face_or_the_scalp() -> None:
    rng = np.random.default_rng(2)
    info = stream(("Cz", "eeg"), ("zEMG", "emg"))
    x = rng.normal(0, (3, 30), (20 * RATE, 2))
    out = apply(MusclePower(kind="emg"), Block(info, 0, 0.0, x.copy()))
    assert out.info.names == ("muscle.zEMG",)
    sos = scipy.signal.butter(4, (30, 57.6), "bandpass", fs=RATE, output="sos")
    expected = np.log10(scipy.signal.sosfilt(sos, x[:, 1])[-2 * RATE :].var())
    assert out.data[-1, 0] == pytest.approx(expected, abs=0.02)
    scalp = apply(MusclePower(), Block(info, 0, 0.0, x.copy()))
    assert scalp.data[-1, 0] == pytest.approx(out.data[-1, 0] - 2, abs=0.2)
    with pytest.raises(ValueError, match="needs a rate above 67 Hz"):
        MusclePower().output_info(stream(("Cz", "eeg"), rate=60))
    with pytest.raises(ValueError, match="of kind emg or eeg, not 'ecg'"):
        MusclePower(kind="ecg").output_info(info)


def blinks(n: int) -> Array:
    wave = np.zeros(n)
    for at in range(RATE, n, 3 * RATE):
        wave[at : at + 40] += 150 * np.hanning(len(wave[at : at + 40]))
    return wave


def test_regression_removes_blinks_and_nothing_else() -> None:
    rng, n = np.random.default_rng(3), 60 * RATE
    eye, brain = blinks(n), rng.normal(0, 8, (n, 2))
    info = stream(("F3", "eeg"), ("VEO", "eog"), ("Pz", "eeg"))
    x = np.column_stack([brain[:, 0] + 0.6 * eye, eye, brain[:, 1] + 0.1 * eye])
    out = apply(ArtifactRegression(), Block(info, 0, 0.0, x.copy()))
    late = slice(20 * RATE, n)
    np.testing.assert_array_equal(out.data[:, 1], eye)
    for column, k in ((0, 0), (2, 1)):
        off = out.data[late, column] - brain[late, k]
        assert off.std() < 0.12 * x[late, column].std()
    # The coefficients follow an electrode that dries.
    x[n // 2 :, 0] += 0.5 * eye[n // 2 :]
    out = apply(ArtifactRegression(memory=5.0), Block(info, 0, 0.0, x.copy()))
    end = slice(n - 12 * RATE, n)
    assert (out.data[end, 0] - brain[end, 0]).std() < 12


def test_what_is_missing_stays_missing() -> None:
    rng = np.random.default_rng(4)
    info = stream(("Fp1", "eeg"), ("Cz", "eeg"), ("Pz", "eeg"))
    x = rng.normal(0, 9, (500, 3))
    x[100, 1] = np.nan
    x[200, 0] = MissingReason.POOR_QUALITY.nan
    out = apply(ArtifactRegression(), Block(info, 0, 0.0, x.copy())).data
    assert np.isnan(out[100]).tolist() == [False, True, False]
    assert missing_reason(out[200]).tolist() == [MissingReason.POOR_QUALITY] * 3
    assert np.isfinite(np.delete(out, [100, 200], axis=0)).all()
    assert np.isfinite(
        apply(ArtifactRegression(), Block(info, 0, 0.0, 0 * x[:99])).data
    ).all()


def test_regression_needs_something_to_regress_on() -> None:
    with pytest.raises(ValueError, match="has no channel of kind eog and no frontal"):
        ArtifactRegression().output_info(stream(("Cz", "eeg")))
    with pytest.raises(ValueError, match="has no channel 'VEO' to regress out; it has"):
        ArtifactRegression(("VEO",)).output_info(stream(("Cz", "eeg")))


def test_covariances_tell_classes_apart() -> None:
    pytest.importorskip("pyriemann")
    import pandas as pd

    from physio.evaluation.folds import Fold
    from physio.evaluation.models.baselines import FoldData
    from physio.training.riemannian import RiemannianClassifier

    rng = np.random.default_rng(5)
    y = np.arange(60) % 2
    x = rng.normal(0, 9, (60, 4, 256))
    shared = rng.normal(0, 9, (60, 256))
    x[y == 1, 0] += shared[y == 1]
    x[y == 1, 1] += shared[y == 1]
    table = pd.DataFrame({"subject": "S1"}, index=range(60))
    fold = Fold("1", np.arange(40), np.arange(40, 60))
    shown = np.where(np.arange(60) < 40, y, -1)
    given = FoldData(x, shown, table, fold, ("a", "b"), 0)
    odds = RiemannianClassifier()(given)
    assert odds.shape == (20, 2)
    assert (odds.argmax(axis=1) == y[40:]).mean() > 0.9
    with pytest.raises(
        ValueError, match="reads windows of the signal, channels by sam"
    ):
        RiemannianClassifier()(given._replace(x=x[:, :, 0]))
