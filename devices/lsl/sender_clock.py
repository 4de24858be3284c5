"""Times of samples and events whose sender stamps with another clock than LSL's."""

import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array

_AHEAD: Final = 0.5  # s by which a stamp may be ahead of the present
_DELAY: Final = 0.05  # longest delay with which another computer's date is believed (s)
_UNITS: Final = (1.0, 1e-3, 1e-6, 1e-9)


class SenderClock:
    """Clock of a sender, judged by the first stamps that cannot be of LSL's clock.

    Stamps that are dates (Unix time, in seconds or less) are converted by the date of
    this computer: always if it is the sender too, and else if samples then arrive
    without much delay. The times of all others are left to their arrival.

    Parameters
    ----------
    name
        Name of the stream.
    oldest
        Greatest age of a stamp that is of LSL's clock (s).
    is_local
        Whether the sender runs on this computer.
    date
        Function that returns the date (Unix s).
    """

    def __init__(
        self,
        name: str,
        oldest: float,
        *,
        is_local: bool,
        date: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.oldest, self.is_local = name, oldest, is_local
        self.date = date
        self._unit: float | None = None  # of stamps that are dates (s), 0 if none are
        self._notices: list[str] = []

    def notices(self) -> list[str]:
        """Return the messages on the clock since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def converted(self, times: Array, stamps: Array, now: float) -> Array:
        """Return times, where stamps are dates converted from them.

        Parameters
        ----------
        times
            Stamps by LSL's clock, converted to the session clock (s), shape (n,).
        stamps
            Stamps as sent, shape (n,).
        now
            The time (s, session clock).
        """
        if self._near(times, now).all():
            return times
        if self._unit is None:
            self._unit = self._date_unit(stamps)
            if self._unit:
                self._notices.append(self._notice(times, now, _DATES))
        if not self._unit:
            return times
        dates = now - (self.date() - stamps * self._unit)
        return np.where(self._near(times, now), times, dates)

    def placed(self, times: Array, stamps: Array, now: float) -> Array:
        """Return times of events: see `converted`; of another clock, the present."""
        result = self.converted(times, stamps, now)
        near = self._near(result, now)
        if near.all():
            return np.minimum(result, now)
        if self._unit == 0.0:
            self._unit = -1.0  # reported
            self._notices.append(self._notice(times, now, _ARRIVALS))
        return np.where(near, np.minimum(result, now), now)

    def report(self, shift: float) -> None:
        """Report that samples are placed by their arrival, ``shift`` s from stamps."""
        self._notices.append(self._notice(np.array([shift]), 0.0, _ARRIVALS))

    def _near(self, times: Array, now: float) -> npt.NDArray[np.bool_]:
        return (times >= now - self.oldest) & (times <= now + _AHEAD)

    def _date_unit(self, stamps: Array) -> float:
        """Return the unit in which the newest stamp is the date (s), 0 if in none."""
        longest = self.oldest if self.is_local else _DELAY
        for unit in _UNITS:
            age = self.date() - float(stamps[-1]) * unit
            if -0.01 <= age < longest:
                return unit
        return 0.0

    def _notice(self, times: Array, now: float, placed: str) -> str:
        apart = np.abs(times[~self._near(times, now)] - now)
        finite = apart[np.isfinite(apart)]
        by = f"{finite[0]:.3g} s" if len(finite) else "no finite time"
        return (
            f"the time stamps of {self.name} cannot be of LSL's clock, from which they "
            f"differ by {by}: {placed}"
        )


_DATES: Final = "they are dates, converted by the date of this computer"
_ARRIVALS: Final = "its data are placed by when they arrived"
