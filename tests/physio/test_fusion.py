"""The product of experts against numerical integration."""

import numpy as np
import pytest

from physio.core.block import Array
from physio.online.fusion import fuse, temper


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
    got = fuse(mean, sd, np.full((k, 1), prior[0]), np.full((k, 1), prior[1]))
    p = bell(Y, *prior)
    for m, s in zip(mean[:, 0], sd[:, 0], strict=True):
        p = p * bell(Y, m, s) / bell(Y, *prior)
    # the sum over a grid of 5e-4 is exact for a Gaussian; rounding is left
    np.testing.assert_allclose(got[:, 0], moments(Y, p), atol=1e-9)


def test_an_expert_that_saw_nothing_adds_nothing() -> None:
    mean, sd = np.array([[0.3], [-0.2]]), np.array([[0.4], [0.6]])
    prior = np.full((2, 1), -0.2), np.full((2, 1), 0.6)
    np.testing.assert_allclose(fuse(mean, sd, *prior)[:, 0], [0.3, 0.4], rtol=1e-12)


def test_weak_experts_that_agree_stay_unsure() -> None:
    """Five experts that know almost nothing must not become sure by their number."""
    k = 5
    mean, sd = np.zeros((k, 1)), np.full((k, 1), 0.58)
    got = fuse(mean, sd, np.zeros((k, 1)), np.full((k, 1), 0.6))[1, 0]
    plain = 0.58 / np.sqrt(k)
    assert got > 0.5 > plain


def test_a_missing_expert_drops_out_dimension_by_dimension() -> None:
    mean = np.array([[0.3, np.nan, np.nan], [-0.1, 0.5, np.nan]])
    sd = np.array([[0.3, np.nan, np.nan], [0.5, 0.2, np.nan]])
    prior = np.zeros((2, 3)), np.full((2, 3), 0.7)
    got = fuse(mean, sd, *prior)
    both = fuse(mean[:, :1], sd[:, :1], prior[0][:, :1], prior[1][:, :1])
    np.testing.assert_array_equal(got[:, :1], both)
    np.testing.assert_array_equal(got[:, 1], [0.5, 0.2])
    assert np.isnan(got[:, 2]).all()
    assert got[1, 0] < 0.3


def test_an_expert_less_sure_than_its_prior_does_not_break_the_product() -> None:
    mean, sd = np.array([[0.3], [-0.2]]), np.array([[2.0], [2.0]])
    got = fuse(mean, sd, np.zeros((2, 1)), np.full((2, 1), 0.6))
    np.testing.assert_allclose(got[1], 0.6, rtol=1e-12)


def test_tempering_takes_a_share_of_what_was_learned() -> None:
    own, prior = (np.array([0.4]), np.array([0.3])), (np.array([-0.3]), np.array([0.6]))
    np.testing.assert_allclose(np.ravel(temper(*own, *prior, 0.0)), [-0.3, 0.6])
    np.testing.assert_allclose(np.ravel(temper(*own, *prior, 1.0)), [0.4, 0.3])
    ratio = bell(Y, 0.4, 0.3) / bell(Y, -0.3, 0.6)
    half = moments(Y, bell(Y, -0.3, 0.6) * np.sqrt(ratio))
    np.testing.assert_allclose(np.ravel(temper(*own, *prior, 0.5)), half, atol=1e-9)
