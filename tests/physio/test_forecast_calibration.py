"""How far off a network says that it is, from what others missed."""

import numpy as np
import pytest
import torch

from experiments.wesad.forecast_calibration import (
    Figures,
    HeldOutErrors,
    calibrate_uncertainty,
    held_out_errors,
)
from physio.models.pinn import Moments, Pinn, PinnConfig, doubt

N = 400


def network() -> Pinn:
    torch.manual_seed(2)
    return Pinn(PinnConfig(width=8, waves=4)).eval()


def participant(seed: int) -> Moments:
    """Return moments whose conductance moves the more, the more it has moved."""
    rng = torch.Generator().manual_seed(seed)
    size = torch.rand(N, 1, generator=rng) * 0.05 + 0.005
    trace = 3 + (size * torch.randn(N, 240, generator=rng)).cumsum(dim=1)
    steps = size * torch.tensor([4.0, 8.0, 11.0]) * torch.randn(N, 3, generator=rng)
    label = torch.randint(4, (N,), generator=rng)
    ratings = torch.rand(N, 2, generator=rng) * 2 - 1
    z = torch.randn(N, 4, generator=rng)
    return Moments(z, trace, trace[:, -1:] + steps, label, ratings)


def settled() -> Pinn:
    model = network()
    unit = np.arange(N) // 50
    calibrate_uncertainty(
        model,
        [held_out_errors(model, participant(s), unit) for s in range(4)],
        (0.1, 0.9),
        1e-3,
    )
    return model


def test_a_band_holds_four_of_five_of_somebody_new() -> None:
    model, new = settled(), participant(9)
    with torch.no_grad():
        low, high = model.ends(model.predict_eda(new.z, new.trace), new.trace)
    held = ((new.ahead >= low) & (new.ahead <= high)).double().mean(dim=0).numpy()
    # Three deviations of 400 moments at 80 % are 6 %.
    assert np.abs(held - 0.8).max() < 0.06
    width = (high - low)[:, 0].numpy()
    moved = doubt(new.trace)[:, 1].numpy()
    assert np.corrcoef(np.log(width), moved)[0, 1] > 0.8  # it widens with the minute
    assert (np.diff((high - low).median(dim=0).values.numpy()) > 0).all()


def test_ratings_that_are_missed_widen_what_is_said() -> None:
    model = network()
    off = HeldOutErrors(
        np.ones((N, 3)),
        np.tile([1.0, 0.0, 0.0], (N, 1)),
        np.zeros((N, 4)),
        np.zeros(N, np.int_),
        np.array([[0.5, 0.1], [0.7, 0.1]]),
        np.array([[0.2, 0.2], [0.2, 0.2]]),
    )
    calibrate_uncertainty(model, [off], (0.1, 0.9), 0.0)
    assert model.noise.tolist() == pytest.approx([0.4, 0.0])


def test_odds_that_know_nothing_are_drawn_to_the_middle() -> None:
    assert settled().temper.item() <= 0.2  # the labels were drawn at random


def test_plain_forecasts_stand_beside() -> None:
    made, new, old = Figures(1, (5.0, 15.0, 30.0)), participant(3), participant(4)
    parts = (old.trace, old.ahead, new.trace, new.ahead)
    numbers = (part.double().numpy() for part in parts)
    made.add_plain("P3", *numbers, np.arange(N) > 10)
    made.add("network", "P3", network(), new, np.arange(N) > 10)
    rows = {(r["model"], r["metric"]): r["mean"] for r in made.rows()}
    still = new.ahead[11:, 1] - new.trace[11:, -1]
    wanted = float(still.square().mean().sqrt())
    key = "15 s ahead: RMSE (uS)"
    assert rows["persistence", key] == pytest.approx(wanted, abs=1e-4)
    assert rows["network", key] == pytest.approx(wanted, abs=1e-4)  # it begins there
    assert rows["ridge", key] == pytest.approx(wanted, rel=0.3)
    assert rows["autoregression", key] == pytest.approx(wanted, rel=0.3)
