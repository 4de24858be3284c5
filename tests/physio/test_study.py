"""A study: its plan, its orders, a rehearsal whole, the table against the truth."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import physio.assets
from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.protocols import FastClock
from physio.core.recording import MARKERS, Recording
from physio.datasets.base import ConditionSpan
from physio.offline.condition_table import LONG
from physio.offline.conditions import recorded_conditions
from physio.offline.edits_file import EditedRecording, EditsChoice, write_history
from physio.study import bids, epochs, questionnaires
from physio.study.contrasts import (
    ContrastEstimate,
    RecordedSession,
    completed_conditions,
    estimate_contrasts,
    read_sessions,
    study_table,
)
from physio.study.counterbalancing import draw_orders, williams_design
from physio.study.design import Contrast, Design
from physio.study.epochs import event_related_responses, summary
from physio.study.marker_latency import marker_latency
from physio.study.methods_text import methods_text, study_record
from physio.study.outcomes import Outcome, last_runs, questionnaire_scores
from physio.study.protocol_runner import ProtocolRunner
from physio.study.study_folder import Study
from physio.study.withdrawal import find_code

EXAMPLE = Path(physio.assets.__file__).parent / "study"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal with conditions of a minute: mishaps, table, and all."""
    plan = tmp_path_factory.mktemp("plan")
    for path in EXAMPLE.iterdir():
        text = path.read_text("utf-8").replace("seconds = 120", "seconds = 60")
        (plan / path.name).write_text(text, "utf-8")
    root = tmp_path_factory.mktemp("study") / "films"
    for arguments in (
        ["init", str(root), "--plan", str(plan / "study.toml")],
        ["rehearse", str(root)],
        ["table", str(root)],
    ):
        result = CliRunner().invoke(app, ["study", *arguments])
        assert result.exit_code == 0, (result.output, result.exception)
    return root


@pytest.fixture
def begun(tmp_path: Path) -> Study:
    """A study just begun."""
    return Study.begin(tmp_path / "films")


def refused(*arguments: str) -> str:
    """Return the sentence with which a command is refused."""
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, ValueError | OSError), result.output
    return " ".join(str(result.exception).split())


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_each_condition_comes_as_often_in_each_place_and_after_each_other(
    n: int,
) -> None:
    rows = np.array(williams_design(n))
    assert len(rows) == (n if n % 2 == 0 else 2 * n)
    for column in rows.T:
        assert len(set(np.bincount(column, minlength=n))) == 1
    after = np.zeros((n, n), int)
    for row in rows:
        for a, b in pairwise(row):
            after[a, b] += 1
    assert len(set(after[~np.eye(n, dtype=bool)])) == 1
    assert not after.diagonal().any()


def test_orders_come_from_the_seed_and_more_participants_change_none_of_them() -> None:
    few = draw_orders(("a",), ("b", "c", "d"), ("e",), 7, seed=3)
    assert few == draw_orders(("a",), ("b", "c", "d"), ("e",), 12, seed=3)[:7]
    assert few != draw_orders(("a",), ("b", "c", "d"), ("e",), 7, seed=4)
    assert all(row[0] == "a" and row[-1] == "e" for row in few)


def test_scores_are_those_of_the_manuals() -> None:
    stai = questionnaires.load("stai6")
    calm = dict(zip("123456", (4, 1, 1, 4, 4, 1), strict=True))
    assert stai.scores(calm)["anxiety"] == pytest.approx(20.0)
    assert stai.scores({k: 5 - v for k, v in calm.items()})["anxiety"] == pytest.approx(
        80.0
    )
    panas = questionnaires.load("panas")
    assert len(panas.items) == 20
    assert panas.scores(dict.fromkeys(panas.items, 1)) == {
        "positive": 10,
        "negative": 10,
    }
    parts = [set(scale.items) for scale in panas.scales.values()]
    assert parts[0] | parts[1] == set(panas.items)
    assert not parts[0] & parts[1]


def test_wording_that_others_own_is_not_shipped() -> None:
    for name in questionnaires.questionnaire_names():
        questionnaire = questionnaires.load(name)
        worded = [*questionnaire.items.values(), *questionnaire.anchors]
        assert any(worded) == (not questionnaire.rights), name
    assert questionnaires.load("sam").rights == ""


WORDING = {
    "": "the items of 'stai6' are not shipped, because Mind Garden, Inc. has the",
    "anchors = 3": "stai6.toml: anchors must be two texts, not 3",
    'anchors = ["a", "b"]': r"stai6.toml needs a table \[items\] of texts",
    'anchors = ["a", "b"]\n[items]\n1 = "x"': "must word the items 1, 2, 3, 4, 5, 6",
    'anchors = ["a", "b"]\nextra = 1': "has no setting 'extra'",
}


@pytest.mark.parametrize("text", WORDING)
def test_a_study_asks_for_the_wording(text: str, tmp_path: Path) -> None:
    plan = worded_plan(tmp_path, text)
    with pytest.raises((ValueError, FileNotFoundError), match=WORDING[text]):
        Study.begin(tmp_path / "study", plan)
    assert not (tmp_path / "study").exists()


def worded_plan(folder: Path, wording: str) -> Path:
    for path in EXAMPLE.iterdir():
        text = path.read_text("utf-8").replace('["sam"]', '["sam", "stai6"]')
        (folder / path.name).write_text(text, "utf-8")
    if wording:
        (folder / "stai6.toml").write_text(wording, "utf-8")
    return folder / "study.toml"


def test_the_wording_belongs_to_the_frozen_plan(tmp_path: Path) -> None:
    items = "\n".join(f'{i} = "item {i}"' for i in range(1, 7))
    wording = f'anchors = ["low", "high"]\n[items]\n{items}\n'
    study = Study.begin(tmp_path / "study", worded_plan(tmp_path, wording))
    copy = study.root / "stai6.toml"
    assert copy.read_text("utf-8") == wording
    clock = FastClock()
    runner = ProtocolRunner(study.design, ["baseline"], clock)
    with runner:
        while runner.state != "asking":
            clock.wait(1.0)
            runner.read()
        for value in (5, 5, 5):
            runner.take(value)
        asked, item = runner.question or (None, "")
        assert asked is not None
        assert (asked.items[item], asked.anchors) == ("item 1", ("low", "high"))
    copy.write_text(wording.replace("item 3", "another"), "utf-8")
    with pytest.raises(ValueError, match=r"study\.toml differs from the frozen plan"):
        Study.open(study.root).check()


@pytest.mark.parametrize("name", ["../session.toml", "/tmp/s.toml", "study.toml", "s"])
def test_a_study_names_a_session_file_beside_it(name: str, tmp_path: Path) -> None:
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    path = tmp_path / "plan" / "study.toml"
    path.parent.mkdir()
    path.write_text(text.replace('"session.toml"', json.dumps(name)), "utf-8")
    (tmp_path / "session.toml").write_text("", "utf-8")
    with pytest.raises(ValueError, match=r"study\.toml: .*session"):
        Study.begin(tmp_path / "study", path)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "label",
    ["answer ../../x a 1", "answer sam valence x", "answer sam joy 3", "answer"],
)
def test_a_marker_of_others_is_no_answer(label: str) -> None:
    markers = Events(
        event_stream(MARKERS), 9.0, np.arange(3.0), np.empty((3, 0)),
        ("begin rest", "end rest", label),
    )  # fmt: skip
    assert questionnaire_scores(Recording({}, {MARKERS: markers})) in (
        {}, {"rest": {}},
    )  # fmt: skip


def test_the_last_complete_run_of_a_condition_counts() -> None:
    first, last = (
        [f"answer sam {d} {value}" for d in ("valence", "arousal", "dominance")]
        for value in (2, 8)
    )
    run = ["begin rest", "end rest"]
    labels = [*run, *first, "repeat rest", *run, *last, "repeat rest", "begin rest"]
    for n, value, begin in ((5, 2.0, 0.0), (len(labels), 8.0, 6.0)):
        info, times = event_stream(MARKERS), np.arange(float(n))
        markers = Events(info, 99.0, times, np.empty((n, 0)), tuple(labels[:n]))
        recording = Recording({}, {MARKERS: markers})
        (span,) = last_runs(recording, recorded_conditions(recording))
        assert span.begin == begin
        scores = questionnaire_scores(recording)["rest"].values()
        assert {score.value for score in scores} == {value}
    partly = Events(info, 99.0, times[:9], np.empty((9, 0)), tuple(labels[:9]))
    assert questionnaire_scores(Recording({}, {MARKERS: partly})) == {"rest": {}}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            {"valence": 5, "arousal": 5},
            "the answers to 'sam' lack the item 'dominance'",
        ),
        ({"valence": 0, "arousal": 5, "dominance": 5}, "sam.valence = 0 is not on the"),
        ({"valence": 5, "arousal": 5, "dominance": 5, "joy": 1}, "has no item 'joy'"),
    ],
)
def test_answers_that_are_not_whole_are_refused(
    answers: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        questionnaires.load("sam").check(answers)


def test_a_comment_is_no_change_of_the_plan_and_a_duration_is(tmp_path: Path) -> None:
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    hashes = []
    for i, own in enumerate((text, f"# more words\n{text}", text.replace("120", "90"))):
        path = tmp_path / f"{i}.toml"
        path.write_text(own, "utf-8")
        hashes.append(Design.read(path).hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_changed_plan_is_refused_until_the_deviation_is_logged(begun: Study) -> None:
    path = begun.root / "study.toml"
    path.write_text(path.read_text("utf-8").replace("120", "90"), "utf-8")
    changed = Study.open(begun.root)
    with pytest.raises(ValueError, match=r"study\.toml differs from the frozen plan"):
        changed.check()
    changed.check("the film was shorter than we thought")
    changed.check()
    assert changed.log()[-1]["why"] == "the film was shorter than we thought"


def test_bad_input_is_one_sentence_and_overwrites_nothing(begun: Study) -> None:
    root = str(begun.root)
    before = {p: p.read_bytes() for p in begun.root.rglob("*") if p.is_file()}
    assert "holds a study already" in refused("study", "init", root)
    assert "there is no participant 'p9'; enrolled: none yet" in refused(
        "delete", root, "--participant", "p9", "--yes"
    )
    assert "is not a code" in refused(
        "study", "run", root, "--participant", "Ann Smith"
    )
    assert {p: p.read_bytes() for p in begun.root.rglob("*") if p.is_file()} == before
    begun.assign("p1", 2)
    with pytest.raises(ValueError, match="order 2 was used by p1"):
        begun.assign("p2", 2)
    with pytest.raises(ValueError, match="an assigned order is final"):
        begun.assign("p1", 3)
    assert begun.assign("p2") == begun.frozen["orders"][0]


def test_a_plan_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    path = tmp_path / "study.toml"
    for old, new, said in (
        ('["sam"]', '["mood"]', "there is no questionnaire 'mood'"),
        ('of = "stress"', 'of = "joy"', "a contrast names the condition 'joy'"),
        ("seed = 20", "sede = 20", "has no setting 'sede'"),
    ):
        path.write_text(text.replace(old, new), "utf-8")
        with pytest.raises(ValueError, match=said):
            Design.read(path)


def test_a_paused_condition_keeps_what_is_left_of_it() -> None:
    clock = FastClock()
    design = Design.read(EXAMPLE / "study.toml")
    course = ProtocolRunner(design, ["baseline"], clock)
    labels: list[str] = []

    def wait(seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            clock.wait(0.25)
            assert course.read() == ()
            labels.extend(command.label for command in course.commands())

    with course:
        wait(32)
        course.pause()
        assert course.remaining == pytest.approx(90, abs=0.5)
        wait(500)
        course.pause()
        wait(89)
        assert course.state == "condition"
        wait(2)
        assert course.question is not None
        with pytest.raises(ValueError, match=r"sam\.valence is answered from 1 to 9"):
            course.take(0)
        for value in (7, 3, 5):
            course.take(value)
        wait(25)
        assert course.ended
    assert labels == [
        "begin baseline", "pause baseline", "continue baseline", "end baseline",
        "answer sam valence 7", "answer sam arousal 3", "answer sam dominance 5", "sam",
        "every condition was done",
    ]  # fmt: skip


def test_the_rehearsal_ends_in_a_table_that_is_true(rehearsed: Path) -> None:
    """Heart rate to 2.5 a minute where four fifths of the intervals count.

    Where fewer do, their mean is of another time than the condition's.

    Responses within 4 s of a larger one count as its tail, so that their rate is never
    told too high by more than two a minute, and goes with the true one.
    """
    study = Study.open(rehearsed)
    table = pd.read_csv(rehearsed / "derived" / "table.csv", keep_default_na=False)
    table["value"] = pd.to_numeric(table["value"], errors="coerce")
    rates, responses = [], []
    for session in read_sessions(study, study.participants):
        beats = session.recording.events["band.beats"].times
        told = session.recording.events["band.responses"]
        sizes = told.data[:, told.info.names.index("amplitude")]
        for span in session.segments:
            key = (
                (table["participant"] == session.participant)
                & (table["condition"] == span.name)
                & (table["baseline_role"] != "sensitivity")
            )
            own = table[key].drop_duplicates("measure").set_index("measure")
            inside = beats[(beats >= span.begin) & (beats < span.end)]
            if own.loc["mean_heart_rate", "exclusion"] == "":
                true = 60 / np.diff(inside).mean()
                error = abs(own.loc["mean_heart_rate", "value"] - true)
                rates.append((error, own.loc["mean_heart_rate", "coverage"]))
            if own.loc["scr_per_minute", "exclusion"] == "":
                here = (told.times >= span.begin) & (told.times < span.end)
                true = 60 * (here & (sizes >= 0.02)).sum() / (span.end - span.begin)
                responses.append((own.loc["scr_per_minute", "value"], true))
    assert len(rates) >= 14
    error, coverage = np.array(rates).T
    assert error[coverage >= 0.8].max() < 2.5
    assert np.median(error) < 0.6
    said, true = np.array(responses).T
    assert (said - true).max() <= 2.0 + 1e-9
    assert np.corrcoef(said, true)[0, 1] > 0.8


def test_mishaps_are_in_the_flow_and_not_in_the_figures(rehearsed: Path) -> None:
    results = json.loads((rehearsed / "derived" / "results.json").read_text("utf-8"))
    assert results["simulated"]
    assert results["flow"]["enrolled"] == 6
    assert results["flow"]["withdrew and were deleted"] == 1
    assert results["flow"]["completed all conditions"] == 5
    by = {c["outcome"]: c for c in results["contrasts"]}
    assert by["sam.arousal"]["n"] == 5
    # The second lost the wristband half-way: their stress or their amusement is none.
    assert by["mean_heart_rate"]["n"] <= 4
    assert "sim2" not in by["mean_heart_rate"]["per_participant"]
    table = pd.read_csv(rehearsed / "derived" / "table.csv")
    third = table[table["participant"] == "sim3"]
    assert set(third["recording"]) == {"sim3-1", "sim3-2"}
    assert third.groupby("condition")["position"].first().sort_values().tolist() == [
        1, 2, 3, 4,
    ]  # fmt: skip
    methods = (rehearsed / "derived" / "methods.txt").read_text("utf-8")
    assert methods.startswith("SIMULATED participants: a rehearsal, not data.")


def outcomes(orders: dict[str, list[str]], *names: str) -> pd.DataFrame:
    """Return a table in which each participant has each outcome in each condition."""
    rows = [
        {
            "participant": code,
            "condition": condition,
            "position": i + 1,
            "recording": f"{code}-1",
            "measure": name,
            "value": 1.0,
            "unit": "1",
            "coverage": 1.0,
            "exclusion": "",
            "baseline_role": "",
            "repeat": 1,
        }
        for code, order in orders.items()
        for i, condition in enumerate(order)
        for name in names
    ]
    return pd.DataFrame(rows, columns=list(LONG))


def methods_of(
    orders: dict[str, list[str]],
    *names: str,
    assigned: bool = True,
    frozen: str = "2026-03-01T00:00:00+00:00",
    date: str = "2026-03-14T00:00:00+00:00",
    contrasts: tuple[ContrastEstimate, ...] = (),
) -> str:
    design = Design.read(EXAMPLE / "study.toml")
    recorded = [
        RecordedSession(
            code, code, Recording({}, metadata={"began": date}),
            [ConditionSpan(c, 200.0 * i, 200.0 * i + 90) for i, c in enumerate(order)],
            {},
        )
        for code, order in orders.items()
    ]  # fmt: skip
    record = study_record(
        recorded,
        simulated=False,
        orders=orders if assigned else {},
        frozen=frozen if assigned else "",
    )
    flow = {"planned": 12, "enrolled": len(orders), "withdrew and were deleted": 0}
    return methods_text(design, flow, outcomes(orders, *names), contrasts, record)


def test_methods_of_a_complete_study_and_of_one_that_is_not() -> None:
    design = Design.read(EXAMPLE / "study.toml")
    parts = design.placed("first"), design.placed("balanced"), design.placed("last")
    plans = draw_orders(*parts, 12, 1)
    whole = len(williams_design(len(parts[1])))
    orders = {f"p{i}": order for i, order in enumerate(plans[:whole])}
    text = methods_of(orders, "mean_heart_rate", "scr_per_minute", "sam.arousal")
    assert "was counterbalanced in a Williams design" in text
    assert "Self-reports: " in text
    assert "Elgendi" in text
    assert "Greco" in text
    assert "before the first session" in text
    assert "(90 s, recorded" in text
    assert "bootstrap" not in text  # there are no contrasts
    few = dict(list(orders.items())[:1])
    text = methods_of(few, "mean_heart_rate")
    assert "it is not balanced: 1 participants" in text
    assert "counterbalanced" not in text
    assert "Greco" not in text
    assert "No answers were recorded to" in text
    swapped = {"p0": orders["p0"], "p1": [*reversed(orders["p1"])]}
    assert "Elgendi" not in methods_of(swapped, "scl")
    text = methods_of({"p0": orders["p0"][:1]}, "mean_heart_rate")
    assert "was not recorded" in text


def test_methods_of_a_data_set_claim_no_design() -> None:
    design = Design.read(EXAMPLE / "study.toml")
    order = list(design.conditions)
    text = methods_of({"S2": order, "S3": order}, "mean_heart_rate", assigned=False)
    for word in ("Williams", "enrolled", "planned participants", "frozen"):
        assert word not in text
    assert "The data of 2 participants were analysed." in text
    assert "was applied to data that were recorded without it" in text
    early = methods_of(
        {"p1": order}, "mean_heart_rate", date="2026-01-01T00:00:00+00:00"
    )
    assert "1 sessions began before that or have no date" in early
    assert "before the first session" not in early
    nan = ContrastEstimate(
        "mean_heart_rate", "a", "b", np.nan, np.nan, np.nan, 0, np.nan
    )
    assert "No contrast could be computed." in methods_of(
        {"p1": order}, "mean_heart_rate", contrasts=(nan,)
    )


def test_each_recording_carries_the_frozen_plan(rehearsed: Path) -> None:
    study = Study.open(rehearsed)
    for session in read_sessions(study, study.participants):
        assert session.recording.metadata["study.hash"] == study.frozen["hash"]


def test_who_withdrew_is_nowhere_any_more(rehearsed: Path) -> None:
    assert find_code(rehearsed, "sim5") == []
    assert find_code(rehearsed, "sim4")
    with pytest.raises(
        ValueError, match="order 4 was used by a participant who withdrew"
    ):
        Study.open(rehearsed).assign("new", 4)


def test_the_same_table_comes_out_of_bids(rehearsed: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["study", "export", str(rehearsed), str(tmp_path / "bids")]
    )
    assert result.exit_code == 0, result.exception
    plan, out = rehearsed / "study.toml", tmp_path / "again"
    result = CliRunner().invoke(
        app,
        [
            "study",
            "table",
            str(tmp_path / "bids"),
            "--plan",
            str(plan),
            "--out",
            str(out),
        ],
    )
    assert result.exit_code == 0, result.exception
    key = ["participant", "condition", "measure", "baseline_role", "begin_s"]
    one, two = (
        pd.read_parquet(folder / "table.parquet")
        for folder in (rehearsed / "derived", out)
    )
    one, two = (
        table[~table["measure"].str.startswith(("eeg_", "frontal_"))]
        .assign(begin_s=table["begin_s"].round(6))
        .set_index(key)
        .sort_index()
        for table in (one, two)
    )
    assert list(one.index) == list(two.index)
    np.testing.assert_allclose(two["value"], one["value"], rtol=1e-9)
    assert list(one["exclusion"]) == list(two["exclusion"])
    with pytest.raises(ValueError, match="is not empty: give a new folder"):
        bids.export(Study.open(rehearsed), tmp_path / "bids")


def test_edits_of_several_raters_are_chosen_and_stop_no_session(
    rehearsed: Path, tmp_path: Path
) -> None:
    study = Study.open(rehearsed)
    code = next(c for c in study.participants if study.sessions(c))
    done = completed_conditions(study, code)
    place = EditedRecording.of(study.sessions(code)[0])
    files = [place.path(rater) for rater in ("anna", "ben")]
    try:
        entry = {"stream": "band.eda", "begin": 1.0, "end": 2.0}
        write_history(files[1], place.begin("ben").with_entry("bad", "", **entry))
        files[0].write_text("damaged", "utf-8")
        assert completed_conditions(study, code) == done
        for name in ("table", "epochs", "export"):
            more = {"epochs": ["--event=begin"], "export": [str(tmp_path / "b")]}
            arguments = ["study", name, str(rehearsed), *more.get(name, [])]
            message = "edits of anna, ben: name one of them with --rater"
            assert message in refused(*arguments)
            assert message in refused(*arguments, "--rater", "carl")
            assert "is damaged" in refused(*arguments, "--rater=anna")
        for choice, number in ((EditsChoice(rater="ben"), 1), (EditsChoice(False), 0)):
            first = next(read_sessions(study, [code], choice))
            assert len(first.edits.active if first.edits else ()) == number
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def test_events_have_amplitudes_over_responses_and_magnitudes_over_all() -> None:
    rate, n = 4.0, 4 * 240
    t = np.arange(n) / rate
    level = np.full(n, 5.0)
    for onset in (62.0, 122.0):
        u = np.clip(t - onset, 0, None)
        level += 1.2 * (np.exp(-u / 2.0) - np.exp(-u / 0.7))
    info = StreamInfo("band.eda", 4, (Channel("eda", "gsr", "uS"),))
    times = np.array([60.0, 120.0, 180.0])
    events = Events(
        event_stream(MARKERS),
        240.0,
        times,
        np.empty((3, 0)),
        ("film a", "film b", "film c"),
    )
    block = Block(info, 0, 0.0, level[:, None].copy())
    frame = event_related_responses(
        Recording({"band.eda": (block,)}, {MARKERS: events}), "film"
    )
    assert frame["responder"].tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(frame["amplitude"][2])
    assert frame["magnitude"][2] == 0.0
    # The response's own peak, as the Bateman function has it.
    u = np.linspace(0, 10, 10_001)
    peak = float((1.2 * (np.exp(-u / 2.0) - np.exp(-u / 0.7))).max())
    assert frame["amplitude"][:2].to_numpy() == pytest.approx(peak, rel=0.1)
    told = summary(frame)
    assert told["magnitude"] == pytest.approx(2 / 3 * told["amplitude"])
    assert np.isnan(frame["heart_rate_change"]).all()


@pytest.mark.filterwarnings("ignore")  # MNE's and autoreject's own
def test_eeg_after_events_is_cleaned_apart_and_says_how() -> None:
    rng, rate = np.random.default_rng(2), 128
    t = np.arange(40 * rate) / rate
    names = ("Fp1", "Cz", "Pz", "O1")
    source = np.cumsum(rng.standard_normal((len(t), 4)), axis=0)
    eeg = 4 * rng.standard_normal((len(t), 4)) + 0.05 * source
    blinks = sum(
        150 * np.exp(-(((t - at) / 0.1) ** 2)) for at in np.arange(2.3, 39, 2.5)
    )
    eeg += np.outer(blinks, (1.0, 0.3, 0.15, 0.05))
    at = np.arange(2.0, 38.0, 2.5)
    events = Events(
        event_stream(MARKERS),
        40.0,
        at.copy(),
        np.empty((len(at), 0)),
        ("tone",) * len(at),
    )
    info = StreamInfo("cap.eeg", rate, tuple(Channel(n, "eeg", "uV") for n in names))
    recording = Recording({"cap.eeg": (Block(info, 0, 0.0, eeg),)}, {MARKERS: events})
    plain, done = epochs.eeg_epochs(recording, "tone")
    assert len(plain) == len(at)
    assert not done["clean"]
    clean, done = epochs.eeg_epochs(recording, "tone", clean=True)
    assert done["ica"]["removed"]
    assert {"converged", "seed"} <= set(done["ica"])
    assert len(clean) == done["autoreject"]["kept"]
    frontal = plain.get_data(picks="Fp1").std(), clean.get_data(picks="Fp1").std()
    assert frontal[1] < 0.6 * frontal[0]
    with pytest.raises(ValueError, match="no marker begins with 'click'"):
        epochs.eeg_epochs(recording, "click")


def test_a_session_without_sensors_has_its_scores_alone() -> None:
    span = ConditionSpan("calm", 0.0, 60.0)
    scores = {"calm": {"sam.arousal": Outcome(3.0, "1", 1.0)}}
    session = RecordedSession("p1", "p1-1", Recording({}), [span], scores)
    table = study_table([session])
    assert table["measure"].tolist() == ["sam.arousal"]
    assert table["value"].tolist() == [3.0]


def test_an_outcome_of_a_contrast_is_a_measure_or_a_score(tmp_path: Path) -> None:
    text = (EXAMPLE / "study.toml").read_text("utf-8")
    plan = tmp_path / "study.toml"
    plan.write_text(text.replace("scr_per_minute", "eda.scr_rate"), "utf-8")
    with pytest.raises(ValueError, match=r"'eda.scr_rate', which is no measure"):
        Design.read(plan)
    plan.write_text(text.replace('= "baseline"', '= "pause"', 1), "utf-8")
    with pytest.raises(ValueError, match="the baseline names the condition 'pause'"):
        Design.read(plan)


def test_a_contrast_is_within_participants_and_its_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(5)
    rows = []
    for k in range(40):
        level = rng.normal(70, 10)
        for condition, shift in (("calm", 0.0), ("stress", 8.0)):
            value = level + shift + rng.normal(0, 3)
            rows.append((f"p{k}", condition, "mean_heart_rate", value, "", ""))
    columns = ["participant", "condition", "measure", "value"]
    columns += ["exclusion", "baseline_role"]
    table = pd.DataFrame(rows, columns=columns)
    planned = (Contrast("stress", "calm", ("mean_heart_rate", "scr_per_minute")),)
    found, none = estimate_contrasts(table, planned)
    assert found.low < 8.0 < found.high
    assert found.high - found.low < 4.0
    assert found.n == 40
    assert none.n == 0
    assert np.isnan(none.mean)


def test_a_flank_is_found_between_two_samples() -> None:
    rate, late = 500.0, 0.0231
    t = np.arange(int(20 * rate)) / rate
    at = np.arange(1.0, 19.0, 1.0)
    light = np.zeros(len(t))
    for one in at:
        light += np.clip((t - (one + late)) / 0.004 + 0.5, 0, 1) * (t < one + 0.5)
    info = StreamInfo("box.light", int(rate), (Channel("photodiode"),))
    events = Events(
        event_stream(MARKERS),
        20.0,
        at.copy(),
        np.empty((len(at), 0)),
        ("flip",) * len(at),
    )
    recording = Recording(
        {"box.light": (Block(info, 0, 0.0, light[:, None].copy()),)}, {MARKERS: events}
    )
    found = marker_latency(recording, "photodiode", "flip")
    assert found.n == found.markers == len(at)
    # A straight flank between two samples is interpolated exactly.
    assert found.median == pytest.approx(late, abs=1e-6)
    assert found.jitter < 1e-6
    with pytest.raises(ValueError, match="there is no channel 'lamp'"):
        marker_latency(recording, "lamp")


def test_a_study_is_begun_from_its_own_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    shutil.copytree(EXAMPLE, plan)
    (plan / "session.toml").unlink()
    with pytest.raises(FileNotFoundError, match="names the session file"):
        Study.begin(tmp_path / "films", plan / "study.toml")
    assert not (tmp_path / "films").exists()


def test_results_that_are_replaced_leave_the_folders_beside_them(
    tmp_path: Path,
) -> None:
    from physio.study.study_folder import replace_folder

    derived = tmp_path / "derived"
    (derived / "epochs").mkdir(parents=True)
    (derived / "epochs" / "e.csv").write_text("1", "utf-8")
    (derived / "table.csv").write_text("old", "utf-8")
    with replace_folder(derived) as new:
        (new / "results.json").write_text("{}", "utf-8")
    names = sorted(str(p.relative_to(derived)) for p in derived.rglob("*"))
    assert names == ["epochs", "epochs/e.csv", "results.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["derived"]
    # A run that was killed between the two renames.
    derived.rename(tmp_path / ".derived.old")
    with pytest.raises(RuntimeError), replace_folder(derived):
        raise RuntimeError
    assert (derived / "epochs" / "e.csv").read_text("utf-8") == "1"
