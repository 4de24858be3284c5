"""Measures of conditions, from an analysis of a whole recording."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lombscargle

from physio.core.block import Array
from physio.features.eeg.asymmetry import FRONTAL

if TYPE_CHECKING:
    from physio.offline.analysis import Analysis, HasSpan

SPAN_COLUMNS: Final = (
    *("condition", "begin", "end", "stream", "channel", "measure"),
    *("value", "unit", "n", "coverage", "artifact", "reason"),
)
SPAN_KEY: Final = ["condition", "begin", "end", "stream", "channel", "measure"]
"""Columns that identify a row."""

DRY: Final = 0.05
"""Conductance of dry electrodes is below this value (uS)."""

HF: Final = 0.15, 0.4
"""Band of high-frequency power (Hz), in which breathing must lie."""

DESCRIPTIONS: Final = {
    "scl": "mean tonic level",
    "scr_per_minute": "responses (by onset) per minute of valid signal",
    "scr_mean_amplitude": "mean amplitude of these responses; missing without any",
    "scr_mean_rise_time": "mean time from onset to peak of these responses",
    "dry_share": "share of valid conductance below 0.05 uS: dry electrodes",
    "mean_heart_rate": "60 / mean accepted interval",
    "hrv_rmssd": "root mean square of successive differences of measured intervals",
    "hrv_ln_rmssd": "natural logarithm of hrv_rmssd in ms",
    "hrv_sdnn": "standard deviation of accepted intervals, corrected ones included",
    "hrv_hf": "power of intervals from 0.15 to 0.4 Hz (Lomb-Scargle)",
    "share_corrected": "share of the accepted intervals that were corrected",
    "irregular_share": "share of intervals that were corrected, or that differ from "
    "the interval before by 20 % or more",
    "breathing_rate": "median rate of breaths of a respiration sensor",
    "derived_breathing_rate": "median rate of breaths derived from beats",
    "skin_temperature": "mean temperature",
    "mean_activity": "mean of the mean amplitude deviation of acceleration in 5 s",
    "eeg_power": "mean power of a band over epochs of 2 s: eeg_power.<band>",
    "eeg_entropy": "differential entropy of that power, log2(2 pi e power) / 2",
    "frontal_alpha_asymmetry": "ln alpha power at the right electrode less the left",
}
"""Definitions of the measures; from a pulse wave ``hrv_`` is ``prv_``."""

_IRREGULAR: Final = 0.2
_HF_SECONDS: Final = 55.0  # of accepted intervals
_KNOWN: Final = 0.5  # of a condition, over which breathing is known
_PAIRS: Final = (*FRONTAL, ("F7", "F8"), ("AF7", "AF8"), ("Fp1", "Fp2"))


class SpanMeasure(NamedTuple):
    """Value of a measure in a condition.

    ``n`` counts beats, responses, breaths or values; ``coverage`` and ``artifact`` are
    shares of the condition (0 to 1): with a valid signal, and masked as artifact.
    """

    name: str
    value: float
    unit: str
    n: int
    coverage: float
    artifact: float
    reason: str = ""
    channel: str = ""


class SpanTimes(NamedTuple):
    """Begin and end (s), and their distance."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Duration (s)."""
        return self.end - self.begin


def span_table(analysis: "Analysis", conditions: Iterable["HasSpan"]) -> pd.DataFrame:
    """Return a row per condition, stream and measure.

    Returns
    -------
    DataFrame
        ``condition``, ``begin``, ``end`` (s), ``stream``, ``channel``, ``measure`` (see
        `DESCRIPTIONS`), ``value``, ``unit``, ``n``, ``coverage``, ``artifact`` and, for
        a missing value, ``reason``.

    Raises
    ------
    ValueError
        If a condition does not end after its begin.
    """
    rows: list[tuple[object, ...]] = []
    for condition in conditions:
        span = SpanTimes(float(condition.begin), float(condition.end))
        if not span.seconds > 0:
            raise ValueError(
                f"the condition {condition.name!r} must end after its begin: "
                f"{span.begin:g} to {span.end:g} s"
            )
        for frame in analysis.signals.values():
            about = frame.attrs
            rows += [
                (
                    *(condition.name, span.begin, span.end, about["stream"]),
                    *(m.channel or about["channel"], m.name, m.value, m.unit),
                    *(m.n, m.coverage, m.artifact, m.reason),
                )
                for m in _MEASURES[about["kind"]](analysis, frame, span)
            ]
    return pd.DataFrame(rows, columns=list(SPAN_COLUMNS))


def _inside(frame: pd.DataFrame, span: SpanTimes) -> pd.DataFrame:
    time = frame.index.to_numpy(float)
    first, last = np.searchsorted(time, (span.begin - 1e-9, span.end - 1e-9))
    return frame.iloc[first:last]


def _shares(frame: pd.DataFrame, column: str, span: SpanTimes) -> tuple[float, float]:
    """Return the shares of a condition with values, and with artifacts."""
    part = _inside(frame, span)
    time = frame.index.to_numpy(float)
    step = float(np.median(np.diff(time))) if len(time) > 1 else span.seconds
    whole = max(span.seconds / step, 1e-9)
    valid = int(part[column].notna().sum())
    bad = int((part["artifact"].to_numpy(bool) & part[column].isna()).sum())
    return min(valid / whole, 1.0), min(bad / whole, 1.0)


def _mean_of(
    name: str, frame: pd.DataFrame, column: str, span: SpanTimes
) -> SpanMeasure:
    values = _inside(frame, span)[column].dropna().to_numpy(float)
    shares = _shares(frame, column, span)
    unit = frame.attrs["units"][column]
    if not len(values):
        return SpanMeasure(name, np.nan, unit, 0, *shares, "no valid sample")
    return SpanMeasure(name, float(values.mean()), unit, len(values), *shares)


def _skin(
    analysis: "Analysis", frame: pd.DataFrame, span: SpanTimes
) -> Iterator[SpanMeasure]:
    yield _mean_of("scl", frame, "scl", span)
    shares = _shares(frame, "scl", span)
    scrs = analysis.scrs
    mine = (scrs["stream"] == frame.attrs["stream"]) & (
        scrs["channel"] == frame.attrs["channel"]
    )
    inside = scrs[mine & (scrs["onset"] >= span.begin) & (scrs["onset"] < span.end)]
    n, valid = len(inside), shares[0] * span.seconds
    reason = "" if valid else "no valid sample"
    rate = 60 * n / valid if valid else np.nan
    yield SpanMeasure("scr_per_minute", rate, "1/min", n, *shares, reason)
    level = _inside(frame, span)["conductance"].dropna().to_numpy(float)
    dry = float(np.mean(level < DRY)) if len(level) else np.nan
    yield SpanMeasure("dry_share", dry, "1", len(level), *shares, reason)
    reason = reason or ("" if n else "no response")
    for name, column, unit in (
        ("scr_mean_amplitude", "amplitude", "uS"),
        ("scr_mean_rise_time", "rise_time", "s"),
    ):
        value = float(inside[column].mean()) if n else np.nan
        yield SpanMeasure(name, value, unit, n, *shares, reason)


def _heart(
    analysis: "Analysis", frame: pd.DataFrame, span: SpanTimes
) -> Iterator[SpanMeasure]:
    beats = analysis.beats
    mine = (beats["stream"] == frame.attrs["stream"]) & (
        beats["channel"] == frame.attrs["channel"]
    )
    end, begin = beats["time"], beats["time"] - beats["interval"].fillna(0.0)
    inside = beats[mine & (begin >= span.begin - 1e-9) & (end < span.end + 1e-9)]
    good = inside[inside["accepted"]]
    n, time = len(good), float(good["interval"].sum())
    coverage = _shares(frame, "heart_rate", span)[0]
    shares = coverage, _shares(frame, "heart_rate", span)[1]
    few = "" if n else "no accepted interval"
    rate = 60 * n / time if n else np.nan
    yield SpanMeasure("mean_heart_rate", rate, "1/min", n, *shares, few)
    share = float(good["corrected"].mean()) if n else np.nan
    yield SpanMeasure("share_corrected", share, "1", n, *shares, few)
    prefix = frame.attrs["variability"]
    yield from _variability(analysis, frame, span, inside, prefix, shares)
    part = _inside(frame, span)["respiration_rate"].dropna()
    known = _shares(frame, "respiration_rate", span)
    derived = float(part.median()) if len(part) else np.nan
    reason = "" if len(part) else "no clear variation of the intervals at 9 to 30/min"
    yield SpanMeasure(
        "derived_breathing_rate", derived, "1/min", len(part), *known, reason
    )


def _variability(
    analysis: "Analysis",
    frame: pd.DataFrame,
    span: SpanTimes,
    beats: pd.DataFrame,
    prefix: str,
    shares: tuple[float, float],
) -> Iterator[SpanMeasure]:
    """Yield the variability of the intervals of a condition."""
    accepted = beats["accepted"].to_numpy(bool)
    interval = beats["interval"].to_numpy(float)
    measured = accepted & ~beats["corrected"].to_numpy(bool)
    pairs = measured[1:] & measured[:-1]
    steps = np.diff(interval)[pairs]
    least = round(analysis.settings.min_pairs * max(1.0, span.seconds / 60))
    n = int(accepted.sum())
    both = accepted[1:] & accepted[:-1]
    irregular = np.nan
    if both.any():
        differs = np.abs(np.diff(interval)) >= _IRREGULAR * interval[1:]
        differs |= beats["corrected"].to_numpy(bool)[1:]
        irregular = float(differs[both].mean())
    few = "" if both.any() else "no two successive intervals"
    count = int(both.sum())
    yield SpanMeasure("irregular_share", irregular, "1", count, *shares, few)
    reason = ""
    if irregular > _IRREGULAR:
        reason = (
            f"irregular rhythm: {irregular:.2f} of the intervals differ from the last"
        )
    elif len(steps) < least:
        reason = f"{len(steps)} pairs of measured intervals, fewer than {least}"
    rmssd = 1e3 * float(np.sqrt(np.mean(steps**2))) if not reason else np.nan
    yield SpanMeasure(f"{prefix}_rmssd", rmssd, "ms", len(steps), *shares, reason)
    log = float(np.log(rmssd)) if rmssd > 0 else np.nan
    yield SpanMeasure(f"{prefix}_ln_rmssd", log, "ln(ms)", len(steps), *shares, reason)
    sdnn = 1e3 * float(np.std(interval[accepted], ddof=1)) if not reason else np.nan
    yield SpanMeasure(f"{prefix}_sdnn", sdnn, "ms", n, *shares, reason)
    seconds = float(interval[accepted].sum())
    if not reason and seconds < _HF_SECONDS:
        reason = f"{seconds:.0f} s of intervals, fewer than {_HF_SECONDS:g}"
    reason = reason or _outside_hf(analysis, frame, span)
    power = np.nan
    if not reason:
        times = beats["time"].to_numpy(float)
        power = hf_power(times[accepted], interval[accepted])
    yield SpanMeasure(f"{prefix}_hf", power, "ms^2", n, *shares, reason)


def _outside_hf(analysis: "Analysis", frame: pd.DataFrame, span: SpanTimes) -> str:
    """Return the reason why breathing forbids a high-frequency power, or ""."""
    belts = [f for f in analysis.signals.values() if f.attrs["kind"] == "belt"]
    for source in (*belts, frame):
        rates = _inside(source, span)["respiration_rate"].dropna()
        if _shares(source, "respiration_rate", span)[0] < _KNOWN:
            continue
        rate = float(rates.median())
        if HF[0] <= rate / 60 <= HF[1]:
            return ""
        return f"breathing at {rate:.1f}/min lies outside 9 to 24/min"
    return "the rate of breathing is unknown for most of the condition"


def hf_power(times: Array, intervals: Array) -> float:
    """Return the power of intervals (s) from 0.15 to 0.4 Hz (ms^2), by Lomb-Scargle.

    No interval is interpolated; the linear trend is removed.
    """
    values = 1e3 * (intervals - np.polyval(np.polyfit(times, intervals, 1), times))
    length = float(times[-1] - times[0])
    f = np.arange(HF[0], HF[1], 1 / (4 * length))
    power = lombscargle(times - times[0], values, 2 * np.pi * f)
    density = 2 * length / len(values) * power
    return float(np.trapezoid(density, f))


def _belt(_: "Analysis", frame: pd.DataFrame, span: SpanTimes) -> Iterator[SpanMeasure]:
    rates = _inside(frame, span)["respiration_rate"].dropna().to_numpy(float)
    shares = _shares(frame, "respiration_rate", span)
    breaths = int(np.count_nonzero(np.diff(rates))) + 1 if len(rates) else 0
    value = float(np.median(rates)) if breaths else np.nan
    reason = "" if breaths else "no whole breath"
    yield SpanMeasure("breathing_rate", value, "1/min", breaths, *shares, reason)


def _temperature(
    _: "Analysis", frame: pd.DataFrame, span: SpanTimes
) -> Iterator[SpanMeasure]:
    yield _mean_of("skin_temperature", frame, "temperature", span)


def _movement(
    _: "Analysis", frame: pd.DataFrame, span: SpanTimes
) -> Iterator[SpanMeasure]:
    yield _mean_of("mean_activity", frame, "activity", span)


def _eeg(_: "Analysis", frame: pd.DataFrame, span: SpanTimes) -> Iterator[SpanMeasure]:
    alpha: dict[str, SpanMeasure] = {}
    for column in frame.attrs["units"]:
        band, _sep, electrode = column.partition("/")
        part = frame[[column]].assign(artifact=frame[f"artifact/{electrode}"])
        part.attrs = frame.attrs
        power = _mean_of(f"eeg_power.{band}", part, column, span)
        power = power._replace(channel=electrode)
        yield power
        entropy = np.nan
        if power.value > 0:
            entropy = float(np.log2(2 * np.pi * np.e * power.value) / 2)
        yield power._replace(name=f"eeg_entropy.{band}", value=entropy, unit="bit")
        if band == "alpha":
            alpha[electrode] = power
    for a, b in dict.fromkeys(_PAIRS):
        if a in alpha and b in alpha:
            yield _asymmetry(alpha[a], alpha[b])


def _asymmetry(first: SpanMeasure, second: SpanMeasure) -> SpanMeasure:
    both = first.value > 0 and second.value > 0
    value = float(np.log(second.value) - np.log(first.value)) if both else np.nan
    return SpanMeasure(
        "frontal_alpha_asymmetry",
        value,
        "1",
        min(first.n, second.n),
        min(first.coverage, second.coverage),
        max(first.artifact, second.artifact),
        first.reason or second.reason,
        f"{second.channel}-{first.channel}",
    )


_MEASURES: Final[
    dict[str, Callable[["Analysis", pd.DataFrame, SpanTimes], Iterator[SpanMeasure]]]
] = {
    "skin": _skin,
    "heart": _heart,
    "belt": _belt,
    "temperature": _temperature,
    "movement": _movement,
    "eeg": _eeg,
}
