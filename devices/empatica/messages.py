"""Parser of the lines of Empatica's streaming server."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item, single_event
from physio.core.timing.timestamps import TimestampAligner

LONGEST: Final = 65_536  # bytes of a line, above which it is no E4 server
BURST: Final = 1.0  # s for which the wristband may hold samples back


@dataclass(frozen=True)
class Signal:
    """A regular signal: name of its stream, rate, channels, factor of its values."""

    name: str
    rate: Fraction
    channels: tuple[Channel, ...]
    factor: float = 1.0


# By the first word of a line; the server's documentation has two words for some.
SIGNALS: Final = {
    "E4_Gsr": Signal("eda", Fraction(4), (Channel("eda", "gsr", "uS"),)),
    "E4_Bvp": Signal("bvp", Fraction(64), (Channel("bvp", "bio", "1"),)),
    "E4_Acc": Signal(
        "acc",
        Fraction(32),
        tuple(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz"),
        1 / 64,
    ),
    "E4_Temperature": Signal(
        "temp", Fraction(4), (Channel("temp", "temperature", "degC"),)
    ),
}
HAPPENINGS: Final = {
    "E4_Ibi": ("ibi", (Channel("interval", "misc", "s"),)),
    "E4_Hr": ("hr", (Channel("hr", "misc", "1/min"),)),
    "E4_Battery": ("battery", (Channel("battery", "misc", "1"),)),
    "E4_Tag": ("tags", ()),
}
_ALSO: Final = {"E4_Temp": "E4_Temperature", "E4_Batt": "E4_Battery"}
STAMP: Final = Channel("stamp", "misc", "s")


class Splitter:
    """Splitter of received bytes into complete lines."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, raw: bytes) -> list[str]:
        """Add bytes; return the lines that are now complete.

        Raises
        ------
        OSError
            If a line is too long: this is no E4 server.
        """
        *whole, self._rest = (self._rest + raw).split(b"\n")
        if len(self._rest) > LONGEST:
            raise OSError(
                f"the E4 server sent {len(self._rest)} bytes without an end of line: "
                "is it one?"
            )
        return [line.decode("utf-8", "replace").strip() for line in whole]


class Stream:
    """Alignment of a regular signal without a counter, by times of arrival.

    The server counts its stamps from the first sample at the nominal rate, so they show
    neither drift nor losses. They only spread samples that arrived together.
    """

    def __init__(self, signal: Signal, info: StreamInfo) -> None:
        self.signal, self.info = signal, info
        self._stamped = TimestampAligner(float(signal.rate), BURST)
        self._stamps: list[float] = []
        self._rows: list[list[float]] = []
        self._last_arrival = -np.inf

    def add(self, stamp: float, values: list[float]) -> None:
        """Add one line."""
        self._stamps.append(stamp)
        self._rows.append(values)

    def due(self, now: float) -> list[Block]:
        """Return the samples that have a place by ``now`` (s, session clock)."""
        n = len(self._stamps)
        if not n and not self._stamped.held:
            return []
        stamps = np.array(self._stamps)
        rows = np.array(self._rows, np.float64).reshape(n, len(self.info.channels))
        self._stamps, self._rows = [], []
        times = stamps
        if n:
            back = np.maximum(stamps[-1] - stamps, 0.0)
            times = np.maximum.accumulate(np.maximum(now - back, self._last_arrival))
            self._last_arrival = now
        rows *= self.signal.factor
        return [
            Block(self.info, p.start, p.t0, p.rows, p.stamps)
            for p in self._stamped.push(times, stamps, rows, now)
        ]


class Wrist:
    """Blocks and events from the lines of one wristband.

    Parameters
    ----------
    name, participant
        Name of the device, and code of the participant who wears it.
    origin
        Measured, or simulated for a `MockServer`.
    """

    def __init__(
        self, name: str, participant: str = "", origin: Origin = Origin.MEASURED
    ) -> None:
        bare = StreamInfo(
            name, Fraction(0), (), origin, participant, "wrist", "dorsal, dry"
        )
        self.status = replace(bare, name=f"{name}.status")
        self._streams = {
            word: Stream(
                s,
                replace(
                    bare.with_channels(s.rate, *s.channels), name=f"{name}.{s.name}"
                ),
            )
            for word, s in SIGNALS.items()
        }
        self._events = {
            word: replace(
                bare.with_channels(None, *channels, STAMP), name=f"{name}.{suffix}"
            )
            for word, (suffix, channels) in HAPPENINGS.items()
        }
        self._waiting: list[Events] = []
        self._last: dict[str, float] = {}
        self._ahead = np.inf  # session clock minus the server's: least delay so far

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the wristband."""
        regular = tuple(s.info for s in self._streams.values())
        return (*regular, *self._events.values(), self.status)

    def take(self, line: str, now: float) -> bool:
        """Process a line; return whether it was a line of data."""
        word, *fields = line.split()
        word = _ALSO.get(word, word)
        try:
            numbers = [float(part.replace(",", ".")) for part in fields]
        except ValueError:
            return False
        stream, info = self._streams.get(word), self._events.get(word)
        if stream is not None and len(numbers) == 1 + len(stream.info.channels):
            self._ahead = min(self._ahead, now - numbers[0])
            stream.add(numbers[0], numbers[1:])
            return True
        if info is not None and len(numbers) == len(info.channels):
            self._happened(info, numbers, now)
            return True
        return False

    def say(self, text: str, now: float) -> None:
        """Add a message to the status events."""
        self._waiting.append(single_event(self.status, now, text))

    def due(self, now: float) -> list[Item]:
        """Return the items that are complete by ``now`` (s, session clock)."""
        events, self._waiting = self._waiting, []
        return [*(b for s in self._streams.values() for b in s.due(now)), *events]

    def _happened(self, info: StreamInfo, numbers: list[float], now: float) -> None:
        stamp, *values = numbers
        at = min(now, stamp + self._ahead)
        at = max(at, self._last.get(info.name, -np.inf))
        self._last[info.name] = at
        label = "tag" if not values else ""
        self._waiting.append(single_event(info, at, label, *values, stamp))
