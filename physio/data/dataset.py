"""What a data set is: trials that can be named without reading a signal, and loaded."""

import re
from typing import NamedTuple, Protocol, Self

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
    """How a person rated their own affect, on [-1, 1]; None where it was not asked."""

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


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key by which numbers inside of names count as numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def _natural(names: tuple[str, ...]) -> tuple[object, ...]:
    # The names themselves decide between "S2" and "S02", so that an order is total.
    return (*(natural(name) for name in names), *names)
