"""BrainFlow files: tab-separated numbers without a header, written by its streamer."""

import re
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.board_files import (
    NO_BOARDS,
    BoardSamples,
    BoardStream,
    preset_streams,
)

_NONE: Final = ("no", "playback_file", "streaming")

PRESETS: Final = ("default", "auxiliary", "ancillary")
"""Presets of boards, by BrainFlow's number; each is written to its own file."""


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
        The streams by name.
    preset
        As in `PRESETS`.
    """

    board: str
    rate: Fraction
    width: int
    counter: int
    stamp: int
    marker: int
    signals: Mapping[str, BoardStream]
    preset: str = "default"

    @property
    def least(self) -> int:
        """Number of columns that are read; older versions write fewer than `width`."""
        used = [self.counter, self.stamp, self.marker]
        return 1 + max([*used, *(c for s in self.signals.values() for c in s.rows)])


def read(
    path: str | Path, board: str | None = None, *, participant: str = ""
) -> Recording:
    """Read a file that BrainFlow has written, of one preset of a board.

    Streams ``<board>.eeg`` (uV), ``.ecg``, ``.emg``, ``.eog``, ``.acc`` (g), ``.gyro``,
    ``.eda`` (uS), ``.ppg`` and ``.temp`` (degC), if the preset has them; events
    ``<board>.markers``. Times and losses come from the package counter, because the
    computer's stamps are bunched and do not always rise; they are kept with the
    samples. If the counter contradicts them, they place the samples.

    Parameters
    ----------
    path
        The file, with tabs or commas, also saved by pandas with a header or an index.
    board
        Name of the board, ``"cyton"`` or another of `boards`, and of the preset if it
        is not the default one, ``"emotibit:anc"``; the file does not contain it.
        Without a preset, the first one with this number of columns is taken.
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
    then has ``incomplete``. Other columns (analog, battery, electrodes listed again as
    EMG ...) are left out. If a board sends a slow sensor together with a fast one, such
    as the Cyton's accelerometer, rows repeat the last value of the slow sensor.
    """
    path = Path(path)
    if board is None:
        raise ValueError(
            f"{path} does not state the meaning of its columns: give the board that it "
            "was recorded with, as in --board cyton"
        )
    layouts = describe(board)
    data, layout, torn = _numbers(path, layouts)
    rows = BoardSamples(
        layout.board,
        layout.rate,
        data[:, layout.counter],
        data[:, layout.stamp],
        data[:, layout.marker],
        {
            name: (stream.channels, stream.values(data))
            for name, stream in layout.signals.items()
        },
    )
    preset = "" if layout.preset == PRESETS[0] else f", {layout.preset} preset"
    recording = rows.recording(f"BrainFlow file, {layout.board}{preset}", participant)
    if torn:
        about = {**recording.metadata, "incomplete": "the last line was torn"}
        recording = Recording(recording.streams, recording.events, (), about)
    return recording


def boards() -> tuple[str, ...]:
    """Return the names of all boards: BrainFlow's own, in lower case."""
    return tuple(name for name in _ids() if name not in _NONE)


def describe(board: str) -> tuple[Layout, ...]:
    """Return the layouts of a board's presets, or of the one that is named.

    Parameters
    ----------
    board
        Name of the board, and of a preset after a colon: ``"emotibit:anc"``.

    Raises
    ------
    ValueError
        If BrainFlow has no such board or preset, or none with signals.
    """
    ids = _ids()
    name, _, part = board.lower().partition(":")
    name = name.removesuffix("_board")
    if name not in ids or name in _NONE:
        if reason := NO_BOARDS.get(re.sub("[ _-]", "", name)):
            raise ValueError(f"no board {board!r}: {reason}")
        known = ", ".join(boards())
        raise ValueError(f"there is no board {board!r}; BrainFlow has {known}")
    shim = _shim().BoardShim
    layouts = []
    for preset in sorted(shim.get_board_presets(ids[name])):
        label = PRESETS[preset]
        if part and not label.startswith(part[:3]):
            continue
        about = shim.get_board_descr(ids[name], preset)
        streams = {stream.name: stream for stream in preset_streams(about)}
        if streams and "package_num_channel" in about:
            layouts.append(_layout(name, label, about, streams))
    if not layouts:
        raise ValueError(
            f"the board {board!r} has no preset with signals and a counter: presets "
            f"are named {', '.join(PRESETS)}, as in {name}:{PRESETS[0]}"
        )
    return tuple(layouts)


def _layout(
    name: str, preset: str, about: Mapping[str, Any], streams: Mapping[str, Any]
) -> Layout:
    return Layout(
        name,
        Fraction(about["sampling_rate"]),
        about["num_rows"],
        about["package_num_channel"],
        about["timestamp_channel"],
        about["marker_channel"],
        streams,
        preset,
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


def _numbers(path: Path, layouts: Sequence[Layout]) -> tuple[Array, Layout, bool]:
    """Return all rows, shape (n, width), their layout, and True if one is torn."""
    text = existing_file(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    comma = text[:4096].count(b",") > text[:4096].count(b"\t")
    separator = "," if comma else "\t"
    first, _, rest = text.partition(b"\n")
    names = [f.strip(b' "\r') for f in first.split(separator.encode())]
    index = names[0] in (b"", b"Unnamed: 0")  # as pandas writes it
    counted = [str(i).encode() for i in range(len(names) - index)]
    header = len(counted) > 3 and names[index:] == counted
    text = rest if header else text
    index &= header
    whole, end, last = text.rpartition(b"\n")
    width = whole.rpartition(b"\n")[2].count(separator.encode()) + 1
    torn = bool(last.strip()) and last.count(separator.encode()) + 1 < width
    torn = torn and bool(end)
    lines = [line for line in (whole if torn else text).split(b"\n") if line.strip()]
    layout = _choose(layouts, width - index if lines else layouts[0].width)
    if not lines:
        return np.empty((0, layout.width)), layout, torn
    try:
        data = np.loadtxt(lines, delimiter=separator, ndmin=2, comments=None)
    except ValueError:
        data = np.empty((0, 0))
    data = data[:, 1:] if index else data
    enough = layout.least <= data.shape[1] <= layout.width
    if not enough or not np.isfinite(data[:, layout.counter]).all():
        raise ValueError(_fault(path, lines, layout, separator))
    return data, layout, torn


def _choose(layouts: Sequence[Layout], width: int) -> Layout:
    """Return the layout of a file with this number of columns."""
    exact = [la for la in layouts if la.width == width]
    older = [la for la in layouts if la.least <= width < la.width]
    return (exact or older or list(layouts))[0]


def _fault(path: Path, lines: list[bytes], layout: Layout, separator: str) -> str:
    """Return the fault of the first damaged line."""
    name = "commas" if separator == "," else "tabs"
    for i, line in enumerate(lines, start=1):
        fields = line.decode("utf-8", "replace").split(separator)
        if not layout.least <= len(fields) <= layout.width:
            return (
                f"{path}, line {i}: {len(fields)} columns separated by {name}; a file "
                f"of the board {layout.board!r} has {layout.width}"
            )
        for field in fields:
            try:
                float(field)
            except ValueError:
                return f"{path}, line {i}: {field.strip()[:40]!r} is no number"
    return f"{path}: a package number is missing; it is column {layout.counter + 1}"
