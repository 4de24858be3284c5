"""Self-report during a session: ratings of one's own affect, as events."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from physio.core.affect import DIMENSIONS, SAM_POINTS
from physio.core.block import Channel
from physio.core.events import Events, event_stream, single_event
from physio.core.recording import RATINGS as NAME
from physio.core.recording import addressed

RATINGS: Final = event_stream(NAME, *(Channel(d) for d in DIMENSIONS))
"""Stream of ratings on [-1, 1], NaN for a missing value; the label is their kind."""

SAM: Final = "sam"
"""Kind of a prompted rating of the last moments, which adapts the estimator."""

CONTINUOUS: Final = "rating"
"""Kind of a continuous rating, 0 to 4 per second, for comparison with estimates."""


def check(values: Sequence[float]) -> None:
    """Check the number and the range of the values of a rating.

    Raises
    ------
    ValueError
        If there are not three values, all are missing, or a value lies outside [-1, 1].
    """
    row = np.array(values, np.float64)
    if row.shape != (len(DIMENSIONS),) or np.isnan(row).all():
        raise ValueError(
            "a rating has valence, arousal and dominance, one of them at least, not "
            f"{list(values)}"
        )
    if outside := [v for v in row if not (np.isnan(v) or -1 <= v <= 1)]:
        raise ValueError(f"a rating lies from -1 to 1, not at {outside[0]:g}")


def rating(
    time: float, values: Sequence[float], kind: str = SAM, participant: str = ""
) -> Events:
    """Return a rating as an event.

    Parameters
    ----------
    time
        Time of the rating (s, session clock).
    values
        Valence, arousal and dominance on [-1, 1], NaN where missing.
    kind
        `SAM`, or another label for a continuous rating: see `CONTINUOUS`.
    participant
        Code of the participant, in a session of several.

    Raises
    ------
    ValueError
        As `check`.
    """
    check(values)
    return single_event(addressed(RATINGS, participant), time, kind, *values)


def from_sam(values: Sequence[float], steps: int = SAM_POINTS) -> list[float]:
    """Return answers on a scale of 1 to ``steps`` as ratings on [-1, 1].

    Raises
    ------
    ValueError
        If a value lies outside the scale.
    """
    if bad := [v for v in values if not (np.isnan(v) or 1 <= v <= steps)]:
        raise ValueError(f"the scale goes from 1 to {steps}; {bad[0]:g} is not on it")
    middle = (steps + 1) / 2
    return [(v - middle) / (middle - 1) for v in values]
