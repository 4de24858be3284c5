"""Recordings of the OpenBCI GUI (text files)."""

import re
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel
from physio.core.events import Events, event_stream
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import BoardSamples

HEADER: Final = "%OpenBCI Raw E"
"""Begin of a file; version 5 continues with ``XG Data``, earlier ones ``EG Data``."""

_EIGHT: Final = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
_SIXTEEN: Final = (*_EIGHT, "F7", "F8", "F3", "F4", "T7", "T8", "P3", "P4")


class _Board(NamedTuple):
    name: str
    electrodes: tuple[str, ...] = ()


_BOARDS: Final = {
    "BoardCytonSerial": _Board("cyton", _EIGHT),
    "BoardCytonSerialDaisy": _Board("cyton_daisy", _SIXTEEN),
    "BoardCytonWifi": _Board("cyton_wifi"),
    "BoardCytonWifiDaisy": _Board("cyton_daisy_wifi"),
    "BoardGanglionBLE": _Board("ganglion"),
    "BoardGanglionNative": _Board("ganglion_native"),
    "BoardGanglionWifi": _Board("ganglion_wifi"),
    "BoardBrainFlowSynthetic": _Board("synthetic"),
}


class _Header(NamedTuple):
    board: str
    rate: Fraction
    columns: list[str]
    lines: int
    decimal_comma: bool = False

    def find(self, name: str) -> list[int]:
        """Return the columns whose names begin with ``name``."""
        return [i for i, c in enumerate(self.columns) if c.startswith(name)]


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of the OpenBCI GUI, version 2 or later.

    Streams ``<board>.eeg`` (uV) and ``<board>.acc`` (g), events ``<board>.markers``,
    identical to those of `physio.io.brainflow` for the same session; texts of a column
    ``Annotations`` are events ``<board>.annotations``. Times and losses come from the
    sample counter.

    Parameters
    ----------
    path
        The file, ``OpenBCI-RAW-...txt``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format or is damaged; the message names the line.

    Notes
    -----
    Files of versions 2 to 4 do not name their columns: after the counter, they have as
    many channels as their header states, then acceleration, and a time stamp in
    milliseconds at the end. Semicolons with decimal commas are accepted.

    Electrode names are those of OpenBCI's standard montage for the Cyton and its Daisy;
    channels of any other board are named ``eeg1``, ``eeg2`` ... An incomplete last line
    is omitted; ``about`` then has ``incomplete``.
    """
    path = existing_file(path)
    text = path.read_text("utf-8", "replace")
    lines = text.splitlines()
    header = _header(path, lines)
    separator = ";" if header.decimal_comma else ","
    fields = lines[-1].count(separator) + 1
    torn = not text.endswith("\n") and fields < len(header.columns)
    used = lines[header.lines : len(lines) - torn]
    if header.decimal_comma:
        used = [line.replace(",", ".").replace(";", ",") for line in used]
    rows = _rows(path, header, used)
    recording = rows.recording(f"OpenBCI GUI, {rows.board}", participant)
    recording = _with_annotations(recording, rows, header, used)
    if torn:
        about = {**recording.metadata, "incomplete": "the last line was torn"}
        recording = Recording(recording.streams, recording.events, (), about)
    return recording


def is_file(path: Path) -> bool:
    """Return whether a file begins with the header of the GUI."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER.encode()


def _header(path: Path, lines: list[str]) -> _Header:
    """Return the header, from the lines before the first sample."""
    if not lines or not lines[0].strip().startswith(HEADER):
        raise ValueError(
            f"{path} is no file of the OpenBCI GUI: it must begin with "
            "'%OpenBCI Raw EXG Data' or '%OpenBCI Raw EEG Data'"
        )
    comments = list(takewhile(lambda line: line.startswith("%"), lines))
    parts = (line[1:].partition("=") for line in comments)
    fields = {key.strip(): value.strip() for key, _, value in parts}
    names = lines[len(comments)] if len(lines) > len(comments) else ""
    text = fields.get("Sample Rate", "").removesuffix("Hz").strip().replace(",", ".")
    rate = Fraction(text) if _RATE.fullmatch(text) else Fraction(0)
    if not 0 < rate <= 100_000:
        raise ValueError(
            f"{path} lacks a line '%Sample Rate = 250 Hz', which every file of the "
            "OpenBCI GUI has"
        )
    board = fields.get("Board", "").rpartition("$")[2]
    comma = names.count(";") > names.count(",") or (";" in names and "," in names)
    columns = [c.strip() for c in names.split(";" if comma else ",")]
    if columns[0] == "Sample Index":
        return _Header(board, rate, columns, len(comments) + 1, comma)
    named = _unnamed(fields, len(columns))
    if "First Column" not in fields or not named:
        raise ValueError(
            f"{path} names no columns (Sample Index, EXG Channel 0, ...), as version 5 "
            "and later write, and states no number of channels, as earlier ones"
        )
    guess = {4: "BoardGanglionBLE", 8: "BoardCytonSerial", 16: "BoardCytonSerialDaisy"}
    n = sum(name.startswith("EXG") for name in named)
    return _Header(guess.get(n, ""), rate, named, len(comments), comma)


_RATE: Final = re.compile(r"\d{1,6}(\.\d{1,6})?")


def _unnamed(fields: dict[str, str], width: int) -> list[str]:
    """Return the names of the columns of a file of version 2 to 4.

    Version 4 has a time of day and a time in milliseconds at the end; earlier ones have
    the time of day alone, or no time.
    """
    text = fields.get("Number of channels", "")
    n = int(text) if text.isdecimal() else 0
    if not 0 < n < width:
        return []
    names = ["Sample Index", *(f"EXG Channel {i}" for i in range(n))]
    names += [f"Accel Channel {i}" for i in range(min(3, width - len(names)))]
    names += [f"Other {i}" for i in range(width - len(names))]
    if width >= n + 6:
        names[-2:] = ["Time", "Timestamp"]
    return names


def _rows(path: Path, header: _Header, lines: list[str]) -> BoardSamples:
    """Return the samples of all ``lines``, with columns selected by name."""
    exg, acc = header.find("EXG Channel"), header.find("Accel Channel")
    marker = header.find("Marker Channel")[:1]
    first = [*header.find("Sample Index")[:1], *header.find("Timestamp")[:1]]
    if not exg:
        raise ValueError(f"{path} names no column EXG Channel 0")
    timed = len(first) == 2 and header.columns[first[1]] == "Timestamp"
    chosen = [*first[: 1 + timed], *exg, *acc, *marker]
    data = _numbers(path, header, lines, chosen)
    if not timed:
        data = np.insert(data, 1, 0.0, axis=1)
    # Versions differ in the unit of the time: only milliseconds have 12 digits.
    stamps = np.where(data[:, 1] > 1e11, data[:, 1] / 1000, data[:, 1])
    board = _BOARDS.get(header.board, _Board("openbci"))
    labels: tuple[str, ...] = board.electrodes
    if len(labels) != len(exg):
        labels = tuple(f"eeg{i}" for i in range(1, len(exg) + 1))
    stop = 2 + len(exg)
    signals = {"eeg": (tuple(Channel(c, "eeg", "uV") for c in labels), data[:, 2:stop])}
    if len(acc) == 3:
        axes = tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
        signals["acc"] = (axes, data[:, stop : stop + 3])
    markers = data[:, -1] if marker else np.zeros(len(data))
    return BoardSamples(board.name, header.rate, data[:, 0], stamps, markers, signals)


def _with_annotations(
    recording: Recording, rows: BoardSamples, header: _Header, lines: list[str]
) -> Recording:
    """Return a recording with the texts of the column ``Annotations`` as events."""
    column = next(iter(header.find("Annotations")), -1)
    if column < 0:
        return recording
    parts = [line.split(",") for line in lines]
    texts = [p[column].strip() if len(p) > column else "" for p in parts]
    marked = np.flatnonzero([bool(text) for text in texts])
    times = rows.times()[marked]
    order = np.argsort(times, kind="stable")
    participant = recording.metadata.get("participant", "")
    info = event_stream(f"{rows.board}.annotations")
    info = replace(info, participant=participant)
    labels = tuple(texts[marked[i]] for i in order)
    until = max([recording.end, *times.tolist()])
    events = Events(info, until, times[order], np.empty((len(order), 0)), labels)
    named = {**recording.events, info.name: events}
    return Recording(recording.streams, named, (), recording.metadata)


def _numbers(path: Path, header: _Header, rows: list[str], use: list[int]) -> Array:
    """Return the columns ``use`` of all rows, shape (n, len(use))."""
    if not rows:
        return np.empty((0, len(use)))
    try:
        data = np.loadtxt(rows, delimiter=",", usecols=use, ndmin=2, comments=None)
    except ValueError:
        data = np.empty((0, 0))
    if len(data) == len(rows) and np.isfinite(data[:, 0]).all():
        return data
    for i, row in enumerate(rows, start=header.lines + 1):
        fields = row.split(",")
        if len(fields) != len(header.columns):
            raise ValueError(
                f"{path}, line {i}: {len(fields)} columns; the header names "
                f"{len(header.columns)}"
            )
        for field in (fields[c] for c in use):
            try:
                float(field)
            except ValueError:
                raise ValueError(
                    f"{path}, line {i}: {field.strip()[:40]!r} is no number"
                ) from None
    raise ValueError(f"{path}: a sample has no number in its first column")
