"""Every door of a session with two participants: one check, one set of events."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from typer.testing import CliRunner

from physio.cli import app, session_folder
from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import Events, Item, event_stream, single_event
from physio.core.protocols import Command, Device, FastClock, Sink
from physio.core.recording import BASELINE_START
from physio.core.stage import Stage, State
from physio.io import xdf
from physio.online import remote_control
from physio.online.chain_runner import ChainConfig
from physio.online.commands import rating_commands
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session
from physio.sinks.xdf import Xdf
from physio.view.dashboard.commands import is_forbidden, parse_command
from physio.view.dashboard.figures.theme import THEMES
from physio.view.dashboard.participant import ParticipantPage
from physio.view.dashboard.session_state import SessionState
from physio.view.terminal.keyboard import Keys, command
from test_engine import Script, block

INFO = StreamInfo("a.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
STREAMS = tuple(
    replace(INFO, name=name, participant=code)
    for name, code in (("a.eda", "p1"), ("b.eda", "p2"))
)
UNADDRESSED = "a rating is one participant's: say whose, p1 or p2"
UNKNOWN = "nobody here is 'p3': there is p1, p2"


@dataclass(frozen=True)
class CountRatings(Stage):
    """The number of ratings and of baselines so far."""

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info.with_channels(None, Channel("ratings"), Channel("baselines"))

    def initial_state(self, info: StreamInfo) -> State:  # noqa: ARG002
        return np.zeros(2)

    def process(self, state: State, x: Array) -> Array:
        return np.tile(state, (len(x), 1))

    def on_events(self, state: State, events: Events) -> None:
        if events.info.name.startswith("session.ratings"):
            state[0] += len(events)
        elif BASELINE_START in events.labels:
            state[1] += 1


PLAN = PipelineConfig(
    {
        "p1.eda": ChainConfig("a.eda", participant="p1"),
        "p2.eda": ChainConfig("b.eda", participant="p2"),
    },
    estimator=CountRatings(),
)


@dataclass
class Dyad:
    """A session of two, recorded; ``at`` is called once, after a second."""

    folder: Path
    extra: tuple[Device, ...] = ()
    sinks: tuple[Sink, ...] = ()
    clock: FastClock = field(default_factory=FastClock)

    def run(self, at: Callable[[Session], Any] = lambda _: None) -> list[Item]:
        script = [((h + 1) / 2, block(i, 2 * h, 2)) for h in range(8) for i in STREAMS]
        devices = [Script(STREAMS, script, self.clock), *self.extra]
        recording = Xdf(self.folder, {"begin": "0.0"}, wait=True)
        sinks = [recording, *self.sinks]
        items: list[Item] = []
        with Session(PLAN, devices, sinks, self.clock, poll=0.1) as session:
            for item in session:
                items.append(item)
                if self.clock.now() >= 1.0 and at is not None:
                    at(session)
                    at = None  # type: ignore[assignment]
        return items

    def heard(self, items: Sequence[Item]) -> dict[str, tuple[int, int]]:
        """Return ratings and baselines that each estimator took in; check the file."""
        again = list(run(xdf.read(self.folder / "recording.xdf"), PLAN))
        for code in ("p1", "p2"):
            live, offline = (_estimates(i, code) for i in (items, again))
            np.testing.assert_array_equal(live, offline)
        last = {code: _estimates(items, code)[-1] for code in ("p1", "p2")}
        return {code: (int(row[0]), int(row[1])) for code, row in last.items()}


def _estimates(items: Sequence[Item], code: str) -> Array:
    return np.vstack([i.data for i in items if i.info.name == f"estimates.{code}"])


def status(items: Sequence[Item]) -> list[str]:
    told = [i for i in items if isinstance(i, Events)]
    return [x for i in told if i.info.name == "session.status" for x in i.labels]


def no_rating(folder: Path) -> bool:
    names = xdf.read(folder / "recording.xdf").events
    return not any(n.startswith("session.ratings.") for n in names) and not len(
        names.get("session.ratings", ())
    )


@dataclass
class Sent(Sink):
    """A sink through which others send commands, as the dashboard."""

    clock: FastClock
    wants: list[Command] = field(default_factory=list)
    replies: list[tuple[str, str]] = field(default_factory=list)

    def write(self, item: Item) -> None: ...

    def commands(self) -> list[Command]:
        due = self.wants if self.clock.now() >= 1.0 else []
        self.wants = [] if due else self.wants
        return due

    def reply(self, command: Command, refusal: str) -> None:
        self.replies.append((command.sender, refusal))


@dataclass
class Markers(Device):
    """A device that sends text markers of another program, as an LSL inlet."""

    clock: FastClock
    labels: list[str]
    participant: str = ""

    def __post_init__(self) -> None:
        self._commands: list[Command] = []

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return (event_stream("task.markers"),)

    @property
    def ended(self) -> bool:
        return True

    def read(self) -> list[Events]:
        if self.clock.now() < 1.0:
            return []
        now, labels, self.labels = self.clock.now(), self.labels, []
        events = [single_event(self.streams[0], now, label) for label in labels]
        for e in events:
            self._commands += rating_commands(e, self.participant)
        return events

    def commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands


BAD = [
    (Command("rate", 1.0, "sam", (0.5, 0.2, np.nan)), UNADDRESSED),
    (Command("rate", 1.0, "sam", (0.5, 0.2, np.nan), "p3"), UNKNOWN),
    (
        Command("rate", 1.0, "sam", (0.5, 2.0, np.nan), "p1"),
        "a rating lies from -1 to 1, not at 2",
    ),
    (Command("mark", 1.0, "sam 7 3 5"), UNADDRESSED),
    (
        Command("mark", 1.0, "sam 12", (), "p1"),
        "the scale goes from 1 to 9; 12 is not on it",
    ),
    (Command("mark", 1.0, "film", (), "p3"), UNKNOWN),
]


@pytest.mark.parametrize(("bad", "refusal"), BAD)
def test_python_is_refused_by_an_error(
    tmp_path: Path, bad: Command, refusal: str
) -> None:
    dyad = Dyad(tmp_path)

    def at(session: Session) -> None:
        with pytest.raises(ValueError, match=r".*") as error:
            session.execute(bad)
        assert str(error.value) == refusal

    assert dyad.heard(dyad.run(at)) == {"p1": (0, 0), "p2": (0, 0)}
    assert no_rating(tmp_path)


@pytest.mark.parametrize(("bad", "refusal"), BAD)
def test_a_viewer_is_refused_by_a_reply(
    tmp_path: Path, bad: Command, refusal: str
) -> None:
    clock = FastClock()
    page = Sent(clock, [bad._replace(sender="page 1")])
    dyad = Dyad(tmp_path, sinks=(page,), clock=clock)
    items = dyad.run()
    assert dyad.heard(items) == {"p1": (0, 0), "p2": (0, 0)}
    assert page.replies == [("page 1", refusal)]
    assert f"refused: {refusal}" in status(items)
    assert no_rating(tmp_path)


def test_a_good_rating_reaches_one_estimator_by_every_door(tmp_path: Path) -> None:
    clock = FastClock()
    page = Sent(clock, [Command("rate", 1.0, "sam", (0.5, 0.2, np.nan), "p2", "x")])
    inlet = Markers(clock, ["film 1", "sam 7 3 5"], "p2")
    typed = [command(key, 1.0) for key in Keys().press("msam 7 3 5\n")]
    entrance = remote_control.ControlSocket(tmp_path, clock)
    dyad = Dyad(tmp_path, (inlet, entrance), (page,), clock)

    def at(session: Session) -> None:
        session.rate(0.5, -0.5, label="sam", participant="p2")
        session.mark("sam 9", participant="p2")
        for c in typed:
            session.execute(c._replace(participant="p2"))
        session.mark(BASELINE_START, participant="p1")
        remote_control.send(
            tmp_path,
            json.dumps(
                {"command": "rate", "label": "sam", "values": [0.1, 0, 0],
                 "participant": "p2"}
            ),
        )  # fmt: skip

    items = dyad.run(at)
    assert page.replies == [("x", "")]
    assert not [x for x in status(items) if x.startswith("refused")]
    assert dyad.heard(items) == {"p1": (0, 1), "p2": (6, 0)}
    labels = [x for i in items if i.info.name == "task.markers" for x in i.labels]
    assert labels == ["film 1", "sam 7 3 5"]


def test_a_typed_rating_says_nothing_of_whom_and_is_refused(tmp_path: Path) -> None:
    dyad = Dyad(tmp_path)

    def at(session: Session) -> None:
        class Typed(Sent):
            def commands(self) -> list[Command]:
                return [command(key, 1.0) for key in Keys().press("msam 7 3 5\n2")]

        session.serve(Typed(dyad.clock))

    items = dyad.run(at)
    assert f"refused: {UNADDRESSED}" in status(items)
    marks = [x for i in items if i.info.name == "session.markers" for x in i.labels]
    assert marks == ["2"]
    assert dyad.heard(items) == {"p1": (0, 0), "p2": (0, 0)}


@pytest.mark.parametrize("label", ["sam 7 3 5", "sam 12", "rate 2"])
def test_a_marker_stream_is_refused_by_a_status_line(
    tmp_path: Path, label: str
) -> None:
    clock = FastClock()
    dyad = Dyad(tmp_path, (Markers(clock, [label, "sam smith"]),), clock=clock)
    items = dyad.run()
    assert len([x for x in status(items) if x.startswith("refused: ")]) == 1
    assert dyad.heard(items) == {"p1": (0, 0), "p2": (0, 0)}
    assert no_rating(tmp_path)
    # The marker itself is what another program sent: it is recorded.
    got = xdf.read(tmp_path / "recording.xdf").events["task.markers"]
    assert got.labels == (label, "sam smith")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with session_folder.fresh(tmp_path / "dyad", "") as made:
        session_folder.describe(made, {}, state="running")
        yield made


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (["rate", "7", "3", "5"], UNADDRESSED),
        (["rate", "0.5", "0.2", "nan", "--scale", "now"], UNADDRESSED),
        (["rate", "7", "--participant", "p3"], UNKNOWN),
        (["rate", "2", "--scale", "now", "--participant", "p1"],
         "a rating lies from -1 to 1, not at 2"),
        (["mark", "sam 7 3 5"], UNADDRESSED),
        (["mark", "film", "--participant", "p3"], UNKNOWN),
        (["rate", "7", "3", "5", "--participant", "p2"], ""),
        (["mark", "sam 7 3 5", "--participant", "p2"], ""),
    ],
)  # fmt: skip
def test_another_terminal_is_refused_with_status_2(
    folder: Path, line: list[str], refusal: str
) -> None:
    clock = FastClock()
    dyad = Dyad(folder, (remote_control.ControlSocket(folder, clock),), clock=clock)
    done: list[Future[Any]] = []

    def at(session: Session) -> None:
        """Let the other process go on until the session has answered it."""
        with ThreadPoolExecutor() as pool:
            arguments = [*line, "--session", str(folder)]
            done.append(pool.submit(CliRunner().invoke, app, arguments))
            while not done[0].done():
                session.serve(dyad.extra[0])

    items = dyad.run(at)
    result = done[0].result()
    rated = int(not refusal)
    assert dyad.heard(items) == {"p1": (0, 0), "p2": (rated, 0)}
    assert no_rating(folder) == bool(refusal)
    if refusal:
        assert isinstance(result.exception, ValueError)
        assert str(result.exception) == refusal
        assert f"refused: {refusal}" in status(items)
    else:
        assert result.exit_code == 0, result.output


def test_the_participant_sees_that_a_rating_was_refused() -> None:
    state = SessionState()
    sent: list[Command] = []

    @dataclass
    class Asked:
        rating_requests: int = 0

    asked = Asked()
    page = ParticipantPage(Document(), state, sent.append, THEMES["light"], asked, "p2")
    page.open()
    asked.rating_requests = 1
    message = {"kind": "rate", "values": {"valence": "0.5"}}
    page.inbox.data = {"command": [json.dumps(message)]}
    (command,) = sent
    assert (command.participant, command.sender) == ("p2", page.sender)
    state.update({"reply": ["another page", "not this one"]})
    state.update({"reply": [page.sender, "nobody here is 'p2' <b>"]})
    page.tick()
    text, shown = page.outbox.data["html"]
    assert "not taken: nobody here is &#x27;p2&#x27; &lt;b&gt;" in text
    assert "display:block" in shown
    page.inbox.data = {"command": [json.dumps({**message, "at": 1})]}
    state.update({"reply": [page.sender, ""]})
    page.tick()
    text, shown = page.outbox.data["html"]
    assert "not taken" not in text
    assert "display:none" in shown
    assert list(state.replies) == [("another page", "not this one")]


def test_a_page_sends_what_the_session_checks() -> None:
    """The page sends values and streams as they are: the session checks them."""
    state = SessionState()
    for message in (
        {"kind": "rate", "values": {"valence": 2}},
        {"kind": "rate", "values": {"valence": "inf"}},
        {"kind": "mute", "label": "head.none"},
    ):
        parsed = parse_command(
            {"command": [json.dumps(message)]}, state, 0.0, "p1", "me"
        )
        assert parsed is not None
        assert parsed.command.sender == "me"
        assert not is_forbidden(parsed, "control")
