"""Search for LSL streams on the network, and their descriptions."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as NoAnswer

_QUIET: Final = 0.5  # s without a new stream after which a search may end
_LOOK: Final = 0.02  # s between two looks at the results
_HEADER: Final = 1.0  # s for the description of a stream
_READERS: Final = 16  # descriptions fetched at the same time


class DiscoveredStream(NamedTuple):
    """A stream on the network."""

    name: str
    type: str
    source_id: str
    host: str
    rate: float
    channels: int

    def __str__(self) -> str:
        rate = f"{self.rate:g} Hz" if self.rate else "irregular"
        which = f", source_id {self.source_id!r}" if self.source_id else ""
        return f"{self.name!r} ({self.type}, {self.channels} x {rate}{which})"


class AnnouncedStream(NamedTuple):
    """A stream on the network and its description.

    ``xml`` lacks the part ``desc``, with names and units of channels, if the sender did
    not answer in time; ``is_complete`` is False then.
    """

    stream: DiscoveredStream
    xml: str
    is_complete: bool


def discover(seconds: float = 1.0) -> list[DiscoveredStream]:
    """Return the streams that answer within some seconds."""
    return sorted(stream_of(info) for info in _resolved(seconds, seconds))


def announced(seconds: float = 1.0) -> list[AnnouncedStream]:
    """Return the streams that answer within some seconds, with their descriptions.

    The search ends early, 0.5 s after the last new stream.
    """
    infos = _resolved(seconds, _QUIET)
    if not infos:
        return []
    with ThreadPoolExecutor(min(_READERS, len(infos)), "header") as pool:
        streams = list(pool.map(_announced, infos))
    return sorted(streams, key=lambda stream: stream.stream)


def stream_of(info: pylsl.StreamInfo) -> DiscoveredStream:
    """Return the short description of a stream."""
    return DiscoveredStream(
        info.name(),
        info.type(),
        info.source_id(),
        info.hostname(),
        info.nominal_srate(),
        info.channel_count(),
    )


def _resolved(seconds: float, quiet: float) -> list[Any]:
    """Return the streams that answer; `pylsl.resolve_streams` may take 5 s longer."""
    resolver = pylsl.ContinuousResolver()
    begin = newest = time.monotonic()
    infos: dict[str, Any] = {}
    while (now := time.monotonic()) < begin + seconds:
        for info in resolver.results():
            if info.uid() not in infos:
                infos[info.uid()], newest = info, now
        if infos and now > newest + quiet:
            break
        time.sleep(_LOOK)
    return list(infos.values())


def _announced(info: pylsl.StreamInfo) -> AnnouncedStream:
    try:
        inlet = pylsl.StreamInlet(info, max_buflen=1, recover=False)
        xml = inlet.info(_HEADER).as_xml()
    except (NoAnswer, LostError, RuntimeError):
        return AnnouncedStream(stream_of(info), info.as_xml(), is_complete=False)
    return AnnouncedStream(stream_of(info), xml, is_complete=True)
