"""Laws of a sink: it takes every item, never waits, and closes cleanly."""

import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Events, Item, event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.protocols import Sink
from physio.testing.violation import require

TAKES: Final = "the law of a sink (it takes blocks and events of any stream)"
WAITING: Final = "the law of a sink (write never waits)"
CLOSING: Final = "the law of a sink (it closes cleanly)"

_SLOWEST: Final = 0.5  # s that a write may take
_BEGIN: Final = 1000.0
_SECONDS: Final = 5


def session_items() -> tuple[tuple[StreamInfo, ...], list[Item]]:
    """Return the streams of two devices, and items of a short session with them.

    Among the items are missing and lost samples, an empty block, events with and
    without labels, computed features and estimates, and the session's own events.
    """
    origin = Origin.SIMULATED
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), origin)
    eeg = StreamInfo(
        "headset.eeg",
        Fraction(250),
        tuple(Channel(c, "eeg", "uV") for c in ("Fz", "Cz")),
        origin,
    )
    tags = event_stream("band.tags")
    names = ("valence", "arousal", "dominance")
    channels = tuple(Channel(f"{d}{e}") for d in names for e in ("", ".sd"))
    estimates = StreamInfo("estimates", Fraction(4), channels, origin)
    features = StreamInfo("features", Fraction(4), (Channel("eda.tonic"),), origin)
    status = event_stream("session.status")
    rng, items = np.random.default_rng(2), list[Item]()
    for second in range(_SECONDS):
        if second == 2:
            continue  # lost: sample numbers jump
        for info in (eda, eeg, features, estimates):
            n = int(info.rate)
            data = rng.normal(0, 1, (n, len(info.channels)))
            data[0] = MissingReason.POOR_QUALITY.nan
            items.append(Block(info, second * n, _BEGIN, data))
        now = _BEGIN + second + 1.0
        items.append(single_event(tags, now, "pressed"))
        nothing = np.empty(0), np.empty((0, 0))
        items.append(Events(status, now, *nothing))
        items.append(Block(eda, (second + 1) * 4, _BEGIN, np.empty((0, 1))))
    items.append(single_event(status, _BEGIN + _SECONDS, "the session ends"))
    return (eda, eeg, tags), items


@dataclass(frozen=True)
class SinkLaws:
    """The laws of a sink; each raises AssertionError.

    Parameters
    ----------
    sink
        The sink, not yet open; it is opened once.
    """

    sink: Sink

    def all(self) -> None:
        """Run a short session into the sink, and check every law."""
        streams, items = session_items()
        threads = threading.active_count()
        with self.sink as sink:
            text = f"__enter__ returned {type(sink).__name__}, not the sink"
            self._require(isinstance(sink, Sink), TAKES, text)
            sink.open_streams(streams)
            for item in items:
                self._write(item)
                sink.notices()
                sink.commands()
            sink.end("completed")
        running = threading.active_count() - threads
        self._require(running <= 0, CLOSING, f"{running} of its threads still run")
        faults = tuple(sink.faults())
        text = f"it reports faults although nothing failed: {'; '.join(faults)}"
        self._require(not faults, CLOSING, text)

    def _write(self, item: Item) -> None:
        kind = "events" if isinstance(item, Events) else "a block"
        where = f"{kind} of {item.info.name!r} with {len(item)} rows"
        began = time.monotonic()
        try:
            self.sink.write(item)
        except Exception as error:
            text = f"{where} raised {type(error).__name__}: {error}"
            raise AssertionError(f"{self._name} breaks {TAKES}: {text}") from error
        took = time.monotonic() - began
        self._require(took < _SLOWEST, WAITING, f"{where} took {took:.2f} s")

    @property
    def _name(self) -> str:
        return type(self.sink).__name__

    def _require(self, holds: object, law: str, difference: str) -> None:
        require(holds, self._name, law, difference)
