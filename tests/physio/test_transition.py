"""Dynamics of a person: learned where people differ, of little cost where not."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.transition.evaluate import LEARNED, POPULATIONS, densities
from experiments.transition.people import simulated
from experiments.transition.personal_dynamics import Dynamics, PersonalDynamics


def gain(name: str, model: str = "learned in the session") -> float:
    scores = densities(POPULATIONS[name], simulated(POPULATIONS[name], 80, 150, 7))
    typical = scores["typical person"]
    return float(np.mean([v - typical[p] for p, v in scores[model].items()]))


def test_a_set_point_is_learned_where_people_differ() -> None:
    assert gain("decay and set point vary") > 0.01
    trait = gain("decay and set point vary", "learned, with a trait")
    assert trait > gain("decay and set point vary")


def test_little_is_lost_where_nothing_varies() -> None:
    assert -0.01 < gain("nothing varies") < 0


def test_the_density_is_that_of_a_joint_gaussian() -> None:
    plain = Dynamics(decay=20.0, set_point=0.2)
    y = simulated(plain, 1, 6, 3).y
    lags = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    cov = plain.sd**2 * np.exp(-lags * plain.step / plain.decay)
    cov += plain.noise**2 * np.eye(6)
    off = y[0] - plain.set_point
    whole = -0.5 * (
        off @ np.linalg.solve(cov, off) + np.linalg.slogdet(2 * np.pi * cov)[1]
    )
    assert PersonalDynamics(plain).log_densities(y).sum() == pytest.approx(whole)


def test_only_the_past_counts_and_missing_values_teach_nothing() -> None:
    model = PersonalDynamics(replace(LEARNED, set_point=0.1))
    y = simulated(LEARNED, 3, 40, 5).y
    y[:, 10:15] = np.nan
    whole = model.log_densities(y)
    np.testing.assert_array_equal(whole[:, :25], model.log_densities(y[:, :25]))
    assert np.isnan(whole[:, 10:15]).all()
    assert np.isfinite(whole[:, 15:]).all()
