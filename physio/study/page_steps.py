"""Steps of a participant's page, from the instructions to the thanks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from physio.study.design import Design
from physio.study.stimuli import StimulusFile

StepKind = Literal[
    "instructions", "consent", "ready", "timed", "stimulus", "questions", "break",
    "thanks",
]  # fmt: skip


class PageStep(NamedTuple):
    """A step of a session on the participant's page.

    Parameters
    ----------
    kind
        ``instructions``, ``consent``, ``ready`` (the prompt, until the participant goes
        on), ``timed`` (a condition without stimuli), ``stimulus``, ``questions``,
        ``break`` or ``thanks``.
    condition
        Name of the condition; empty before the first one.
    text
        Text that is shown.
    seconds
        Duration (s); 0 until the participant goes on.
    file
        The stimulus.
    questionnaire
        Name of the questionnaire.
    about
        Name of the stimulus that the questionnaire is about; empty for the condition.
    begins, ends
        True for the first and the last step of a condition.
    """

    kind: StepKind
    condition: str = ""
    text: str = ""
    seconds: float = 0.0
    file: StimulusFile | None = None
    questionnaire: str = ""
    about: str = ""
    begins: bool = False
    ends: bool = False


def session_steps(
    design: Design,
    conditions: Sequence[str],
    stimuli: Mapping[str, Sequence[str]],
    *,
    introduced: bool = False,
) -> list[PageStep]:
    """Return the steps of a session.

    Parameters
    ----------
    design
        The plan.
    conditions
        Conditions that the participant has not completed, in order.
    stimuli
        Names of the stimuli of each condition, in the participant's order.
    introduced
        True if instructions and consent were completed in an earlier session.
    """
    steps = []
    if not introduced:
        if instructions := design.text("instructions"):
            steps.append(PageStep("instructions", text=instructions))
        if consent := design.text("consent_text"):
            steps.append(PageStep("consent", text=consent))
    for condition in conditions:
        steps += condition_steps(design, condition, stimuli.get(condition, ()))
        pause = design.conditions[condition].break_seconds
        if pause and condition != conditions[-1]:
            steps.append(PageStep("break", condition, seconds=pause))
    return [*steps, PageStep("thanks")]


def condition_steps(
    design: Design, condition: str, stimuli: Sequence[str]
) -> list[PageStep]:
    """Return the steps of a condition, questionnaires included."""
    planned = design.conditions[condition]
    inner = list(_inner_steps(design, condition, stimuli))
    inner[0] = inner[0]._replace(begins=True)
    inner[-1] = inner[-1]._replace(ends=True)
    ready = [PageStep("ready", condition, planned.prompt)] if planned.prompt else []
    after = [
        PageStep("questions", condition, questionnaire=name)
        for name in planned.questionnaires
    ]
    return [*ready, *inner, *after]


def _inner_steps(
    design: Design, condition: str, stimuli: Sequence[str]
) -> Iterator[PageStep]:
    """Yield the steps between the markers of a condition."""
    planned = design.conditions[condition]
    if not planned.stimuli:
        yield PageStep("timed", condition, planned.prompt, planned.seconds)
        return
    files = {file.name: file for file in design.stimulus_files[planned.stimuli]}
    for name in stimuli:
        seconds = files[name].seconds
        yield PageStep("stimulus", condition, seconds=seconds, file=files[name])
        for asked in design.stimuli[planned.stimuli].questionnaires:
            yield PageStep("questions", condition, questionnaire=asked, about=name)
