"""Any recording there is a reader for, by its path alone."""

from pathlib import Path
from typing import Final

from physio.core.recording import Recording
from physio.datasets import bids, wesad
from physio.io import empatica

KINDS: Final = (
    "an Empatica E4 export (folder or .zip), a WESAD person's folder, an XDF file "
    "(.xdf, .xdfz), EEG that MNE reads (.edf, .bdf, .vhdr, .fif), a BrainFlow file "
    "(.csv or .tsv, with its board named), a recording of the OpenBCI GUI or of a "
    "RespiBAN (.txt) or of Mind Monitor (.csv), or a BIDS folder with one EEG"
)

EEG: Final = (".edf", ".bdf", ".vhdr", ".fif", ".fif.gz")
"""How files are called that are read through MNE."""


def read(path: str | Path, *, board: str | None = None, person: str = "") -> Recording:
    """Read a recording, whatever it is.

    Parameters
    ----------
    path
        A file or a folder: `KINDS` says of what. The folder of a session stands for
        the XDF file in it.
    board
        Which board a BrainFlow file was recorded with, say ``"cyton"``.
    person
        Code of the participant, for recordings that have no place for it; a WESAD
        person and the streams of an XDF file keep the codes that they have.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is nothing that can be read, or damaged; the message says what would be.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, person)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        return empatica.read(path, person=person)
    if head.startswith(b"XDF:") or path.suffix in (".xdf", ".xdfz"):
        from physio.io import xdf

        return xdf.read(path)
    if path.name.lower().endswith(EEG):
        from physio.io import edf

        return edf.read(path, person=person)
    text = _text(path, head, person)
    if text is not None:
        return text
    if empatica.is_export(path.parent) and path.name in empatica.NAMES:
        raise ValueError(
            f"{path} is one file of an Empatica E4 export: give the folder it is in"
        )
    if path.suffix in (".csv", ".tsv") and (board or b"\t" in head):
        from physio.io import brainflow

        return brainflow.read(path, board, person=person)
    raise ValueError(f"{path} is no recording that can be read; that would be {KINDS}")


def _text(path: Path, head: bytes, person: str) -> Recording | None:
    """Read a text file that its first line tells apart, if it is one."""
    if head.startswith(b"%OpenBCI"):
        from physio.io import openbci

        return openbci.read(path, person=person)
    if head.startswith(b"# OpenSignals"):
        from physio.io import opensignals

        return opensignals.read(path, person=person)
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"TimeStamp,Delta_TP9,"):
        from physio.io import mind_monitor

        return mind_monitor.read(path, person=person)
    return None


def _folder(path: Path, person: str) -> Recording:
    if wesad.is_person(path.resolve()):
        return wesad.read(path)
    if empatica.is_export(path):
        return empatica.read(path, person=person)
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
    if any(wesad.is_person(p) for p in path.iterdir()):
        one = path / wesad.Wesad(path).people[0]
        raise ValueError(f"{path} has several people: give the folder of one, as {one}")
    raise ValueError(
        f"{path} is no Empatica E4 export (no EDA.csv, BVP.csv, ACC.csv or TEMP.csv) "
        "and no WESAD person's folder; what can be read is " + KINDS
    )
