"""Tables of known programs, recognised by the names of their columns."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from physio.io.tables.column_map import TIME_UNITS, ColumnMap, ColumnSignal
from physio.io.tables.table_recording import numbers
from physio.io.tables.text_table import TextTable

Rule = tuple[str, str, str] | tuple[str, str, str, str]
"""Pattern of column names, kind, unit, and name of the channel (``\\\\1``: a group)."""


class TablePreset(NamedTuple):
    """Table of a program.

    Parameters
    ----------
    program
        Name of the program or device.
    name
        First part of the names of the streams.
    needs
        Patterns of columns that only this program writes, each present.
    signals
        Rules; of several rules for one kind and channel, the first that matches.
    time
        Patterns of the column of times, the preferred one first.
    rate
        Nominal rate (Hz); the measured one is used if it differs by a tenth.
    counter
        Pattern of the column of the sample counter.
    site
        Body site.
    source
        Document that describes the header.
    file
        Pattern of the name of the file, in lower case, where the header alone is not
        that of one table.
    median
        Range of the median magnitude of the signals, in place of the name of the file.
    """

    program: str
    name: str
    needs: tuple[str, ...]
    signals: tuple[Rule, ...]
    time: tuple[str, ...] = ()
    rate: float = 0.0
    counter: str = ""
    site: str = ""
    source: str = ""
    file: str = ""
    median: tuple[float, float] | None = None


def _axes(pattern: str, kind: str, unit: str) -> tuple[Rule, ...]:
    """Return the rules of three axes; ``@`` in the pattern is the axis."""
    return tuple((pattern.replace("@", a), f"{kind}.{a.lower()}", unit) for a in "XYZ")


_TEN_TEN: Final = (
    r"(?:Fp|AF|F|FC|FT|T|C|TP|CP|P|PO|O|I)(?:\d{1,2}|z)|Nz|Iz|CMS|DRL|A[12]|M[12]"
)
_SHIMMER: Final = r"(?:.*_)?"
_UNICORN: Final = ("Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8")
_CROWN: Final = ("CP3", "C3", "F5", "PO3", "PO4", "F6", "C4", "CP4")
_NOTION: Final = ("CP5", "F5", "C3", "CP3", "CP6", "F6", "C4", "CP4")

PRESETS: Final = (
    TablePreset(
        "Shimmer Consensys", "shimmer", (r"(?:.*_)?Timestamp\w*_(CAL|RAW)", r".+_CAL"),
        (
            (_SHIMMER + "GSR_Skin_Conductance(?:_CAL)?", "eda", "uS"),
            (_SHIMMER + "GSR_Skin_Resistance(?:_CAL)?", "eda", "kOhm"),
            (_SHIMMER + "GSR_CAL", "eda", "kOhm"),
            (_SHIMMER + r"(?:Internal_ADC|PPG)_A\d+(?:_CAL)?", "ppg", "mV"),
            (_SHIMMER + r"ECG_((?:L|R|V)\w-R\w)\w*_CAL", "ecg", "mV", r"\1"),
            (_SHIMMER + r"EMG_(CH\d)\w*_CAL", "emg", "mV", r"\1"),
            (_SHIMMER + r"(?:ECG_)?Respiration\w*_CAL", "resp", "mV"),
            *_axes(_SHIMMER + "Accel_LN_@_CAL", "acc", "m/s^2"),
            *_axes(_SHIMMER + "Accel_WR_@_CAL", "acc", "m/s^2"),
            *_axes(_SHIMMER + "Accel_@_CAL", "acc", "m/s^2"),
            *_axes(_SHIMMER + "Gyro_@_CAL", "gyro", "deg/s"),
            (_SHIMMER + r"IBI\w*_CAL", "rr", "ms"),
        ),
        (r".*Timestamp\w*Unix_CAL", r".*Timestamp\w*_CAL", r".*Timestamp.*"),
        source="Consensys user guide; Shimmer's sample exports",
    ),
    TablePreset(
        "Polar Sensor Logger", "polar", ("Phone timestamp", r".*\[.+\]|channel \d"),
        (
            (r"ecg \[uV\]", "ecg", "uV"),
            (r"(?:RR|PP)-interval \[ms\]", "rr", "ms"),
            *_axes(r"@ \[mg\]", "acc", "mg"),
            *_axes(r"@ \[dps\]", "gyro", "deg/s"),
            (r"channel ([012])", "ppg", "1", r"ppg\1"),
            (r"(?i)hr \[bpm\]", "hr", "1/min"),
        ),
        (r"sensor timestamp \[ns\]", r"timestamp \[ms\]", "Phone timestamp"),
        site="chest", source="files of the app Polar Sensor Logger",
    ),
    TablePreset(
        "muse-lsl", "muse", ("timestamps", "TP9", "AF7", "AF8", "TP10"),
        (
            (r"(TP9|AF7|AF8|TP10)", "eeg", "uV", r"\1"),
            (r"Marker\d*|column 7", "marker", ""),
        ),
        ("timestamps",), rate=256, site="head",
        source="muselsl/record.py (also files recorded from BlueMuse)",
    ),
    TablePreset(
        "muse-lsl, PPG", "muse", ("timestamps", "PPG1", "PPG2"),
        ((r"(PPG\d)", "ppg", "1", r"\1"),),
        ("timestamps",), rate=64, site="head", source="muselsl/record.py",
    ),
    TablePreset(
        "muse-lsl, ACC", "muse", ("timestamps", "X", "Y", "Z"),
        _axes("@", "acc", "g"),
        ("timestamps",), rate=52, site="head",
        source="muselsl/record.py, ACC_recording_<date>.csv",
        file=r".*acc.*", median=(0.8, 1.2),
    ),
    TablePreset(
        "muse-lsl, GYRO", "muse", ("timestamps", "X", "Y", "Z"),
        _axes("@", "gyro", "deg/s"),
        ("timestamps",), rate=52, site="head",
        source="muselsl/record.py, GYRO_recording_<date>.csv",
        file=r".*gyr.*",
    ),
    TablePreset(
        "Mind Monitor", "muse", ("TimeStamp", r"RAW_TP9", "Elements"),
        (
            (r"RAW_(TP9|AF7|AF8|TP10|FP1|FP2)", "eeg", "uV", r"\1"),
            *_axes("Accelerometer_@", "acc", "g"),
            *_axes("Gyro_@", "gyro", "deg/s"),
            (r"(Optics\d+)", "ppg", "1", r"\1"),
            ("Heart_Rate", "hr", "1/min"),
            ("Elements", "marker", ""),
        ),
        ("TimeStamp",), rate=256, site="head",
        source="mind-monitor.com, technical manual and FAQ",
    ),
    TablePreset(
        "EmotivPRO", "emotiv", (r"Timestamp", r"EEG\.Counter"),
        (
            (rf"EEG\.((?i:{_TEN_TEN}))", "eeg", "uV", r"\1"),
            *_axes("MOT.Acc@", "acc", "g"),
            *_axes("MOT.Gyro@", "gyro", "deg/s"),
            (r"EEG\.MarkerHardware|MarkerValueInt|EEG\.Markers", "marker", ""),
        ),
        ("Timestamp",), site="head",
        source="EmotivPRO manual, CSV files",
    ),
    TablePreset(
        "Unicorn Recorder", "unicorn",
        ("EEG 1", "EEG 8", "Counter", "Validation Indicator"),
        (
            *((f"EEG {i}", "eeg", "uV", e) for i, e in enumerate(_UNICORN, start=1)),
            *_axes("Accelerometer @", "acc", "g"),
            *_axes("Gyroscope @", "gyro", "deg/s"),
            ("(?i)trigger", "marker", ""),
        ),
        rate=250, counter="Counter", site="head",
        source="Unicorn Suite user manual, Unicorn Recorder",
    ),
    TablePreset(
        "Neurosity Crown", "crown", (r"(?i).*time.*", *_CROWN),
        (*((e, "eeg", "uV", e) for e in _CROWN), ("(?i)markers?", "marker", "")),
        ("(?i)unix_?timestamp", "(?i)timestamp", "(?i).*time.*"), rate=256, site="head",
        source="docs.neurosity.co, exported data",
    ),
    TablePreset(
        "Neurosity Notion", "notion", (r"(?i).*time.*", *_NOTION),
        (*((e, "eeg", "uV", e) for e in _NOTION), ("(?i)markers?", "marker", "")),
        ("(?i)unix_?timestamp", "(?i)timestamp", "(?i).*time.*"), rate=250, site="head",
        source="docs.neurosity.co, exported data",
    ),
    TablePreset(
        "MAX30102 logger", "max30102",
        (r"(?i)(?:.*[ _])?red\w*", r"(?i)(?:.*[ _])?ir\w*",
         r"(?i).*(?:millis|micros|time|ms).*"),
        (
            (r"(?i)(?:.*[ _])?(ir)(?:_?(?:value|led|raw))?", "ppg", "1", "ir"),
            (r"(?i)(?:.*[ _])?(red)(?:_?(?:value|led|raw))?", "ppg", "1", "red"),
        ),
        (r"(?i).*(?:millis|micros|time|ms).*",),
        source="SparkFun MAX3010x library, examples that print red and IR",
    ),
)  # fmt: skip
"""The presets, in the order in which they are tried."""


def match_preset(table: TextTable) -> ColumnMap | None:
    """Return the map of the first preset whose columns a table has, or None."""
    for preset in PRESETS:
        if all(any(re.fullmatch(p, n) for n in table.names) for p in preset.needs):
            signals = _signals(preset, table)
            if signals and _fits(preset, table, signals):
                return _map(preset, table, signals)
    return None


def _fits(
    preset: TablePreset, table: TextTable, signals: Sequence[ColumnSignal]
) -> bool:
    """Return whether the name of the file, or else its values, are those of a preset.

    Magnitudes decide only if the name is that of no preset with the same columns.
    """
    if not preset.file:
        return True
    name = table.about.get("file", "").lower()
    alike = [p.file for p in PRESETS if p.file and p.needs == preset.needs]
    if any(re.fullmatch(pattern, name) for pattern in alike):
        return re.fullmatch(preset.file, name) is not None
    if preset.median is None:
        return False
    try:
        values = [numbers(table.frame, s.column, []) for s in signals]
    except ValueError:
        return False
    magnitude = np.sqrt((np.column_stack(values) ** 2).sum(axis=1))
    low, high = preset.median
    return bool(low <= np.nanmedian(magnitude) <= high)


def _signals(preset: TablePreset, table: TextTable) -> list[ColumnSignal]:
    signals: dict[tuple[str, str], ColumnSignal] = {}
    rules: dict[tuple[str, str], str] = {}
    for pattern, kind, unit, *label in preset.signals:
        for name in table.names:
            match = re.fullmatch(pattern, name)
            if match is None or not table.frame[name].notna().any():
                continue
            channel = match.expand(label[0]) if label else ""
            key = (kind, channel)
            if rules.setdefault(key, pattern) == pattern and key not in signals:
                stated = table.units.get(name, "") or unit
                signals[key] = ColumnSignal(name, kind, stated, name=channel)
    return list(signals.values())


def _map(
    preset: TablePreset, table: TextTable, signals: Sequence[ColumnSignal]
) -> ColumnMap:
    times = (n for p in preset.time for n in table.names if re.fullmatch(p, n))
    time = next(times, "")
    unit = table.units.get(time, "")
    return ColumnMap(
        tuple(signals),
        (time,) if time else (),
        unit if unit in TIME_UNITS else "",
        rate=preset.rate,
        counter=next((n for n in table.names if n == preset.counter), ""),
        name=preset.name,
        site=preset.site,
        source=preset.program,
    )
