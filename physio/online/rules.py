"""Rules: events when estimates or features fulfil a condition for some time.

A rule depends only on the computed rows, so that it fires at the same rows live and in
a replay. A missing value fulfils no condition.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, Item, event_stream
from physio.core.recording import RULES, addressed, baseline_marker
from physio.online.commands import typed_rating

STREAM: Final = event_stream(RULES, Channel("code"))
"""Stream of firings: the label is the name of the rule, the value its code."""

LONGEST: Final = 500
"""Maximum length of a condition (characters)."""

_FORM: Final = "write it as 'arousal > 0.3 for 5 s' or 'arousal > 0.3 and valence < 0'"
_COMPARISON: Final = re.compile(r"('[^']+'|[^\s<>='&|]+)\s*(>=|<=|>|<)\s*(\S+)")
_FOR: Final = re.compile(r"^(.*)\sfor\s+(\S+?)\s*(ms|s|min)$", re.DOTALL)
_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0}
_ROUNDING: Final = 1e-6  # s


class Comparison(NamedTuple):
    """Comparison of a column with a number, as ``arousal > 0.3``."""

    column: str
    operator: str
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether a value fulfils it; a missing value does not."""
        if self.operator in {">", ">="}:
            return value > self.limit or (self.operator == ">=" and value == self.limit)
        return value < self.limit or (self.operator == "<=" and value == self.limit)


class TimedCondition(NamedTuple):
    """Comparisons that must all hold, for ``seconds`` (s) without interruption."""

    comparisons: tuple[Comparison, ...]
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "TimedCondition":
        """Return the condition in a text such as ``arousal > 0.3 for 5 s``.

        Raises
        ------
        ValueError
            If the text is not of that form.
        """
        if len(text) > LONGEST:
            raise ValueError(
                f"a condition has at most {LONGEST} characters, not {len(text)}"
            )
        timed = _FOR.match(text.strip())
        head, seconds = text.strip(), 0.0
        if timed is not None:
            head, number, unit = timed.groups()
            seconds = _number(number, text) * _SECONDS[unit]
            if seconds < 0:
                raise ValueError(f"{text!r}: a duration is not below 0: {number}")
        parts = re.split(r"\sand\s", head)
        return cls(tuple(_comparison(part, text) for part in parts), seconds)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are compared."""
        return tuple(c.column for c in self.comparisons)

    def holds(self, values: Mapping[str, float]) -> bool:
        """Return whether all comparisons hold."""
        return all(c.holds(values[c.column]) for c in self.comparisons)

    def fails(self, values: Mapping[str, float]) -> bool:
        """Return whether a comparison certainly does not hold."""
        present = (c for c in self.comparisons if not math.isnan(values[c.column]))
        return any(not c.holds(values[c.column]) for c in present)


@dataclass(frozen=True)
class Rule:
    """Event when a condition has held for some time.

    Parameters
    ----------
    name
        Name; the label of its events.
    when
        Condition at which it fires: comparisons of columns with numbers, joined by
        ``and``, and a duration, as in ``arousal > 0.3 for 5 s``. The columns are all
        of the estimates or all of the features.
    rearm
        Condition after which it can fire again, as ``arousal < 0.1``: hysteresis. By
        default, as soon as ``when`` does not hold.
    dead_time
        Time after a firing in which nothing counts (s).
    marker
        Text of a marker that a firing sets in a live session; none by default.
    code
        Number from 1 to 255 that a firing sends, as to a TTL output; 0 for none.
    """

    name: str
    when: str
    rearm: str = ""
    dead_time: float = 0.0
    marker: str = ""
    code: int = 0
    condition: TimedCondition = field(init=False, repr=False, compare=False)
    release: TimedCondition | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "condition", TimedCondition.parse(self.when))
        release = TimedCondition.parse(self.rearm) if self.rearm else None
        object.__setattr__(self, "release", release)
        if not (self.dead_time >= 0 and math.isfinite(self.dead_time)):
            raise ValueError(f"dead_time is a time from 0 s, not {self.dead_time:g}")
        if not 0 <= self.code <= 255:
            raise ValueError(f"code is a number from 1 to 255, not {self.code}")
        if self.marker and not (self.marker.strip() and self.marker.isprintable()):
            raise ValueError(
                f"marker = {self.marker!r} is blank or has characters that cannot be "
                "printed: give a text, or leave it out for none"
            )
        if baseline_marker(self.marker) or typed_rating(self.marker) is not None:
            raise ValueError(
                f"marker = {self.marker!r} would change the estimates that the rule "
                "depends on: use another text"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the rule reads."""
        release = self.release.columns if self.release else ()
        return tuple(dict.fromkeys(self.condition.columns + release))


def parse_rules(table: Mapping[str, Any], at: str) -> tuple[Rule, ...]:
    """Return the rules of a table ``[rules]``, with a text or a table for each name.

    Raises
    ------
    ValueError
        If a rule is not valid; the message names it.
    """
    from physio import config

    rules = []
    for name, value in table.items():
        place = f"{at}.{name}"
        parts = {"when": value} if isinstance(value, str) else value
        if not isinstance(parts, Mapping):
            raise ValueError(f"{place} = {value!r} must be a text or a table")
        config.allow(parts, _SETTINGS, place, "a rule")
        rules.append(config.make(Rule, {**parts, "name": name}, place))
    return tuple(rules)


_SETTINGS: Final = ("when", "rearm", "dead_time", "marker", "code")


class _Following:
    """State of a rule: whether it can fire, and since when its condition holds."""

    def __init__(self, rule: Rule, columns: Sequence[str], period: float) -> None:
        self.rule, self._period = rule, period
        self._index = {c: columns.index(c) for c in rule.columns}
        self._armed, self._dead = True, -math.inf
        self._since, self._calm, self._last = math.nan, math.nan, -math.inf

    def fires(self, time: float, row: Sequence[float]) -> bool:
        """Take in the next row; return whether the rule fires at it."""
        values = {c: row[i] for c, i in self._index.items()}
        if time - self._last > 1.5 * self._period:  # rows are lost
            self._since = self._calm = math.nan
        self._last = time
        condition = self.rule.condition
        if not self._armed:
            self._armed = self._is_released(time, values)
        if not (self._armed and time >= self._dead and condition.holds(values)):
            self._since = math.nan
            return False
        if math.isnan(self._since):
            self._since = time
        if time - self._since < condition.seconds - _ROUNDING:
            return False
        self._armed, self._since, self._calm = False, math.nan, math.nan
        self._dead = time + self.rule.dead_time - _ROUNDING
        return True

    def _is_released(self, time: float, values: Mapping[str, float]) -> bool:
        release = self.rule.release
        if release is None:
            return self.rule.condition.fails(values)
        if not release.holds(values):
            self._calm = math.nan
            return False
        if math.isnan(self._calm):
            self._calm = time
        return time - self._calm >= release.seconds - _ROUNDING


class RuleRunner:
    """The rules of a session, on the rows computed for one participant.

    Parameters
    ----------
    rules
        The rules.
    streams
        The computed streams, estimates first.
    participant
        Code of the participant, in a session of several.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        streams: Sequence[StreamInfo],
        participant: str = "",
    ) -> None:
        self.info = addressed(STREAM, participant)
        self.notices: list[str] = []
        """Sentences on rules that do not run."""
        self._rules, self._streams = tuple(rules), tuple(streams)
        self.restart()
        for rule in rules:
            if not any(set(rule.columns) <= set(s.names) for s in streams):
                self.notices.append(_unknown(rule, streams))

    @property
    def is_active(self) -> bool:
        """True if a rule runs."""
        return bool(self._following)

    def restart(self) -> None:
        """Forget all rows."""
        self._following: dict[str, list[_Following]] = {}
        for rule in self._rules:
            for info in self._streams:
                if set(rule.columns) <= set(info.names):
                    state = _Following(rule, info.names, 1 / float(info.rate))
                    self._following.setdefault(info.name, []).append(state)
                    break

    def push(self, item: Item) -> Iterator[Events]:
        """Yield the firings at the rows of a computed item."""
        following = self._following.get(item.info.name)
        if following is None or not isinstance(item, Block):
            return
        rows = zip(item.times.tolist(), item.data.tolist(), strict=True)
        for time, row in rows:
            for fired in [f.rule for f in following if f.fires(time, row)]:
                data = np.array([[float(fired.code)]])
                yield Events(self.info, time, np.array([time]), data, (fired.name,))


def _comparison(part: str, text: str) -> Comparison:
    match = _COMPARISON.fullmatch(part.strip())
    if match is None:
        problem = (
            "write a rule for each condition instead of 'or'"
            if re.search(r"\sor\s|\|\|", part)
            else _FORM
        )
        raise ValueError(f"{text!r}: {part.strip()!r} is no comparison; {problem}")
    column, operator, limit = match.groups()
    return Comparison(column.strip("'"), operator, _number(limit, text))


def _number(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r}: {number!r} is no number; {_FORM}")
    return value


def _unknown(rule: Rule, streams: Sequence[StreamInfo]) -> str:
    names = [name for info in streams for name in info.names]
    missing = [c for c in rule.columns if c not in names]
    if not missing:
        return (
            f"rule {rule.name!r} does not run: {', '.join(rule.columns)} are partly "
            "estimates and partly features; write a rule for each"
        )
    close = get_close_matches(missing[0], names, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else "`physio columns` lists them"
    return f"rule {rule.name!r} does not run: no column {missing[0]!r}; {hint}"
