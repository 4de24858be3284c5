"""Reasons of estimates: deletion curves, driven sensors, what makes a moment novel."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from experiments.literature.judgement import fixed
from experiments.reasons.deletion import (
    LARGEST,
    ORDERS,
    RANDOM,
    REASONS,
    REVERSE,
    explained,
    relative_areas,
)
from experiments.reasons.driven_sensors import DRIVEN, RestingParticipant, only
from experiments.reasons.pointing import CHANGED, DrivenEvent, hit_rates
from experiments.reasons.pointing import LARGEST as CHANGE
from physio.core.block import Array, Channel, StreamInfo
from physio.models.base import distance_shares
from physio.models.feature_density import FeatureDensity
from physio.models.gaussian import Gaussian, GaussianConfig

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "reasons"


def gaussian(effects: tuple[float, ...], noise: float = 1.0) -> Gaussian:
    """Return a Gaussian of independent features of which arousal is a sum."""
    f = len(effects)
    load = np.array(effects)
    cov = np.eye(f + 1)
    cov[f, :f] = cov[:f, f] = load
    cov[f, f] = float(load @ load) + noise
    return Gaussian(GaussianConfig(f, ("arousal",)), np.zeros(f + 1), cov)


def areas(model: Gaussian, rows: Array) -> dict[str, float]:
    index = np.arange(rows.shape[1])
    scale = np.sqrt(np.diag(model.cov)[: rows.shape[1]])
    return relative_areas([explained(model, z, index, scale, 0.0) for z in rows])


def test_reasons_beat_the_largest_change_where_features_differ_in_weight() -> None:
    rows = np.random.default_rng(0).standard_normal((60, 4))
    by_order = areas(gaussian((0.9, 0.05, 0.02, 0.3)), rows)
    assert by_order[REASONS] > by_order[LARGEST] + 0.2
    assert by_order[RANDOM] == pytest.approx(0.0, abs=1e-12)
    assert by_order[REVERSE] == pytest.approx(-by_order[REASONS])


def test_reasons_have_no_advantage_where_all_features_weigh_the_same() -> None:
    rows = np.random.default_rng(1).standard_normal((60, 4))
    by_order = areas(gaussian((0.4, 0.4, 0.4, 0.4)), rows)
    assert by_order[REASONS] == pytest.approx(by_order[LARGEST])
    assert set(by_order) == set(ORDERS)


def test_only_the_driven_sensor_changes() -> None:
    info = StreamInfo(
        "features", Fraction(4), tuple(map(Channel, ("eda.a", "eeg.b", "heart2.c")))
    )
    rest, driven = np.zeros((5, 3)), np.ones((5, 3))
    assert only("EEG", info, rest, driven).mean(axis=0).tolist() == [0, 1, 0]
    assert only("heart rate", info, rest, driven).mean(axis=0).tolist() == [0, 0, 1]
    assert only("movement", info, rest, driven).sum() == 0


def test_driven_signals_differ_within_events_alone() -> None:
    person = RestingParticipant(7, events=1, seconds=20.0, apart=60.0, before=40.0)
    t = np.arange(0, 100, 1 / 64)
    x = np.sin(2 * np.pi * 1.1 * t)[:, None] + 0.01 * t[:, None]
    begin = person.onsets[0]
    quiet, during = t < begin, (t > begin + 5) & (t < begin + 20)
    eda = person._respond(t, x, 64.0)
    np.testing.assert_array_equal(eda[quiet], x[quiet])
    assert (eda[during] - x[during]).max() > 0.3
    shaken = person._shake(t, x, 64.0) - x
    assert not shaken[quiet].any()
    assert shaken[during].std() > 0.08
    hasty = person._hasten(t, x, 64.0)
    np.testing.assert_allclose(hasty[quiet], x[quiet], atol=1e-9)
    turns = [_rises(v[during, 0]) for v in (x, hasty)]
    assert turns[1] > 1.15 * turns[0]
    assert set(DRIVEN) == {"skin response", "heart rate", "movement", "EEG"}


def _rises(x: Array) -> int:
    return int(np.sum(np.diff(np.sign(x - x.mean())) > 0))


def test_hit_rates_are_those_of_each_person() -> None:
    events = [
        DrivenEvent("1", 1, "EEG", 0.2, {CHANGED: True, CHANGE: False}),
        DrivenEvent("1", 2, "EEG", 0.2, {CHANGED: False, CHANGE: False}),
        DrivenEvent("2", 1, "EEG", 0.2, {CHANGED: True, CHANGE: True}),
    ]
    assert hit_rates(events, CHANGED) == {"1": 0.5, "2": 1.0}
    assert hit_rates(events, CHANGE, 1) == {"1": 0.0, "2": 1.0}


def test_the_feature_unlike_the_training_data_has_the_share() -> None:
    cov = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    shares = distance_shares(np.array([0.1, np.nan, 6.0]), cov, np.zeros(3))
    assert shares is not None
    assert shares.sum() == pytest.approx(1.0)
    assert shares[2] > 0.99
    assert shares[1] == 0.0
    assert distance_shares(np.full(3, np.nan), cov, np.zeros(3)) is None
    density = FeatureDensity(np.zeros(2), np.eye(2), (0, 0, 1))
    pooled = density.novelty_shares(np.array([3.0, 3.0, 0.0]), np.zeros(3))
    assert pooled is not None
    np.testing.assert_allclose(pooled, [0.5, 0.5, 0.0])


def test_the_primary_comparison_is_as_before_the_run() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"]["judgement"]["sha256"] == fixed(FOLDER)
