"""Content of the pages of a study: a question, and the experimenter's overview."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.study.questionnaires import Questionnaire
from physio.view.dashboard.figures.sam import manikin
from physio.view.labels import ENDS

if TYPE_CHECKING:
    from physio.study.page_runner import PageRunner

_FIGURES: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)


def participant_question(
    asked: Questionnaire, item: str, answered: int
) -> dict[str, Any]:
    """Return an item of a questionnaire as the participant's page shows it.

    Parameters
    ----------
    asked
        The questionnaire.
    item
        Name of the item.
    answered
        Number of answered items.
    """
    figures: list[str] = []
    anchors = asked.anchors
    if asked.kind == "sam" and item in DIMENSIONS:
        figures = [manikin(item, level) for level in _FIGURES]
        anchors = ENDS[item] if asked.name == "sam" else anchors
    return {
        "title": asked.title,
        "text": asked.items[item],
        "kind": asked.kind,
        "low": asked.low,
        "high": asked.high,
        "anchors": list(anchors),
        "labels": list(asked.labels),
        "number": answered + 1,
        "count": len(asked.items),
        "figures": figures,
    }


def rated_dimensions(names: Sequence[str]) -> list[dict[str, str]]:
    """Return the dimensions of a continuous rating, with the names of their ends."""
    return [{"name": n, "low": ENDS[n][0], "high": ENDS[n][1]} for n in names]


def study_overview(runner: "PageRunner", now: float) -> dict[str, Any]:
    """Return what the experimenter's page shows of a session.

    Parameters
    ----------
    runner
        The protocol.
    now
        The time (s, session clock).
    """
    step, question = runner.step, runner.question
    present = runner.link.present if runner.link is not None else {}
    uncertainty = [u for u in runner.uncertainties if not math.isnan(u)]
    return {
        "study": runner.design.study.name,
        "participant": runner.participant,
        "state": runner.state,
        "step": step.kind,
        "pause_due": runner.pause_due,
        "condition": step.condition,
        "conditions": list(runner.conditions),
        "index": runner.index,
        "over": runner.state == "over",
        "remaining": round(runner.remaining, 1),
        "file": step.file.name if step.file is not None else "",
        "about": step.about,
        "question": ""
        if question is None
        else f"{question[0].name}.{question[1]} "
        f"({len(runner.answers) + 1} of {len(question[0].items)})",
        "progress": round(1 - (len(runner.steps) - 1) / runner.n_steps, 3),
        "present": bool(present.get("participant")),
        "streams": _streams(runner, now),
        "log": [[round(now - at, 1), text] for at, text in runner.log],
        "onsets": runner.onsets,
        "uncertainty": float(np.median(uncertainty)) if uncertainty else None,
    }


def _streams(runner: "PageRunner", now: float) -> list[dict[str, Any]]:
    """Return state, rate, losses and age of each stream of the devices."""
    rows = []
    for name, health in runner.health.items():
        total = health.samples + health.lost
        age = now - health.received
        rows.append(
            {
                "name": name,
                "silent": health.silent,
                "rate": _finite(health.measured),
                "nominal": float(health.info.rate),
                "lost": health.lost / total if total else 0.0,
                "age": _finite(age),
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
