"""The OpenBCI GUI's text files."""

import re
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Channel
from physio.io import brainflow
from physio.io.openbci import is_file, read

HEAD = """%OpenBCI Raw EXG Data
%Number of channels = 4
%Sample Rate = 200 Hz
%Board = OpenBCI_GUI$BoardGanglionBLE
"""
COLUMNS = (
    "Sample Index, EXG Channel 0, EXG Channel 1, EXG Channel 2, EXG Channel 3, "
    "Accel Channel 0, Accel Channel 1, Accel Channel 2, Timestamp, Marker Channel, "
    "Timestamp (Formatted)\n"
)


def row(i: int, marker: float = 0) -> str:
    values = f"{i % 256}, {i}.5, -2.0, 3.0, 4.0, 0.0, 0.5, 1.0"
    return f"{values}, {1600000000 + i / 200}, {marker}, 2020-09-13 12:26:40.000\n"


def text(*rows: str, head: str = HEAD, columns: str = COLUMNS) -> str:
    return head + columns + "".join(rows)


def write(path: Path, content: str) -> Path:
    path = path / "OpenBCI-RAW.txt"
    path.write_text(content)
    return path


def test_streams_are_those_of_the_board_that_the_file_names(tmp_path: Path) -> None:
    lines = [row(i, marker=5.0 if i == 3 else 0) for i in (0, 1, 2, 3, 7, 8)]
    path = write(tmp_path, text(*lines))
    assert is_file(path)
    found = read(path, participant="p07")
    assert list(found.streams) == ["ganglion.eeg", "ganglion.acc"]
    eeg = found.streams["ganglion.eeg"]
    assert eeg[0].info.channels == tuple(
        Channel(f"eeg{i}", "eeg", "uV") for i in range(1, 5)
    )
    assert eeg[0].info.rate == 200
    assert eeg[0].info.participant == "p07"
    assert [(b.start, b.stop) for b in eeg] == [(0, 4), (7, 9)]
    assert eeg[1].data[:, 0].tolist() == [7.5, 8.5]
    assert eeg[0].stamps is not None
    assert eeg[0].stamps.tolist() == [1600000000 + i / 200 for i in range(4)]
    assert found.streams["ganglion.acc"][0].data[0].tolist() == [0.0, 0.5, 1.0]
    markers = found.events["ganglion.markers"]
    assert (markers.times.tolist(), markers.labels) == ([3 / 200], ("5",))


def test_a_board_not_known_and_a_file_without_movement_or_markers(
    tmp_path: Path,
) -> None:
    columns = "Sample Index, EXG Channel 0, Timestamp, Timestamp (Formatted)\n"
    head = HEAD.replace("BoardGanglionBLE", "BoardOfTomorrow")
    path = write(
        tmp_path, text("0, 1.5, 1600000000.0, x\n", head=head, columns=columns)
    )
    found = read(path)
    assert list(found.streams) == ["openbci.eeg"]
    assert len(found.events["openbci.markers"]) == 0


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    found = read(write(tmp_path, text(row(0), row(1), row(2)[:20])))
    assert len(found.streams["ganglion.eeg"][0]) == 2
    assert found.metadata["incomplete"] == "the last line was torn"


OLD = """%OpenBCI Raw EEG Data
%Number of channels = 8
%Sample Rate = 250.0 Hz
%First Column = SampleIndex
%Last Column = Timestamp
%Other Columns = EEG data in microvolts followed by Accel Data (in G)
"""


def test_a_file_of_version_4_is_read_by_its_number_of_channels(tmp_path: Path) -> None:
    channels = ", ".join(f"{k}.5" for k in range(8))
    rows = [
        f"{i % 256}, {channels}, 0.1, 0.2, 0.9, 16:54:58.948, {1554674098948 + 4 * i}\n"
        for i in range(300)
        if i not in range(100, 110)
    ]
    found = read(write(tmp_path, OLD + "".join(rows)))
    first, second = found.streams["cyton.eeg"]
    assert (first.info.rate, first.info.names[0]) == (250, "Fp1")
    assert (first.stop, second.start, second.stop) == (100, 110, 300)
    assert first.data[0].tolist() == [k + 0.5 for k in range(8)]
    assert found.streams["cyton.acc"][0].data[0].tolist() == [0.1, 0.2, 0.9]
    assert float(found.metadata["begin_unix"]) == 1554674098.948


def test_files_of_other_programs_in_this_format(tmp_path: Path) -> None:
    """A rate with decimals, no time stamps, decimal commas, texts of annotations."""
    columns = COLUMNS.replace(" Timestamp,", "").rstrip() + ", Annotations\n"
    rows = [
        f"{i}.0, {i}.5, -2.0, 3.0, 4.0, 0.0, 0.5, 1.0, 0, x, {'T1' if i == 4 else ''}\n"
        for i in range(600)
    ]
    head = HEAD.replace("200 Hz", "200.0 Hz")
    plain = text(*rows, head=head, columns=columns)
    comma = head + (columns + "".join(rows)).replace(",", ";").replace(".", ",")
    for content in (plain, plain.replace("\n", "\r\n"), comma):
        found = read(write(tmp_path, content))
        (eeg,) = found.streams["ganglion.eeg"]
        assert (len(eeg), eeg.info.rate, eeg.data[7, 0]) == (600, 200, 7.5)
        marks = found.events["ganglion.annotations"]
        assert (marks.labels, marks.times.tolist()) == (("T1",), [4 / 200])


def test_no_rows(tmp_path: Path) -> None:
    found = read(write(tmp_path, text()))
    assert len(found.streams["ganglion.eeg"][0]) == 0


NO_RATE = (
    " lacks a line '%Sample Rate = 250 Hz', which every file of the OpenBCI GUI has"
)
NO_COLUMNS = (
    " names no columns (Sample Index, EXG Channel 0, ...), as version 5 and later "
    "write, and states no number of channels, as earlier ones"
)
FAULTS = [
    (
        "",
        " is no file of the OpenBCI GUI: it must begin with '%OpenBCI Raw EXG Data' or "
        "'%OpenBCI Raw EEG Data'",
    ),
    (HEAD, NO_COLUMNS),
    (text(row(0), head=HEAD.replace("200", "fast")), NO_RATE),
    (text(row(0), columns=""), NO_COLUMNS),
    (
        text(row(0), columns=COLUMNS.replace("EXG", "EEG")),
        " names no column EXG Channel 0",
    ),
    (text(row(0), "1, 2\n"), ", line 7: 2 columns; the header names 11"),
    (
        text(row(0), row(1).replace("-2.0", "minus")),
        ", line 7: 'minus' is no number",
    ),
]


@pytest.mark.parametrize(("content", "says"), FAULTS)
def test_a_fault_is_told(tmp_path: Path, content: str, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}{says}')}$"):
        read(path)


def test_nothing_there(tmp_path: Path) -> None:
    says = f"there is no file {tmp_path / 'a.txt'}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(says)}$"):
        read(tmp_path / "a.txt")


def test_a_real_session_is_what_brainflow_makes_of_it(data: Path) -> None:
    found = read(data / "openbci" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt")
    (eeg,) = found.streams["cyton.eeg"]
    assert len(eeg) == 22490
    assert eeg.stamps is not None
    assert np.sum(np.diff(eeg.stamps) <= 0) == 8222
    same = brainflow.read(
        data / "openbci" / "brainflow_cyton_playback_30s.csv", "cyton"
    )
    for name, (block,) in same.streams.items():
        (ours,) = found.streams[name]
        assert ours.info == block.info
        assert np.array_equal(ours.data[: len(block)], block.data)
        assert ours.stamps is not None
        assert np.array_equal(ours.stamps[: len(block)], block.stamps)
