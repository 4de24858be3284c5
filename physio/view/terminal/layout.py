"""What the terminal view draws."""

from collections import deque
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
from physio.view.labels import (
    ENDS,
    MEANING,
    Label,
    dimensions,
    reasons,
    strongest,
    words,
)
from physio.view.stream_stats import Entry, StreamStats
from physio.view.terminal.sparklines import bar, clock, number, spark

BADGES = ("bold black on #E69F00", "bold white on #AA3377")
HUES = {"valence": "#56B4E9", "arousal": "#E69F00", "dominance": "#2FBF9B"}
_SILENT = Text.assemble((" SILENT ", "bold white on red"))


@dataclass
class ParticipantPanel:
    """What is computed of one participant, as far as it is to be seen.

    Parameters
    ----------
    features, estimates, truth
        The newest blocks, if there are any; truth is what a simulated participant
        feels.
    trend
        The newest means of each dimension.
    """

    features: Block | None = None
    estimates: Block | None = None
    truth: Block | None = None
    trend: dict[str, deque[float]] = field(default_factory=dict)


@dataclass
class TerminalLayout:
    """A session at one moment, drawn by `rich.print` at any width.

    Parameters
    ----------
    now, begin
        The time, and when the session began (s, session clock).
    participant
        Code of the participant.
    labels
        What must be said of the numbers.
    meters
        The streams.
    missing
        Names of streams that never sent anything and were declared silent.
    participants
        What is computed of each participant, by code; of the only one, by ``""``.
    happened
        The newest lines of what happened.
    latency_ms
        How long it takes to compute an estimate: half of them, 99 of 100 (ms).
    listening
        Whether keys can be pressed.
    entry
        What was typed of a label so far.
    said
        A line to keep in sight.
    height
        How many lines there are to fill; as many as it takes, if nothing is said.
    """

    now: float
    begin: float
    participant: str = ""
    labels: Sequence[Label] = ()
    meters: Sequence[StreamStats] = ()
    participants: Mapping[str, ParticipantPanel] = field(default_factory=dict)
    missing: Sequence[str] = ()
    happened: Sequence[Entry] = ()
    latency_ms: tuple[float, float] | None = None
    listening: bool = False
    entry: str | None = None
    said: str = ""
    height: int | None = None

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        width, height = options.max_width, self.height or options.height
        top: list[RenderableType] = [self._head(width), *self._labels()]
        if self.said:
            top.append(Text(f" {self.said}", "bold", overflow="fold"))
        for code, seen in self.participants.items():
            if seen.estimates is not None and len(seen.estimates):
                top += [_rule(f"estimates {code}".rstrip())]
                top += self._estimates(seen.estimates, seen, width)
        top += [_rule("streams"), self._streams(width), *self._features()]
        free = options.reset_height()
        rows = sum(len(console.render_lines(part, free)) for part in top)
        room = 6
        if height is not None:
            room = max(0, height - rows - 2)
        told = self._happened(room)
        yield from top
        if told:
            yield _rule("what happened")
            yield from told
        if height is not None:
            taken = rows + len(told) + bool(told) + 1
            yield Segment("\n" * max(0, height - taken))
        foot = self._foot()
        foot.end = "\n" if height is None else ""
        yield foot

    def _head(self, width: int) -> Text:
        left = Text.assemble(
            (" physio ", "bold"),
            (f" {self.participant} " if self.participant else "", "dim"),
            (f" {clock(self.now - self.begin)} ", "bold"),
        )
        right = Text(" ").join(
            Text(f" {label.badge} ", BADGES[i % 2])
            for i, label in enumerate(self.labels)
        )
        gap = max(1, width - left.cell_len - right.cell_len - 1)
        return Text.assemble(left, " " * gap, right, no_wrap=True)

    def _labels(self) -> Iterator[Padding]:
        for label in self.labels:
            told = Text.assemble((label.badge, "bold"), f": {label.meaning}")
            yield Padding(told, (0, 1))

    def _estimates(
        self, told: Block, seen: ParticipantPanel, width: int
    ) -> Iterator[Text | Padding]:
        names = dimensions(told.info)
        sparks = 12 if width >= 100 else 0
        room = width - 14 - 26 - 17 - sparks
        for name in names:
            low, high = ENDS.get(name, ("-1", "+1"))
            mean = float(told.column(name)[-1])
            sd = float(told.column(f"{name}.sd")[-1])
            recent = list(seen.trend.get(name, ()))
            hue = HUES.get(name, "white")
            yield Text.assemble(
                (f" {name.capitalize():<11}", f"bold {hue}"),
                (f"{low:>11} ", "dim"),
                _bar(seen, name, mean, sd, max(15, room | 1)),
                (f" {high:<11}", "dim"),
                (f" {number(mean, sd):<14}", "bold"),
                ("  " + spark(recent, sparks) if sparks else "", hue),
                no_wrap=True,
                overflow="crop",
            )
        if moved := strongest(told, "arousal"):
            yield Text(
                f" arousal moved by {moved}", "dim", no_wrap=True, overflow="crop"
            )
        late = self.now - float(told.complete_until)
        if late > 2:
            yield Text(f" the newest of these is {late:.0f} s old", "bold yellow")
        diamond = (
            "" if seen.truth is None else " ◇ is what the simulated participant feels."
        )
        yield Padding(Text(MEANING + diamond, "dim"), (0, 1))

    def _streams(self, width: int) -> Table:
        wide = width >= 100
        table = Table(box=None, pad_edge=True, expand=True, header_style="dim")
        table.add_column("stream", no_wrap=True)
        table.add_column("Hz (nominal)", justify="right", no_wrap=True)
        table.add_column("newest", justify="right", no_wrap=True)
        table.add_column("lost in 60 s", justify="right", no_wrap=True)
        if wide:
            table.add_column("lost in all", justify="right", no_wrap=True)
        table.add_column("good", no_wrap=True, min_width=24 if wide else 18)
        for meter in self.meters:
            row = _row(meter, self.now)
            table.add_row(*(row if wide else row[:4] + row[5:]))
        for name in self.missing:
            never = (Text(name, "bold red"), "", Text("never", "yellow"), "")
            table.add_row(*never, *([""] if wide else []), _SILENT)
        return table

    def _features(self) -> Iterator[Padding]:
        for code, seen in self.participants.items():
            if seen.features is not None and len(seen.features):
                yield _present(code, seen.features)

    def _happened(self, room: int) -> list[Text]:
        if not self.happened or room < 2:
            return []
        return [
            Text.assemble(
                (f" {clock(e.time - self.begin)}  ", "dim"),
                (e.text, e.style),
                (f"  {e.times} times" if e.times > 1 else "", "dim"),
                no_wrap=True,
                overflow="ellipsis",
            )
            for e in self.happened[-(room - 1) :]
        ]

    def _foot(self) -> Text:
        if self.entry is not None:
            return Text.assemble(
                (" marker: ", "bold cyan"),
                self.entry,
                ("▏", "bold cyan blink"),
                ("   Enter sets it, Escape drops it", "dim"),
            )
        parts = []
        if self.latency_ms is not None:
            half, most = self.latency_ms
            parts.append(f"computing {half:.1f} ms, p99 {most:.1f} ms")
        if self.listening:
            parts.append("keys: 1-9 marker, m typed marker, q end")
        return Text(" " + "   ".join(parts), "dim")


def present(features: Block) -> list[tuple[str, int, int, str]]:
    """Return of each chain how many features the last row has, of how many, and why."""
    names = [
        n
        for n in features.info.names
        if not n.endswith((".window_start", ".window_end", ".missing"))
    ]
    row = {n: float(features.column(n)[-1]) for n in names}
    found = []
    for chain, group in groupby(names, key=lambda n: n.split(".")[0]):
        codes = missing_reason(np.array([row[n] for n in group]))
        missing = codes[codes > 0]
        reason = words(int(np.bincount(missing).argmax())) if len(missing) else ""
        found.append((chain, int((codes == 0).sum()), len(codes), reason))
    return found


def line(screen: TerminalLayout) -> str:
    """Return the state of a session as one plain line."""
    parts = [clock(screen.now - screen.begin)]
    for code, seen in screen.participants.items():
        e = seen.estimates
        if e is None or not len(e):
            continue
        for name in dimensions(e.info):
            mean, sd = float(e.column(name)[-1]), float(e.column(f"{name}.sd")[-1])
            missing = f"none ({words(reasons(e, name)[-1])})"
            told = number(mean, sd) if np.isfinite(mean) else missing
            parts.append(f"{code} {name} {told}".lstrip())
    for meter in screen.meters:
        rate, lost = meter.rate(screen.now), f"{meter.lost} lost"
        told = "silent" if meter.silent else f"{rate:.1f} Hz, {lost}"
        if not meter.silent and np.isnan(rate):
            told = lost if meter.samples else "nothing yet"
        parts.append(f"{meter.info.name} {told}")
    if screen.latency_ms is not None:
        half, most = screen.latency_ms
        parts.append(f"computing {half:.1f} ms, p99 {most:.1f} ms")
    return " | ".join(parts)


def _present(code: str, features: Block) -> Padding:
    parts = []
    for chain, good, n, reason in present(features):
        style = "green" if good == n else "yellow" if good else "bold yellow"
        told = f" ({reason})" if good < n else ""
        parts.append(Text(f"{chain} {good} of {n}{told}", style))
    line = Text.assemble((f"features {code} ", "dim"), Text(", ").join(parts))
    return Padding(line, (0, 1))


def _bar(seen: ParticipantPanel, name: str, mean: float, sd: float, width: int) -> Text:
    if seen.estimates is None or np.isfinite(mean):
        true = seen.truth is not None and name in seen.truth.info.names
        at = float(seen.truth.column(name)[-1]) if seen.truth and true else np.nan
        return bar(mean, sd, width, HUES.get(name, "white"), at)
    reason = words(reasons(seen.estimates, name)[-1])
    said = f" none: {reason} "
    said = said if len(said) <= width else reason[:width]
    return Text(said.center(width, "╌"), "bold yellow")


def _rule(title: str) -> Rule:
    return Rule(Text(title, "dim"), style="dim", align="left")


def _row(meter: StreamStats, now: float) -> tuple[Text, ...]:
    nominal = f"{float(meter.info.rate):g}"
    rate, age = meter.rate(now), meter.age(now)
    lost, share = meter.loss(now)
    off = abs(rate / float(meter.info.rate) - 1) > 0.02
    measured = Text.assemble(
        ("…" if np.isnan(rate) else f"{rate:.1f}", "yellow" if off else ""),
        (f" ({nominal})", "dim"),
    )
    newest = (
        "never" if np.isnan(age) else f"{age:.2f} s" if age < 10 else f"{age:.0f} s"
    )
    gone = Text(f"{lost} = {100 * share:.1f} %" if lost else "0")
    gone.stylize("bold red" if share > 0.05 else "yellow" if lost else "dim")
    return (
        Text(meter.info.name, "bold red" if meter.silent else ""),
        measured,
        Text(newest, "yellow" if not age <= 1.5 else ""),
        gone,
        Text(str(meter.lost), "yellow" if meter.lost else "dim"),
        _SILENT if meter.silent else _good(meter),
    )


def _good(meter: StreamStats) -> Text:
    share, flat = meter.quality()
    if np.isnan(share):
        return Text("…", "dim")
    style = "green" if share > 0.95 else "yellow" if share > 0.5 else "bold red"
    text = Text.assemble(
        ("■" * round(5 * share)).ljust(5, "·"), f" {100 * share:.0f} %"
    )
    text.stylize(style)
    shown = " ".join(flat[:3]) + (f" +{len(flat) - 3}" if len(flat) > 3 else "")
    return text.append(f" flat: {shown}", "bold yellow") if flat else text
