"""Layout of the terminal view."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from physio.core.block import Block
from physio.core.missing import missing_reason
from physio.core.printable import printable
from physio.view.labels import (
    ENDS,
    MEANING,
    OriginLabel,
    condition_text,
    estimated_dimensions,
    largest_contributions,
    reason_codes,
    reason_words,
    scale_text,
    standard_deviation,
)
from physio.view.stream_stats import LogEntry, StreamStats
from physio.view.terminal.sparklines import bar, clock, number, spark
from physio.view.terminal.state import ParticipantPanel

BADGES = ("bold black on #E69F00", "bold white on #AA3377")
HUES = {"valence": "#56B4E9", "arousal": "#E69F00", "dominance": "#2FBF9B"}
_FEW = 4  # streams that the line of status names
_SILENT = Text.assemble((" SILENT ", "bold white on red"))


@dataclass
class TerminalLayout:
    """State of a session at one moment, drawn by `rich.print` at any width.

    Parameters
    ----------
    now, begin
        The time, and the begin of the session (s, session clock).
    participant
        Code of the participant.
    labels
        Badges of the data's origins.
    stats
        Statistics of the streams.
    missing_streams
        Names of streams that timed out without any sample.
    participants
        Computed data by participant code; for a single participant, the code is ``""``.
    log
        The newest lines of the event log.
    latency_ms
        Computation time of an estimate: median, 99th percentile (ms).
    listening
        True if keys are read.
    entry
        The marker label typed so far; None while none is being typed.
    notice
        A line that stays visible.
    height
        Number of lines to fill; None: as many as needed.
    """

    now: float
    begin: float
    participant: str = ""
    labels: Sequence[OriginLabel] = ()
    stats: Sequence[StreamStats] = ()
    participants: Mapping[str, ParticipantPanel] = field(default_factory=dict)
    missing_streams: Sequence[str] = ()
    log: Sequence[LogEntry] = ()
    latency_ms: tuple[float, float] | None = None
    listening: bool = False
    entry: str | None = None
    notice: str = ""
    height: int | None = None

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        width, height = options.max_width, self.height or options.height
        top: list[RenderableType] = [self._head(width), *self._labels()]
        if self.notice:
            top.append(Text(f" {printable(self.notice)}", "bold", overflow="fold"))
        for code, panel in self.participants.items():
            if panel.estimates is not None and len(panel.estimates):
                top += [_rule(f"estimates {_line(code)}".rstrip())]
                top += self._estimates(panel.estimates, panel, width)
        top += [_rule("streams"), self._streams(width), *self._features()]
        free = options.reset_height()
        rows = sum(len(console.render_lines(part, free)) for part in top)
        room = 6
        if height is not None:
            room = max(0, height - rows - 2)
        lines = self._log_lines(room)
        yield from top
        if lines:
            yield _rule("events")
            yield from lines
        if height is not None:
            taken = rows + len(lines) + bool(lines) + 1
            yield Segment("\n" * max(0, height - taken))
        foot = self._foot()
        foot.end = "\n" if height is None else ""
        yield foot

    def _head(self, width: int) -> Text:
        title = Text.assemble(
            (" physio ", "bold"),
            (f" {_line(self.participant)} " if self.participant else "", "dim"),
            (f" {clock(self.now - self.begin)} ", "bold"),
        )
        badges = Text(" ").join(
            Text(f" {label.badge} ", BADGES[i % 2])
            for i, label in enumerate(self.labels)
        )
        gap = max(1, width - title.cell_len - badges.cell_len - 1)
        return Text.assemble(title, " " * gap, badges, no_wrap=True)

    def _labels(self) -> Iterator[Padding]:
        for label in self.labels:
            text = Text.assemble((label.badge, "bold"), f": {label.meaning}")
            yield Padding(text, (0, 1))

    def _estimates(
        self, block: Block, panel: ParticipantPanel, width: int
    ) -> Iterator[Text | Padding]:
        names = estimated_dimensions(block.info)
        sparks = 12 if width >= 100 else 0
        room = width - 14 - 26 - 17 - sparks
        for name in names:
            low, high = ENDS.get(name, ("-1", "+1"))
            mean = float(block.column(name)[-1])
            sd = float(standard_deviation(block, name)[-1])
            recent = list(panel.trend.get(name, ()))
            hue = HUES.get(name, "white")
            yield Text.assemble(
                (f" {name.capitalize():<11}", f"bold {hue}"),
                (f"{low:>11} ", "dim"),
                _bar(panel, name, mean, sd, max(15, room | 1)),
                (f" {high:<11}", "dim"),
                (f" {number(mean, sd):<14}", "bold"),
                ("  " + spark(recent, sparks) if sparks else "", hue),
                no_wrap=True,
                overflow="crop",
            )
        if odds := condition_text(block):
            text = _line(f" conditions: {odds}")
            yield Text(text, "bold", no_wrap=True, overflow="crop")
        if scales := scale_text(block):
            yield Text(_line(f" {scales}"), "bold", no_wrap=True, overflow="crop")
        explained = "arousal" if "arousal" in names else next(iter(names), "")
        if contributions := largest_contributions(block, explained):
            text = _line(f" contributions to {explained}: {contributions}")
            yield Text(text, "dim", no_wrap=True, overflow="crop")
        late = self.now - float(block.complete_until)
        if late > 2:
            yield Text(f" the newest estimate is {late:.0f} s old", "bold yellow")
        diamond = "" if panel.truth is None else " ◇ simulated true value."
        yield Padding(Text(MEANING + diamond, "dim"), (0, 1))

    def _streams(self, width: int) -> Table:
        wide = width >= 100
        table = Table(box=None, pad_edge=True, expand=True, header_style="dim")
        table.add_column("stream", no_wrap=True)
        table.add_column("Hz (nominal)", justify="right", no_wrap=True)
        table.add_column("newest", justify="right", no_wrap=True)
        table.add_column("lost (60 s)", justify="right", no_wrap=True)
        if wide:
            table.add_column("lost (total)", justify="right", no_wrap=True)
        table.add_column("valid", no_wrap=True, min_width=24 if wide else 18)
        for stats in self.stats:
            row = _row(stats, self.now)
            table.add_row(*(row if wide else row[:4] + row[5:]))
        for name in self.missing_streams:
            never = (Text(_line(name), "bold red"), "", Text("never", "yellow"), "")
            table.add_row(*never, *([""] if wide else []), _SILENT)
        return table

    def _features(self) -> Iterator[Padding]:
        for code, panel in self.participants.items():
            if panel.features is not None and len(panel.features):
                yield _feature_line(code, panel.features)

    def _log_lines(self, room: int) -> list[Text]:
        if not self.log or room < 2:
            return []
        return [
            Text.assemble(
                (f" {clock(e.time - self.begin)}  ", "dim"),
                (_line(e.text), e.style),
                (f"  {e.repetitions} times" if e.repetitions > 1 else "", "dim"),
                no_wrap=True,
                overflow="ellipsis",
            )
            for e in self.log[-(room - 1) :]
        ]

    def _foot(self) -> Text:
        if self.entry is not None:
            return Text.assemble(
                (" marker: ", "bold cyan"),
                _line(self.entry),
                ("▏", "bold cyan blink"),
                ("   Enter: set, Escape: cancel", "dim"),
            )
        parts = []
        if self.latency_ms is not None:
            median, p99 = self.latency_ms
            parts.append(f"computation {median:.1f} ms, p99 {p99:.1f} ms")
        if self.listening:
            parts.append("keys: 1-9 marker, m typed marker, q stop")
        return Text(" " + "   ".join(parts), "dim")


def feature_counts(features: Block) -> list[tuple[str, int, int, str]]:
    """Return for each chain: name, valid and all features, main missing reason."""
    names = [
        n
        for n in features.info.names
        if not n.endswith((".window_start", ".window_end", ".missing"))
    ]
    row = {n: float(features.column(n)[-1]) for n in names}
    counts = []
    for chain, group in groupby(names, key=lambda n: n.split(".")[0]):
        codes = missing_reason(np.array([row[n] for n in group]))
        missing = codes[codes > 0]
        reason = (
            reason_words(int(np.bincount(missing).argmax())) if len(missing) else ""
        )
        counts.append((chain, int((codes == 0).sum()), len(codes), reason))
    return counts


def status_line(screen: TerminalLayout) -> str:
    """Return the state of a session as one line of plain text."""
    parts = [clock(screen.now - screen.begin)]
    for code, panel in screen.participants.items():
        e = panel.estimates
        if e is None or not len(e):
            continue
        for name in estimated_dimensions(e.info):
            mean = float(e.column(name)[-1])
            sd = float(standard_deviation(e, name)[-1])
            missing = f"missing ({reason_words(reason_codes(e, name)[-1])})"
            text = number(mean, sd) if np.isfinite(mean) else missing
            parts.append(_line(f"{code} {name} {text}").lstrip())
        if odds := condition_text(e):
            parts.append(_line(f"{code} {odds}").lstrip())
        if scales := scale_text(e):
            parts.append(_line(f"{code} {scales}").lstrip())
    shown = list(screen.stats)
    if len(shown) > _FEW:
        shown = [stats for stats in shown if stats.silent or stats.lost]
        text = f"{len(screen.stats) - len(shown)} streams without loss"
        more = f", {len(shown) - _FEW} more" if len(shown) > _FEW else ""
        parts.append(f"{text}{more}")
    for stats in shown[:_FEW]:
        rate, lost = stats.rate(screen.now), f"{stats.lost} lost"
        text = "silent" if stats.silent else f"{rate:.1f} Hz, {lost}"
        if not stats.silent and np.isnan(rate):
            text = lost if stats.samples else "no samples yet"
        parts.append(_line(f"{stats.info.name} {text}"))
    if screen.latency_ms is not None:
        median, p99 = screen.latency_ms
        parts.append(f"computation {median:.1f} ms, p99 {p99:.1f} ms")
    return " | ".join(parts)


def _feature_line(code: str, features: Block) -> Padding:
    parts = []
    for chain, good, n, reason in feature_counts(features):
        style = "green" if good == n else "yellow" if good else "bold yellow"
        text = f" ({reason})" if good < n else ""
        parts.append(Text(_line(f"{chain} {good} of {n}{text}"), style))
    line = Text.assemble((_line(f"features {code} "), "dim"), Text(", ").join(parts))
    return Padding(line, (0, 1))


def _bar(
    panel: ParticipantPanel, name: str, mean: float, sd: float, width: int
) -> Text:
    if panel.estimates is None or np.isfinite(mean):
        true = panel.truth is not None and name in panel.truth.info.names
        at = float(panel.truth.column(name)[-1]) if panel.truth and true else np.nan
        return bar(mean, sd, width, HUES.get(name, "white"), at)
    reason = reason_words(reason_codes(panel.estimates, name)[-1])
    caption = f" missing: {reason} "
    caption = caption if len(caption) <= width else reason[:width]
    return Text(caption.center(width, "╌"), "bold yellow")


def _line(text: str) -> str:
    """Return external text as one line without control characters."""
    return printable(text, keep="")


def _rule(title: str) -> Rule:
    return Rule(Text(title, "dim"), style="dim", align="left")


def _row(stats: StreamStats, now: float) -> tuple[Text, ...]:
    nominal = f"{float(stats.info.rate):g}"
    rate, age = stats.rate(now), stats.age(now)
    lost, fraction = stats.loss(now)
    off = abs(rate / float(stats.info.rate) - 1) > 0.02
    measured = Text.assemble(
        ("…" if np.isnan(rate) else f"{rate:.1f}", "yellow" if off else ""),
        (f" ({nominal})", "dim"),
    )
    newest = (
        "never" if np.isnan(age) else f"{age:.2f} s" if age < 10 else f"{age:.0f} s"
    )
    loss = Text(f"{lost} = {100 * fraction:.1f} %" if lost else "0")
    loss.stylize("bold red" if fraction > 0.05 else "yellow" if lost else "dim")
    return (
        Text(_line(stats.info.name), "bold red" if stats.silent else ""),
        measured,
        Text(newest, "yellow" if not age <= 1.5 else ""),
        loss,
        Text(str(stats.lost), "yellow" if stats.lost else "dim"),
        _SILENT if stats.silent else _quality_text(stats),
    )


def _quality_text(stats: StreamStats) -> Text:
    fraction, flat = stats.quality()
    if np.isnan(fraction):
        return Text("…", "dim")
    style = "green" if fraction > 0.95 else "yellow" if fraction > 0.5 else "bold red"
    text = Text.assemble(
        ("■" * round(5 * fraction)).ljust(5, "·"), f" {100 * fraction:.0f} %"
    )
    text.stylize(style)
    names = " ".join(flat[:3]) + (f" +{len(flat) - 3}" if len(flat) > 3 else "")
    return text.append(_line(f" flat: {names}"), "bold yellow") if flat else text
