"""Recordings of a Muse headband by the app Mind Monitor (CSV)."""

import csv
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.input_file import existing_file
from physio.core.missing import MissingReason
from physio.core.recording import Recording

EEG: Final = ("TP9", "AF7", "AF8", "TP10")
RATE: Final = 256
"""Sampling rate of the headband (Hz), if the app is set to record every sample."""

_AXES: Final = ("X", "Y", "Z")
_LARGEST: Final = 2**31  # bytes


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of Mind Monitor.

    Streams ``muse.eeg`` (uV) and ``muse.acc`` (g), at the sampling rate derived from
    the stamps of the rows; events ``muse.elements``, such as blinks and markers. Second
    0 of the session clock is the first row.

    Parameters
    ----------
    path
        The file, ``mindMonitor_....csv``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format, is damaged, or is too short to measure the rate.

    Notes
    -----
    The app stamps to a millisecond and writes rows in bursts: rows are therefore taken
    as evenly spaced, at 256 Hz if the mean rate is within a tenth of that, else at the
    mean rate of the file, rounded to a tenth of a Hz. The rate depends on the app's
    settings; below 256 Hz samples are left out, and the spectrum is aliased. The offset
    of the headband (about 800 uV) is not removed; the app's own band powers are not
    read.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 2 GB; no recording of Mind Monitor is")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        table = csv.DictReader(file)
        missing = [c for c in _needed() if c not in (table.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path} is no file of Mind Monitor: it has no column {missing[0]}"
            )
        unread = sorted(set(table.fieldnames or ()) - {*_needed(), ""})
        times, rows, elements = _rows(path, table)
    if len(times) < 2 or times[-1] <= times[0]:
        raise ValueError(
            f"{path} has fewer than two rows of samples that differ in time"
        )
    rate = _rate(times)
    parts = {
        "eeg": tuple(Channel(c, "eeg", "uV") for c in EEG),
        "acc": tuple(Channel(f"acc.{a.lower()}", "misc", "g") for a in _AXES),
    }
    streams: dict[str, tuple[Block, ...]] = {}
    first = 0
    for name, channels in parts.items():
        info = StreamInfo(
            f"muse.{name}", rate, channels, participant=participant, site="head"
        )
        data = np.ascontiguousarray(rows[:, first : first + len(channels)])
        streams[info.name] = (Block(info, 0, 0.0, data, times - times[0]),)
        first += len(channels)
    end = max(
        float((len(times) - 1) / rate), max((t for t, _ in elements), default=0.0)
    )
    events = _elements(sorted((t - times[0], name) for t, name in elements), end)
    about = {"source": "Mind Monitor", "begin": "0.0"}
    if unread:
        about["warnings"] = f"columns that are not read: {', '.join(unread)}"
    if participant:
        about["participant"] = participant
    return Recording(streams, {events.info.name: events}, (), about)


def _needed() -> list[str]:
    raw = [f"RAW_{c}" for c in EEG]
    return ["TimeStamp", *raw, *(f"Accelerometer_{a}" for a in _AXES), "Elements"]


def _rows(
    path: Path, table: "csv.DictReader[str]"
) -> tuple[Array, Array, list[tuple[float, str]]]:
    """Return time and values of each row of samples, and the elements."""
    times: list[float] = []
    rows: list[list[float]] = []
    elements: list[tuple[float, str]] = []
    columns = _needed()[1:-1]
    for line, row in enumerate(table, start=2):
        stamp = row["TimeStamp"]
        try:
            # Without a time zone, as in the file; only differences are used.
            at = (datetime.fromisoformat(stamp) - datetime(1970, 1, 1)).total_seconds()
            if row["Elements"]:
                elements.append((at, row["Elements"]))
                continue
            rows.append(
                [
                    float(row[c]) if row[c] else MissingReason.NO_SIGNAL.nan
                    for c in columns
                ]
            )
        except (ValueError, TypeError):
            raise ValueError(f"{path}, line {line}: not a time and numbers") from None
        times.append(at)
    # A row may be written a few milliseconds after a later one.
    return np.sort(np.array(times)), np.array(rows).reshape(-1, len(columns)), elements


def _rate(times: Array) -> Fraction:
    mean = (len(times) - 1) / (times[-1] - times[0])
    if abs(mean / RATE - 1) < 0.1:
        return Fraction(RATE)
    return Fraction(max(1, round(mean * 10)), 10)


def _elements(elements: list[tuple[float, str]], end: float) -> Events:
    inside = [(max(0.0, t), name) for t, name in elements]
    times = np.array([t for t, _ in inside])
    labels = tuple(name for _, name in inside)
    end = max([end, *times.tolist()])
    return Events(
        event_stream("muse.elements"), end, times, np.empty((len(inside), 0)), labels
    )
