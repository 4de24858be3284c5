"""Recordings of the RespiBAN chest strap in the OpenSignals text format."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.input_file import existing_file
from physio.core.recording import Recording

HEADER: Final = "# OpenSignals Text File Format"

_VOLTS: Final = 3.0
_COUNTS: Final = 2.0**16
_LARGEST: Final = 4 * 2**30  # bytes; two hours have 300 MB


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of a RespiBAN.

    Streams ``respiban.ecg`` and ``.emg`` (mV), ``.eda`` (uS), ``.temp`` (degC),
    ``.acc`` (g) and ``.resp`` (%), for the sensors in the file, at the file's
    rate. Second 0 of the session clock is the first sample.

    Parameters
    ----------
    path
        The file, ``S2_respiban.txt``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format or is damaged.

    Notes
    -----
    Counts are converted by the formulas of WESAD's authors: 16 bits, 3 V. Temperature
    is NaN at the ends of the thermistor's range.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 4 GB; no session of a RespiBAN is")
    sensors, rate = _header(path)
    counts = _counts(path, len(sensors))
    streams: dict[str, tuple[Block, ...]] = {}
    for name, (sensor, channels, convert) in _SENSORS.items():
        columns = [i for i, kind in enumerate(sensors) if kind == sensor]
        if len(columns) != len(channels):
            continue
        info = StreamInfo(
            f"respiban.{name}", rate, channels, participant=participant, site="chest"
        )
        data = np.ascontiguousarray(convert(counts[:, columns]))
        streams[info.name] = (Block(info, 0, 0.0, data),)
    if not streams:
        raise ValueError(f"{path} has none of the sensors of a RespiBAN")
    about = {"source": "RespiBAN", "begin": "0.0"}
    return Recording(
        streams,
        {},
        (),
        {**about, **({"participant": participant} if participant else {})},
    )


def _header(path: Path) -> tuple[list[str], Fraction]:
    """Return the sensor of each column, and the rate."""
    with path.open("rb") as file:
        lines = [file.readline(2**16).decode("utf-8", "replace") for _ in range(3)]
    try:
        (device,) = json.loads(lines[1].lstrip("# ")).values()
        sensors, rate = (
            list(map(str, device["sensor"])),
            Fraction(device["sampling rate"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sensors, rate = [], Fraction(0)
    if not lines[0].startswith(HEADER) or not sensors or not 0 < rate <= 10_000:
        raise ValueError(
            f"{path} is no file of a RespiBAN: its first three lines must be "
            f"{HEADER!r}, one with 'sensor' and 'sampling rate', and the end of "
            "the header"
        )
    return sensors, rate


def _counts(path: Path, width: int) -> Array:
    """Return the counts of all sensors, shape (n, width)."""
    columns = range(2, 2 + width)  # after the number of the sample, and digital inputs
    try:
        counts = np.loadtxt(path, comments="#", usecols=columns, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{path}: a line has not {2 + width} numbers ({str(error).split(';')[0]})"
        ) from None
    if not ((counts >= 0) & (counts < _COUNTS)).all():
        raise ValueError(f"{path}: a count is not within 0 to 65535")
    return counts


def _celsius(counts: Array) -> Array:
    """Return the temperature (degC) of a thermistor of 10 kOhm in a divider."""
    volts = counts * _VOLTS / (_COUNTS - 1)
    inside = (volts > 0) & (volts < _VOLTS)
    volts = np.where(inside, volts, 1.0)
    log = np.log(1e4 * volts / (_VOLTS - volts))
    inverse = 1.12764514e-3 + 2.34282709e-4 * log + 8.77303013e-8 * log**3
    return np.where(inside, 1 / inverse - 273.15, np.nan)


def _volts(counts: Array) -> Array:
    return (counts / _COUNTS - 0.5) * _VOLTS


def _siemens(counts: Array) -> Array:
    return counts / _COUNTS * _VOLTS / 0.12


def _g(counts: Array) -> Array:
    return (counts - 28000) / (38000 - 28000) * 2 - 1


def _percent(counts: Array) -> Array:
    return (counts / _COUNTS - 0.5) * 100


_Sensor = tuple[str, tuple[Channel, ...], Callable[[Array], Array]]
_SENSORS: Final[dict[str, _Sensor]] = {
    "ecg": ("ECG", (Channel("ecg", "ecg", "mV"),), _volts),
    "emg": ("EMG", (Channel("emg", "emg", "mV"),), _volts),
    "eda": ("EDA", (Channel("eda", "gsr", "uS"),), _siemens),
    "temp": ("TEMP", (Channel("temp", "temperature", "degC"),), _celsius),
    "acc": ("XYZ", tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz"), _g),
    "resp": ("RESPIRATION", (Channel("resp", "resp", "%"),), _percent),
}
