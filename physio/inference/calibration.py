"""Calibration of a participant: the resting baseline, and rated moments."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from physio.core.events import Events, event_stream
from physio.core.input_file import refuse_endless
from physio.core.private_file import write_private
from physio.core.recording import CALIBRATION as NAME
from physio.models.personalization import RatedMoment

if TYPE_CHECKING:
    from physio.inference.expert import BoundExpert

VERSION: Final = 1
CALIBRATION: Final = event_stream(NAME)
"""Event with the calibration at the start of a session; the label is its text."""


@dataclass(frozen=True)
class ExpertBaseline:
    """Baseline of a participant in the features of one expert.

    Parameters
    ----------
    weights
        Name of the expert.
    sha256
        Hash of the weights; the estimates at the labels are valid for these alone.
    columns
        Features of the expert; the baseline of another montage cannot be used.
    total, seconds
        See `physio.models.baseline.BaselineAccumulator`.
    past
        Duration of the baseline (s).
    """

    weights: str
    sha256: str
    columns: tuple[str, ...]
    total: tuple[float, ...]
    seconds: tuple[float, ...]
    past: float


@dataclass(frozen=True)
class Calibration:
    """Calibration of a participant, a small file that they may keep or delete.

    It contains sums over a baseline and the ratings of a few moments, but no signal and
    no name.

    Parameters
    ----------
    participant
        Code of the participant, never a name.
    experts
        Baseline of the participant in the features of each expert.
    labels
        Rated moments, each with mean, standard deviation and rating: 9 numbers, None
        for a dimension that was not rated.
    version
        Version of the layout.
    """

    participant: str = ""
    experts: tuple[ExpertBaseline, ...] = ()
    labels: tuple[tuple[float | None, ...], ...] = ()
    version: int = VERSION

    def text(self) -> str:
        """Return the calibration as the text of a file."""
        return json.dumps(asdict(self))

    def write(self, path: Path) -> None:
        """Write the calibration to a file that only its owner can read."""
        write_private(path, self.text() + "\n")

    @classmethod
    def parse(cls, text: str, at: str = "the calibration") -> Self:
        """Return the calibration from its `text`.

        Raises
        ------
        ValueError
            If the text is damaged, is no calibration, or has another version.
        """
        try:
            parts = json.loads(text)
            version = int(parts["version"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError(f"{at} is no calibration file") from None
        if version != VERSION:
            raise ValueError(
                f"{at} is of version {version}; this program reads version {VERSION}: "
                "calibrate anew"
            )
        try:
            experts = tuple(_expert_baseline(e) for e in parts["experts"])
            labels = tuple(tuple(row) for row in parts["labels"])
            calibration = cls(str(parts["participant"]), experts, labels, version)
            if any(len(row) != 9 for row in labels):
                raise ValueError
            calibration.moments()
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{at} is damaged: calibrate anew") from None
        return calibration

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the calibration in a file; raise ValueError as `parse`."""
        refuse_endless(path)
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is no calibration file") from None
        return cls.parse(text, str(path))

    def event(self, time: float, participant: str = "") -> Events:
        """Return the event that enters the calibration into a session.

        ``participant`` is the participant's code, in a session of several.
        """
        name = f"{NAME}.{participant}".rstrip(".")
        info = replace(CALIBRATION, name=name, participant=participant)
        nothing = np.empty((1, 0))
        return Events(info, time, np.array([time]), nothing, (self.text(),))

    def moments(self) -> list[RatedMoment]:
        """Return the rated moments."""
        rows = [[np.nan if v is None else float(v) for v in row] for row in self.labels]
        return [RatedMoment(*np.array(row).reshape(3, 3)) for row in rows]

    def refusals(self, experts: Sequence["BoundExpert"]) -> list[str]:
        """Return a sentence on each expert of a session that cannot use it."""
        messages = []
        known = {baseline.weights: baseline for baseline in self.experts}
        for expert in experts:
            stored, names = known.get(expert.name), expert.features.names
            if stored is None:
                messages.append(f"the calibration has no baseline for {expert.name!r}")
            elif stored.columns != names:
                messages.append(
                    f"the calibration is of another montage: it has "
                    f"{_first(stored.columns)}, but {expert.name!r} reads "
                    f"{_first(names)} in this session"
                )
            elif self.labels and stored.sha256 != expert.sha256:
                messages.append(
                    f"the weights {expert.name!r} are not those of the calibration: "
                    "its baseline is used, its ratings are not"
                )
        return messages


def packed(labels: Sequence[RatedMoment]) -> tuple[tuple[float | None, ...], ...]:
    """Return rated moments in the format of a calibration."""
    rows = (np.concatenate(label).tolist() for label in labels)
    return tuple(tuple(None if np.isnan(v) else v for v in row) for row in rows)


def _expert_baseline(parts: Mapping[str, Any]) -> ExpertBaseline:
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


def _first(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
