"""State of a page of correction: data in shown order, history, and replies."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.block import Channel
from physio.core.edits import MARKS, POINTS, STEPS, Edit, EditHistory, Edits
from physio.core.recording import Recording, computed
from physio.datasets.base import ConditionSpan
from physio.view.editor.blinding import revealing_channels
from physio.view.editor.pyramid import Pyramid
from physio.view.editor.shown_order import ShownOrder

COLUMNS: Final = 512
"""Columns of a tile."""

FINEST: Final = 1 / 1024
"""Seconds of a column of level 0; two levels double it."""

_DEVIATES: Final = 0.2  # of the median of the 11 intervals around
_MEDIAN: Final = 11  # intervals
_MOST_LEVELS: Final = 60

Marks = tuple[pd.DataFrame, pd.DataFrame]
"""Beats and responses of the skin, as of `physio.offline.analysis.Analysis`."""


class EditorSource(NamedTuple):
    """Parts of a page of correction.

    Parameters
    ----------
    recording
        The recording.
    conditions
        Its conditions (s, session clock).
    marks
        Function that returns beats and responses with edits applied.
    store
        Function that writes a history, given the one that was written before.
    now
        Function that returns date and time.
    """

    recording: Recording
    conditions: Sequence[ConditionSpan]
    marks: Callable[[Edits], Marks]
    store: Callable[[EditHistory, EditHistory | None], None]
    now: Callable[[], str]


@dataclass
class EditSession:
    """A recording that a rater corrects.

    Parameters
    ----------
    source
        Recording, conditions, marks and file.
    history
        Edits so far.
    stored
        The history in the file; None if there is no file yet.
    """

    source: EditorSource
    history: EditHistory
    stored: EditHistory | None = None
    order: ShownOrder = field(init=False)
    pyramids: tuple[Pyramid, ...] = field(init=False)
    _marks: Marks = field(init=False)

    def __post_init__(self) -> None:
        self._arrange()
        self._marks = self.source.marks(self._edits())

    @property
    def is_blind(self) -> bool:
        """True while conditions, markers and ratings are hidden."""
        return not self.history.unblinded

    def tile(self, stream: int, level: int, index: int) -> bytes:
        """Return least and greatest values of a tile, (2, columns, channels), float32.

        Raises
        ------
        ValueError
            If there is no such tile.
        """
        span = COLUMNS * FINEST * 2 ** (level / 2)
        if not (0 <= stream < len(self.pyramids) and 0 <= level < _MOST_LEVELS):
            raise ValueError(f"there is no stream {stream} or no level {level}")
        if not 0 <= index * span <= self.order.seconds:
            raise ValueError(f"there is no tile {index} at level {level}")
        pyramid, begin = self.pyramids[stream], self.source.recording.begin
        shape = (2, COLUMNS, len(pyramid.channels))
        result = np.full(shape, np.nan, np.float32)
        step, first = span / COLUMNS, index * span
        for segment in self.order.segments:
            low = max(math.floor((segment.shown - first) / step + 1e-6), 0)
            high = min(math.ceil((segment.shown_end - first) / step - 1e-6), COLUMNS)
            if high <= low:
                continue
            shown = first + np.arange(low, high + 1) * step
            edges = np.clip(
                shown - segment.shown + segment.begin, segment.begin, segment.end
            )
            part = pyramid.envelope(edges + begin)
            known = result[:, low:high]
            known[0] = np.fmin(known[0], part[0])
            known[1] = np.fmax(known[1], part[1])
        return result.tobytes()

    def apply(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Make and store an entry that the page asks for; return the new state.

        Parameters
        ----------
        content
            ``kind``, ``stream``, ``channels``, ``begin`` and ``end`` (s, as shown),
            ``why`` and ``of``.

        Raises
        ------
        ValueError
            If the entry is invalid; nothing is stored then.
        """
        kind, settings = self._entry(content)
        longer = self.history.with_entry(kind, self.source.now(), **settings)
        edits = longer.on_clock(self.source.recording.begin)
        marks = self.source.marks(edits)
        self.source.store(longer, self.stored)
        self.history = self.stored = longer
        self._marks = marks
        if kind == "unblind":  # the page loads itself again: it has more channels
            self._arrange()
        return self.state()

    def description(self) -> dict[str, Any]:
        """Return what the page needs once: streams, channels and their ranges."""
        return {
            "name": self.history.recording,
            "rater": self.history.rater,
            "columns": COLUMNS,
            "finest": FINEST,
            "streams": [
                {
                    "name": p.name,
                    "channels": [
                        {"name": c.name, "kind": c.kind, "unit": c.unit,
                         "middle": middle, "range": spread}
                        for c, (middle, spread) in zip(
                            p.channels, p.ranges(), strict=True
                        )
                    ],
                }
                for p in self.pyramids
            ],
            **self.state(),
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Return the state of the page after each entry, in times as shown (s)."""
        begin = self.source.recording.begin
        beats, scrs = self._marks
        edits = self.history.active
        return {
            "blind": self.is_blind,
            "seconds": self.order.seconds,
            "segments": self._segments(),
            "beats": [
                self._beats(part, (str(stream), str(channel)))
                for (stream, channel), part in beats.groupby(
                    ["stream", "channel"], sort=False
                )
            ],
            "scrs": [
                {
                    "stream": s, "channel": c, "edited": bool(e),
                    "onset": round(t, 4), "peak": round(t + max(r, 0.0), 4),
                }
                for s, c, e, t, r in zip(
                    scrs["stream"], scrs["channel"], scrs["edited"],
                    self.order.shown_times(scrs["onset"].to_numpy(float) - begin),
                    scrs["rise_time"].fillna(0.0), strict=True,
                )
                if not math.isnan(t)
            ],
            "bad": [
                {"number": e.number, "stream": e.stream, "channels": list(e.channels),
                 "begin": first, "end": last}
                for e in edits
                if e.kind == "bad"
                for first, last in self.order.shown_spans(e.begin, e.end)
            ],
            "entries": [self._line(e) for e in self.history.entries],
            "events": [] if self.is_blind else self._events(),
            "undo": bool(edits),
            "redo": bool(self.history.undone),
            "stored": self.history.entries[-1].at if self.history.entries else "",
        }  # fmt: skip

    def _edits(self) -> Edits:
        return self.history.on_clock(self.source.recording.begin)

    def _arrange(self) -> None:
        recording = self.source.recording
        conditions = [
            ConditionSpan(c.name, c.begin - recording.begin, c.end - recording.begin)
            for c in self.source.conditions
        ]
        seed = self.history.seed if self.is_blind else None
        self.order = ShownOrder.of(recording.seconds, conditions, seed)
        self.pyramids = tuple(self._signals()) + tuple(
            _empty(name) for name in _intervals(recording)
        )

    def _signals(self) -> Iterator[Pyramid]:
        """Yield the signals; while blind, without what reveals conditions."""
        for name, blocks in self.source.recording.streams.items():
            info = blocks[0].info
            hidden = revealing_channels(info) if self.is_blind else frozenset()
            shown = not hidden.issuperset(info.names) and any(map(len, blocks))
            if _is_shown(name) and info.rate and shown:
                yield Pyramid.of(blocks, hidden)

    def _entry(self, content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return kind and settings of an entry, with times of the recording."""
        kind, why = content.get("kind"), content.get("why", "")
        if kind not in (*MARKS, *POINTS, *STEPS) or not isinstance(why, str):
            raise ValueError(f"there is no edit {kind!r}")
        if kind in STEPS:
            of = content.get("of", 0)
            if not isinstance(of, int) or isinstance(of, bool):
                raise ValueError(f"{of!r} is no number of an edit")
            return kind, {"why": why.strip(), **({"of": of} if of else {})}
        begin, end = (_number(content.get(name)) for name in ("begin", "end"))
        if math.isnan(begin):
            raise ValueError(f"{kind}: state where it is, not {content.get('begin')!r}")
        settings: dict[str, Any] = {"why": why.strip()}
        if kind == "exclude":
            settings["begin"], settings["end"] = self.order.condition(begin)
            return kind, settings
        settings |= self._place(kind, content)
        if begin == end:
            raise ValueError(f"{kind} has one time, {begin:.3f} s, where two differ")
        if kind == "bad":
            if math.isnan(end):
                raise ValueError("a bad span needs an end")
            settings["begin"], settings["end"] = self.order.span(begin, end)
        else:
            settings["begin"] = self.order.recorded(begin)
            if kind.startswith("move"):
                if math.isnan(end):
                    raise ValueError("state where it is moved to")
                if self.order.segment(begin) != self.order.segment(end):
                    raise ValueError("a mark can be moved within its segment only")
                settings["end"] = self.order.recorded(end)
        return kind, settings

    def _place(self, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return stream and channels of an entry, which must be in the recording."""
        stream, channels = content.get("stream"), content.get("channels", [])
        names = {p.name: [c.name for c in p.channels] for p in self.pyramids}
        if not isinstance(stream, str) or stream not in names:
            raise ValueError(f"there is no stream {stream!r}: {', '.join(names)}")
        if not isinstance(channels, list):
            raise ValueError(f"{channels!r} is no list of channels")
        if unknown := [c for c in channels if c not in names[stream]]:
            raise ValueError(
                f"{stream} has no channel {unknown[0]!r}: {', '.join(names[stream])}"
            )
        if kind in POINTS:
            self._check_kind(kind, stream, channels)
        return {"stream": stream, "channels": tuple(channels)}

    def _check_kind(self, kind: str, stream: str, channels: list[str]) -> None:
        """Refuse a beat on skin conductance, and a response elsewhere."""
        if len(channels) != 1:
            raise ValueError(f"{kind} is of one channel, not of {len(channels)}")
        kinds = {(p.name, c.name): c.kind for p in self.pyramids for c in p.channels}
        thing = kind.rpartition(" ")[2]
        fitting = ("gsr",) if thing == "scr" else ("ecg", "bio", "interval")
        if kinds[stream, channels[0]] not in fitting:
            where = "skin conductance" if thing == "scr" else "an ECG or a pulse wave"
            words = "an SCR is" if thing == "scr" else "a beat is"
            raise ValueError(
                f"{words} edited on {where}, and {channels[0]} of {stream} is none"
            )

    def _segments(self) -> list[dict[str, Any]]:
        edits = self.history.active
        excluded = Edits(edits, "")
        return [
            {
                "begin": s.shown,
                "end": s.shown_end,
                "excluded": bool(excluded.excluded(s.begin, s.end)),
                "label": ""
                if self.is_blind
                else ", ".join(c.name for c in self.order.around(s)),
            }
            for s in self.order.segments
        ]

    def _beats(self, beats: pd.DataFrame, place: tuple[str, str]) -> dict[str, Any]:
        """Return the beats of a channel: time, interval (ms), and sign of each.

        Signs: 0 regular, 1 outlier or not accepted, 2 corrected, 3 edited.
        """
        interval = beats["interval"].to_numpy(float)
        usual = beats["interval"].rolling(_MEDIAN, center=True, min_periods=1).median()
        off = np.abs(interval / usual.to_numpy(float) - 1) > _DEVIATES
        signs = np.where(~beats["accepted"].to_numpy(bool) | off, 1, 0)
        signs = np.where(beats["corrected"].to_numpy(bool), 2, signs)
        signs = np.where(beats["edited"].to_numpy(bool), 3, signs)
        times = beats["time"].to_numpy(float) - self.source.recording.begin
        shown = self.order.shown_times(times)
        order = np.argsort(shown, kind="stable")
        order = order[np.isfinite(shown[order])]
        ms = 1e3 * interval[order]
        return {
            "stream": place[0], "channel": place[1],
            "times": np.round(shown[order], 4).tolist(),
            "intervals": [None if math.isnan(v) else round(v, 1) for v in ms.tolist()],
            "signs": signs[order].tolist(),
        }  # fmt: skip

    def _line(self, entry: Edit) -> dict[str, Any]:
        """Return an entry for the list of the page, which must not reveal the order."""
        begin = entry.begin
        at = self.order.shown_times(np.array([begin]))[0] if begin == begin else begin
        return {
            "number": entry.number, "kind": entry.kind, "at": entry.at,
            "why": entry.why, "of": entry.of,
            "place": " ".join((entry.stream, *entry.channels)),
            "begin": None if math.isnan(at) else round(float(at), 4),
            "seconds": round(entry.end - begin, 3) if entry.kind in MARKS else None,
            "undone": entry.number in self.history.undone,
        }  # fmt: skip

    def _events(self) -> list[dict[str, Any]]:
        begin = self.source.recording.begin
        rows = []
        for events in self.source.recording.events.values():
            if not events.labels or "interval" in events.info.names:
                continue
            shown = self.order.shown_times(np.asarray(events.times, float) - begin)
            rows += [
                {"at": round(float(t), 4), "label": label[:80]}
                for t, label in zip(shown, events.labels, strict=False)
                if label and not math.isnan(t)
            ]
        return rows


def _number(value: Any) -> float:
    """Return a number, NaN for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def _is_shown(name: str) -> bool:
    """Return whether a stream is measured: estimates and features are not shown."""
    hidden = computed(name) or name.startswith(("session.", "study."))
    return not hidden and not name.endswith((".truth", ".status"))


def _intervals(recording: Recording) -> list[str]:
    return [
        name
        for name, events in recording.events.items()
        if "interval" in events.info.names and len(events) and _is_shown(name)
    ]


def _empty(name: str) -> Pyramid:
    """Return a row without a signal, for beats of a stream of intervals."""
    channel = Channel("interval", "interval", "s")
    return Pyramid(name, (channel,), 1.0, 0.0, np.empty((0, 1), np.float32))
