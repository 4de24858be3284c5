"""Recordings of the OpenBCI GUI (text files)."""

from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import BoardSamples

HEADER: Final = "%OpenBCI Raw EXG Data"

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

    def find(self, name: str) -> list[int]:
        """Return the columns whose names begin with ``name``."""
        return [i for i, c in enumerate(self.columns) if c.startswith(name)]


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a recording of the OpenBCI GUI, version 5 or later.

    Streams ``<board>.eeg`` (uV) and ``<board>.acc`` (g), events ``<board>.markers``,
    identical to those of `physio.io.brainflow` for the same session. Times and losses
    come from the sample counter.

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
    Electrode names are those of OpenBCI's standard montage for the Cyton and its Daisy;
    channels of any other board are named ``eeg1``, ``eeg2`` ... An incomplete last line
    is omitted; ``about`` then has ``incomplete``.
    """
    path = existing_file(path)
    text = path.read_text("utf-8", "replace")
    lines = text.splitlines()
    header = _header(path, lines)
    torn = not text.endswith("\n") and lines[-1].count(",") + 1 < len(header.columns)
    rows = _rows(path, header, lines[header.lines : len(lines) - torn])
    recording = rows.recording(f"OpenBCI GUI, {rows.board}", participant)
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
    if not lines or lines[0].strip() != HEADER:
        raise ValueError(
            f"{path} is no file of the OpenBCI GUI: it must begin with {HEADER!r}"
        )
    comments = list(takewhile(lambda line: line.startswith("%"), lines))
    parts = (line[1:].partition("=") for line in comments)
    fields = {key.strip(): value.strip() for key, _, value in parts}
    names = lines[len(comments)] if len(lines) > len(comments) else ""
    columns = [c.strip() for c in names.split(",")]
    rate = fields.get("Sample Rate", "").removesuffix("Hz").strip()
    if not rate.isdecimal() or int(rate) == 0 or columns[0] != "Sample Index":
        raise ValueError(
            f"{path} lacks a line '%Sample Rate = 250 Hz', or one that names the "
            "columns (Sample Index, EXG Channel 0, ...), as version 5 and later write"
        )
    board = fields.get("Board", "").rpartition("$")[2]
    return _Header(board, Fraction(rate), columns, len(comments) + 1)


def _rows(path: Path, header: _Header, lines: list[str]) -> BoardSamples:
    """Return the samples of all ``lines``, with columns selected by name."""
    exg, acc = header.find("EXG Channel"), header.find("Accel Channel")
    marker = header.find("Marker Channel")[:1]
    first = [*header.find("Sample Index")[:1], *header.find("Timestamp")[:1]]
    if len(first) != 2 or not exg:
        raise ValueError(
            f"{path} names no column Sample Index, Timestamp or EXG Channel 0"
        )
    data = _numbers(path, header, lines, [*first, *exg, *acc, *marker])
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
