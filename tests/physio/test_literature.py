"""Judged ideas: differences by participant, Holm's correction, the page of all."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.literature import table
from experiments.literature.judgement import (
    FILE,
    JUDGEMENT,
    Comparison,
    Primary,
    fixed,
    judged,
    with_judgements,
)
from physio.evaluation.figures import Figures
from physio.evaluation.results import save
from physio.evaluation.statistics import summary
from physio.view.reports.evaluation import evaluation_report

ROOT = Path(__file__).resolve().parents[2] / "experiments"
IDEAS = [name for name, _ in table.judgements()]
PAIR = Comparison("lab", "AUC", "new", "old")


def scores(gain: float, people: int = 14) -> dict[int, dict[str, dict[str, float]]]:
    rng = np.random.default_rng(1)
    old = {f"P{k}": float(v) for k, v in enumerate(rng.normal(0.7, 0.05, people))}
    return {
        seed: {
            "old": old,
            "new": {p: v + gain * (1 + 0.01 * seed) for p, v in old.items()},
        }
        for seed in (1, 2)
    }


def test_a_gain_is_the_mean_over_seeds_and_participants() -> None:
    row = judged(PAIR, scores(0.1))
    assert row["mean"] == pytest.approx(0.1015, abs=1e-4)
    assert row["better"] == row["participants"] == 14
    assert row["by_seed"] == pytest.approx([0.101, 0.102], abs=1e-4)
    assert row["low"] > 0.1
    assert row["p"] < 0.001


def test_a_participant_without_a_score_does_not_count() -> None:
    lacking = scores(0.1)
    lacking[2]["new"]["P3"] = float("nan")
    row = judged(PAIR, lacking)
    assert row["participants"] == 13
    assert "P3" not in row["differences"]


def test_a_model_without_scores_is_named() -> None:
    with pytest.raises(ValueError, match="no scores of 'other'"):
        judged(Comparison("lab", "AUC", "other", "old"), scores(0.1))


def test_an_absent_comparison_needs_its_reason() -> None:
    with pytest.raises(ValueError, match="simulated_absent"):
        Primary("idea", "source", (1,), real=PAIR)


def judgement(gain: float, seed: int = 3, margin: float = 0.0) -> dict[str, object]:
    noise = np.random.default_rng(seed).normal(gain, 0.05, 20)
    one = {"new": {f"P{k}": float(v) for k, v in enumerate(noise)}}
    old = {"old": dict.fromkeys(one["new"], 0.0)}
    pair = Comparison("lab", "AUC", "new", "old", margin)
    row = judged(pair, {1: {**one, **old}})
    return {"idea": "i", "source": "s", "real": row, "simulated": row}


def test_only_a_gain_beyond_holm_is_adopted() -> None:
    rows = table.verdicts(
        {"large": judgement(0.2), "none": judgement(0.0), "loss": judgement(-0.2)}
    )
    assert [r["adopted"] for r in rows.values()] == [True, False, False]
    assert rows["large"]["real"]["level"] == pytest.approx(1 - 0.05 / 3, abs=1e-4)


def test_a_step_that_fails_closes_those_after_it() -> None:
    # The first step needs 97.5 %, which the smaller gain would not need alone.
    alone = table.verdicts({"a": judgement(0.027, 4)})
    beside = table.verdicts({"a": judgement(0.027, 4), "b": judgement(0.02, 4)})
    assert alone["a"]["real"]["passed"]
    assert not beside["a"]["real"]["passed"]
    assert not beside["b"]["real"]["passed"]


def test_a_loss_does_not_close_the_way_of_a_gain() -> None:
    rows = table.verdicts({"loss": judgement(-0.5), "large": judgement(0.2)})
    assert rows["large"]["adopted"]


def test_a_margin_accepts_a_small_loss() -> None:
    rows = table.verdicts({"idea": judgement(-0.01, margin=0.05)})
    assert rows["idea"]["adopted"]


def test_results_hold_the_judgement_and_what_was_fixed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(
        'idea = "i"\nsource = "s"\nseeds = [1, 2]\nsimulated_absent = "no truth"\n'
        '[real]\ndataset = "lab"\nmetric = "AUC"\ncandidate = "new"\nrival = "old"\n',
        "utf-8",
    )
    result = with_judgements(Figures("lab", "loso", ()), tmp_path, real=scores(0.1))
    save(result, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert stored["details"][JUDGEMENT]["sha256"] == fixed(tmp_path)
    assert "No simulated comparison: no truth." in stored["notes"]
    with pytest.raises(ValueError, match="seeds"):
        with_judgements(result, tmp_path, real={1: scores(0.1)[1]})


@pytest.mark.parametrize("name", IDEAS)
def test_what_was_fixed_before_the_first_run_is_unchanged(name: str) -> None:
    judgement = dict(table.judgements())[name]
    assert judgement["sha256"] == fixed(ROOT / name)
    assert Primary.read(ROOT / name / FILE).idea == judgement["idea"]


def test_the_page_and_the_verdicts_are_those_of_the_results() -> None:
    found = dict(table.judgements())
    assert table.PAGE.read_text("utf-8") == table.page(found)
    assert json.loads(table.VERDICTS.read_text("utf-8")) == json.loads(
        json.dumps(table.verdicts(found))
    )


def test_a_report_of_figures_speaks_of_no_split() -> None:
    rows = (summary("new", "AUC", {"P1": 0.7, "P2": 0.8}, 1),)
    page = str(evaluation_report(Figures("lab", "none", rows).to_dict()))
    assert "2 participants" in page
    assert "not audited" not in page
