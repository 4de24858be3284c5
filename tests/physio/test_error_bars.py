"""Intervals, novelty, class odds and reasons against people who are known exactly."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.block import Array, Block, Origin
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import StageRunner
from physio.evaluation.class_calibration import (
    calibration_slope,
    expected_error,
    reliability_table,
)
from physio.evaluation.statistics import ParticipantWeights
from physio.inference.estimator import Estimator, Expert
from physio.inference.expert import FeatureGroups
from physio.inference.prior_only import prior_only_notes
from physio.models import model_card
from physio.models.base import Arrays, Model
from physio.models.error_bars import ClassReliability, ErrorBars
from physio.models.gaussian import Gaussian, GaussianConfig
from physio.models.shapley import GroupReasons, shapley
from physio.training.class_reliability import fit_reliability
from physio.training.intervals import (
    HeldOutRatings,
    check_outside,
    coverage_rows,
    cross_check,
    fit_error_bars,
    gain_rows,
    least_participants,
    participant_quantile,
    rating_step,
)
from physio.training.novelty import novelty_limit
from physio.training.reasons import group_reasons
from physio.training.save_weights import renew_example
from test_estimator import INFO, REST, card, rows

LEVELS = 0.5, 0.8, 0.95


def people(seed: int, count: int, skill: float, sd: bool = True) -> HeldOutRatings:
    """Return participants with levels and spreads of their own, and few to many rows.

    The ratings are skewed, and the model is half as sure as it should be.
    """
    rng = np.random.default_rng(seed)
    means, ratings, spreads, names = [], [], [], []
    for k in range(count):
        n = int(rng.integers(4, 80))
        level, unrest = rng.normal(0, 0.25), rng.gamma(4, 0.25)
        x = rng.normal(0, 0.5, n)
        narrow = rng.choice([0.15, 0.45], n) if sd else np.full(n, 0.3)
        noise = narrow * unrest * (rng.gamma(2, 1, n) - 2) / np.sqrt(2)
        means.append(x)
        ratings.append(0.3 + level + skill * x + noise)
        spreads.append(narrow / 2)
        names += [f"P{k}"] * n
    y, mean, spread = (np.concatenate(v)[:, None] for v in (ratings, means, spreads))
    return HeldOutRatings(
        mean, y, np.array(names), spread if sd else None, ("arousal",)
    )


@pytest.mark.parametrize("sd", [True, False])
def test_coverage_of_300_people_is_within_3_points(sd: bool) -> None:
    given = people(1, 300, 0.7, sd)
    checked = cross_check(given)
    for row in coverage_rows(checked, given):
        assert abs(row["coverage"] - row["level"]) < 0.03, row
        assert row["contains"], row
    (gain,) = gain_rows(checked, given)
    assert gain["low"] > 0
    fitted = fit_error_bars(given)
    assert fitted.forms == (("model",) if sd else ("constant",))
    np.testing.assert_allclose(fitted.bars.slope, [0.7], atol=0.06)
    assert fitted.sentences() == ()


def test_a_new_person_is_covered_whoever_calibrated() -> None:
    """Over many draws of 19 people, the guarantee holds for the next one."""
    inside = []
    for seed in range(200):
        given = people(1000 + seed, 20, 0.7)
        new = np.asarray(given.participants) == "P19"
        fitted = fit_error_bars(given.take(~new))
        check = check_outside(fitted, given.take(new))
        inside.append(np.nanmean(check.inside, axis=(0, 1)))
    covered = np.mean(inside, axis=0)
    assert np.all(covered > np.array(LEVELS) - 0.03), covered
    assert np.all(covered < np.array(LEVELS) + 0.03), covered


def test_pooled_moments_would_cover_too_few() -> None:
    """One restless person with many moments is one person, not many."""
    scores = np.concatenate([np.full(900, 5.0), np.linspace(0, 1, 19)])
    names = np.array(["busy"] * 900 + [f"P{k}" for k in range(19)])
    weights = ParticipantWeights.of(names)
    assert participant_quantile(scores, weights, 0.8) < 1
    assert np.quantile(scores, 0.8) == 5
    # Split conformal prediction with one score a person: the 16.8th of 20.
    draw = np.sort(np.r_[5.0, scores[900:]])
    expected = 0.2 * draw[15] + 0.8 * draw[16]
    assert participant_quantile(scores, weights, 0.8) == pytest.approx(expected)


def test_levels_that_few_people_cannot_give_are_refused_by_name() -> None:
    assert [least_participants(v) for v in LEVELS] == [1, 4, 19]
    scores = np.arange(18.0)
    weights = ParticipantWeights.of([f"P{k}" for k in range(18)])
    with pytest.raises(ValueError, match=r"95% needs 19 .* participants, .* are 18"):
        participant_quantile(scores, weights, 0.95)
    with pytest.raises(ValueError, match="between 0 and 1, not 1"):
        participant_quantile(scores, weights, 1.0)
    fitted = fit_error_bars(people(2, 18, 0.7))
    assert np.isnan(fitted.bars.widths[0]).tolist() == [False, False, True]
    assert any("95% needs 19" in s for s in fitted.sentences())
    with pytest.raises(ValueError, match="at least 2 held-out participants"):
        fit_error_bars(people(2, 1, 0.7))


def test_a_model_that_knows_nothing_gets_the_prior_and_is_called_so() -> None:
    forms, gains = [], []
    for seed in range(40):
        given = people(50 + seed, 24, 0.0, sd=False)
        fitted = fit_error_bars(given)
        forms.append(fitted.forms[0])
        if fitted.forms[0] == "prior":
            assert fitted.bars.prior_only.all()
            assert "arousal: prior only" in fitted.sentences()[0]
            mean, sd = fitted.bars.apply(given.mean, None)
            np.testing.assert_allclose(mean, fitted.prior[0, 0])
            np.testing.assert_allclose(sd, fitted.prior[1, 0])
        mean, sd = fitted.bars.apply(given.mean, None)
        assert sd.min() > 0.97 * fitted.prior[1, 0]
        gains.append(gain_rows(cross_check(given), given)[0]["gain"])
    assert np.mean(np.array(forms) == "prior") > 0.8
    assert abs(np.mean(gains)) < 0.01


def test_ratings_in_steps_are_covered_by_the_share_of_a_step() -> None:
    """Three answers, as of a short scale, leave no interval of exactly half of them."""
    rng = np.random.default_rng(0)
    names = np.repeat([f"P{k}" for k in range(60)], 6)
    y = rng.choice([-1.0, -0.5, 0.0], (360, 1), p=[0.4, 0.3, 0.3])
    given = HeldOutRatings(
        rng.normal(0, 0.2, (360, 1)), y, names, None, ("valence",), step=0.5
    )
    rows = coverage_rows(cross_check(given), given)
    for row in rows:
        assert abs(row["coverage"] - row["level"]) < 0.05
    assert fit_error_bars(given).forms == ("prior",)


def test_the_step_of_a_scale_is_that_of_its_answers() -> None:
    nine = np.linspace(-1, 1, 9)
    assert rating_step(np.r_[nine, nine[:3], np.nan]) == pytest.approx(0.25)
    assert rating_step(np.random.default_rng(0).normal(size=50)) == 0
    assert rating_step(np.zeros(5)) == 0


def test_coverage_by_group_and_in_another_laboratory() -> None:
    given, foreign = people(3, 60, 0.7), people(4, 30, -0.7)
    side = np.where(given.mean[:, 0] > 0, "stress", "rest")
    names = {r["group"] for r in coverage_rows(cross_check(given), given, side)}
    assert names == {"stress", "rest"}
    fitted = fit_error_bars(given)
    low = gain_rows(check_outside(fitted, foreign), foreign)[0]
    assert low["high"] < 0  # nothing is promised elsewhere, and it shows


def test_shapley_values_of_an_additive_function_are_its_terms() -> None:
    terms = np.random.default_rng(0).normal(size=(3, 6))
    np.testing.assert_allclose(shapley(lambda s: terms @ s, 6), terms, atol=1e-12)

    def value(inside: Array) -> Array:
        a, b, c = inside
        return np.array([a * b + 2 * c + a * b * c, float(a), 5.0])

    expected = np.zeros((3, 3))
    for order in permutations(range(3)):
        inside = np.zeros(3, np.bool_)
        for g in order:
            before = value(inside)
            inside[g] = True
            expected[:, g] += (value(inside) - before) / 6
    np.testing.assert_allclose(shapley(value, 3), expected, atol=1e-12)
    with pytest.raises(ValueError, match="1 to 8 groups of features, not 9"):
        shapley(np.ones, 9)


def test_novelty_alarms_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)

    def sample(count: int) -> tuple[Array, Array]:
        names = np.repeat([f"P{k}" for k in range(count)], 40)
        z = rng.normal(0, 0.5, (count, 5)).repeat(40, 0) + rng.standard_t(
            5, (count * 40, 5)
        )
        z[rng.random(z.shape) < 0.1] = np.nan
        return z, names

    limit = novelty_limit(*sample(60))
    z, _ = sample(200)
    none = np.zeros(5)
    far = [limit.density.novelty(row, none) > limit.limit for row in z]
    assert limit.rate == 0.05
    assert 0.02 < np.mean(far) < 0.07
    assert limit.density.novelty(np.full(5, 8.0), none) > limit.limit
    assert np.isnan(limit.density.novelty(np.full(5, np.nan), none))
    few = novelty_limit(*sample(9))
    assert few.rate == pytest.approx(0.1)
    assert "at most 10%" in few.sentence()


def test_odds_are_calibrated_with_one_weight_a_person() -> None:
    rng = np.random.default_rng(0)
    n = np.r_[np.full(40, 30), 900]
    names = np.repeat(np.arange(41), n).astype(np.str_)
    logit = rng.normal(0, 1, n.sum())
    y = rng.random(n.sum()) < 1 / (1 + np.exp(-logit))
    y[-900:] = rng.random(900) < 0.5  # a person whom the model knows nothing about
    sure = 1 / (1 + np.exp(-3 * logit))  # three times too sure
    odds = np.stack([1 - sure, sure], axis=1)
    fitted = fit_reliability(odds, y, names)
    assert fitted.gain > fitted.error > 0
    assert 1 / fitted.calibration.slope == pytest.approx(3, rel=0.15)
    again = ClassReliability.restore(fitted.calibration.arrays())
    assert again is not None
    np.testing.assert_array_equal(again.apply(odds), fitted.calibration.apply(odds))
    nothing = fit_reliability(rng.dirichlet((1, 1), len(y)), y, names)
    assert nothing.calibration.prior_only
    assert "prior only" in nothing.sentences()[0]
    said = nothing.calibration.apply(odds[:3])
    np.testing.assert_allclose(said, said[:1].repeat(3, 0))


def weights(folder: Path, per_tick: int) -> tuple[str, ErrorBars]:
    """Return weights with error bars, a density and reasons of their own."""
    dims = ("valence", "arousal")
    cov = np.diag([0.8, 0.2, 25.0, 0.25, 0.25])
    for i in (3, 4):
        for f, r in enumerate((0.4, 0.2, 0.35)):
            cov[i, f] = cov[f, i] = r * np.sqrt(cov[f, f] * 0.25)
    model = Gaussian(GaussianConfig(3, dims), np.array([0.2, 0.05, 2, -0.2, 0.1]), cov)
    prior = np.stack(model.prior)
    bars = ErrorBars(
        prior[0, :2], np.array([0.1, -0.2]), np.array([0.0, 0.6]),
        np.array([0.3, 0.0]), np.array([0.0, 1.5]),
        np.array([[0.7, 1.3, np.nan], [0.6, 1.2, np.nan]]),
    )  # fmt: skip
    reasons = GroupReasons(np.array([0, 0, 1]), per_tick)
    arrays = {f"model.{k}": v for k, v in model.arrays().items()}
    arrays |= {f"rest.{k}": v for k, v in REST.arrays().items()}
    arrays |= {"prior.mean": prior[0], "prior.sd": prior[1]}
    arrays |= bars.arrays(dims) | reasons.arrays()
    use = "physio.models.gaussian:Gaussian"
    model_card.save(folder, card(Origin.MEASURED, use, model.config, dims), arrays)
    renew_example(folder)
    return str(folder), bars


def test_error_bars_live_are_those_that_were_fitted(tmp_path: Path) -> None:
    name, bars = weights(tmp_path / "mine", 4)
    plain, _ = weights(tmp_path / "plain", 4)
    stored = model_card.load(plain)
    kept = {k: v for k, v in stored.arrays.items() if not k.startswith("interval.")}
    model_card.save(Path(plain), replace(stored.card), kept)
    renew_example(Path(plain))
    x = rows()
    runs = {}
    for n in (name, plain):
        stage = Estimator((Expert(n),), baseline_seconds=60.0)
        runs[n] = StageRunner(stage, INFO).push(Block(INFO, 0, 0.0, x))
    mine, theirs = runs[name], runs[plain]
    mean, sd = (
        np.stack([theirs.column(f"{d}{e}") for d in ("valence", "arousal")], axis=1)
        for e in ("", ".sd")
    )
    # Means of a scale's end would differ; the estimates here are inside.
    mapped = bars.apply(mean, sd)
    np.testing.assert_allclose(mine.column("arousal"), mapped[0][:, 1], rtol=1e-12)
    np.testing.assert_allclose(mine.column("arousal.sd"), mapped[1][:, 1], rtol=1e-12)
    np.testing.assert_allclose(mine.column("valence"), bars.prior[0])
    half = mine.column("arousal.ci80") / mine.column("arousal.sd")
    np.testing.assert_allclose(half, 1.2)
    assert set(missing_reason(mine.column("arousal.ci95"))) == {MissingReason.UNTRAINED}
    moved = sum(
        mine.column(f"arousal.contribution.{g}")
        for g in ("eda", "heart.rate", "other", "participant")
    )
    np.testing.assert_allclose(moved, mine.column("arousal") - bars.prior[1])
    # The model's prior mean is not the center of its outputs.
    other = mine.column("arousal.contribution.other")
    np.testing.assert_allclose(other, 0.6 * (bars.prior[1] - bars.center[1]))
    stage = Estimator((Expert(name),), baseline_seconds=60.0)
    runner = StageRunner(stage, INFO)
    parts = [
        runner.push(Block(INFO, i, i / 4, np.ascontiguousarray(x[i : i + 7]))).data
        for i in range(0, len(x), 7)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), mine.data)


def test_a_session_says_what_is_the_prior_only(tmp_path: Path) -> None:
    name, _ = weights(tmp_path / "mine", 4)
    (note,) = prior_only_notes([Expert(name), Expert("wrist")])
    assert note.startswith("the weights 'mine' are prior only for valence: on held-out")


def test_slow_reasons_are_those_of_a_moment_ago(tmp_path: Path) -> None:
    fast, _ = weights(tmp_path / "fast", 4)
    slow, _ = weights(tmp_path / "slow", 1)
    x = rows()
    runs = [
        StageRunner(Estimator((Expert(n),), baseline_seconds=60.0), INFO).push(
            Block(INFO, 0, 0.0, x)
        )
        for n in (fast, slow)
    ]
    now, late = (r.column("arousal.contribution.eda") for r in runs)
    np.testing.assert_array_equal(late[403:407], np.full(4, now[400]))
    np.testing.assert_array_equal(runs[0].column("arousal"), runs[1].column("arousal"))


def test_groups_of_reasons_are_few_and_named_by_what_they_share() -> None:
    names = [f"eeg.de.{b}.{e}" for b in ("theta", "alpha") for e in ("F3", "F4")]
    groups = FeatureGroups.at_most([*names, "heart.rate"], 8)
    assert groups.names == ("eeg.de.theta", "eeg.de.alpha", "heart.rate")
    many = FeatureGroups.at_most([f"c{k}.x" for k in range(12)], 8)
    assert len(many.names) == 8
    assert many.index[-1] == 7
    assert many.names[-1] == "c7 and others"


class Bilinear(Model):
    """A model that neither explains itself nor does without a feature."""

    config = None

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        mean = np.array([z[0] * z[1], z.sum(), np.nan])
        return mean, np.ones(3)

    def arrays(self) -> Arrays:
        return {}

    @classmethod
    def restore(cls, *_: Any) -> "Bilinear":
        return cls()


def test_reasons_of_a_model_that_needs_every_feature() -> None:
    columns = ("eda.tonic", "eda.scr_rate", "heart.rate", "motion.level")
    z = np.random.default_rng(0).normal(2, 1, (50, 4))
    chosen = group_reasons(Bilinear(), columns, z, budget=10.0)
    assert chosen is not None
    assert chosen.background is not None
    assert chosen.per_tick == 16
    again = GroupReasons.restore(chosen.arrays())
    assert again is not None
    state = again.initial_state()
    parts = again.step(state, Bilinear().predict, (z[0], np.zeros(4)), np.zeros(3))
    np.testing.assert_allclose(parts[1], z[0] - z.mean(axis=0))
    np.testing.assert_allclose(
        parts[0].sum(), z[0, 0] * z[0, 1] - z[:, 0].mean() * z[:, 1].mean()
    )
    assert not parts[2].any()
    slow = group_reasons(Bilinear(), columns, z, budget=0.0)
    assert slow is not None
    assert slow.per_tick == 1
    for budget in (2e-5, 3e-5, 5e-5, 1e-4):  # a measured time: seldom another number
        timed = group_reasons(Bilinear(), columns, z, budget=budget)
        assert timed is not None
        assert timed.per_tick in (1, 2, 4, 8, 16)
    assert group_reasons(Gaussian(), columns, z) is None


def test_the_page_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "error-bars.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    space: dict[str, Any] = {}
    exec(code, space)
    arrays = space["fitted"].arrays()
    assert arrays["interval.widths"].shape == (3, 3)
    assert np.isnan(arrays["prior.mean"][2])


def test_reliability_is_a_frequency_with_one_weight_a_person() -> None:
    rng = np.random.default_rng(0)
    n = np.r_[np.full(30, 40), 3000]
    names = np.repeat(np.arange(31), n).astype(np.str_)
    p = rng.uniform(0, 1, n.sum())
    y = rng.random(n.sum()) < p
    y[-3000:] = False  # a person who never does, of many moments
    odds = np.stack([1 - p, p], axis=1)
    table = reliability_table(odds, y, names)
    assert len(table) == 10
    assert sum(row["share"] for row in table) == pytest.approx(1, abs=1e-3)
    for row in table:
        assert row["low"] <= row["observed"] <= row["high"]
        assert abs(row["observed"] - 30 / 31 * row["predicted"]) < 0.12, row
    assert expected_error(table) < 0.06
    odds, y, names = odds[:-3000], y[:-3000], names[:-3000]
    slope, low, high = calibration_slope(odds, y, names)
    assert low < 1 < high
    assert low < slope < high
    sure = odds**3 / (odds**3).sum(axis=1, keepdims=True)
    assert calibration_slope(sure, y, names)[2] < 0.5
