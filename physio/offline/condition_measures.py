"""Measures of conditions: of the whole record, of live features, of estimates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block
from physio.core.edits import Edits
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import (
    BASELINE_START,
    CALIBRATION,
    Recording,
    base_name,
    baseline_marker,
    computed,
)
from physio.datasets.base import ConditionSpan
from physio.offline.analysis import Analysis, AnalysisSettings, analyze
from physio.offline.compute import computed_blocks
from physio.offline.condition_baseline import BaselineSpan
from physio.offline.exclusions import HEART
from physio.offline.whole_record import PROVENANCE
from physio.online.personal_calibration import baseline_markers, with_baseline
from physio.online.session_config import SessionConfig, recorded

FEATURES: Final = "live features, causal"
ESTIMATES: Final = "live estimates, causal"

COLUMNS: Final = (
    *("span", "measure", "source", "analysis", "value", "value_without_edits"),
    *("unit", "n", "n_of", "coverage", "artifact_share", "corrected_share"),
    *("edited_share", "marked_share", "respiration_rate", "since_worn_s"),
    *("reason", "excluded_by_eye"),
)
_COUNTED: Final = {
    "scr": "responses",
    "breathing_rate": "breaths",
    "hrv": "beats", "prv": "beats", "mean_heart_rate": "beats",
    "irregular_share": "pairs of beats", "share_corrected": "beats",
    "eeg": "epochs", "frontal": "epochs",
}  # fmt: skip
_BREATHING: Final = ("breathing_rate", "derived_breathing_rate")
_UNWORN: Final = 30.0  # s without skin at the begin of a stream that was put on later


@dataclass(frozen=True)
class MeasureSettings:
    """Choice of the measures of each condition.

    Parameters
    ----------
    scr_threshold
        Least amplitude of a skin conductance response (uS).
    event_window
        Time after an event in which the onset of its response lies (s).
    live_features
        Whether the features of the live chains are measured too.
    estimates
        Whether valence, arousal and dominance are measured, where weights fit.
    """

    scr_threshold: float = 0.02
    event_window: tuple[float, float] = (1.0, 4.0)
    live_features: bool = False
    estimates: bool = True

    def __post_init__(self) -> None:
        begin, end = self.event_window
        if not 0 <= begin < end:
            raise ValueError(
                f"the window of a response is BEGIN END after its event (s), not "
                f"{begin:g} to {end:g}"
            )


@dataclass(frozen=True, eq=False)
class Measures:
    """Results of a recording, from which measures of conditions are taken.

    Parameters
    ----------
    recording
        The recording.
    analysis
        Analysis of the whole record; None if it has no signal for one.
    blocks
        Live features and estimates by the label of their analysis.
    settings
        Settings.
    notes
        Sentences on what was not measured.
    edits
        Edits by eye of the analysis; None without any.
    unedited
        Analysis without them.
    """

    recording: Recording
    analysis: Analysis | None
    blocks: dict[str, Block]
    settings: MeasureSettings
    notes: tuple[str, ...] = ()
    edits: Edits | None = None
    unedited: Analysis | None = None

    @classmethod
    def of(
        cls,
        recording: Recording,
        settings: MeasureSettings,
        baselines: Sequence[BaselineSpan] = (),
        edits: Edits | None = None,
    ) -> "Measures":
        """Analyse a recording.

        Parameters
        ----------
        recording
            The recording.
        settings
            What is measured.
        baselines
            Baseline of the estimates; without one, and without a baseline in the
            recording, there are no estimates.
        edits
            Edits by eye; live features and estimates are computed without them.

        Raises
        ------
        ValueError
            If nothing can be measured.
        """
        notes: list[str] = []
        analysis = unedited = None
        chosen = AnalysisSettings(settings.scr_threshold)
        try:
            analysis = analyze(recording, settings=chosen, edits=edits)
            notes += analysis.notes
            if edits is not None:
                unedited = analyze(recording, settings=chosen)
        except ValueError as error:
            if not (settings.live_features or settings.estimates):
                raise
            notes.append(str(error))
        blocks = _live(recording, settings, baselines, notes)
        if analysis is None and not blocks:
            raise ValueError("; ".join(notes))
        return cls(recording, analysis, blocks, settings, tuple(notes), edits, unedited)

    def spans(self, conditions: Sequence[ConditionSpan]) -> pd.DataFrame:
        """Return a row per condition and measure, columns of `COLUMNS`.

        ``span`` is the index of the condition.
        """
        parts = []
        for index, condition in enumerate(conditions):
            if self.analysis is not None:
                rows = _whole_record_rows(self.analysis, condition)
                if self.unedited is not None:
                    other = _whole_record_rows(self.unedited, condition)
                    rows = _beside(rows, other)
                parts.append(rows.assign(span=index))
            for label, block in self.blocks.items():
                rows = _block_rows(block, label, condition)
                parts.append(rows.assign(span=index))
        filled = [part for part in parts if len(part)]
        if not filled:
            return pd.DataFrame(columns=list(COLUMNS))
        table = pd.concat(filled, ignore_index=True).reindex(columns=list(COLUMNS))
        excluded = [self._excluded(c) for c in conditions]
        table["excluded_by_eye"] = [excluded[i] for i in table["span"]]
        return table

    def _excluded(self, condition: ConditionSpan) -> str:
        if self.edits is None:
            return ""
        return self.edits.excluded(condition.begin, condition.end)

    def events(self, prefixes: Sequence[str]) -> pd.DataFrame:
        """Return a row per marker whose label begins with one of some prefixes.

        Columns as of `physio.offline.event_responses.event_table`, with the settings
        ``scr_threshold_uS``, ``window_begin_s`` and ``window_end_s``, and
        ``latency_resolution_s``.
        """
        if self.analysis is None:
            return pd.DataFrame()
        rows = sorted(_markers(self.recording, tuple(prefixes)))
        if not rows:
            return pd.DataFrame()
        times = [t for t, _ in rows]
        window = self.settings.event_window
        frame = self.analysis.events(times, window, [text for _, text in rows])
        frame["time"] = frame["time"] - self.recording.begin
        frame["scr_threshold_uS"] = self.settings.scr_threshold
        frame["window_begin_s"], frame["window_end_s"] = window
        frame["latency_resolution_s"] = _resolution(self.analysis)
        return frame.assign(analysis=PROVENANCE)


def _live(
    recording: Recording,
    settings: MeasureSettings,
    baselines: Sequence[BaselineSpan],
    notes: list[str],
) -> dict[str, Block]:
    """Return the live features and estimates that are asked for."""
    marked = has_baseline(recording)
    if settings.estimates and not (baselines or marked):
        notes.append(
            "no estimates: no baseline was chosen for them; --baseline names it"
        )
    wants_estimates = settings.estimates and bool(baselines or marked)
    if not (wants_estimates or settings.live_features):
        return {}
    file = recorded(recording) or SessionConfig()
    try:
        plan = file.plan(recording.inputs)
        events: list[Events] = []
        for b in baselines:
            plan = with_baseline(plan, b.end - b.begin)
            events += baseline_markers(b.begin, b.end)
        blocks = computed_blocks(recording, plan, events)
    except ValueError as error:
        notes.append(f"no live features: {error}")
        return {}
    chosen = {}
    if settings.live_features and "features" in blocks:
        chosen[FEATURES] = blocks["features"]
    estimates = blocks.get("estimates")
    if wants_estimates and estimates is not None:
        columns = [d for d in DIMENSIONS if d in estimates.info.names]
        if any(np.isfinite(estimates.column(d)).any() for d in columns):
            chosen[ESTIMATES] = estimates
        else:
            notes.append("no estimates: no weights fit, or they have no value")
    return chosen


def has_baseline(recording: Recording) -> bool:
    """Return whether a recording marks a baseline, or begins with a calibration."""
    for name, events in recording.events.items():
        if base_name(name) == CALIBRATION and len(events):
            return True
        if any(baseline_marker(label) == BASELINE_START for label in events.labels):
            return True
    return False


def _whole_record_rows(analysis: Analysis, condition: ConditionSpan) -> pd.DataFrame:
    frame = analysis.spans([condition])
    is_eeg = frame["measure"].str.startswith(("eeg_", "frontal_"))
    source = frame["stream"] + "/" + frame["channel"]
    measure = frame["measure"].where(~is_eeg, frame["measure"] + "." + frame["channel"])
    corrected = frame[frame["measure"] == "share_corrected"].set_index("stream")
    breaths = [frame[frame["measure"] == name]["value"].dropna() for name in _BREATHING]
    breathing = [float(v.iloc[0]) for v in breaths if len(v)]
    is_heart = frame["measure"].str.startswith(HEART)
    shares = frame["stream"].map(corrected["value"].groupby(level=0).first())
    rows = pd.DataFrame(
        {
            "measure": measure,
            "source": source,
            "analysis": PROVENANCE,
            "value": frame["value"].astype(float),
            "unit": frame["unit"],
            "n": frame["n"].astype(float),
            "n_of": [_counted(m) for m in frame["measure"]],
            "coverage": frame["coverage"].astype(float),
            "artifact_share": frame["artifact"].astype(float),
            "corrected_share": shares.astype(float).where(is_heart),
            "edited_share": frame["edited_share"],
            "marked_share": frame["marked_share"],
            "respiration_rate": breathing[0] if breathing else np.nan,
            "since_worn_s": frame["stream"].map(_put_on(analysis, condition.begin)),
            "reason": frame["reason"].fillna(""),
        }
    )
    return pd.concat([rows, _first_latency(analysis, condition, rows)])


def _beside(rows: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of a condition with their values without edits."""
    key = ["measure", "source"]
    values = other.drop_duplicates(key).set_index(key)["value"]
    return rows.join(values.rename("value_without_edits"), on=key)


def _first_latency(
    analysis: Analysis, condition: ConditionSpan, rows: pd.DataFrame
) -> pd.DataFrame:
    """Return the latency of the first response after the begin of a condition (s)."""
    parts = []
    for row in rows[rows["measure"] == "scr_per_minute"].to_dict("records"):
        stream, _, channel = str(row["source"]).partition("/")
        scrs = analysis.scrs
        mine = (scrs["stream"] == stream) & (scrs["channel"] == channel)
        onset = scrs.loc[mine, "onset"]
        later = onset[(onset >= condition.begin) & (onset < condition.end)]
        latency = float(later.min()) - condition.begin if len(later) else np.nan
        reason = row["reason"] or ("" if len(later) else "no response")
        parts.append(
            row
            | {"measure": "scr_first_latency", "value": latency, "unit": "s"}
            | {"reason": reason}
        )
    return pd.DataFrame(parts, columns=rows.columns)


def _block_rows(block: Block, label: str, condition: ConditionSpan) -> pd.DataFrame:
    """Return means of live columns over the ticks of a condition.

    A feature counts where its window lies in the condition.
    """
    times, names = block.times, block.info.names
    inside = (times >= condition.begin) & (times < condition.end)
    rows = []
    for i, channel in enumerate(block.info.channels):
        name = channel.name
        if label == ESTIMATES and name.removesuffix(".sd") not in DIMENSIONS:
            continue
        if name.endswith((".window_start", ".window_end", ".missing")):
            continue
        used = inside
        start = f"{name.partition('.')[0]}.window_start"
        if label == FEATURES and start in names:
            used = inside & (block.column(start) >= condition.begin - 1e-6)
        values = block.data[used, i]
        finite = values[np.isfinite(values)]
        rows.append(
            {
                "measure": name,
                "source": block.info.name,
                "analysis": label,
                "value": float(finite.mean()) if len(finite) else np.nan,
                "unit": channel.unit,
                "n": float(len(finite)),
                "n_of": "values",
                "coverage": len(finite) / max(int(inside.sum()), 1),
                "artifact_share": _poor_share(values),
                "corrected_share": np.nan,
                "edited_share": 0.0,
                "marked_share": 0.0,
                "respiration_rate": np.nan,
                "since_worn_s": np.nan,
                "reason": "" if len(finite) else _missing_words(values),
            }
        )
    return pd.DataFrame(rows)


def _poor_share(values: Array) -> float:
    if not len(values):
        return 0.0
    poor = (int(MissingReason.POOR_QUALITY), int(MissingReason.MARKED_BAD))
    return float(np.isin(missing_reason(values), poor).mean())


def _missing_words(values: Array) -> str:
    if not len(values):
        return "no window lies in the condition"
    codes, counts = np.unique(missing_reason(values), return_counts=True)
    return MissingReason(int(codes[counts.argmax()])).words


def _counted(measure: str) -> str:
    for prefix, words in _COUNTED.items():
        if measure.startswith(prefix):
            return words
    return "values"


def _put_on(analysis: Analysis, begin: float) -> dict[str, float]:
    """Return the time from putting on a device to the begin (s), by stream.

    It is known if skin conductance or temperature of the device became valid after it
    had not been so for 30 s; NaN in other cases.
    """
    worn: dict[str, float] = {}
    for frame in analysis.signals.values():
        column = {"skin": "scl", "temperature": "temperature"}.get(frame.attrs["kind"])
        if column is None or not len(frame):
            continue
        times = frame.index.to_numpy(float)
        valid = times[frame[column].notna().to_numpy()]
        if len(valid) and valid[0] > times[0] + _UNWORN:
            device = frame.attrs["stream"].partition(".")[0]
            worn[device] = max(worn.get(device, 0.0), float(valid[0]))
    streams = {frame.attrs["stream"] for frame in analysis.signals.values()}
    return {
        name: begin - worn[name.partition(".")[0]]
        if name.partition(".")[0] in worn
        else np.nan
        for name in streams
    }


def _resolution(analysis: Analysis) -> float:
    for frame in analysis.signals.values():
        if frame.attrs["kind"] == "skin" and len(frame) > 1:
            return float(np.median(np.diff(frame.index.to_numpy(float))))
    return np.nan


def _markers(
    recording: Recording, prefixes: tuple[str, ...]
) -> Iterable[tuple[float, str]]:
    for name, events in recording.events.items():
        if computed(name) or name.endswith(".status"):
            continue
        for time, label in zip(events.times, events.labels, strict=False):
            if label.startswith(prefixes):
                yield float(time), label
