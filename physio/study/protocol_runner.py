"""A participant's session: conditions one after another, questions between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from physio.core.block import StreamInfo
from physio.core.events import Events, single_event
from physio.core.protocols import Clock
from physio.inference import self_report
from physio.online.session import MARKERS
from physio.study.design import Design
from physio.study.questionnaires import Questionnaire, load

BEGIN, END = "begin ", "end "
"""What markers of a condition begin with; its name follows."""

State = Literal["waiting", "condition", "asking", "paused", "over"]
PAUSE: Final = 2.0  # s between two conditions
TAIL: Final = 20.0  # s behind the last: skin responses are told of so late


@dataclass
class ProtocolRunner:
    """A device that leads through conditions, marks them, and asks.

    It marks ``begin NAME`` and ``end NAME`` of each condition. Answers become markers
    too, ``answer sam valence 7``, and those to the self-assessment manikin a rating, so
    that the recording alone tells all of the session. When everything is done, it has
    ended.

    Parameters
    ----------
    design
        The study's plan.
    conditions
        Which are still to come, in order.
    clock
        The session clock.
    heard
        Is told what happened and of which condition, once it is so: ``"begin"``,
        ``"condition"`` (it was completed), ``"answers"``.
    answer
        Answers in the participant's place, where nobody sits: from the condition and
        the questionnaire.
    """

    design: Design
    conditions: Sequence[str]
    clock: Clock
    heard: Callable[..., object] = field(default=lambda *_a, **_k: None, repr=False)
    answer: Callable[[str, Questionnaire], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        self.state: State = "waiting"
        self.at = -1  # which condition it is
        self.asked: list[str] = []  # questionnaires still to be answered
        self.answers: dict[str, float] = {}  # to the first of them
        self._since = 0.0
        self._left = 0.0  # s that a paused condition still has
        self._out: list[Events] = []

    def __enter__(self) -> Self:
        self._since = self.clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.clear()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Markers and ratings."""
        return (MARKERS, self_report.RATINGS)

    @property
    def ended(self) -> bool:
        """Whether all conditions are done."""
        return self.state == "over" and not self._out

    @property
    def condition(self) -> str:
        """The condition that goes on, or was the last."""
        return self.conditions[self.at] if 0 <= self.at < len(self.conditions) else ""

    @property
    def remaining(self) -> float:
        """How much longer the present condition lasts (s)."""
        if self.state != "condition":
            return self._left
        return max(0.0, self._since + self._left - self.clock.now())

    @property
    def question(self) -> tuple[Questionnaire, str] | None:
        """What is asked now: the questionnaire, and its item."""
        if self.state != "asking":
            return None
        asked = load(self.asked[0])
        item = next(i for i in asked.items if i not in self.answers)
        return asked, item

    def read(self) -> Sequence[Events]:
        """Go on as far as it is time; return the markers of that."""
        now = self.clock.now()
        last = self.at + 1 >= len(self.conditions) and self.at >= 0
        if self.state == "waiting" and now >= self._since + (TAIL if last else PAUSE):
            self._begin(now)
        elif self.state == "condition" and now >= self._since + self._left:
            self._end(now)
        if self.state == "asking" and self.answer is not None:
            while self.state == "asking":
                self._answer_all(now)
        out, self._out = self._out, []
        return out

    def pause(self) -> None:
        """Pause the condition, or go on with it."""
        now = self.clock.now()
        if self.state == "condition":
            self._left = self.remaining
            self.state = "paused"
            self._mark(now, f"pause {self.condition}")
        elif self.state == "paused":
            self.state, self._since = "condition", now
            self._mark(now, f"continue {self.condition}")

    def take(self, value: float) -> None:
        """Take the answer to what is asked now.

        Raises
        ------
        ValueError
            If it is not on the item's scale, or nothing is asked.
        """
        question = self.question
        if question is None:
            raise ValueError(f"nothing is asked now: {value:g} answers no question")
        asked, item = question
        if not asked.low <= value <= asked.high:
            raise ValueError(
                f"{asked.name}.{item} is answered from {asked.low} to {asked.high}, "
                f"not by {value:g}"
            )
        now = self.clock.now()
        self.answers[item] = value
        self._mark(now, f"answer {asked.name} {item} {value:g}")
        if len(self.answers) == len(asked.items):
            self._answered(now, asked)

    def _begin(self, now: float) -> None:
        self.at += 1
        if self.at >= len(self.conditions):
            self.state = "over"
            return
        self.state, self._since = "condition", now
        self._left = self.design.conditions[self.condition].seconds
        self._mark(now, f"{BEGIN}{self.condition}")
        self.heard("begin", condition=self.condition)

    def _end(self, now: float) -> None:
        self._mark(now, f"{END}{self.condition}")
        self._left = 0.0
        self.asked = list(self.design.conditions[self.condition].questionnaires)
        if self.asked:
            self.state = "asking"
        else:
            self._over(now)

    def _answer_all(self, now: float) -> None:
        asked = load(self.asked[0])
        given = self.answer(self.condition, asked) if self.answer else {}
        asked.check(given)
        for item in asked.items:
            self.answers[item] = given[item]
            self._mark(now, f"answer {asked.name} {item} {given[item]:g}")
        self._answered(now, asked)

    def _answered(self, now: float, asked: Questionnaire) -> None:
        if asked.name == self_report.SAM:
            said = [self.answers.get(d, float(np.nan)) for d in self_report.DIMENSIONS]
            self._out.append(self_report.rating(now, self_report.from_sam(said)))
        self.heard("answers", condition=self.condition, questionnaire=asked.name,
                   answers=dict(self.answers))  # fmt: skip
        self.answers = {}
        self.asked.pop(0)
        if not self.asked:
            self._over(now)

    def _over(self, now: float) -> None:
        self.heard("condition", condition=self.condition)
        self.state, self._since = "waiting", now

    def _mark(self, now: float, label: str) -> None:
        self._out.append(single_event(MARKERS, now, label))
