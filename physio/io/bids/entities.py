"""Names of files in BIDS: entities such as ``sub-01``, and the files of a recording."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

PIPELINE: Final = "physio-affect"
"""Folder of this package among the derivatives of a data set."""

DATA: Final = {
    "eeg": (".edf", ".bdf", ".vhdr", ".set", ".fif", ".fif.gz"),
    "physio": (".tsv.gz", ".tsv"),
    "physioevents": (".tsv.gz", ".tsv"),
    "motion": (".tsv", ".tsv.gz"),
    "events": (".tsv", ".tsv.gz"),
}
"""Suffixes and extensions of the files that belong to recordings."""

_FOLDERS: Final = ("eeg", "beh", "motion", "physio", "meg", "ieeg", "nirs", "emg",
                   "func")  # fmt: skip
_NAME: Final = re.compile(
    r"(?P<entities>(?:[a-z]+-[^_.]+_)+)(?P<suffix>[a-z]+)(?P<ext>\..+)"
)
_WITHIN: Final = ("acq", "recording", "tracksys", "desc", "split")
"""Entities that distinguish the files of one recording."""


class BidsFile(NamedTuple):
    """A file of a data set with the entities, suffix and extension of its name."""

    path: Path
    entities: dict[str, str]
    suffix: str
    extension: str

    @classmethod
    def of(cls, path: Path) -> "BidsFile | None":
        """Return the parts of a file's name; None if it is none of BIDS."""
        match = _NAME.fullmatch(path.name)
        if match is None or not path.name.startswith("sub-"):
            return None
        pairs = (part.partition("-") for part in match["entities"][:-1].split("_"))
        return cls(path, {k: v for k, _, v in pairs}, match["suffix"], match["ext"])

    @property
    def is_data(self) -> bool:
        """Return whether the file holds samples or events of a recording."""
        return self.extension.lower() in DATA.get(self.suffix, ())


class Selection(NamedTuple):
    """Entities by which recordings of a data set are chosen; empty ones are free."""

    participant: str = ""
    session: str = ""
    task: str = ""

    def matches(self, key: "RecordingKey") -> bool:
        """Return whether a recording has these entities.

        A task may name its run: ``"rest_run-2"``.
        """
        task, _, run = self.task.removeprefix("task-").partition("_run-")
        pairs = (
            (self.participant.removeprefix("sub-"), key.subject),
            (self.session.removeprefix("ses-"), key.session),
            (task, key.task),
            (run, key.run),
        )
        return all(not wish or text in (wish, label(wish)) for wish, text in pairs)


class RecordingKey(NamedTuple):
    """Entities that the files of one recording have in common."""

    subject: str
    session: str = ""
    task: str = ""
    run: str = ""

    @property
    def stem(self) -> str:
        """Beginning of each file's name."""
        pairs = zip(("sub", "ses", "task", "run"), self, strict=True)
        return "_".join(f"{key}-{text}" for key, text in pairs if text)

    @property
    def folder(self) -> Path:
        """Folder of the participant, or of the session, within the data set."""
        parts = [f"sub-{self.subject}"]
        return Path(*parts, *([f"ses-{self.session}"] if self.session else []))


@dataclass(frozen=True)
class BidsFolder:
    """Files of a data set, listed once.

    Parameters
    ----------
    root
        The folder with ``dataset_description.json``.
    """

    root: Path

    @cached_property
    def files(self) -> tuple[BidsFile, ...]:
        """Return the files with samples or events, by name."""
        paths = (p for d in self.root.glob("sub-*") for p in _walk(d))
        files = filter(None, map(BidsFile.of, sorted(paths)))
        return tuple(f for f in files if f.is_data)

    @cached_property
    def recordings(self) -> dict[RecordingKey, tuple[BidsFile, ...]]:
        """Return the files of each recording that has samples."""
        groups: dict[RecordingKey, list[BidsFile]] = {}
        for file in self.files:
            groups.setdefault(key_of(file), []).append(file)
        return {
            key: tuple(group)
            for key, group in sorted(groups.items())
            if any(f.suffix in ("eeg", "physio", "motion") for f in group)
        }

    def derivatives(self, key: RecordingKey) -> tuple[BidsFile, ...]:
        """Return the features and estimates that this package wrote for a recording."""
        folder = self.root / "derivatives" / PIPELINE / key.folder
        files = filter(None, map(BidsFile.of, sorted(_walk(folder))))
        return tuple(f for f in files if f.is_data and key_of(f) == key)


def key_of(file: BidsFile) -> RecordingKey:
    """Return the recording that a file belongs to."""
    return RecordingKey(
        *(file.entities.get(k, "") for k in ("sub", "ses", "task", "run"))
    )


def root_of(path: Path) -> Path:
    """Return the folder of the data set of a file, or the file's folder without one."""
    for folder in path.absolute().parents:
        if (folder / "dataset_description.json").is_file():
            return folder
    return path.absolute().parent


def beside(file: BidsFile, root: Path, suffix: str, extension: str) -> list[Path]:
    """Return the files with metadata that apply to a file, the nearest last.

    By the inheritance principle of BIDS, a file applies to all files in its folder and
    below that have its suffix and its entities.
    """
    applicable: list[Path] = []
    folder = file.path.absolute().parent
    root = root.absolute()
    chain = [folder, *folder.parents]
    chain = chain[: chain.index(root) + 1] if root in chain else [folder]
    for place in reversed(chain):
        level = []
        for path in place.glob(f"*{suffix}{extension}"):
            entities = _entities(path.name.removesuffix(extension), suffix)
            if entities is not None and entities.items() <= file.entities.items():
                level.append((len(entities), path.name, path))
        applicable += [path for _, _, path in sorted(level)]
    return applicable


def label(text: str) -> str:
    """Return a text as a BIDS label: its letters and digits."""
    return re.sub("[^A-Za-z0-9]", "", text)


def labels(names: Iterable[str], default: str) -> dict[str, str]:
    """Return a distinct label for each name, short enough for a file name."""
    chosen: dict[str, str] = {}
    for name in names:
        text, number = label(name)[:40] or default, 1
        taken = {other.casefold() for other in chosen.values()}
        while f"{text}{number if number > 1 else ''}".casefold() in taken:
            number += 1
        chosen[name] = f"{text}{number if number > 1 else ''}"
    return chosen


def _entities(name: str, suffix: str) -> dict[str, str] | None:
    """Return the entities of a sidecar's name without extension; None for others."""
    if name == suffix:
        return {}
    if not name.endswith(f"_{suffix}"):
        return None
    pairs = [part.partition("-") for part in name.removesuffix(f"_{suffix}").split("_")]
    return {k: v for k, dash, v in pairs} if all(d for _, d, _ in pairs) else None


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files of a participant: of its sessions, by kind of data."""
    kinds = (folder, *(folder / k for k in _FOLDERS))
    sessions = (s / k for s in folder.glob("ses-*") for k in ("", *_FOLDERS))
    for place in (*kinds, *sessions):
        if place.is_dir():
            yield from (p for p in place.iterdir() if p.is_file())
