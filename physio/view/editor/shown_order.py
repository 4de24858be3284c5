"""Segments of a recording in the order in which a rater sees them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.datasets.base import ConditionSpan

LONGEST: Final = 120.0
"""Greatest length of a segment outside of conditions (s)."""

_SHORTEST: Final = 0.5  # s between two boundaries


class ShownSegment(NamedTuple):
    """A segment: begin and end in the recording, and begin as shown (s)."""

    begin: float
    end: float
    shown: float

    @property
    def shown_end(self) -> float:
        """End as shown (s)."""
        return self.shown + self.end - self.begin


@dataclass(frozen=True)
class ShownOrder:
    """Segments in the order in which they are shown, and the conditions behind them.

    Parameters
    ----------
    segments
        The segments, joined without gaps; times of the recording are seconds after its
        begin.
    conditions
        Conditions, in the same times.
    """

    segments: tuple[ShownSegment, ...]
    conditions: tuple[ConditionSpan, ...] = ()

    @classmethod
    def of(
        cls, seconds: float, conditions: Iterable[ConditionSpan], seed: int | None
    ) -> "ShownOrder":
        """Return the segments of a recording.

        Parameters
        ----------
        seconds
            Length of the recording (s).
        conditions
            Its conditions (s after its begin): each is a segment, and the rest has
            segments of at most 120 s.
        seed
            Seed of the order; None for that of the recording.
        """
        inside = tuple(
            ConditionSpan(c.name, max(c.begin, 0.0), min(c.end, seconds))
            for c in conditions
            if min(c.end, seconds) - max(c.begin, 0.0) > _SHORTEST
        )
        pieces = _pieces(seconds, inside)
        order: Sequence[int] = range(len(pieces))
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(pieces)).tolist()
        segments, at = [], 0.0
        for k in order:
            begin, end = pieces[k]
            segments.append(ShownSegment(begin, end, at))
            at += end - begin
        return cls(tuple(segments), inside)

    @property
    def seconds(self) -> float:
        """Length of all segments (s)."""
        return self.segments[-1].shown_end if self.segments else 0.0

    def segment(self, shown: float) -> ShownSegment:
        """Return the segment of a time as shown (s).

        Raises
        ------
        ValueError
            If the time lies outside of the recording.
        """
        if not -1e-6 <= shown <= self.seconds + 1e-6:
            raise ValueError(
                f"{shown:.3f} s lies outside of the recording, which lasts "
                f"{self.seconds:.1f} s"
            )
        last = self.segments[0]
        for segment in self.segments:
            if segment.shown > shown + 1e-9:
                break
            last = segment
        return last

    def recorded(self, shown: float) -> float:
        """Return the time in the recording of a time as shown (s)."""
        segment = self.segment(shown)
        return min(segment.begin + shown - segment.shown, segment.end)

    def span(self, first: float, second: float) -> tuple[float, float]:
        """Return the part of a shown span that lies in the segment of its begin."""
        begin, end = sorted((first, second))
        segment = self.segment(begin)
        last = min(end, segment.shown_end)
        return self.recorded(begin), segment.begin + last - segment.shown

    def around(self, segment: ShownSegment) -> list[ConditionSpan]:
        """Return the conditions of a segment, whose bounds may lie 0.5 s off theirs."""
        middle = (segment.begin + segment.end) / 2
        return [c for c in self.conditions if c.begin <= middle < c.end]

    def condition(self, shown: float) -> tuple[float, float]:
        """Return the shortest condition, or else the segment, of a time as shown."""
        segment = self.segment(shown)
        spans = [(c.begin, c.end) for c in self.around(segment)]
        return min(
            spans, key=lambda c: c[1] - c[0], default=(segment.begin, segment.end)
        )

    def shown_times(self, times: Array) -> Array:
        """Return times of the recording as shown; NaN outside of all segments."""
        result = np.full(len(times), np.nan)
        for segment in self.segments:
            inside = (times >= segment.begin) & (times < segment.end)
            result[inside] = times[inside] - segment.begin + segment.shown
        return result

    def shown_spans(self, begin: float, end: float) -> list[tuple[float, float]]:
        """Return the parts of a span of the recording as they are shown."""
        parts = []
        for segment in self.segments:
            first, last = max(begin, segment.begin), min(end, segment.end)
            if last > first:
                at = segment.shown - segment.begin
                parts.append((first + at, last + at))
        return parts


def _pieces(
    seconds: float, conditions: Sequence[ConditionSpan]
) -> list[tuple[float, float]]:
    """Return begin and end of the pieces between all bounds of conditions."""
    bounds = sorted({0.0, seconds, *(t for c in conditions for t in (c.begin, c.end))})
    distinct = [bounds[0]]
    for bound in bounds[1:]:
        if bound - distinct[-1] > _SHORTEST or len(distinct) == 1:
            distinct.append(bound)
        else:
            distinct[-1] = bound
    pieces = []
    for begin, end in pairwise(distinct):
        middle = (begin + end) / 2
        is_condition = any(c.begin <= middle < c.end for c in conditions)
        count = 1 if is_condition else math.ceil((end - begin) / LONGEST)
        edges = np.linspace(begin, end, max(count, 1) + 1).tolist()
        pieces += list(pairwise(edges))
    return pieces
