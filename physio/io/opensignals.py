"""OpenSignals text files of BITalino, biosignalsplux and RespiBAN, by their header."""

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import positions
from physio.io.stream_header import unique
from physio.io.tables.column_map import ColumnMap, read_map

HEADER: Final = "# OpenSignals Text File Format"

_LARGEST: Final = 4 * 2**30  # bytes; two hours have 300 MB
_HELPERS: Final = frozenset(("nSeq", "DI", "CI", "I1", "I2", "O1", "O2", "Timestamp"))


class SensorColumn(NamedTuple):
    """Column of a sensor: its place in the file, its label and its resolution."""

    place: int
    label: str
    sensor: str
    bits: int


@dataclass(frozen=True)
class OpenSignalsDevice:
    """Device in the header of a file.

    Parameters
    ----------
    name
        ``bitalino``, ``plux`` or ``respiban``.
    model
        As in the header: ``"bitalino_rev"``.
    rate
        Samples per second (Hz).
    columns
        The columns of its sensors.
    counter
        Column of the sample number, and number of bits; -1 for none.
    """

    name: str
    model: str
    rate: Fraction
    columns: tuple[SensorColumn, ...]
    counter: tuple[int, int] = (-1, 0)


def read(
    path: str | Path,
    columns: ColumnMap | str | Path | None = None,
    *,
    participant: str = "",
) -> Recording:
    """Read a file of a BITalino, a biosignalsplux hub or a RespiBAN.

    Streams ``<device>.ecg``, ``.emg``, ``.eog`` (mV), ``.eeg`` (uV), ``.eda`` (uS),
    ``.temp`` (degC), ``.acc`` (g), ``.resp`` (%) and ``.ppg`` (no unit), for the
    sensors in the file, at its rate. Digital columns are never signals. Second 0 of the
    session clock is the first sample; the sequence number shows losses.

    Parameters
    ----------
    path
        The file, ``opensignals_....txt``.
    columns
        Map that names the kind of sensors which the header does not (``RAW``,
        ``CUSTOM``), by the column's label: ``A3 = "ecg"``. Its factor and offset
        replace the sensor's formula.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format or is damaged, holds several devices, or none of
        its sensors is known; the message names what a map must state.

    Notes
    -----
    Counts are converted by the transfer functions of the makers' sensor data sheets,
    with the resolution of each column and a reference of 3.3 V (BITalino) or 3 V (plux,
    RespiBAN). Temperature is NaN at the ends of the thermistor's range.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 4 GB; no session of this device is")
    device = _header(path)
    given = read_map(columns) if isinstance(columns, str | Path) else columns
    kinds = {s.column: s for s in given.signals} if given else {}
    signals: dict[str, list[tuple[SensorColumn, Channel, Any]]] = {}
    unknown = []
    for column in device.columns:
        sensor = _sensor(device, column, kinds)
        if sensor is None:
            unknown.append(column)
            continue
        stream, channel, convert = sensor
        signals.setdefault(stream, []).append((column, channel, convert))
    if not signals:
        names = ", ".join(f"{c.label} ({c.sensor})" for c in unknown)
        raise ValueError(
            f"{path} is a file of a {device.model}, whose header names no kind of "
            f"signal for {names}: give a map with --columns that has, for instance, "
            f'rate = {float(device.rate):g} and [signals] {unknown[0].label} = "ecg"'
        )
    return _recording(path, device, signals, unknown, participant)


def _recording(
    path: Path,
    device: OpenSignalsDevice,
    signals: Mapping[str, list[tuple[SensorColumn, Channel, Any]]],
    unknown: list[SensorColumn],
    participant: str,
) -> Recording:
    counts = _counts(path, device)
    number = np.arange(len(counts), dtype=np.float64)
    if device.counter[0] >= 0 and len(counts):
        number = _numbers(counts[:, 0], device.counter[1])
    cuts = np.flatnonzero(np.diff(number) != 1) + 1
    at = {c.place: i + 1 for i, c in enumerate(device.columns)}
    streams: dict[str, tuple[Block, ...]] = {}
    for name, parts in signals.items():
        labels = unique(channel.name for _, channel, _ in parts)
        channels = tuple(
            Channel(label, c.kind, c.unit)
            for label, (_, c, _) in zip(labels, parts, strict=True)
        )
        info = StreamInfo(
            f"{device.name}.{name}",
            device.rate,
            channels,
            participant=participant,
            site="chest" if device.name == "respiban" else "",
        )
        data = np.column_stack(
            [
                convert(counts[:, at[c.place]], float(2**c.bits))
                for c, _, convert in parts
            ]
        )
        streams[info.name] = tuple(
            Block(info, int(n[0]), 0.0, np.ascontiguousarray(x))
            for n, x in zip(np.split(number, cuts), np.split(data, cuts), strict=True)
            if len(n)
        ) or (Block(info, 0, 0.0, np.empty((0, len(channels)))),)
    source = "RespiBAN" if device.name == "respiban" else f"OpenSignals, {device.model}"
    about = {"source": source, "begin": "0.0"}
    if unknown:
        names = ", ".join(f"{c.label} ({c.sensor})" for c in unknown)
        about["warnings"] = f"not read, as their kind is unknown: {names}"
    if participant:
        about["participant"] = participant
    return Recording(streams, {}, (), about)


def _header(path: Path) -> OpenSignalsDevice:
    """Return the device of a file, from the three lines before the samples."""
    with path.open("rb") as file:
        lines = [file.readline(2**16).decode("utf-8", "replace") for _ in range(3)]
    try:
        devices = list(json.loads(lines[1].lstrip("# ")).values())
        known = [_device(table) for table in devices]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = []
    if not lines[0].strip().startswith(HEADER) or not known:
        raise ValueError(
            f"{path} is no OpenSignals file: its first three lines must be {HEADER!r}, "
            "one with 'device', 'column', 'sensor', 'resolution' and 'sampling rate', "
            "and the end of the header"
        )
    if len(known) > 1:
        raise ValueError(
            f"{path} holds {len(known)} devices, whose columns follow each other: "
            "export a file for each device in OpenSignals"
        )
    return known[0]


def _device(table: Mapping[str, Any]) -> OpenSignalsDevice:
    """Return a device from its part of the header; in old files, without columns."""
    rate = Fraction(str(table["sampling rate"]))
    sensors = [str(s) for s in table["sensor"]]
    if not sensors or not 0 < rate <= 100_000:
        raise ValueError("no sensors, or no rate")
    belt = "RESPIRATION" in sensors
    model = str(table.get("device", "RespiBAN" if belt else "biosignalsplux"))
    name = "bitalino" if "bitalino" in model.lower() else "plux"
    name = "respiban" if belt or "respiban" in model.lower() else name
    labels = [str(x) for x in table.get("label", [f"CH{i + 1}" for i in range(99)])]
    width = len(sensors)
    names = [str(n) for n in table.get("column", ["nSeq", "DI", *labels[:width]])]
    bits = [int(b) for b in table.get("resolution", [4, 1, *[16] * width])]
    places = [i for i, n in enumerate(names) if n not in _HELPERS][-width:]
    if len(places) != width or len(bits) < len(names):
        raise ValueError("as many columns as sensors are needed")
    columns = tuple(
        SensorColumn(i, names[i], sensor, bits[i])
        for i, sensor in zip(places, sensors, strict=True)
    )
    if any(not 4 <= c.bits <= 24 for c in columns):
        raise ValueError("a resolution out of range")
    counter = names.index("nSeq") if "nSeq" in names else -1
    return OpenSignalsDevice(
        name, model, rate, columns, (counter, bits[counter] if counter >= 0 else 0)
    )


def _counts(path: Path, device: OpenSignalsDevice) -> Array:
    """Return the counter, or 0, and the counts of all sensors, shape (n, 1 + width)."""
    used = [max(device.counter[0], 0), *(c.place for c in device.columns)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without samples
            counts = np.loadtxt(path, comments="#", usecols=used, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{path}: a line has not {max(used) + 1} numbers "
            f"({str(error).split(';')[0]})"
        ) from None
    counts = counts.reshape(-1, len(used))
    for i, column in enumerate(device.columns, start=1):
        if not ((counts[:, i] >= 0) & (counts[:, i] < 2**column.bits)).all():
            raise ValueError(
                f"{path}: a count of {column.label} is not within 0 to "
                f"{2**column.bits - 1}"
            )
    return counts


def _numbers(counter: Array, bits: int) -> Array:
    """Return the number of each sample, from 0; a sequence number shows losses.

    It is that of the session, or wraps at 2 to the power of its bits; one that does
    neither is not used.
    """
    steps = np.diff(counter)
    if np.all(steps > 0):
        usable = np.mean(steps == 1) > 0.5
        return counter - counter[0] if usable else np.arange(len(counter), dtype=float)
    wrap = 2**bits
    if counter.max() >= wrap or np.mean(steps % wrap == 1) < 0.5:
        return np.arange(len(counter), dtype=float)
    return positions(counter, np.zeros(len(counter)), 1.0).astype(float)


_Convert = Callable[[Array, float], Array]
_Sensor = tuple[str, Channel, _Convert]


def _volts(gain: float, unit: float, reference: float) -> _Convert:
    """Return the conversion of an amplifier of alternating voltage to ``unit`` V."""
    return lambda counts, full: (counts / full - 0.5) * reference / (gain * unit)


def _siemens(resistance: float, reference: float) -> _Convert:
    return lambda counts, full: counts / full * reference / resistance


def _percent(counts: Array, full: float) -> Array:
    return (counts / full - 0.5) * 100


def _relative(counts: Array, full: float) -> Array:
    return counts / full


def _g(low: float, high: float) -> _Convert:
    """Return the conversion of an accelerometer, calibrated at -1 and +1 g."""
    return lambda counts, full: (counts - low * full) / ((high - low) * full) * 2 - 1


def _thermistor(reference: float) -> _Convert:
    """Return the conversion of a thermistor of 10 kOhm in a divider to degC."""

    def convert(counts: Array, full: float) -> Array:
        volts = counts * reference / (full - 1)
        inside = (volts > 0) & (volts < reference)
        volts = np.where(inside, volts, 1.0)
        log = np.log(1e4 * volts / (reference - volts))
        inverse = 1.12764514e-3 + 2.34282709e-4 * log + 8.77303013e-8 * log**3
        return np.where(inside, 1 / inverse - 273.15, np.nan)

    return convert


def _formulas(volts: float, gains: Mapping[str, float]) -> dict[str, _Convert]:
    """Return the transfer functions that differ by reference voltage and gain alone."""
    return {
        "ecg": _volts(gains["ecg"], 1e-3, volts),
        "emg": _volts(gains["emg"], 1e-3, volts),
        "eog": _volts(gains["eog"], 1e-3, volts),
        "eeg": _volts(gains["eeg"], 1e-6, volts),
        "resp": _percent,
        "ppg": _relative,
        "temp": _thermistor(volts),
    }


_BITALINO: Final = {"ecg": 1100, "emg": 1009, "eog": 2040, "eeg": 41_782}
_PLUX: Final = {"ecg": 1000, "emg": 1000, "eog": 2040, "eeg": 41_990}

# BITalino: data sheets of the (r)evolution sensors. biosignalsplux: sensor data sheets
# of PLUX; a RespiBAN has the same sensors, as the readme of WESAD states.
_FORMULAS: Final[dict[str, dict[str, _Convert]]] = {
    "bitalino": {
        **_formulas(3.3, _BITALINO),
        "eda": _siemens(0.132, 3.3),
        "temp": lambda counts, full: (counts / full * 3.3 - 0.5) * 100,
        "acc": _g(208 / 1024, 312 / 1024),
    },
    "plux": {
        **_formulas(3.0, _PLUX),
        "eda": _siemens(0.12, 3.0),
        "acc": _g(28_000 / 65_536, 38_000 / 65_536),
    },
}
_FORMULAS["respiban"] = _FORMULAS["plux"]
"""Conversion of counts by device and kind of sensor."""

_KINDS: Final = (
    ("ecg", r"e[ck]g.*"),
    ("emg", r"emg.*"),
    ("eog", r"eog.*"),
    ("eeg", r"eeg.*"),
    ("eda", r"eda.*|gsr.*"),
    ("temp", r"temp.*|tmp.*|ntc.*"),
    ("acc", r"xyz.*|acc.*|x|y|z"),
    ("resp", r"resp.*|pzt.*|rip.*"),
    ("ppg", r"ppg.*|bvp.*|pulse.*"),
)
"""Kinds by the names of sensors in headers (``ECG``, ``ECGBIT``, ``RESPIRATION``)."""

_CHANNELS: Final = {
    "ecg": Channel("ecg", "ecg", "mV"),
    "emg": Channel("emg", "emg", "mV"),
    "eog": Channel("eog", "eog", "mV"),
    "eeg": Channel("eeg", "eeg", "uV"),
    "eda": Channel("eda", "gsr", "uS"),
    "temp": Channel("temp", "temperature", "degC"),
    "resp": Channel("resp", "resp", "%"),
    "ppg": Channel("ppg", "bio", "1"),
}


def _sensor(
    device: OpenSignalsDevice, column: SensorColumn, given: Mapping[str, Any]
) -> _Sensor | None:
    """Return stream, channel and conversion of a column, or None if it is unknown."""
    stated = given.get(column.label)
    kind = stated.kind if stated else _kind(column.sensor)
    base, _, axis = kind.partition(".")
    formulas = _FORMULAS[device.name]
    if base not in formulas:
        return None
    if base == "acc":
        same = [c for c in device.columns if _kind(c.sensor) == "acc"]
        axis = axis or ("xyz"[same.index(column)] if len(same) == 3 else "")
        channel = Channel(f"acc.{axis}" if axis else column.label, "misc", "g")
    else:
        channel = _CHANNELS[base]
    if stated and (stated.factor, stated.offset) != (1.0, 0.0):
        factor, offset = stated.factor, stated.offset
        unit = stated.unit or channel.unit
        channel = Channel(stated.name or channel.name, channel.kind, unit)
        return base, channel, lambda counts, _: counts * factor + offset
    return base, channel, formulas[base]


def _kind(sensor: str) -> str:
    name = sensor.strip().lower()
    return next((k for k, pattern in _KINDS if re.fullmatch(pattern, name)), "")
