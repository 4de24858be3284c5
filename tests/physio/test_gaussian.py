"""The joint Gaussian against brute force, and what a missing feature does to it."""

import numpy as np
import pytest

from physio.core.block import Array
from physio.core.missing import MissingReason, missing_reason
from physio.models.baseline import BaselinePrior, transform
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk

NONE = np.zeros(3)


def some(seed: int = 0) -> Gaussian:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((5, 9))
    config = GaussianConfig(3, ("valence", "arousal"))
    return Gaussian(config, rng.standard_normal(5), root @ root.T / 9 + 0.1 * np.eye(5))


def density(mean: Array, cov: Array, x: Array) -> Array:
    off = x - mean
    return np.exp(-0.5 * np.einsum("...i,ij,...j", off, np.linalg.inv(cov), off))


def test_it_answers_what_integrating_the_missing_feature_gives() -> None:
    model = some()
    z = np.array([0.3, np.nan, -0.4])
    mean, sd = model.predict(z, NONE)
    # p(y1, y2, z1 | z0, z2) on a grid of 10 standard deviations each way; z1 summed
    # out. The trapezoid rule is exact to rounding for a Gaussian at this step.
    axes = [
        np.linspace(m - 10 * s, m + 10 * s, 161)
        for m, s in zip(model.mean, np.sqrt(np.diag(model.cov)), strict=True)
    ]
    y1, y2, hidden = np.meshgrid(axes[3], axes[4], axes[1], indexing="ij")
    points = np.stack(
        [np.full_like(y1, z[0]), hidden, np.full_like(y1, z[2]), y1, y2], axis=-1
    )
    p = density(model.mean, model.cov, points)
    p /= p.sum()
    for d, y in enumerate((y1, y2)):
        expected = np.sum(p * y)
        np.testing.assert_allclose(mean[d], expected, atol=1e-6)
        np.testing.assert_allclose(
            sd[d], np.sqrt(np.sum(p * (y - expected) ** 2)), atol=1e-6
        )


def test_each_missing_feature_widens() -> None:
    model, rng = some(), np.random.default_rng(1)
    for _ in range(20):
        z = rng.standard_normal(3)
        last = model.predict(z, NONE)[1][:2]
        for i in rng.permutation(3)[:2]:
            z[i] = np.nan
            now = model.predict(z, NONE)[1][:2]
            assert np.all(now > last)
            last = now
        assert np.all(last < model.prior[1][:2])


def test_spread_widens_up_to_the_prior() -> None:
    model, z = some(), np.array([0.3, 0.1, -0.4])
    sds = [model.predict(z, np.full(3, s))[1][1] for s in (0, 0.1, 1, 10, 1e9)]
    assert sds == sorted(set(sds))
    # 1e9 leaves a billionth of the information
    np.testing.assert_allclose(sds[-1], model.prior[1][1], rtol=1e-6)


def test_spread_is_noise_on_the_features() -> None:
    model, z = some(), np.array([0.3, 0.1, -0.4])
    spread = np.array([0.2, 0.0, 0.7])
    noisy = Gaussian(model.config, model.mean, model.cov + np.diag([*spread, 0, 0]))
    np.testing.assert_array_equal(model.predict(z, spread), noisy.predict(z, NONE))


def test_what_is_far_from_all_training_says_less_without_a_jump() -> None:
    """A feature beyond the limit counts as at it, and is the noisier the further."""
    model, z = some(), np.array([0.3, 0.1, -0.4])
    sd = np.sqrt(model.cov[1, 1])
    edge = model.mean[1] + model.config.reach * sd
    means, sds = [], []
    for value in [*np.linspace(edge - sd, edge + sd, 201), edge + 1e9]:
        mean, width = model.predict(np.array([z[0], value, z[2]]), NONE)
        means.append(mean[:2])
        sds.append(width[:2])
    assert np.abs(np.diff(means[:-1], axis=0)).max() < 0.02
    assert (np.diff(sds[101:], axis=0) > 0).all()
    gone = model.predict(np.array([z[0], np.nan, z[2]]), NONE)
    np.testing.assert_allclose(means[-1], gone[0][:2], atol=1e-6)
    np.testing.assert_allclose(sds[-1], gone[1][:2], rtol=1e-6)
    alone = model.predict(np.full(3, 1e200), NONE)
    np.testing.assert_allclose(alone[0][:2], model.prior[0][:2], atol=1e-4)
    np.testing.assert_allclose(alone[1][:2], model.prior[1][:2], rtol=1e-6)


def test_an_untrained_rating_is_missing() -> None:
    mean, sd = some().predict(np.zeros(3), NONE)
    assert (
        missing_reason(mean).tolist()
        == missing_reason(sd).tolist()
        == [0, 0, MissingReason.UNTRAINED]
    )


def test_fitting_whole_moments_is_their_mean_and_covariance() -> None:
    rng = np.random.default_rng(2)
    both = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5))
    config = GaussianConfig(3, ("valence", "arousal"))
    mean, cov = fit(config, both[:, :3], both[:, 3:], np.arange(60))
    np.testing.assert_allclose(mean, both.mean(axis=0), rtol=1e-9)
    # a floor of 1e-9 is added to each variance
    expected = np.cov(both.T, bias=True) + 1e-9 * np.eye(5)
    np.testing.assert_allclose(cov, expected, rtol=1e-9)


def test_fitting_finds_what_made_data_with_holes() -> None:
    rng = np.random.default_rng(2)
    truth, n = some(3), 20_000
    both = rng.multivariate_normal(truth.mean, truth.cov, n)
    # A feature is missing more often where the ratings are high, as a pulse is that
    # movement hides: leaving such moments out would miss the mean by far.
    lost = rng.random(n) < 1 / (1 + np.exp(-3 * (both[:, 3] - truth.mean[3])))
    both[lost, 1] = np.nan
    mean, cov = fit(truth.config, both[:, :3], both[:, 3:], np.arange(n))
    whole = ~lost
    # standard error of a covariance of n samples: at most 1.5 * variance / sqrt(n);
    # half the samples are left of one feature
    atol = 5 * 1.5 * truth.cov.max() / np.sqrt(n / 2)
    np.testing.assert_allclose(cov, truth.cov, atol=atol)
    np.testing.assert_allclose(mean, truth.mean, atol=atol)
    assert abs(both[whole, 3].mean() - truth.mean[3]) > 3 * atol


def test_each_unit_counts_the_same_however_long() -> None:
    rng = np.random.default_rng(0)
    config = GaussianConfig(2, ("arousal",))
    z, y = rng.standard_normal((30, 2)), rng.standard_normal((30, 1))
    unit = np.repeat(np.arange(6), 5)
    y = y[unit]
    twice = np.r_[np.arange(30), np.arange(10)]  # units 0 and 1 seen twice as long
    a = fit(config, z, y, unit)
    b = fit(config, z[twice], y[twice], unit[twice])
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_shrinking_all_the_way_leaves_the_prior() -> None:
    rng = np.random.default_rng(0)
    both = rng.standard_normal((50, 5)) + rng.standard_normal((50, 1))
    config = GaussianConfig(3, ("valence", "arousal"))
    found = fit(config, both[:, :3], both[:, 3:], np.arange(50))
    model = shrunk(config, *found, shrink=1.0, noise=0.5)
    mean, sd = model.predict(np.array([1.0, -1.0, 2.0]), NONE)
    np.testing.assert_allclose(mean[:2], both[:, 3:].mean(axis=0), rtol=1e-9)
    expected = np.sqrt(both[:, 3:].var(axis=0) + 0.5)
    np.testing.assert_allclose(sd[:2], expected, rtol=1e-8)


def test_too_few_units_are_refused() -> None:
    z, y = np.zeros((9, 2)), np.zeros((9, 1))
    z[3:] = np.nan
    with pytest.raises(
        ValueError,
        match=r"^a joint Gaussian of 2 features needs 3 units with a moment that has "
        r"any; there are 1$",
    ):
        fit(GaussianConfig(2, ("arousal",)), z, y, np.repeat([0, 1, 2], 3))


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"^a joint Gaussian of 3 features and 2 ratings has a mean of shape "
        r"\(5,\) and a covariance of shape \(5, 5\), not \(4,\) and \(5, 5\)$",
    ):
        Gaussian(GaussianConfig(3, ("valence", "arousal")), np.zeros(4), np.eye(5))


REST = BaselinePrior(*(np.array([v]) for v in (2.0, 4.0, 1.0, 50.0, 300.0)))


def test_before_any_rest_a_participant_is_anybody() -> None:
    level, spread = REST.level(np.zeros(1), np.zeros(1))
    assert (level[0], spread[0]) == (2.0, 4.0)


def test_a_level_is_the_posterior_of_a_gaussian() -> None:
    level, spread = REST.level(np.array([300 * 7.0]), np.array([300.0]))
    # 300 s are 6 looks of variance 1 at a level of prior variance 4
    np.testing.assert_allclose(spread, 1 / (1 / 4 + 6), rtol=1e-12)
    np.testing.assert_allclose(level, (2 / 4 + 6 * 7) / (1 / 4 + 6), rtol=1e-12)


def test_preparing_keeps_the_reason_and_the_scale() -> None:
    x = np.array([4.0, np.e, -1.0, MissingReason.TOO_SHORT.nan])
    got = transform(x, ("sqrt", "log", "raw", "log"))
    np.testing.assert_allclose(got[:3], [2, 1, -1], rtol=1e-15)
    assert missing_reason(got)[3] == MissingReason.TOO_SHORT
    with pytest.raises(
        ValueError, match=r"^a transform is raw, sqrt or log, not 'cube'$"
    ):
        transform(x[:1], ("cube",))
