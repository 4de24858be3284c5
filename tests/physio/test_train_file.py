"""General training: any labelled recordings to weights that run in a session."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from labelled_people import People
from physio.cli import app
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.inference.self_report import CONTINUOUS, rating
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.error_bars import ClassReliability, ErrorBars
from physio.models.feature_density import FeatureDensity
from physio.offline.compute import estimate
from physio.training import train_draft
from physio.training.calibrated_weights import calibrate
from physio.training.code_marks import learner_mark, trusted_code
from physio.training.live_ticks import TickReader
from physio.training.moments import moments_of, relative
from physio.training.onnx_learner import OnnxLearner
from physio.training.recording_labels import labelled_spans
from physio.training.sources import DataSource, open_source
from physio.training.train_card import not_better, session_line, write_weights
from physio.training.train_draft import draft
from physio.training.train_file import TrainingFile, read_training
from physio.training.train_run import (
    PreparedTraining,
    RunProgress,
    TrainingOutcome,
    evaluate_training,
    prepare,
)

USE = "labelled_people:People"
TRUST = ("labelled_people",)
DATA = f"""
[data]
dataset = "{USE}"
folder = "data"
"""
FILE = """
[target]
ratings = ["arousal"]

[features]
columns = [["temperature.level", "raw"], ["motion.activity", "log"]]
baseline_seconds = 20
every = 2
"""
GENERAL = (
    DATA
    + FILE
    + """
[protocol]
held_out = ["P6"]

[output]
name = "mine"
"""
)


def read(folder: Path, text: str, name: str = "mine.toml") -> TrainingFile:
    (folder / "data").mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return read_training(path, TRUST)


def trained(
    folder: Path, text: str, name: str = "mine.toml"
) -> tuple[PreparedTraining, TrainingOutcome, model_card.Weights]:
    prepared = prepare(read(folder, text, name), None, folder)
    outcome = evaluate_training(prepared, lambda _: None)
    stored = write_weights(prepared, outcome, f"physio train {name}", lambda _: None)
    return prepared, outcome, stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def general(folder: Path) -> Any:
    return trained(folder, GENERAL)


def session(weights: Path) -> Path:
    path = weights.parent / f"{weights.name}-session.toml"
    head = '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
    text = f"{head}{session_line(weights)}\n"
    path.write_text(text, "utf-8")
    return path


def test_the_model_beats_its_controls_and_the_card_is_complete(general: Any) -> None:
    prepared, outcome, stored = general
    rows = {r["model"]: r["mean"] for r in outcome.evaluation.rows
            if r["metric"] == "RMSE"}  # fmt: skip
    assert set(rows) == {"mine", "prior", "clock", "motion", "ridge regression"}
    assert rows["mine"] < 0.75 * rows["prior"]
    assert rows["mine"] < rows["clock"]
    assert outcome.evaluation.participants == tuple(f"P{k}" for k in range(1, 6))
    card = stored.card
    assert card.supports == ("arousal",)
    assert card.citation == "made for the tests"
    assert card.licence == "CC0"
    assert "10 recordings of 5 participants (P1, P2, P3, P4, P5)" in card.data
    assert "P6 neither trained nor tested" in card.data
    assert "leave-one-participant-out (5 folds)" in card.protocol
    assert "nothing leaks" in card.protocol
    assert card.command == "physio train mine.toml"
    assert card.participant == ""
    assert any(k.startswith("clock: ") for k in card.figures)
    assert not any("nan" in v for v in card.figures.values())
    assert {r.device for r in outcome.moments.recordings} == {"band"}
    coverage = "arousal: ratings in intervals of 80 %"
    assert 0.6 < float(card.figures[coverage].partition(" ")[0]) <= 1
    assert {k for k in card.figures if k.startswith(coverage)} == {
        coverage, *(f"{coverage}, condition {c}" for c in ("calm", "task", "film")),
    }  # fmt: skip
    assert any("an interval of 95% needs 19" in text for text in card.limits)
    page = (prepared.out / "results" / "evaluation.md").read_text("utf-8")
    assert "leave-one" in page or "loso" in page
    assert session_line(prepared.out) == f'experts = [{{ weights = "{prepared.out}" }}]'
    assert session_line(Path("mine")) == 'experts = [{ weights = "./mine" }]'


def test_a_held_out_session_gives_what_the_training_computes(
    general: Any, folder: Path
) -> None:
    """Features, baseline and answers of a session are those of training, to the bit."""
    prepared, _, stored = general
    recording = People(folder).load(Trial("P6", "1"))
    out = estimate(recording, session(prepared.out))
    source = open_source(DataSource(USE, "data", ("P6",)), [folder], TRUST)
    ticks = TickReader({}, None).read(source.entries[0])
    settings = prepared.file.features
    moments = moments_of(ticks, settings, [True] * len(ticks.spans))
    z, extra = relative(moments, BaselinePrior.restore(stored.part("rest")))
    model, bars = stored.model(), ErrorBars.restore(stored.arrays)
    density = FeatureDensity.restore(stored.arrays)
    limit = float(stored.arrays["density.limit"][0])
    assert bars is not None
    assert density is not None
    equal = 0
    for k, tick in enumerate(moments.at):
        if density.novelty(z[k], extra[k]) > limit:
            continue
        mean, sd = bars.apply(*model.predict(z[k], extra[k]))
        assert out.column("arousal")[tick] == np.clip(mean[1], -1, 1)
        assert out.column("arousal.sd")[tick] == sd[1]
        equal += 1
    assert equal > 0.8 * len(moments.at) > 40
    assert MissingReason.UNTRAINED in missing_reason(out.column("valence"))


def test_a_named_scale_is_the_same_estimate_on_its_own_range(
    general: Any, folder: Path
) -> None:
    """A scale of another name, 0 to 10 where arousal is -1 to 1, gives its numbers."""
    text = GENERAL.replace('ratings = ["arousal"]', 'ratings = { stress = "ten" }')
    text = text.replace("[features]", "scale = [0, 10]\n[features]")
    text = text.replace(USE, "labelled_people:OutOfTen").replace('"mine"', '"strain"')
    prepared, _, stored = trained(folder, text, "strain.toml")
    assert stored.card.supports == ()
    assert stored.card.scales == {"stress": (0.0, 10.0)}
    assert "Target: stress (the rating 'ten', 0 to 10)" in stored.card.protocol
    assert any(t.startswith("Stress: ") for t in stored.card.limits)
    assert not any("alence" in t for t in stored.card.limits)
    recording = People(folder).load(Trial("P6", "1"))
    arousal = estimate(recording, session(general[0].out))
    stress = estimate(recording, session(prepared.out))
    present = np.isfinite(arousal.column("arousal"))
    assert present.mean() > 0.8
    for end, shift in (("", 5.0), (".sd", 0.0), (".ci80", 0.0)):
        np.testing.assert_allclose(
            stress.column(f"scale.stress{end}")[present],
            shift + 5 * arousal.column(f"arousal{end}")[present], rtol=1e-6,
        )  # fmt: skip


def test_weights_are_not_overwritten(general: Any) -> None:
    prepared, _, _ = general
    with pytest.raises(ValueError, match=r"holds weights already.*nothing was changed"):
        prepare(prepared.file, None, prepared.out.parent)


@pytest.fixture(scope="module")
def personal(folder: Path) -> Any:
    data = DATA + 'participants = ["P2"]\n'
    file = FILE.replace(', ["motion.activity", "log"]', "")
    text = data + file + '[protocol]\nby = "session-out"\n[output]\nname = "of-p2"\n'
    return trained(folder, text, "p2.toml")


def test_a_personal_model_is_refused_to_others(personal: Any, folder: Path) -> None:
    prepared, outcome, stored = personal
    assert stored.card.participant == "P2"
    assert "Personal: trained on P2 alone" in stored.card.limits[0]
    assert "| for | P2 alone |" in (prepared.out / "CARD.md").read_text("utf-8")
    assert len(outcome.evaluation.folds.folds) == 2
    assert any("sessions" in text for text in stored.card.limits)
    path = session(prepared.out)
    own = estimate(People(folder).load(Trial("P2", "1")), path)
    assert np.isfinite(own.column("arousal")).any()
    with pytest.raises(
        ValueError,
        match=r"the weights 'of-p2' are personal, of 'P2', and this session is of "
        r"'P3': use weights of this participant or general ones",
    ):
        estimate(People(folder).load(Trial("P3", "1")), path)


def test_blocks_within_a_session_are_purged(folder: Path) -> None:
    data = DATA + 'participants = ["P2"]\n'
    file = FILE.replace(', ["motion.activity", "log"]', "")  # a window of 48 s
    text = data + file + '[protocol]\nby = "blocks"\nk = 3\nlag = 6\n'
    prepared = prepare(read(folder, text + '[output]\nname = "b"\n'), None, folder)
    outcome = evaluate_training(prepared, lambda _: None)
    folds, table = outcome.evaluation.folds, outcome.moments.table
    assert len(folds.folds) == 3
    memory = outcome.moments.recordings[0].memory
    for fold in folds.folds:
        for session_name in ("1", "2"):
            mine = table["session"] == session_name
            test, train = (
                table["end_s"].to_numpy()[rows[mine.to_numpy()[rows]]]
                for rows in (fold.test, fold.train)
            )
            apart = np.abs(test[:, None] - train[None])
            assert apart.min() > memory
            before = test[:, None] - train[None]
            assert before[before > 0].min(initial=np.inf) > memory
    rows = {r["model"] for r in outcome.evaluation.rows}
    assert "clock" in rows


def test_conditions_train_a_classifier(folder: Path) -> None:
    target = 'conditions = { task = ["task"], other = ["calm", "film"] }'
    text = (DATA + FILE).replace('ratings = ["arousal"]', target)
    text += '[protocol]\nby = "k-fold"\nk = 3\n[output]\nname = "task"\n'
    _, outcome, stored = trained(folder, text, "task.toml")
    figure = outcome.evaluation.figure("task", "AUC")
    assert figure["mean"] > 0.9
    assert len(outcome.evaluation.folds.folds) == 3
    assert stored.card.supports == ()
    assert stored.model().conditions == ("task", "other")
    assert "reliability.slope" in stored.arrays
    assert "task: task; other: calm, film" in stored.card.protocol


CHAIN = """
[chains.raw]
stream = "band.temp"
stages = [{ use = "physio.features.newest_samples:NewestSamples", step = 0.25 }]
"""
WINDOWS = (
    DATA
    + """
participants = ["P1", "P2", "P3", "P6"]
[target]
conditions = { task = ["task"], other = ["calm", "film"] }
[features]
session = "chains.toml"
window = 4
every = 3
[model]
use = "physio.training.torch_learner:TorchLearner"
network = "window_net:Net"
epochs = 3
[protocol]
held_out = ["P6"]
[output]
name = "net"
"""
)


def test_a_network_learns_from_raw_windows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows of training are those of a session, to the bit."""
    pytest.importorskip("torch")
    (folder / "chains.toml").write_text(CHAIN, "utf-8")
    monkeypatch.setattr("test_train_file.TRUST", ("labelled_people", "window_net"))
    prepared, outcome, stored = trained(folder, WINDOWS, "net.toml")
    assert stored.card.columns == (("raw.temp.0", "raw"), ("raw.count", "raw"))
    assert stored.card.baseline == 0
    assert "Windows of 4 s of the live chains" in stored.card.protocol
    assert "do not: they measure the errors." in stored.card.protocol
    assert {r["model"] for r in outcome.evaluation.rows} == {"net", "prior", "clock"}
    assert outcome.moments.recordings[0].x.shape[1:] == (1, 16)
    recording = People(folder).load(Trial("P6", "1"))
    out = estimate(recording, session(prepared.out), trust=("window_net",))
    source = open_source(DataSource(USE, "data", ("P6",)), [folder], TRUST)
    reader = TickReader(prepared.file.chains, None, ("window_net",))
    ticks = reader.read(source.entries[0])
    settings = replace(prepared.file.features, columns=stored.card.columns)
    moments = moments_of(ticks, settings, [True] * len(ticks.spans))
    assert len(moments.at) > 40
    model = stored.model(("window_net",))
    bars = ClassReliability.restore(stored.arrays)
    density = FeatureDensity.restore(stored.arrays)
    limit = float(stored.arrays["density.limit"][0])
    assert bars is not None
    assert density is not None
    usual = [density.novelty(x, np.zeros(2)) <= limit for x in moments.x]
    assert sum(usual) > 30
    for k in np.flatnonzero(usual):
        tick = moments.at[k]
        odds = bars.apply(model.condition_odds(moments.x[k], np.zeros(2)))
        live = [out.column(f"condition.{c}")[tick] for c in ("task", "other")]
        np.testing.assert_array_equal(live, odds)


def test_an_estimator_of_scikit_learn_is_trained(folder: Path) -> None:
    pytest.importorskip("skl2onnx")
    text = GENERAL.replace('"mine"', '"bayes"')
    text += '[model]\nuse = "sklearn.linear_model:BayesianRidge"\n'
    prepared, _, stored = trained(folder, text, "bayes.toml")
    out = estimate(People(folder).load(Trial("P6", "1")), session(prepared.out))
    assert np.isfinite(out.column("arousal")).mean() > 0.5
    assert stored.card.use == "physio.inference.stored_graph:StoredGraph"


def test_a_stopped_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GENERAL.replace('"mine"', '"stopped"')
    loads: list[Trial] = []
    load = People.load

    def counted(self: People, trial: Trial) -> Recording:
        loads.append(trial)
        return load(self, trial)

    monkeypatch.setattr(People, "load", counted)

    def stop(after: str) -> Callable[[RunProgress], None]:
        def report(progress: RunProgress) -> None:
            if after in progress.text:
                raise KeyboardInterrupt

        return report

    prepared = prepare(read(folder, text, "stopped.toml"), None, folder)
    with pytest.raises(KeyboardInterrupt):
        evaluate_training(prepared, stop("features of People P4 1"))
    assert len(loads) == 6
    assert "features of 6 of them stored" in prepared.cost()
    with pytest.raises(KeyboardInterrupt):
        evaluate_training(prepared, stop("P3 held out"))
    assert len(loads) == 12
    assert len(list(prepared.work.glob("fold-*.npy"))) == 2
    outcome = evaluate_training(prepared, lambda _: None)
    assert len(loads) == 12
    assert len(outcome.evaluation.folds.folds) == 5


@pytest.mark.parametrize(("change", "message"), [
    (('ratings = ["arousal"]', 'ratings = ["stress.sd"]'),
     r"mine.toml: target: ratings: a scale cannot be named 'stress.sd', as columns"),
    (('ratings = ["arousal"]', 'ratings = ["a", "b", "c", "d"]'),
     r"mine.toml: target: a model estimates at most 3 scales, not a, b, c, d"),
    (('[features]', '[feature]'),
     "a training file has no setting 'feature'; it has data, target, features"),
    (('held_out = ["P6"]', 'by = "paper-row-kfold"'), "leaks: no weights are trained"),
    (('"data"', '"absent"'), r"data.folder = 'absent': there is no folder"),
    (('dataset = "labelled_people:People"', 'dataset = "nothing"'),
     "there is no data set 'nothing'"),
    (('held_out = ["P6"]', 'held_out = ["6"]'),
     r"mine.toml: protocol.held_out names '6', and no recording is of this "
     r"participant; the participants are P1, P2, P3, P4, P5, P6"),
    (('folder = "data"', 'folder = "data"\nexcluded = ["P2", "P7"]'),
     r"data.excluded names 'P7', and no recording is of this participant; the "
     r"participants are P1"),
    (('held_out', 'k = 3\nheldout'), "has no setting 'heldout'"),
    (('held_out', 'by = "k-fold"\nk = 0\nheld_out'), "k = 0 must be 2 at least"),
])  # fmt: skip
def test_faults_are_named(folder: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare(read(folder, GENERAL.replace(*change)), None, folder / "none")


@pytest.mark.parametrize(("change", "message"), [
    (('"temperature.level"', '"eda.tonic"'), "gives no feature 'eda.tonic'"),
    (('ratings = ["arousal"]', 'ratings = ["dominance"]'),
     "nothing to learn from: People P1 1 is left out: it has no rating of dominance; "
     "its ratings are valence, arousal"),
    (('ratings = ["arousal"]', 'ratings = ["arousal"]\nscale = [0, 0.1]'),
     r"a rating of '\w+' lies outside of 0 to 0.1: state target.scale"),
    (('baseline_seconds = 20', 'baseline_seconds = 2000'),
     "no labelled moment has a feature and lies later than the baseline of 2000 s"),
    (('baseline_seconds = 20', 'baseline_seconds = 168'),
     "no moment can test a model"),
])  # fmt: skip
def test_what_cannot_be_learned_is_said(
    folder: Path, change: tuple[str, str], message: str
) -> None:
    text = GENERAL.replace(*change).replace('"mine"', '"no"')
    prepared = prepare(read(folder, text), None, folder)
    with pytest.raises(ValueError, match=message):
        evaluate_training(prepared, lambda _: None)


def test_whole_record_analyses_are_refused(tmp_path: Path) -> None:
    file = read(tmp_path, GENERAL)
    (tmp_path / "data" / "a.json").write_text(json.dumps({"causal": False}))
    with pytest.raises(ValueError, match="whole-record analysis"):
        prepare(file, None, tmp_path)


def test_codes_that_only_recordings_state_are_checked(folder: Path) -> None:
    prepared = prepare(read(folder, GENERAL), None, folder / "none")
    held_out = replace(prepared.file.protocol, held_out=("P9",))
    file = replace(prepared.file, protocol=held_out)
    (data,) = prepared.data
    entries = tuple(e._replace(participant="") for e in data.entries)
    data = data._replace(entries=entries, participants=())
    with pytest.raises(ValueError, match=r"names 'P9'.*participants are P1"):
        evaluate_training(PreparedTraining(file, (data,), prepared.out), lambda _: None)


def test_files_of_a_model_are_relative_to_the_training_file(tmp_path: Path) -> None:
    use = "physio.training.onnx_learner:OnnxLearner"
    text = GENERAL + f'[model]\nuse = "{use}"\npath = "net.onnx"\n'
    assert read(tmp_path, text).learner == OnnxLearner(str(tmp_path / "net.onnx"))
    text = text.replace('"net.onnx"', f'"{tmp_path.parent / "net.onnx"}"')
    assert read(tmp_path, text).learner.path == str(tmp_path.parent / "net.onnx")


def test_the_command_of_a_card_trusts_what_it_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = GENERAL.replace('"mine"', '"by-command"\ncontrols = false')
    read(folder, text, "command.toml")
    words = ["train", "command.toml", "--trust", "labelled_people"]
    assert CliRunner().invoke(app, words).exit_code == 0
    card = model_card.load("./by-command").card
    assert card.command == f"physio {' '.join(words)}"


LEARNER = """
from dataclasses import dataclass

from physio.training.linear_learner import RidgeLearner

@dataclass(frozen=True)
class Mine:
    def fit(self, samples, progress):
        return RidgeLearner(({penalty},)).fit(samples, progress)
"""


def test_a_changed_model_is_fitted_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = (*TRUST, "edited_learner")
    monkeypatch.setattr("test_train_file.TRUST", trust)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    text = GENERAL.replace('"mine"', '"edited"').replace(
        "[output]", "[model]\nuse = 'edited_learner:Mine'\n[output]\ncontrols = false"
    )
    figures = []
    for penalty in ("1.0", "1e5", "1e5"):
        code = LEARNER.format(penalty=penalty)
        (folder / "edited_learner.py").write_text(code, "utf-8")
        sys.modules.pop("edited_learner", None)
        importlib.invalidate_caches()
        prepared = prepare(read(folder, text, "edited.toml"), None, folder)
        outcome = evaluate_training(prepared, lambda _: None)
        figures.append(outcome.evaluation.figure("edited", "RMSE")["mean"])
    sys.modules.pop("edited_learner", None)
    assert figures[0] != figures[1] == figures[2]
    assert len(list(prepared.work.glob("fold-*.npy"))) == 10


def test_marks_change_with_files_and_trusted_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package, graph = tmp_path / "my_stages", tmp_path / "net.onnx"
    package.mkdir()
    marks = set()
    for content in ("a = 1", "a = 2"):
        (package / "levels.py").write_text(content, "utf-8")
        marks.add(trusted_code(("my_stages",)))
    assert len(marks) == 2
    assert trusted_code(("no_such_package",)) == trusted_code(())
    learner = OnnxLearner(str(graph))
    marks = {learner_mark(learner)}
    for content in (b"1", b"2"):
        graph.write_bytes(content)
        marks.add(learner_mark(learner))
    assert len(marks) == 3
    assert learner_mark(learner) in marks


def test_a_dimension_that_one_participant_rates_has_no_error_bars(
    general: Any,
) -> None:
    _, outcome, stored = general
    given = outcome.moments
    y = np.hstack([np.where(given.participants[:, None] == "P1", 0.2, np.nan), given.y])
    moments = replace(given, y=y, targets=("valence", "arousal"))
    answers = np.repeat(outcome.fits.held_out, 2, axis=1)
    z, _ = moments.inputs(moments.prior(np.arange(len(moments))))
    names = moments.settings.names
    calibrated = calibrate(moments, answers, stored.model(), z, names)
    assert calibrated.sentences[0] == (
        "Valence: intervals are those of the model, not measured: its ratings are of "
        "1 held-out participant."
    )
    bars, alone = (ErrorBars.restore(a) for a in (calibrated.arrays, stored.arrays))
    assert bars is not None
    assert alone is not None
    parts = tuple(
        r._replace(device="watch") if r.participant == "P1" else r
        for r in given.recordings
    )
    watch = replace(given, recordings=parts)
    held_out = outcome.fits.held_out
    figures = calibrate(watch, held_out, stored.model(), z, names).figures
    assert any("condition task" in name for name in figures)
    assert not any("device watch" in name for name in figures)  # a single participant
    assert bars.slope[0] == 1
    assert bars.gain[0] == 1
    assert bars.variance[1] == alone.variance[1]


def without_events(recording: Recording) -> Recording:
    return replace(recording, events={})


def test_self_reports_are_labels(folder: Path) -> None:
    recording = without_events(People(folder).load(Trial("P1", "1")))
    reports = rating(50.0, [0.1, 0.4, np.nan])
    one = replace(recording, events={reports.info.name: reports})
    (span,) = labelled_spans(one, 30.0)
    assert (span.begin, span.end) == (20.0, 50.0)
    assert span.answers == {"valence": 0.1, "arousal": 0.4}
    moving = rating(50.0, [0.1, 0.4, np.nan], CONTINUOUS)
    (part,) = labelled_spans(replace(one, events={moving.info.name: moving}), 30.0)
    assert (part.name, part.begin, part.end) == ("part 2", 30.0, 60.0)
    (whole,) = labelled_spans(recording)
    assert (whole.name, dict(whole.answers)) == ("recording", {})


def bids(root: Path) -> Path:
    """Write a BIDS folder of others: temperature, ratings in events and phenotype."""
    for k in range(1, 6):
        folder = root / f"sub-0{k}" / "beh"
        folder.mkdir(parents=True)
        stem = f"sub-0{k}_task-film"
        (folder / f"{stem}_physio.json").write_text(json.dumps({
            "SamplingFrequency": 4, "StartTime": 0, "Columns": ["temp"],
            "temp": {"Units": "degC", "Type": "temperature"},
        }))  # fmt: skip
        rng = np.random.default_rng(k)
        np.savetxt(folder / f"{stem}_physio.tsv.gz", 33 + rng.normal(0, 0.1, 4 * 90))
        rows = ["onset\tduration\ttrial_type\tarousal", "10\t30\tsad\t2",
                "45\t30\tfunny\t8"]  # fmt: skip
        (folder / f"{stem}_events.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text(json.dumps(
        {"Name": "Films", "BIDSVersion": "1.9.0", "License": "CC0"}
    ))  # fmt: skip
    (root / "participants.tsv").write_text(
        "participant_id\tage\nsub-01\t20\nsub-02\t30\nsub-03\t40\n"
    )
    (root / "phenotype").mkdir()
    (root / "phenotype" / "stai.tsv").write_text(
        "participant_id\tstate\tsad_calm\nsub-01\t30\t3\nsub-02\t40\t4\nsub-03\t50\t2\n"
        "sub-04\t50\t2\nsub-05\t50\t2\n"
    )
    return root


def test_a_bids_folder_of_others_is_drafted_and_trained(tmp_path: Path) -> None:
    root = bids(tmp_path / "films")
    path = tmp_path / "train.toml"
    text, cost = draft(root, path)
    assert 'dataset = "bids"' in text
    assert "5 participants (01, 02, 03, 04, 05), 5 recordings" in text
    assert 'ratings = ["arousal"]\nscale = [1, 9]' in text
    assert "# also rated: stai.state, stai.calm" in text
    assert '"sad" = ["sad"]' in text
    assert "temperature.level" in text
    assert cost.startswith("5 recordings, about 0.1 h")
    path.write_text(text, "utf-8")
    file = read_training(path)
    data = open_source(file.sources[0], [tmp_path])
    assert data.licence == "CC0"
    spans = labelled_spans(data.entries[0].load())
    assert spans[0].answers == {
        "participants.age": 20.0, "stai.state": 30.0, "stai.calm": 3.0, "arousal": 2.0,
    }  # fmt: skip
    assert "stai.calm" not in spans[1].answers
    prepared = prepare(file, None, tmp_path)
    outcome = evaluate_training(prepared, lambda _: None)
    np.testing.assert_allclose(np.unique(outcome.moments.y), [-0.75, 0.75])


def test_a_draft_needs_recordings(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no data set, study, BIDS folder"):
        draft(tmp_path / "empty", tmp_path / "t.toml")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        draft(tmp_path / "absent", tmp_path / "t.toml")


def test_a_draft_counts_all_people_of_recordings_that_name_them(folder: Path) -> None:
    source = DataSource(USE, "data")
    data = open_source(source, [folder], TRUST)
    codes = ["", *(e.participant for e in data.entries[1:])]
    unnamed = [e._replace(participant="") for e in data.entries]
    unnamed[0] = unnamed[0]._replace(load=lambda: People(folder).load(Trial("P7")))
    codes[0] = "P7"
    known = train_draft.with_codes(tuple(unnamed), "")
    assert [e.participant for e in known] == codes
    assert len(train_draft.with_codes(tuple(unnamed), "P2")) == 2


def test_people_held_out_select_no_features(folder: Path) -> None:
    text = GENERAL.replace(USE, "labelled_people:StillP6").replace('"mine"', '"still"')
    text = text.replace('columns = [["temperature.level", "raw"], '
                        '["motion.activity", "log"]]\n', "")  # fmt: skip
    text = text.replace("[protocol]", '[protocol]\nby = "k-fold"\nk = 2')
    text += "controls = false\n"
    prepared = prepare(read(folder, text, "still.toml"), None, folder)
    outcome = evaluate_training(prepared, lambda _: None)
    assert "motion.activity" in outcome.moments.settings.names
    assert "P6" not in outcome.moments.participants


def test_a_card_says_by_which_metric_a_control_is_better(general: Any) -> None:
    _, outcome, _ = general
    rows = [
        {"metric": f"{target}: {metric}", "than": "prior", "mean": mean,
         "low": mean - 0.05, "high": mean + 0.05}
        for target, metric, mean in (
            ("a", "RMSE", 0.1), ("b", "RMSE", -0.1), ("c", "r", 0.1), ("d", "r", -0.1),
            ("e", "RMSE", 0.0),
        )
    ]  # fmt: skip
    evaluation = replace(outcome.evaluation, paired=tuple(rows))
    assert not_better(outcome._replace(evaluation=evaluation)) == [
        "By a: RMSE it is worse than 'prior': difference 0.100 (0.050 to 0.150).",
        "By d: r it is worse than 'prior': difference -0.100 (-0.150 to -0.050).",
        "By e: RMSE it is not shown to differ from 'prior': "
        "difference 0.000 (-0.050 to 0.050).",
    ]


def test_progress_tells_folds_and_figures(general: Any) -> None:
    reports: list[RunProgress] = []
    prepared, _, _ = general
    file = replace(prepared.file, output=replace(prepared.file.output, seed=5))
    evaluate_training(prepared._replace(file=file), reports.append)
    assert reports[0].text == "features of People P1 1"
    assert reports[0].total == 12
    assert any(r.figure.startswith("log loss ") for r in reports)
    assert any(r.text == "arousal: clock, P5 held out" for r in reports)
