"""Reader for any supported recording, chosen by path and content."""

import csv
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile

from physio.core.clock_check import check_clocks
from physio.core.input_file import refuse_endless
from physio.core.recording import Recording
from physio.datasets import bids, library, wesad
from physio.io import (
    embraceplus,
    emotibit,
    empatica,
    kubios,
    openmuse,
    polar_hrm,
    recording_tables,
)
from physio.io.tables.text_table import NoTableError


class FileFormat(NamedTuple):
    """A kind of recording that `read` accepts.

    Parameters
    ----------
    name
        Name, with its article.
    files
        Suffixes of its files, or its folder, with any restriction.
    recognised_by
        Property by which a file is recognised.
    reader
        Module that reads it.
    tested_with
        Tests behind it, for the page of supported formats.
    suffixes
        Ends of file names, in lower case, that suffice.
    head
        Pattern of the first bytes that suffices.
    options
        Options of `read` that the reader takes.
    """

    name: str
    files: str
    recognised_by: str
    reader: str
    tested_with: str
    suffixes: tuple[str, ...] = ()
    head: bytes = rb"(?!)"
    options: tuple[str, ...] = ("participant",)

    def has_suffix(self, path: Path) -> bool:
        """Return whether a file is of this format by its name."""
        return bool(self.suffixes) and path.name.lower().endswith(self.suffixes)

    def has_head(self, head: bytes) -> bool:
        """Return whether a file is of this format by its first bytes."""
        return re.match(self.head, head) is not None


FORMATS: Final = (
    FileFormat(
        "an Empatica E4 export",
        "folder or .zip",
        "names and first lines of its tables, also renamed ones",
        "physio.io.empatica",
        "published exports of wristbands",
        head=rb"PK",
        options=("session", "participant"),
    ),
    FileFormat(
        "a WESAD participant",
        "folder",
        "S2/S2_E4_Data.zip, or this folder unpacked",
        "physio.datasets.wesad",
        "the 12 participants at hand",
    ),
    FileFormat(
        "an XDF file",
        ".xdf, .xdfz, .xdf.gz",
        "first bytes",
        "physio.io.xdf",
        "recordings of this package and of LabRecorder",
        suffixes=(".xdf", ".xdfz", ".xdf.gz"),
        head=rb"XDF:",
        options=(),
    ),
    FileFormat(
        "EEG that MNE reads",
        ".edf, .bdf, .vhdr, .fif, .set, .gdf, .cnt",
        "suffix",
        "physio.io.edf",
        "published EDF and BDF files; BrainVision, FIF, EEGLAB written by MNE",
        suffixes=(
            *(".edf", ".bdf", ".vhdr", ".fif", ".fif.gz", ".set", ".gdf", ".cnt"),
        ),
    ),
    FileFormat(
        "a recording of the OpenBCI GUI",
        ".txt",
        "%OpenBCI in the first line",
        "physio.io.openbci",
        "a published recording of the GUI",
        head=rb"%OpenBCI",
    ),
    FileFormat(
        "an OpenSignals file of a BITalino, biosignalsplux or RespiBAN",
        ".txt",
        "# OpenSignals in the first line",
        "physio.io.opensignals",
        "files assembled after published ones",
        head=rb"\s*# OpenSignals",
        options=("columns", "participant"),
    ),
    FileFormat(
        "a BrainFlow file",
        ".csv or .tsv, with its board named",
        "tab-separated numbers, or a header that counts the columns",
        "physio.io.brainflow",
        "a published recording of a Cyton and of an EmotiBit",
        head=rb"(?:[-+.\deE]+\t){3,}[-+.\deE]+\r?\n|,?0,1,2,3,|0\t1\t2\t3\t",
        options=("board", "participant"),
    ),
    FileFormat(
        "an EmbracePlus file",
        ".avro, or a folder of them",
        "first bytes",
        "physio.io.embraceplus",
        "a published file, joined files",
        head=rb"Obj\x01",
    ),
    FileFormat(
        "a file of an EmotiBit",
        ".csv, raw or of its parser",
        "its lines, or the header of the parser",
        "physio.io.emotibit",
        "published files",
        head=emotibit.RAW + rb"|" + emotibit.PARSED,
    ),
    FileFormat(
        "raw packets of a Muse S Athena",
        ".txt",
        "time, characteristic and hexadecimal packet in each line, as OpenMuse writes",
        "physio.io.openmuse",
        "packets assembled for the tests, checked on a published recording",
        head=openmuse.HEAD,
    ),
    FileFormat(
        "an AcqKnowledge file of a BIOPAC",
        ".acq",
        "suffix",
        "physio.io.biopac",
        "a published file",
        suffixes=(".acq",),
    ),
    FileFormat(
        "a LabChart or AcqKnowledge export for MATLAB",
        ".mat",
        "suffix",
        "physio.io.matlab_exports",
        "files assembled for the tests",
        suffixes=(".mat",),
    ),
    FileFormat(
        "a recording of an Enobio",
        ".easy",
        "suffix",
        "physio.io.enobio",
        "files assembled for the tests",
        suffixes=(".easy", ".easy.gz"),
    ),
    FileFormat(
        "a file of a Polar monitor",
        ".hrm",
        "[Params] in the first line",
        "physio.io.polar_hrm",
        "a published file",
        suffixes=(".hrm",),
        head=polar_hrm.HEAD,
    ),
    FileFormat(
        "a report of Kubios HRV with its intervals",
        ".txt or .csv, separated by commas, semicolons or tabs",
        "Kubios HRV in the first lines",
        "physio.io.kubios",
        "files assembled for the tests, in the arrangement of a published report",
        head=kubios.HEAD,
    ),
    FileFormat(
        "a recording of a BIDS data set",
        "folder, or a file of it: EEG, _physio, _motion, _events",
        "dataset_description.json; names such as sub-01_task-rest_physio.tsv.gz",
        "physio.datasets.bids",
        "folders that mne-bids and this package wrote",
        options=("participant", "session", "task"),
    ),
    FileFormat(
        "an export of this package as CSV or Parquet",
        "folder",
        "recording.json",
        "physio.io.recording_tables",
        "round trips",
    ),
    FileFormat(
        "a table with a signal in each column",
        "text with any separator, or .parquet",
        "the header of a known program, a map beside it, or the names of its columns",
        "physio.io.tables",
        "published and rebuilt files of each program",
        suffixes=(".parquet",),
        options=("columns", "participant"),
    ),
)
"""The formats that `read` recognizes, in the order in which they are tried."""

LISTED: Final = (
    "docs/data.md names the formats; for a table of your own, write a map with "
    "`physio columns`"
)
"""Place that names the formats, for error messages."""

_TABLE: Final = FORMATS[-1]
_BRAINFLOW: Final = next(f for f in FORMATS if f.reader == "physio.io.brainflow")
_BIDS: Final = next(f for f in FORMATS if f.reader == "physio.datasets.bids")
_HEAD: Final = 4096  # bytes by which a format is recognised


def read(
    path: str | Path,
    *,
    board: str | None = None,
    columns: Any = None,
    session: str = "",
    participant: str = "",
    task: str = "",
) -> Recording:
    """Read a recording of any supported format.

    Parameters
    ----------
    path
        A file or a folder: see `FORMATS`. The folder of a session stands for the
        XDF file in it, and the folder of a published data set (`physio.datasets`) for
        the recording that participant, session and task select.
    board
        Board with which a BrainFlow file was recorded, such as ``"cyton"``, with its
        preset where it is not the default one: ``"emotibit:anc"``.
    columns
        Meaning of the columns of a table or an OpenSignals file: the path of a map
        (TOML), as `physio columns` writes it.
    session
        Session of an Empatica E4 export, a BIDS folder or a published data set that
        holds several.
    participant
        Participant of a BIDS folder or a published data set that holds several. Code of
        the participant, for formats that do not store it; a WESAD participant and the
        streams of an XDF file keep their own codes.
    task
        Task of a BIDS folder that holds several, with its run as ``"rest_run-2"``;
        trial of a published data set.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If the format is not supported, or the file is damaged; the message names the
        formats. If its streams do not belong to one session: see
        `physio.core.clock_check`.
    """
    path = Path(path)
    options = {
        "board": board,
        "columns": columns,
        "session": session,
        "participant": participant,
        "task": task,
    }
    with _named(path):
        return check_clocks(_read(path, options))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the recording in errors; what a damaged file can raise is a ValueError."""
    try:
        yield
    except UnicodeError as error:
        raise ValueError(f"{path} holds text that is not in UTF-8: {error}") from error
    except ValueError as error:
        text = str(error).replace("\n", " ").strip()
        if str(path) in text and text == str(error):
            raise
        named = text if str(path) in text else f"{path}: {text}"
        raise ValueError(named) from error
    except _DAMAGES as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} cannot be read: it is damaged, or of an unknown variant of its "
            f"format ({type(error).__name__}: {text})"
        ) from error


_DAMAGES: Final = (
    ArithmeticError, AssertionError, AttributeError, BadZipFile, EOFError, LookupError,
    NotImplementedError, RecursionError, TypeError, csv.Error, struct.error, zlib.error,
)  # fmt: skip
"""Errors that parsers raise for damaged files."""


def _read(path: Path, options: dict[str, Any]) -> Recording:
    if path.is_dir():
        return _folder(path, options)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    refuse_endless(path)
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    try:
        return _open(_format(path, head, options), path, options)
    except NoTableError:
        raise ValueError(f"the format of {path} is not recognized: {LISTED}") from None


def _format(path: Path, head: bytes, options: dict[str, Any]) -> FileFormat:
    """Return the format of a file."""
    if options["board"] and path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _BRAINFLOW
    if bids.is_bids(path):
        return _BIDS
    if empatica.is_table(path):
        raise ValueError(
            f"{path} is one file of an Empatica E4 export: give the folder it is in"
        )
    by_content = (f for f in FORMATS if f.has_head(head))
    by_name = (f for f in FORMATS if f.has_suffix(path))
    if known := next(by_name, None) or next(by_content, None):
        return known
    for pattern, reason in _REFUSED:
        if re.match(pattern, head):
            raise ValueError(f"{path} {reason}")
    if not head.strip() or (b"\0" in head and head[:2] not in _UTF16):
        raise NoTableError(str(path))
    return _TABLE


_REFUSED: Final = (
    (
        rb"%(Total time|STOP|Stop)|[0-9A-F]{2},([0-9A-F]{6},){4,}",
        "is a file of an OpenBCI SD card, in hexadecimal: convert it with the OpenBCI "
        "GUI (SD card file, playback), and read the text file that it writes",
    ),
)
"""Begin of files that are refused by name, and the remedy."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def _open(file_format: FileFormat, path: Path, options: dict[str, Any]) -> Recording:
    reader = import_module(file_format.reader)
    given = {name: options[name] for name in file_format.options}
    recording: Recording = reader.read(path, **given)
    return recording


def _folder(path: Path, options: dict[str, Any]) -> Recording:
    participant, session = options["participant"], options["session"]
    if wesad.is_participant(path.resolve()):
        return wesad.read(path)
    if recording_tables.is_export(path):
        return recording_tables.read(path, participant=participant)
    if empatica.is_export(path):
        return empatica.read(path, session=session, participant=participant)
    if embraceplus.is_folder(path):
        return embraceplus.read(path, participant=participant)
    if bids.is_bids(path):
        return _open(_BIDS, path, options)
    sessions = sorted(path.glob("*.xdf"))
    if len(sessions) == 1:
        return read(sessions[0])
    if (known := library.recognized(path)) is not None:
        task = options["task"]
        return library.load_trial(known[1], path, participant, session, task)
    if (path / "study.toml").is_file():
        raise ValueError(
            f"{path} is the folder of a study: give one of its sessions, or use "
            f"`physio study table {path}`"
        )
    several = sessions or sorted(path.glob("*/recording.xdf")) or _files(path)
    if several:
        raise ValueError(
            f"{path} holds no single recording: give one of its files, as {several[0]}"
        )
    raise ValueError(f"{path} holds no recording: {LISTED}")


def _files(path: Path) -> list[Path]:
    """Return the files in a folder that are recordings by their names."""
    files = (p for p in sorted(path.iterdir()) if p.is_file())
    return [p for p in files if any(f.has_suffix(p) for f in FORMATS)]
