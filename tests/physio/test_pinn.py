"""The physics of the skin, and a network that obeys it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from physio.models.pinn import (
    GAMMA,
    TAUS,
    Moments,
    Pinn,
    PinnConfig,
    derivatives,
    phasic_residual,
    tonic_residual,
)

ALPHA = torch.tensor(0.4, dtype=torch.float64)  # 1/min
REST = torch.tensor(2.0, dtype=torch.float64)  # uS
DRIVE = torch.tensor(0.6, dtype=torch.float64)  # uS/min
T = torch.linspace(-60, 30, 91, dtype=torch.float64)


def relaxing(t: torch.Tensor) -> torch.Tensor:
    """Return the level that is at 5 uS at 0 s and obeys the equation."""
    aim = REST + DRIVE / ALPHA
    return aim + (5.0 - aim) * torch.exp(-GAMMA * ALPHA * t)


def responding(t: torch.Tensor) -> torch.Tensor:
    """Return what is left of a response long after its driver: no driver any more."""
    rise, fall = TAUS
    return 0.8 * torch.exp(-t / fall) - 0.5 * torch.exp(-t / rise)


def test_11_the_level_s_residual_is_0_on_the_analytic_solution() -> None:
    off = tonic_residual(relaxing, T, REST, ALPHA, DRIVE)
    # rounding of doubles in a course of a few uS
    assert off.abs().max() < 1e-14


@pytest.mark.parametrize(
    ("rest", "alpha", "drive"),
    [(2.1, 0.4, 0.6), (2.0, 0.44, 0.6), (2.0, 0.4, 0.7)],
)
def test_11_and_not_where_a_parameter_is_another(
    rest: float, alpha: float, drive: float
) -> None:
    parts = (torch.tensor(v, dtype=torch.float64) for v in (rest, alpha, drive))
    assert tonic_residual(relaxing, T, *parts).abs().max() > 1e-4


def test_11_the_responses_residual_is_the_driver() -> None:
    t = torch.linspace(0, 20, 81, dtype=torch.float64)
    none = torch.zeros((), dtype=torch.float64)
    assert phasic_residual(responding, t, none).abs().max() < 1e-13
    steady = phasic_residual(lambda s: 0 * s + 0.3, t, none + 0.3)
    assert steady.abs().max() < 1e-15
    off = phasic_residual(responding, t, none + 0.1)
    np.testing.assert_allclose(off.detach().numpy(), -0.1, atol=1e-13)


@pytest.mark.parametrize(
    ("course", "slope", "bend"),
    [
        (torch.sin, torch.cos, lambda t: -torch.sin(t)),
        (torch.exp, torch.exp, torch.exp),
    ],
)
def test_derivatives_are_those_of_the_course(
    course: Callable[..., torch.Tensor],
    slope: Callable[..., torch.Tensor],
    bend: Callable[..., torch.Tensor],
) -> None:
    t = torch.linspace(-2, 2, 41, dtype=torch.float64)
    value, first, second = derivatives(course, t)
    torch.testing.assert_close(value, course(t))
    torch.testing.assert_close(first, slope(t))
    torch.testing.assert_close(second, bend(t))


def net(**settings: float) -> Pinn:
    torch.manual_seed(1)
    return Pinn(PinnConfig(width=8, waves=4, **settings))  # type: ignore[arg-type]


def moments(n: int = 32) -> Moments:
    rng = torch.Generator().manual_seed(3)
    config = PinnConfig()
    trace = 3 + torch.randn(n, config.samples, generator=rng).cumsum(dim=1) / 40
    ahead = trace[:, -1:] + torch.randn(n, 3, generator=rng) / 9
    return Moments(
        torch.randn(n, 4, generator=rng),
        trace,
        ahead,
        torch.randint(4, (n,), generator=rng),
        torch.rand(n, 2, generator=rng) * 2 - 1,
    )


def test_the_course_goes_through_what_is_measured_now() -> None:
    model, given = net(), moments()
    course = model.course(given.z, given.trace)
    now = course.skin(torch.zeros(32, 1))
    torch.testing.assert_close(now, given.trace[:, -1:], rtol=1e-6, atol=1e-6)
    times = torch.linspace(-59, 30, 20).expand(32, -1)
    assert (course.driver(times) >= 0).all()


def test_before_it_learns_it_forecasts_that_nothing_changes() -> None:
    model, given = net(), moments()
    said = model.predict_eda(given.z, given.trace)
    torch.testing.assert_close(said, given.trace[:, -1:].expand(-1, 3))


def test_what_follows_linearly_is_in_the_unit_of_the_trace() -> None:
    model, given = net(), moments()
    torch.nn.init.normal_(model.follow.weight)
    ours = model.predict_eda(given.z, given.trace) - given.trace[:, -1:]
    tenfold = model.predict_eda(given.z, 10 * given.trace) - 10 * given.trace[:, -1:]
    assert ours.abs().max() > 0.01
    torch.testing.assert_close(tenfold, 10 * ours, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (
            {},
            "forecast reconstruction tonic phasic driver classes ratings",
        ),
        ({"physics": 0.0}, "forecast reconstruction classes ratings"),
        ({"emotion": 0.0}, "forecast reconstruction tonic phasic driver"),
        ({"eda": 0.0}, "classes ratings"),
    ],
)
def test_each_part_can_be_left_out(settings: dict[str, float], names: str) -> None:
    assert " ".join(net(**settings).loss(moments())) == names


def test_the_equation_does_not_teach_the_emotion() -> None:
    model = net(emotion=0.0)
    model.beta.copy_(torch.tensor([0.0, 2.0, 1.0, 0.0]))  # type: ignore[operator]
    terms = model.loss(moments())
    (terms["tonic"] + terms["phasic"]).backward()  # type: ignore[no-untyped-call]
    assert model.classify.weight.grad is None  # its gradient is stopped


def test_missing_answers_and_values_count_for_nothing() -> None:
    model, given = net(), moments()
    model.loss(given)
    lost = given._replace(
        z=torch.where(torch.arange(32)[:, None] < 16, given.z, torch.nan),
        ahead=torch.full_like(given.ahead, torch.nan),
        label=torch.full_like(given.label, -1),
        ratings=torch.full_like(given.ratings, torch.nan),
    )
    terms = model.loss(lost)
    assert terms["forecast"].item() == 0
    assert terms["classes"].item() == 0
    assert all(torch.isfinite(t) for t in terms.values())


def test_the_physics_can_be_learned() -> None:
    """Fitting drives the residuals down and keeps the forecast."""
    model, given = net(physics=10.0), moments(64)
    first = {k: v.item() for k, v in model.loss(given).items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        torch.stack(list(model.loss(given).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    last = {k: v.item() for k, v in model.loss(given).items()}
    assert last["tonic"] < 0.5 * first["tonic"]
    assert last["phasic"] < 0.5 * first["phasic"]
    assert last["forecast"] < first["forecast"]
