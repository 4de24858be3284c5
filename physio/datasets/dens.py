"""DENS (ds003751): EEG of 38 participants during emotional films, with ratings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.datasets.bids import Bids
from physio.datasets.bids_ratings import RatingScale, Segment, rated_events
from physio.io.bids.entities import beside
from physio.io.bids.event_tables import NAME
from physio.io.bids.sidecars import Row, read_number, read_table

TESTED_WITH: Final = "a folder assembled for the tests after the published layout"
"""Tests behind this reader, for the page of supported formats."""

QUESTIONS: Final = ("valence", "arousal", "dominance")
"""Dimensions rated after each film, on a scale from 1 to 9."""

FILM: Final = 60.0
"""Length of a film (s)."""

STIMULUS: Final = "stm"
"""Type of the events at which films begin."""

_NUMBER: Final = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Dens:
    """The recordings of DENS, one trial for each participant.

    Parameters
    ----------
    root
        The folder of OpenNeuro's ds003751.

    Notes
    -----
    The tables of events give onsets in samples, although BIDS asks for seconds; here
    they are converted. The ratings are in tables of behaviour, joined by the name of
    the film; a film without ratings has none. The number at the end of an event's label
    counts presentations.
    """

    root: Path

    name: ClassVar[str] = "DENS"
    citation: ClassVar[str] = (
        "Mishra, Asif, Tiwary (2022): Dataset on emotion with naturalistic stimuli. "
        "OpenNeuro ds003751. doi:10.18112/openneuro.ds003751.v1.0.2"
    )
    licence: ClassVar[str] = "CC0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant."""
        return Bids(self.root).trials()

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant, with films and ratings as events.

        Events ``study.conditions`` (the film) and ``study.ratings``: valence, arousal
        and dominance, NaN where a film was not rated.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such trial, or a file is damaged or lacks a column.
        """
        bids = Bids(self.root)
        recording = bids.load(trial)
        eeg = next(
            (
                b[0]
                for b in recording.streams.values()
                if b[0].info.channels[0].kind == "eeg"
            ),
            None,
        )
        if eeg is None:
            raise ValueError(f"{self.root} has no EEG of {trial.subject!r}")
        rate = float(eeg.info.rate)
        file = next(f for f in bids.files_of(trial) if f.suffix == "eeg")
        tables = beside(file, self.root, "events", ".tsv")
        if not tables:
            raise ValueError(f"{file.path} has no table of events")
        answers = self._answers(trial)
        unrated = dict.fromkeys(QUESTIONS, np.nan)
        segments = [
            Segment(film, begin, begin + FILM, answers.get(film, unrated))
            for film, begin in _films(tables[-1], rate)
        ]
        events = {n: e for n, e in recording.events.items() if n != NAME}
        scales = {q: RatingScale(1, 9) for q in QUESTIONS}
        events |= rated_events(segments, scales, trial.subject, recording.end)
        about = {
            **recording.metadata,
            "source": "DENS, ds003751",
            "citation": self.citation,
            "licence": self.licence,
        }
        return replace(recording, events=events, metadata=about)

    def _answers(self, trial: Trial) -> Mapping[str, dict[str, float]]:
        """Return the ratings of each film by its name."""
        folder = self.root / f"sub-{trial.subject}" / "beh"
        paths = sorted(folder.glob("*_beh.tsv"))
        if len(paths) > 1:
            raise ValueError(f"{folder} has several tables of behaviour")
        answers: dict[str, dict[str, float]] = {}
        for row in read_table(paths[0]) if paths else ():
            try:
                film = Path(row["stimuliName"]).stem
                given = {q: read_number(row[q]) for q in QUESTIONS}
            except KeyError as error:
                raise ValueError(f"{paths[0]} has no column {error}") from None
            if film in answers:
                raise ValueError(f"{paths[0]} rates {film!r} twice")
            answers[film] = given
        return answers


def _films(path: Path, rate: float) -> list[tuple[str, float]]:
    """Return name and begin (s) of each film."""
    rows: list[Row] = read_table(path)
    if not rows or not {"onset", "trial_type", "label"} <= rows[0].keys():
        raise ValueError(f"{path} lacks one of the columns onset, trial_type, label")
    films = [
        (_NUMBER.sub("", row["label"]), read_number(row["onset"]) / rate)
        for row in rows
        if row["trial_type"] == STIMULUS
    ]
    if not films or not all(np.isfinite(begin) for _, begin in films):
        raise ValueError(f"{path} has no {STIMULUS!r} with an onset, or one without")
    return films
