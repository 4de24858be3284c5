"""Recordings as other packages have them: pandas frames, MNE's raw objects."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from physio.core.block import Array, Block, Channel
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import STREAM_TIMEOUT, Recording
from physio.view.plots.envelope import runs, whole

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
"""MNE's channel types, and by what units are multiplied to become the type's own."""


@overload
def to_pandas(what: Recording) -> "dict[str, pd.DataFrame]": ...
@overload
def to_pandas(what: Block | Events) -> "pd.DataFrame": ...
def to_pandas(
    what: Recording | Block | Events,
) -> "pd.DataFrame | dict[str, pd.DataFrame]":
    """Return data as pandas frames, with time (s, session clock) for an index.

    Parameters
    ----------
    what
        A recording, a block, or events.

    Returns
    -------
    DataFrame, or dict of DataFrame
        Of a block, one column a channel, and beside each ``<channel>.missing``: in
        words why a value is missing, ``ok`` where it is not; none beside ``.from`` and
        ``.to``. Of events, the ``label`` and what is known of each. Of a recording, a
        frame for each stream by name: samples as they were taken, a row of NaN for each
        that was lost; ``.missing`` beside the columns of computed streams alone. The
        frame's ``attrs`` hold units, rate, origin, and the participant's code.
    """
    if isinstance(what, Block):
        return _reasoned(what.times, what.data, what)
    if isinstance(what, Events):
        return _happenings(what)
    frames = {}
    for name, blocks in what.streams.items():
        times, data = whole(blocks)
        frame = _reasoned if name in ("features", "estimates") else _plain
        frames[name] = frame(times, data, blocks[0])
    return {**frames, **{name: _happenings(e) for name, e in what.events.items()}}


def to_mne(recording: Recording, stream: str | None = None) -> "mne.io.RawArray":
    """Return a regular stream as MNE has it: types, SI units, annotations, montage.

    Parameters
    ----------
    recording
        Where to take it from.
    stream
        Which one; by default the one with EEG channels, or the only one there is.

    Returns
    -------
    mne.io.RawArray
        Sample i lies at ``i / rate`` s after the first one. uV become V and uS become
        S; a channel whose unit is none of its type's in MNE becomes ``misc`` and keeps
        its values. Where electrodes are called as in the 10-20 system or its
        extensions, they get the places of the ``colin27_1005`` montage.

    Raises
    ------
    ValueError
        If there is no such stream, or none that is to be preferred, or it is empty.

    Notes
    -----
    Nothing is made up: a lost sample is NaN, and the time it covers is annotated
    ``BAD_ACQ_SKIP``, which MNE's filters and epochs leave out. Where single channels
    miss values, ``BAD_NAN`` is annotated for these channels; a filter spreads such NaN
    over the channel.

    Labelled events become annotations at the sample that was taken then, whatever the
    clock drifted; those outside of the stream's time are left out, and so are
    declarations of silence. An event lasts 0 s, or until its ``end``, or ``seconds``
    long, where it has such a channel.
    """
    import mne

    name = _chosen(recording, stream)
    times, data = whole(recording.streams[name])
    if not len(times):
        raise ValueError(f"cannot give {name!r} to MNE: it has no samples")
    info = recording.streams[name][0].info
    kinds = [_kind(c) for c in info.channels]
    rate = float(info.rate)
    made = mne.create_info(list(info.names), rate, [kind for kind, _ in kinds])
    values = data.T * np.array([scale for _, scale in kinds])[:, None]
    raw = mne.io.RawArray(values, made, verbose="error")
    if "begin_unix" in recording.metadata:
        unix = float(recording.metadata["begin_unix"]) + times[0] - recording.begin
        raw.set_meas_date(datetime.fromtimestamp(unix, UTC))
    _place(raw)
    told = [*_gaps(data, info.names, rate), *_marked(recording, times, rate)]
    parts = zip(*told, strict=True) if told else ((), (), (), ())
    onsets, lengths, labels, channels = (list(part) for part in parts)
    raw.set_annotations(
        mne.Annotations(onsets, lengths, labels, raw.info["meas_date"], channels)
    )
    return raw


def _plain(times: Array, data: Array, block: Block) -> "pd.DataFrame":
    import pandas as pd

    index = pd.Index(times, name="time")
    frame = pd.DataFrame(data.copy(), index=index, columns=list(block.info.names))
    return _described(frame, block)


def _reasoned(times: Array, data: Array, block: Block) -> "pd.DataFrame":
    import pandas as pd

    columns: dict[str, Any] = {}
    words = pd.Index([reason.words for reason in MissingReason])
    for i, name in enumerate(block.info.names):
        if name.endswith(".missing"):
            continue
        values = np.ascontiguousarray(data[:, i])
        columns[name] = values
        if name.endswith((".window_start", ".window_end")):
            continue
        codes = missing_reason(values)
        if f"{name}.missing" in block.info.names:
            told = np.nan_to_num(data[:, block.info.names.index(f"{name}.missing")])
            codes = np.where(told > 0, told, codes).astype(np.int8)
        columns[f"{name}.missing"] = pd.Categorical.from_codes(codes, words)
    return _described(pd.DataFrame(columns, index=pd.Index(times, name="time")), block)


def _described(frame: "pd.DataFrame", block: Block) -> "pd.DataFrame":
    info = block.info
    frame.attrs = {
        "stream": info.name,
        "rate": float(info.rate),
        "origin": str(info.origin),
        "participant": info.participant,
        "units": {c.name: c.unit for c in info.channels},
    }
    return frame


def _happenings(events: Events) -> "pd.DataFrame":
    import pandas as pd

    labels = list(events.labels) or [""] * len(events)
    columns: dict[str, Any] = {"label": labels}
    for i, name in enumerate(events.info.names):
        columns[name] = events.data[:, i].copy()
    return pd.DataFrame(columns, index=pd.Index(events.times, name="time"))


def _chosen(recording: Recording, stream: str | None) -> str:
    names = list(recording.streams)
    if stream is not None:
        if stream not in names:
            raise ValueError(
                f"there is no regular stream {stream!r}; there is "
                f"{', '.join(names) or 'none at all'}"
            )
        return stream
    eeg = [
        name
        for name, blocks in recording.streams.items()
        if name != "features" and any(c.kind == "eeg" for c in blocks[0].info.channels)
    ]
    wanted = eeg or names
    if len(wanted) != 1:
        raise ValueError(
            "say which stream MNE is to have: there is "
            f"{', '.join(names) or 'none at all'}"
        )
    return wanted[0]


def _kind(channel: Channel) -> tuple[str, float]:
    """Return a channel's type in MNE, and what makes its values SI."""
    units = _MNE.get(channel.kind, {})
    if channel.unit in units:
        return channel.kind, units[channel.unit]
    return ("stim" if channel.kind == "stim" else "misc"), 1.0


def _place(raw: Any) -> None:
    """Put electrodes in their places, if all are called as the standard calls them."""
    import mne

    eeg = [n for n, t in zip(raw.ch_names, raw.get_channel_types(), strict=True)
           if t == "eeg"]  # fmt: skip
    montage = mne.channels.make_standard_montage("colin27_1005")
    known = {name.lower() for name in montage.ch_names}
    if eeg and all(name.lower() in known for name in eeg):
        raw.set_montage(montage, match_case=False, verbose="error")


Told = tuple[float, float, str, tuple[str, ...]]


def _gaps(data: Array, names: tuple[str, ...], rate: float) -> list[Told]:
    missing = np.isnan(data)
    whole_rows = missing.all(axis=1)
    found: list[Told] = [
        (a / rate, (b - a) / rate, "BAD_ACQ_SKIP", ())
        for a, b, _ in runs(whole_rows.astype(float))
    ]
    for i, name in enumerate(names):
        single = (missing[:, i] & ~whole_rows).astype(float)
        found += [
            (a / rate, (b - a) / rate, "BAD_NAN", (name,)) for a, b, _ in runs(single)
        ]
    return found


def _marked(recording: Recording, times: Array, rate: float) -> list[Told]:
    found: list[Told] = []
    for name, events in recording.events.items():
        if name == STREAM_TIMEOUT or not events.labels:
            continue
        for i, label in enumerate(events.labels):
            at, until = float(events.times[i]), _until(events, i)
            if not times[0] <= at <= times[-1]:
                continue
            rows = np.interp([at, min(until, times[-1])], times, np.arange(len(times)))
            onset, end = (rows / rate).tolist()
            found.append((onset, end - onset, label or name, ()))
    return found


def _until(events: Events, i: int) -> float:
    at, names = float(events.times[i]), events.info.names
    if "end" in names:
        return max(at, float(events.data[i, names.index("end")]))
    if "seconds" in names:
        return at + float(events.data[i, names.index("seconds")])
    return at
