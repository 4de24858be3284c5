"""BrainFlow files: tab-separated numbers without a header, written by its streamer."""

import warnings
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import BoardSamples

_NONE: Final = ("no", "playback_file", "streaming")


class Layout(NamedTuple):
    """Meaning of the columns of a board's data, from BrainFlow's description.

    Parameters
    ----------
    board
        As in `boards`.
    rate
        Samples per second (Hz).
    width
        Number of columns.
    counter, stamp, marker
        Columns of the package counter, the time stamp and the marker.
    signals
        Channels and columns of each stream.
    """

    board: str
    rate: Fraction
    width: int
    counter: int
    stamp: int
    marker: int
    signals: Mapping[str, tuple[tuple[Channel, ...], tuple[int, ...]]]


def read(
    path: str | Path, board: str | None = None, *, participant: str = ""
) -> Recording:
    """Read the file of a board's default preset that BrainFlow has written.

    Streams ``<board>.eeg`` (uV) and ``<board>.acc`` (g), if the board has them; events
    ``<board>.markers``. Times and losses come from the package counter, because the
    computer's stamps are bunched and do not always rise; they are kept with the
    samples.

    Parameters
    ----------
    path
        The file.
    board
        Name of the board, ``"cyton"`` or another of `boards`; the file does not contain
        it.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the board is missing or unknown, or the file is not from that board; the
        message names the line.

    Notes
    -----
    An incomplete last line, left by a program that was killed, is omitted; ``about``
    then has ``incomplete``. Other columns (analog, battery, EMG of boards that also
    have EEG ...) are left out. If a board sends a slow sensor together with a fast one,
    such as the Cyton's accelerometer, rows repeat the last value of the slow sensor.
    """
    path = Path(path)
    if board is None:
        raise ValueError(
            f"{path} does not state the meaning of its columns: give the board that it "
            "was recorded with, as in --board cyton"
        )
    layout = describe(board)
    data, torn = _numbers(path, layout)
    rows = BoardSamples(
        layout.board,
        layout.rate,
        data[:, layout.counter],
        data[:, layout.stamp],
        data[:, layout.marker],
        {
            name: (channels, data[:, list(columns)])
            for name, (channels, columns) in layout.signals.items()
        },
    )
    recording = rows.recording(f"BrainFlow file, {layout.board}", participant)
    if torn:
        about = {**recording.metadata, "incomplete": "the last line was torn"}
        recording = Recording(recording.streams, recording.events, (), about)
    return recording


def boards() -> tuple[str, ...]:
    """Return the names of all boards: BrainFlow's own, in lower case."""
    return tuple(name for name in _ids() if name not in _NONE)


def describe(board: str) -> Layout:
    """Return the layout of a board's default preset.

    Raises
    ------
    ValueError
        If BrainFlow has no such board, or one with neither EEG nor accelerometer.
    """
    ids = _ids()
    name = board.lower().removesuffix("_board")
    if name not in ids or name in _NONE:
        known = ", ".join(boards())
        raise ValueError(f"there is no board {board!r}; BrainFlow has {known}")
    about = _shim().BoardShim.get_board_descr(ids[name])
    signals = {}
    if eeg := about.get("eeg_channels"):
        labels = about.get("eeg_names", "").split(",")
        if len(labels) != len(eeg):
            labels = [f"ch{i}" for i in range(1, len(eeg) + 1)]
        signals["eeg"] = (tuple(Channel(c, "eeg", "uV") for c in labels), tuple(eeg))
    if acc := about.get("accel_channels"):
        axes = tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
        signals["acc"] = (axes, tuple(acc))
    if not signals or "package_num_channel" not in about:
        raise ValueError(
            f"the default preset of board {name!r} has neither EEG nor accelerometer, "
            "or no counter; it cannot be read here"
        )
    return Layout(
        name,
        Fraction(about["sampling_rate"]),
        about["num_rows"],
        about["package_num_channel"],
        about["timestamp_channel"],
        about["marker_channel"],
        signals,
    )


@cache
def _shim() -> Any:
    with warnings.catch_warnings():
        # BrainFlow imports pkg_resources to load its library, which causes a warning.
        warnings.simplefilter("ignore")
        from brainflow import board_shim

        board_shim.BoardControllerDLL.get_instance()
    return board_shim


def _ids() -> dict[str, int]:
    """Return the number of each board by name."""
    return {b.name.lower().removesuffix("_board"): b.value for b in _shim().BoardIds}


def _numbers(path: Path, layout: Layout) -> tuple[Array, bool]:
    """Return all rows, shape (n, width), and True if the last line is incomplete."""
    text = existing_file(path).read_bytes()
    whole, end, last = text.rpartition(b"\n")
    torn = bool(last.strip()) and last.count(b"\t") + 1 < layout.width and bool(end)
    lines = (whole if torn else text).split(b"\n")
    lines = [line for line in lines if line.strip()]
    if not lines:
        return np.empty((0, layout.width)), torn
    try:
        data = np.loadtxt(lines, delimiter="\t", ndmin=2, comments=None)
    except ValueError:
        data = np.empty((0, 0))
    if data.shape[1] != layout.width or not np.isfinite(data[:, layout.counter]).all():
        raise ValueError(_fault(path, lines, layout))
    return data, torn


def _fault(path: Path, lines: list[bytes], layout: Layout) -> str:
    """Return the fault of the first damaged line."""
    for i, line in enumerate(lines, start=1):
        fields = line.decode("utf-8", "replace").split("\t")
        if len(fields) != layout.width:
            return (
                f"{path}, line {i}: {len(fields)} columns separated by tabs; a file of "
                f"the board {layout.board!r} has {layout.width}"
            )
        for field in fields:
            try:
                float(field)
            except ValueError:
                return f"{path}, line {i}: {field.strip()[:40]!r} is no number"
    return f"{path}: a package number is missing; it is column {layout.counter + 1}"
