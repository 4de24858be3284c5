"""Analysis of a whole recording: beats, responses, signals, conditions, events."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Block, Channel, StreamInfo
from physio.core.edits import Edits
from physio.core.recording import Recording, computed
from physio.datasets.base import ConditionSpan
from physio.offline.apply_edits import (
    EditedTable,
    edit_beats,
    edit_scrs,
    edited_share,
    mask_recording,
    without_effect,
)
from physio.offline.event_responses import event_table
from physio.offline.span_measures import span_table
from physio.offline.whole_eeg import analyze_eeg
from physio.offline.whole_heart import (
    BEAT_COLUMNS,
    analyze_beats,
    analyze_intervals,
    heart_rate_track,
)
from physio.offline.whole_movement import analyze_movement, analyze_temperature
from physio.offline.whole_record import (
    PROVENANCE,
    WholeSignal,
    joined,
    measured_streams,
)
from physio.offline.whole_respiration import analyze_belt, derived_respiration
from physio.offline.whole_skin import SCR_COLUMNS, analyze_skin


class HasSpan(Protocol):
    """Anything with a condition's span: its name, begin and end (s, session clock)."""

    @property
    def name(self) -> str:
        """Name of the condition."""

    @property
    def begin(self) -> float:
        """Begin (s)."""

    @property
    def end(self) -> float:
        """End (s)."""


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of an analysis.

    Parameters
    ----------
    scr_threshold
        Least amplitude of a skin conductance response (uS).
    eeg_range
        Greatest range of an epoch of EEG from 1 to 49 Hz (uV); above it the epoch is an
        artifact.
    min_pairs
        Least number of pairs of successive measured intervals for a heart rate
        variability: per minute of a condition, and in all.
    """

    scr_threshold: float = 0.02
    eeg_range: float = 150.0
    min_pairs: int = 30

    def __post_init__(self) -> None:
        if not (self.scr_threshold > 0 and self.eeg_range > 0 and self.min_pairs > 0):
            raise ValueError(
                "an analysis needs a threshold of responses (uS), a range of EEG (uV) "
                f"and a number of pairs above 0: {self.scr_threshold}, "
                f"{self.eeg_range}, {self.min_pairs}"
            )


@dataclass(frozen=True, eq=False)
class Analysis:
    """Result of `analyze`: tables that depend on the whole recording.

    Parameters
    ----------
    beats
        A row per heart beat: ``time`` (s, session clock), ``stream``, ``channel``,
        ``source`` (``ecg``, ``ppg`` or ``intervals``), ``interval`` (s) before it,
        ``accepted``, ``corrected``, ``confidence``, ``amplitude``, ``edited``.
    scrs
        A row per skin conductance response: ``onset`` (s), ``stream``, ``channel``,
        ``peak`` (s), ``amplitude`` (uS), ``rise_time``, ``half_recovery_time`` (s),
        ``recovery`` (s), ``baseline`` (uS), ``edited``.
    signals
        Tracks by ``<stream>/<channel>``, indexed by time (s); their ``attrs`` hold
        ``kind``, ``stream``, ``channel`` and ``units``.
    begin, end
        Begin and end of the recording (s, session clock).
    settings
        Settings of the analysis.
    notes
        Sentences on what was not analysed, and why.
    metadata
        Properties of the recording: see `Recording`.
    edits
        Edits by eye that were applied; None without any.
    deleted_scrs
        Detected responses that they deleted, columns of ``scrs``.

    Notes
    -----
    Nothing here may train a model that runs live: values depend on later samples. The
    ``attrs`` of every table, and a column ``provenance`` of written ones, state it.
    """

    beats: pd.DataFrame
    scrs: pd.DataFrame
    signals: Mapping[str, pd.DataFrame]
    begin: float
    end: float
    settings: AnalysisSettings
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    edits: Edits | None = None
    deleted_scrs: pd.DataFrame = field(default_factory=lambda: joined((), SCR_COLUMNS))

    def parts_of(self, stream: str, channel: str) -> tuple[str, ...]:
        """Return the channels from which one such as ``acceleration`` is computed."""
        signal = self.signals.get(f"{stream}/{channel}")
        return () if signal is None else tuple(signal.attrs.get("parts", ()))

    def spans(self, conditions: Iterable[HasSpan] = ()) -> pd.DataFrame:
        """Return a row per condition, stream and measure; see `span_table`.

        Without conditions, the whole recording is one, ``"recording"``. Further
        columns are ``edited_share`` of the beats or responses of the condition and
        ``marked_share`` of its time, marked as bad by eye, and the reason of an
        ``exclusion`` by eye.
        """
        chosen = list(conditions) or [ConditionSpan("recording", self.begin, self.end)]
        table = _with_edit_shares(span_table(self, chosen), self)
        return _labelled(table, self.metadata)

    def events(
        self,
        times: npt.ArrayLike,
        window: tuple[float, float] = (1.0, 4.0),
        labels: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Return a row per event: response of the skin and heart; see `event_table`."""
        table = event_table(self, times, window, labels)
        return _labelled(table, self.metadata)


def analyze(
    recording: Recording,
    *,
    settings: AnalysisSettings | None = None,
    edits: Edits | None = None,
    only: Collection[str] = (),
) -> Analysis:
    """Analyse a whole recording at once, both ends included.

    Parameters
    ----------
    recording
        The recording. Of each stream, the first channel of each kind is analysed, all
        electrodes of EEG, and three axes of acceleration; event streams with a channel
        ``interval`` (s) are RR intervals.
    settings
        Settings; by default `AnalysisSettings()`.
    edits
        Edits by eye, on the session clock: bad spans are missing, beats and responses
        as the rater left them.
    only
        Kinds of channels that are analysed, as ``"gsr"``; by default all.

    Returns
    -------
    Analysis
        Beats, skin conductance responses and signals; tables of conditions and events
        are computed from them.

    Raises
    ------
    ValueError
        If no stream can be analysed.

    Notes
    -----
    The analysis is not causal: it is for files, and none of its values is that of a
    live session. Missing samples stay missing, and artifacts are missing: each measure
    comes with its coverage and its share of artifacts.
    """
    chosen = settings or AnalysisSettings()
    result = _Collected([], [], {}, [], edits, [])
    if edits is not None:
        recording = mask_recording(recording, edits)
        result.notes.append(edits.sentence)
    for blocks in measured_streams(recording).values():
        for kind, channels in _by_kind(blocks[0].info).items():
            if only and kind not in only:
                continue
            _analyze_kind(result, kind, blocks, channels, chosen)
    for name, events in recording.events.items():
        if "interval" in events.info.names and len(events) and not computed(name):
            beats = analyze_intervals(events)
            beats = _edited(result, beats, name, "interval")
            if len(beats):
                _add_heart(
                    result, beats, name, "interval", _variability(name, recording)
                )
            elif edits is not None:
                result.notes.append(f"{name}: the edits by eye leave no beat of it")
    if not result.signals:
        names = ", ".join((*recording.streams, *recording.events)) or "nothing"
        reasons = "".join(f"; {note}" for note in result.notes)
        raise ValueError(
            f"no stream of this recording can be analysed ({names}){reasons}"
        )
    result.notes.extend(_remarks(recording))
    ends = [frame.index[-1] for frame in result.signals.values() if len(frame)]
    return Analysis(
        _labelled(_sorted(result.beats, BEAT_COLUMNS), recording.metadata),
        _labelled(_sorted(result.scrs, SCR_COLUMNS), recording.metadata),
        result.signals,
        recording.begin,
        max([recording.end, *ends]),
        chosen,
        tuple(result.notes),
        dict(recording.metadata),
        edits,
        _sorted(result.deleted, SCR_COLUMNS),
    )


def _with_edit_shares(table: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Return a table of conditions with the shares of edits, and exclusions by eye."""
    edits = analysis.edits
    if edits is None:
        return table.assign(edited_share=0.0, marked_share=0.0, exclusion="")
    tables = analysis.beats, analysis.scrs, analysis.deleted_scrs
    columns = ["stream", "channel", "measure", "begin", "end"]
    rows = list(table[columns].itertuples(index=False, name=None))
    return table.assign(
        edited_share=[edited_share(tables, r[:2], r[2], r[3:]) for r in rows],
        marked_share=[
            edits.marked_share(name, channel, a, b, analysis.parts_of(name, channel))
            for name, channel, _, a, b in rows
        ],
        exclusion=[edits.excluded(*r[3:]) for r in rows],
    )


def _remarks(recording: Recording) -> list[str]:
    """Return the warnings of the reader, and a remark on several participants."""
    notes = [w for w in recording.metadata.get("warnings", "").split("; ") if w]
    codes = dict.fromkeys(i.participant for i in recording.infos if i.participant)
    if len(codes) > 1:
        notes.append(
            f"the recording is of {', '.join(codes)}: each stream is analysed, and "
            "events use the first stream of a kind"
        )
    return notes


class _Collected(NamedTuple):
    beats: list[pd.DataFrame]
    scrs: list[pd.DataFrame]
    signals: dict[str, pd.DataFrame]
    notes: list[str]
    edits: Edits | None
    deleted: list[pd.DataFrame]

    def note_edits(self, edited: EditedTable, stream: str, thing: str) -> pd.DataFrame:
        """Return an edited table; note edits without effect."""
        if text := without_effect(edited.without_effect, stream, thing):
            self.notes.append(text)
        return edited.table


_KINDS: Final = {
    "gsr": ("skin", ("uS",), 0.9),
    "ecg": ("heart", ("uV", "mV", "V", "nV", "1", "counts", "%"), 40.0),
    "bio": ("heart", ("uV", "mV", "V", "nV", "1", "counts", "%"), 16.0),
    "resp": ("belt", ("1", "%", "uV", "mV", "V", "nV", "counts"), 1.9),
    "temperature": ("temperature", ("degC",), 0.01),
    "eeg": ("eeg", ("uV",), 16.0),
    "misc": ("movement", ("g",), 0.99),
}
"""Kinds of channels: what is analysed, units, and rate that is exceeded (Hz)."""

_NAMES: Final = {
    "gsr": "skin conductance", "ecg": "an ECG", "bio": "a pulse wave",
    "resp": "breathing", "temperature": "temperature", "eeg": "EEG",
    "misc": "movement",
}  # fmt: skip


_WRISTBANDS: Final = frozenset({"e4", "embraceplus"})
"""Devices whose intervals are those of a pulse wave, also in files without it."""


def _by_kind(info: StreamInfo) -> dict[str, list[Channel]]:
    """Return the channels of a stream by their kind."""
    kinds: dict[str, list[Channel]] = {}
    for channel in info.channels:
        if channel.kind in _KINDS and (channel.kind != "misc" or channel.unit == "g"):
            kinds.setdefault(channel.kind, []).append(channel)
    return kinds


def _analyze_kind(
    result: _Collected,
    kind: str,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    settings: AnalysisSettings,
) -> None:
    """Analyse the channels of a kind in a stream, or note the reason for not."""
    info = blocks[0].info
    task, units, slowest = _KINDS[kind]
    suitable = [c for c in channels if c.unit in units]
    if not suitable:
        given = channels[0].unit if channels[0].unit not in {"", "1"} else "no unit"
        result.notes.append(
            f"{info.name}: {channels[0].name} in {given} is not analysed: "
            f"{_NAMES[kind]} is read in {', '.join(units)}"
        )
        return
    if info.rate <= slowest:
        result.notes.append(
            f"{info.name}: {suitable[0].name} at {float(info.rate):g} Hz is not "
            f"analysed: {_NAMES[kind]} needs more than {slowest:g} Hz"
        )
        return
    if task == "movement" and len(suitable) != 3:
        result.notes.append(
            f"{info.name}: {len(suitable)} axes are not analysed: movement needs three"
        )
        return
    if len(suitable) > 1 and task not in {"eeg", "movement"}:
        rest = ", ".join(c.name for c in suitable[1:])
        result.notes.append(
            f"{info.name}: {rest} not analysed: of {_NAMES[kind]} the first channel "
            f"is, {suitable[0].name}"
        )
    _TASKS[task](result, blocks, suitable, settings)


def _skin(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    settings: AnalysisSettings,
) -> None:
    _, parts, scrs = analyze_skin(blocks, channels[0], settings.scr_threshold)
    if result.edits is not None:
        name, column = blocks[0].info.name, parts["conductance"]
        edited = edit_scrs(scrs, result.edits, name, channels[0].name, column)
        scrs = result.note_edits(edited, name, "SCR")
        result.deleted.append(edited.deleted)
    result.scrs.append(scrs)
    units = dict.fromkeys(("conductance", "scl", "phasic"), "uS") | {"driver": "uS/s"}
    _add(result, parts, "skin", blocks[0].info.name, channels[0].name, units)


def _heart(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    _: AnalysisSettings,
) -> None:
    signal, beats = analyze_beats(blocks, channels[0])
    beats = _edited(result, beats, signal.stream, channels[0].name, signal)
    kind = "hrv" if channels[0].kind == "ecg" else "prv"
    _add_heart(result, beats, signal.stream, channels[0].name, kind, signal)


def _edited(
    result: _Collected,
    beats: pd.DataFrame,
    stream: str,
    channel: str,
    signal: WholeSignal | None = None,
) -> pd.DataFrame:
    """Return beats with the edits by eye, if there are any."""
    if result.edits is None:
        return beats
    edited = edit_beats(beats, result.edits, stream, channel, signal)
    return result.note_edits(edited, stream, "beat")


def _add_heart(
    result: _Collected,
    beats: pd.DataFrame,
    stream: str,
    channel: str,
    variability: str,
    signal: WholeSignal | None = None,
) -> None:
    result.beats.append(beats)
    times = beats["time"].to_numpy(float) if signal is None else signal.time
    track = heart_rate_track(beats, float(times[0]), float(times[-1]))
    breathing = derived_respiration(beats, float(times[0]), float(times[-1]))
    track["respiration_rate"] = breathing.reindex(track.index, method="nearest")
    track["artifact"] = False
    if signal is not None:
        lost = np.isnan(signal.values).astype(float)
        present = np.interp(track.index, signal.time, lost) < 0.5
        track["artifact"] = track["heart_rate"].isna() & present
    units = dict.fromkeys(("heart_rate", "respiration_rate"), "1/min")
    _add(result, track, "heart", stream, channel, units)
    track.attrs["variability"] = variability


def _variability(name: str, recording: Recording) -> str:
    """Return "prv" for intervals of a device that measures a pulse wave, else "hrv"."""
    device = name.partition(".")[0]
    pulse = any(
        c.kind == "bio"
        for info in recording.infos
        if info.name.startswith(f"{device}.")
        for c in info.channels
    )
    return "prv" if pulse or device in _WRISTBANDS else "hrv"


def _belt(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    _: AnalysisSettings,
) -> None:
    signal, track = analyze_belt(blocks, channels[0])
    units = {"breathing": channels[0].unit, "respiration_rate": "1/min"}
    _add(result, track, "belt", signal.stream, channels[0].name, units)


def _temperature(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    _: AnalysisSettings,
) -> None:
    track = analyze_temperature(blocks, channels[0])
    units = {"temperature": "degC"}
    name = blocks[0].info.name
    _add(result, track, "temperature", name, channels[0].name, units)


def _movement(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    _: AnalysisSettings,
) -> None:
    track = analyze_movement(blocks, channels)
    name = blocks[0].info.name
    _add(result, track, "movement", name, "acceleration", {"activity": "g"})
    track.attrs["parts"] = [c.name for c in channels]


def _eeg(
    result: _Collected,
    blocks: Sequence[Block],
    channels: Sequence[Channel],
    settings: AnalysisSettings,
) -> None:
    track = analyze_eeg(blocks, channels, settings.eeg_range)
    units = {c: "uV^2" for c in track.columns if not c.startswith("artifact")}
    _add(result, track, "eeg", blocks[0].info.name, "eeg", units)


_Task = Callable[
    [_Collected, Sequence[Block], Sequence[Channel], AnalysisSettings], None
]
_TASKS: Final[dict[str, _Task]] = {
    "skin": _skin,
    "heart": _heart,
    "belt": _belt,
    "temperature": _temperature,
    "movement": _movement,
    "eeg": _eeg,
}


def _add(
    result: _Collected,
    frame: pd.DataFrame,
    kind: str,
    stream: str,
    channel: str,
    units: Mapping[str, str],
) -> None:
    frame.attrs = {
        "kind": kind,
        "stream": stream,
        "channel": channel,
        "units": dict(units),
        "provenance": PROVENANCE,
    }
    result.signals[f"{stream}/{channel}"] = frame


def _sorted(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of all parts, in the order of the first column."""
    by = columns[0]
    return joined(parts, columns).sort_values(by, kind="stable", ignore_index=True)


def _labelled(table: pd.DataFrame, metadata: Mapping[str, str]) -> pd.DataFrame:
    table.attrs["provenance"] = PROVENANCE
    table.attrs["participant"] = metadata.get("participant", "")
    return table
