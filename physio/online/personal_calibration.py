"""A participant's own calibration: made of a recording, given to a session."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from physio.core.events import Events, single_event
from physio.core.recording import (
    BASELINE_END,
    BASELINE_START,
    Recording,
    baseline_marker,
)
from physio.core.stage import Stage
from physio.inference.calibration import Calibration, ExpertBaseline
from physio.inference.estimator import Estimator
from physio.online.engine import STATUS, Engine, PipelineConfig, run
from physio.online.session import MARKERS, Session

SHORTEST: Final = 120.0
"""How long a rest must be (s): two to five minutes are asked for."""

LONGEST: Final = 300.0
WORN: Final = 600.0
"""How long sensors should have been worn before it (s)."""

_SHARE: Final = 0.5  # of a rest in which a feature must be there


def calibrate(
    recording: Recording,
    plan: PipelineConfig,
    rest: tuple[float, float] | None = None,
    participant: str = "",
) -> tuple[Calibration, list[str]]:
    """Return what a recording tells of its participant, and what is wrong with it.

    Parameters
    ----------
    recording
        With a rest in it, and perhaps with ratings (``session.ratings``).
    plan
        What is computed, as a session would.
    rest
        From when to when the participant rested (s after the beginning); by default
        from the marker ``baseline start`` to ``baseline end``, or for five minutes.
    participant
        The participant's code; in a recording of several, whose calibration it is.

    Raises
    ------
    ValueError
        If there is no rest in it, or one too short or too poor to tell anything.
    """
    begin, end = _rest(recording, rest)
    if end - begin < SHORTEST:
        raise ValueError(
            f"the rest of {end - begin:.0f} s is too short: two to five minutes are "
            "asked for"
        )
    # All of the rest counts, however long it was in the training of an expert.
    plan = replace(
        plan,
        estimator=_resting(plan.estimator, end - begin),
        estimators={k: _resting(v, end - begin) for k, v in plan.estimators.items()},
    )
    engine = Engine(plan, recording.infos, recording.begin)
    whose = participant if participant in engine.pipelines else ""
    if whose not in engine.pipelines:
        codes = ", ".join(engine.pipelines)
        raise ValueError(
            f"this recording is of several participants: say whose, of {codes}"
        )
    part = engine.pipelines[whose]
    stage = part.estimator.stage
    if not isinstance(stage, Estimator) or not stage.experts:
        raise ValueError("no weights at hand read what is in this recording")
    markers = [
        single_event(MARKERS, begin, BASELINE_START),
        single_event(MARKERS, end, BASELINE_END),
    ]
    for _ in run(recording, plan, markers, engine):
        pass
    made = stage.calibration(part.estimator.state[0], participant)
    return made, _poor(made, end - begin) + _worn(begin - recording.begin)


def apply_calibrations(
    session: Session, calibrations: Sequence[Calibration]
) -> list[str]:
    """Have a session begin with what is known of its participants; return what cannot be.

    What an expert cannot use it does without, and the session says so.
    """
    said: list[str] = []
    for calibration in calibrations:
        parts = session.engine.pipelines
        part = parts.get(calibration.participant) or parts.get("")
        stage = part.estimator.stage if part is not None else None
        here = {i.info.participant for i in session.health.values()} - {""}
        if part is None or (here and calibration.participant not in here | {""}):
            names = ", ".join(sorted(here)) or "nobody it knows"
            said.append(
                f"the calibration is of {calibration.participant!r}; here is {names}"
            )
        elif isinstance(stage, Estimator):
            said += stage.refusals(part.aligner.info, calibration)
            session.inject(calibration.event(session.begin, part.participant))
    for text in said:
        session.inject(single_event(STATUS, session.begin, text))
    return said


def _resting(stage: Stage, seconds: float) -> Stage:
    return (
        replace(stage, baseline_seconds=seconds)
        if isinstance(stage, Estimator)
        else stage
    )


def _rest(
    recording: Recording, rest: tuple[float, float] | None
) -> tuple[float, float]:
    """Return from when to when the participant rested (s, session clock)."""
    last = recording.end
    if rest is not None:
        begin, end = (recording.begin + t for t in rest)
        if begin >= last:
            raise ValueError(
                f"a rest from {rest[0]:g} s on is not in this recording, which lasts "
                f"{recording.seconds:.0f} s"
            )
        return begin, min(end, last)
    found = recording.events.get(MARKERS.name)
    begins = _when(found, BASELINE_START)
    if not begins:
        raise ValueError(
            f"the recording has no marker {BASELINE_START!r}: name the resting baseline, "
            "from when to when, with --baseline"
        )
    ends = [t for t in _when(found, BASELINE_END) if t > begins[-1]]
    return begins[-1], min([*ends, begins[-1] + LONGEST, last])


def _when(events: Events | None, label: str) -> list[float]:
    if events is None:
        return []
    pairs = zip(events.times.tolist(), events.labels, strict=True)
    return [t for t, text in pairs if baseline_marker(text) == label]


def _poor(made: Calibration, seconds: float) -> list[str]:
    """Return a sentence on what the rest lacked; raise if that is everything."""
    lacking = [name for own in made.experts for name in _lacking(own, seconds)]
    every = [name for own in made.experts for name in own.columns]
    if len(lacking) == len(every):
        best = max(max(own.seconds, default=0.0) for own in made.experts)
        raise ValueError(
            f"the rest is too poor: of {seconds:.0f} s, no feature was there for more "
            f"than {best:.0f} s"
        )
    if not lacking:
        return []
    named = ", ".join(dict.fromkeys(lacking))
    return [
        f"missing for most of the rest, so measured against participants's means: {named}"
    ]


def _lacking(own: ExpertBaseline, seconds: float) -> list[str]:
    there = np.array(own.seconds) >= _SHARE * seconds
    return [name for name, ok in zip(own.columns, there, strict=True) if not ok]


def _worn(seconds: float) -> list[str]:
    if seconds >= WORN:
        return []
    return [
        f"the sensors were worn for {seconds / 60:.0f} min before the rest: ten "
        "minutes let electrodes and skin settle"
    ]
