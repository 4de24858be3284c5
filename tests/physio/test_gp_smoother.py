"""What answers from the last minutes: against one large Gaussian, and in a session."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert
from physio.inference.feature_history import FeatureHistory
from physio.models import model_card
from physio.models.gp_smoother import (
    DynamicsParameters,
    GaussianSmoother,
    GaussianSmootherConfig,
    followed,
    gathered,
    wandering,
)

EACH = tuple(range(13))  # every moment by itself, so that nothing is averaged


def knows(n: int) -> DynamicsParameters:
    rng = np.random.default_rng(3)
    t = np.arange(n)
    spread = np.zeros((3, 3, 3))
    spread[:, 1, 1] = 0.1
    return DynamicsParameters(
        level=rng.normal(0, 1, 4),
        gather=np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        scale=np.eye(3) + 0.2 * rng.standard_normal((3, 3)),
        lag=np.array([4.0, 16.0, 4.0]),
        effects=rng.normal(0, 0.5, (3, 3)),
        spread=spread,
        noise=np.stack([np.exp(-t / 5), 0.5 * np.exp(-t / 20), 2.0 * (t == 0)]),
        mean=np.array([0.1, -0.2, 0.0]),
        cov=np.array([[0.3, 0.0, 0.1], [0.0, 0.25, 0.0], [0.1, 0.0, 0.3]]),
        tau=np.array([20.0]),
        share=np.ones(3),
        rater=np.full(3, 0.04),
    )


def participants(
    k: DynamicsParameters, count: int, n: int, seed: int
) -> tuple[Array, Array]:
    """Return features of participants, newest last, (count, n, 4), and their affect."""
    rng = np.random.default_rng(seed)
    far = n + 100
    size = np.linalg.cholesky(wandering(float(k.tau[0]), far, 4.0) + 1e-9 * np.eye(far))
    root = np.linalg.cholesky(k.cov)
    felt = np.einsum("st,ptd->psd", size, rng.standard_normal((count, far, 3))) @ root.T
    channels = np.empty((count, n, 3))
    for j in range(3):
        own = k.effects[j] + np.sqrt(np.diagonal(k.spread[j])) * rng.standard_normal(
            (count, 3)
        )
        after = np.einsum("st,ptd->psd", followed(k.lag[j], far, 4.0), felt)[:, -n:]
        lasts = k.noise[j][np.abs(np.subtract.outer(range(n), range(n)))]
        noise = rng.standard_normal((count, n)) @ np.linalg.cholesky(lasts).T
        channels[:, :, j] = np.einsum("ptd,pd->pt", after, own) + noise
    y = channels @ np.linalg.inv(k.scale).T
    x = np.stack([y[..., 0], y[..., 0], y[..., 1], y[..., 2]], axis=2) + k.level
    return x, felt[:, -1] + k.mean


def test_it_is_as_near_and_as_sure_as_it_says() -> None:
    k = knows(12)
    model = GaussianSmoother(GaussianSmootherConfig(4, 3, 4.0, EACH), k)
    x, felt = participants(k, 1500, 12, 1)
    mean, sd, _ = zip(*(model.history(one[::-1]) for one in x), strict=True)
    off = np.array(mean) - felt
    says = np.array(sd) ** 2 - 0.04
    # variances of 1500 draws are known to 4 %; a participant's own effects make tails
    np.testing.assert_allclose((off**2).mean(0), says.mean(0), rtol=0.15)
    assert np.all(says[0] < np.diag(k.cov))
    assert np.abs(off.mean(0)).max() < 0.06


def test_what_is_missing_is_marginalised() -> None:
    k = knows(12)
    model = GaussianSmoother(GaussianSmootherConfig(4, 3, 4.0, EACH), k)
    x, felt = participants(k, 1500, 12, 2)
    x[:, 4:9, 2] = np.nan  # a stretch of one sensor
    x[:, -1, :2] = np.nan  # another, now
    mean, sd, _ = zip(*(model.history(one[::-1]) for one in x), strict=True)
    off = np.array(mean) - felt
    np.testing.assert_allclose(
        (off**2).mean(0), (np.array(sd) ** 2 - 0.04).mean(0), rtol=0.15
    )
    full = model.history(participants(k, 1, 12, 2)[0][0, ::-1])[1]
    assert np.all(np.array(sd)[0] >= full)


def test_parts_add_up_and_nothing_says_nothing() -> None:
    model = GaussianSmoother(
        GaussianSmootherConfig(4, 3, 4.0, (0, 1, 3, 12)), knows(12)
    )
    x = participants(model.knows, 1, 12, 3)[0][0, ::-1]
    mean, _, parts = model.history(x)
    np.testing.assert_allclose(parts.sum(axis=1) + model.knows.mean, mean)
    nothing = np.full((12, 4), MissingReason.POOR_QUALITY.nan)
    assert set(missing_reason(model.history(nothing)[0])) == {
        MissingReason.POOR_QUALITY
    }


def test_two_sides_are_a_difference_and_half_a_place_counts() -> None:
    gather = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, 1.0, 0.0, 0.0]])
    x = np.array([[3.0, 1.0, 1.0, 0.0], [3.0, np.nan, np.nan, np.nan]])
    found = gathered(x, np.zeros(4), gather)
    np.testing.assert_array_equal(found, [[1.5, 2.0], [np.nan, 3.0]])


def test_edges_must_rise() -> None:
    with pytest.raises(ValueError, match=r"^edges must rise from 0, not \(0, 2, 2\)$"):
        GaussianSmootherConfig(edges=(0, 2, 2))


def test_a_ring_gives_the_moments_that_were() -> None:
    past = FeatureHistory.empty(5, 4.0, 1.0, 2)
    rows = np.arange(80.0).reshape(40, 2)
    for i, row in enumerate(rows):
        past.append(row, np.array([False, i > 30]))
    np.testing.assert_array_equal(past.moments(), rows[39:22:-4])
    without = past.moments(np.array([True, True]))
    assert np.isnan(without).tolist() == [[False, i > 30] for i in range(39, 22, -4)]


def features(n: int, rate: int = 4, *, lost: bool = True) -> Block:
    """Return features as of a session, skin conductance lost for a while."""
    card = model_card.load("published-track").card
    chains = tuple(dict.fromkeys(name.partition(".")[0] for name, _ in card.columns))
    names = [name for name, _ in card.columns]
    channels = [Channel(name, memory=30.0) for name in names]
    channels += [
        Channel(f"{c}.{end}", unit="s")
        for c in chains
        for end in ("window_start", "window_end")
    ]
    rng = np.random.default_rng(4)
    stored = model_card.load("published-track").arrays["rest.mean"]
    data = np.empty((n, len(channels)))
    for i, (_, how) in enumerate(card.columns):
        y = stored[i] + 0.05 * rng.standard_normal(n)
        data[:, i] = {"raw": y, "log": np.exp(y), "sqrt": y**2}[how]
    data[:, len(names) :] = np.arange(n)[:, None] / rate
    eda = [i for i, name in enumerate(names) if name.startswith("eda.")]
    data[200:320, eda if lost else []] = MissingReason.NO_SIGNAL.nan
    info = StreamInfo("features", Fraction(rate), tuple(channels), "simulated")  # type: ignore[arg-type]
    return Block(info, 0, 0.0, np.ascontiguousarray(data))


def test_in_a_session_cuts_change_nothing_and_a_loss_widens() -> None:
    whole = features(480)
    stage = Estimator((Expert("published-track"),))
    told = StageRunner(stage, whole.info).push(whole)
    flow = StageRunner(stage, whole.info)
    cuts = [0, 1, 7, 130, 131, 300, 480]
    pieces = [flow.push(whole.part(a, b)) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(told.data, np.concatenate([p.data for p in pieces]))
    kept = StageRunner(stage, whole.info).push(features(480, lost=False))
    wider = told.column("arousal.sd") - kept.column("arousal.sd")
    assert np.isfinite(wider).all()
    assert np.all(wider[:200] == 0)
    assert np.all(wider[208:320] > 1e-4)  # from 2 s after the loss on
    assert wider[321] > 0.9 * wider[319]  # back: no surer at once
    assert wider[-1] < wider[319]
    moved = np.abs(np.diff(told.column("arousal")))
    assert np.all(moved[199:330] < 1.96 * told.column("arousal.sd")[200:331])


def test_intervals_stand_beside_and_a_moment_like_none_moves_to_the_prior() -> None:
    whole = features(40)
    stage = Estimator((Expert("published-track"),))
    told = StageRunner(stage, whole.info).push(whole)
    widths = model_card.load("published-track").arrays["interval.widths"]
    for d, name in enumerate(("valence", "arousal", "dominance")):
        sd = told.column(f"{name}.sd")
        for k, level in enumerate((50, 80, 95)):
            half = told.column(f"{name}.ci{level}")
            np.testing.assert_allclose(half, widths[d, k] * sd)
    data = whole.data.copy()
    data[30, :30] += 40.0
    odd = StageRunner(stage, whole.info).push(Block(whole.info, 0, 0.0, data))
    prior = model_card.load("published-track").arrays
    assert abs(odd.column("arousal")[30] - prior["prior.mean"][1]) < 0.05
    assert odd.column("arousal.sd")[30] > 0.98 * prior["prior.sd"][1]
    # and is remembered as one at the limit of the training data
    np.testing.assert_array_equal(
        odd.column("arousal")[:30], told.column("arousal")[:30]
    )
    assert np.abs(odd.column("arousal")[34:] - told.column("arousal")[34:]).max() < 0.1
