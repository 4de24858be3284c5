"""Conversion of recordings to pandas data frames and MNE Raw objects."""

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from physio.core.block import Array, Block, Channel
from physio.core.counted_nouns import counted
from physio.core.event_durations import event_ends
from physio.core.events import Events
from physio.core.missing import MissingReason, has_reason, missing_reason
from physio.core.recording import STREAM_TIMEOUT, Recording
from physio.core.stitch import stitched
from physio.view.plots.envelope import code_runs

if TYPE_CHECKING:
    import mne
    import pandas as pd

_VOLTS: Final = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}
_SIEMENS: Final = {"S": 1.0, "mS": 1e-3, "uS": 1e-6}
_MNE: Final = {
    "eeg": _VOLTS,
    "ecg": _VOLTS,
    "eog": _VOLTS,
    "emg": _VOLTS,
    "gsr": _SIEMENS,
    "temperature": {"degC": 1.0},
    "resp": _VOLTS,
    "bio": _VOLTS,
    "stim": {},
    "misc": {},
}
"""MNE channel types, with the factor of each unit to the type's SI unit."""


@overload
def to_pandas(source: Recording) -> "dict[str, pd.DataFrame]": ...
@overload
def to_pandas(source: Block | Events) -> "pd.DataFrame": ...
def to_pandas(
    source: Recording | Block | Events,
) -> "pd.DataFrame | dict[str, pd.DataFrame]":
    """Convert data to pandas frames, indexed by time (s, session clock).

    Parameters
    ----------
    source
        A recording, a block, or events.

    Returns
    -------
    DataFrame, or dict of DataFrame
        For a block: one column per channel, each followed by ``<channel>.missing``, the
        reason for a missing value in words, or ``ok`` for a present value (not for
        ``.window_start`` and ``.window_end``). For events: ``label`` and one column per
        channel. For a recording: one frame per stream, by name, with the samples as
        recorded, a row of NaN for each lost sample, and ``.missing`` for computed
        streams only. The frame's ``attrs`` hold units, rate, origin, and the
        participant's code.
    """
    if isinstance(source, Block):
        return _frame_with_reasons(source.times, source.data, source)
    if isinstance(source, Events):
        return _event_frame(source)
    frames = {}
    for name, blocks in source.streams.items():
        times, data = stitched(blocks)
        frame = (
            _frame_with_reasons if name in ("features", "estimates") else _sample_frame
        )
        frames[name] = frame(times, data, blocks[0])
    return {**frames, **{name: _event_frame(e) for name, e in source.events.items()}}


def to_mne(recording: Recording, stream: str | None = None) -> "mne.io.RawArray":
    """Convert a regular stream to MNE: channel types, SI units, annotations, montage.

    Parameters
    ----------
    recording
        The recording.
    stream
        Name of the stream; by default the one with EEG channels, or the only one.

    Returns
    -------
    mne.io.RawArray
        Sample i lies at ``i / rate`` s after the first one. uV become V and uS become
        S; a channel whose unit MNE does not know for its type becomes ``misc`` and
        keeps its values. Electrodes with names of the 10-20 system or its extensions
        get the positions of the ``colin27_1005`` montage.

    Raises
    ------
    ValueError
        If there is no such stream, the choice is ambiguous, or the stream is empty.

    Notes
    -----
    Nothing is interpolated: a lost sample is NaN, and its time is annotated
    ``BAD_ACQ_SKIP``, which MNE's filters and epochs exclude. Missing values of single
    channels are annotated ``BAD_NAN`` for these channels; a filter spreads such NaN
    over the channel. Channels of which all samples are marked as bad are in
    ``info["bads"]``.

    Labelled events become annotations at the sample of that time, also under clock
    drift; events outside the stream's time and stream timeouts are excluded. For their
    durations see `physio.core.event_durations.RULE`.
    """
    import mne

    name = _select_stream(recording, stream)
    times, data = stitched(recording.streams[name])
    if not len(times):
        raise ValueError(f"cannot convert {name!r} to MNE: it has no samples")
    info = recording.streams[name][0].info
    kinds = [_mne_type(c) for c in info.channels]
    rate = float(info.rate)
    mne_info = mne.create_info(list(info.names), rate, [kind for kind, _ in kinds])
    values = data.T * np.array([scale for _, scale in kinds])[:, None]
    raw = mne.io.RawArray(values, mne_info, verbose="error")
    if (date := recording.date) is not None:
        offset = timedelta(seconds=float(times[0]) - recording.begin)
        raw.set_meas_date(date.astimezone(UTC) + offset)
    _set_montage(raw)
    raw.info["bads"] = _marked_bad(data, info.names)
    annotations = [
        *_gap_annotations(data, info.names, rate),
        *_event_annotations(recording, times, rate),
    ]
    parts = zip(*annotations, strict=True) if annotations else ((), (), (), ())
    onsets, lengths, labels, channels = (list(part) for part in parts)
    raw.set_annotations(
        mne.Annotations(onsets, lengths, labels, raw.info["meas_date"], channels)
    )
    return raw


def _sample_frame(times: Array, data: Array, block: Block) -> "pd.DataFrame":
    import pandas as pd

    index = pd.Index(times, name="time")
    frame = pd.DataFrame(data.copy(), index=index, columns=list(block.info.names))
    return _with_attrs(frame, block)


def _frame_with_reasons(times: Array, data: Array, block: Block) -> "pd.DataFrame":
    import pandas as pd

    columns: dict[str, Any] = {}
    words = pd.Index([reason.words for reason in MissingReason])
    for i, name in enumerate(block.info.names):
        if name.endswith(".missing"):
            continue
        values = np.ascontiguousarray(data[:, i])
        columns[name] = values
        if not has_reason(name, block.info.names):
            continue
        codes = missing_reason(values)
        if f"{name}.missing" in block.info.names:
            given = np.nan_to_num(data[:, block.info.names.index(f"{name}.missing")])
            codes = np.where(given > 0, given, codes).astype(np.int8)
        columns[f"{name}.missing"] = pd.Categorical.from_codes(codes, words)
    return _with_attrs(pd.DataFrame(columns, index=pd.Index(times, name="time")), block)


def _with_attrs(frame: "pd.DataFrame", block: Block) -> "pd.DataFrame":
    info = block.info
    frame.attrs = {
        "stream": info.name,
        "rate": float(info.rate),
        "origin": str(info.origin),
        "participant": info.participant,
        "units": {c.name: c.unit for c in info.channels},
    }
    return frame


def _event_frame(events: Events) -> "pd.DataFrame":
    import pandas as pd

    labels = list(events.labels) or [""] * len(events)
    columns: dict[str, Any] = {"label": labels}
    for i, name in enumerate(events.info.names):
        columns[name] = events.data[:, i].copy()
    return pd.DataFrame(columns, index=pd.Index(events.times, name="time"))


def _select_stream(recording: Recording, stream: str | None) -> str:
    names = list(recording.streams)
    if stream is not None:
        if stream not in names:
            raise ValueError(
                f"there is no regular stream {stream!r}; the recording has: "
                f"{', '.join(names) or 'none'}"
            )
        return stream
    eeg = [
        name
        for name, blocks in recording.streams.items()
        if name != "features" and any(c.kind == "eeg" for c in blocks[0].info.channels)
    ]
    candidates = eeg or names
    if len(candidates) != 1:
        raise ValueError(
            "name the stream to convert to MNE; the recording has: "
            f"{', '.join(names) or 'none'}"
        )
    return candidates[0]


def _mne_type(channel: Channel) -> tuple[str, float]:
    """Return a channel's MNE type, and the factor to its SI unit."""
    units = _MNE.get(channel.kind, {})
    if channel.unit in units:
        return channel.kind, units[channel.unit]
    return ("stim" if channel.kind == "stim" else "misc"), 1.0


def _set_montage(raw: Any) -> None:
    """Set electrode positions, if all electrodes are in the standard montage."""
    import mne

    from physio.io.montage import MONTAGE, electrodes, known

    eeg = [n for n, t in zip(raw.ch_names, raw.get_channel_types(), strict=True)
           if t == "eeg"]  # fmt: skip
    if not eeg or len(known(eeg)) < len(eeg):
        return
    positions = mne.channels.make_standard_montage(MONTAGE).get_positions()
    at = {name.lower(): point for name, point in positions["ch_pos"].items()}
    points = {n: at[key] for n, key in zip(eeg, electrodes(eeg), strict=True)}
    fiducials = {key: positions[key] for key in ("nasion", "lpa", "rpa", "coord_frame")}
    montage = mne.channels.make_dig_montage(points, **fiducials)
    raw.set_montage(montage, verbose="error")


def _marked_bad(data: Array, names: tuple[str, ...]) -> list[str]:
    """Return the channels of which all samples are marked as bad."""
    marked = (missing_reason(data) == MissingReason.MARKED_BAD).all(axis=0)
    return [name for name, bad in zip(names, marked, strict=True) if bad]


Annotation = tuple[float, float, str, tuple[str, ...]]


def _gap_annotations(
    data: Array, names: tuple[str, ...], rate: float
) -> list[Annotation]:
    missing = np.isnan(data)
    lost_rows = missing.all(axis=1)
    annotations: list[Annotation] = [
        (a / rate, (b - a) / rate, "BAD_ACQ_SKIP", ())
        for a, b, _ in code_runs(lost_rows.astype(float))
    ]
    for i, name in enumerate(names):
        single = (missing[:, i] & ~lost_rows).astype(float)
        annotations += [
            (a / rate, (b - a) / rate, "BAD_NAN", (name,))
            for a, b, _ in code_runs(single)
        ]
    return annotations


def excluded_events(recording: Recording, stream: str) -> str:
    """Return a sentence on events that `to_mne` leaves out for a stream, or ``""``."""
    times, _ = stitched(recording.streams[stream])
    unnamed = outside = 0
    for name, events in recording.events.items():
        if name == STREAM_TIMEOUT:
            continue
        if not events.labels:
            unnamed += len(events)
        else:
            outside += int(
                ((events.times < times[0]) | (events.times > times[-1])).sum()
            )
    parts = [f"{outside} outside its samples"] if outside else []
    parts += [f"{unnamed} without a label"] if unnamed else []
    if not parts:
        return ""
    excluded = counted(outside + unnamed, "event", verb="is")
    return f"{stream}: {excluded} left out: {', '.join(parts)}"


def _event_annotations(
    recording: Recording, times: Array, rate: float
) -> list[Annotation]:
    annotations: list[Annotation] = []
    for name, events in recording.events.items():
        if name == STREAM_TIMEOUT or not events.labels:
            continue
        ends = event_ends(recording, name).tolist()
        pairs = zip(events.labels, events.times.tolist(), ends, strict=True)
        for label, at, until in pairs:
            if not times[0] <= at <= times[-1]:
                continue
            rows = np.interp([at, min(until, times[-1])], times, np.arange(len(times)))
            onset, end = (rows / rate).tolist()
            annotations.append((onset, end - onset, label or name, ()))
    return annotations
