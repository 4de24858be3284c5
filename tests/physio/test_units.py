"""Units and kinds of channels, as devices and files write them."""

import pytest

from physio.io.channel_kinds import ChannelKind, channel_kind
from physio.io.units import read_unit, unit_note

EEG = ChannelKind("eeg", "uV")


@pytest.mark.parametrize(
    ("spellings", "usual", "unit", "factor"),
    [
        ("uV UV uv microV microvolt Microvolts uVolts \xb5V \u03bcV", "uV", "uV", 1.0),
        ("[uV] (uV) \xc2\xb5V \x83\xcaV -6 uV\0\0", "uV", "uV", 1.0),
        ("mV millivolts MilliVolt -3", "uV", "uV", 1e3),
        ("V volts Volt 0", "uV", "uV", 1e6),
        ("nV nanovolts -9", "uV", "uV", 1e-3),
        ("uS us microsiemens \xb5S uMho umhos micromho -6", "uS", "uS", 1.0),
        ("nS nanosiemens", "uS", "uS", 1e-3),
        ("mS", "uS", "uS", 1e3),
        ("S Siemens mho 0", "uS", "uS", 1e6),
        ("kOhm kohms k\u03a9 k\u2126 kiloohm", "uS", "kOhm", 1.0),
        ("g G", "g", "g", 1.0),
        ("mg", "g", "g", 1e-3),
        ("m/s^2 m/s2 m/s\xb2 m/s/s", "g", "m/s^2", 1.0),
        ("degC C \xb0C celsius Celsius", "degC", "degC", 1.0),
        ("degF F \xb0F fahrenheit", "degC", "degF", 1.0),
        ("K kelvin", "degC", "K", 1.0),
        ("counts count ADC raw", "uV", "counts", 1.0),
        ("1 a.u. unitless", "uV", "1", 1.0),
        ("bpm 1/min beats/min", "1", "1/min", 1.0),
        ("% percent", "1", "%", 1.0),
        ("mV millivolts", "1", "mV", 1.0),
        ("s sec seconds", "1", "s", 1.0),
        ("S siemens", "1", "S", 1.0),
        ("us", "1", "us", 1.0),
        ("none NA n/a", "1", "1", 1.0),
    ],
)
def test_spellings(spellings: str, usual: str, unit: str, factor: float) -> None:
    for text in spellings.split(" "):
        assert read_unit(text, usual) == (unit, factor, False), text


@pytest.mark.parametrize("text", [".V", "furlong", "uV/bit", "xV", "MVA", "12345"])
def test_an_unknown_unit_scales_nothing_and_is_named(text: str) -> None:
    assert read_unit(text, "uV") == (text, 1.0, False)
    note = unit_note("a.eeg", text, "uV", ["Fz"])
    assert note.startswith(f"a.eeg states the unit {text!r} for Fz, which does not ")


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "none", "unknown", "-"])
def test_a_missing_unit_is_named(text: str) -> None:
    assert read_unit(text, "uV") == ("uV", 1.0, True)
    note = unit_note("a.eeg", text, "uV", ["Fz"])
    assert note.startswith("a.eeg states no unit for Fz: values are taken as uV, ")
    assert unit_note("a.ppg", text, "1", ["ppg"]) == ""


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("eeg", "Fp1 Cz TP9 A1 M2 FT10 EEG1 C3-M2 FP1-F7 O2-REF E1 B32"),
        ("gsr", "GSR EDA SCL SCR eda1 SC"),
        ("bio", "Pleth PPG1 BVP Pulse pleth"),
        ("ecg", "ECG EKG1 ECG-LA EKG-REF ecgII"),
        ("eog", "LEOG REOG HEOG VEOG EOG_Left LOC ROC-REF E1-M2 E2-A1"),
        ("emg", "EMG CHIN1 chin1-chin2 LAT Leg/L EMG_zyg LEMG"),
        ("resp", "Resp Thorax ABDOMEN Airflow Nasal_Pressure thor abdo"),
        ("temperature", "Temp Temperature SKT temp1"),
        ("misc", "SpO2 SaO2 HR DC1 COUNTER CQ_AF3 GYROX ACC1 BAT TIME_STAMP_ms"),
        (
            "misc",
            "AUX_RIGHT INTERPOLATED RAW_CQ Battery Position Snore timestamps SYNC",
        ),
        ("stim", "Status TRIGGER TRG MARKER Trig1"),
    ],
)
def test_kinds_by_label(kind: str, labels: str) -> None:
    for label in labels.split():
        assert channel_kind(label, "", "", EEG).kind == kind, label


@pytest.mark.parametrize(
    ("unit", "kind"),
    [("uS", "gsr"), ("degC", "temperature"), ("%", "misc"), ("bpm", "misc"),
     ("g", "misc"), ("uV", "eeg"), ("", "eeg"), (".V", "eeg")],
)  # fmt: skip
def test_kinds_by_unit(unit: str, kind: str) -> None:
    assert channel_kind("X7", unit, "", EEG).kind == kind
    assert channel_kind("X7", unit, "EEG", EEG).kind == kind


def test_a_declared_type_comes_before_the_label() -> None:
    assert channel_kind("GSR", "uV", "EEG", EEG) == EEG
    assert channel_kind("Fp1", "uV", "REF", EEG).kind == "misc"
    assert channel_kind("TRIGGER", "uV", "EEG", EEG).kind == "stim"
    assert channel_kind("Fp1", "uV", "EEG").kind == "eeg"
