"""What a data set is: trials that can be named without reading a signal, and loaded."""

import re
from collections.abc import Mapping, Sequence
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
        As the data set names them; empty where it has only one.
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
    """How a participant rated their own affect, on [-1, 1]; None where it was not asked."""

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

    The laws: `trials` gives the same each time, sorted, and reads no signal; `load`
    gives the same each time, in the units that its channels declare.
    """

    @property
    def name(self) -> str:
        """What the data set is called."""

    @property
    def citation(self) -> str:
        """Whom to cite wherever results are shown."""

    @property
    def licence(self) -> str:
        """The terms under which the data were published."""

    def trials(self) -> tuple[Trial, ...]:
        """Return what there is, sorted."""

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a trial, with its ratings as events, if it has any."""


class ConditionSpan(NamedTuple):
    """A part of a recording that has a name: a video, a condition of a study.

    Parameters
    ----------
    name
        What the study calls it.
    begin, end
        When it was (s, session clock).
    answers
        What the participant said of it afterwards, by question, on the study's own
        scale.
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
    """Return what a study knows of parts of a recording, as events.

    Parameters
    ----------
    spans
        The parts, in order of time, each with answers to the same questions.
    low, high
        The ends of the scale that answers were given on.
    participant
        Code of the participant.
    until
        Nothing happens after that (s, session clock).

    Returns
    -------
    dict of Events
        ``study.conditions`` (the label names the part, its ``end`` is beside); and, if
        there are answers, ``study.ratings`` at the end of each part: every answer on
        [-1, 1] by its name, and as it was given by its name and ``.sam``.
    """
    names = tuple(span.name for span in spans)
    what = replace(
        event_stream("study.conditions", Channel("end", "misc", "s")),
        participant=participant,
    )
    begins = np.array([span.begin for span in spans])
    ends = np.array([span.end for span in spans])
    found = {what.name: Events(what, until, begins, ends[:, None].copy(), names)}
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
        found[rated.name] = Events(
            rated, until, ends, np.hstack([scaled, given]), names
        )
    return found


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key by which numbers inside of names count as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def _natural(names: tuple[str, ...]) -> tuple[object, ...]:
    # The names themselves decide between "S2" and "S02", so that an order is total.
    return (*(natural(name) for name in names), *names)
