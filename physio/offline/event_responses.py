"""Responses of the skin and the heart to events, from a whole recording."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from physio.offline.analysis import Analysis

EVENT_COLUMNS: Final = (
    *("time", "label", "skin_stream", "responder", "latency", "amplitude"),
    *("magnitude", "n_scrs", "skin_reason", "heart_stream", "heart_rate_before"),
    *("heart_rate_change", "heart_reason"),
)
BEFORE: Final = -5.0, 0.0
"""Time before an event with which the heart rate after it is compared (s)."""

AFTER: Final = 0.0, 6.0
"""Time after an event over which the heart rate is taken (s)."""

_COVERED: Final = 0.8  # of these times


def event_table(
    analysis: "Analysis",
    times: npt.ArrayLike,
    window: tuple[float, float] = (1.0, 4.0),
    labels: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the event-related responses, a row per event.

    Parameters
    ----------
    analysis
        Analysis of the whole recording; its first stream of skin conductance and its
        first stream of beats are used.
    times
        Times of the events (s, session clock).
    window
        Time after an event in which the onset of its response lies (s).
    labels
        Text of each event.

    Returns
    -------
    DataFrame
        ``responder`` (1 or 0), ``latency`` (s) and ``amplitude`` (uS) of the first
        response, NaN without one, ``magnitude`` (uS), which is 0 then, ``n_scrs``;
        ``heart_rate_before`` and ``heart_rate_change`` (1/min): mean rate of the 6 s
        after less that of the 5 s before. Where the signal is missing in the window,
        all are NaN and ``skin_reason`` or ``heart_reason`` tells why.

    Raises
    ------
    ValueError
        If the window is none, or the labels are not those of the events.
    """
    low, high = window
    if not 0 <= low < high:
        raise ValueError(
            f"a response begins from a to b s after its event, 0 <= a < b: "
            f"{low:g} to {high:g} s"
        )
    at = np.atleast_1d(np.asarray(times, float))
    texts = list(labels) or [""] * len(at)
    if len(texts) != len(at):
        raise ValueError(f"{len(at)} events have {len(texts)} labels")
    skin, heart = (
        next((f for f in analysis.signals.values() if f.attrs["kind"] == k), None)
        for k in ("skin", "heart")
    )
    rows = [
        {
            "time": t,
            "label": text,
            **_skin_response(analysis, skin, t, window),
            **_heart_response(heart, t),
        }
        for t, text in zip(at.tolist(), texts, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS))


def _skin_response(
    analysis: "Analysis",
    frame: pd.DataFrame | None,
    t: float,
    window: tuple[float, float],
) -> dict[str, object]:
    empty: dict[str, object] = dict.fromkeys(
        ("responder", "latency", "amplitude", "magnitude", "n_scrs"), np.nan
    )
    if frame is None:
        return {**empty, "skin_stream": "", "skin_reason": "no skin conductance"}
    stream, channel = frame.attrs["stream"], frame.attrs["channel"]
    empty["skin_stream"] = stream
    begin, end = t + window[0], t + window[1]
    time = frame.index.to_numpy(float)
    first, last = np.searchsorted(time, (begin, end))
    if not len(time) or begin < time[0] - 0.25 or end > time[-1] + 0.25:
        return {**empty, "skin_reason": "the window exceeds the recording"}
    if frame["scl"].iloc[first:last].isna().any():
        return {**empty, "skin_reason": "missing or bad samples in the window"}
    scrs = analysis.scrs
    mine = (scrs["stream"] == stream) & (scrs["channel"] == channel)
    inside = scrs[mine & (scrs["onset"] >= begin) & (scrs["onset"] <= end)]
    n = len(inside)
    amplitude = float(inside["amplitude"].iloc[0]) if n else np.nan
    return {
        "skin_stream": stream,
        "responder": float(n > 0),
        "latency": float(inside["onset"].iloc[0]) - t if n else np.nan,
        "amplitude": amplitude,
        "magnitude": amplitude if n else 0.0,
        "n_scrs": float(n),
        "skin_reason": "",
    }


def _heart_response(frame: pd.DataFrame | None, t: float) -> dict[str, object]:
    empty: dict[str, object] = {
        "heart_stream": "",
        "heart_rate_before": np.nan,
        "heart_rate_change": np.nan,
    }
    if frame is None:
        return {**empty, "heart_reason": "no heart beats"}
    empty["heart_stream"] = frame.attrs["stream"]
    rates = [_mean_rate(frame, t + low, t + high) for low, high in (BEFORE, AFTER)]
    if np.isnan(rates).any():
        return {**empty, "heart_reason": "too few accepted intervals around the event"}
    return {
        **empty,
        "heart_rate_before": rates[0],
        "heart_rate_change": rates[1] - rates[0],
        "heart_reason": "",
    }


def _mean_rate(frame: pd.DataFrame, begin: float, end: float) -> float:
    time, rate = frame.index.to_numpy(float), frame["heart_rate"].to_numpy(float)
    first, last = np.searchsorted(time, (begin, end))
    values = rate[first:last]
    valid = values[np.isfinite(values)]
    step = float(time[1] - time[0]) if len(time) > 1 else np.inf
    return (
        float(valid.mean()) if len(valid) * step >= _COVERED * (end - begin) else np.nan
    )
