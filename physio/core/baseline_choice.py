"""Choice of a participant's baseline: a condition by its name, or seconds."""

import math
import re
from typing import Final, NamedTuple

_TIMES: Final = re.compile(r"\s*([-+]?[\d.]+(?:e\d+)?)\s*[\s:,;]\s*([-+]?[\d.]+)\s*")


class BaselineChoice(NamedTuple):
    """Baseline that was chosen before the analysis.

    Parameters
    ----------
    condition
        Name of the condition that is the baseline; empty if times are given.
    begin, end
        Times (s after the beginning of the recording); NaN if a condition is named.
    """

    condition: str = ""
    begin: float = math.nan
    end: float = math.nan

    @classmethod
    def parse(cls, text: str) -> "BaselineChoice":
        """Return the choice that a text states: ``"60 360"`` or ``"rest"``.

        Raises
        ------
        ValueError
            If the text is empty, or the times do not rise from 0 or later.
        """
        if not text.strip():
            raise ValueError(
                "a baseline is BEGIN END (s after the beginning) or the name of a "
                "condition, and not empty"
            )
        if (times := _TIMES.fullmatch(text)) is None:
            return cls(text.strip())
        try:
            begin, end = float(times[1]), float(times[2])
        except ValueError:
            return cls(text.strip())
        if not 0 <= begin < end:
            raise ValueError(
                f"a baseline from {begin:g} to {end:g} s is none: BEGIN and END are "
                "seconds after the beginning, and END is later"
            )
        return cls("", begin, end)

    @property
    def words(self) -> str:
        """The choice in words."""
        if self.condition:
            return f"the condition {self.condition!r}"
        return f"{self.begin:g} to {self.end:g} s after the beginning"
