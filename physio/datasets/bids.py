"""EEG of studies in the Brain Imaging Data Structure (BIDS), through mne-bids."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.io import edf

TESTED_WITH: Final = "a folder that mne-bids wrote"
"""Tests behind this reader, for the page of supported formats."""


@dataclass(frozen=True)
class Bids:
    """The EEG recordings of a folder in BIDS.

    One trial for each file: its subject, session, and its task with the number of the
    run, ``rest`` or ``rest 2``. Second 0 of the session clock is the first sample.

    Parameters
    ----------
    root
        The folder with ``dataset_description.json``.

    Notes
    -----
    Types, units and bad channels are those of ``channels.tsv``, and events those of
    ``events.tsv``, as mne-bids reads them. The events that are ratings depend on the
    study, so none is scaled here.
    """

    root: Path

    name: ClassVar[str] = "BIDS"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def citation(self) -> str:
        """Reference that the folder asks to cite."""
        about = self._about()
        reference = about.get("HowToAcknowledge") or about.get("DatasetDOI")
        return str(reference or about.get("Name") or self.root.name)

    @property
    def licence(self) -> str:
        """Licence of the folder, or "not stated"."""
        return str(self._about().get("License") or "not stated")

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each EEG file."""
        return tuple(sorted(self._paths()))

    def load(self, trial: Trial) -> Recording:
        """Return a file as a recording, converted by `physio.io.edf.from_mne`.

        Raises
        ------
        FileNotFoundError
            If there is no such folder or trial.
        ValueError
            If a file is damaged or of another format.
        """
        paths = self._paths()
        if trial not in paths:
            raise FileNotFoundError(
                f"{self.root} has no EEG of {' '.join(filter(None, trial))!r}"
            )
        mne_bids = _package()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on side files that may be left out
                raw = mne_bids.read_raw_bids(paths[trial], verbose="error")
                recording = edf.from_mne(
                    raw.load_data(verbose="error"), participant=trial.subject
                )
        except Exception as error:  # any error of the parsers of MNE and mne-bids
            text = " ".join(str(error).split())[:120] or type(error).__name__
            raise ValueError(f"{paths[trial].fpath} cannot be read: {text}") from None
        about = {
            **recording.metadata,
            "source": "BIDS",
            "citation": self.citation,
            "licence": self.licence,
        }
        return Recording(recording.streams, recording.events, (), about)

    def _paths(self) -> dict[Trial, Any]:
        """Return the path of each trial, from mne-bids."""
        if not is_bids(self.root):
            raise FileNotFoundError(
                f"{self.root} is no BIDS folder: it has no dataset_description.json"
            )
        mne_bids = _package()
        paths = mne_bids.find_matching_paths(
            self.root, datatypes="eeg", suffixes="eeg",
            extensions=[".edf", ".bdf", ".vhdr", ".set", ".fif"],
        )  # fmt: skip
        if not paths:
            raise ValueError(f"{self.root} has no EEG")
        return {
            Trial(
                path.subject or "",
                path.session or "",
                " ".join(filter(None, (path.task, path.run))),
            ): path
            for path in paths
        }

    def _about(self) -> dict[str, Any]:
        try:
            text = (self.root / "dataset_description.json").read_text("utf-8")
            about = json.loads(text)
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}


def is_bids(path: Path) -> bool:
    """Return True if a folder is a study in BIDS."""
    return (path / "dataset_description.json").is_file()


def _package() -> Any:
    try:
        import mne_bids
    except ImportError:
        raise ValueError(
            "BIDS folders are read through mne-bids: pip install 'physio-affect[bids]'"
        ) from None
    return mne_bids
