"""Protocol of data sets: trials, listed without reading a signal, and their loading."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, Self

import numpy as np

from physio.core.block import Channel
from physio.core.events import Events, event_stream
from physio.core.recording import Recording


class Trial(NamedTuple):
    """One recording of a data set; in natural order, S2 comes before S10.

    Parameters
    ----------
    subject, session, trial
        Names in the data set; empty if it has only one.
    """

    subject: str
    session: str = ""
    trial: str = ""

    def __lt__(self, other: tuple[str, ...]) -> bool:
        return _natural(self) < _natural(other)

    def __le__(self, other: tuple[str, ...]) -> bool:
        return _natural(self) <= _natural(other)

    def __gt__(self, other: tuple[str, ...]) -> bool:
        return _natural(self) > _natural(other)

    def __ge__(self, other: tuple[str, ...]) -> bool:
        return _natural(self) >= _natural(other)


class Affect(NamedTuple):
    """Self-rated affect on [-1, 1]; None for a dimension that was not rated."""

    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None

    @classmethod
    def rated(
        cls,
        low: float,
        high: float,
        valence: float | None = None,
        arousal: float | None = None,
        dominance: float | None = None,
    ) -> Self:
        """Return ratings given on a scale from ``low`` to ``high``."""
        middle, half = (low + high) / 2, (high - low) / 2
        parts = (valence, arousal, dominance)
        return cls(*(None if p is None else (p - middle) / half for p in parts))


class Dataset(Protocol):
    """A published data set on disk.

    Requirements: `trials` always returns the same sorted list and reads no signal;
    `load` always returns the same signals, in the units that their channels declare.
    """

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def citation(self) -> str:
        """Reference to cite with any result."""

    @property
    def licence(self) -> str:
        """Terms under which the data were published."""

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials, sorted."""

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a trial, with its ratings, if any, as events."""


class ConditionSpan(NamedTuple):
    """Named part of a recording, such as a video or a condition of a study.

    Parameters
    ----------
    name
        Name in the study.
    begin, end
        Start and end (s, session clock).
    answers
        Ratings by the participant after it, by question, on the scale of the study.
    """

    name: str
    begin: float
    end: float
    answers: Mapping[str, float] = {}


def condition_events(
    spans: Sequence[ConditionSpan],
    low: float,
    high: float,
    *,
    participant: str,
    until: float,
) -> dict[str, Events]:
    """Return the conditions and ratings of a study as events.

    Parameters
    ----------
    spans
        Parts in order of time, each with answers to the same questions.
    low, high
        Ends of the scale of the answers.
    participant
        Code of the participant.
    until
        End of the events (s, session clock).

    Returns
    -------
    dict of Events
        ``study.conditions`` (the label names the part, with a channel ``end``); and, if
        there are answers, ``study.ratings`` at the end of each part: every rating on
        [-1, 1] by its name, and on the original scale by its name and ``.sam``.
    """
    names = tuple(span.name for span in spans)
    conditions = replace(
        event_stream("study.conditions", Channel("end", "misc", "s")),
        participant=participant,
    )
    begins = np.array([span.begin for span in spans])
    ends = np.array([span.end for span in spans])
    events = {
        conditions.name: Events(conditions, until, begins, ends[:, None].copy(), names)
    }
    asked = list(spans[0].answers) if spans else []
    if asked:
        channels = [Channel(c) for c in (*asked, *(f"{c}.sam" for c in asked))]
        given = np.array(
            [[span.answers[c] for c in asked] for span in spans], np.float64
        )
        scaled = (given - (low + high) / 2) / ((high - low) / 2)
        rated = replace(
            event_stream("study.ratings", *channels), participant=participant
        )
        events[rated.name] = Events(
            rated, until, ends, np.hstack([scaled, given]), names
        )
    return events


def natural_sorted(names: Iterable[str]) -> list[str]:
    """Return names sorted in natural order: S2 before S10."""
    return sorted(names, key=natural)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key by which numbers inside names count as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def _natural(names: tuple[str, ...]) -> tuple[object, ...]:
    # The names themselves order "S2" and "S02", so that the order is total.
    return (*(natural(name) for name in names), *names)
