"""Studies in the Brain Imaging Data Structure (BIDS), as a data set of recordings."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.io.bids.bids_recording import (
    dataset_description,
    read_file,
    read_recording,
    shared_session,
)
from physio.io.bids.entities import (
    BidsFile,
    BidsFolder,
    RecordingKey,
    Selection,
    root_of,
)

TESTED_WITH: Final = "folders that mne-bids and this package wrote"
"""Tests behind this reader, for the page of supported formats."""

_LISTED: Final = 8  # recordings in a message


@dataclass(frozen=True)
class Bids:
    """The recordings of a folder in BIDS: EEG, physio, motion, events.

    One trial for each subject, session, and task with the number of the run, ``rest``
    or ``rest 2``. Second 0 of the session clock is the first sample of the EEG, or that
    to which the ``StartTime`` of other signals refers; recordings that this package
    exported keep their own clock.

    Parameters
    ----------
    root
        The folder with ``dataset_description.json``.
    selection
        Entities that all recordings have; by default those of all.

    Notes
    -----
    Types, units and status of channels are those of ``channels.tsv``, events those of
    ``events.tsv``, and sidecars apply by the inheritance principle. The events that are
    ratings depend on the study, so none is scaled here.
    """

    root: Path
    selection: Selection = field(default_factory=Selection)

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
        """Return one trial for each recording."""
        return tuple(sorted(self._keys))

    def load(self, trial: Trial) -> Recording:
        """Return the recording of a trial.

        Raises
        ------
        FileNotFoundError
            If there is no such folder or trial.
        ValueError
            If a file is damaged or of another format.
        """
        if trial not in self._keys:
            raise FileNotFoundError(
                f"{self.root} has no recording of {' '.join(filter(None, trial))!r}"
            )
        return self._cited(read_recording(self._folder, [self._keys[trial]]))

    def files_of(self, trial: Trial) -> tuple[BidsFile, ...]:
        """Return the files of the recording of a trial."""
        return self._folder.recordings[self._keys[trial]]

    def only(self) -> Recording:
        """Return the only recording, or the session of several participants.

        Raises
        ------
        ValueError
            If there are several; the message lists them.
        """
        keys = list(self._keys.values())
        if not self.is_single_session():
            raise ValueError(
                f"{self.root} has {len(keys)} recordings ({_listed(keys)}): choose "
                "with --participant, --session, --task (a run as --task rest_run-1), "
                "or give the file of one"
            )
        return self._cited(read_recording(self._folder, keys))

    def is_single_session(self) -> bool:
        """Return whether all recordings are one, or of people in one session."""
        keys = list(self._keys.values())
        if len(keys) == 1:
            return True
        sessions = {shared_session(self._folder, key) for key in keys}
        return len(sessions) == 1 and "" not in sessions

    @cached_property
    def _folder(self) -> BidsFolder:
        return BidsFolder(self.root)

    @cached_property
    def _keys(self) -> dict[Trial, RecordingKey]:
        """Return the entities of each trial."""
        if not is_bids(self.root):
            raise FileNotFoundError(
                f"{self.root} is no BIDS folder: it has no dataset_description.json"
            )
        if not self._folder.recordings:
            raise ValueError(
                f"{self.root} has no EEG, physio or motion of a participant (sub-...)"
            )
        keys = [k for k in self._folder.recordings if self.selection.matches(k)]
        if not keys:
            raise ValueError(
                f"{self.root} has no recording of {_wish(self.selection)}; it has "
                f"{_listed(list(self._folder.recordings))}"
            )
        return {
            Trial(
                key.subject, key.session, " ".join(filter(None, (key.task, key.run)))
            ): key
            for key in keys
        }

    def _cited(self, recording: Recording) -> Recording:
        about = {"citation": self.citation, "licence": self.licence}
        about |= recording.metadata
        return Recording(recording.streams, recording.events, recording.timeline, about)

    def _about(self) -> dict[str, Any]:
        return dataset_description(self.root)


def read(
    path: Path, *, participant: str = "", session: str = "", task: str = ""
) -> Recording:
    """Read a recording of a BIDS folder, or one of its files.

    Parameters
    ----------
    path
        The folder, or a file with samples or events.
    participant, session, task
        Entities of the recording in a folder that holds several; of a file, the code
        of the participant instead of that in its name.

    Raises
    ------
    ValueError
        If a folder holds none, or several, with these entities.
    """
    if path.is_dir():
        return Bids(path, Selection(participant, session, task)).only()
    file = BidsFile.of(path)
    if file is None:
        raise ValueError(f"{path} is no file of a BIDS data set by its name")
    return read_file(file, root_of(path), participant=participant)


def is_bids(path: Path) -> bool:
    """Return whether a path is a study in BIDS, or a file of one with samples."""
    if path.is_dir():
        return (path / "dataset_description.json").is_file()
    file = BidsFile.of(path)
    return file is not None and file.is_data


def _wish(selection: Selection) -> str:
    pairs = zip(("participant", "session", "task"), selection, strict=True)
    return ", ".join(f"{key} {text!r}" for key, text in pairs if text)


def _listed(keys: list[RecordingKey]) -> str:
    more = len(keys) - _LISTED
    text = ", ".join(key.stem for key in keys[:_LISTED])
    return text + (f" and {more} more" if more > 0 else "")
