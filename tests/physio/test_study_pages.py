"""The pages of a study: what the session takes from them, and what it refuses."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from physio.core.events import Events, event_stream
from physio.core.protocols import FastClock
from physio.core.recording import MARKERS, Recording
from physio.datasets.base import ConditionSpan
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.study.contrasts import RecordedSession
from physio.study.example_stimuli import browser_example
from physio.study.experimenter_view import ExperimenterView
from physio.study.page_link import PageLink, PageMessage
from physio.study.page_process import PART, StudyPages
from physio.study.page_runner import ONSETS, TIMING, PageRunner
from physio.study.page_state import study_overview
from physio.study.stimulus_table import stimulus_table
from physio.study.study_folder import Study

PAGE = "0123456789abcdef"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("pages") / "trial"
    with browser_example() as plan:
        study = Study.begin(root, plan)
    study.assign("p1")
    return Study.open(root)


class Taking:
    """A session's protocol, whose pages' messages the test gives itself."""

    def __init__(self, study: Study, *conditions: str, introduced: bool = True) -> None:
        self.clock = FastClock(100.0)
        self.progress: list[str] = []
        self.runner = PageRunner(
            study.design, conditions, self.clock,
            lambda event, **_: self.progress.append(event),
            stimuli=study.stimuli("p1"), introduced=introduced, participant="p1",
        )  # fmt: skip
        self.labels: list[str] = []
        self.onsets: list[tuple[float, str]] = []
        self.timing: list[np.ndarray] = []
        self.runner.__enter__()
        self.give("hello")

    def give(self, kind: str, role: str = "participant", **content: Any) -> None:
        """Give a message of a page, for the present step; collect what follows."""
        state = self.runner.participant_state()
        message = {"kind": kind, "page": PAGE, "turn": state["turn"], **content}
        self.runner._take_message(PageMessage(role, message, 0), self.clock.now())
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        self.clock.wait(seconds)
        for item in self.runner.read():
            if item.info == ONSETS:
                self.onsets.append((float(item.times[0]), item.labels[0]))
            elif item.info == TIMING:
                self.timing.append(item.data[0])
        self.labels += [command.label for command in self.runner.commands()]

    def show(self, seconds: float = 6.0, **timing: float) -> None:
        """Show a stimulus as the page does."""
        self.give("start", at=self.clock.now())
        self.wait(2.0)
        self.give("show")
        self.give("shown", at=self.clock.now() - 0.01, uncertainty=1.5, **timing)
        self.wait(seconds)
        self.give("hidden", at=self.clock.now())

    def answer(self, *values: float) -> None:
        for value in values:
            self.give("answer", value=value)

    @property
    def kind(self) -> str:
        return self.runner.step.kind


def test_a_session_is_marked_from_consent_to_thanks(study: Study) -> None:
    taking = Taking(study, "rest", "recovery", introduced=False)
    for kind in ("instructions", "consent"):
        assert taking.kind == kind
        taking.give("next" if kind == "instructions" else "consent", agreed=True)
    for _ in ("rest", "recovery"):
        taking.give("next")
        taking.give("start", at=taking.clock.now())
        taking.wait(30.0)
        assert taking.runner.remaining == pytest.approx(30.0)
        taking.wait(30.1)
        taking.answer(7, 3, 5)
    assert taking.kind == "thanks"
    taking.wait(25.0)
    assert taking.runner.ended
    answers = [f"answer sam {d}" for d in ("valence 7", "arousal 3", "dominance 5")]
    assert taking.labels == [
        "consent example-consent-1 agreed",
        "begin rest", "end rest", *answers, "sam",
        "begin recovery", "end recovery", *answers, "sam", "every condition was done",
    ]  # fmt: skip
    assert taking.progress.count("condition") == 2


def test_an_onset_has_the_time_of_its_frame_and_its_uncertainty(study: Study) -> None:
    taking = Taking(study, "pictures")
    taking.give("next")
    began = taking.clock.now()
    taking.show(frame=16.7, presented=8.0)
    name = study.stimuli("p1")["pictures"][0]
    assert taking.onsets == [
        (pytest.approx(began + 2.0 - 0.01), f"stimulus {name}"),
        (pytest.approx(began + 8.0), f"offset {name}"),
    ]
    np.testing.assert_allclose(taking.timing, [[1.5, 16.7, 8.0, 10.0]])
    taking.answer(2, 3, 4)
    assert taking.labels[0] == "begin pictures"
    assert taking.labels[1] == f"answer sam valence 2 for {name}"
    # A time that cannot be is replaced by that of the arrival, and not trusted.
    taking.give("start", at=1e9)
    taking.give("show")
    taking.give("shown", at=taking.clock.now() + 60, uncertainty=0.0)
    assert taking.onsets[-1][0] == taking.clock.now()
    assert np.isnan(taking.timing[-1][:3]).all()


def test_a_number_beyond_floats_is_missing(study: Study) -> None:
    taking = Taking(study, "pictures")
    taking.give("next")
    taking.give("start")
    taking.give("show")
    huge = {"uncertainty": 1e999, "frame": 10**400, "presented": -1e999}
    taking.give("shown", at=taking.clock.now(), **huge)
    assert np.isnan(taking.timing[-1][:3]).all()
    json.dumps(study_overview(taking.runner, taking.clock.now()), allow_nan=False)


def test_the_terminal_shows_a_pause_before_the_first_condition(study: Study) -> None:
    taking = Taking(study, "rest", introduced=False)
    with Session(PipelineConfig(), [taking.runner], (), taking.clock) as session:
        taking.runner.pause()
        drawn = ExperimenterView(taking.runner, session).render()
    output = StringIO()
    Console(file=output, width=80).print(drawn)
    assert "paused: p goes on" in output.getvalue()


def test_a_question_that_is_being_left_is_none(study: Study) -> None:
    """Another thread may draw between two changes of the session's."""
    taking = Taking(study, "rest")
    taking.runner.state = "asking"
    assert taking.runner.question is None
    taking.runner.questionnaires = ["sam"]
    taking.runner.answers = dict.fromkeys(("valence", "arousal", "dominance"), 5.0)
    assert taking.runner.question is None


def test_a_rating_belongs_to_one_run_of_a_condition(study: Study) -> None:
    taking = Taking(study, "sounds")
    runs = [taking.runner.participant_state()["run"]]
    for _ in range(2):
        taking.give("next")
        for _ in range(2):
            taking.show()
            runs.append(taking.runner.participant_state()["run"])
        taking.give("repeat", "experimenter")
    assert runs == [0, 1, 1, 2, 2]


def test_no_stimulus_is_shown_twice(study: Study) -> None:
    taking = Taking(study, "pictures")
    taking.give("next")
    first, second = study.stimuli("p1")["pictures"][:2]
    taking.give("start", at=taking.clock.now())
    taking.give("hello", page="another1")  # reloaded during the cross: nothing is lost
    assert taking.runner.step.file.name == first  # type: ignore[union-attr]
    taking.give("start", page="another1")
    taking.give("show", page="another1")
    taking.give("show", page="another1")  # the first reply was lost
    taking.give("hello", page="another1")
    assert taking.onsets == []
    taking.give("shown", page="another1", at=taking.clock.now())
    with pytest.raises(ValueError, match="was shown already"):
        taking.give("show", page="another1")
    taking.give("hello")  # reloaded during the stimulus
    assert taking.onsets[-1][1] == f"interrupted {first}"
    assert taking.kind == "questions"
    taking.answer(1)
    taking.give("hello", page="another2")  # reloaded during the questions
    assert taking.runner.participant_state()["question"]["number"] == 2
    taking.give("back", page="another2")
    for value in (2, 3, 4):
        taking.give("answer", value=value, page="another2")
    assert taking.runner.step.file.name == second  # type: ignore[union-attr]
    assert [label for label in taking.labels if label.startswith("begin")] == [
        "begin pictures"
    ]


def test_a_pause_waits_for_the_end_of_a_stimulus(study: Study) -> None:
    taking = Taking(study, "sounds")
    taking.give("next")
    taking.give("start")
    taking.give("show")
    taking.give("pause", "experimenter", on=True)
    assert taking.runner.state == "condition"
    taking.give("shown", at=taking.clock.now(), uncertainty=1.0)
    taking.give("hidden", at=taking.clock.now())
    assert taking.runner.state == "paused"
    with pytest.raises(ValueError, match="paused"):
        taking.give("start")
    taking.give("pause", "experimenter", on=True)  # said twice: nothing happens
    assert taking.runner.state == "paused"
    taking.give("pause", "experimenter", on=False)
    taking.show()
    assert taking.labels == ["begin sounds", "pause sounds", "continue sounds"]


def test_the_experimenter_notes_repeats_and_stops(study: Study) -> None:
    taking = Taking(study, "pictures", introduced=False)
    with pytest.raises(ValueError, match="no condition has begun"):
        taking.give("repeat", "experimenter")
    taking.give("next")
    taking.give("consent", agreed=True)
    taking.give("next")
    taking.show()
    taking.give("note", "experimenter", text="coughed\n\x1b[2J twice")
    taking.give("repeat", "experimenter")
    assert taking.kind == "ready"
    taking.give("next")
    taking.show()
    with pytest.raises(ValueError, match="is no command: pause, note, repeat or stop"):
        taking.give("mute", "experimenter")
    taking.give("stop", "experimenter", text="fire alarm")
    assert taking.labels[1:] == [
        "begin pictures", "note coughed[2J twice", "repeat pictures",
        "begin pictures", "stopped by the experimenter: fire alarm",
    ]  # fmt: skip


def test_a_refused_consent_ends_the_session(study: Study) -> None:
    taking = Taking(study, "rest", introduced=False)
    taking.give("next")
    taking.give("consent", agreed="yes")  # not the answer of the page's button
    assert taking.labels == [
        "consent example-consent-1 declined", "the participant did not consent",
    ]  # fmt: skip
    assert taking.kind == "thanks"
    text = taking.runner.participant_state()["text"]
    assert text == "You did not consent. Please call the experimenter."


def test_a_rating_is_taken_while_the_condition_is_rated(study: Study) -> None:
    taking = Taking(study, "sounds")
    with pytest.raises(ValueError, match="nothing is rated now"):
        taking.give("rating", values={"valence": 0.5})
    taking.give("next")
    taking.give("start")
    assert taking.runner.participant_state()["rate"][0]["high"] == "pleasant"
    for value in (0.5, 0.6):  # the second is too soon
        taking.give("rating", values={"valence": value}, at=taking.clock.now())
    for values in ({"arousal": 0.1}, {"valence": 3}, {"valence": "x"}, [0.1], None):
        with pytest.raises((ValueError, TypeError)):
            taking.give("rating", values=values)
    assert taking.labels.count("rating") == 1


def test_a_stimulus_that_cannot_be_decoded_pauses_the_session(study: Study) -> None:
    taking = Taking(study, "pictures")
    taking.give("next")
    taking.give("start")
    taking.give("show")
    taking.give("failed", text="bad\ndata " + 200 * "x")
    assert taking.onsets[-1][1].startswith("failed patterns/")
    assert len(taking.onsets[-1][1]) < 130
    assert taking.runner.state == "paused"


def test_the_table_of_stimuli_has_their_timing_and_their_answers() -> None:
    onsets = [(10.0, "stimulus a.png"), (12.0, "offset a.png"),
              (20.0, "stimulus b.png"), (21.0, "interrupted b.png"),
              (90.0, "stimulus a.png")]  # fmt: skip
    marks = [(9.0, "begin calm"), (14.0, "answer sam valence 7 for a.png"),
             (22.0, "answer sam valence 2 for b.png"), (30.0, "end calm"),
             (31.0, "answer sam valence 5")]  # fmt: skip
    events = {
        info.name: Events(
            info, 99.0, np.array([t for t, _ in rows]), np.empty((len(rows), 0)),
            tuple(label for _, label in rows),
        )
        for info, rows in ((ONSETS, onsets), (event_stream(MARKERS), marks))
    }  # fmt: skip
    timing = np.array([[1.5, 16.7, 8.0, 30.0]])
    events[TIMING.name] = Events(TIMING, 99.0, np.array([10.0]), timing, ("a.png",))
    recording = Recording({}, events, metadata={"begin": "5.0"})
    span = ConditionSpan("calm", 9.0, 30.0)
    table = stimulus_table([RecordedSession("p1", "p1-1", recording, [span], {})])
    assert table["stimulus"].tolist() == ["a.png", "b.png"]
    assert table["onset_s"].tolist() == [5.0, 15.0]
    assert table["sam.valence"].tolist() == [7.0, 2.0]
    np.testing.assert_array_equal(table["seconds"], [2.0, np.nan])
    np.testing.assert_array_equal(table["uncertainty_ms"], [1.5, np.nan])
    np.testing.assert_array_equal(table["presented_ms"], [8.0, np.nan])
    # The last run of a condition counts, in one recording or in two.
    span, again = ConditionSpan("calm", 9.0, 15.0), ConditionSpan("calm", 15.0, 30.0)
    sessions = [
        RecordedSession("p1", f"p1-{n}", recording, spans, {})
        for n, spans in enumerate(([span, again], [span]), 1)
    ]
    assert stimulus_table(sessions[:1])["stimulus"].tolist() == ["b.png"]
    assert stimulus_table(sessions)["stimulus"].tolist() == ["a.png"]


REFUSED: Mapping[str, dict[str, Any]] = {
    "a step that is over": {"kind": "next", "turn": 1},
    "another window": {"kind": "next", "page": "fedcba9876543210"},
    "no page": {"kind": "next", "page": None},
    "an answer without a question": {"kind": "answer", "value": 3},
    "a stimulus that is not due": {"kind": "shown", "at": 1.0},
    "the end of none": {"kind": "hidden"},
    "a pause": {"kind": "pause", "on": True},
    "a stop": {"kind": "stop"},
    "a note": {"kind": "note", "text": "x"},
    "a repetition": {"kind": "repeat"},
    "no kind": {"kind": None},
    "a kind that is none": {"kind": ["next"]},
    "a name that is none": {"kind": "hello", "page": "<script>"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_participant_can_only_answer_the_present_step(
    case: str, study: Study
) -> None:
    taking = Taking(study, "pictures")
    before = taking.runner.participant_state()
    with pytest.raises((ValueError, TypeError)):
        taking.give(**REFUSED[case])
    assert taking.runner.participant_state() == before
    assert taking.labels == []


@pytest.mark.parametrize(
    "value", [0, 10, 3.5, "3", True, None, 1e400, 10**400, float("nan")]
)
def test_an_answer_is_a_point_of_its_scale(value: Any, study: Study) -> None:
    taking = Taking(study, "pictures")
    taking.give("next")
    taking.show()
    with pytest.raises(ValueError, match=r"answer"):
        taking.give("answer", value=value)
    assert taking.runner.answers == {}
    with pytest.raises(ValueError, match="answers on the page, not here by 3"):
        taking.runner.take(3)


class Served:
    """The process of the pages, and requests to it as a browser sends them."""

    def __init__(self, link: PageLink) -> None:
        self.link = link
        address = link.urls["participant"]
        self.port = int(address.split(":")[2].partition("/")[0])

    def cookie(self, role: str) -> str:
        token = self.link.urls[role].partition("token=")[2]
        return f"physio-{self.port}-{role}={token}"

    def ask(self, path: str, content: Any = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; POST with content."""
        address = f"127.0.0.1:{self.port}"
        given = {"Host": address, "Origin": f"http://{address}"}
        given |= {"Content-Type": "application/json"} if content is not None else {}
        given |= {k.replace("_", "-"): v for k, v in headers.items()}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            method = "GET" if content is None else "POST"
            connection.request(method, path, None if content is None else body, given)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def served(study: Study) -> Iterator[Served]:
    files = study.design.stimulus_files
    clock = FastClock(50.0)
    with PageLink(clock, "trial", [*files["patterns"], *files["tones"]]) as link:
        state = {"turn": 3, "stimulus": {"number": 2}, "next": {"number": 3}}
        link.publish(
            participant={**state, "version": 1},
            experimenter={"secret": 1, "version": 1},
        )
        yield Served(link)


PATHS = {
    "participant": ("", "/state?version=", "/media?number=2", "/clock", "/event"),
    "experimenter": ("", "/state?version=", "/event"),
}
ROUTES = [(role, f"/{role}{rest}") for role, rests in PATHS.items() for rest in rests]


def test_the_table_has_every_route() -> None:
    first = {"title": "", "files": [], "clock": [0, 0, 1], "status": ""}
    routes = {route.path for route in StudyPages(first).site().routes}
    assert routes == {path.partition("?")[0] for _, path in ROUTES}


@pytest.mark.parametrize(("role", "path"), ROUTES)
def test_a_route_gives_nothing_to_those_who_may_not(
    role: str, path: str, served: Served
) -> None:
    other = "participant" if role == "experimenter" else "experimenter"
    good, nothing = served.cookie(role), (403, b"")
    content = {"kind": "x"} if path.endswith(("event", "clock")) else None
    for cookie in ("", "x", good[:-1], f"{good}x", served.cookie(other)):
        assert served.ask(path, content, Cookie=cookie) == nothing, cookie
    for origin in (
        "http://evil.example",
        "null",
        f"http://127.0.0.1:{served.port + 1}",
    ):
        assert served.ask(path, content, Cookie=good, Origin=origin) == nothing
    for host in ("evil.example", f"127.0.0.1:{served.port + 1}"):
        assert served.ask(path, content, Cookie=good, Host=host) == nothing
    for site in ("cross-site", "same-site"):
        hostile = served.ask(path, content, Cookie=good, Sec_Fetch_Site=site)
        assert hostile == nothing


def test_content_that_is_no_json_object_is_refused(served: Served) -> None:
    cookie = served.cookie("participant")
    for content in (b"[1]", b"{", b"\xff", b'{"a": NaN}', b"[" * 50_000):
        status, _ = served.ask("/participant/event", content, Cookie=cookie)
        assert status == 400
    form = "application/x-www-form-urlencoded"
    status, _ = served.ask(
        "/participant/event", b"a=b", Cookie=cookie, Content_Type=form
    )
    assert status == 415
    assert served.ask("/participant/clock", Cookie=cookie)[0] == 405


@pytest.mark.parametrize(
    "query",
    [
        "", "?number=0", "?number=4", "?number=-1", "?number=99", "?number=../x.toml",
        "?number=2&part=-1", "?number=2&part=99999999", "?number=2&part=x",
        "?number=+2",
    ],
)  # fmt: skip
def test_a_participant_reads_no_other_stimulus(query: str, served: Served) -> None:
    path = f"/participant/media{query}"
    status, body = served.ask(path, Cookie=served.cookie("participant"))
    assert status == 400
    assert b"does not belong to the present step" in body


def test_a_participant_reads_the_present_and_the_next_stimulus(
    served: Served,
) -> None:
    cookie = served.cookie("participant")
    for number in (2, 3):
        path = served.link.files[number].path
        query = f"/participant/media?number={number}"
        assert served.ask(query, Cookie=cookie) == (200, path.read_bytes()[:PART])
        assert served.ask(f"{query}&part=1", Cookie=cookie) == (200, b"")


def test_a_participant_sees_nothing_of_the_experimenters(served: Served) -> None:
    cookie = served.cookie("participant")
    status, body = served.ask("/participant/state?version=0", Cookie=cookie)
    assert status == 200
    assert b"secret" not in body
    status, _ = served.ask("/experimenter/state?version=0", Cookie=cookie)
    assert status == 403
    for path in ("/static/study/../page_link.py", "/static/study/..%2fpage_link.py"):
        assert served.ask(path, Cookie=cookie)[0] in (403, 404)


def test_a_message_reaches_the_session_with_its_role(served: Served) -> None:
    """The page cannot choose its role: the address decides."""
    from threading import Thread

    replies: list[tuple[int, bytes]] = []
    content = {"kind": "stop", "role": "experimenter"}

    def post() -> None:
        cookie = served.cookie("participant")
        replies.append(served.ask("/participant/event", content, Cookie=cookie))

    thread = Thread(target=post)
    thread.start()
    deadline = time.monotonic() + 20
    while not (messages := served.link.receive()) and time.monotonic() < deadline:
        time.sleep(0.01)
    (message,) = messages
    assert message.role == "participant"
    served.link.reply(message, "that is not yours to do")
    thread.join(20)
    assert replies == [(400, b'{"error": "that is not yours to do"}')]


def test_the_process_ends_with_the_session(tmp_path: Path) -> None:
    with PageLink(FastClock(), "trial", status=tmp_path / "none.json") as link:
        process = link._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() == 0
    assert link.closed


def test_a_port_in_use_is_one_sentence(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    link = PageLink(FastClock(), "trial", port=served.port)
    said = rf"did not start: port {served.port}: .*in use: take another with --port"
    with pytest.raises(OSError, match=said):
        link.__enter__()
    assert "Traceback" not in capfd.readouterr().err
