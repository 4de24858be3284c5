"""Common clock of the streams of an XDF file, by the order of its chunks."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from physio.core.block import Array
from physio.core.clock_check import APART, duration_text

_SPREAD: Final = 5.0  # largest difference between two estimates of one offset (s)


def common_clock(
    order: Sequence[int],
    sizes: Mapping[int, Sequence[int]],
    times: Mapping[int, Array],
) -> tuple[dict[int, Array], dict[int, str]]:
    """Return the times of all streams on one clock, where the file shows it.

    Streams more than `APART` from the others are of another clock: another computer
    without clock offsets, or stamps with the date. A recorder writes chunks as they
    arrive, so the chunks around those of such a stream show its offset, to about the
    length of a chunk. Streams whose chunks are not written between those of the others
    stay where they are.

    Parameters
    ----------
    order
        Stream of each chunk of samples, in the order of the file.
    sizes
        Number of samples in each chunk of a stream.
    times
        Synchronized stamps of each stream (s).

    Returns
    -------
    tuple
        Times of each stream, and a sentence without subject for each that was moved.
    """
    result = dict(times)
    groups = _groups(times)
    if len(groups) < 2:
        return result, {}
    # The more samples, the more precisely they show when the others arrived.
    main = max(groups, key=lambda g: sum(len(times[i]) for i in g))
    arrivals = _arrivals(order, sizes, times)
    reference = [(at, last) for i in main for at, last in arrivals[i]]
    messages: dict[int, str] = {}
    for stream in (i for group in groups if group is not main for i in group):
        estimate = _offset(arrivals[stream], sorted(reference))
        if estimate is None:
            continue
        by, spread = estimate
        result[stream] = times[stream] + by
        messages[stream] = (
            f"has another clock, {duration_text(abs(by))} from that of the others: it "
            f"is placed by the order of the file, to about {max(spread, 0.1):.1f} s"
        )
    return result, messages


def _groups(times: Mapping[int, Array]) -> list[list[int]]:
    """Return the streams with samples, grouped by clock."""
    spans = sorted((t.min(), t.max(), i) for i, t in times.items() if len(t))
    groups: list[list[int]] = []
    end = -np.inf
    for first, last, stream in spans:
        if first - end > APART:
            groups.append([])
        groups[-1].append(stream)
        end = max(end, last)
    return groups


def _arrivals(
    order: Sequence[int], sizes: Mapping[int, Sequence[int]], times: Mapping[int, Array]
) -> dict[int, list[tuple[int, float]]]:
    """Return place in the file and time of the last sample of each stream's chunks."""
    arrivals: dict[int, list[tuple[int, float]]] = {i: [] for i in times}
    chunk, row = dict.fromkeys(times, 0), dict.fromkeys(times, 0)
    for place, stream in enumerate(order):
        if stream not in times or chunk[stream] >= len(sizes[stream]):
            continue
        n = sizes[stream][chunk[stream]]
        chunk[stream], row[stream] = chunk[stream] + 1, row[stream] + n
        if n and row[stream] <= len(times[stream]):
            arrivals[stream].append((place, float(times[stream][row[stream] - 1])))
    return arrivals


def _offset(
    chunks: Sequence[tuple[int, float]], reference: Sequence[tuple[int, float]]
) -> tuple[float, float] | None:
    """Return offset and its uncertainty (s), None if the order does not show it."""
    places = np.array([place for place, _ in reference])
    newest = np.maximum.accumulate([last for _, last in reference])
    estimates, widths = [], []
    for place, last in chunks:
        after = int(places.searchsorted(place))
        if 0 < after < len(places):
            estimates.append(float(newest[after - 1]) - last)
            widths.append(float(newest[after] - newest[after - 1]))
    if not estimates or max(np.ptp(estimates), max(widths)) > _SPREAD:
        return None
    return float(np.median(estimates)), max(float(np.ptp(estimates)), max(widths))
