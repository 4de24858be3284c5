"""The product of experts against numerical integration."""

import numpy as np
import pytest

from physio.core.block import Array
from physio.models.fusion import Fused, fuse, intersection, nearest, shrink_to_prior


def alone(*args: Array) -> Array:
    """Fuse experts whose errors have nothing to do with each other."""
    k, d = args[0].shape
    made = fuse(*args, np.tile(np.eye(k), (d, 1, 1)))
    return np.stack([made.mean, made.sd])


def bell(y: Array, mean: float, sd: float) -> Array:
    return np.exp(-0.5 * ((y - mean) / sd) ** 2) / sd


def moments(y: Array, p: Array) -> tuple[float, float]:
    p = p / p.sum()
    mean = float(np.sum(y * p))
    return mean, float(np.sqrt(np.sum((y - mean) ** 2 * p)))


Y = np.linspace(-12, 12, 48_001)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_fusing_is_multiplying_with_the_prior_divided_out_once(k: int) -> None:
    rng = np.random.default_rng(k)
    prior = np.array([-0.2, 0.6])
    mean, sd = rng.normal(0, 0.4, (k, 1)), rng.uniform(0.2, 0.55, (k, 1))
    got = alone(mean, sd, np.full((k, 1), prior[0]), np.full((k, 1), prior[1]))
    p = bell(Y, *prior)
    for m, s in zip(mean[:, 0], sd[:, 0], strict=True):
        p = p * bell(Y, m, s) / bell(Y, *prior)
    # the sum over a grid of 5e-4 is exact for a Gaussian; rounding is left
    np.testing.assert_allclose(got[:, 0], moments(Y, p), atol=1e-9)


def test_an_expert_that_saw_nothing_adds_nothing() -> None:
    mean, sd = np.array([[0.3], [-0.2]]), np.array([[0.4], [0.6]])
    prior = np.full((2, 1), -0.2), np.full((2, 1), 0.6)
    np.testing.assert_allclose(alone(mean, sd, *prior)[:, 0], [0.3, 0.4], rtol=1e-12)


def test_weak_experts_that_agree_stay_unsure() -> None:
    """Five experts that know almost nothing must not become sure by their number."""
    k = 5
    mean, sd = np.zeros((k, 1)), np.full((k, 1), 0.58)
    got = alone(mean, sd, np.zeros((k, 1)), np.full((k, 1), 0.6))[1, 0]
    plain = 0.58 / np.sqrt(k)
    assert got > 0.5 > plain


def test_a_missing_expert_drops_out_dimension_by_dimension() -> None:
    mean = np.array([[0.3, np.nan, np.nan], [-0.1, 0.5, np.nan]])
    sd = np.array([[0.3, np.nan, np.nan], [0.5, 0.2, np.nan]])
    prior = np.zeros((2, 3)), np.full((2, 3), 0.7)
    got = alone(mean, sd, *prior)
    both = alone(mean[:, :1], sd[:, :1], prior[0][:, :1], prior[1][:, :1])
    np.testing.assert_array_equal(got[:, :1], both)
    np.testing.assert_array_equal(got[:, 1], [0.5, 0.2])
    assert np.isnan(got[:, 2]).all()
    assert got[1, 0] < 0.3


def test_an_expert_less_sure_than_its_prior_does_not_break_the_product() -> None:
    mean, sd = np.array([[0.3], [-0.2]]), np.array([[2.0], [2.0]])
    got = alone(mean, sd, np.zeros((2, 1)), np.full((2, 1), 0.6))
    np.testing.assert_allclose(got[1], 0.6, rtol=1e-12)


def test_tempering_takes_a_share_of_what_was_learned() -> None:
    own, prior = (np.array([0.4]), np.array([0.3])), (np.array([-0.3]), np.array([0.6]))
    np.testing.assert_allclose(
        np.ravel(shrink_to_prior(*own, *prior, 0.0)), [-0.3, 0.6]
    )
    np.testing.assert_allclose(np.ravel(shrink_to_prior(*own, *prior, 1.0)), [0.4, 0.3])
    ratio = bell(Y, 0.4, 0.3) / bell(Y, -0.3, 0.6)
    half = moments(Y, bell(Y, -0.3, 0.6) * np.sqrt(ratio))
    np.testing.assert_allclose(
        np.ravel(shrink_to_prior(*own, *prior, 0.5)), half, atol=1e-9
    )


def test_correlated_errors_are_weighted_as_least_squares_does() -> None:
    """Against the joint Gaussian of the rating and two measurements of it."""
    rho, prior, noise = 0.6, 0.7, np.array([0.5, 0.9])
    cov = np.outer(noise, noise) * np.array([[1, rho], [rho, 1]])
    x = np.array([0.4, -0.2])
    own = 1 / (1 / prior**2 + noise**-2.0)  # what each says by itself
    made = fuse(
        (own * x / noise**2)[:, None], np.sqrt(own)[:, None], np.zeros((2, 1)),
        np.full((2, 1), prior), np.array([[[1, rho], [rho, 1]]]),
    )  # fmt: skip
    gain = prior**2 * np.ones(2) @ np.linalg.inv(prior**2 + cov)
    np.testing.assert_allclose(made.mean, gain @ x, rtol=1e-12)
    np.testing.assert_allclose(made.sd**2, prior**2 * (1 - gain.sum()), rtol=1e-12)


def test_what_moved_the_mean_adds_up() -> None:
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(0, 0.3, (3, 2)), rng.uniform(0.2, 0.6, (3, 2))
    prior = np.full((3, 2), 0.1), np.full((3, 2), 0.65)
    for errors in (
        None,
        np.tile(nearest(np.full((3, 3), 0.4) + 0.6 * np.eye(3)), (2, 1, 1)),
    ):
        made: Fused = fuse(mean, sd, *prior, errors)
        moved = (made.weight * (mean - prior[0])).sum(axis=0)
        np.testing.assert_allclose(made.prior + moved, made.mean, rtol=1e-12)


def test_intersection_holds_for_any_correlation() -> None:
    """Its variance is never below the error of what it says, whatever rho is."""
    gained = np.array([[4.0, 0.5, 1.0], [1.0, 2.0, 1.0]])
    zero = np.full((2, 3), 1.0)
    share = intersection(gained, zero)
    assert share.sum() == pytest.approx(1.0)
    made = fuse(
        np.zeros((2, 3)), (zero + gained) ** -0.5, np.zeros((2, 3)), np.ones((2, 3))
    )
    for rho in (-0.9, 0.0, 0.9, 1.0):
        for d in range(3):
            noise = gained[:, d] ** -0.5
            cov = np.outer(noise, noise) * np.array([[1, rho], [rho, 1]])
            total = made.sd[d] ** -2.0
            put = share * gained[:, d] / total  # on what each measures
            error = put @ cov @ put + (1 / total) ** 2 * 1.0
            assert error <= made.sd[d] ** 2 + 1e-9


def test_one_dimension_alone_takes_the_surest() -> None:
    gained = np.array([[0.5], [3.0], [1.0]])
    np.testing.assert_allclose(
        intersection(gained, np.ones((3, 1))), [0, 1, 0], atol=1e-3
    )
