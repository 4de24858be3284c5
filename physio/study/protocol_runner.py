"""Protocol of a participant's session: conditions, each followed by questionnaires."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

from physio.core.affect import DIMENSIONS
from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device
from physio.inference.self_report import RATINGS, SAM, from_sam
from physio.online.session import MARKERS
from physio.study.design import Design
from physio.study.questionnaires import Questionnaire

BEGIN, END = "begin ", "end "
"""Beginning of the markers of a condition; its name follows."""

REPEAT: Final = "repeat "
"""Beginning of the marker of a repetition; the name of the condition follows."""

State = Literal["waiting", "condition", "asking", "break", "paused", "over"]
PAUSE: Final = 2.0  # s between two conditions
TAIL: Final = 20.0  # s after the last condition: delay of the last SCRs


@dataclass
class ProtocolRunner(Device):
    """A device that runs through conditions, marks them, and asks questionnaires.

    It marks ``begin NAME`` and ``end NAME`` of each condition. Answers become markers
    too, ``answer sam valence 7``, and those to the Self-Assessment Manikin also become
    a rating, so that the recording alone documents the session. After the last
    condition the device stops the session.

    Parameters
    ----------
    design
        The study's design.
    conditions
        Remaining conditions, in order.
    clock
        The session clock.
    on_progress
        Function called with the kind of progress and the condition: ``"begin"``,
        ``"condition"`` (completed), ``"answers"``.
    answer
        Function that returns the answers of a simulated participant to a condition and
        a questionnaire.
    """

    design: Design
    conditions: Sequence[str]
    clock: Clock
    on_progress: Callable[..., object] = field(
        default=lambda *_a, **_k: None, repr=False
    )
    answer: Callable[[str, Questionnaire], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        self.state: State = "waiting"
        self.index = -1  # of the present condition
        self.questionnaires: list[str] = []  # not yet answered
        self.answers: dict[str, float] = {}  # to the first of them
        self._since = 0.0
        self._seconds_remaining = 0.0  # remaining time of a paused condition (s)
        self._pending: list[Command] = []
        self._known: dict[str, Questionnaire] = {}

    def __enter__(self) -> Self:
        self._since = self.clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pending.clear()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of markers and ratings, which files contain even if empty."""
        return (MARKERS, RATINGS)

    @property
    def ended(self) -> bool:
        """True once all conditions are completed."""
        return self.state == "over" and not self._pending

    @property
    def condition(self) -> str:
        """The present condition, or the last one."""
        index = self.index  # another thread may draw
        begun = 0 <= index < len(self.conditions)
        return self.conditions[index] if begun else ""

    @property
    def remaining(self) -> float:
        """Remaining time of the present condition (s)."""
        if self.state not in ("condition", "break"):
            return self._seconds_remaining
        return max(0.0, self._since + self._seconds_remaining - self.clock.now())

    @property
    def question(self) -> tuple[Questionnaire, str] | None:
        """The questionnaire and the present item, if any, for any thread."""
        waiting, answers = list(self.questionnaires), dict(self.answers)
        if self.state != "asking" or not waiting:
            return None
        name = waiting[0]
        if name not in self._known:
            self._known[name] = self.design.questionnaire(name)
        questionnaire = self._known[name]
        item = next((i for i in questionnaire.items if i not in answers), None)
        return None if item is None else (questionnaire, item)

    def read(self) -> Sequence[Item]:
        """Advance the protocol to the present time; see `commands` for the output."""
        now = self.clock.now()
        last = self.index + 1 >= len(self.conditions) and self.index >= 0
        if self.state == "waiting" and now >= self._since + (TAIL if last else PAUSE):
            self._begin(now)
        elif self.state == "condition" and now >= self._since + self._seconds_remaining:
            self._end(now)
        if self.state == "asking" and self.answer is not None:
            while self.state == "asking":
                self._answer_all(now)
        return ()

    def commands(self) -> Sequence[Command]:
        """Return the markers and ratings since the last call."""
        commands, self._pending = self._pending, []
        return commands

    def pause(self) -> None:
        """Pause the condition, or continue it."""
        now = self.clock.now()
        if self.state == "condition":
            self._seconds_remaining = self.remaining
            self.state = "paused"
            self._mark(now, f"pause {self.condition}")
        elif self.state == "paused":
            self.state, self._since = "condition", now
            self._mark(now, f"continue {self.condition}")

    def take(self, value: float) -> None:
        """Take the answer to the present question.

        Raises
        ------
        ValueError
            If the answer is not on the item's scale, or there is no present question.
        """
        question = self.question
        if question is None:
            raise ValueError(f"there is no question now for the answer {value:g}")
        asked, item = question
        if not asked.low <= value <= asked.high:
            raise ValueError(
                f"{asked.name}.{item} is answered from {asked.low} to {asked.high}, "
                f"not by {value:g}"
            )
        now = self.clock.now()
        self._answer(now, asked, item, value)
        if len(self.answers) == len(asked.items):
            self._submit(now, asked)

    def _begin(self, now: float) -> None:
        self.index += 1
        if self.index >= len(self.conditions):
            self._end_session(now)
            return
        self.state, self._since = "condition", now
        self._seconds_remaining = self.design.conditions[self.condition].seconds
        self._mark(now, f"{BEGIN}{self.condition}")
        self.on_progress("begin", condition=self.condition)

    def _end_session(self, now: float) -> None:
        self.state = "over"
        self._pending.append(Command("stop", now, "every condition was done"))

    def _end(self, now: float) -> None:
        self._mark(now, f"{END}{self.condition}")
        self._seconds_remaining = 0.0
        condition = self.design.conditions[self.condition]
        self.questionnaires = list(condition.questionnaires)
        if self.questionnaires:
            self.state = "asking"
        else:
            self._complete(now)

    def _answer_all(self, now: float) -> None:
        """Answer a whole questionnaire for a simulated participant."""
        questionnaire = self.design.questionnaire(self.questionnaires[0])
        answers = self.answer(self.condition, questionnaire) if self.answer else {}
        questionnaire.check(answers)
        for item in questionnaire.items:
            self._answer(now, questionnaire, item, answers[item])
        self._submit(now, questionnaire)

    def _answer(
        self, now: float, questionnaire: Questionnaire, item: str, value: float
    ) -> None:
        self.answers[item] = value
        self._mark(now, f"answer {questionnaire.name} {item} {value:g}")

    def _submit(self, now: float, questionnaire: Questionnaire) -> None:
        """Close an answered questionnaire; for a SAM, record the rating."""
        if questionnaire.name == SAM:
            values = from_sam([self.answers.get(d, float("nan")) for d in DIMENSIONS])
            self._pending.append(Command("rate", now, SAM, tuple(values)))
        self.on_progress(
            "answers",
            condition=self.condition,
            questionnaire=questionnaire.name,
            answers=dict(self.answers),
        )
        self.answers = {}
        self.questionnaires.pop(0)
        if not self.questionnaires:
            self._complete(now)

    def _complete(self, now: float) -> None:
        self.on_progress("condition", condition=self.condition)
        self.state, self._since = "waiting", now

    def _mark(self, now: float, label: str) -> None:
        self._pending.append(Command("mark", now, label))
