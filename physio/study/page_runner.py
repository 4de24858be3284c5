"""Protocol of a session that a participant's page in the browser presents."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Channel, StreamInfo
from physio.core.events import Events, Item, event_stream, single_event
from physio.core.protocols import Command
from physio.inference.self_report import CONTINUOUS
from physio.online.stream_health import StreamHealth
from physio.study.page_link import PageLink, PageMessage
from physio.study.page_state import (
    participant_question,
    rated_dimensions,
    study_overview,
)
from physio.study.page_steps import PageStep, condition_steps, session_steps
from physio.study.protocol_runner import (
    BEGIN,
    END,
    REPEAT,
    TAIL,
    ProtocolRunner,
    State,
)
from physio.study.questionnaires import Questionnaire

ONSETS: Final = event_stream("page.onsets")
"""Markers of stimuli, ``stimulus NAME`` and ``offset NAME``, at the frame."""

TIMING: Final = event_stream(
    "page.timing",
    Channel("uncertainty", unit="ms"),
    Channel("frame", unit="ms"),
    Channel("presented", unit="ms"),
    Channel("arrival", unit="ms"),
)
"""Timing of each onset: uncertainty of the page's clock on the session clock, time to
the next frame, time to the presentation that the browser reports, and time to the
arrival of the marker. NaN where the browser does not report it."""

_STATE: Final = 0.5  # s between two states for the experimenter
_LATE: Final = 10.0  # s that a marker may take from the page
_RATINGS: Final = 0.15  # s between two continuous ratings
_LOG: Final = 40  # lines of the experimenter's log
_NOTE: Final = 300  # characters of a note
_DECLINED: Final = "You did not consent. Please call the experimenter."

_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "instructions": ("next",),
    "consent": ("consent",),
    "ready": ("next",),
    "timed": ("start",),
    "stimulus": ("start", "show", "shown", "hidden", "failed"),
    "questions": ("answer", "back"),
    "break": ("start", "next"),
    "thanks": ("start",),
}
"""Messages that a participant's page may send in each step."""


@dataclass
class PageRunner(ProtocolRunner):
    """A device that runs through a participant's steps as their page presents them.

    The page reports each onset with the session time of its frame; the session decides
    on all else. A stimulus is granted to one page, again as long as it was not shown,
    as after a lost reply: if that page is reloaded, the next step follows. A reload at
    any other step returns to it, with its answers.

    Parameters
    ----------
    link
        The process that serves the pages.
    stimuli
        Names of the stimuli of each condition, in the participant's order.
    introduced
        True if instructions and consent were completed in an earlier session.
    participant
        Code of the participant, for the experimenter.
    """

    link: PageLink | None = None
    stimuli: Mapping[str, Sequence[str]] = field(default_factory=dict)
    introduced: bool = False
    participant: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = session_steps(
            self.design, self.conditions, self.stimuli, introduced=self.introduced
        )
        self.steps: deque[PageStep] = deque(steps)
        self.n_steps = len(steps)
        self.health: Mapping[str, StreamHealth] = {}
        self.log: deque[tuple[float, str]] = deque(maxlen=_LOG)
        self.onsets = 0
        self.uncertainties: deque[float] = deque(maxlen=1000)  # ms
        self.pause_due = False
        self._resumed: State = "waiting"  # state after a pause
        self._turn, self._page = 1, ""
        self._run = 0  # number of conditions that began, repetitions included
        self._started = self._granted = self._is_shown = False
        self._events: list[Events] = []
        self._published: tuple[float, Any] = (-np.inf, None)
        self._version = 0
        self._last_onset, self._last_rating = -np.inf, -np.inf
        self._reported = False

    def __enter__(self) -> Self:
        super().__enter__()
        self._enter_step(self._since)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if self.link is not None:
            self.link.publish(ended="The session is over. Thank you.")

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of markers, ratings and onsets, which files contain even if empty."""
        return (*super().streams, ONSETS, TIMING)

    @property
    def step(self) -> PageStep:
        """The present step; the last one is the thanks."""
        return self.steps[0]

    def read(self) -> Sequence[Item]:
        """Take the messages of the pages, advance, and return the onsets."""
        now = self.clock.now()
        for message in self.link.receive() if self.link is not None else ():
            refusal = ""
            try:
                self._take_message(message, now)
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                refusal = str(error) or type(error).__name__
            if self.link is not None:
                self.link.reply(message, refusal)
        self._advance(now)
        self._publish(now)
        events, self._events = self._events, []
        return events

    def notices(self) -> Sequence[str]:
        """Return a sentence if the pages have stopped."""
        if self.link is None or not self.link.closed or self._reported:
            return ()
        self._reported = True
        return ["the study's pages have stopped: end the session and run it again"]

    def pause(self) -> None:
        """Pause before the next step, or at once without a stimulus; or continue."""
        now = self.clock.now()
        if self.state == "paused":
            self.state, self._since = self._resumed, now
            self._mark(now, f"continue {self.condition}".strip())
        elif self.step.kind == "stimulus" and self._granted:
            self.pause_due = not self.pause_due
        elif self.state != "over":
            self._pause(now)

    def take(self, value: float) -> None:
        """Refuse an answer from the terminal.

        Raises
        ------
        ValueError
            Always: answers come from the participant's page.
        """
        raise ValueError(f"the participant answers on the page, not here by {value:g}")

    def repeat(self) -> None:
        """Repeat the present condition from its beginning.

        Raises
        ------
        ValueError
            If no condition has begun.
        """
        name, now = self.step.condition, self.clock.now()
        if not name:
            raise ValueError("no condition has begun that could be repeated")
        self._interrupt_stimulus(now)
        while self.step.condition == name and self.step.kind != "break":
            self.steps.popleft()
        again = condition_steps(self.design, name, self.stimuli.get(name, ()))
        self.steps.extendleft(reversed(again))
        self.n_steps += len(again)
        self._mark(now, f"{REPEAT}{name}")
        self.pause_due = False
        self._enter_step(now)

    def stop(self, reason: str) -> None:
        """End the session; what it recorded is kept."""
        self._pending.append(Command("stop", self.clock.now(), reason))

    def participant_state(self) -> dict[str, Any]:
        """Return the content of the participant's page."""
        step = self.step
        planned = self.design.conditions.get(step.condition)
        is_rated = self.state == "condition"
        state: dict[str, Any] = {
            "turn": self._turn,
            "kind": step.kind,
            "paused": self.state == "paused",
            "text": step.text,
            "speed": self.clock.speed,
            "progress": round(1 - (len(self.steps) - 1) / self.n_steps, 3),
            "rate": rated_dimensions(planned.rate) if planned and is_rated else [],
            "run": self._run,
            "begun": self._started,
        }
        if step.kind in ("timed", "break") and self._started:
            state["ends"] = self._since + self._seconds_remaining
        if planned is not None and step.kind == "timed":
            state["show"] = planned.show
        if step.file is not None and planned is not None:
            gap = self.design.stimuli[planned.stimuli].gap
            state["stimulus"] = {**self._media(step), "gap": gap}
        following = next((s for s in list(self.steps)[1:] if s.file is not None), None)
        if following is not None:
            state["next"] = self._media(following)
        if self.question is not None:
            asked, item = self.question
            state["question"] = participant_question(asked, item, len(self.answers))
        return state

    def _media(self, step: PageStep) -> dict[str, Any]:
        """Return the number of a stimulus for its page, its type and duration."""
        if step.file is None or self.link is None:
            return {}
        number = list(self.link.files).index(step.file)
        kind, media = step.file.kind, step.file.type
        return {"number": number, "kind": kind, "type": media, "seconds": step.seconds}

    def _publish(self, now: float) -> None:
        """Send the states of the pages when they change."""
        if self.link is None:
            return
        at, before = self._published
        participant = self.participant_state()
        changed = participant != before
        if not changed and now - at < _STATE * self.clock.speed:
            return
        self._version += 1
        note: dict[str, Any] = {
            "experimenter": {**study_overview(self, now), "version": self._version}
        }
        if changed:
            note["participant"] = {**participant, "version": self._version}
        if self.link.publish(**note):
            self._published = (now, participant)

    def _take_message(self, message: PageMessage, now: float) -> None:
        """Carry out a message of a page; ValueError if it may not be sent now."""
        content = message.content
        kind = content.get("kind")
        if message.role == "experimenter":
            self._control(kind, content, now)
            return
        if kind == "hello":
            self._greet(content, now)
            return
        if content.get("page") != self._page:
            raise ValueError("the study goes on in another window: close this one")
        if kind == "rating":
            self._take_rating(content, now)
            return
        if content.get("turn") != self._turn:
            raise ValueError("this step is over")
        if kind not in _EVENTS[self.step.kind]:
            raise ValueError(f"{kind!r} is no answer to the present step")
        if self.state == "paused":
            raise ValueError("the study is paused")
        self._take_event(str(kind), content, now)

    def _control(self, kind: Any, content: Mapping[str, Any], now: float) -> None:
        """Carry out a message of the experimenter's page."""
        text = str(content.get("text", ""))[:_NOTE]
        text = "".join(c for c in text if c.isprintable()).strip()
        if kind == "pause":
            if bool(content.get("on")) != (self.state == "paused" or self.pause_due):
                self.pause()
        elif kind == "note" and text:
            self._mark(now, f"note {text}")
        elif kind == "repeat":
            self.repeat()
        elif kind == "stop":
            self.stop("stopped by the experimenter" + (f": {text}" if text else ""))
        else:
            raise ValueError(f"{kind!r} is no command: pause, note, repeat or stop")

    def _greet(self, content: Mapping[str, Any], now: float) -> None:
        """Let a page take over; a stimulus that was granted is not shown again."""
        page = content.get("page")
        if not (isinstance(page, str) and 8 <= len(page) <= 64 and page.isalnum()):
            raise ValueError("a page must name itself by 8 to 64 letters and digits")
        again = self._page not in ("", page)
        self._page = page
        if again:
            self._mark(now, "page reloaded")
            if self._interrupt_stimulus(now):
                self._finish(now)

    def _interrupt_stimulus(self, now: float) -> bool:
        """Mark the interruption of a stimulus that was granted; return if it was."""
        file = self.step.file
        if file is None or not self._granted:
            return False
        self._add_onset(now, f"interrupted {file.name}")
        return True

    def _take_event(self, kind: str, content: Mapping[str, Any], now: float) -> None:
        at, uncertainty = self._page_time(content, now)
        step, file = self.step, self.step.file
        if kind == "start":
            if not self._started:
                self._start(at)
        elif kind == "next":
            self._finish(now)
        elif kind == "consent":
            self._take_consent(content.get("agreed") is True, now)
        elif kind == "answer":
            self._take_answer(content.get("value"))
        elif kind == "back":
            if not self.answers:
                raise ValueError("this is the first question")
            self.answers.popitem()
            self._turn += 1
        elif kind == "show":
            if self._is_shown:
                raise ValueError("this stimulus was shown already")
            if not self._started:
                raise ValueError("this step has not started")
            self._granted = True
        elif not self._granted or file is None:
            raise ValueError("this stimulus was not granted")
        elif kind == "shown" and not self._is_shown:
            self._is_shown = True
            self._add_onset(at, f"stimulus {file.name}")
            row = [
                uncertainty,
                _number(content, "frame"),
                _number(content, "presented"),
            ]
            self.onsets += 1
            self.uncertainties.append(uncertainty)
            arrival = 1e3 * (now - at)
            time = self._last_onset
            self._events.append(single_event(TIMING, time, file.name, *row, arrival))
        elif kind == "failed":
            reason = "".join(c for c in str(content.get("text")) if c.isprintable())
            self._add_onset(now, f"failed {file.name}: {reason[:80]}")
            self._note(now, f"{file.name} was not shown: {reason[:80]}")
            self.pause_due = True
            self._finish(now)
        elif kind == "hidden" and self._is_shown:
            self._add_onset(at, f"offset {file.name}")
            self._finish(now, at if step.ends else None)

    def _take_consent(self, agreed: bool, now: float) -> None:  # noqa: FBT001
        """Record the participant's decision; a refusal ends the session."""
        decision = "agreed" if agreed else "declined"
        self._mark(now, f"consent {self.design.study.consent} {decision}")
        self.on_progress("consent", agreed=agreed, text=self.design.study.consent_text)
        if agreed:
            self._finish(now)
            return
        self.steps = deque([PageStep("thanks", text=_DECLINED)])
        self._enter_step(now)
        self.stop("the participant did not consent")

    def _take_answer(self, value: Any) -> None:
        number = _number({"value": value}, "value")
        if math.isnan(number):
            raise ValueError(f"an answer is a number, not {repr(value)[:40]}")
        question = self.question
        whole = question is not None and question[0].kind != "visual analogue"
        if whole and not number.is_integer():
            raise ValueError(f"an answer is a whole number, not {number:g}")
        super().take(number)
        self._turn += 1

    def _take_rating(self, content: Mapping[str, Any], now: float) -> None:
        """Record a continuous rating, if the present condition is rated."""
        planned = self.design.conditions.get(self.step.condition)
        values = content.get("values")
        if planned is None or not planned.rate or self.state != "condition":
            raise ValueError("nothing is rated now")
        if not isinstance(values, dict) or set(values) != set(planned.rate):
            raise ValueError(f"a rating has values of {', '.join(planned.rate)}")
        numbers = {name: float(value) for name, value in values.items()}
        if not all(-1 <= v <= 1 for v in numbers.values()):
            raise ValueError("a rating lies from -1 to 1")
        at, _ = self._page_time(content, now)
        if at - self._last_rating < _RATINGS * self.clock.speed:
            return
        self._last_rating = at
        row = tuple(numbers.get(d, math.nan) for d in DIMENSIONS)
        self._pending.append(Command("rate", at, CONTINUOUS, row))

    def _page_time(self, content: Mapping[str, Any], now: float) -> tuple[float, float]:
        """Return the session time that a page states (s), and its uncertainty (ms).

        A time that is impossible is replaced by that of the arrival, and its
        uncertainty is NaN.
        """
        at, uncertainty = _number(content, "at"), _number(content, "uncertainty")
        speed = self.clock.speed
        if not now - _LATE * speed <= at <= now + 0.05 * speed:
            return now, math.nan
        return min(at, now), uncertainty if uncertainty >= 0 else math.nan

    def _advance(self, now: float) -> None:
        """Leave a step whose time is over."""
        kind, over = self.step.kind, now >= self._since + self._seconds_remaining
        if kind == "timed" and self.state == "condition" and over:
            self._finish(now, self._since + self._seconds_remaining)
        elif kind == "break" and self.state == "break" and over:
            self._finish(now)
        elif kind == "thanks" and self.state == "waiting" and now >= self._since + TAIL:
            self._end_session(now)

    def _start(self, at: float) -> None:
        """Begin the present step, and its condition if it is the first of it."""
        step = self.step
        self._started = True
        if step.begins:
            self._run += 1
            self._mark(at, f"{BEGIN}{step.condition}")
            self.on_progress("begin", condition=step.condition)
        if step.kind in ("timed", "stimulus", "break"):
            self.state = "break" if step.kind == "break" else "condition"
            self._since, self._seconds_remaining = at, step.seconds
            if step.kind == "break":
                self._mark(at, "break")

    def _finish(self, now: float, ended: float | None = None) -> None:
        """Leave the present step at ``now``, and enter the next one."""
        step = self.steps.popleft()
        self._seconds_remaining = 0.0
        if step.ends:
            self._mark(now if ended is None else ended, f"{END}{step.condition}")
        following = self.steps[0]
        is_last = following.condition != step.condition or following.kind == "break"
        if step.condition and step.kind != "break" and is_last:
            self.on_progress("condition", condition=step.condition)
        self._enter_step(now)
        if self.pause_due and self.step.kind != "thanks":
            self.pause_due = False
            self._pause(now)

    def _enter_step(self, now: float) -> None:
        """Prepare the present step."""
        step = self.step
        self._turn += 1
        self._started = self._granted = self._is_shown = False
        self._since, self.state = now, "waiting"
        self.answers, self.questionnaires = {}, []
        if step.condition:
            self.index = list(self.conditions).index(step.condition)
        if step.kind == "questions":
            self.questionnaires, self.state = [step.questionnaire], "asking"

    def _pause(self, now: float) -> None:
        self._seconds_remaining = self.remaining
        self._resumed, self.state = self.state, "paused"
        self._mark(now, f"pause {self.condition}".strip())

    def _answer(
        self, now: float, questionnaire: Questionnaire, item: str, value: float
    ) -> None:
        super()._answer(now, questionnaire, item, value)
        if self.step.about:  # an answer about a stimulus is none about the condition
            command = self._pending.pop()
            label = f"{command.label} for {self.step.about}"
            self._pending.append(command._replace(label=label))

    def _complete(self, now: float) -> None:
        self._finish(now)

    def _add_onset(self, at: float, label: str) -> None:
        """Add a marker of a stimulus, never before the last one."""
        self._last_onset = max(at, self._last_onset)
        self._events.append(single_event(ONSETS, self._last_onset, label))
        self._note(at, label)

    def _add_timing(
        self, name: str, uncertainty: float, content: Mapping[str, Any], arrival: float
    ) -> None:
        """Add the timing of the last onset (ms): see `TIMING`."""
        self.onsets += 1
        self.uncertainties.append(uncertainty)
        measured = (_number(content, key) for key in ("frame", "presented"))
        row = (uncertainty, *measured, arrival)
        self._events.append(single_event(TIMING, self._last_onset, name, *row))

    def _mark(self, now: float, label: str) -> None:
        super()._mark(now, label)
        self._note(now, label)

    def _note(self, at: float, text: str) -> None:
        self.log.append((at, text))


def _number(content: Mapping[str, Any], key: str) -> float:
    """Return a finite number of a message; NaN if there is none."""
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:  # an integer beyond floats
        return math.nan
