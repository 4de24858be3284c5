"""Sources of labelled recordings: data sets, BIDS folders, studies, sessions."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from physio.core.recording import Recording, base_name
from physio.datasets import bids
from physio.datasets.base import Dataset, natural
from physio.datasets.library import open_dataset, recognized
from physio.datasets.open_recording import read
from physio.datasets.provenance import refuse_non_causal
from physio.datasets.recording_folder import find_recordings
from physio.study.study_folder import FROZEN, SESSIONS

STUDY: Final = "study"
"""Name of the data that are a study folder of this package."""

RECORDINGS: Final = "sessions"
"""Name of the data that are recordings with ratings or conditions of their own."""


@dataclass(frozen=True)
class DataSource:
    """A table ``[data]``: where labelled recordings are.

    Parameters
    ----------
    dataset
        ``"wesad"``, ``"deap"`` ... (`physio extract --list` names all), ``"bids"``,
        ``"study"`` (a study folder of this package), ``"sessions"`` (a folder of
        recordings with ratings or conditions), or ``package.module:Class``.
    folder
        The folder: relative to the training file, or to ``--data``.
    participants
        Participants that are used; by default all.
    excluded
        Participants that are not used.
    conditions
        Names of the conditions that are used; by default all.
    trials
        Names of the trials that are used; by default all.
    licence
        Licence of the recordings, where the source does not state it.
    options
        Further settings of the data set, as ``{ columns = { stress = "Q7" } }`` of
        ``bids_ratings``.
    """

    dataset: str
    folder: str = ""
    participants: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    licence: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def selects(self, participant: str) -> bool:
        """Return whether a participant is used."""
        wanted = not self.participants or participant in self.participants
        return wanted and participant not in self.excluded


class RecordingEntry(NamedTuple):
    """A recording of a source, which is read when it is needed.

    Parameters
    ----------
    dataset
        Name of the data set.
    participant
        Code of the participant; empty where only the recording states it.
    session, trial
        Names of the session and of the trial in the data set.
    load
        Function that reads the recording.
    files
        Files whose change makes stored features outdated.
    options
        Settings of the data set, whose change does the same.
    """

    dataset: str
    participant: str
    session: str
    trial: str
    load: Callable[[], Recording]
    files: tuple[Path, ...]
    options: str = ""

    @property
    def name(self) -> str:
        """Name for messages."""
        parts = (self.dataset, self.participant, self.session, self.trial)
        return " ".join(part for part in parts if part)

    def fingerprint(self) -> str:
        """Return a hash of the name and of the sizes and times of the files."""
        digest = hashlib.sha256((self.name + self.options).encode())
        for path in self.files:
            stat = path.stat()
            digest.update(f"{path}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


class LabelledData(NamedTuple):
    """The recordings of a source, with what a card states about them.

    ``participants``: all codes that the source states, of unused recordings too.
    """

    name: str
    citation: str
    licence: str
    entries: tuple[RecordingEntry, ...]
    participants: tuple[str, ...] = ()


def open_source(
    source: DataSource, roots: Sequence[Path], trust: tuple[str, ...] = ()
) -> LabelledData:
    """Return the recordings of a source; no signal is read.

    Parameters
    ----------
    source
        The table of the training file.
    roots
        Folders that ``source.folder`` may be relative to; the first that has it counts.
    trust
        Packages, beside this library, that ``source.dataset`` may belong to.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder or data set, it holds no recording of the selected
        participants, or it holds a whole-record analysis.
    """
    root = _folder(source, roots)
    refuse_non_causal(root)
    if source.dataset == STUDY:
        data = _study(root, source)
    elif source.dataset == RECORDINGS:
        data = _recordings(root, source)
    else:
        opened = open_dataset(source.dataset, root, trust, source.options)
        data = _dataset(opened, root, source)
    entries = tuple(
        e
        for e in data.entries
        if (not e.participant or source.selects(e.participant))
        and (not source.trials or e.trial in source.trials)
    )
    if not entries:
        wanted = ", ".join((*source.participants, *source.trials)) or "any participant"
        known = sorted({e.participant for e in data.entries}, key=natural)
        raise ValueError(
            f"{root} has no recording of {wanted}; it has {', '.join(known) or 'none'}"
        )
    codes = dict.fromkeys(e.participant for e in data.entries if e.participant)
    return data._replace(entries=entries, participants=tuple(codes))


def kind_of_data(root: Path) -> str:
    """Return the name of the data in a folder, for ``dataset``; empty for none.

    A data set of the library is recognized by its reader, which lists its trials
    without reading a signal.
    """
    if (root / FROZEN).is_file():
        return STUDY
    if bids.is_bids(root):
        return "bids"
    if (known := recognized(root)) is not None:
        return known[0]
    return RECORDINGS if find_recordings(root) else ""


def participant_of(entry: RecordingEntry, recording: Recording) -> str:
    """Return the code of the participant of a recording.

    Raises
    ------
    ValueError
        If the recording is of several participants.
    """
    codes = {i.participant for i in recording.inputs if i.participant}
    if len(codes) > 1:
        raise ValueError(
            f"{entry.name} is of several participants ({', '.join(sorted(codes))}): "
            "training takes recordings of one"
        )
    stated = recording.metadata.get("participant", "")
    return entry.participant or (codes.pop() if codes else stated)


def has_labels(recording: Recording) -> bool:
    """Return whether a recording has conditions or ratings of its own."""
    return any(
        len(e) and (base_name(n) == "session.ratings" or n.endswith(".conditions"))
        for n, e in recording.events.items()
    )


def _folder(source: DataSource, roots: Sequence[Path]) -> Path:
    places = [root / source.folder for root in roots]
    for place in places:
        if source.folder and place.is_dir():
            return place
    if not source.folder:
        below = [root / source.dataset for root in roots[:1]]
        return next((p for p in below if p.is_dir()), roots[0])
    raise FileNotFoundError(
        f"data.folder = {source.folder!r}: there is no folder {places[0]}; state the "
        "folder of the data, or its parent with --data"
    )


def _dataset(dataset: Dataset, root: Path, source: DataSource) -> LabelledData:
    trials = dataset.trials()
    codes = {t.subject for t in trials}
    files = sorted(p for p in root.rglob("*") if p.is_file())
    mine = {code: tuple(_without_others(files, root, code, codes)) for code in codes}
    licence = source.licence or dataset.licence
    return LabelledData(dataset.name, dataset.citation, licence, tuple(
        RecordingEntry(
            dataset.name, t.subject, t.session, t.trial,
            partial(dataset.load, t), mine[t.subject],
            repr(dict(source.options)) if source.options else "",
        )
        for t in trials
    ))  # fmt: skip


def _without_others(
    files: Sequence[Path], root: Path, code: str, codes: set[str]
) -> Iterator[Path]:
    """Yield the files of a folder that are not named after another participant."""
    others = codes - {code}
    for path in files:
        parts = path.relative_to(root).parts
        names = {p for part in parts for p in (part, part.split(".")[0])}
        names |= {part.split("_")[0].removeprefix("sub-") for part in parts}
        if not names & others:
            yield path


def _study(root: Path, source: DataSource) -> LabelledData:
    """Return the sessions of a study folder."""
    entries = []
    for path in sorted((root / SESSIONS).glob("*/recording.xdf")):
        code, _, number = path.parent.name.rpartition("-")
        entries.append(
            RecordingEntry(root.name, code, number, "", partial(read, path), (path,))
        )
    licence = source.licence or "that of the study; not stated"
    entries.sort(key=lambda e: (natural(e.participant), natural(e.session)))
    return LabelledData(root.name, "the study's own", licence, tuple(entries))


def _recordings(root: Path, source: DataSource) -> LabelledData:
    """Return the recordings of a folder; the recording itself names its participant."""
    entries = tuple(
        RecordingEntry(
            root.name, "", place.name, "",
            partial(read, place.path, **place.options), place.files,
        )
        for place in find_recordings(root)
    )  # fmt: skip
    licence = source.licence or "that of the recordings; not stated"
    return LabelledData(root.name, "own recordings", licence, entries)
