"""Real-world recordings of wearables: each is read rightly, or refused with the reason.

Add a check with `reads` or `refuses`; inputs that other tests judge are in `ELSEWHERE`.
"""

import neurokit2 as nk
import numpy as np
import pytest

import cases
from cases import Expected, inputs, run, samples, warned
from physio.core.recording import Recording

WEAR: dict[str, Expected] = {}
"""What is right, by input."""

ELSEWHERE = {"07", "08", "10", "11", "13", "14", "21", "22", "23", "24", "25"}
"""Numbers of the cases of signals, units and clocks, which other tests judge."""


def reads(folder, *names, **options):  # type: ignore[no-untyped-def]
    def register(check):  # type: ignore[no-untyped-def]
        for name in names:
            WEAR[f"wear/{folder}/{name}"] = Expected(check, "", options)
        return check

    return register


def refuses(folder: str, name: str, message: str) -> None:
    WEAR[f"wear/{folder}/{name}"] = Expected(None, message, {})


def first(recording: Recording, stream: str) -> float:
    return float(samples(recording, stream)[0, 0])


def rate(recording: Recording, stream: str) -> float:
    return float(recording.streams[stream][0].info.rate)


# OpenSignals: the makers' transfer functions


@reads("01-bitalino-opensignals-ecg", "four_sensors.txt")
def _(recording: Recording) -> None:
    assert first(recording, "bitalino.ecg") == pytest.approx(
        (731 / 1024 - 0.5) * 3.3 / 1100 * 1e3
    )
    eda = samples(recording, "bitalino.eda")
    assert eda[0, 0] == pytest.approx(205 / 1024 * 3.3 / 0.132)
    assert np.median(eda) == pytest.approx(4.95, abs=0.1)
    assert pulse(samples(recording, "bitalino.ecg")[:, 0], 1000) > 40


@reads("01-bitalino-opensignals-ecg", "one_sensor.txt")
def _(recording: Recording) -> None:
    assert list(recording.streams) == ["bitalino.ecg"]
    assert np.std(samples(recording, "bitalino.ecg")) > 0.05


@reads("02-opensignals-12-bit", "plux12.txt")
def _(recording: Recording) -> None:
    eda = samples(recording, "plux.eda")
    assert eda[0, 0] == pytest.approx(820 / 4096 * 3 / 0.12)
    assert np.median(eda) == pytest.approx(4.95, abs=0.1)


@reads("03-opensignals-raw-sensors", "rawsensors.txt")
def _(recording: Recording) -> None:
    ecg = samples(recording, "bitalino.ecg")[:, 0]
    assert pulse(ecg, 100) == pytest.approx(76, abs=4)
    assert warned(recording, "kind is unknown: A2 .RAW., A4 .RAW.")


def pulse(ecg: np.ndarray, sampling_rate: int) -> float:
    """Return the heart rate by neurokit2 (1/min)."""
    clean = nk.ecg_clean(ecg, sampling_rate)
    peaks = nk.ecg_peaks(clean, sampling_rate)[1]["ECG_R_Peaks"]
    return float(60 / np.median(np.diff(peaks)) * sampling_rate)


# EmotiBit


@reads("04-emotibit-brainflow", "emotibit_default.csv", board="emotibit")
def _(recording: Recording) -> None:
    blocks = recording.streams["emotibit.acc"]
    assert rate(recording, "emotibit.acc") == pytest.approx(23.9, abs=0.3)
    lost = blocks[-1].stop - sum(map(len, blocks))
    assert lost < 0.05 * blocks[-1].stop


@reads("04-emotibit-brainflow", "emotibit_anc.csv", board="emotibit:anc")
def _(recording: Recording) -> None:
    assert first(recording, "emotibit.eda") == 0.030162
    assert np.median(samples(recording, "emotibit.temp")) == pytest.approx(31, abs=1)


@reads("04-emotibit-brainflow", "emotibit_aux.csv", board="emotibit:aux")
def _(recording: Recording) -> None:
    assert samples(recording, "emotibit.ppg")[0].tolist() == [4013, 4283, 321]


@reads("05-emotibit-own-files", "raw.csv")
def _(recording: Recording) -> None:
    rates = {n.partition(".")[2]: float(b[0].info.rate)
             for n, b in recording.streams.items()}  # fmt: skip
    assert rates["eda"] == pytest.approx(15, rel=0.01)
    assert rates["ppg"] == pytest.approx(25, rel=0.01)
    assert rates["acc"] == pytest.approx(25, rel=0.01)
    assert {"temp", "temp2"} <= rates.keys()
    assert samples(recording, "emotibit.ppg")[0].tolist() == [145606, 127995, 6304]


@reads("05-emotibit-own-files", "first_EA.csv")
def _(recording: Recording) -> None:
    assert rate(recording, "emotibit.eda") == 15
    assert first(recording, "emotibit.eda") == 0.075789


# Empatica EmbracePlus


@reads("06-embraceplus-avro", "embraceplus_6s.avro")
def _(recording: Recording) -> None:
    rates = {n.partition(".")[2]: float(b[0].info.rate)
             for n, b in recording.streams.items()}  # fmt: skip
    assert rates == pytest.approx(
        {"eda": 4.0023, "bvp": 64, "acc": 64.0012, "temp": 1}, rel=2e-4
    )
    acc = samples(recording, "embraceplus.acc")[0]
    assert acc == pytest.approx(np.array([545, -2134, -480]) * 32 / 65535, rel=1e-4)
    starts = {n: b[0].t0 for n, b in recording.streams.items()}
    assert starts["embraceplus.eda"] == pytest.approx(1.128114, abs=1e-5)
    assert starts["embraceplus.bvp"] == 0
    assert len(recording.events["embraceplus.ibi"]) == 7
    assert len(recording.events["embraceplus.tags"]) == 0


# BIOPAC


@reads("09-biopac-acq", "r35_test.acq")
def _(recording: Recording) -> None:
    (block,) = recording.streams["biopac.misc"]
    assert (len(block), rate(recording, "biopac.misc")) == (31486, 100)
    assert block.data[0].tolist() == [-46.484375, -77.5146484375]
    assert {c.unit for c in block.info.channels} == {"mV"}


# Intervals between beats


@reads("12-rr-intervals-only", "nn.txt")
def _(recording: Recording) -> None:
    beats = recording.events["table.ibi"].data[:, 0]
    assert 60 / beats.mean() == pytest.approx(83.5, abs=0.3)
    expected = nk.hrv_time({"RRI": 1000 * beats, "RRI_Time": np.cumsum(beats)})
    assert 1000 * np.sqrt(np.mean(np.diff(beats) ** 2)) == pytest.approx(19.5, abs=0.1)
    assert float(expected["HRV_RMSSD"].iloc[0]) == pytest.approx(19.5, abs=0.1)
    assert 1000 * beats.std(ddof=1) == pytest.approx(43.1, abs=0.1)


@reads("12-rr-intervals-only", "rest_rri.txt")
def _(recording: Recording) -> None:
    assert recording.events["table.ibi"].data[0, 0] == 1.114


@reads("12-rr-intervals-only", "exercise_rri.hrm")
def _(recording: Recording) -> None:
    beats = recording.events["polar.ibi"]
    assert beats.times[-1] == pytest.approx(42 * 60 + 41.7, abs=1)


@reads("12-rr-intervals-only", "e4_ibi_hr_only")
def _(recording: Recording) -> None:
    assert len(recording.events["e4.ibi"]) == 92
    assert first(recording, "e4.hr") == 72


# Exports of the E4


@reads("16-e4-zero-length", "export")
def _(recording: Recording) -> None:
    assert {"e4.bvp", "e4.temp"} <= recording.streams.keys()
    assert warned(recording, "EDA.csv is empty and left out")


@reads("17-e4-zips", "nested.zip")
def _(recording: Recording) -> None:
    assert len(samples(recording, "e4.eda")) == 360


refuses("17-e4-zips", "two_sessions.zip", "choose one of 'a', 'b', as in --session")


@reads("18-e4-names-and-office", "lower", "prefix", "decimal_comma")
def _(recording: Recording) -> None:
    assert samples(recording, "e4.eda")[:2, 0] == pytest.approx([3, 3], abs=0.01)
    assert len(samples(recording, "e4.eda")) == 360


@reads("19-e4-lines", "crlf_bom")
def _(recording: Recording) -> None:
    assert len(samples(recording, "e4.eda")) == 360
    assert "warnings" not in recording.metadata


@reads("19-e4-lines", "empty_line")
def _(recording: Recording) -> None:
    eda = samples(recording, "e4.eda")
    assert (len(eda), int(np.isnan(eda).sum())) == (360, 1)
    assert warned(recording, "1 of 360 samples are missing")


# Tables


@reads("20-plain-csv", "plain.csv")
def _(recording: Recording) -> None:
    ppg = samples(recording, "table.ppg")[:, 0]
    assert rate(recording, "table.ppg") == 64
    assert ppg_rate(ppg, 64) == pytest.approx(72, abs=1)
    assert np.percentile(samples(recording, "table.eda"), 5) == pytest.approx(
        3, abs=0.3
    )
    assert {c.unit for c in recording.streams["table.acc"][0].info.channels} == {"g"}


@reads("20-plain-csv", "max30102.csv")
def _(recording: Recording) -> None:
    assert ppg_rate(-samples(recording, "max30102.ppg")[:, 0], 100) == pytest.approx(
        72, abs=1
    )


@reads("20-plain-csv", "polar_ecg.txt")
def _(recording: Recording) -> None:
    assert rate(recording, "polar.ecg") == 130
    assert samples(recording, "polar.ecg")[:3, 0].tolist() == [0, 252, 272]


@reads("20-plain-csv", "polar_rr.txt")
def _(recording: Recording) -> None:
    beats = recording.events["polar.ibi"]
    assert 60 / beats.data.mean() == pytest.approx(73.6, abs=0.5)
    # The app stamps them once a second; beats follow each other by their intervals.
    assert np.diff(beats.times)[:10] == pytest.approx(beats.data[1:11, 0])


@reads("20-plain-csv", "shim_tab.csv")
def _(recording: Recording) -> None:
    assert (rate(recording, "shimmer.eda"), first(recording, "shimmer.eda")) == (4, 3)


def ppg_rate(ppg: np.ndarray, sampling_rate: int) -> float:
    """Return the pulse rate by neurokit2 (1/min)."""
    clean = nk.ppg_clean(ppg, sampling_rate)
    peaks = nk.ppg_findpeaks(clean, sampling_rate)["PPG_Peaks"]
    return float(60 / np.median(np.diff(peaks)) * sampling_rate)


@reads("15-e4-stamps-off", "start_in_ms")
def _(recording: Recording) -> None:
    assert recording.seconds == pytest.approx(90, abs=1)
    assert recording.events["e4.tags"].times.tolist() == [60, 120]
    assert warned(recording, "EDA.csv state the start in milliseconds")


@reads("15-e4-stamps-off", "tag_days_late")
def _(recording: Recording) -> None:
    assert recording.seconds < 91
    assert not len(recording.events["e4.tags"])
    assert warned(recording, "e4.tags: 1 of 1 events lie up to 5.0 days after")


refuses("15-e4-stamps-off", "two_hours_off", "EDA.csv starts 2.0 h after TEMP.csv")


@pytest.mark.parametrize("name", WEAR)
@pytest.mark.filterwarnings("ignore")
def test_the_case_is_read_or_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "EXPECTED", WEAR)
    run(name)


def test_the_other_session_of_a_zip_is_chosen_by_its_name() -> None:
    from physio.datasets.open_recording import read

    path = cases.CASES / "wear" / "17-e4-zips" / "two_sessions.zip"
    if not path.exists():
        pytest.skip(f"no inputs beside the recordings: there is no {path}")
    assert len(samples(read(path, session="b"), "e4.eda")) == 360


def test_every_case_has_a_check() -> None:
    there = [n for n in inputs("wear") if n.split("/")[1][:2] not in ELSEWHERE]
    if not there:
        pytest.skip("no inputs beside the recordings: PHYSIO_DATA names no folder")
    assert [n for n in there if n not in WEAR] == []
