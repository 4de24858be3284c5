"""Which samples can be trusted."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, MaskBadSamples, Stage, apply
from physio.dsp.iir import Notch
from physio.quality.range_checks import EdaQuality, EegQuality, TemperatureQuality
from physio.quality.spike_detection import SpikeDetection


def band(name: str, kind: str, unit: str) -> StreamInfo:
    return StreamInfo(f"band.{name}", Fraction(4), (Channel(name, kind, unit),))


EEG = StreamInfo("headset.eeg", Fraction(250), (Channel("F3", "eeg", "uV"),))
EDA = band("eda", "gsr", "uS")
TEMP = band("temp", "temperature", "degC")


def judged(stage: Stage, info: StreamInfo, x: np.ndarray) -> np.ndarray:
    data = np.ascontiguousarray(x, np.float64).reshape(-1, 1)
    return apply(stage, Block(info, 0, 0.0, data.copy())).data[:, 0]


def test_eeg_is_good_whatever_its_offset() -> None:
    x = 20 * np.random.default_rng(1).standard_normal(2500)
    assert np.all(judged(EegQuality(), EEG, x) == 1)
    assert np.all(judged(EegQuality(), EEG, x - 40_000) == 1)


def test_a_flat_electrode_is_known_within_a_second_and_a_good_one_at_once() -> None:
    x = 20 * np.random.default_rng(2).standard_normal(2500)
    x[1000:1500] = x[999]
    y = judged(EegQuality(), EEG, x)
    first = np.flatnonzero(y == 0)[0]
    assert 1000 < first <= 1000 + 250
    assert np.all(y[first:1500] == 0)
    assert y[1501] == 1  # two samples tell that it ranges again
    assert np.all(y[1501:] == 1)


def test_a_torn_cable_and_a_rail_are_bad() -> None:
    x = 20 * np.random.default_rng(3).standard_normal(2500)
    x[1000] += 5000
    y = judged(EegQuality(), EEG, x)
    assert np.all(y[:1000] == 1)
    assert np.all(y[1000:1225] == 0)  # nine tenths of a second at least, one at most
    assert np.all(y[1250:] == 1)
    assert np.all(judged(EegQuality(), EEG, np.full(10, -187_500.0)) == 0)


def test_a_missing_sample_stays_missing_for_its_reason() -> None:
    x = 20 * np.random.default_rng(4).standard_normal(500)
    x[100:120] = MissingReason.NO_SIGNAL.nan
    y = judged(EegQuality(), EEG, x)
    assert np.all(missing_reason(y[100:120]) == MissingReason.NO_SIGNAL)
    assert np.all(y[120:] == 1)


def test_skin_conductance_out_of_range_or_jumping_is_bad_for_the_hold() -> None:
    x = np.full(200, 2.0)
    x[50:52] = 0.01
    x[80] = 0.0  # one sample that a device lost
    x[100:] = 5.0  # 3 uS within 0.25 s
    y = judged(EdaQuality(), EDA, x)
    bad = [*range(50, 72), 80, *range(100, 122)]  # 20 samples after the second
    np.testing.assert_array_equal(np.flatnonzero(y == 0), bad)
    x = np.full(50, 70.0)
    assert np.all(judged(EdaQuality(), EDA, x) == 0)


def test_masked_makes_bad_samples_missing() -> None:
    x = np.full(100, 0.01)
    y = judged(MaskBadSamples(Chain(()), EdaQuality()), EDA, x)
    assert np.all(missing_reason(y) == MissingReason.POOR_QUALITY)
    x = 20 * np.random.default_rng(5).standard_normal(2500)
    x[1000:1500] = 7.0
    y = judged(Chain((MaskBadSamples(Chain(()), EegQuality()), Notch(50.0))), EEG, x)
    assert np.all(missing_reason(y[1300:1500]) == MissingReason.POOR_QUALITY)


def test_a_band_on_the_table_is_bad_and_on_participants_is_good(data: Path) -> None:
    off = data / "empatica_e4" / "offwrist33s"
    assert np.all(judged(EdaQuality(), EDA, np.loadtxt(off / "EDA.csv")[2:]) == 0)
    worn = TemperatureQuality(27.0, 40.0)
    assert np.all(judged(worn, TEMP, np.loadtxt(off / "TEMP.csv")[2:]) == 0)
    for participant in (
        "S2",
        "S4",
        "S9",
        "S14",
        "S15",
    ):  # EDA 0.1 to 0.4 uS, or 29 degC
        file = np.load(data / "wesad" / participant / f"{participant}_wrist.npz")
        assert np.mean(judged(EdaQuality(), EDA, file["eda"])) > 0.999
        assert np.all(judged(worn, TEMP, file["temp"]) == 1)


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            EegQuality(),
            EDA,
            "the quality of EEG is judged in uV, but 'eda' of 'band.eda' is gsr in uS",
        ),
        (
            EdaQuality(),
            band("eda", "gsr", "kOhm"),
            "the quality of skin conductance is judged in uS, but 'eda' of 'band.eda' "
            "is gsr in kOhm",
        ),
        (
            TemperatureQuality(),
            EDA,
            "the quality of a temperature is judged in degC, but 'eda' of 'band.eda' "
            "is gsr in uS",
        ),
        (
            EdaQuality(low=2.0, high=1.0),
            EDA,
            "the quality of 'band.eda' needs low < high, a rise above 0 and a hold of "
            "at least 0: 2.0, 1.0, 10.0, 5.0",
        ),
        (
            EegQuality(flat=600.0),
            EEG,
            "the quality of 'headset.eeg' needs 0 <= flat < wild and a width above 0: "
            "600.0, 500.0, 1.0",
        ),
    ],
)
def test_refuses(stage: Stage, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message


def wave(seconds: int = 20) -> np.ndarray:
    t = np.arange(seconds * 64) / 64
    return 50 * np.sin(2 * np.pi * 1.2 * t) ** 3


BVP = StreamInfo("band.bvp", Fraction(64), (Channel("bvp", "bio", "1"),))


def test_a_spike_is_left_out_and_nothing_else() -> None:
    x = wave()
    x[640] += 400
    np.testing.assert_array_equal(
        np.flatnonzero(judged(SpikeDetection(), BVP, x) == 0), [640]
    )


def test_acceleration_beside_a_pulse_is_good_whatever_it_does() -> None:
    axis = Channel("acc.x", "misc", "g")
    x = np.column_stack([np.zeros(1280), wave()])
    x[640] += 400
    info = BVP.with_channels(None, axis, *BVP.channels)
    y = apply(SpikeDetection(), Block(info, 0, 0.0, x)).data
    assert np.all(y[:, 0] == 1)
    np.testing.assert_array_equal(np.flatnonzero(y[:, 1] == 0), [640])


def test_a_step_is_bad_for_the_hold_and_then_the_new_level() -> None:
    x = wave()
    x[640:] += 400
    bad = np.flatnonzero(judged(SpikeDetection(), BVP, x) == 0)
    np.testing.assert_array_equal(bad, np.arange(640, 704))


def test_a_wave_that_grows_and_what_comes_after_nothing_is_good() -> None:
    x = wave() * np.linspace(1, 20, 1280)
    assert np.all(judged(SpikeDetection(), BVP, x) == 1)
    x = np.concatenate([np.zeros(640), wave()])
    assert np.all(judged(SpikeDetection(), BVP, x) == 1)
    x = wave()
    x[500:700] = MissingReason.NO_SIGNAL.nan
    x[700:] += 400
    y = judged(SpikeDetection(), BVP, x)
    assert np.all(y[~np.isnan(x)] == 1)


def test_no_sample_of_real_wrists_jumps(data: Path) -> None:
    for participant in ("S2", "S7", "S17"):  # the arms that move most
        file = np.load(data / "wesad" / participant / f"{participant}_wrist.npz")
        assert np.all(judged(SpikeDetection(), BVP, file["bvp_64"]) == 1)


def test_jumps_of_what_is_no_wave_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"^jumps are judged in bio or ecg, but 'eda' of 'band.eda' is "
        r"gsr$",
    ):
        SpikeDetection().output_info(EDA)
