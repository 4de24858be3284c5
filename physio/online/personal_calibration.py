"""Personal calibration: computed from a recording, applied to a session."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from physio.core.events import Events, single_event
from physio.core.protocols import Clock
from physio.core.recording import (
    BASELINE_END,
    BASELINE_START,
    Recording,
    baseline_marker,
)
from physio.core.stage import Stage
from physio.inference.calibration import Calibration, ExpertBaseline
from physio.inference.estimator import Estimator
from physio.online.default_pipeline import feature_info
from physio.online.engine import STATUS, Engine, PipelineConfig, run
from physio.online.prompts import PromptSequence, Step
from physio.online.session import MARKERS, Session

SHORTEST: Final = 120.0
"""Shortest baseline (s); two to five minutes are recommended."""

LONGEST: Final = 300.0
"""Longest baseline without a marker of its end (s)."""

SETTLING: Final = 600.0
"""Recommended wearing time of the sensors before the baseline (s)."""

_PROPORTION: Final = 0.5  # of a baseline in which a feature must be present


def calibrate(
    recording: Recording,
    plan: PipelineConfig,
    baseline: tuple[float, float] | None = None,
    participant: str = "",
) -> tuple[Calibration, list[str]]:
    """Return the calibration of a participant from a recording, and its limitations.

    Parameters
    ----------
    recording
        Recording with a resting baseline and optional ratings (``session.ratings``).
    plan
        The computation, as in a session.
    baseline
        Start and end of the baseline (s after the beginning); by default from the
        marker ``baseline start`` to ``baseline end``, or five minutes without it.
    participant
        Code of the participant, in a recording of several.

    Raises
    ------
    ValueError
        If there is no baseline, or the baseline is too short or lacks all features.
    """
    begin, end = baseline_span(recording, baseline)
    seconds = end - begin
    if seconds < SHORTEST:
        raise ValueError(
            f"the baseline of {seconds:.0f} s is too short: record two to five minutes"
        )
    # Use the whole baseline, whatever the duration in the training of an expert.
    plan = with_baseline(plan, seconds)
    engine = Engine(plan, recording.infos, recording.begin)
    code = participant if participant in engine.pipelines else ""
    if code not in engine.pipelines:
        codes = ", ".join(engine.pipelines)
        raise ValueError(
            f"this recording is of several participants: say whose, of {codes}"
        )
    runner = engine.pipelines[code].estimator
    stage = runner.stage if runner is not None else None
    if runner is None or not isinstance(stage, Estimator) or not stage.experts:
        raise ValueError("no available weights read the features of this recording")
    for _ in run(recording, plan, baseline_markers(begin, end), engine):
        pass
    calibration = stage.calibration(runner.state[0], participant)
    limitations = _missing_features(calibration, seconds)
    return calibration, limitations + _settling(begin - recording.begin)


def apply_calibrations(
    session: Session, calibrations: Sequence[Calibration]
) -> list[str]:
    """Begin a session with the calibrations of its participants.

    Returns
    -------
    list of str
        A sentence on each calibration, or part of a calibration, that cannot be used.
        The session also records the sentence, and continues without that part.
    """
    notices: list[str] = []
    worn = {health.info.participant for health in session.health.values()} - {""}
    streams = [health.info for health in session.health.values()]
    plan = session.plan
    for calibration in calibrations:
        code = calibration.participant
        participant = code if code in plan.participants else ""
        is_known = participant in plan.participants
        if not is_known or (worn and code not in worn | {""}):
            known = ", ".join(sorted(worn)) or "nobody it knows"
            notices.append(f"the calibration is of {code!r}; here is {known}")
            continue
        part = plan.of(participant)
        if isinstance(part.estimator, Estimator):
            features = feature_info(part, streams)
            notices += part.estimator.refusals(features, calibration)
            session.inject(calibration.event(session.begin, participant))
    for text in notices:
        session.inject(single_event(STATUS, session.begin, text))
    return notices


def with_baseline(plan: PipelineConfig, seconds: float) -> PipelineConfig:
    """Return a computation whose estimators take a baseline of this length (s)."""
    return replace(
        plan,
        estimator=_with_baseline(plan.estimator, seconds),
        estimators={k: _with_baseline(v, seconds) for k, v in plan.estimators.items()},
    )


def baseline_prompts(
    begin: float, end: float, clock: Clock, say: Callable[[str], object]
) -> PromptSequence:
    """Return a device that marks a baseline from ``begin`` to ``end`` (s)."""
    steps = (
        Step(begin, BASELINE_START, f"The baseline begins, until {end:g} s."),
        Step(end, BASELINE_END, "The baseline ends."),
    )
    return PromptSequence(steps, clock, say)


def baseline_markers(begin: float, end: float) -> list[Events]:
    """Return the markers of a baseline (s, session clock)."""
    return [
        single_event(MARKERS, begin, BASELINE_START),
        single_event(MARKERS, end, BASELINE_END),
    ]


def with_markers(recording: Recording, markers: Sequence[Events]) -> dict[str, Events]:
    """Return the events of a recording, with further markers of the session."""
    events = dict(recording.events)
    if not markers:
        return events
    parts = [*(e for n, e in events.items() if n == MARKERS.name), *markers]
    rows = sorted(
        (float(t), label)
        for part in parts
        for t, label in zip(part.times, part.labels, strict=True)
    )
    times = np.array([t for t, _ in rows])
    labels = tuple(label for _, label in rows)
    nothing = np.empty((len(rows), 0))
    events[MARKERS.name] = Events(MARKERS, recording.end, times, nothing, labels)
    return events


def _with_baseline(stage: Stage, seconds: float) -> Stage:
    """Return an estimator with a baseline of this length; any other stage unchanged."""
    if not isinstance(stage, Estimator):
        return stage
    return replace(stage, baseline_seconds=seconds)


def baseline_span(
    recording: Recording, baseline: tuple[float, float] | None
) -> tuple[float, float]:
    """Return start and end of the baseline (s, session clock).

    Parameters
    ----------
    recording
        The recording, whose markers delimit the baseline.
    baseline
        Start and end (s after the beginning) that are given instead.

    Raises
    ------
    ValueError
        If there is none.
    """
    last = recording.end
    if baseline is not None:
        begin, end = (recording.begin + t for t in baseline)
        if begin >= last:
            raise ValueError(
                f"a baseline from {baseline[0]:g} s on is not in this recording, which "
                f"lasts {recording.seconds:.0f} s"
            )
        return begin, min(end, last)
    markers = recording.events.get(MARKERS.name)
    begins = _times(markers, BASELINE_START)
    if not begins:
        raise ValueError(
            f"the recording has no marker {BASELINE_START!r}: give start and end of "
            "the resting baseline with --baseline"
        )
    ends = [t for t in _times(markers, BASELINE_END) if t > begins[-1]]
    return begins[-1], min([*ends, begins[-1] + LONGEST, last])


def _times(events: Events | None, label: str) -> list[float]:
    if events is None:
        return []
    pairs = zip(events.times.tolist(), events.labels, strict=True)
    return [t for t, text in pairs if baseline_marker(text) == label]


def _missing_features(calibration: Calibration, seconds: float) -> list[str]:
    """Return a sentence on features missing from the baseline; raise if all are."""
    missing = [n for expert in calibration.experts for n in _missing(expert, seconds)]
    columns = [name for expert in calibration.experts for name in expert.columns]
    if len(missing) == len(columns):
        longest = max(max(e.seconds, default=0.0) for e in calibration.experts)
        raise ValueError(
            f"the baseline is too poor: of {seconds:.0f} s, no feature was present for "
            f"more than {longest:.0f} s"
        )
    if not missing:
        return []
    names = ", ".join(dict.fromkeys(missing))
    return [
        "missing for most of the baseline, so centred by the mean of the training "
        f"participants: {names}"
    ]


def _missing(expert: ExpertBaseline, seconds: float) -> list[str]:
    present = np.array(expert.seconds) >= _PROPORTION * seconds
    return [name for name, ok in zip(expert.columns, present, strict=True) if not ok]


def _settling(seconds: float) -> list[str]:
    if seconds >= SETTLING:
        return []
    return [
        f"the sensors were worn for {seconds / 60:.0f} min before the baseline: ten "
        "minutes let electrodes and skin settle"
    ]
