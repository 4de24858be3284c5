"""Analyses of whole recordings: both ends, gaps, conditions and events."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import physio
from physio.cli import app
from physio.core.block import Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.datasets.provenance import NON_CAUSAL, refuse_non_causal
from physio.evaluation.config import train
from physio.offline.analysis import Analysis, AnalysisSettings, analyze
from physio.offline.analysis_files import TABLES
from physio.offline.rr_artifacts import classify_intervals, correct_beats
from physio.offline.span_measures import DESCRIPTIONS, hf_power
from synthetic_signals import BREATHS, beat_times, block, recording, skin, waves


@pytest.fixture(scope="module")
def short() -> Analysis:
    onsets = [1.0, 12.0, 30.0, 55.0]
    return analyze(recording(block("e4.eda", "gsr", "uS", 4.0, skin(onsets, 60.0))))


@pytest.fixture(scope="module")
def chest() -> Analysis:
    """Return two minutes of ECG, belt, temperature and acceleration."""
    rng = np.random.default_rng(2)
    t = np.arange(120 * 25) / 25
    breathing = np.sin(2 * np.pi * BREATHS * t) + 0.02 * rng.standard_normal(len(t))
    shake = np.where(t[:, None] < 60, 0.0, 0.2) * rng.standard_normal((len(t), 3))
    acc = np.array([0.0, 0.0, 1.0]) + shake
    return analyze(
        recording(
            block("c.ecg", "ecg", "mV", 250, waves(beat_times(120), 120, 250, "ecg")),
            block("c.resp", "resp", "1", 25, breathing),
            block("c.temp", "temperature", "degC", 4, np.full(480, 33.5)),
            block("c.acc", "misc", "g", 25, acc, "acc.x", "acc.y", "acc.z"),
        )
    )


def values(table: pd.DataFrame, condition: str = "recording") -> pd.DataFrame:
    return table[table["condition"] == condition].set_index("measure")


def test_responses_at_both_ends_are_returned(short: Analysis) -> None:
    assert np.allclose(short.scrs["onset"], [1.0, 12.0, 30.0, 55.0], atol=0.6)
    assert (short.scrs["peak"] > short.scrs["onset"]).all()
    assert (short.scrs["recovery"] > short.scrs["peak"]).all()
    peak = np.max(skin([0.0], 10.0) - skin([], 10.0))
    assert np.allclose(short.scrs["amplitude"], peak, rtol=0.15)


@pytest.mark.parametrize("seconds", [8.0, 11.0])
def test_files_of_seconds_are_analysed(seconds: float) -> None:
    onsets = [1.0, seconds - 3.5]
    x = block("e4.eda", "gsr", "uS", 4.0, skin(onsets, seconds))
    pulse = block("e4.bvp", "bio", "1", 64, waves(beat_times(seconds), seconds, 64, ""))
    result = analyze(recording(x, pulse))
    assert len(result.scrs) == 2
    assert np.allclose(result.scrs["onset"], onsets, atol=0.75)
    true = beat_times(seconds)
    assert len(result.beats) == len(true)
    assert np.allclose(result.beats["time"], true, atol=0.05)
    assert result.beats["accepted"].sum() == len(true) - 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("kind", "rate"), [("ecg", 250), ("ecg", 1000), ("bio", 64)])
def test_every_beat_of_either_sign_is_returned(
    kind: str, rate: float, sign: int
) -> None:
    true = beat_times(40)
    x = sign * waves(true, 40, rate, kind)
    result = analyze(recording(block("d.heart", kind, "mV", rate, x)))
    assert len(result.beats) == len(true)
    offset = result.beats["time"] - true
    assert np.ptp(offset) < 0.01
    assert abs(offset.mean()) < 0.03
    assert result.beats["accepted"].sum() == len(true) - 1
    assert not result.beats["corrected"].any()


def test_noise_has_no_heart_rate() -> None:
    rng = np.random.default_rng(3)
    x = block("d.bvp", "bio", "1", 64, rng.standard_normal(64 * 120))
    track = analyze(recording(x)).signals["d.bvp/bio"]
    assert track["heart_rate"].notna().mean() < 0.02


def test_a_recording_without_any_beat_is_analysed() -> None:
    flat = block("d.ecg", "ecg", "uV", 128, np.zeros(128 * 60))
    eda = block("d.eda", "gsr", "uS", 4.0, skin([12.0, 30.0], 60.0))
    result = analyze(recording(flat, eda))
    assert not len(result.beats)
    assert result.beats["accepted"].dtype == bool
    table = result.spans().set_index("measure")
    assert np.isnan(table.loc["mean_heart_rate", "value"])
    assert table.loc["mean_heart_rate", "reason"] == "no accepted interval"
    assert table.loc["scl", "value"] > 2


def test_a_gap_stays_a_gap() -> None:
    true = beat_times(60)
    x = waves(true, 60, 250, "ecg")
    x[20 * 250 : 30 * 250] = MissingReason.NO_SIGNAL.nan
    result = analyze(recording(block("d.ecg", "ecg", "mV", 250, x)))
    inside = result.beats["time"].between(19.95, 30.05)
    assert not inside.any()
    track = result.signals["d.ecg/ecg"]
    assert track["heart_rate"].loc[21:29].isna().all()
    assert not track["artifact"].loc[21:29].any()
    row = values(result.spans()).loc["mean_heart_rate"]
    assert row["coverage"] == pytest.approx(49 / 60, abs=0.04)
    eda = skin([5.0, 24.0, 45.0], 60.0)
    eda[20 * 4 : 30 * 4] = np.nan
    result = analyze(recording(block("d.eda", "gsr", "uS", 4, eda)))
    parts = result.signals["d.eda/gsr"]
    assert parts["scl"].loc[20.5:29.5].isna().all()
    assert not result.scrs["onset"].between(20, 30).any()
    assert values(result.spans()).loc["scl", "coverage"] == pytest.approx(
        5 / 6, abs=0.01
    )


def test_artifacts_and_losses_are_told_apart() -> None:
    eda = skin([5.0], 60.0)
    eda[80:100], eda[160:180] = 0.0, np.nan  # off the skin for 5 s, lost for 5 s
    row = values(analyze(recording(block("d.eda", "gsr", "uS", 4, eda))).spans())
    scl = row.loc["scl"]
    assert scl["artifact"] == pytest.approx(15 / 60, abs=0.02)  # 5 s on both sides
    assert scl["coverage"] == pytest.approx(40 / 60, abs=0.02)


def test_a_return_from_a_contact_dip_is_no_response() -> None:
    eda = skin([5.0, 45.0], 60.0)
    eda[100:108] -= np.array([0.5, 0.9, 1.0, 1.0, 0.9, 0.7, 0.4, 0.1])
    result = analyze(recording(block("d.eda", "gsr", "uS", 4, eda)))
    assert np.allclose(result.scrs["onset"], [5.0, 45.0], atol=0.6)
    tonic = result.signals["d.eda/gsr"]["scl"]
    assert tonic.max() - tonic.min() < 0.3
    row = values(result.spans()).loc["scl"]
    assert row["artifact"] > 0.02
    assert row["coverage"] > 0.9


def test_artifacts_of_intervals_are_corrected_as_published() -> None:
    from neurokit2.signal.signal_fixpeaks import _find_artifacts

    rng = np.random.default_rng(4)
    rr = 0.85 + 0.05 * np.sin(np.arange(200) / 3) + 0.02 * rng.standard_normal(200)
    times = np.cumsum(rr)
    spoiled = np.delete(times, 60)  # missed
    spoiled = np.sort(np.append(spoiled, spoiled[100] + 0.35))  # extra
    spoiled[150] -= 0.3  # ectopic
    kinds = classify_intervals(np.diff(spoiled))
    peers, _ = _find_artifacts(1000 * spoiled, sampling_rate=1000)
    for kind in ("missed", "extra", "ectopic"):
        ours = np.flatnonzero(kinds == kind) + 1
        theirs = np.array(peers[kind])
        assert len(ours)
        assert all(np.abs(theirs - i).min() <= 1 for i in ours)
    fixed = correct_beats(spoiled)
    assert len(fixed.times) == len(times)
    assert np.abs(fixed.times - times).max() < 0.12
    assert 3 <= fixed.corrected.sum() <= 8
    clean = correct_beats(times)
    assert np.array_equal(clean.times, times)
    assert not clean.corrected.any()


def test_a_regular_series_is_not_corrected() -> None:
    assert not correct_beats(np.arange(0.0, 60.0, 0.8)).corrected.any()
    assert len(correct_beats(np.empty(0)).times) == 0
    assert len(correct_beats(np.array([1.0])).times) == 1


def test_measures_of_a_chest(chest: Analysis) -> None:
    rows = values(chest.spans())
    true = np.diff(beat_times(120))
    assert rows.loc["mean_heart_rate", "value"] == pytest.approx(
        60 / true.mean(), rel=0.002
    )
    rmssd = 1e3 * np.sqrt(np.mean(np.diff(true) ** 2))
    assert rows.loc["hrv_rmssd", "value"] == pytest.approx(rmssd, rel=0.08)
    assert rows.loc["hrv_ln_rmssd", "value"] == pytest.approx(
        np.log(rows.loc["hrv_rmssd", "value"])
    )
    assert rows.loc["hrv_sdnn", "value"] == pytest.approx(1e3 * true.std(), rel=0.08)
    assert rows.loc["breathing_rate", "value"] == pytest.approx(15.0, abs=0.2)
    assert rows.loc["derived_breathing_rate", "value"] == pytest.approx(15.0, abs=0.5)
    assert rows.loc["hrv_hf", "value"] == pytest.approx(1e6 * true.var(), rel=0.15)
    assert rows.loc["share_corrected", "value"] == 0
    assert rows.loc["skin_temperature", "value"] == pytest.approx(33.5)
    halves = chest.spans([ConditionSpan("a", 0, 60), ConditionSpan("b", 60, 120)])
    rest, shaken = (values(halves, c).loc["mean_activity", "value"] for c in "ab")
    assert rest == pytest.approx(0.0, abs=1e-6)
    assert shaken == pytest.approx(0.2 * np.sqrt(2 / np.pi), rel=0.1)
    assert set(rows.index) <= set(DESCRIPTIONS)


def test_high_frequency_power_needs_breathing_within_it() -> None:
    beats = waves(beat_times(120), 120, 250, "ecg")
    t = np.arange(120 * 25) / 25
    for rate, said in ((0.1, "outside 9 to 24/min"), (0.0, "")):
        belt = np.sin(2 * np.pi * rate * t) if rate else np.full(len(t), np.nan)
        streams = [block("c.ecg", "ecg", "mV", 250, beats)]
        streams += [block("c.resp", "resp", "1", 25, belt)] if rate else []
        row = values(analyze(recording(*streams)).spans()).loc["hrv_hf"]
        assert np.isnan(row["value"]) == bool(rate)
        assert said in row["reason"]


def test_power_of_a_sine_is_half_its_square() -> None:
    times = np.cumsum(np.full(300, 0.8))
    intervals = 0.8 + 0.03 * np.sin(2 * np.pi * 0.25 * times)
    assert hf_power(times, intervals) == pytest.approx(30**2 / 2, rel=0.05)


def test_few_beats_have_no_variability() -> None:
    x = block("c.ecg", "ecg", "mV", 250, waves(beat_times(20), 20, 250, "ecg"))
    row = values(analyze(recording(x)).spans()).loc["hrv_rmssd"]
    assert np.isnan(row["value"])
    assert "pairs of measured intervals, fewer than 30" in row["reason"]


@pytest.mark.parametrize(
    ("device", "prefix"), [("polar", "hrv"), ("e4", "prv"), ("embraceplus", "prv")]
)
def test_intervals_alone_are_an_input(device: str, prefix: str) -> None:
    times = beat_times(180)
    info = event_stream(f"{device}.ibi", Channel("interval", "misc", "s"))
    rr = np.diff(times)
    keep = np.ones(len(rr), bool)
    keep[80:90] = False  # lost
    beats = Events(info, 180.0, times[1:][keep], rr[keep][:, None].copy())
    result = analyze(Recording({}, {info.name: beats}))
    assert len(result.beats) == len(times) - 9
    assert result.beats["accepted"].sum() == keep.sum()
    rows = values(result.spans([ConditionSpan("recording", 0.0, 180.0)]))
    rmssd = 1e3 * np.sqrt(np.mean(np.diff(rr) ** 2))
    assert rows.loc[f"{prefix}_rmssd", "value"] == pytest.approx(rmssd, rel=0.03)
    assert rows.loc["mean_heart_rate", "value"] == pytest.approx(
        60 / rr.mean(), rel=0.002
    )
    assert rows.loc["derived_breathing_rate", "value"] == pytest.approx(15, abs=0.5)


def test_power_and_asymmetry_of_eeg() -> None:
    rate, rng = 128, np.random.default_rng(5)
    t = np.arange(30 * rate) / rate
    alpha = np.sin(2 * np.pi * 10 * t)[:, None] * np.array([10.0, 20.0])
    x = alpha + 2 * rng.standard_normal((len(t), 2))
    x[10 * rate : 11 * rate, 0] += 300 * np.sin(2 * np.pi * 3 * t[:rate])
    result = analyze(recording(block("h.eeg", "eeg", "uV", rate, x, "F3", "F4")))
    rows = result.spans().set_index(["measure", "channel"])
    left, right = (rows.loc[("eeg_power.alpha", c)] for c in ("F3", "F4"))
    assert left["value"] == pytest.approx(50, rel=0.1)
    assert right["value"] == pytest.approx(200, rel=0.1)
    assert left["artifact"] > 0.05 > right["artifact"]
    asymmetry = rows.loc[("frontal_alpha_asymmetry", "F4-F3"), "value"]
    assert asymmetry == pytest.approx(np.log(4), abs=0.1)
    entropy = rows.loc[("eeg_entropy.alpha", "F4"), "value"]
    assert entropy == pytest.approx(np.log2(2 * np.pi * np.e * right["value"]) / 2)


def test_a_span_has_a_row_for_each_measure(short: Analysis) -> None:
    table = short.spans([ConditionSpan("a", 0.0, 20.0), ConditionSpan("b", 60.0, 80.0)])
    rows = table.set_index(["condition", "measure"])
    assert rows.loc[("a", "scr_per_minute"), "n"] == 2
    assert rows.loc[("a", "scl"), "coverage"] == pytest.approx(1.0)
    assert np.isnan(rows.loc[("b", "scl"), "value"])
    assert rows.loc[("b", "scl"), "reason"] == "no valid sample"
    assert table.attrs["provenance"] == NON_CAUSAL
    with pytest.raises(ValueError, match="'c' must end after its begin: 5 to 5 s"):
        short.spans([ConditionSpan("c", 5.0, 5.0)])


def test_events_tell_responders_and_missing_windows(short: Analysis) -> None:
    table = short.events([10.5, 20.0, 58.0])
    assert table["responder"].tolist()[:2] == [1.0, 0.0]
    assert table.loc[0, "latency"] == pytest.approx(1.5, abs=0.6)
    assert table.loc[0, "magnitude"] == table.loc[0, "amplitude"]
    assert table.loc[1, "magnitude"] == 0.0
    assert np.isnan(table.loc[1, "amplitude"])
    assert np.isnan(table.loc[2, "responder"])
    assert table.loc[2, "skin_reason"] == "the window exceeds the recording"
    assert set(table["heart_reason"]) == {"no heart beats"}
    with pytest.raises(ValueError, match="0 <= a < b: 4 to 1 s"):
        short.events([1.0], (4.0, 1.0))


def test_events_change_the_heart_rate() -> None:
    rr = np.where(np.arange(60) < 30, 0.9, 0.75)
    times = 0.5 + np.cumsum(rr)
    x = waves(times, times[-1] + 1, 250, "ecg")
    result = analyze(recording(block("c.ecg", "ecg", "mV", 250, x)))
    row = result.events([times[29], 1.0]).iloc[0]
    assert row["heart_rate_before"] == pytest.approx(60 / 0.9, rel=0.02)
    assert row["heart_rate_change"] == pytest.approx(80 - 60 / 0.9, rel=0.1)
    reasons = result.events([1.0])["heart_reason"].tolist()
    assert reasons == ["too few accepted intervals around the event"]


def test_no_measure_shares_a_name_with_a_live_feature() -> None:
    from physio import config
    from physio.core.stage import Chain
    from physio.online.shipped_chains import default_chains

    kinds = (("gsr", "uS"), ("ecg", "mV"), ("bio", "1"), ("resp", "1"))
    kinds += (("temperature", "degC"), ("eeg", "uV"))
    infos = [
        StreamInfo(f"d.{kind}", Fraction(128), (Channel("F3", kind, unit),))
        for kind, unit in kinds
    ]
    axes = tuple(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz")
    infos.append(StreamInfo("d.acc", Fraction(32), axes))
    streams = {info.name: info for info in infos}
    names: set[str] = set()
    for chain, table in default_chains(infos).items():
        stages = tuple(config.build(s, chain) for s in table["stages"])
        out = Chain(stages).output_info(streams[table["stream"]])
        names |= {f"{chain}.{name}" for name in out.names}
    assert {"eda.tonic", "motion.activity", "temperature.level"} & names
    names |= {name.partition(".")[2] for name in names}
    assert not set(DESCRIPTIONS) & names


def test_streams_that_are_not_analysed_are_named() -> None:
    eda = block("a.eda", "gsr", "kOhm", 4, np.full(80, 300.0))
    with pytest.raises(ValueError, match=r"a\.eda: gsr in kOhm is not analysed"):
        analyze(recording(eda))
    pulses = np.stack([waves(beat_times(20), 20, 64, "")] * 2, 1)
    two = block("a.ppg", "bio", "1", 64, pulses, "red", "ir")
    assert analyze(recording(two)).notes == (
        "a.ppg: ir not analysed: of a pulse wave the first channel is, red",
    )
    with pytest.raises(ValueError, match="above 0"):
        AnalysisSettings(scr_threshold=0.0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an Empatica E4 export with a button press."""
    folder = tmp_path_factory.mktemp("e4") / "p07"
    folder.mkdir()
    eda = skin([1.0, 12.0, 30.0, 55.0], 62.0)
    lines = ["1700000000.0", "4.0", *(f"{v:.6f}" for v in eda)]
    (folder / "EDA.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "tags.csv").write_text("1700000010.5\n", "utf-8")
    sheet = "condition,begin,end\nrest,0,30\ntask,30,62\n"
    (folder.parent / "sheet.csv").write_text(sheet, "utf-8")
    return folder


def run(*args: object) -> str:
    result = CliRunner().invoke(app, ["analyze", *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_tables_and_overwrites_none(exported: Path) -> None:
    sheet, picture = exported.parent / "sheet.csv", exported.parent / "p07.png"
    text = run(exported, "--conditions", sheet, "--plot", picture, "--json", "-")
    assert "whole record, non-causal" in text
    folder = exported.parent / "p07_analysis"
    raw = (folder / "spans.csv").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n")
    spans = pd.read_csv(folder / "spans.csv")
    assert spans["condition"].unique().tolist() == ["rest", "task"]
    assert set(spans["provenance"]) == {NON_CAUSAL}
    events = pd.read_csv(folder / "events.csv")
    assert events["responder"].tolist() == [1]
    about = json.loads((folder / "analysis.json").read_text("utf-8"))
    assert about["causal"] is False
    assert about["tables"]["scrs.csv"]["amplitude"]["unit"] == "uS"
    for name in TABLES:
        columns = pd.read_csv(folder / f"{name}.csv").columns
        assert list(about["tables"][f"{name}.csv"]) == list(columns)
    assert picture.stat().st_size > 10_000
    before = {p: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(ValueError, match="exists, and is not overwritten"):
        run(exported)
    assert {p: p.read_bytes() for p in folder.iterdir()} == before
    with pytest.raises(ValueError, match="no marker begins with 'x'"):
        run(exported, "--events", "x", "--output", exported.parent / "other")
    assert not (exported.parent / "other").exists()


def test_training_refuses_the_tables(short: Analysis, tmp_path: Path) -> None:
    recipe = tmp_path / "wrist.toml"
    recipe.write_text("[training]\n", "utf-8")
    spans = short.spans()
    (tmp_path / "data").mkdir()
    refuse_non_causal(tmp_path / "data")
    spans.assign(provenance=NON_CAUSAL).to_csv(tmp_path / "data" / "t.csv")
    with pytest.raises(ValueError, match="live weights must not be trained on it"):
        train(recipe, tmp_path / "data")
    (tmp_path / "subject=S2").mkdir()
    file = tmp_path / "subject=S2" / "windows.parquet"
    spans.assign(analysis=NON_CAUSAL).to_parquet(file)
    with pytest.raises(ValueError, match=r"windows\.parquet is a whole-record"):
        train(recipe, tmp_path)
    spans.assign(analysis="live features, causal").to_parquet(file)
    refuse_non_causal(tmp_path)


def test_the_package_offers_it() -> None:
    assert physio.analyze is analyze


@pytest.mark.parametrize("rate", [2.0, 8.0, 15.6, 64.0, 1000.0])
def test_responses_do_not_depend_on_the_rate(rate: float, short: Analysis) -> None:
    x = skin([1.0, 12.0, 30.0, 55.0], 60.0, rate)
    x = x + 5e-4 * np.random.default_rng(6).standard_normal(len(x))
    x = np.round(x, 4)
    result = analyze(recording(block("e4.eda", "gsr", "uS", rate, x)))
    assert np.allclose(result.scrs["onset"], short.scrs["onset"], atol=0.51)
    assert np.allclose(result.scrs["amplitude"], short.scrs["amplitude"], rtol=0.15)
    rows, expected = values(result.spans()), values(short.spans())
    for name in ("scl", "scr_per_minute"):
        assert rows.loc[name, "value"] == pytest.approx(
            expected.loc[name, "value"], rel=0.02
        )
        assert rows.loc[name, "coverage"] == pytest.approx(1.0, abs=0.02)
