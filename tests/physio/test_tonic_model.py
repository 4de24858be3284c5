"""Parameters of the skin come out as they went in."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.simulated.eda_dynamics import SimulatedEda, SkinSimulation, simulate
from experiments.wesad.tonic_model import Estimate, fit, session
from physio.core.block import Array

USUAL = SkinSimulation()


def found(
    participants: range, level: float = 0.95, settings: SkinSimulation = USUAL
) -> tuple[Array, Array]:
    """Return relative errors of time and sizes, and whether intervals hold them."""
    errors, held = [], []
    for seed in participants:
        made = simulate(settings, seed)
        said = fit(session(made.eda, settings.rate, made.conditions), level)
        pairs = [(said.time, made.time)]
        pairs += [(said.size[k], v) for k, v in made.sizes.items()]
        errors.append([abs(e.value / v - 1) for e, v in pairs])
        held.append([e.low <= v <= e.high for e, v in pairs])
    return np.array(errors), np.array(held)


def test_known_parameters_are_recovered() -> None:
    errors, held = found(range(6))
    assert (np.median(errors, axis=0) <= 0.10).all()
    assert held.sum() >= 14  # of 18 at 95 %: fewer once in 300 times


@pytest.mark.long
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(level: float) -> None:
    errors, held = found(range(100, 160), level)
    assert (np.median(errors, axis=0) <= 0.10).all()
    # Three deviations of a binomial count of 180.
    assert abs(held.mean() - level) <= 3 * np.sqrt(level * (1 - level) / 180)


@pytest.mark.long
@pytest.mark.parametrize(("rise", "fall"), [(0.5, 1.8), (0.9, 3.0)])
def test_a_response_of_another_shape_than_assumed_costs_little(
    rise: float, fall: float
) -> None:
    shape = SkinSimulation(rises=(rise, rise), falls=(fall, fall))
    errors, _ = found(range(12), settings=shape)
    assert (np.median(errors, axis=0) <= 0.10).all()


def made(seed: int = 0) -> SimulatedEda:
    return simulate(SkinSimulation(minutes=60, parts=10), seed)


def test_the_unit_is_that_of_the_signal() -> None:
    one = made()
    ours = fit(session(one.eda, 4.0, one.conditions))
    tenfold = fit(session(10 * one.eda, 4.0, one.conditions))
    assert tenfold.time.value == pytest.approx(ours.time.value, rel=0.02)
    for name, size in ours.size.items():
        assert tenfold.size[name].value == pytest.approx(10 * size.value, rel=0.02)


def test_a_level_of_no_conditions_is_not_told() -> None:
    rng = np.random.default_rng(5)
    one = made()
    walk = 5 + np.cumsum(rng.normal(0, 0.002, len(one.eda)))
    said = fit(session(walk, 4.0, one.conditions))
    assert np.isnan([said.size[k].known.value for k in one.sizes]).any()
    assert said.size["stress"].low < 0 < said.size["stress"].high


def test_too_few_changes_tell_nothing() -> None:
    one = made()
    with pytest.raises(
        ValueError,
        match=r"^2 changes of condition do not tell a time constant and 2 sizes: it "
        r"takes 4$",
    ):
        session(one.eda, 4.0, [("baseline", 0, 1200), ("stress", 1200, 2400)])


def test_what_moves_the_set_point_beside_the_conditions_is_left_to_it() -> None:
    """Warmth that moves the level as much as the conditions do not."""
    settings = SkinSimulation(minutes=60, parts=10)
    one = simulate(settings, 3)
    t = np.arange(len(one.eda)) / 4
    warm = 33 + np.sin(t / 400)
    lag = np.exp(-1 / 240 / one.time)
    moved = np.empty_like(t)
    moved[0] = 0.8 * (warm[0] - 33)
    for i in range(1, len(t)):
        moved[i] = lag * moved[i - 1] + (1 - lag) * 0.8 * (warm[i] - 33)
    told = fit(session(one.eda + moved, 4.0, one.conditions, warmth=warm))
    assert told.size["stress"].value == pytest.approx(one.sizes["stress"], rel=0.15)


@pytest.mark.parametrize(
    ("estimate", "known"),
    [
        (Estimate(2.0, 1.0, 3.9), 2.0),
        (Estimate(2.0, 1.0, 4.1), np.nan),
        (Estimate(-2.0, -3.0, -1.0), -2.0),
        (Estimate(1.0, -0.1, 3.0), np.nan),
        (Estimate(1.0, 0.0, np.inf), np.nan),
    ],
)
def test_what_is_wider_than_a_factor_4_is_not_told(
    estimate: Estimate, known: float
) -> None:
    said = estimate.known
    assert said.value == pytest.approx(known, nan_ok=True)
    assert (said.low, said.high) == (estimate.low, estimate.high)


def test_a_simulation_is_the_same_each_time() -> None:
    a, b = made(4), made(4)
    np.testing.assert_array_equal(a.eda, b.eda)
    assert a.time == b.time
    assert a.time != made(5).time
    quiet = simulate(replace(SkinSimulation(), gaps=0), 4)
    assert np.isfinite(quiet.eda).all()
