"""What each sensor looks like now: the same figures before, during and after a session.

`ChannelMonitor` runs `physio.quality.channel_status.ChannelStatus` on every stream that
comes in and keeps, of each channel, its newest figures and how many seconds it was in
which condition. `physio check` looks at it before a session or at a recording; while a
session runs, the sink `physio.sinks.channel_status.ChannelStatusFile` does.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from physio.core.block import Array, Block, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import StageRunner
from physio.quality.channel_status import BAD, CONDITIONS, FIGURES, ChannelStatus

FIT: Final = frozenset(CONDITIONS) - BAD
"""What a channel may be, to be fit for a session."""

HELD: Final = 3
"""For how many seconds in a row a condition lasts before it is said."""

_WARMING: Final = MissingReason.WARMING_UP.words


@dataclass
class ChannelSummary:
    """What became of one channel."""

    unit: str
    seconds: Counter[str] = field(default_factory=Counter)
    condition: str = _WARMING
    figures: tuple[float, ...] = ()
    reported: str = ""
    duration: int = 0

    @property
    def usual(self) -> str:
        """What it was most of the time, once windows were full."""
        told = Counter({k: n for k, n in self.seconds.items() if k != _WARMING})
        return told.most_common(1)[0][0] if told else "missing"

    def update(self, word: str, figures: tuple[float, ...]) -> str:
        """Count a second; return what is to be said of it, or nothing."""
        self.seconds[word] += 1
        fit = word in FIT
        self.duration = self.duration + 1 if word == self.condition else 1
        self.condition, self.figures = word, figures
        if word == _WARMING or self.duration != HELD:
            return ""
        now = "fit" if fit else word
        was, self.reported = self.reported, now
        news = now != was and not (was == "" and fit)
        return ("is fit again" if fit else f"is {word}") if news else ""


class ChannelMonitor:
    """The conditions of all channels of a session so far.

    Parameters
    ----------
    streams
        What flows; the truth of simulations, and what has less than a sample a second,
        are not looked at.
    mains
        Frequency of the mains (Hz).
    """

    def __init__(self, streams: Iterable[StreamInfo] = (), mains: float = 50.0) -> None:
        self._stage = ChannelStatus(mains=mains)
        self._flows: dict[str, StageRunner] = {}
        self.seen: dict[str, dict[str, ChannelSummary]] = {}
        self.add_streams(streams)

    def add_streams(self, streams: Iterable[StreamInfo]) -> None:
        """Begin to look at more streams."""
        for info in streams:
            if info.rate >= 1 and not info.name.endswith(".truth"):
                self._flows[info.name] = StageRunner(self._stage, info)
                self.seen[info.name] = {
                    c.name: ChannelSummary(c.unit) for c in info.channels
                }

    def take(self, block: Block) -> tuple[int, list[str]]:
        """Take in a block; return the seconds it completes, and what is news in them.

        News is a channel that has been unfit for `HELD` s, or is fit again.
        """
        flow = self._flows.get(block.info.name)
        if flow is None:
            return 0, []
        rows = flow.push(block).data
        return len(rows), [said for row in rows for said in self._row(flow.source, row)]

    def _row(self, info: StreamInfo, row: Array) -> Iterable[str]:
        n = len(info.channels)
        for i, (name, summaries) in enumerate(self.seen[info.name].items()):
            code, *figures = row[i::n].tolist()
            named = code == code
            word = (
                CONDITIONS[int(code)]
                if named
                else MissingReason(int(missing_reason([code])[0])).words
            )
            if said := summaries.update(word, tuple(figures)):
                yield f"{info.name}: {name} {said}"

    def now(self, stream: str) -> dict[str, str]:
        """Return what each channel of a stream is at this moment."""
        return {name: seen.condition for name, seen in self.seen[stream].items()}

    def figures(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return, by stream and channel, its seconds by condition and last figures.

        ``condition`` is what it was most of the time, ``now`` what it is; the others
        are `FIGURES`, None where they are not known.
        """
        return {
            stream: {name: _told(seen) for name, seen in channels.items()}
            for stream, channels in self.seen.items()
        }


def unfit(figures: dict[str, dict[str, dict[str, Any]]], key: str) -> list[str]:
    """Return the channels that are not fit, and why: by ``condition`` or by ``now``."""
    return [
        f"{stream} {name} ({told[key]})"
        for stream, channels in figures.items()
        for name, told in channels.items()
        if told[key] not in FIT
    ]


def _told(seen: ChannelSummary) -> dict[str, Any]:
    values = seen.figures or (float("nan"),) * (len(FIGURES) - 1)
    numbers = {
        f: v if v == v else None for f, v in zip(FIGURES[1:], values, strict=True)
    }
    first = {"unit": seen.unit, "seconds": dict(seen.seconds)}
    return {**first, "condition": seen.usual, "now": seen.condition, **numbers}
