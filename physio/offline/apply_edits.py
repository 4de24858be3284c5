"""Edits by eye applied to a recording, its beats, and its responses of the skin."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.core.counted_nouns import counted
from physio.core.edits import Edit, Edits
from physio.core.recording import Recording
from physio.io.bad_spans import BadSpan, mark_blocks
from physio.offline.whole_heart import BEAT_COLUMNS, GAP, RR_LIMITS
from physio.offline.whole_record import WholeSignal, runs_of
from physio.offline.whole_skin import SCR_COLUMNS

NEAREST_BEAT: Final = 0.05
"""Distance within which a detected beat is that of an edit (s)."""

NEAREST_SCR: Final = 0.5
"""Distance within which a detected onset is that of an edit (s)."""

_PEAK: Final = 5.0  # s after its onset in which a response has its peak
_RECOVERY: Final = 20.0  # s after its peak


class EditedTable(NamedTuple):
    """Beats or responses after edits, and the number of edits without any effect.

    ``deleted``: detected responses that a rater deleted.
    """

    table: pd.DataFrame
    without_effect: int
    deleted: pd.DataFrame = pd.DataFrame()


def mask_recording(recording: Recording, edits: Edits) -> Recording:
    """Return a recording whose samples under bad spans are missing (marked bad)."""
    streams = dict(recording.streams)
    for name in dict.fromkeys(e.stream for e in edits.of_kind("bad")):
        if name not in streams:
            continue
        spans = [
            BadSpan(e.begin, e.end - e.begin, "bad (by eye)", e.channels)
            for e in edits.of_kind("bad")
            if e.stream == name
        ]
        streams |= mark_blocks({name: streams[name]}, spans)
    return Recording(streams, recording.events, recording.timeline, recording.metadata)


def edit_beats(
    beats: pd.DataFrame,
    edits: Edits,
    stream: str,
    channel: str,
    signal: WholeSignal | None = None,
) -> EditedTable:
    """Apply the edits of a channel's beats; the intervals beside them are measured.

    Parameters
    ----------
    beats
        Beats of the channel.
    edits
        Edits on the session clock.
    stream, channel
        Names of the stream and of its channel.
    signal
        The signal, in which no interval reaches over missing samples; None for a stream
        of intervals.

    Notes
    -----
    An edited interval is accepted if it has a length from 0.27 to 2.2 s. Artifacts are
    corrected before edits, so that a rater decides last. A beat within a bad span is
    none.
    """
    mine = [e for e in edits.of_kind("beat") if e.concerns(stream, channel)]
    spans = [e for e in edits.of_kind("bad") if e.concerns(stream, channel)]
    if not (mine or spans):
        return EditedTable(beats, 0)
    times = beats["time"].to_numpy(float)
    rows = [(float(t), i) for i, t in enumerate(times)]  # -1: placed by the rater
    lost = 0
    for edit in mine:
        if not edit.kind.startswith("add"):
            at = _nearest(rows, edit.begin, NEAREST_BEAT)
            if at is None:
                lost += 1
                continue
            del rows[at]
        if not edit.kind.startswith("delete"):
            time = edit.end if edit.kind.startswith("move") else edit.begin
            rows.append((time, -1))
            rows.sort()
    rows = [r for r in rows if not any(s.begin <= r[0] < s.end for s in spans)]
    return EditedTable(_rebuilt(beats, rows, spans, signal, (stream, channel)), lost)


def _rebuilt(
    beats: pd.DataFrame,
    rows: Sequence[tuple[float, int]],
    spans: Sequence[Edit],
    signal: WholeSignal | None,
    names: tuple[str, str],
) -> pd.DataFrame:
    """Return beats at new times, with the intervals that changed measured again."""
    if not rows:
        return beats.iloc[:0]
    times = np.array([t for t, _ in rows])
    origin = np.array([i for _, i in rows])
    placed = origin < 0
    if len(beats):
        frame = beats.iloc[np.maximum(origin, 0)].reset_index(drop=True)
    else:
        frame = pd.DataFrame(dict.fromkeys(BEAT_COLUMNS, np.nan), range(len(rows)))
        is_ecg = signal is not None and signal.channel.kind == "ecg"
        frame["source"] = "ecg" if is_ecg else "ppg"
    frame["time"] = times
    frame["stream"], frame["channel"] = names
    frame.loc[placed, ["confidence", "amplitude"]] = np.nan
    before = np.append(-2, origin[:-1])
    changed = placed | np.append(False, placed[:-1]) | (before != origin - 1)
    changed[0] = changed[0] and origin[0] != 0
    interval = np.diff(times, prepend=np.nan)
    holes = [(s.begin, s.end) for s in spans]
    if signal is not None:
        holes += [
            (float(signal.time[a]), float(signal.time[b - 1]))
            for a, b in runs_of(np.isnan(signal.values))
            if b - a >= GAP * signal.rate
        ]
    else:
        gone = beats["time"][beats["interval"].isna()].to_numpy(float)
        holes += [(float(t) - 1e-6, float(t) - 1e-6) for t in gone[1:]]
    for begin, end in holes:
        after = np.searchsorted(times, begin)
        if 0 < after < len(times) and times[after] >= end:
            interval[after] = np.nan
    rows_changed = np.flatnonzero(changed)
    good = (interval >= RR_LIMITS[0]) & (interval <= RR_LIMITS[1])
    frame.loc[rows_changed, "interval"] = interval[rows_changed]
    frame["accepted"] = np.where(changed, good, frame["accepted"]).astype(bool)
    frame["corrected"] = frame["corrected"].astype(bool) & ~changed
    frame["edited"] = changed & np.isfinite(interval)
    return frame[list(BEAT_COLUMNS)]


def edit_scrs(
    scrs: pd.DataFrame, edits: Edits, stream: str, channel: str, conductance: pd.Series
) -> EditedTable:
    """Apply the edits of a channel's skin conductance responses.

    Parameters
    ----------
    scrs
        Responses of the channel.
    edits
        Edits on the session clock.
    stream, channel
        Names of the stream and of its channel.
    conductance
        Conductance (uS) by time (s).

    Notes
    -----
    The peak of an added response is the greatest conductance in the 5 s after its
    onset, before the next one, and its amplitude is that from trough to peak.
    """
    mine = [e for e in edits.of_kind("scr") if e.concerns(stream, channel)]
    spans = [e for e in edits.of_kind("bad") if e.concerns(stream, channel)]
    if not (mine or spans):
        return EditedTable(scrs, 0)
    rows = [(float(t), i) for i, t in enumerate(scrs["onset"])]
    # placed by the rater: -1 added, -2 - i moved
    lost, deleted = 0, []
    for edit in mine:
        if not edit.kind.startswith("add"):
            at = _nearest(rows, edit.begin, NEAREST_SCR)
            if at is None:
                lost += 1
                continue
            origin = rows.pop(at)[1]
        if edit.kind.startswith("delete"):
            deleted += [origin if origin >= 0 else -2 - origin] if origin != -1 else []
        elif edit.kind.startswith("move"):
            rows.append((edit.end, -2 - origin if origin >= 0 else origin))
        else:
            rows.append((edit.begin, -1))
        rows.sort()
    rows = [r for r in rows if not any(s.begin <= r[0] < s.end for s in spans)]
    at_times = conductance.index.to_numpy(float)
    values = conductance.to_numpy(float)
    gone, parts = scrs.iloc[sorted(deleted)], []
    for k, (onset, origin) in enumerate(rows):
        if origin >= 0:
            parts.append(scrs.iloc[[origin]])
            continue
        following = rows[k + 1][0] if k + 1 < len(rows) else np.inf
        row = _placed_scr(at_times, values, onset, following)
        if row is None:
            lost += 1
            continue
        parts.append(pd.DataFrame([{"stream": stream, "channel": channel, **row}]))
    if not parts:
        return EditedTable(scrs.iloc[:0], lost, gone)
    table = pd.concat(parts, ignore_index=True)[list(SCR_COLUMNS)]
    return EditedTable(table.astype({"edited": bool}), lost, gone)


def _placed_scr(
    time: Array, values: Array, onset: float, following: float
) -> dict[str, float | bool] | None:
    """Return the response that begins at a time; None if the signal is missing."""
    first = int(np.searchsorted(time, onset))
    inside = (time > onset) & (time <= min(onset + _PEAK, following))
    wave = np.where(inside, values, np.nan)
    if first >= len(time) or np.isnan(values[first]) or np.isnan(wave).all():
        return None
    level = float(np.interp(onset, time, values)) if first else float(values[0])
    level = level if np.isfinite(level) else float(values[first])
    top = int(np.nanargmax(wave))
    peak, amplitude = float(time[top]), max(float(values[top]) - level, 0.0)
    later = (time > peak) & (time <= min(peak + _RECOVERY, following))
    fallen = np.flatnonzero(later & (values <= values[top] - amplitude / 2))
    half = float(time[fallen[0]]) - peak if len(fallen) else np.nan
    return {
        "onset": onset, "peak": peak, "amplitude": amplitude,
        "rise_time": peak - onset, "half_recovery_time": half,
        "recovery": peak + half, "baseline": level, "edited": True,
    }  # fmt: skip


def _nearest(
    rows: Sequence[tuple[float, int]], time: float, within: float
) -> int | None:
    """Return the index of the row nearest to a time (s), not farther than that."""
    if not rows:
        return None
    at = min(range(len(rows)), key=lambda k: abs(rows[k][0] - time))
    return at if abs(rows[at][0] - time) <= within else None


def without_effect(number: int, stream: str, thing: str) -> str:
    """Return a sentence on edits for which there is no beat or response; or ""."""
    if not number:
        return ""
    return (
        f"{stream}: {counted(number, 'edit')} without effect: no {thing} is detected "
        "there, or the signal is missing"
    )


def edited_share(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    place: tuple[str, str],
    measure: str,
    span: tuple[float, float],
) -> float:
    """Return the share of a condition's beats or responses that were edited (0 to 1).

    Parameters
    ----------
    tables
        Beats and responses of the analysis, and detected responses that were deleted.
    place
        Stream and channel of the measure.
    measure
        Name of the measure; 0 for those of neither beats nor responses.
    span
        Begin and end (s).
    """
    begin, end = span
    if measure.startswith("scr_"):
        mine, gone = (
            t[(t["onset"] >= begin) & (t["onset"] < end)]
            for t in (_of(tables[1], place), _of(tables[2], place))
        )
        whole = len(mine) + len(gone)
        return (int(mine["edited"].sum()) + len(gone)) / whole if whole else 0.0
    if not measure.startswith(_OF_BEATS):
        return 0.0
    beats = _of(tables[0], place)
    mine = beats[(beats["time"] >= begin) & (beats["time"] < end)]
    return float(mine["edited"].mean()) if len(mine) else 0.0


_OF_BEATS: Final = (
    *("mean_heart_rate", "hrv_", "prv_", "irregular_share", "share_corrected"),
    "derived_breathing_rate",
)


def _of(table: pd.DataFrame, place: tuple[str, str]) -> pd.DataFrame:
    return table[(table["stream"] == place[0]) & (table["channel"] == place[1])]
