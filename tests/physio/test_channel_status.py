"""What each channel looks like before a session."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import physio
from physio.cli import app
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.quality.channel_status import CONDITIONS, ChannelStatus

RATE = 250
SECONDS = 8


def judged(x: Array, kind: str, unit: str, rate: int = RATE, name: str = "Cz") -> str:
    info = StreamInfo("a.b", Fraction(rate), (Channel(name, kind, unit),))
    out = apply(ChannelStatus(), Block(info, 0, 0.0, np.array(x)[:, None]))
    code = out.column(f"condition.{name}")[-1]
    return (
        CONDITIONS[int(code)]
        if code == code
        else MissingReason(int(missing_reason([code])[0])).words
    )


def rhythm(seed: int = 1, size: float = 12.0) -> Array:
    t = np.arange(RATE * SECONDS) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return size * np.sin(2 * np.pi * 10 * t) + 2 * noise


def hum(size: float) -> Array:
    return size * np.sin(2 * np.pi * 50 * np.arange(RATE * SECONDS) / RATE)


def lossy() -> Array:
    x = rhythm()
    x[np.random.default_rng(2).random(len(x)) < 0.3] = np.nan
    return x


def blinking() -> Array:
    t = np.arange(RATE * SECONDS) / RATE
    return rhythm(size=5.0) + 150 * np.exp(-(((t - 6) / 0.1) ** 2))


EEG = {
    "good": rhythm(),
    "missing": lossy(),
    "no signal": np.full(2000, MissingReason.NO_SIGNAL.nan),
    "flat": np.full(2000, 31234.5),
    "railed": np.full(2000, -187500.0),
    "electrode off": rhythm() + hum(400.0),
    "out of range": rhythm(size=400.0),
    "line noise": rhythm(size=3.0) + hum(20.0),
    "muscle": rhythm() + 30 * np.random.default_rng(3).standard_normal(2000),
    "blink": blinking(),
}


@pytest.mark.parametrize("name", EEG)
def test_each_condition_of_an_electrode_is_told(name: str) -> None:
    assert judged(EEG[name], "eeg", "uV", name="Fp1") == name


def test_an_offset_and_another_unit_change_nothing() -> None:
    assert judged(rhythm() - 40_000, "eeg", "uV") == "good"
    assert judged(rhythm() / 1000, "eeg", "mV") == "good"
    assert judged(np.full(2000, 0.0311), "eeg", "mV") == "flat"
    assert judged(blinking(), "eeg", "uV", name="Oz") == "good"  # no eye is there


def test_clipping_is_told_where_a_converter_ends() -> None:
    x = np.clip(3 * rhythm(), -20, 20)
    assert judged(x, "bio", "1") == "railed"
    assert judged(rhythm(), "bio", "1") == "good"
    steps = np.round(np.linspace(0.300, 0.302, 32), 3)  # slow skin, in steps of 1 nS
    assert judged(steps, "gsr", "uS", rate=4) == "good"


def test_a_still_accelerometer_is_not_railed_and_a_clipped_one_is() -> None:
    noise = np.random.default_rng(5).normal(0, 0.004, 400)
    still = 0.5 + np.clip(np.round(noise, 3), -0.012, 0.012)  # at steps of 1 mg
    assert len(np.unique(still)) > 20
    assert judged(np.repeat(still, 5), "misc", "g") == "good"
    moving = np.clip(3 * np.random.default_rng(5).normal(size=2000), -2, 2)
    assert judged(moving, "misc", "g") == "railed"


def test_an_ecg_in_counts_has_no_limits_in_volts() -> None:
    assert judged(1e5 * rhythm(), "ecg", "counts") == "good"
    assert judged(np.full(2000, 512.0), "ecg", "1") == "flat"


@pytest.mark.parametrize(
    ("value", "kind", "unit", "expected"),
    [
        (0.003, "gsr", "uS", "electrode off"),
        (70.0, "gsr", "uS", "out of range"),
        (2.0, "gsr", "uS", "good"),
        (23.0, "temperature", "degC", "electrode off"),
        (33.0, "temperature", "degC", "good"),
        (43.0, "temperature", "degC", "out of range"),
    ],
)
def test_skin_is_told_from_a_table(
    value: float, kind: str, unit: str, expected: str
) -> None:
    x = value * (1 + 1e-3 * np.sin(np.arange(40.0)))
    assert judged(x, kind, unit, rate=4) == expected


def test_figures_are_those_of_the_last_seconds() -> None:
    info = StreamInfo("a.b", Fraction(RATE), (Channel("Cz", "eeg", "uV"),))
    x = 7.0 + hum(20.0) + 10 * np.sqrt(2) * np.sin(np.arange(2000) * 0.72)  # 28.6 Hz
    out = apply(ChannelStatus(), Block(info, 0, 0.0, x[:, None].copy()))
    at = dict(zip(out.info.names, out.data[-1], strict=True))
    assert at["present.Cz"] == 1
    assert at["mean.Cz"] == pytest.approx(7, abs=0.2)
    assert at["mains.Cz"] == pytest.approx(20 / np.sqrt(2), rel=0.02)
    assert at["fast.Cz"] == pytest.approx(10, rel=0.02)
    assert np.all(missing_reason(out.data[:3]) == MissingReason.WARMING_UP)


def test_participants_at_rest_are_good_and_a_band_on_a_table_is_not(data: Path) -> None:
    shares = []
    for participant in ("Subject03", "Subject12"):
        file = np.load(data / "eegmat" / "compact128" / f"{participant}.npz")
        names = [str(n) for n in file["ch_names"]][:19]
        x = np.float64(file["data"][0, :19]).T * float(np.ravel(file["scale_uV"])[0])
        info = StreamInfo(
            "h.eeg", Fraction(128), tuple(Channel(n, "eeg", "uV") for n in names)
        )
        out = apply(ChannelStatus(), Block(info, 0, 0.0, np.ascontiguousarray(x)))
        codes = out.data[5:, :19]
        shares.append(np.isin(codes, [0, CONDITIONS.index("blink")]).mean())
    assert min(shares) > 0.95
    off = physio.read(data / "empatica_e4" / "offwrist33s")
    for name, channel in (("e4.eda", "eda"), ("e4.temp", "temp")):
        (block,) = off.streams[name]
        told = apply(ChannelStatus(), block).column(f"condition.{channel}")[5:]
        assert set(told.tolist()) == {CONDITIONS.index("electrode off")}


def test_the_check_says_which_channels_are_not_fit(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "check.json"
    off = str(data / "empatica_e4" / "offwrist33s")
    done = CliRunner().invoke(app, ["check", off, "--json", str(path)])
    assert done.exit_code == 1
    assert "not fit: " in done.output
    assert "e4.eda eda (electrode off)" in done.output
    figures = json.loads(path.read_text("utf-8"))
    found = figures["channels"]
    assert found["e4.eda"]["eda"]["condition"] == "electrode off"
    assert found["e4.eda"]["eda"]["unit"] == "uS"
    rows = {row["name"]: row for row in figures["streams"]}
    assert rows["e4.bvp"]["computed"][0]["share"] < 0.5


def test_the_condition_refuses_what_it_cannot_judge() -> None:
    info = StreamInfo("a.b", Fraction(4), (Channel("x"),))
    with pytest.raises(
        ValueError,
        match=r"^the status of 'a.b' needs a window of 4 samples or more, min_valid "
        r"above 0 and mains above 0 Hz: 0.5 s, 0.9, 50 Hz$",
    ):
        ChannelStatus(window=0.5).output_info(info)
