"""Reader for any supported recording, chosen by path and content."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from physio.core.clock_check import check_clocks
from physio.core.input_file import refuse_endless
from physio.core.recording import Recording
from physio.datasets import bids, wesad
from physio.io import empatica


class FileFormat(NamedTuple):
    """A kind of recording that `read` accepts.

    Parameters
    ----------
    name
        Name, with its article.
    files
        Suffixes of its files, or its folder, with any restriction.
    reader
        Module that reads it.
    tested_with
        Tests behind it, for the page of supported formats.
    """

    name: str
    files: str
    reader: str
    tested_with: str


FORMATS: Final = (
    FileFormat(
        "an Empatica E4 export",
        "folder or .zip",
        "physio.io.empatica",
        "published exports of wristbands",
    ),
    FileFormat(
        "a WESAD participant",
        "folder",
        "physio.datasets.wesad",
        "the 12 participants at hand",
    ),
    FileFormat(
        "an XDF file",
        ".xdf, .xdfz, .xdf.gz",
        "physio.io.xdf",
        "recordings of this package and of LabRecorder",
    ),
    FileFormat(
        "EEG that MNE reads",
        ".edf, .bdf, .vhdr, .fif",
        "physio.io.edf",
        "published EDF and BDF files; BrainVision and FIF written by MNE",
    ),
    FileFormat(
        "a BrainFlow file",
        ".csv or .tsv, with its board named",
        "physio.io.brainflow",
        "a published recording of a Cyton",
    ),
    FileFormat(
        "a recording of the OpenBCI GUI",
        ".txt",
        "physio.io.openbci",
        "a published recording of the GUI",
    ),
    FileFormat(
        "a recording of a RespiBAN",
        ".txt",
        "physio.io.opensignals",
        "files assembled for the tests after the published format",
    ),
    FileFormat(
        "a recording of Mind Monitor",
        ".csv",
        "physio.io.mind_monitor",
        "a published recording of a Muse",
    ),
    FileFormat(
        "a BIDS folder with one EEG",
        "folder",
        "physio.datasets.bids",
        "a folder that mne-bids wrote",
    ),
)
"""The formats that `read` recognizes, in the order of the documentation."""

KINDS: Final = "; ".join(f"{f.name} ({f.files})" for f in FORMATS)
"""The formats, as error messages list them."""

XDF: Final = (".xdf", ".xdfz", ".xdf.gz")
"""Suffixes of XDF files."""

EEG: Final = (".edf", ".bdf", ".vhdr", ".fif", ".fif.gz")
"""Suffixes of files that are read through MNE."""

_NUMBERS: Final = re.compile(rb"[-+.\d]+\t[-+.\d]")
"""Beginning of a BrainFlow file: tab-separated numbers without a header."""


def read(
    path: str | Path, *, board: str | None = None, participant: str = ""
) -> Recording:
    """Read a recording of any supported format.

    Parameters
    ----------
    path
        A file or a folder: see `FORMATS`. The folder of a session stands for the
        XDF file in it.
    board
        Board with which a BrainFlow file was recorded, such as ``"cyton"``.
    participant
        Code of the participant, for formats that do not store it; a WESAD participant
        and the streams of an XDF file keep their own codes.

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
    recording = _read(path, board, participant)
    try:
        return check_clocks(recording)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: Path, board: str | None, participant: str) -> Recording:
    if path.is_dir():
        return _folder(path, participant)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    refuse_endless(path)
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        return empatica.read(path, participant=participant)
    if head.startswith(b"XDF:") or path.name.lower().endswith(XDF):
        from physio.io import xdf

        return xdf.read(path)
    if path.name.lower().endswith(EEG):
        from physio.io import edf

        return edf.read(path, participant=participant)
    text = _text(path, head, participant)
    if text is not None:
        return text
    if empatica.is_export(path.parent) and path.name in empatica.NAMES:
        raise ValueError(
            f"{path} is one file of an Empatica E4 export: give the folder it is in"
        )
    if path.suffix in (".csv", ".tsv") and (board or _NUMBERS.match(head)):
        from physio.io import brainflow

        return brainflow.read(path, board, participant=participant)
    raise ValueError(f"the format of {path} is not recognized; it can be {KINDS}")


def _text(path: Path, head: bytes, participant: str) -> Recording | None:
    """Read a text file whose first line identifies its format; None for others."""
    if head.startswith(b"%OpenBCI"):
        from physio.io import openbci

        return openbci.read(path, participant=participant)
    if head.startswith(b"# OpenSignals"):
        from physio.io import opensignals

        return opensignals.read(path, participant=participant)
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"TimeStamp,Delta_TP9,"):
        from physio.io import mind_monitor

        return mind_monitor.read(path, participant=participant)
    return None


def _folder(path: Path, participant: str) -> Recording:
    if wesad.is_participant(path.resolve()):
        return wesad.read(path)
    if empatica.is_export(path):
        return empatica.read(path, participant=participant)
    if bids.is_bids(path):
        study = bids.Bids(path)
        first, *others = study.trials()
        if others:
            raise ValueError(
                f"{path} has {len(others) + 1} recordings: give the file of one"
            )
        return study.load(first)
    sessions = sorted(path.glob("*.xdf"))
    if len(sessions) == 1:
        return read(sessions[0])
    if any(wesad.is_participant(p) for p in path.iterdir()):
        example = path / wesad.Wesad(path).participants[0]
        raise ValueError(
            f"{path} has several participants: give the folder of one, as {example}"
        )
    raise ValueError(
        f"{path} is no Empatica E4 export (no EDA.csv, BVP.csv, ACC.csv or TEMP.csv) "
        f"and no WESAD participant's folder; a recording can be {KINDS}"
    )
