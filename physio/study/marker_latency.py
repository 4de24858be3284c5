"""Latency between markers and stimuli at a photodiode or a microphone."""

from typing import NamedTuple

import numpy as np

from physio.core.block import Array
from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.study.outcomes import iter_markers


class MarkerLatency(NamedTuple):
    """Delay of stimuli after their markers (s).

    ``median``; ``jitter``, the standard deviation; ``worst``, the largest deviation
    from the median; ``n``, the number of markers with a stimulus; ``markers``, the
    number of all markers.
    """

    median: float
    jitter: float
    worst: float
    n: int
    markers: int


def marker_latency(
    recording: Recording,
    channel: str,
    label: str = "",
    *,
    within: tuple[float, float] = (-0.1, 0.3),
    threshold: float | None = None,
) -> MarkerLatency:
    """Measure the time from markers to the rising edge of a signal.

    Parameters
    ----------
    recording
        Recording with markers and signal.
    channel
        The channel of the photodiode or the microphone.
    label
        Prefix of the markers.
    within
        Window around a marker in which the edge is detected (s).
    threshold
        Level that the edge crosses; default: the middle between the 1st and the 99th
        percentile. The crossing is interpolated between samples.

    Raises
    ------
    ValueError
        If there is no such channel or marker, or no marker has an edge.
    """
    times, x = _channel(recording, channel)
    low, high = np.nanpercentile(x, [1, 99])
    level = (low + high) / 2 if threshold is None else threshold
    up = np.flatnonzero((x[:-1] < level) & (x[1:] >= level))
    part = (level - x[up]) / (x[up + 1] - x[up])
    flanks = times[up] + part * (times[up + 1] - times[up])
    marks = np.array(
        [t for t, text in iter_markers(recording) if text.startswith(label)]
    )
    latencies = []
    for t in marks:
        near = flanks[(flanks >= t + within[0]) & (flanks <= t + within[1])]
        if len(near):
            latencies.append(float(near[np.argmin(np.abs(near - t))] - t))
    if not latencies:
        raise ValueError(
            f"none of {len(marks)} markers has an edge of {channel!r} above "
            f"{level:.4g} from {within[0]:g} to {within[1]:g} s about it"
        )
    delays = np.array(latencies)
    median = float(np.median(delays))
    worst = float(np.abs(delays - median).max())
    spread = float(delays.std(ddof=1)) if len(delays) > 1 else 0.0
    return MarkerLatency(median, spread, worst, len(delays), len(marks))


def _channel(recording: Recording, name: str) -> tuple[Array, Array]:
    """Return times and values of the first channel of a name."""
    for blocks in recording.streams.values():
        if name in blocks[0].info.names and any(map(len, blocks)):
            times, data = stitched(blocks)
            return times, data[:, blocks[0].info.names.index(name)]
    names = [n for b in recording.streams.values() for n in b[0].info.names]
    raise ValueError(f"there is no channel {name!r}; there is {', '.join(names[:12])}")
