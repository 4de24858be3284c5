"""The map of valence and arousal: it keeps an order that is there, and makes none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.prototypes.affect_map import GRID, AffectMap, bins, prototypes, unit
from experiments.prototypes.gaussian_people import FIRST_TAUGHT, participants
from experiments.prototypes.map_encoder import (
    EncoderSettings,
    MapEncoder,
    geometry_loss,
    ramp,
    train,
)
from experiments.prototypes.map_fit import MAP, PLAIN, RatedRows, fit, person_scores
from experiments.prototypes.map_picture import picture
from experiments.prototypes.map_stability import (
    grid_order,
    procrustes_error,
    rank_likeness,
)
from physio.core.block import Array

SETTINGS = EncoderSettings(width=32, size=8, steps=120, batch=128)
PEOPLE, ROWS, INPUTS = 16, 60, 10


def people(strength: float, first: int = 0, count: int = PEOPLE) -> RatedRows:
    """Return people whose inputs follow affect, each with a level of its own."""
    mixing = np.random.default_rng(99).normal(size=(2, INPUTS))
    x, affect, codes = [], [], []
    for k in range(first, first + count):
        rng = np.random.default_rng(k)
        felt = rng.uniform(-1, 1, (ROWS, 2))
        own = rng.normal(0, 0.3, INPUTS)
        x.append(strength * felt @ mixing + own + rng.normal(0, 0.5, (ROWS, INPUTS)))
        affect.append(felt)
        codes.append(np.full(ROWS, f"P{k}"))
    return RatedRows(np.concatenate(x), np.concatenate(affect), np.concatenate(codes))


@pytest.fixture(scope="module")
def ordered() -> tuple[RatedRows, MapEncoder, AffectMap]:
    rows = people(1.0)
    fitted = fit(rows, SETTINGS, 1)
    return rows, fitted.encoder, fitted.drawn


def mean_score(rows: RatedRows, output: Array) -> float:
    return float(np.nanmean(list(person_scores(rows, output)["both"].values())))


def test_the_map_loses_little_against_the_plain_head(
    ordered: tuple[RatedRows, MapEncoder, AffectMap],
) -> None:
    _, encoder, drawn = ordered
    new = people(1.0, first=1000)
    plain = mean_score(new, encoder.plain(new.x))
    assert plain > 0.8
    assert mean_score(new, drawn.read(encoder.embed(new.x))) > plain - 0.06


def test_prototypes_lie_in_the_order_of_their_bins(
    ordered: tuple[RatedRows, MapEncoder, AffectMap],
) -> None:
    assert grid_order(ordered[2]) > 0.8


def test_positions_are_stable_without_some_participants(
    ordered: tuple[RatedRows, MapEncoder, AffectMap],
) -> None:
    rows, encoder, drawn = ordered
    others, _ = rows.split(rows.names[::4])
    smaller = AffectMap.draw(encoder.embed(others.x), others.affect, drawn.tau)
    assert rank_likeness(drawn, smaller) > 0.9
    assert procrustes_error(drawn, smaller) < 0.1


def test_inputs_without_affect_give_no_order_and_no_skill() -> None:
    rows, new = people(0.0), people(0.0, first=1000)
    fitted = fit(rows, SETTINGS, 1)
    outputs = fitted.outputs(new.x)
    assert abs(mean_score(new, outputs[MAP])) < 0.05
    assert abs(mean_score(new, outputs[PLAIN])) < 0.05
    again = train(rows.x, -rows.affect, SETTINGS, 2)
    other = AffectMap.draw(again.embed(rows.x), -rows.affect, 0.1)
    assert rank_likeness(fitted.drawn, other) < 0.5


def test_bins_are_those_of_the_grid() -> None:
    np.testing.assert_array_equal(bins(GRID), np.arange(25))
    assert bins(np.array([[-1.0, 1.0]])) == bins(np.array([[-0.7, 0.7]]))


def test_an_empty_bin_takes_the_nearest() -> None:
    embedded = np.array([[2.0, 0.0], [0.0, 3.0]])
    positions, counts = prototypes(embedded, np.array([[-0.8, -0.8], [0.8, 0.8]]))
    assert counts.sum() == 2
    np.testing.assert_allclose(positions[1], [1, 0])
    np.testing.assert_allclose(positions[23], [0, 1])
    np.testing.assert_allclose(positions[12], unit(np.array([1.0, 1.0])))


def test_weights_sum_to_one_and_prefer_the_own_bin() -> None:
    rng = np.random.default_rng(0)
    positions = unit(rng.normal(size=(25, 25)))
    drawn = AffectMap(positions, np.ones(25), 0.02, np.ones(2), np.zeros(2))
    weights = drawn.weights(positions)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights.argmax(axis=1), np.arange(25))
    np.testing.assert_allclose(drawn.read(positions), GRID, atol=1e-3)
    flat = replace(drawn, tau=1e6).weights(positions)
    np.testing.assert_allclose(flat, 1 / 25, atol=1e-5)


def test_a_rotation_changes_no_likeness() -> None:
    rng = np.random.default_rng(3)
    positions = unit(rng.normal(size=(25, 6)))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    drawn = AffectMap(positions, np.ones(25), 0.1, np.ones(2), np.zeros(2))
    turned = replace(drawn, positions=positions @ turn)
    assert rank_likeness(drawn, turned) == pytest.approx(1)
    assert procrustes_error(drawn, turned) == pytest.approx(0, abs=1e-9)
    other = replace(drawn, positions=unit(rng.normal(size=(25, 6))))
    assert rank_likeness(drawn, other) < 0.5
    assert procrustes_error(drawn, other) > 0.3


def test_geometry_costs_where_bins_are_alike_or_wide() -> None:
    at = torch.tensor([24, 24, 0, 0])  # the first bin is of high valence
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    alike = torch.tensor([[1.0, 0.0]] * 4)
    wide = torch.tensor([[1.0, 0.0], [-1.0, 0.2], [0.0, 1.0], [0.0, 1.0]])
    assert float(geometry_loss(apart, at, 0.3, 0.5)) == 0
    assert float(geometry_loss(alike, at, 0.3, 0.5)) == pytest.approx(0.5)
    assert float(geometry_loss(wide, at, 0.3, 0.99)) > 0.5
    assert [ramp(0.1), ramp(0.4), ramp(0.9)] == pytest.approx([0, 0.5, 1])


def test_a_constant_rating_has_no_score() -> None:
    rows = RatedRows(np.zeros((4, 1)), np.ones((4, 2)), np.array(["P"] * 4))
    assert np.isnan(person_scores(rows, np.zeros((4, 2)))["both"]["P"])


def test_simulated_features_follow_affect_and_only_then() -> None:
    def strongest(strength: float) -> float:
        taken = list(participants(FIRST_TAUGHT, 20, strength))
        x = np.concatenate([m.x for m in taken])
        felt = np.concatenate([m.felt[:, 1] for m in taken])
        return float(np.abs([np.corrcoef(c, felt)[0, 1] for c in x.T]).max())

    assert strongest(1.0) > 0.25
    assert strongest(0.0) < 0.2


def test_the_picture_shows_person_and_path() -> None:
    shown = {"weights": [0.04] * 25, "read": [0.1, 0.2], "rated": [0.0, 0.5]}
    figure = picture(
        {
            "WESAD": {"picture": {"participant": "S2", "stress": shown}},
            "simulated": {
                "picture": {
                    "participant": "seed 1",
                    "weights": [[0.04] * 25] * 2,
                    "read": [[0.0, 0.0], [0.1, 0.1]],
                    "true": [[0.0, 0.0], [0.2, 0.1]],
                }
            },
        }
    )
    assert [ax.get_title() for ax in figure.axes][1] == "S2, stress"
    assert len(figure.axes[1].lines) == 2
