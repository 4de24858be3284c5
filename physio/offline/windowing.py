"""Windows of ticks: their samples, labels and features."""

from collections.abc import Collection
from math import ceil
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets.feature_table import QUALITY, RATING, VALID_FRACTION, WHY
from physio.offline.conditions import recorded_conditions

_ENDS: Final = (".window_start", ".window_end")
_NEAR: Final = 1.0  # s between a rating and the end of its segment


class WindowGrid(NamedTuple):
    """Grid of ``n`` windows of ``window`` ticks; window k begins at tick ``k * step``.

    ``begin`` is the time of tick 0 (s, session clock), ``rate`` the rate of ticks (Hz),
    and ``reach`` the largest age of the samples that the values of a tick use (s).
    """

    n: int
    window: int
    step: int
    begin: float
    rate: float
    reach: float

    @classmethod
    def of(cls, ticks: Block, width: float, hop: float) -> Self:
        """Return the complete windows of ``width`` s, ``hop`` s apart, of ticks."""
        rate = float(ticks.info.rate)
        ticked, step = width * rate, hop * rate
        if ticked % 1 or step % 1:
            raise ValueError(
                f"windows of {width:g} s every {hop:g} s are no whole numbers of ticks "
                f"at {rate:g} Hz: choose multiples of {1 / rate:g} s, or another rate"
            )
        n = max(0, (len(ticks) - int(ticked)) // int(step) + 1)
        begin = float(ticks.t0 + ticks.start / rate)
        return cls(n, int(ticked), int(step), begin, rate, ticks.info.memory)

    @property
    def begins(self) -> Array:
        """Start of each window (s, session clock), shape (n,)."""
        return self.begin + np.arange(self.n) * self.step / self.rate

    @property
    def ends(self) -> Array:
        """End of each window (s, session clock), shape (n,)."""
        return self.begins + self.window / self.rate

    @property
    def supports(self) -> Array:
        """Time of the earliest sample that a window uses (s), shape (n,)."""
        last = self.ends - 1 / self.rate
        return np.minimum(self.begins, last - self.reach)


def source(recording: Recording, streams: Collection[str]) -> Block:
    """Return the first block of the fastest stream, which defines sample numbers.

    Events, as the intervals of a band's maker, have no sample numbers.
    """
    sampled = sorted(name for name in streams if name in recording.streams)
    blocks = [recording.streams[name][0] for name in sampled]
    if not blocks:
        names = ", ".join(recording.streams) or "nothing"
        raise ValueError(f"no chain reads any of its streams ({names})")
    return max(blocks, key=lambda b: b.info.rate)


def place(first: Block, grid: WindowGrid) -> dict[str, Any]:
    """Return the sample range, the support and the times of each window."""
    rate = float(first.info.rate)
    times = (grid.begins, grid.ends, grid.supports)
    # Rounding of a product must not move a sample across the edge of a window.
    numbers = (np.ceil(np.round((t - first.t0) * rate, 6)) for t in times)
    start, stop, rests = (np.maximum(n, 0).astype(np.int64) for n in numbers)
    return {
        "start_sample": start,
        "end_sample": stop,
        "support_start_sample": rests,
        "start_s": grid.begins,
        "end_s": grid.ends,
    }


def labels(recording: Recording, grid: WindowGrid) -> dict[str, Any]:
    """Return segment, condition label and ratings of each window.

    Segments are the labelled events ``<name>.conditions``, with an end time in the
    column ``end`` or a duration in ``seconds``; without these, the conditions of events
    that last for a window or longer, as in BIDS (`recorded_conditions`). Ratings are
    the events ``<name>.ratings``; a rating within a second of the end of a segment
    belongs to that segment. A recording without conditions is one segment.
    """
    parts = _events(recording, ".conditions")
    ratings_stream = _events(recording, ".ratings")
    spans = [(recording.begin, np.inf, "")]
    shortest = grid.window / grid.rate
    stated = [s for s in recorded_conditions(recording) if s.end - s.begin >= shortest]
    if parts is None and stated:
        spans = [(s.begin, s.end, s.name) for s in stated]
    if parts is not None and len(parts):
        long = parts.data[:, 0]
        ends = parts.times + long if "seconds" in parts.info.names else long
        names = parts.labels or ("",) * len(parts)
        spans = list(zip(parts.times.tolist(), ends.tolist(), names, strict=True))
    part = np.full(grid.n, -1, np.int16)
    label = np.full(grid.n, "", object)
    kinds = ratings_stream.info.names if ratings_stream is not None else ()
    ratings = {name: np.full(grid.n, np.nan) for name in kinds}
    for k, (begin, end, name) in enumerate(spans):
        inside = (grid.begins >= begin) & (grid.ends <= end)
        part[inside], label[inside] = k, name
        answer = _answer(ratings_stream, end)
        for i, kind in enumerate(kinds):
            ratings[kind][inside] = np.nan if answer is None else answer[i]
    columns = {f"{RATING}{kind}": values for kind, values in ratings.items()}
    return {"segment": part, "label": label, **columns}


def values(ticks: Block, grid: WindowGrid, share: float) -> dict[str, Any]:
    """Return features, missing reasons and signal quality of each window.

    A feature is the mean of its values at the ticks of the window that use samples of
    this window alone. If the memory of a stage is longer than the window, the feature
    is the value at the last tick. It is missing if the proportion of valid values is
    below ``share``. Signal quality is averaged over the whole window.
    """
    names = ticks.info.names
    selected = [
        i
        for i, c in enumerate(ticks.info.channels)
        if not (c.name.endswith(_ENDS) and f"{c.name}{WHY}" not in names)
        and c.kind != "quality"
    ]
    cells = _cells(ticks.data[:, selected], grid)
    spans = [ticks.info.channels[i].memory for i in selected]
    first = [min(ceil(span * grid.rate), grid.window - 1) for span in spans]
    means = np.empty((grid.n, len(selected)))
    for begin in sorted(set(first)):
        at = [k for k, f in enumerate(first) if f == begin]
        means[:, at] = _mean(cells[:, at, begin:], share)
    reasons, known = missing_reason(means), np.isfinite(cells).mean(axis=2)
    columns: dict[str, Any] = {}
    chains: dict[str, list[int]] = {}
    for k, i in enumerate(selected):
        columns[names[i]] = np.ascontiguousarray(means[:, k])
        columns[f"{names[i]}{WHY}"] = np.ascontiguousarray(reasons[:, k])
        chains.setdefault(names[i].partition(".")[0], []).append(k)
    for chain, at in chains.items():
        columns[f"{VALID_FRACTION}{chain}"] = known[:, at].mean(axis=1)
    return {**columns, **_quality(ticks, grid, share)}


def _quality(ticks: Block, grid: WindowGrid, share: float) -> dict[str, Any]:
    """Return the mean signal quality of the sensors in each window."""
    channels = enumerate(ticks.info.channels)
    indices = {c.name: i for i, c in channels if c.kind == "quality"}
    means = _mean(_cells(ticks.data[:, list(indices.values())], grid), share)
    return {
        f"{QUALITY}{name}": np.ascontiguousarray(means[:, k])
        for k, name in enumerate(indices)
    }


def _cells(columns: Array, grid: WindowGrid) -> Array:
    """Return the ticks of each window, shape (n, columns, width); a view."""
    if not grid.n:
        return np.empty((0, columns.shape[1], grid.window))
    every = np.lib.stride_tricks.sliding_window_view(columns, grid.window, axis=0)
    return every[:: grid.step][: grid.n]


def _mean(cells: Array, share: float) -> Array:
    """Return the mean of valid values on the last axis, or the most frequent reason."""
    known = np.isfinite(cells)
    count = known.sum(axis=-1)
    total = np.where(known, cells, 0).sum(axis=-1)
    few = count < share * cells.shape[-1]
    mean = total / np.maximum(count, 1)
    if few.any():
        codes = missing_reason(cells[few])
        times = np.stack([(codes == r).sum(axis=1) for r in list(MissingReason)[1:]])
        nans = np.array([r.nan for r in list(MissingReason)[1:]])
        mean[few] = nans[np.argmax(times, axis=0)]
    return np.asarray(mean)


def _events(recording: Recording, end: str) -> Events | None:
    matching = [e for name, e in recording.events.items() if name.endswith(end)]
    return matching[0] if matching else None


def _answer(ratings: Events | None, end: float) -> npt.NDArray[np.float64] | None:
    """Return the ratings at the end of a segment, or those of a whole recording."""
    if ratings is None or not len(ratings):
        return None
    if end == np.inf:
        return ratings.data[-1]
    near = np.flatnonzero(np.abs(ratings.times - end) < _NEAR)
    return ratings.data[near[0]] if len(near) else None
