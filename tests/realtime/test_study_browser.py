"""A study in a real browser: two participants to the end, and the time of onsets."""

import base64
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.recording import MARKERS, RATINGS, Recording
from physio.datasets.open_recording import read
from physio.offline.conditions import recorded_conditions
from physio.study.contrasts import completed_conditions, read_sessions
from physio.study.example_stimuli import EXAMPLE, write_stimuli
from physio.study.page_process import STATIC
from physio.study.page_rehearsal import SimulatedParticipant
from physio.study.stimulus_table import stimulus_table
from physio.study.study_folder import Study
from study_session import Presented, until

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 45_000  # ms: the machine may be busy with all else
sync_api = pytest.importorskip("playwright.sync_api")

PLAN = """
[study]
name = "all"
participants = 2
consent = "c-1"
session = "session.toml"
preflight = false
instructions = "instructions.txt"
consent_text = "consent.txt"
[conditions.rest]
seconds = 6
show = "cross"
prompt = "Look at the cross."
place = "first"
questionnaires = ["sam"]
break_seconds = 60
[conditions.pictures]
stimuli = "patterns"
prompt = "Look at the patterns."
questionnaires = ["mood"]
[conditions.sounds]
stimuli = "tones"
rate = ["valence"]
questionnaires = ["effort"]
[conditions.clip]
stimuli = "clip"
rate = ["valence", "arousal"]
[conditions.recovery]
seconds = 6
show = "countdown"
place = "last"
[stimuli.patterns]
files = ["patterns/sea-*.png"]
seconds = 4
questionnaires = ["sam"]
[stimuli.tones]
files = ["tones/low.wav", "tones/high.wav"]
order = "balanced"
[stimuli.clip]
files = ["clip.webm"]
seconds = 4
"""
MOOD = """
[questionnaire]
title = "Mood"
low = 1
high = 3
anchors = ["no", "yes"]
labels = ["not at all", "a little", "very much"]
[items]
calm = "Are you calm?"
awake = "Are you awake?"
"""
EFFORT = """
[questionnaire]
title = "Effort"
kind = "visual analogue"
anchors = ["none", "much"]
[items]
effort = "How much effort was it?"
"""
RECORD = """async () => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  canvas.width = 320; canvas.height = 240;
  const type = {mimeType: "video/webm"};
  const recorder = new MediaRecorder(canvas.captureStream(25), type);
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  for (let i = 0; i < 25; i++) {
    pen.fillStyle = `hsl(${10 * i}, 60%, 50%)`;
    pen.fillRect(0, 0, 320, 240);
    await new Promise((done) => setTimeout(done, 40));
  }
  await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}"""
PAD = """navigator.getGamepads = () => [null,
  {axes: [Math.min(0.5, performance.now() / 1e5 + 0.4), -0.25, 0, 0]}];"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Study:
    plan = tmp_path_factory.mktemp("plan")
    write_stimuli(plan, 3.0)
    page = browser.new_page()
    (plan / "clip.webm").write_bytes(base64.b64decode(page.evaluate(RECORD)))
    page.close()
    for name, text in (
        ("study.toml", PLAN), ("mood.toml", MOOD), ("effort.toml", EFFORT),
        ("session.toml", ""), ("instructions.txt", "Sit.\n\nLook."),
        ("consent.txt", "<b>I</b> take part."),
    ):  # fmt: skip
        (plan / name).write_text(text, "utf-8")
    root = tmp_path_factory.mktemp("study") / "all"
    study = Study.begin(root, plan / "study.toml")
    for code in ("p1", "p2"):
        study.assign(code)
    return Study.open(root)


def violations(page: Any) -> list[str]:
    """Return the serious findings of axe-core on a page."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{rule['id']} {rule['nodes'][0]['html']}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


class Watched(SimulatedParticipant):
    """A participant on a page that is looked at in every kind of step."""

    def __init__(self, page: Any, code: str, steps: dict[str, Callable[[], None]]):
        super().__init__(page, code)
        self.steps, self.counts = steps, Counter[str]()
        self.problems: list[str] = []

    def present(self) -> str:
        for kind in ("text", "timed", "question", "stimulus", "pause", "over"):
            if self.page.locator(f"#{kind}").is_visible():
                return kind
        return ""

    def act(self) -> str:
        kind = self.present()
        if self.page.locator("#rating").is_visible():
            kind = "rating"
        if kind == "question":
            kind = str(self.page.locator("legend").inner_text())
        self.counts[kind] += 1
        if self.counts[kind] == 1 and kind:
            self.look(kind)
        if kind in self.steps:
            self.steps.pop(kind)()
        return super().act()

    def look(self, kind: str) -> None:
        """Note what is clipped, too small to touch, or no match for axe-core."""
        found = self.page.evaluate("""() => [...document.querySelectorAll(
          "button, input:not(.visually-hidden, .point *), label.point, p, h1, legend")]
          .filter((e) => e.checkVisibility()).map((e) => {
            const b = e.getBoundingClientRect();
            return [e.id || e.className || e.tagName, e.matches("button, label, input"),
              b.left, b.right, b.width, b.height, innerWidth,
              e.scrollWidth > e.clientWidth + 1 && !e.matches("input")];
          })""")
        for name, is_target, left, right, wide, high, width, is_cut in found:
            if left < 0 or right > width or is_cut:
                self.problems.append(f"{kind}: {name} is clipped")
            if is_target and min(wide, high) < 44:
                self.problems.append(f"{kind}: {name} is {wide:.0f} x {high:.0f} px")
        self.problems += [f"{kind}: {problem}" for problem in violations(self.page)]


def participant_page(browser: Any, url: str, **settings: Any) -> Any:
    context = browser.new_context(**settings)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(url)
    page.locator("#begin").wait_for()
    return page


def labels(recording: Recording, stream: str) -> list[str]:
    return list(recording.events[stream].labels)


@pytest.fixture(scope="module")
def first(study: Study, browser: Any) -> tuple[Watched, Recording, list[Any]]:
    """The first participant, with a keyboard and a gamepad."""
    with Presented(study, "p1", study.conditions("p1"), speed=4.0) as run:
        wide = {"width": 1280, "height": 800}
        page = participant_page(
            browser, run.link.urls["participant"], viewport=wide, color_scheme="dark"
        )
        page.evaluate(PAD)
        overview = browser.new_page()
        overview.goto(run.link.urls["experimenter"])
        participant = Watched(page, "p1", {})
        page.bring_to_front()
        participant.take_part(lambda: page.locator("#timed").is_visible())
        overview.bring_to_front()
        overview.locator("#condition:has-text('rest')").wait_for()
        overview.locator("#streams tr").first.wait_for()
        participant.problems += [f"experimenter: {p}" for p in violations(overview)]
        overview.locator("#pause:has-text('Pause')").click()
        overview.locator("#badge:has-text('PAUSED')").wait_for()
        assert page.locator("#pause").is_visible()
        overview.locator("#words").fill("a door")
        overview.locator("#note button").click()
        overview.locator("#pause:has-text('Continue')").click()
        overview.locator("#events li:has-text('note a door')").wait_for()
        page.bring_to_front()
        participant.take_part()
        until(lambda: not run.thread.is_alive(), 60)
        overview.locator("#badge:has-text('ENDED')").wait_for()
        assert page.faults == []
        page.context.close()
        overview.close()
    return participant, read(run.recording), run.progress


@pytest.fixture(scope="module")
def second(study: Study, browser: Any) -> tuple[Watched, Recording, Presented]:
    """The second participant, on a phone, whose page is reloaded three times."""
    with Presented(study, "p2", study.conditions("p2"), speed=4.0) as run:
        page = participant_page(
            browser, run.link.urls["participant"],
            viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        )  # fmt: skip

        def again() -> None:
            page.reload()
            page.locator("#begin").tap()
            page.locator("#enter").wait_for(state="hidden")

        def answer_and_again() -> None:
            page.locator(".point").nth(2).tap()
            page.locator("#question .primary").tap()
            page.locator("legend:has-text('How aroused')").wait_for()
            again()
            # The first answer is kept: the second question comes.
            page.locator("legend:has-text('How aroused')").wait_for()
            assert page.locator(".count").inner_text() == "2 of 3"

        def shown_and_again() -> None:
            page.locator("#stimulus img").wait_for()
            again()

        steps = {
            "How pleasant was it?": answer_and_again, "timed": again,
            "stimulus": shown_and_again,
        }  # fmt: skip
        participant = Watched(page, "p2", steps)
        participant.take_part()
        until(lambda: not run.thread.is_alive(), 60)
        assert page.faults == []
        assert not steps
        page.context.close()
    return participant, read(run.recording), run


@pytest.mark.long
def test_a_participant_is_led_to_the_end(
    study: Study, first: tuple[Watched, Recording, list[Any]]
) -> None:
    _, recording, progress = first
    conditions = study.conditions("p1")
    assert [s.name for s in recorded_conditions(recording)] == conditions
    assert completed_conditions(study, "p1") == conditions
    spans = {s.name: s.end - s.begin for s in recorded_conditions(recording)}
    assert spans["rest"] > 6.0  # it was paused
    assert spans["recovery"] == pytest.approx(6.0, abs=0.5)
    assert 2 * (3 + 1) - 0.5 < spans["sounds"] < 30.0  # and the way of each message
    shown = [
        f"stimulus {n}" for c in conditions for n in study.stimuli("p1").get(c, ())
    ]
    onsets = labels(recording, "page.onsets")
    assert [n for n in onsets if n.startswith("stimulus ")] == shown
    assert len(onsets) == 2 * len(shown)
    assert len(recording.events["page.timing"]) == len(shown)
    events = [event for event, _ in progress]
    assert events.count("condition") == len(conditions)
    markers = labels(recording, MARKERS)
    assert {"consent c-1 agreed", "pause rest", "continue rest", "note a door"} <= set(
        markers
    )


@pytest.mark.long
def test_a_gamepad_rates_as_long_as_the_condition(
    first: tuple[Watched, Recording, list[Any]],
) -> None:
    _, recording, _ = first
    ratings = recording.events[RATINGS]
    spans = {s.name: s for s in recorded_conditions(recording)}
    for name, values in (("sounds", (0.5, np.nan)), ("clip", (0.5, 0.25))):
        rows = [
            row
            for t, row, kind in zip(
                ratings.times, ratings.data, ratings.labels, strict=True
            )
            if spans[name].begin <= t <= spans[name].end and kind == "rating"
        ]
        assert len(rows) >= 3
        np.testing.assert_allclose(rows[-1][:2], values, atol=0.06)


@pytest.mark.long
def test_a_reload_returns_to_the_step_and_shows_no_stimulus_twice(
    study: Study, second: tuple[Watched, Recording, Presented]
) -> None:
    _, recording, _ = second
    conditions = study.conditions("p2")
    assert completed_conditions(study, "p2") == conditions
    onsets = labels(recording, "page.onsets")
    shown = Counter(n for n in onsets if n.startswith("stimulus "))
    assert set(shown.values()) == {1}
    assert len(shown) == sum(map(len, study.stimuli("p2").values()))
    assert sum(n.startswith("interrupted ") for n in onsets) == 1
    markers = labels(recording, MARKERS)
    assert markers.count("page reloaded") == 3
    assert markers.count("begin rest") == 1
    assert sum(m.startswith("answer sam valence 3") for m in markers) >= 1


@pytest.mark.long
def test_every_step_fits_can_be_touched_and_is_accessible(
    first: tuple[Watched, Recording, list[Any]],
    second: tuple[Watched, Recording, Presented],
) -> None:
    for participant, *_ in (first, second):
        seen = set(participant.counts)
        assert {"text", "timed", "stimulus", "rating", "Are you calm?"} <= seen
        assert participant.problems == []


@pytest.mark.long
def test_a_rehearsal_uses_the_page_and_resumes_a_killed_session(
    study: Study, tmp_path: Path
) -> None:
    """The second loses the wristband; the session of the third is killed."""
    plan = tmp_path / "plan"
    others = shutil.ignore_patterns("sessions", "*.json*")
    shutil.copytree(study.root, plan, ignore=others)
    text = PLAN.replace("participants = 2", "participants = 3")
    (plan / "study.toml").write_text(text, "utf-8")
    shutil.copyfile(EXAMPLE / "session.toml", plan / "session.toml")
    root = tmp_path / "rehearsed"
    lines = ["init", "--plan", str(plan / "study.toml")], ["rehearse", "--browser"]
    for line in lines:
        result = CliRunner().invoke(app, ["study", line[0], str(root), *line[1:]])
        assert result.exit_code == 0, (result.output, result.exception)
    rehearsed = Study.open(root)
    for code in ("sim1", "sim2", "sim3"):
        done = set(completed_conditions(rehearsed, code))
        assert done == set(rehearsed.conditions(code))
    assert [len(rehearsed.sessions(f"sim{k}")) for k in (1, 2, 3)] == [1, 1, 2]
    table = stimulus_table(read_sessions(rehearsed, ["sim1", "sim3"]))
    assert table.groupby("participant").size().tolist() == [5, 5]
    assert np.isfinite(table["uncertainty_ms"]).all()
    agreed = [line["agreed"] for line in rehearsed.log() if line["event"] == "consent"]
    assert agreed == [True, True, True]  # the resumed session does not ask again


@pytest.fixture(scope="module")
def onsets(
    tmp_path_factory: pytest.TempPathFactory, browser: Any
) -> tuple[Recording, list[dict[str, Any]]]:
    """Sixty pictures, and the trace of the browser, whose clock is the computer's."""
    plan = tmp_path_factory.mktemp("many")
    write_stimuli(plan, 0.1)
    pictures = sorted((plan / "patterns").glob("*.png"))
    for i in range(54):
        shutil.copyfile(pictures[i % 6], plan / "patterns" / f"{i}.png")
    text = PLAN.partition("instructions")[0]
    text += '[conditions.many]\nstimuli = "many"\n[stimuli.many]\n'
    text += 'files = ["patterns/*.png"]\nseconds = 0.1\ngap = 0.05\n'
    (plan / "study.toml").write_text(text, "utf-8")
    (plan / "session.toml").write_text("", "utf-8")
    study = Study.begin(tmp_path_factory.mktemp("m") / "m", plan / "study.toml")
    study.assign("p1")
    with Presented(study, "p1", ["many"]) as run:
        wide = {"width": 1280, "height": 800}
        page = participant_page(browser, run.link.urls["participant"], viewport=wide)
        traced = ["blink.user_timing", "devtools.timeline"]
        browser.start_tracing(page=page, categories=traced)
        page.click("#begin")
        page.locator("#over").wait_for()
        trace = json.loads(browser.stop_tracing())["traceEvents"]
        page.context.close()
    return read(run.recording), trace


def test_a_rating_is_sent_from_the_first_movement_on(browser: Any) -> None:
    """It keeps its value between the stimuli of one run of a condition."""
    source = (STATIC / "rating.js").read_text("utf-8")
    page = browser.new_page()
    page.set_content('<section id="rating"></section>')
    sent = page.evaluate(
        """async (source) => {
          const blob = new Blob([source], {type: "text/javascript"});
          const url = URL.createObjectURL(blob);
          const { ContinuousRating } = await import(url), sent = [];
          const section = document.getElementById("rating");
          const rating = new ContinuousRating(section, (v) => sent.push(v.valence));
          const dimensions = [{name: "valence", low: "-", high: "+"}];
          const wait = () => { sent.push("|"); rating.send(); };
          rating.show(dimensions, 1); wait();
          const input = section.querySelector("input");
          input.value = 0.5; input.oninput(); wait();
          rating.show([], 1); rating.show(dimensions, 1);
          sent.push(Number(section.querySelector("input").value)); wait();
          rating.show([], 2); rating.show(dimensions, 2); wait();
          rating.show([], 2);
          return sent;
        }""",
        source,
    )
    page.close()
    assert sent == ["|", "|", 0.5, 0.5, "|", 0.5, "|"]


def test_the_clock_conversion_of_a_marker_is_exact(
    onsets: tuple[Recording, list[dict[str, Any]]],
) -> None:
    """The browser's trace has the computer's clock, which is that of the session.

    The trace holds the page's own time of the frame: the conversion alone is tested.
    Jitter is the standard deviation of the difference over all onsets.
    """
    recording, trace = onsets
    markers = recording.events["page.onsets"]
    begun = [label.startswith("stimulus ") for label in markers.labels]
    at = markers.times[begun]
    named = [e for e in trace if e["name"] == "stimulus"]
    frames = np.unique(
        [e["ts"] / 1e6 for e in named if e["cat"] == "blink.user_timing"]
    )
    assert len(at) == len(frames) == 60
    difference = 1e3 * (at - frames)
    jitter = difference.std(ddof=1)
    print(f"median {np.median(difference):.2f} ms, jitter {jitter:.3f} ms")  # noqa: T201
    assert abs(np.median(difference)) < 5.0
    assert jitter < 3.0
    # The uncertainty in the data holds: the page's times are multiples of 0.1 ms.
    timing = recording.events["page.timing"]
    np.testing.assert_array_equal(timing.times, at)
    uncertainty = timing.data[:, timing.info.names.index("uncertainty")]
    assert np.all(np.abs(difference) <= uncertainty + 0.2)


def test_the_frame_is_presented_soon_after_its_marker(
    onsets: tuple[Recording, list[dict[str, Any]]],
) -> None:
    """The marker and ``presented`` add up to a presentation in the browser's trace."""
    recording, trace = onsets
    timing = recording.events["page.timing"]
    presented, frame = (
        timing.data[:, timing.info.names.index(name)] for name in ("presented", "frame")
    )
    assert np.isfinite(presented).mean() > 0.9
    assert 0.0 <= np.nanmedian(presented) < 34.0
    assert 10.0 < np.median(frame) < 40.0
    shown = np.sort(
        [e["ts"] / 1e6 for e in trace if e["name"] == "AnimationFrame::Presentation"]
    )
    after = shown[np.searchsorted(shown, timing.times)] - timing.times
    assert np.median(1e3 * after) < 34.0
    at = timing.times + presented / 1e3
    error = 1e3 * np.abs(at[:, None] - shown).min(axis=1)
    print(f"error of the presentation: median {np.nanmedian(error):.2f} ms")  # noqa: T201
    assert np.nanmedian(error) < 3.0  # 4.2 at random times
