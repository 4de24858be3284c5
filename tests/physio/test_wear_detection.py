"""What a wristband's sensors are good for, and whether it is worn."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import physio
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, MaskBadSamples, Stage, apply
from physio.features.cardiac.heart_rate import BeatDetection
from physio.quality.beat_template import BeatTemplateSQI
from physio.quality.eda_artifacts import EdaStability
from physio.quality.range_checks import EdaQuality
from physio.quality.wear_detection import wear_stage
from physio.quality.wristband import WearDetection

NAMES = ("prv.template_sqi", "eda.stability", "temperature.level", "motion.activity")
JOINED = StreamInfo("features", Fraction(4), tuple(map(Channel, NAMES)))
LOST = MissingReason.NO_SIGNAL.nan


def read(stage: Stage, kind: str, unit: str, rate: int, x: Array) -> Array:
    info = StreamInfo("band.x", Fraction(rate), (Channel("x", kind, unit),))
    data = np.ascontiguousarray(x, np.float64)[:, None]
    return apply(stage, Block(info, 0, 0.0, data.copy())).data[:, 0]


def pulse(seconds: int, rate: int = 64) -> Array:
    t = np.arange(seconds * rate) / rate
    noise = np.random.default_rng(1).standard_normal(len(t))
    return 50 * np.sin(2 * np.pi * 1.2 * t) ** 3 + noise


def test_likeness_is_the_mean_confidence_of_ten_seconds() -> None:
    x = pulse(60)
    info = StreamInfo("band.bvp", Fraction(64), (Channel("bvp", "bio", "1"),))
    block = Block(info, 0, 0.0, x[:, None].copy())
    beats = apply(BeatDetection(), block).data
    got = apply(BeatTemplateSQI(), apply(BeatDetection(), block)).data[:, 0]
    for k in (100, 160, 239):  # due with sample 16 k; its 640 samples end there
        window = beats[16 * k - 639 : 16 * k + 1]
        told = ~np.isnan(window[:, 0])
        assert got[k] == pytest.approx(window[told, 2].mean(), rel=1e-12)
    assert got[-1] > 0.95


@pytest.mark.parametrize("what", ["noise", "flat", "hum"])
def test_what_is_no_pulse_has_no_likeness(what: str) -> None:
    t = np.arange(60 * 64) / 64
    x = {
        "noise": np.random.default_rng(2).standard_normal(len(t)),
        "flat": np.zeros(len(t)),
        "hum": np.sin(2 * np.pi * 50 * t),
    }[what]
    y = read(Chain((BeatDetection(), BeatTemplateSQI())), "bio", "1", 64, x)
    # 0.86 is where the method's authors begin to call a pulse good.
    assert np.nanmax(y) < 0.86


def test_an_electrode_that_moves_is_told_and_a_response_is_not() -> None:
    t = np.arange(240) / 4
    response = 2 + 0.6 * np.clip(t - 20, 0, None) * np.exp(-np.clip(t - 20, 0, None))
    assert np.all(read(EdaStability(), "gsr", "uS", 4, response)[10:] == 1)
    moved = response.copy()
    moved[120:] *= 1.5  # four samples are a second after one before
    y = read(EdaStability(), "gsr", "uS", 4, moved)
    # Of the 40 samples of 10 s, 4 are bad: while it lasts, and for no longer.
    np.testing.assert_allclose(y[31:40], 0.9)
    assert np.all(y[41:] == 1)


def test_masked_skin_is_unsteady_and_lost_skin_is_missing() -> None:
    off = np.full(120, 0.003)
    stages = Chain((MaskBadSamples(quality=EdaQuality()), EdaStability()))
    assert np.all(read(stages, "gsr", "uS", 4, off)[10:] == 0)
    assert np.all(
        missing_reason(read(stages, "gsr", "uS", 4, np.full(120, LOST))[11:]) == 1
    )


def test_resistance_is_refused() -> None:
    info = StreamInfo("band.x", Fraction(4), (Channel("x", "gsr", "kOhm"),))
    with pytest.raises(
        ValueError,
        match=r"^the stability of skin conductance is judged in uS, but 'x' of "
        r"'band.x' is in kOhm$",
    ):
        EdaStability().output_info(info)


def judged(*values: float, stage: WearDetection | None = None) -> list[float]:
    out = apply(stage or WearDetection(), Block(JOINED, 0, 0.0, np.array([values])))
    return [float(v) for v in out.data[0]]


def test_worn_still_and_alike_is_good_and_movement_takes_from_it() -> None:
    on, beats, skin = judged(0.97, 1.0, 33.0, 0.004)
    assert (on, beats > 0.8, skin > 0.98) == (1, True, True)
    moving = judged(0.97, 1.0, 33.0, 0.3)
    assert moving[1] < beats
    assert moving[2] < 0.5
    assert judged(0.5, 1.0, 33.0, 0.004)[1] < 0.01
    # z = -23.64 + 23.79 * 0.97 - 0.866 * log10(0.01) = 1.168
    assert judged(0.97, 1.0, 33.0, 0.01)[1] == pytest.approx(
        1 / (1 + np.exp(-1.1683)), rel=1e-3
    )


def test_off_the_wrist_nothing_is_good() -> None:
    assert judged(0.97, 0.0, 22.0, 0.001) == [0, 0, 0]
    assert judged(0.97, 0.0, 33.0, 0.001)[0] == 1  # dry, but warm
    assert judged(0.97, 1.0, 24.0, 0.001)[0] == 1  # cold, but it conducts


def test_what_is_missing_keeps_its_reason() -> None:
    warm = MissingReason.WARMING_UP.nan
    on, beats, skin = judged(warm, LOST, LOST, 0.01)
    assert list(missing_reason([on, beats, skin])) == [1, 2, 1]
    alone = WearDetection(stability="", activity="")
    assert judged(0.97, LOST, 33.0, LOST, stage=alone)[0] == 1
    # Without movement z = -24.57 + 26.66 * 0.97 = 1.290.
    still = judged(0.97, LOST, 33.0, LOST, stage=alone)[1]
    assert still == pytest.approx(1 / (1 + np.exp(-1.2902)), rel=1e-3)


def test_only_a_wristband_is_judged() -> None:
    def made(*chains: tuple[str, str, str, str]) -> Stage:
        infos = [StreamInfo(c, Fraction(4), (Channel(n),)) for c, n, _, _ in chains]
        known = {
            c: StreamInfo(s, Fraction(4), (Channel("x", kind),))
            for c, _, s, kind in chains
        }
        return wear_stage(infos, known)

    heart = ("prv", "template_sqi", "band.bvp", "bio")
    skin = ("eda", "stability", "band.eda", "gsr")
    motion = ("motion", "activity", "band.acc", "misc")
    assert made(heart, skin, motion) == WearDetection(temperature="")
    head = ("motion", "activity", "headset.acc", "misc")
    assert made(heart, skin, head) == WearDetection(temperature="", activity="")
    chest = ("heart", "template_sqi", "belt.ecg", "ecg")
    assert not made(chest, skin).output_info(JOINED).channels
    assert not made(heart).output_info(JOINED).channels


def test_a_band_on_a_table_and_on_a_cold_wrist(data: Path) -> None:
    off = physio.compute_features(physio.read(data / "empatica_e4" / "offwrist33s"))
    told = off.column("wear.worn")
    assert np.all(told[np.isfinite(told)] == 0)
    assert np.isfinite(told).mean() > 0.5
    assert np.nanmax(off.column("wear.pulse_sqi")) == 0
    # At 26.4 degC for minutes, below what skin of the wrist is said to be.
    cold = physio.read(data / "stress_predict" / "raw" / "S06.zip")
    late = {}
    for name, (block,) in cold.streams.items():
        begin, end = (int(t * block.info.rate) for t in (2900, 3100))
        late[name] = (Block(block.info, 0, 2900.0, block.data[begin:end].copy()),)
    worn = physio.compute_features(replace(cold, streams=late, events={}, metadata={}))
    assert np.nanmedian(worn.column("temperature.level")) < 27
    assert np.all(worn.column("wear.worn")[60:-4] == 1)
    assert np.nanmedian(worn.column("wear.eda_sqi")) > 0.9
