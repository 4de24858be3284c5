"""Stimuli, texts and questionnaires of a study's own: checks, orders, frozen plan."""

import json
import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Array
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.datasets.base import ConditionSpan
from physio.quality.channel_monitor import FIT
from physio.study.contrasts import RecordedSession, study_table
from physio.study.design import Condition, Design
from physio.study.example_stimuli import browser_example, write_sound, write_stimuli
from physio.study.outcomes import questionnaire_scores
from physio.study.page_process import USABLE
from physio.study.page_rehearsal import find_chromium
from physio.study.page_steps import session_steps
from physio.study.stimuli import StimulusSet, draw_stimuli, duration, read_files
from physio.study.study_folder import Study
from physio.study.withdrawal import find_code
from physio.study.write_up import codebook

PLAN = """
[study]
name = "s"
participants = 4
consent = "c-1"
session = "session.toml"
preflight = false
[conditions.calm]
stimuli = "calm"
[stimuli.calm]
files = ["calm/*"]
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study from the example with pictures and sounds."""
    root = tmp_path_factory.mktemp("example") / "trial"
    with browser_example() as plan:
        Study.begin(root, plan)
    return root


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A study file, with an empty folder of stimuli."""
    (tmp_path / "plan" / "calm").mkdir(parents=True)
    (tmp_path / "plan" / "session.toml").write_text("", "utf-8")
    path = tmp_path / "plan" / "study.toml"
    path.write_text(PLAN, "utf-8")
    return path


def refusal(plan: Path, root: Path) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        Study.begin(root, plan)
    assert not (root / "frozen.json").exists()
    return " ".join(str(caught.value).split())


def picture(path: Path, shade: int = 90) -> Path:
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(path)
    return path


def silence(seconds: float, rate: int = 44_100) -> Array:
    return np.zeros(int(seconds * rate))


def test_the_example_freezes_files_and_orders(example: Path) -> None:
    study = Study.open(example)
    study.check()
    assert len(study.frozen["files"]) == 9
    orders = study.frozen["stimuli"]
    assert len(orders["pictures"]) == len(orders["sounds"]) == 6
    assert len({tuple(order) for order in orders["pictures"]}) > 3
    # Balanced: each sound is equally often at each place, and after each other.
    sounds = np.array(orders["sounds"])
    for column in sounds.T:
        assert {sum(column == name) for name in set(column)} == {2}
    study.assign("p1")
    assert study.stimuli("p1") == {c: o[0] for c, o in orders.items()}
    assert study.design.seconds("pictures") == pytest.approx(6 * (6 + 2))
    assert study.design.seconds("sounds") == pytest.approx(3 * (6 + 3))


@pytest.mark.parametrize("order", ["random", "balanced", "fixed"])
def test_more_participants_change_no_order_of_stimuli(order: str) -> None:
    names = [f"{i}.png" for i in range(5)]
    few = draw_stimuli(names, order, 4, 3, "a")  # type: ignore[arg-type]
    many = draw_stimuli(names, order, 9, 3, "a")  # type: ignore[arg-type]
    assert many[:4] == few
    assert all(sorted(row) == names for row in many)
    other = draw_stimuli(names, order, 4, 3, "b")  # type: ignore[arg-type]
    assert (other == few) == (order == "fixed")


def test_a_changed_file_is_refused_by_its_name(plan: Path, tmp_path: Path) -> None:
    picture(plan.parent / "calm" / "sea.png")
    text = plan.read_text("utf-8") + "seconds = 2\n"
    plan.write_text(text, "utf-8")
    root = tmp_path / "study"
    Study.begin(root, plan).check()
    picture(root / "calm" / "sea.png", 200)
    with pytest.raises(ValueError, match=r"sea\.png is not the file of the frozen"):
        Study.open(root).check()
    Study.open(root).check("a brighter picture")
    Study.open(root).check()


BAD_FILES = {
    "sea.gif": (b"GIF89a", "sea.gif is of a type that browsers may not show"),
    "sea.png": (b"no picture at all", "its content is no image/png"),
    "empty.png": (b"", "empty.png has 0 bytes"),
    "cut.png": (b"", "cut.png cannot be decoded"),
    "tone.mp3": (b"ID3" + bytes(60), "the duration of calm/tone.mp3 is unknown"),
    "tone.wav": (b"OggS" + bytes(60), "its content is no audio/wav"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_shown_is_refused(
    name: str, plan: Path, tmp_path: Path
) -> None:
    content, message = BAD_FILES[name]
    path = plan.parent / "calm" / name
    if name == "cut.png":
        content = picture(path).read_bytes()[:50]
    path.write_bytes(content)
    given = "" if name == "tone.mp3" else "seconds = 2\n"
    plan.write_text(plan.read_text("utf-8") + given, "utf-8")
    said = refusal(plan, tmp_path / "study")
    assert message in said
    assert "stimuli.calm" in said
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"calm/*"', '"../*"', "'../*', which must lie below the study file"),
        ('"calm/*"', '"sea/*"', "no file matches 'sea/*'"),
        ('= "calm"', '= "storm"', "stimuli = 'storm' names no table [stimuli.storm]"),
        ("[conditions.calm]", "[conditions.calm]\nseconds = 3", "leave seconds out"),
        ("files =", "gap = 900\nfiles =", "gap = 900 must be from 0 to 60 s"),
        ("files =", 'order = "shuffled"\nfiles =', "shuffled"),
        ("[conditions.calm]", '[conditions.calm]\nrate = ["joy"]', "['joy'] must name"),
        ("preflight", 'consent_text = "c.txt"\npreflight', "consent_text = 'c.txt'"),
        ("preflight", 'instructions = "../i"\npreflight', "../i"),
    ],
)
def test_an_error_of_the_plan_names_key_and_value(
    old: str, new: str, message: str, plan: Path, tmp_path: Path
) -> None:
    picture(plan.parent / "calm" / "sea.png")
    text = PLAN.replace(old, new) + "seconds = 2\n"
    plan.write_text(text, "utf-8")
    said = refusal(plan, tmp_path / "study")
    assert message in said
    assert "study.toml" in said or "study file" in said


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_two_tables_may_share_a_file(plan: Path, tmp_path: Path) -> None:
    """Each file and each text is copied once."""
    picture(plan.parent / "calm" / "a.png")
    (plan.parent / "text.txt").write_text("Sit.", "utf-8")
    texts = 'instructions = "text.txt"\nconsent_text = "text.txt"\n[conditions.calm]'
    text = PLAN.replace("seconds = 2\n", "").replace("[conditions.calm]", texts)
    text += 'seconds = 2\n[conditions.again]\nstimuli = "again"\n'
    text += '[stimuli.again]\nfiles = ["calm/a.png"]\nseconds = 1\n'
    plan.write_text(text, "utf-8")
    study = Study.begin(tmp_path / "study", plan)
    assert list(study.frozen["files"]) == ["calm/a.png"]
    assert (study.root / "calm" / "a.png").is_file()


def test_a_link_out_of_the_folder_is_no_stimulus(plan: Path, tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside.png")
    (plan.parent / "calm" / "sea.png").symlink_to(outside)
    assert "a link that leads out of the study's" in refusal(plan, tmp_path / "study")


def mp4(path: Path, seconds: float, *, wide: bool) -> None:
    form = ">B3xQQIQ" if wide else ">B3xIIII"
    header = struct.pack(form, int(wide), 0, 0, 600, int(600 * seconds)) + bytes(80)
    movie = struct.pack(">I4s", len(header) + 8, b"mvhd") + header
    begin = struct.pack(">I4s", 16, b"ftyp") + b"isom" + bytes(4)
    data = struct.pack(">I4s", 24, b"mdat") + bytes(16)
    path.write_bytes(
        begin + data + struct.pack(">I4s", len(movie) + 8, b"moov") + movie
    )


def webm(path: Path, seconds: float) -> None:
    info = b"\x2a\xd7\xb1\x83\x0f\x42\x40"  # a time scale of 1 ms
    info += b"\x44\x89\x88" + struct.pack(">d", 1e3 * seconds)
    path.write_bytes(
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x15\x49\xa9\x66"
        + bytes([0x80 | len(info)]) + info
    )  # fmt: skip


def test_durations_are_those_of_the_files(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", silence(1.5))
    assert duration(tmp_path / "a.wav", "audio/wav") == pytest.approx(1.5)
    with wave.open(str(tmp_path / "cut.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
    assert duration(tmp_path / "cut.wav", "audio/wav") == 0.0
    for wide in (False, True):
        mp4(tmp_path / "a.mp4", 12.5, wide=wide)
        assert duration(tmp_path / "a.mp4", "video/mp4") == pytest.approx(12.5)
    webm(tmp_path / "a.webm", 7.25)
    assert duration(tmp_path / "a.webm", "video/webm") == pytest.approx(7.25)
    page = b"OggS\x00\x02" + struct.pack("<q", 0) + bytes(14)
    begin = page + b"\x01vorbis" + struct.pack("<IBI", 0, 1, 22_050)
    end = b"OggS\x00\x04" + struct.pack("<q", 33_075) + bytes(14)
    (tmp_path / "a.ogg").write_bytes(begin + end)
    assert duration(tmp_path / "a.ogg", "audio/ogg") == pytest.approx(1.5)
    packed = (44_100 << 44) | (1 << 41) | (15 << 36) | 66_150
    flac = b"fLaC\x00\x00\x00\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)
    (tmp_path / "a.flac").write_bytes(flac)
    assert duration(tmp_path / "a.flac", "audio/flac") == pytest.approx(1.5)
    for name, media in (("a.mp4", "video/mp4"), ("a.webm", "video/webm")):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 3])
        assert np.isnan(duration(tmp_path / name, media))


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        picture(tmp_path / f"{number}.png")
    files = read_files(StimulusSet(("*.png",), seconds=1.0), tmp_path, "stimuli.a")
    assert [file.name for file in files] == ["2.png", "9.png", "10.png"]


def test_steps_follow_the_plan(example: Path) -> None:
    study = Study.open(example)
    order = {"pictures": ["patterns/sea-2.png", "patterns/leaf-5.png"]}
    steps = session_steps(study.design, ["rest", "pictures", "recovery"], order)
    assert [step.kind for step in steps] == [
        "instructions", "consent",
        "ready", "timed", "questions",
        "ready", "stimulus", "questions", "stimulus", "questions", "questions", "break",
        "ready", "timed", "questions", "thanks",
    ]  # fmt: skip
    assert [step.kind for step in steps if step.begins] == [
        "timed",
        "stimulus",
        "timed",
    ]
    last = [step for step in steps if step.ends][1]
    assert (last.questionnaire, last.about) == ("sam", "patterns/leaf-5.png")
    again = session_steps(study.design, ["recovery"], order, introduced=True)
    assert [step.kind for step in again] == ["ready", "timed", "questions", "thanks"]


def test_a_condition_on_a_page_needs_the_browser(example: Path) -> None:
    line = ["study", "run", str(example), "--participant", "p9"]
    result = CliRunner().invoke(app, [*line, "--rehearse", "--skip-preflight", "x"])
    assert "which a page presents: run it with --browser" in str(result.exception)


def test_without_a_browser_a_rehearsal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physio.study.page_rehearsal.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="needs playwright and Chromium"):
        find_chromium()


QUESTIONS = {
    'kind = "stars"': "kind = 'stars' must be one of 'likert', 'visual analogue'",
    "low = 9\nhigh = 2": "low = 9 and high = 2 must be whole numbers",
    "low = 1\nhigh = 40": "more than 11 buttons",
    'labels = ["a", "b"]': "labels must be 7 texts, one for each response from 1 to 7",
    'kind = "sam"\nhigh = 5': "figures are rated from 1 to 9, not 1 to 5",
    "size = 3": "has no setting 'size'",
    'rater = "Mum #1"': "rater = 'Mum #1' must be 'self' or a word in small letters",
}


@pytest.mark.parametrize("line", QUESTIONS)
def test_a_questionnaire_of_the_users_names_the_wrong_value(
    line: str, tmp_path: Path
) -> None:
    text = f'[questionnaire]\ntitle = "M"\nanchors = ["a", "b"]\n{line}\n'
    (tmp_path / "mood.toml").write_text(f'{text}[items]\nx = "X?"\n', "utf-8")
    plan = tmp_path / "study.toml"
    condition = '[conditions.a]\nseconds = 3\nquestionnaires = ["mood"]\n'
    plan.write_text(PLAN.partition("[conditions")[0] + condition, "utf-8")
    with pytest.raises(ValueError, match=r"mood\.toml") as caught:
        Design.read(plan)
    assert QUESTIONS[line] in str(caught.value)


def test_scores_of_the_users_questionnaire_are_scored(example: Path) -> None:
    labels = (
        "begin sounds", "answer sam valence 2 for tones/low.wav", "end sounds",
        "answer effort effort 61.5", "answer effort boredom 7",
    )  # fmt: skip
    markers = Events(
        event_stream(MARKERS), 9.0, np.arange(5.0), np.empty((5, 0)), labels
    )
    scored = Study.open(example).design.scored
    scores = questionnaire_scores(Recording({}, {MARKERS: markers}), scored)
    values = {name: outcome.value for name, outcome in scores["sounds"].items()}
    assert values == {"effort.effort": 61.5, "effort.boredom": 7.0}


def test_what_a_parent_rates_is_never_called_a_self_report(tmp_path: Path) -> None:
    items = 'anchors = ["a", "b"]\n[items]\nx = "X?"\n'
    for name, rater in (("mood", ""), ("mood-parent", 'rater = "parent"\n')):
        text = f'[questionnaire]\ntitle = "{name}"\n{rater}{items}'
        (tmp_path / f"{name}.toml").write_text(text, "utf-8")
    plan = tmp_path / "study.toml"
    asked = 'questionnaires = ["mood", "mood-parent"]\n'
    condition = f"[conditions.a]\nseconds = 3\n{asked}"
    plan.write_text(PLAN.partition("[conditions")[0] + condition, "utf-8")
    known = Design.read(plan).scored
    labels = ("begin a", "end a", "answer mood x 2", "answer mood-parent x 6")
    at = np.arange(4.0)
    markers = Events(event_stream(MARKERS), 9.0, at, np.empty((4, 0)), labels)
    recording = Recording({}, {MARKERS: markers})
    scores = questionnaire_scores(recording, known)
    span = ConditionSpan("a", 0.0, 1.0)
    session = RecordedSession("p1", "p1-1", recording, [span], scores)
    table = study_table([session])
    rows = {r.measure: (r.analysis, r.value) for r in table.itertuples()}
    assert rows == {
        "mood.x": ("self-report", 2.0), "mood-parent.x": ("parent report", 6.0)
    }  # fmt: skip
    meaning = codebook(table, known).set_index("measure")["definition"]
    assert "parent report, not of the participant" in meaning["mood-parent.x"]
    assert "report" not in meaning["mood.x"]


def test_a_deletion_does_not_search_the_stimuli(example: Path) -> None:
    """Their bytes contain any short code by chance; they came before the people."""
    code = "p1"
    (example / "patterns" / "sea-2.png").write_bytes(
        (example / "patterns" / "sea-2.png").read_bytes()
    )
    sounds = example / "tones" / "low.wav"
    kept = sounds.read_bytes()
    try:
        sounds.write_bytes(kept + b" p1 ")
        assert sounds in find_code(example, code)  # it is not the frozen file
        digest = Study.open(example).design.file_hashes["tones/low.wav"]
        frozen = json.loads((example / "frozen.json").read_text("utf-8"))
        frozen["files"]["tones/low.wav"] = digest
        (example / "frozen.json").write_text(json.dumps(frozen), "utf-8")
        assert sounds not in find_code(example, code)
    finally:
        sounds.write_bytes(kept)


def test_the_channels_to_look_at_are_those_that_are_not_fit() -> None:
    assert set(USABLE) == FIT | {"warming up"}


def test_a_condition_has_a_duration_or_stimuli() -> None:
    with pytest.raises(ValueError, match="more than 0 s, not 0"):
        Condition()
    assert Condition(stimuli="calm").seconds == 0.0


def test_stimuli_of_the_example_are_made_by_code(tmp_path: Path) -> None:
    write_stimuli(tmp_path, 0.5)
    with Image.open(tmp_path / "patterns" / "sea-2.png") as image:
        assert image.size == (960, 720)
    assert duration(tmp_path / "tones" / "low.wav", "audio/wav") == pytest.approx(0.5)
