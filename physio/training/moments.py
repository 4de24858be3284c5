"""Moments of labelled recordings, relative to the baseline as in a live session."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array, Block, StreamInfo
from physio.core.missing import MissingReason
from physio.datasets.base import ConditionSpan
from physio.datasets.feature_table import LABEL
from physio.features.newest_samples import COUNT
from physio.inference.window_buffer import WindowBuffer
from physio.models.base import WindowSpec
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.training.gaussian import TrainingSamples, rests
from physio.training.live_ticks import LabelledTicks

Rows = npt.NDArray[np.intp]
Columns = tuple[tuple[str, str], ...]
_FLOOR = 1e-9  # smallest variance
TRACE: Final = "trace"
"""Chain whose only column is skin conductance."""

_TRACE_RATE, _PAST, _AHEAD = 4, 240, 120  # Hz, samples
TOKEN: Final = re.compile(r"(?P<chain>\w+)\.de\.(?P<band>[^.]+)\.(?P<electrode>[^.]+)")


@dataclass(frozen=True)
class FeatureSettings:
    """The table ``[features]``.

    Parameters
    ----------
    columns
        Features, ``"<chain>.<feature>"``, each with its transform: ``raw``, ``sqrt``
        or ``log``; by default all that the chains of every recording give, ``raw``.
    session
        Session file, beside the training file, whose chains are used; by default the
        default chains of each recording.
    baseline_seconds
        Duration of the baseline from which features are differences (s), as in a
        session: from the first feature on, or from the marker ``baseline start``;
        0: none.
    every
        Time between two moments (s).
    settle
        Time excluded after the begin of a condition (s).
    lookback
        Duration of the past that a self-report refers to (s).
    window
        Duration of windows of a signal, in place of features (s): the chain of
        ``session`` that ends with `physio.features.newest_samples.NewestSamples` gives
        them, and no baseline is subtracted; 0: features.
    form
        ``tokens``: the features are, without ``columns``, the differential entropy of
        every electrode in every band, as networks of electrodes read it; ``features``:
        all that the chains give.
    trace
        Whether the chain ``trace``, whose only column is skin conductance, gives its
        course around each moment, for a network that forecasts it; it is no feature.
    """

    columns: tuple[tuple[str, str], ...] = ()
    session: str = ""
    baseline_seconds: float = 60.0
    every: float = 2.0
    settle: float = 0.0
    lookback: float = 30.0
    window: float = 0.0
    form: Literal["features", "tokens"] = "features"
    trace: bool = False

    def __post_init__(self) -> None:
        if self.window and self.form == "tokens":
            raise ValueError("tokens are no windows of a signal: leave out window")
        if self.window:
            object.__setattr__(self, "baseline_seconds", 0.0)
        for name, value, least in (
            ("baseline_seconds", self.baseline_seconds, 0.0),
            ("every", self.every, 0.05),
            ("settle", self.settle, 0.0),
            ("lookback", self.lookback, 1.0),
            ("window", self.window, 0.0),
        ):
            if not least <= value < np.inf:
                raise ValueError(f"{name} must be at least {least:g} s, not {value:g}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(name for name, _ in self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features; empty for windows of a signal."""
        return () if self.window else self.names


class RecordingMoments(NamedTuple):
    """Moments of one recording, with the sums of the baselines they are relative to.

    Parameters
    ----------
    names
        Data set, participant, session and trial.
    x
        Features, transformed, not relative to a baseline, shape (n, f); or windows,
        shape (n, channels, samples).
    span
        Number of the labelled span of each moment, shape (n,).
    at
        Tick of each moment, shape (n,).
    settled
        Mask of the moments that share no sample with the baseline, shape (n,).
    baseline
        Number of the baseline of each moment, shape (n,).
    total, seconds
        Sums of each baseline: see `physio.models.baseline.BaselineAccumulator`, shape
        (k, f).
    resting
        Ticks of the baselines, thinned, shape (r,).
    spans
        The labelled spans.
    rate
        Ticks a second (Hz).
    t0
        Time of tick 0 (s, session clock).
    memory
        Longest window of the features (s), and of the trace with its minute of past.
    device
        Names of the devices.
    trace
        Skin conductance around each moment: see `physio.training.learner.Samples`.
    """

    names: tuple[str, str, str, str]
    x: Array
    span: Rows
    at: Rows
    settled: npt.NDArray[np.bool_]
    baseline: Rows
    total: Array
    seconds: Array
    resting: Rows
    spans: tuple[ConditionSpan, ...]
    rate: float
    t0: float
    memory: float
    device: str = ""
    trace: Array | None = None

    @property
    def participant(self) -> str:
        """Code of the participant."""
        return self.names[1]


def moments_of(
    ticks: LabelledTicks, settings: FeatureSettings, usable: Sequence[bool]
) -> RecordingMoments:
    """Return the moments of a recording that a model may learn from.

    A moment lies in a labelled span, after its first ``settle`` s, and after a complete
    baseline. Later than the baseline by the longest window of the features, it shares
    no sample with the baseline, so that it may test a model.

    Parameters
    ----------
    ticks
        Features and labels of the recording.
    settings
        Features, baseline and grid.
    usable
        Mask of the spans that have a label of the target.

    Raises
    ------
    ValueError
        If the recording lacks a feature.
    """
    info = ticks.rows.info
    if lacking := [n for n in settings.names if n not in info.names]:
        given = ", ".join(info.names[:6])
        raise ValueError(
            f"{ticks.name} gives no feature {lacking[0]!r}; it gives {given} ..."
        )
    raw = np.stack([ticks.rows.column(n) for n in settings.names], axis=1)
    x = transform(raw, [scale for _, scale in settings.columns])
    rate = float(info.rate)
    sums, of_tick, resting = _baselines(x, ticks.edges, settings.baseline_seconds, rate)
    memory = _memory(info, settings)
    times, step = ticks.rows.times, max(round(settings.every * rate), 1)
    grid = (np.arange(len(x)) % step == 0) & (of_tick >= 0)
    last = np.full(len(x), -1)
    last[resting] = resting
    settled = np.arange(len(x)) - np.maximum.accumulate(last) > ceil(memory * rate)
    settled |= not len(resting)
    span = np.full(len(x), -1, np.intp)
    for k, (part, ok) in enumerate(zip(ticks.spans, usable, strict=True)):
        begin = part.begin + settings.settle
        inside = (times >= begin) & (times < part.end) & (span < 0)
        span[inside] = k if ok else -1
    at = np.flatnonzero(grid & (span >= 0))
    if settings.window:
        x, at = _windows(raw, at, settings, rate)
        memory += settings.window
    else:
        at = at[~np.isnan(x[at]).all(axis=1)]
        x = x[at]
    return RecordingMoments(
        (ticks.dataset, ticks.participant, ticks.session, ticks.trial),
        x, span[at], at, settled[at], of_tick[at],
        np.array([s.total for s in sums]), np.array([s.seconds for s in sums]),
        resting[:: max(ceil(memory * rate), 1)], ticks.spans, rate,
        float(times[0]) if len(times) else 0.0, memory, ticks.device,
        _trace(ticks.rows, at) if settings.trace else None,
    )  # fmt: skip


def _memory(info: StreamInfo, settings: FeatureSettings) -> float:
    """Return the longest past that a moment reads (s), that of its trace included."""
    memory = max(c.memory for c in info.channels if c.name in settings.names)
    if settings.trace:
        trace = [c.memory for c in info.channels if c.name.startswith(f"{TRACE}.")]
        memory = max(memory, max(trace, default=0.0) + _PAST / _TRACE_RATE)
    return memory


def _trace(rows: Block, at: Rows) -> Array:
    """Return skin conductance from a minute before to 30 s after each tick."""
    names = [n for n in rows.info.names if n.startswith(f"{TRACE}.")]
    if len(names) != 1 or rows.info.rate != _TRACE_RATE:
        raise ValueError(
            f"features.trace needs a chain {TRACE!r} with skin conductance as its only "
            f"column, in the session file of features.session, at {_TRACE_RATE} ticks "
            f"a second; there are {len(names)} columns, at {rows.info.rate}"
        )
    edges = [np.full(n, MissingReason.WARMING_UP.nan) for n in (_PAST - 1, _AHEAD)]
    whole = np.concatenate([edges[0], rows.column(names[0]), edges[1]])
    return whole[at[:, None] + np.arange(_PAST + _AHEAD)]


def window_channels(columns: Columns) -> tuple[str, ...]:
    """Return the channels of the columns of `NewestSamples`, in order."""
    names = (name.split(".", 1)[1].rpartition(".")[0] for name, _ in columns[:-1])
    return tuple(dict.fromkeys(names))


def _windows(
    rows: Array, at: Rows, settings: FeatureSettings, rate: float
) -> tuple[Array, Rows]:
    """Return the windows at some ticks, as a session joins them, and their ticks."""
    channels = window_channels(settings.columns)
    step = (len(settings.columns) - 1) // len(channels)
    samples = round(settings.window * rate * step)
    buffer = WindowBuffer.empty(WindowSpec(channels, rate * step, samples))
    chosen, ticks, wanted = [], [], set(at.tolist())
    for i, row in enumerate(rows):
        buffer.append(row)
        if i in wanted and not isinstance(whole := buffer.whole(), float):
            chosen.append(whole)
            ticks.append(i)
    shape = (len(chosen), len(channels), samples)
    return np.array(chosen).reshape(shape), np.array(ticks, np.intp)


def _baselines(
    x: Array, edges: Array, length: float, rate: float
) -> tuple[list[BaselineAccumulator], Rows, Rows]:
    """Return the complete baselines, that of each tick (-1 for none), and their ticks.

    The sums are those of the live estimator, tick by tick, markers included. Without a
    baseline (``length`` 0) there is one of no duration.
    """
    sums = [BaselineAccumulator.empty(x.shape[1])]
    of_tick = np.full(len(x), -1, np.intp)
    resting: list[int] = []
    over = False
    for i, row in enumerate(x):
        if edges[i] == 1:
            complete = over or sums[-1].past[0] >= length
            if complete and length > 0:
                sums.append(BaselineAccumulator.empty(x.shape[1]))
            else:
                sums[-1].reset()
            over = False
        elif edges[i] == 2:
            over = True
        if sums[-1].past[0] < length and not over:
            sums[-1].add(row, 1 / rate)
            resting.append(i)
        if sums[-1].past[0] >= length or over:
            of_tick[i] = len(sums) - 1
    return sums, of_tick, np.array(resting, np.intp)


def baseline_prior(
    recordings: Sequence[RecordingMoments], every: float
) -> BaselinePrior:
    """Return the distribution of baselines among recordings: see `gaussian.rests`.

    With windows of a signal, it is of no effect. With a single recording, the variance
    between recordings is unknown: it is set to ten times the variance within, so that
    the baseline of the session counts nearly alone.
    """
    if recordings[0].x.ndim > 2:
        ones = np.ones(recordings[0].total.shape[1])
        return BaselinePrior(0 * ones, ones, ones, ones, 0 * ones)
    samples = [
        TrainingSamples(
            r.participant, r.x, np.zeros((len(r.x), 3)), r.span,
            BaselineAccumulator(r.total[0], r.seconds[0], r.seconds[0][:1]), 0,
        )
        for r in recordings if len(r.x)
    ]  # fmt: skip
    if len(samples) > 1:
        return rests(samples, every)
    twin = samples[0]._replace(x=samples[0].x + 0.0)
    prior = rests([samples[0], twin], every)
    between = np.maximum(10 * prior.within, _FLOOR)
    return BaselinePrior(prior.mean, between, prior.within, prior.memory, prior.seconds)


def relative(recording: RecordingMoments, prior: BaselinePrior) -> tuple[Array, Array]:
    """Return features relative to the baseline, and their excess variance, (n, f) each.

    These are the inputs of `physio.models.base.Model.predict` in a session.
    """
    if recording.x.ndim > 2:
        return recording.x, np.zeros((len(recording.x), len(prior.mean)))
    levels = [
        prior.level(total, seconds)
        for total, seconds in zip(recording.total, recording.seconds, strict=True)
    ]
    usual = prior.level(np.zeros(len(prior.mean)), prior.seconds)[1]
    level = np.array([level for level, _ in levels])
    extra = np.array([np.maximum(spread - usual, 0) for _, spread in levels])
    return recording.x - level[recording.baseline], extra[recording.baseline]


def moments_table(
    recordings: Iterable[RecordingMoments], names: Sequence[str]
) -> pd.DataFrame:
    """Return a row for each moment, and for the thinned ticks of the baselines.

    The columns are those of `physio.datasets.feature_table`; samples are ticks. Rows of
    baselines have the segment -1. The column ``moment`` numbers the moments over all
    recordings, -1 for the baselines; ``settled`` marks those that may test.
    """
    parts, count = [], 0
    for recording in recordings:
        part = _rows(recording, names)
        scored = (part["segment"] >= 0).to_numpy()
        number = np.full(len(part), -1)
        number[scored] = count + np.arange(scored.sum())
        count += int(scored.sum())
        parts.append(part.assign(moment=number))
    return pd.concat(parts, ignore_index=True)


def _rows(recording: RecordingMoments, names: Sequence[str]) -> pd.DataFrame:
    at = np.concatenate([recording.resting, recording.at])
    rest = len(recording.resting)
    back = ceil(recording.memory * recording.rate)
    labels = [recording.spans[k].name for k in recording.span]
    x = np.empty((len(at), 0))
    if names:
        x = np.vstack([np.full((rest, len(names)), np.nan), recording.x])
    # A network also learns from the trace after a moment.
    ahead = 0 if recording.trace is None else _AHEAD
    stop = at + 1 + np.where(np.arange(len(at)) < rest, 0, ahead)
    place: dict[str, Any] = {
        **dict(zip(("dataset", "subject", "session", "trial"), recording.names,
                   strict=True)),
        "segment": np.concatenate([np.full(rest, -1), recording.span]),
        LABEL: np.array([""] * rest + labels, object),
        "start_sample": at,
        "end_sample": stop,
        "support_start_sample": np.maximum(at - back, 0),
        "start_s": recording.t0 + at / recording.rate,
        "end_s": recording.t0 + (at + 1) / recording.rate,
        "settled": np.concatenate([np.zeros(rest, np.bool_), recording.settled]),
    }  # fmt: skip
    return pd.DataFrame(x, columns=list(names)).assign(**place)


def shared_columns(
    ticks: Iterable[LabelledTicks], settings: FeatureSettings
) -> Columns:
    """Return the columns that all recordings give, raw, without empty ones.

    With a ``window``, these are the columns of the chain that ends with
    `physio.features.newest_samples.NewestSamples`; of tokens, the differential entropy,
    all bands of one electrode after the other.
    """
    names: list[str] | None = None
    for part in ticks:
        present = [
            n for n, known in zip(part.rows.info.names,
                                  _known(part.rows.data), strict=True)
            if known
        ]  # fmt: skip
        names = present if names is None else [n for n in names if n in present]
    if settings.trace:
        names = [n for n in names or () if not n.startswith(f"{TRACE}.")]
    if settings.form == "tokens":
        names = _tokens(names or ())
    if settings.window:
        ends = [n.rpartition(".")[0] for n in names or () if n.endswith(f".{COUNT}")]
        names = [n for n in names or () if ends and n.startswith(f"{ends[0]}.")]
    return tuple((name, "raw") for name in names or ())


def _tokens(names: Sequence[str]) -> list[str]:
    """Return the tokens of the first chain that has some, electrode by electrode.

    An electrode that lacks a band of the first electrode is left out.
    """
    parts = [m for m in map(TOKEN.fullmatch, names) if m]
    parts = [m for m in parts if m["chain"] == parts[0]["chain"]]
    bands = dict.fromkeys(m["band"] for m in parts)
    electrodes = dict.fromkeys(m["electrode"] for m in parts)
    rows = (
        [f"{parts[0]['chain']}.de.{band}.{electrode}" for band in bands]
        for electrode in electrodes
    )
    return [name for row in rows if set(row) <= set(names) for name in row]


def _known(data: Array) -> list[bool]:
    """Return whether each column has any value."""
    return [bool(np.isfinite(column).any()) for column in data.T]
