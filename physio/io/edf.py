"""EDF, BDF, BrainVision and FIF files, through MNE."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.amplitude import unit_note_by_amplitude
from physio.io.bad_spans import (
    BadSpan,
    bad_notes,
    is_bad,
    mark_blocks,
    mark_samples,
)
from physio.io.brainvision import read_channels, readable_header
from physio.io.channel_kinds import UNITS, ChannelKind, channel_kind
from physio.io.edf_annotations import (
    EdfTimes,
    has_annotations,
    is_discontinuous,
    read_times,
)
from physio.io.edf_header import (
    LARGEST,
    EdfSignal,
    check_size,
    read_signals,
    read_start,
    readable_file,
)
from physio.io.edf_labels import electrode_label, labelled
from physio.io.fif_tags import refuse_cycle
from physio.io.montage import with_references
from physio.io.triggers import has_triggers, read_triggers
from physio.io.units import read_unit, unit_note

if TYPE_CHECKING:
    import mne

LONGEST_SPAN: Final = 60 * 86_400.0
"""Longest time span of the records of an EDF+D file that is read (s)."""

_UNITS: Final = {
    "eeg": ("uV", 1e6),
    "ecg": ("uV", 1e6),
    "eog": ("uV", 1e6),
    "emg": ("uV", 1e6),
    "bio": ("uV", 1e6),
    "resp": ("uV", 1e6),
    "gsr": ("uS", 1e6),
    "temperature": ("degC", 1.0),
    "stim": ("1", 1.0),
    "misc": ("1", 1.0),
}
"""Unit in this package for each of MNE's types, and the factor from SI units."""

_FIF_UNITS: Final = {3: "s", 6: "mol", 7: "rad", 101: "Hz", 107: "V", 110: "S",
                     112: "T", 114: "degC", 201: "T/m"}  # fmt: skip
"""Units by their numbers in FIF, as in ``mne.io.constants.FIFF``."""

_BRAINVISION: Final = {"mV": 1e-3, "nV": 1e-9, **dict.fromkeys(
    ("uV", "\N{MICRO SIGN}V", "uS", "\N{MICRO SIGN}S"), 1e-6
)}  # fmt: skip
"""Factors by which MNE multiplies values of BrainVision, where not 1."""

_INVERSE: Final = {1e-3: 1e3, 1e-6: 1e6, 1e-9: 1e9}


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a file of EEG and other signals.

    One stream for each kind of channel: ``eeg.eeg``, ``eeg.ecg`` ... (uV), ``eeg.stim``
    (no unit); events ``eeg.annotations`` with the ``seconds`` that each lasts, and
    ``eeg.triggers`` of trigger channels and status words. Second 0 of the session clock
    is the first sample.

    Parameters
    ----------
    path
        The file: ``.edf``, ``.bdf``, ``.vhdr`` (with ``.eeg`` and ``.vmrk`` beside it)
        or ``.fif``.
    participant
        Code of the participant; the identification in the file itself is left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or its header declares more than it contains.

    Notes
    -----
    The sizes in an EDF or BDF header are compared with the file before anything is
    read. Labels such as ``EEG Fp1`` and ``ECG ECG`` determine the kind if MNE declares
    all channels EEG, and become ``Fp1`` and ``ECG``; a repeated label becomes ``F1-0``
    and ``F1-1``. Labels and units of EDF and BDF also distinguish skin conductance,
    pulse, breathing, temperature and helper columns from electrodes. The unit of each
    channel is that of the header. If the unit is missing or unknown, the values are not
    scaled and ``metadata["warnings"]`` names the channels. Channels of one kind with
    different rates form separate streams, ``eeg.misc`` and ``eeg.misc2``.

    Channels and spans that the file marks as bad are missing (reason: marked bad), as
    are 0.1 s after a boundary between joined recordings, so that filters start again;
    ``metadata["warnings"]`` lists them. Samples under ``BAD_ACQ_SKIP`` were lost.
    """
    path = existing_file(path)
    usable: AbstractContextManager[tuple[Path, list[str]]] = nullcontext((path, []))
    is_edf = path.suffix.lower() in (".edf", ".bdf")
    if is_edf:
        check_size(path)
        usable = readable_file(path)
    import mne

    if path.suffix.lower() == ".vhdr":
        usable = readable_header(path)
    try:
        with usable as (header, notes), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on headers; they are checked here
            if path.name.lower().endswith((".fif", ".fif.gz")):
                refuse_cycle(path)
            if is_edf and not read_signals(path):
                return _annotations_only(path, participant)
            raw = mne.io.read_raw(header, preload=False, verbose="error")
            if is_edf:
                recording = _read_edf(raw, path, header, participant)
            else:
                recording = _recording(_loaded(raw), "eeg", participant, path)
                recording = with_triggers(recording, "eeg")
    except Exception as error:  # MNE raises the errors of its parsers unchanged
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path} cannot be read: {text}") from None
    about = {**recording.metadata, "source": f"{path.suffix.lstrip('.').upper()} file"}
    if messages := [*notes, *filter(None, [about.get("warnings")])]:
        about["warnings"] = "; ".join(messages)
    return Recording(recording.streams, recording.events, (), about)


def _read_edf(
    raw: "mne.io.BaseRaw", path: Path, header: Path, participant: str
) -> Recording:
    """Return an EDF or BDF file: its signals through MNE, its times by its records."""
    parts = [
        _recording(part, "eeg", participant, path, signals)
        for part, signals in _by_rate(raw, path, header)
    ]
    recording = _merged(parts)
    start, note = read_start(path)
    about = dict(recording.metadata)
    about.pop("begin_unix", None)
    notes = [about.pop("warnings", ""), note]
    streams, events = recording.streams, dict(recording.events)
    if has_annotations(path):
        times = read_times(path)
        if is_discontinuous(path):
            streams = _with_gaps(streams, times)
        begin = times.onsets[0] if times.onsets else 0.0
        start = None if start is None else start + begin
        until = max((b[-1].complete_until for b in streams.values()), default=0.0)
        annotations = _annotations(times, "eeg.annotations", participant, until)
        events[annotations.info.name] = annotations
        spans = [
            BadSpan(a.onset - begin, a.seconds, a.text, _channels_of(a.channel))
            for a in times.annotations
            if is_bad(a.text, a.onset - begin)
        ]
        streams = mark_blocks(streams, spans)
        notes += bad_notes(spans, (), "eeg")
    if start is not None:
        about["begin_unix"] = repr(start)
    if text := "; ".join(filter(None, notes)):
        about["warnings"] = text
    return with_triggers(Recording(streams, events, (), about), "eeg")


def _channels_of(label: str) -> tuple[str, ...]:
    """Return the names that the channel of an EDF label may have."""
    return tuple({label, electrode_label(label)}) if label else ()


def with_triggers(recording: Recording, device: str) -> Recording:
    """Return a recording with the codes of its trigger channels as events."""
    events, notes = dict(recording.events), [recording.metadata.get("warnings", "")]
    with_codes = [b for b in recording.streams.values() if has_triggers(b[0].info)]
    for i, blocks in enumerate(with_codes):
        name = f"{device}.triggers{i + 1 if i else ''}"
        events[name], messages = read_triggers(blocks, name)
        notes += messages
    about = dict(recording.metadata)
    if text := "; ".join(filter(None, notes)):
        about["warnings"] = text
    return Recording(recording.streams, events, (), about)


def _by_rate(
    raw: "mne.io.BaseRaw", path: Path, header: Path
) -> Iterator[tuple["mne.io.BaseRaw", Sequence[EdfSignal]]]:
    """Yield the channels of each rate, highest rate first, with their EDF headers.

    MNE resamples channels that are read together to the highest rate. ``header`` is
    the file that MNE reads: see `readable_file`.
    """
    import mne

    signals = read_signals(path)
    names = list(raw.ch_names)
    rates = {s.samples for s in signals if not s.empty} or {0}
    if len(rates) == 1 or len(signals) != len(names):
        yield _loaded(raw), signals
        return
    pairs = list(zip(names, signals, strict=True))
    for rate in sorted(rates, reverse=True):
        part = [(n, s) for n, s in pairs if s.samples == rate]
        read_raw = mne.io.read_raw_bdf if "BDF" in type(raw).__name__ else None
        chosen = (read_raw or mne.io.read_raw_edf)(
            header,
            include=[name for name, _ in part],
            exclude_after_unique=True,
            verbose="error",
        )
        if chosen.ch_names != [name for name, _ in part]:
            raise ValueError("its signals of different rates cannot be told apart")
        yield _loaded(chosen), [signal for _, signal in part]


def _loaded(raw: "mne.io.BaseRaw") -> "mne.io.BaseRaw":
    if raw.n_times * len(raw.ch_names) > LARGEST:
        raise ValueError(f"it makes more than {LARGEST} samples; cut it first")
    return raw.load_data(verbose="error")


def _merged(recordings: Sequence[Recording]) -> Recording:
    """Return simultaneous recordings as one, with the events of the first."""
    streams: dict[str, tuple[Block, ...]] = {}
    for recording in recordings:
        for name, blocks in recording.streams.items():
            free, number = name, 1
            while free in streams:
                number += 1
                free = f"{name}{number}"
            streams[free] = tuple(
                replace(block, info=replace(block.info, name=free)) for block in blocks
            )
    notes = [r.metadata["warnings"] for r in recordings if "warnings" in r.metadata]
    about = {**recordings[0].metadata}
    if notes:
        about["warnings"] = "; ".join(notes)
    return Recording(streams, recordings[0].events, (), about)


def _annotations_only(path: Path, participant: str) -> Recording:
    """Return the events of a file without signals, such as a sleep scoring."""
    events = _annotations(read_times(path), "eeg.annotations", participant, 0.0)
    about = {"source": f"{path.suffix.lstrip('.').upper()} file"}
    return Recording({}, {events.info.name: events}, (), about)


def _with_gaps(
    streams: Mapping[str, tuple[Block, ...]], times: EdfTimes
) -> dict[str, tuple[Block, ...]]:
    """Return the samples of EDF+D, placed at the times of their records.

    Second 0 is the first sample, as in files without gaps.
    """
    onsets = np.array(times.onsets) - (times.onsets[0] if times.onsets else 0.0)
    if (np.diff(onsets) < times.seconds - 1e-6).any():
        raise ValueError("its records go back in time")
    if len(onsets) and not onsets[-1] < LONGEST_SPAN:
        raise ValueError(f"its last record begins {onsets[-1]:g} s after the first")
    breaks = np.flatnonzero(np.diff(onsets) > times.seconds + 1e-6) + 1
    placed = {}
    for name, (block,) in streams.items():
        rate = float(block.info.rate)
        edges = [0, *(round(int(r) * times.seconds * rate) for r in breaks), len(block)]
        starts = [0, *(round(float(onsets[r]) * rate) for r in breaks)]
        placed[name] = tuple(
            Block(block.info, start, 0.0, np.ascontiguousarray(block.data[a:b]))
            for start, a, b in zip(starts, edges[:-1], edges[1:], strict=True)
        )
    return placed


def _annotations(times: EdfTimes, name: str, participant: str, until: float) -> Events:
    """Return the annotations of EDF+; second 0 is the begin of the first record."""
    first = times.onsets[0] if times.onsets else 0.0
    info = event_stream(name, Channel("seconds", "misc", "s"))
    info = replace(info, participant=participant)
    onsets = np.array([a.onset - first for a in times.annotations])
    lengths = np.array([[a.seconds] for a in times.annotations]).reshape(-1, 1)
    until = max([until, *onsets.tolist()])
    return Events(
        info, until, onsets, lengths, tuple(a.text for a in times.annotations)
    )


def from_mne(
    raw: "mne.io.BaseRaw", *, device: str = "eeg", participant: str = ""
) -> Recording:
    """Return MNE's raw data as a recording: the inverse of `physio.to_mne`.

    Parameters
    ----------
    raw
        Continuous data.
    device
        First part of the streams' names: ``<device>.<kind>``, one for each kind.
    participant
        Code of the participant.

    Returns
    -------
    Recording
        V become uV, and S become uS. Annotations become events ``<device>.annotations``
        (with a channel ``seconds``), and codes of trigger channels events
        ``<device>.triggers``. Samples that `physio.to_mne` annotated as missing become
        NaN again; bad channels and spans are missing (reason: marked bad).
        ``about["begin_unix"]`` is the date of measurement, if there is one.
    """
    file = raw.filenames[0] if raw.filenames else None
    recording = _recording(raw, device, participant, Path(file) if file else None)
    return with_triggers(recording, device)


def _recording(
    raw: "mne.io.BaseRaw",
    device: str,
    participant: str,
    path: Path | None,
    signals: Sequence[EdfSignal] = (),
) -> Recording:
    """Return MNE's raw data; the header of the file, if given, states the units."""
    rate = Fraction(raw.info["sfreq"]).limit_denominator(10_000)
    data = np.array(raw.get_data().T, order="C")
    kinds: dict[str, list[int]] = {}
    stated = _stated(raw, path, signals)
    channels, notes = _channels(raw, device, stated)
    for i, (channel, scale) in enumerate(channels):
        data[:, i] *= scale
        if channel is not None:
            kinds.setdefault(channel.kind, []).append(i)
    if not signals:  # else the records of the file have their own times
        notes += _mark(raw, data, [channel for channel, _ in channels], device)
    notes.append(_amplitude_note(raw, data, channels, stated, f"{device}.eeg"))
    notes = list(filter(None, notes))
    streams: dict[str, tuple[Block, ...]] = {}
    for kind, columns in kinds.items():
        selected = tuple(c for i in columns if (c := channels[i][0]) is not None)
        if len({c.name for c in selected}) < len(
            selected
        ):  # "EEG A" and "A" keep their labels
            selected = tuple(
                replace(c, name=raw.ch_names[i])
                for i, c in zip(columns, selected, strict=True)
            )
        info = StreamInfo(f"{device}.{kind}", rate, selected, participant=participant)
        info = with_references(info)
        streams[info.name] = (
            Block(info, 0, 0.0, np.ascontiguousarray(data[:, columns])),
        )
    about = {
        "source": "MNE",
        "begin": "0.0",
        **({"participant": participant} if participant else {}),
        **({"warnings": "; ".join(notes)} if notes else {}),
    }
    if raw.info["meas_date"] is not None:
        begin = raw.info["meas_date"].timestamp() + raw.first_time
        about["begin_unix"] = repr(begin)
    events = _events(raw, f"{device}.annotations", participant)
    return Recording(streams, {events.info.name: events}, (), about)


def _amplitude_note(
    raw: "mne.io.BaseRaw",
    data: Array,
    channels: Sequence[tuple[Channel | None, float]],
    stated: Mapping[str, "_Stated"],
    stream: str,
) -> str:
    """Return a sentence on the unit of EEG without one, by its amplitude."""
    columns = [
        (i, channel.name)
        for i, (name, (channel, _)) in enumerate(
            zip(raw.ch_names, channels, strict=True)
        )
        if channel is not None and channel.kind == "eeg" and name in stated
        if read_unit(stated[name].unit, "uV").assumed and not stated[name].microvolts
    ]
    names = [name for _, name in columns]
    samples = data[:, [i for i, _ in columns]]
    return unit_note_by_amplitude(stream, names, samples, raw.info["sfreq"], "1")


class _Stated(NamedTuple):
    """Header of a channel, and the factor from MNE's values to its unit.

    ``microvolts`` is True if the format implies microvolts for an omitted unit.
    """

    unit: str
    scale: float
    empty: bool = False
    microvolts: bool = False
    reference: str = ""


def _channels(
    raw: "mne.io.BaseRaw", device: str, stated: Mapping[str, _Stated]
) -> tuple[list[tuple[Channel | None, float]], list[str]]:
    """Return each channel with the factor of MNE's values, and notes on units.

    An EDF signal with an empty range, such as ``-`` in CHB-MIT, is None.
    """
    channels: list[tuple[Channel | None, float]] = []
    units: dict[tuple[str, str, str, bool], list[str]] = {}
    unused = []
    for name, mne_kind in zip(raw.ch_names, raw.get_channel_types(), strict=True):
        label, declared = labelled(name.replace("\0", " ").strip() or name, mne_kind)
        if name not in stated:
            code = int(raw.info["chs"][raw.ch_names.index(name)]["unit"])
            channels.append(_fif_channel(label, declared, _FIF_UNITS.get(code, "1")))
            continue
        header = stated[name]
        if header.empty and mne_kind != "stim":
            channels.append((None, 1.0))
            unused.append(name)
            continue
        kind, usual = _kind(label, header.unit, declared, mne_kind)
        unit, factor, assumed = read_unit(header.unit, usual)
        if (assumed and not header.microvolts) or kind == "stim":
            unit = "1"
        channel = Channel(label, kind, unit)
        if kind == "eeg":
            channel = replace(channel, reference=header.reference)
        channels.append((channel, header.scale * factor))
        key = (kind, header.unit, usual, header.microvolts)
        units.setdefault(key, []).append(label)
    notes = list(filter(None, (_unit_note(device, k, n) for k, n in units.items())))
    if unused:
        notes.append(
            f"left out, as the header gives them an empty range: {', '.join(unused)}"
        )
    return channels, notes


def _fif_channel(label: str, declared: str, unit: str) -> tuple[Channel, float]:
    """Return a channel of MNE's types and units, and the factor of its values.

    Types other than EEG are declared in FIF; MNE gives EEG to channels of other files
    without a type, so that labels also tell.
    """
    kind = declared if declared in _UNITS else "misc"
    if kind == "eeg":
        kind = channel_kind(label, "V", default=ChannelKind("eeg", "uV")).kind
    usual, factor = _UNITS[kind]
    if kind == "misc" or (declared == "eeg" and usual not in ("uV", "1")):
        usual, factor = unit, 1.0
    return Channel(label, kind, usual), factor


def _unit_note(
    device: str, key: tuple[str, str, str, bool], names: Sequence[str]
) -> str:
    """Return a sentence on a unit that is missing or unknown, else an empty text."""
    kind, text, usual, microvolts = key
    if read_unit(text, usual).assumed and not microvolts:
        return (
            f"{device}.{kind} states no unit for {', '.join(names[:8])}: values stay "
            f"as they are (if they are {usual}, state it in the header or in a table "
            "[channels])"
        )
    return unit_note(f"{device}.{kind}", text, usual, names)


def _kind(label: str, unit: str, declared: str, mne_kind: str) -> ChannelKind:
    """Return kind and usual unit of a channel; MNE's kind is a default if it is EEG.

    MNE assigns ``misc`` to BrainVision channels whose unit it does not know, although
    the format declares no kinds.
    """
    if mne_kind in ("eeg", "misc"):
        declared = "" if declared == mne_kind else declared
        return channel_kind(label, unit, declared, ChannelKind("eeg", "uV"))
    kind = declared if declared in _UNITS else "misc"
    return ChannelKind(kind, UNITS.get(kind, "1"))


def _stated(
    raw: "mne.io.BaseRaw", path: Path | None, signals: Sequence[EdfSignal]
) -> dict[str, _Stated]:
    """Return the description of each channel in an EDF, BDF or BrainVision header.

    MNE interprets values with an unknown unit as volts.
    """
    if path is None or not path.is_file():
        return {}
    kind, suffix = type(raw).__name__, path.suffix.lower()
    if kind in ("RawEDF", "RawBDF") and suffix in (".edf", ".bdf"):
        extras = raw._raw_extras[0]  # noqa: SLF001 - the factors of MNE's values
        names = [str(name) for name in extras["ch_names"]]
        headers = [
            _Stated(signal.unit, _INVERSE.get(float(factor), 1.0), signal.empty)
            for signal, factor in zip(
                signals or read_signals(path), extras["units"], strict=False
            )
        ]
    elif kind == "RawBrainVision":
        path = path.with_suffix(".vhdr")
        infos = read_channels(path) if path.is_file() else ()
        names = [info.name for info in infos]
        headers = [
            _Stated(
                info.unit,
                _INVERSE.get(_BRAINVISION.get(info.unit or "uV", 1.0), 1.0),
                microvolts=bool(info.resolution),
                reference=info.reference,
            )
            for info in infos
        ]
    else:
        return {}
    if len(headers) != len(names):
        return {}
    if len(raw.ch_names) == len(names):  # also if some were renamed
        names = list(raw.ch_names)
    return dict(zip(names, headers, strict=True))


def _events(raw: "mne.io.BaseRaw", name: str, participant: str) -> Events:
    """Return all annotations except those for missing samples, on the session clock."""
    rows = [
        (float(a["onset"]) - _first(raw), float(a["duration"]), str(a["description"]))
        for a in raw.annotations
        if a["description"] not in ("BAD_ACQ_SKIP", "BAD_NAN")
    ]
    rows.sort(key=lambda row: row[0])
    end = (raw.n_times - 1) / float(raw.info["sfreq"])
    info = event_stream(name, Channel("seconds", "misc", "s"))
    info = StreamInfo(name, info.rate, info.channels, participant=participant)
    times = np.array([at for at, _, _ in rows])
    lengths = np.array([[s] for _, s, _ in rows]).reshape(-1, 1)
    until = max(end, float(times[-1])) if rows else end
    return Events(info, until, times, lengths, tuple(label for *_, label in rows))


def _first(raw: "mne.io.BaseRaw") -> float:
    """Return the origin of annotations (s): the first sample, or the file's clock."""
    return 0.0 if raw.annotations.orig_time is None else float(raw.first_time)


def _mark(
    raw: "mne.io.BaseRaw", data: Array, channels: Sequence[Channel | None], device: str
) -> list[str]:
    """Mark bad channels and spans as missing, in place; return notes on them."""
    names = dict(zip(raw.ch_names, channels, strict=True))
    spans = []
    for a in raw.annotations:
        onset, text = float(a["onset"]) - _first(raw), str(a["description"])
        if is_bad(text, onset):
            about = tuple(c.name for n in a.get("ch_names", ()) if (c := names.get(n)))
            spans.append(BadSpan(onset, float(a["duration"]), text, about))
    mark_samples(data, channels, spans, float(raw.info["sfreq"]))
    bad = tuple(c.name for n in raw.info["bads"] if (c := names.get(n)))
    whole = BadSpan(0.0, len(data) / float(raw.info["sfreq"]), "bads", bad)
    if bad:
        mark_samples(data, channels, [whole], float(raw.info["sfreq"]))
    return bad_notes(spans, bad, device)
