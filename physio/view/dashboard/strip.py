"""Data of the strip that shows a whole recording."""

import json
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Origin
from physio.view.dashboard.figures.eda_heart import first_chain_with
from physio.view.dashboard.figures.ring_buffer import RingBuffer
from physio.view.dashboard.figures.theme import plain_text
from physio.view.dashboard.figures.vad import is_demo
from physio.view.dashboard.panels import shown_dimensions
from physio.view.dashboard.session_state import SessionState
from physio.view.labels import LABELS

_MOST: Final = 1200  # points of a line
_MOST_MARKS: Final = 300


def strip_json(session: SessionState) -> str:
    """Return the strip's data as JSON for a script element.

    Keys: ``seconds``, the length of the recording; ``conditions`` (name, begin, end)
    and ``marks`` (time, label), in seconds after the beginning; ``lanes``, each a list
    of lines with name, colour (a variable of the style sheet), times and heights (0 to
    1, null where missing), and a label if it lies on hatching. Estimates begin at the
    end of the baseline.
    """
    zero = session.begin
    data = {
        "seconds": max(0.0, session.end - zero),
        "conditions": [
            [plain_text(c.name, 30), c.begin - zero, c.end - zero]
            for c in session.conditions
        ],
        "marks": [
            [m.time - zero, plain_text(m.label, 30)]
            for m in list(session.marks)[-_MOST_MARKS:]
        ],
        "lanes": [lane for lane in _lanes(session) if lane],
    }
    # No character of it can end the script element.
    return json.dumps(data).replace("<", "\\u003c")


def first_view(session: SessionState) -> float:
    """Return the time at which a recording opens (s, session clock).

    It has signals, and estimates if there are any: half a minute after the first one,
    or after the first sample.
    """
    begins = [
        float(times[0])
        for view in session.sources.values()
        for times, data in [view.buffer.window(-np.inf, np.inf)]
        if len(times) and np.isfinite(data).any()
    ]
    first = max(session.begin, min(begins, default=session.begin))
    buffer = session.estimates
    if buffer is not None and len(buffer):
        times, rows = buffer.window(-np.inf, np.inf)
        columns = [buffer.info.names.index(d) for d in session.dimensions]
        present = np.isfinite(rows[:, columns]).any(axis=1)
        session.at = session.end
        baseline, length = session.baseline_period()
        if np.isfinite(baseline):
            present &= times >= baseline + length
        if present.any():
            first = float(times[np.argmax(present)])
    return min(first + 30.0, session.end)


def _lanes(session: SessionState) -> list[list[dict[str, Any]]]:
    estimates = session.estimates
    affect = []
    label = LABELS[Origin.DEMO].badge if is_demo(session) else ""
    for name in shown_dimensions(session):
        if estimates is not None:
            times, values = estimates.column(name, -np.inf, np.inf)
            shown = np.where(session.before_baseline_end(times), np.nan, values)
            line = _line(session, times, (shown + 1) / 2)
            affect.append(
                {"name": name, "colour": f"--{name[0]}", "hatch": label, **line}
            )
    skin: list[dict[str, Any]] = []
    for view in session.sources.values():
        kinds = [c.kind for c in view.buffer.info.channels]
        if "gsr" in kinds and not skin:
            times, data = view.buffer.window(-np.inf, np.inf)
            line = _line(session, times, _unit_range(data[:, kinds.index("gsr")]))
            skin.append({"name": "EDA", "colour": "--trace", **line})
    return [affect, skin, _heart(session, session.features)]


def _heart(session: SessionState, features: RingBuffer | None) -> list[dict[str, Any]]:
    chain = first_chain_with(features, "rate", "rate.sd")
    chain = chain or first_chain_with(features, "rate", "rmssd")
    if features is None or not chain:
        return []
    times, values = features.column(f"{chain}.rate", -np.inf, np.inf)
    line = _line(session, times, _unit_range(values))
    return [{"name": "heart rate", "colour": "--s1", **line}]


def _unit_range(values: Array) -> Array:
    """Return values scaled so that their 1st and 99th percentile are 0.1 and 0.9."""
    good = values[np.isfinite(values)]
    if not len(good):
        return values
    low, high = np.percentile(good, (1, 99))
    return np.clip(0.1 + 0.8 * (values - low) / max(high - low, 1e-9), 0, 1)


def _line(session: SessionState, times: Array, values: Array) -> dict[str, list[Any]]:
    """Return means of at most 1200 bins."""
    step = max(1, -(-len(times) // _MOST))
    n = len(times) // step * step
    binned = values[:n].reshape(-1, step)
    good = np.isfinite(binned)
    count = good.sum(axis=1)
    total = np.where(good, binned, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    at = times[:n:step] - session.begin
    return {
        "t": np.round(at, 2).tolist(),
        "y": [None if v != v else round(v, 3) for v in mean.tolist()],
    }
