"""Four models from outside the package: one table, and live on someone held out."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from cap_people import eeg
from experiments.own_models.four_models import (
    Plan,
    answers,
    compared,
    in_noise,
    train,
)
from physio.datasets.base import Trial
from physio.evaluation import results
from physio.evaluation.evaluate import EvaluationOptions, side_by_side

PLAN = Plan(
    "cap_people:Cap", ".", "cap.eeg", ("P1", "P2", "P3", "P4"), "P5", ("P6", "P7"),
    epochs=8, k=4, every=1.0, trust=("cap_people",),
)  # fmt: skip
FOUR = ("scikit-learn", "onnx", "braindecode", "torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if find_spec("braindecode") is None or version("braindecode") < "1":
        pytest.skip("braindecode 1 is not installed")
    pytest.importorskip("skl2onnx")
    folder = tmp_path_factory.mktemp("four")
    yield train(PLAN, folder, lambda _: None)
    sys.path.remove(str(folder))


def test_all_stand_in_one_table_with_corrected_differences(trained: Any) -> None:
    evaluation = compared(PLAN, trained)
    models = {r["model"] for r in evaluation.rows}
    assert models == {*FOUR, "prior", "clock", "ridge regression"}
    paired = [r for r in evaluation.paired if r["metric"] == "RMSE"]
    assert {r["than"] for r in paired} == models - {"ridge regression"}
    assert all(r["model"] == "ridge regression" for r in paired)
    assert all(r["holm"] >= r["p"] for r in paired)
    assert max(r["holm"] / r["p"] for r in paired) > 1
    counts = {len(o) for o in evaluation.outputs.values()}
    assert counts == {len(evaluation.tested)}
    assert len(evaluation.tested) > 60
    rmse = {r["model"]: r["mean"] for r in evaluation.rows if r["metric"] == "RMSE"}
    assert min(rmse[name] for name in FOUR) < rmse["prior"], rmse
    assert rmse["onnx"] < rmse["prior"], rmse  # it reads what it was trained on
    page = results.to_markdown(evaluation)
    assert all(f"{name} " in page for name in FOUR)


def test_evaluations_of_other_splits_are_refused(trained: Any) -> None:
    from dataclasses import replace

    whole = trained["torch"].outcome.evaluation
    other = replace(whole, protocol="loso")
    with pytest.raises(ValueError, match="the evaluation 'b' is of loso"):
        side_by_side({"a": whole, "b": other}, EvaluationOptions())


@pytest.mark.parametrize("name", FOUR)
def test_each_is_live_with_intervals_and_abstains(trained: Any, name: str) -> None:
    model = trained[name]
    arrays = model.weights.arrays
    assert arrays["density.limit"][0] > 0
    assert "interval.widths" in arrays
    recording = eeg(Trial("P5"))
    out = answers(PLAN, model, recording)
    mean, wide = out.column("arousal"), out.column("arousal.ci80")
    late = slice(80, len(mean) - 8)
    assert np.isfinite(mean[late]).mean() > 0.9
    assert (wide[late][np.isfinite(mean[late])] > 0).all()
    assert mean[late].std() > 0.02  # it answers, and not the prior alone
    noisy = answers(PLAN, model, in_noise(recording, PLAN.stream)).column("arousal")
    prior = arrays["prior.mean"][1]
    known = np.isfinite(noisy[late])
    assert (np.abs(noisy[late][known] - prior) < 0.1).all()
