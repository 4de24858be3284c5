"""Removal of a known confounder: what stays, what goes, what was fixed before."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.confounders.distillation import LESSONS, DistilledNetwork
from experiments.confounders.exertion import activity, decayed
from experiments.confounders.judged_confounders import ConfounderTable, by_person
from experiments.confounders.removal import ConfounderRegression
from experiments.confounders.worlds import CONFOUNDERS, FEATURES, people
from experiments.literature.judgement import JUDGEMENT, fixed
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.splits import LeaveSubjectsOut
from tables import table

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "confounders"
Areas = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def worlds() -> Areas:
    """Return the mean AUC over people of each form of regression, by world."""
    settings = ConfounderTable({}, trained=20, tested=25)
    return {
        world: {m: float(np.mean(list(s.values()))) for m, s in models.items()}
        for world, models in settings.worlds(99).items()
    }


def test_what_was_fixed_before_the_first_run_is_unchanged() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"][JUDGEMENT]["sha256"] == fixed(FOLDER)


def test_arousal_that_the_body_answers_to_stays(worlds: Areas) -> None:
    for world in ("body", "body, confounded"):
        assert worlds[world]["counterfactual"] > 0.75
    body = worlds["body"]
    assert body["counterfactual"] > body["features"] - 0.02
    assert abs(body["alone"] - 0.5) < 0.1


@pytest.mark.parametrize("world", ["motion", "clock"])
def test_a_label_of_the_confounder_alone_goes(worlds: Areas, world: str) -> None:
    assert worlds[world]["features"] > 0.65
    assert worlds[world]["alone"] > 0.9
    assert abs(worlds[world]["counterfactual"] - 0.5) < 0.06


def test_a_shortcut_of_the_training_is_not_taken(worlds: Areas) -> None:
    confounded = worlds["body, confounded"]
    assert confounded["counterfactual"] > confounded["input"] + 0.02


def test_the_output_does_not_depend_on_the_confounder_alone() -> None:
    rows = people(10, "motion", 3, trained=True)
    model = ConfounderRegression(FEATURES, CONFOUNDERS, "direct")
    x, c = model.inputs(rows, np.arange(len(rows)))
    fitted = model.fit(x, c, rows["y"].to_numpy())
    moved = model.output(fitted, x, c + 5.0)
    np.testing.assert_allclose(moved, model.output(fitted, x, c), atol=1e-9)


def test_motion_fades_within_minutes() -> None:
    still, shaken = np.zeros((80, 3)), np.zeros((80, 3))
    shaken[::2, 0] = 1.0
    per_second = activity(np.concatenate([still, shaken, np.tile(still, (30, 1))]), 8)
    np.testing.assert_allclose(per_second[[0, 15, 200]], [0, 0.5, 0])
    past = decayed(per_second)
    assert past[19] == past.max()
    assert past[139] == pytest.approx(past[19] / np.e, rel=1e-6)


def test_by_person_needs_both_kinds_of_rows() -> None:
    p, who = np.array([0.1, 0.9, 0.4, 0.6]), np.array(["a", "a", "b", "b"])
    stressed, rows = np.array([False, True, True, True]), np.ones(4, np.bool_)
    assert by_person(p, who, stressed, rows) == {"a": 1.0}


def test_networks_that_train_on_masks_bear_missing_features() -> None:
    rows = table(6, hop=80)
    rows["eda.second"] = rows["eda.scr_rate"] + np.random.default_rng(1).normal(
        0, 0.5, len(rows)
    )
    names = ("eda.scr_rate", "eda.second")
    task = Task(rows, {"calm": ("calm",), "stress": ("stress",)}, columns=names)
    options = EvaluationOptions(("AUC",), time_only=False, missing_rates=(0, 0.5, 1))
    models = {lesson: DistilledNetwork(names, lesson) for lesson in LESSONS}
    found = evaluate(task, LeaveSubjectsOut(2), models, options)
    for curve in found.details["missing rates"]["models"].values():
        assert curve[0] > 0.7
        assert curve[0] > curve[1] > curve[2] == 0.5
