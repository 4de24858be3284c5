"""RBTransformer trained from a file on tokens, and live with any electrodes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cap_people import CAP, PART, REST, eeg
from physio.core.block import Array, Block
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.datasets.base import Trial
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.error_bars import ErrorBars
from physio.models.feature_density import FeatureDensity
from physio.offline.compute import estimate
from physio.training.learner import Progress, Samples, silent
from physio.training.live_ticks import TickReader
from physio.training.moments import FeatureSettings, moments_of, relative
from physio.training.rbtransformer_learner import (
    RBTransformerLearner,
    resampled,
    token_names,
)
from physio.training.sources import DataSource, open_source
from physio.training.train_card import session_line, write_weights
from physio.training.train_file import read_training
from physio.training.train_run import evaluate_training, prepare
from physio.view.dashboard.evidence import card_columns

OTHER = ("AFz", "CP3", "CP4", "PO7")
TRUST = ("cap_people",)
FILE = """
[data]
dataset = "cap_people:Cap"
folder = "."
participants = ["P1", "P2", "P3", "P4", "P5"]
[target]
{target}
[features]
form = "tokens"
baseline_seconds = 10
every = 1
[model]
use = "rbtransformer"
montage = "any"
epochs = 20
rate = 5e-3
[protocol]
held_out = ["P5"]
[output]
name = "{name}"
controls = false
"""
CLASSES = 'conditions = { rest = ["rest"], task = ["task"] }'
RATINGS = 'ratings = ["arousal"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module", params=["classes", "ratings"])
def trained(request: pytest.FixtureRequest, folder: Path) -> Any:
    target = CLASSES if request.param == "classes" else RATINGS
    path = folder / f"{request.param}.toml"
    path.write_text(FILE.format(target=target, name=request.param), "utf-8")
    prepared = prepare(read_training(path, TRUST), None, folder)
    # The features are stored, and shared by both.
    prepared.work.mkdir()
    (folder / "features").mkdir(exist_ok=True)
    (prepared.work / "features").symlink_to(folder / "features")
    outcome = evaluate_training(prepared, lambda _: None)
    stored = write_weights(prepared, outcome, "physio train", lambda _: None)
    text = '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
    session = folder / f"{request.param}-session.toml"
    session.write_text(f"{text}{session_line(prepared.out)}\n", "utf-8")
    return request.param, outcome, stored, session


def test_tokens_are_the_live_entropy_of_each_electrode(trained: Any) -> None:
    _, outcome, stored, _ = trained
    electrodes, bands = token_names(stored.card.columns)
    assert electrodes == CAP
    assert bands == ("theta", "alpha", "beta", "gamma")
    assert stored.card.columns[1] == ("eeg.de.alpha.Fz", "raw")
    moments = outcome.moments.recordings[0]
    (block,) = eeg(Trial("P1")).streams["cap.eeg"]
    direct = apply(DifferentialEntropy(), block).column("de.alpha.O2")
    given = moments.x[:, 4 * CAP.index("O2") + 1]
    known = np.isfinite(given)
    assert known.mean() > 0.9
    assert np.isin(given[known], direct).all()


def test_it_learns_the_effect_in_people_held_out(trained: Any) -> None:
    kind, outcome, stored, _ = trained
    figures = {r["metric"]: r["mean"] for r in outcome.evaluation.rows}
    if kind == "classes":
        assert figures["AUC"] > 0.8
    else:
        assert figures["r"] > 0.5
    assert "Tokens" in stored.card.protocol
    assert stored.card.use == "physio.inference.token_model:TokenModel"
    assert stored.repeated()[1] == 0.0


def test_a_session_gives_what_the_training_computes(trained: Any) -> None:
    kind, _, stored, session = trained
    out = estimate(eeg(Trial("P5")), session)
    column = "condition.task" if kind == "classes" else "arousal"
    live = out.column(column)
    seconds = np.arange(len(live)) / 4
    rest = (seconds > REST + 6) & (seconds < REST + PART)
    task = (seconds > REST + PART + 6) & (seconds < REST + 2 * PART)
    assert np.nanmean(live[task]) > np.nanmean(live[rest]) + 0.1
    if kind == "ratings":
        assert np.isfinite(out.column("arousal.ci80")[task]).any()
        parts = out.column("arousal.contribution.eeg.de.alpha")[task]
        assert np.nanmean(np.abs(parts)) > 0.01
        assert set(missing_reason(out.column("valence")).tolist()) == {
            MissingReason.UNTRAINED
        }
        assert equal_answers(stored, out) > 20


def equal_answers(stored: model_card.Weights, out: Block) -> int:
    """Return how many estimates of a session are those of the training."""
    source = open_source(DataSource(f"{TRUST[0]}:Cap", ".", ("P5",)), [Path()], TRUST)
    ticks = TickReader({}, None).read(source.entries[0])
    settings = FeatureSettings(stored.card.columns, baseline_seconds=10, every=1)
    moments = moments_of(ticks, settings, [True] * len(ticks.spans))
    z, extra = relative(moments, BaselinePrior.restore(stored.part("rest")))
    model, bars = stored.model(), ErrorBars.restore(stored.arrays)
    density = FeatureDensity.restore(stored.arrays)
    assert bars is not None
    assert density is not None
    usual = [density.novelty(*row) <= stored.arrays["density.limit"][0]
             for row in zip(z, extra, strict=True)]  # fmt: skip
    equal = []
    for k in np.flatnonzero(usual):
        mean, sd = bars.apply(*model.predict(z[k], extra[k]))
        expected = [np.clip(mean[1], -1, 1), sd[1]]
        live = [out.column(c)[moments.at[k]] for c in ("arousal", "arousal.sd")]
        # A step of a whole baseline from the prior rounds the last bit, and features
        # whose windows fill again count in part.
        equal.append(np.allclose(live, expected, rtol=1e-14, atol=0))
    return sum(equal)


def test_weights_of_any_montage_run_with_other_electrodes(trained: Any) -> None:
    kind, _, _, session = trained
    out = estimate(eeg(Trial("P5"), OTHER), session)
    column = "condition.task" if kind == "classes" else "arousal"
    assert np.isfinite(out.column(column)[200:]).all()


def test_other_electrodes_are_the_input_of_weights_of_any_montage(trained: Any) -> None:
    card = trained[2].card
    other = [f"eeg.de.alpha.{name}" for name in OTHER]
    assert card_columns(card, other) == other


def test_the_novelty_of_other_electrodes_is_that_of_the_nearest() -> None:
    rng = np.random.default_rng(0)
    density = FeatureDensity(np.zeros(4), np.eye(4) + 0.3)
    z = rng.normal(size=4)
    same = density.for_features(range(4))
    assert same.novelty(z, np.zeros(4)) == density.novelty(z, np.zeros(4))
    twice = density.for_features([2, 2, 0])
    given = np.array([1.0, 3.0, -1.0])
    expected = density.novelty(np.array([-1.0, np.nan, 2.0, np.nan]), np.zeros(4))
    assert twice.novelty(given, np.zeros(3)) == expected


def samples(x: Array) -> Samples:
    n = len(x)
    names = [(f"eeg.de.{b}.{e}", "raw") for e in ("Fz", "Pz") for b in ("a", "b")]
    return Samples(
        x, np.arange(n) % 2, np.repeat(["u", "v"], n // 2), np.arange(n),
        np.full(n, ""), np.arange(float(n)), tuple(names), classes=("r", "t"),
    )  # fmt: skip


def test_a_missing_electrode_is_left_out() -> None:
    x = np.random.default_rng(1).normal(size=(40, 4))
    model = RBTransformerLearner(epochs=1).fit(samples(x), silent)
    whole = model.condition_odds(x[0], x[0])
    part = np.where([True, True, False, True], x[0], np.nan)
    none = np.where([False, True, False, True], x[0], np.nan)
    also = np.where([True, True, False, False], x[0], np.nan)
    assert not np.array_equal(model.condition_odds(part, part), whole)
    np.testing.assert_array_equal(
        model.condition_odds(part, part), model.condition_odds(also, also)
    )
    assert np.isnan(model.condition_odds(none, none)).all()


def test_rows_are_drawn_as_often_as_they_weigh() -> None:
    given = samples(np.zeros((40, 4)))
    np.testing.assert_array_equal(resampled(given), np.arange(40))
    uneven = replace(given, y=np.where(np.arange(40) < 30, 0, 1))
    rows = resampled(uneven)
    assert len(rows) == 40
    assert np.bincount(uneven.y[rows]).tolist() == [20, 20]
    whole = replace(uneven, x=np.ones((40, 4)))
    text = RBTransformerLearner().trained_on(whole)
    assert text.startswith("30 of 40 moments train the stored weights: of the 40 with")


def test_a_stopped_fit_resumes_with_the_same_bits(tmp_path: Path) -> None:
    given = samples(np.random.default_rng(1).normal(size=(40, 4)))
    net = RBTransformerLearner(epochs=4)

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.resuming(tmp_path).fit(given, stop)
    later: list[int] = []
    again = net.resuming(tmp_path).fit(given, lambda p: later.append(p.step))
    assert later == [3, 4]
    row = given.x[0]
    expected = net.fit(given, silent).condition_odds(row, row)
    np.testing.assert_array_equal(again.condition_odds(row, row), expected)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_token_is_refused_by_name() -> None:
    given = replace(
        samples(np.zeros((40, 4))), columns=tuple((f"eda.{k}", "raw") for k in "abcd")
    )
    with pytest.raises(ValueError, match=r"begin with eda\.a: set form = 'tokens'"):
        RBTransformerLearner().fit(given, silent)
    with pytest.raises(ValueError, match="montage = 'any' needs pooling = 'mean'"):
        RBTransformerLearner(montage="any", settings={"pooling": "flat"})
    with pytest.raises(ValueError, match=r"settings\.bands follows from the data"):
        RBTransformerLearner(settings={"bands": 3})
    with pytest.raises(ValueError, match="settings of RBTransformer"):
        RBTransformerLearner(settings={"depth": 3})


def test_the_published_size_has_its_parameters() -> None:
    learner = RBTransformerLearner(
        size="published", epochs=1, settings={"dropout": 0.0}
    )
    x = np.random.default_rng(1).normal(size=(4, 4))
    model = learner.fit(samples(x), silent)
    count = sum(p.numel() for p in model.network.parameters())
    assert count == 664_834 - (32 - 2) * 128 - (4 - 2) * 128  # of DEAP: 32 x 4
