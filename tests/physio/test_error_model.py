"""What is learned of errors, against participants whose errors are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.simulated.rating_lag import behind
from experiments.weights import error_model
from physio.core.block import Array
from physio.inference import error_correlations
from physio.models.gaussian import Gaussian, GaussianConfig

RATER, SD = 0.2, np.full(3, 0.5)
PRIOR = np.zeros(3), SD
FELT = np.sqrt(0.25 - RATER**2)


def wander(rng: np.random.Generator, n: int, tau: float, step: float) -> Array:
    """Return a smooth process that forgets within ``tau`` s, of unit variance."""
    p = np.exp(-step / tau)
    y, z = np.zeros(n), rng.standard_normal(n + 400)
    a = b = 0.0
    for i, w in enumerate(z):
        a, b = 2 * p * a - p * p * b + w, a
        if i >= 400:
            y[i - 400] = a
    g = (1 + p * p) / ((1 - p * p) ** 3)
    return y / np.sqrt(g)


def participant(
    rng: np.random.Generator, n: int = 200, step: float = 2.0, precision: float = 8.0
) -> tuple[Array, Array]:
    """Return what is felt, and an expert whose error half stays and half lasts 20 s."""
    felt = FELT * np.column_stack([wander(rng, n, 30.0, step) for _ in range(3)])
    slow = np.zeros((n, 3))
    keep = np.exp(-step / 20.0)
    slow[0] = rng.standard_normal(3)
    for i in range(1, n):
        slow[i] = keep * slow[i - 1] + np.sqrt(1 - keep**2) * rng.standard_normal(3)
    error = np.sqrt(0.4) * rng.standard_normal(3) + np.sqrt(0.5) * slow
    error = error + np.sqrt(0.1) * rng.standard_normal((n, 3))
    measured = felt + error / np.sqrt(precision)
    post = 1 / (1 / FELT**2 + precision)
    mean = post * precision * measured
    return felt, np.stack([mean, np.full((n, 3), np.sqrt(post + RATER**2))], axis=1)


@pytest.fixture(scope="module")
def participants() -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(5)
    return [participant(rng) for _ in range(150)]


def test_intervals_hold_as_much_as_they_say_of_flat_ratings_too() -> None:
    rng = np.random.default_rng(9)
    ratings = [rng.uniform(-1, 1, (80, 3)) for _ in range(50)]
    said = [
        np.stack([np.zeros((80, 3)), np.full((80, 3), 3**-0.5)], 1) for _ in ratings
    ]
    found = error_model.widths(ratings, said)
    assert found.shape == (3, 3)
    # half of a flat rating's interval is its level; a normal one has 0.67, 1.28, 1.96
    np.testing.assert_allclose(
        found, np.tile(3**0.5 * np.array([0.5, 0.8, 0.95]), (3, 1)), atol=0.03
    )


def test_errors_that_go_together_are_seen(
    participants: list[tuple[Array, Array]],
) -> None:
    rng = np.random.default_rng(6)
    felt, one = zip(*participants, strict=True)
    other = []
    for y, said in participants:
        x, gained = error_model.measured(said, PRIOR, RATER)
        own = (x - y) * np.sqrt(gained)
        fresh = rng.standard_normal(own.shape)
        both = y + (0.8 * own + 0.6 * fresh) / np.sqrt(gained)
        post = 1 / (1 / FELT**2 + gained)
        other.append(np.stack([post * gained * both, said[:, 1]], axis=1))
    found = error_model.correlations(felt, [one, other], PRIOR, RATER)
    np.testing.assert_allclose(found[:, 0, 1], 0.8, atol=0.05)
    np.testing.assert_allclose(found[:, 0, 0], 1.0)


def test_who_is_trusted_too_much_is_drawn_to_the_prior() -> None:
    rng = np.random.default_rng(7)
    ratings = [rng.normal(0, 0.5, (60, 3)) for _ in range(40)]
    said = []
    for y in ratings:
        noise = rng.normal(0, 0.5, y.shape)
        mean = np.column_stack([0.5 * (y + noise)[:, 0], y[:, 1] * 0.2, noise[:, 2]])
        said.append(np.stack([mean, np.full_like(y, 0.3)], axis=1))
    share = error_model.slopes(ratings, said, np.zeros(3))
    np.testing.assert_allclose(share, [1.0, 1.0, 0.02], atol=0.04)
    cov = 0.25 * np.eye(4)
    cov[0, 1:] = cov[1:, 0] = 0.1
    model = Gaussian(GaussianConfig(1), np.zeros(4), cov)
    drawn, told = error_model.drawn(model, share, ratings, said)
    far, _ = drawn.predict(np.array([0.5]), np.zeros(1))
    assert abs(far[2]) < 0.01
    missed = np.concatenate([r - t[:, 0] for r, t in zip(ratings, told, strict=True)])
    meant = np.concatenate([t[:, 1] for t in told])
    assert np.all(np.mean(missed**2, axis=0) <= np.mean(meant**2, axis=0) * 1.001)


def test_how_participants_differ_is_found_without_what_chance_adds() -> None:
    rng = np.random.default_rng(8)
    ratings, said = [], []
    for _ in range(300):
        own = np.array([0.0, 0.2, 0.4]) * rng.standard_normal(3)
        ratings.append(own + rng.normal(0, 0.5, (200, 3)))
        said.append(np.zeros((200, 2, 3)))
    found = error_model.participants(ratings, said)[:, 0, 0]
    np.testing.assert_allclose(found, [0.0, 0.04, 0.16], atol=0.02)


def test_only_pairs_seen_together_have_known_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "errors.json"
    monkeypatch.setattr(error_model, "ERRORS", path)
    monkeypatch.setattr(error_correlations, "ERRORS", path)
    error_correlations.known_errors.cache_clear()
    errors = np.tile(np.array([[1.0, 0.3], [0.3, 1.0]]), (3, 1, 1))
    error_model.keep(["b", "a"], errors, {"a": "1", "b": "2"})
    assert json.loads(path.read_text("utf-8"))["pairs"]["a|b"]["sha256"] == {
        "a": "1", "b": "2",
    }  # fmt: skip
    known = error_correlations.known_errors(("a", "b"), ("1", "2"))
    assert known is not None
    np.testing.assert_allclose(known, errors)
    assert error_correlations.known_errors(("a", "b"), ("1", "new")) is None
    assert error_correlations.known_errors(("a", "c"), ("1", "3")) is None
    error_correlations.known_errors.cache_clear()


def test_how_far_reports_lie_behind_is_found(
    participants: list[tuple[Array, Array]],
) -> None:
    rng = np.random.default_rng(10)
    pairs = []
    for felt, _ in participants[:40]:
        slow = np.repeat(felt[:, 1], 2)  # each second
        late = np.concatenate([np.full(5, np.nan), slow[:-5]])
        noisy = late + rng.normal(0, RATER, len(late))
        noisy[60:90] = np.nan
        pairs.append((noisy, slow))
    assert behind(pairs) == pytest.approx(5.0, abs=1.0)
    turned = behind([(b, a) for a, b in pairs])
    assert turned == -behind(pairs)
