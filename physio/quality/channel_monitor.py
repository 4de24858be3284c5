"""Channel monitor: condition and figures of every channel of a session.

`ChannelMonitor` runs `physio.quality.channel_status.ChannelStatus` on every incoming
stream and keeps, for each channel, its newest figures and the seconds that it spent in
each condition. ``physio check`` uses it before a session or on a recording; during a
session, the sink `physio.sinks.channel_status.ChannelStatusFile` uses it.
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
"""Conditions in which a channel is fit for a session."""

PERSISTENCE: Final = 3
"""Number of successive seconds after which a condition is reported."""

_WARMING_UP: Final = MissingReason.WARMING_UP.words


@dataclass
class ChannelSummary:
    """Condition of one channel, now and over the session."""

    unit: str
    seconds: Counter[str] = field(default_factory=Counter)
    condition: str = _WARMING_UP
    figures: tuple[float, ...] = ()
    reported: str = ""
    duration: int = 0

    @property
    def usual(self) -> str:
        """Most frequent condition, warming up excluded unless there is no other."""
        counts = Counter({k: n for k, n in self.seconds.items() if k != _WARMING_UP})
        none = "too short" if self.seconds else "missing"
        return counts.most_common(1)[0][0] if counts else none

    def update(self, condition: str, figures: tuple[float, ...]) -> str:
        """Count a second; return a report, empty if the condition is unchanged."""
        self.seconds[condition] += 1
        fit = condition in FIT
        self.duration = self.duration + 1 if condition == self.condition else 1
        self.condition, self.figures = condition, figures
        if condition == _WARMING_UP or self.duration != PERSISTENCE:
            return ""
        before, self.reported = self.reported, "fit" if fit else condition
        if self.reported == before or (fit and not before):
            return ""
        return "is fit again" if fit else f"is {condition}"


class ChannelMonitor:
    """The conditions of all channels of a session so far.

    Parameters
    ----------
    streams
        The streams to monitor; the ground truth of simulations and streams below 1 Hz
        are left out.
    mains
        Frequency of the mains (Hz).
    """

    def __init__(self, streams: Iterable[StreamInfo] = (), mains: float = 50.0) -> None:
        self._stage = ChannelStatus(mains=mains)
        self._runners: dict[str, StageRunner] = {}
        self.summaries: dict[str, dict[str, ChannelSummary]] = {}
        self.add_streams(streams)

    def add_streams(self, streams: Iterable[StreamInfo]) -> None:
        """Begin to monitor further streams."""
        for info in streams:
            if info.rate >= 1 and not info.name.endswith(".truth"):
                self._runners[info.name] = StageRunner(self._stage, info)
                self.summaries[info.name] = {
                    c.name: ChannelSummary(c.unit) for c in info.channels
                }

    def push(self, block: Block) -> tuple[int, list[str]]:
        """Take in a block; return the number of seconds it completes, and reports.

        A report names a channel that has been unfit for `PERSISTENCE` s, or is fit
        again.
        """
        runner = self._runners.get(block.info.name)
        if runner is None:
            return 0, []
        rows = runner.push(block).data
        return len(rows), [
            report for row in rows for report in self._reports(runner.source, row)
        ]

    def _reports(self, info: StreamInfo, row: Array) -> Iterable[str]:
        n = len(info.channels)
        for i, (name, summary) in enumerate(self.summaries[info.name].items()):
            code, *figures = row[i::n].tolist()
            is_present = code == code
            condition = (
                CONDITIONS[int(code)]
                if is_present
                else MissingReason(int(missing_reason([code])[0])).words
            )
            if report := summary.update(condition, tuple(figures)):
                yield f"{info.name}: {name} {report}"

    def conditions(self, stream: str) -> dict[str, str]:
        """Return the present condition of each channel of a stream."""
        channels = self.summaries[stream].items()
        return {name: summary.condition for name, summary in channels}

    def figures(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return, by stream and channel, the seconds by condition and newest figures.

        ``condition`` is the most frequent condition and ``now`` the present one; the
        other entries are `FIGURES`, None if missing.
        """
        return {
            stream: {name: _to_dict(summary) for name, summary in channels.items()}
            for stream, channels in self.summaries.items()
        }


def unfit(figures: dict[str, dict[str, dict[str, Any]]], key: str) -> list[str]:
    """Return the channels that are not fit, by ``condition`` or by ``now``."""
    return [
        f"{stream} {name} ({channel[key]})"
        for stream, channels in figures.items()
        for name, channel in channels.items()
        if channel[key] not in FIT
    ]


def _to_dict(summary: ChannelSummary) -> dict[str, Any]:
    values = summary.figures or (float("nan"),) * (len(FIGURES) - 1)
    numbers = {
        f: v if v == v else None for f, v in zip(FIGURES[1:], values, strict=True)
    }
    first = {"unit": summary.unit, "seconds": dict(summary.seconds)}
    return {
        **first,
        "condition": summary.usual,
        "now": summary.condition,
        **numbers,
    }
