"""How late markers are against what they mark: a photodiode, a microphone."""

from typing import NamedTuple

import numpy as np

from physio.core.recording import Recording
from physio.study.outcomes import marked
from physio.view.plots.envelope import whole


class MarkerLatency(NamedTuple):
    """By how much signals came after their markers (s).

    ``median``; ``jitter``, the standard deviation; ``worst``, the largest distance from
    the median; ``n`` markers with a signal, of ``markers``.
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
    """Measure the time from each marker to the flank of a signal.

    Parameters
    ----------
    recording
        Where both are.
    channel
        The channel of the photodiode or the microphone.
    label
        What the markers begin with.
    within
        Where about a marker the flank may lie (s).
    threshold
        What the signal rises above; by default the middle between its 1st and 99th
        percentile. Between two samples the crossing is interpolated.

    Raises
    ------
    ValueError
        If there is no such channel or marker, or no marker has a flank.
    """
    for blocks in recording.streams.values():
        if channel in blocks[0].info.names and any(map(len, blocks)):
            times, data = whole(blocks)
            x = data[:, blocks[0].info.names.index(channel)]
            break
    else:
        names = [n for b in recording.streams.values() for n in b[0].info.names]
        raise ValueError(
            f"there is no channel {channel!r}; there is {', '.join(names[:12])}"
        )
    low, high = np.nanpercentile(x, [1, 99])
    level = (low + high) / 2 if threshold is None else threshold
    up = np.flatnonzero((x[:-1] < level) & (x[1:] >= level))
    part = (level - x[up]) / (x[up + 1] - x[up])
    flanks = times[up] + part * (times[up + 1] - times[up])
    marks = np.array([t for t, text in marked(recording) if text.startswith(label)])
    found = []
    for t in marks:
        near = flanks[(flanks >= t + within[0]) & (flanks <= t + within[1])]
        if len(near):
            found.append(float(near[np.argmin(np.abs(near - t))] - t))
    if not found:
        raise ValueError(
            f"none of {len(marks)} markers has a flank of {channel!r} above "
            f"{level:.4g} from {within[0]:g} to {within[1]:g} s about it"
        )
    late = np.array(found)
    median = float(np.median(late))
    worst = float(np.abs(late - median).max())
    spread = float(late.std(ddof=1)) if len(late) > 1 else 0.0
    return MarkerLatency(median, spread, worst, len(late), len(marks))
