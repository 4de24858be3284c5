"""What is known of one participant: their rest, and moments that they rated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from physio.core.events import Events, event_stream
from physio.core.recording import CALIBRATION as NAME
from physio.models.personalization import RatedMoment

VERSION: Final = 1
CALIBRATION: Final = event_stream(NAME)
"""A calibration that a session begins with; the label is its text."""


@dataclass(frozen=True)
class ExpertBaseline:
    """How a participant rested, as one expert saw it.

    Parameters
    ----------
    weights
        The expert's name.
    sha256
        Of its weights: what was estimated of the labels holds for these alone.
    columns
        The features it reads: those of another montage are no use to it.
    total, seconds
        See `physio.models.baseline.BaselineAccumulator`.
    past
        How long the rest was (s).
    """

    weights: str
    sha256: str
    columns: tuple[str, ...]
    total: tuple[float, ...]
    seconds: tuple[float, ...]
    past: float


@dataclass(frozen=True)
class Calibration:
    """A participant's own calibration: a small file, theirs to keep and to delete.

    It holds sums over a rest and what was said at a few moments; no signal, no name.

    Parameters
    ----------
    participant
        Code of the participant, never a name.
    experts
        How the participant rested, as each expert saw it.
    labels
        Of each rated moment: mean, standard deviation, rating; 9 numbers, None for
        what was not said.
    version
        Of this layout.
    """

    participant: str = ""
    experts: tuple[ExpertBaseline, ...] = ()
    labels: tuple[tuple[float | None, ...], ...] = ()
    version: int = VERSION

    def text(self) -> str:
        """Return it is stored."""
        return json.dumps(asdict(self))

    def write(self, path: Path) -> None:
        """Store it, readable by its owner alone."""
        path.write_text(self.text() + "\n", "utf-8")
        path.chmod(0o600)

    @classmethod
    def parse(cls, text: str, at: str = "the calibration") -> Self:
        """Return the calibration that `text` gave.

        Raises
        ------
        ValueError
            If it is none, or of another version.
        """
        try:
            parts = json.loads(text)
            version = int(parts["version"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{at} is no calibration file") from None
        if version != VERSION:
            raise ValueError(
                f"{at} is of version {version}; this program reads version {VERSION}: "
                "calibrate anew"
            )
        try:
            experts = tuple(_own(e) for e in parts["experts"])
            labels = tuple(tuple(row) for row in parts["labels"])
            found = cls(str(parts["participant"]), experts, labels, version)
            if any(len(row) != 9 for row in labels):
                raise ValueError
            found.moments()
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{at} is damaged: calibrate anew") from None
        return found

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the calibration in a file, or raise what is wrong with it."""
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is no calibration file") from None
        return cls.parse(text, str(path))

    def event(self, time: float, participant: str = "") -> Events:
        """Return it as the event by which a session begins with it.

        ``participant`` is the code of the one meant, in a session of several.
        """
        name = f"{NAME}.{participant}".rstrip(".")
        info = replace(CALIBRATION, name=name, participant=participant)
        nothing = np.empty((1, 0))
        return Events(info, time, np.array([time]), nothing, (self.text(),))

    def moments(self) -> list[RatedMoment]:
        """Return the rated moments."""
        rows = [[np.nan if v is None else float(v) for v in row] for row in self.labels]
        return [RatedMoment(*np.array(row).reshape(3, 3)) for row in rows]

    def refusals(self, minds: Sequence[Any]) -> list[str]:
        """Return a sentence on each expert that cannot use it.

        Parameters
        ----------
        minds
            The experts of the session: ``name``, ``columns`` and ``sha256``.
        """
        told = []
        known = {own.weights: own for own in self.experts}
        for mind in minds:
            own = known.get(mind.name)
            if own is None:
                told.append(f"the calibration knows nothing of {mind.name!r}")
            elif own.columns != mind.columns:
                told.append(
                    f"the calibration is of another montage: it has "
                    f"{_few(own.columns)}, but {mind.name!r} reads "
                    f"{_few(mind.columns)} here"
                )
            elif self.labels and own.sha256 != mind.sha256:
                told.append(
                    f"the weights {mind.name!r} are not those of the calibration: its "
                    "rest is used, its labels are not"
                )
        return told


def packed(labels: Sequence[RatedMoment]) -> tuple[tuple[float | None, ...], ...]:
    """Return rated moments as a calibration holds them."""
    rows = (np.concatenate(label).tolist() for label in labels)
    return tuple(tuple(None if np.isnan(v) else v for v in row) for row in rows)


def _own(parts: Mapping[str, Any]) -> ExpertBaseline:
    n = len(parts["columns"])
    total, seconds = (tuple(map(float, parts[k])) for k in ("total", "seconds"))
    if (
        len(total) != n
        or len(seconds) != n
        or not np.isfinite([*total, *seconds]).all()
    ):
        raise ValueError
    return ExpertBaseline(
        str(parts["weights"]),
        str(parts["sha256"]),
        tuple(map(str, parts["columns"])),
        total,
        seconds,
        float(parts["past"]),
    )


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
