"""One trunk for several label sets: joint training gains where labels share a cause."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.unified_labels.comparison import (
    LINEAR,
    MEAN,
    POOLED,
    SINGLE,
    UNIFIED,
    folds,
    other_laboratory,
    scores,
)
from experiments.unified_labels.label_sets import (
    LabelSet,
    Target,
    common_scale,
    concordance_score,
    person_centred,
    scaled,
)
from experiments.unified_labels.rival_regressions import pooled
from experiments.unified_labels.simulated_label_sets import (
    SHARED,
    UNRELATED,
    Moments,
    true_sets,
    world,
)
from experiments.unified_labels.unified_labels import equal_sets
from experiments.unified_labels.unified_network import (
    NetworkSettings,
    task_loss,
    taught_loss,
    train,
)
from physio.core.block import Array

SETTINGS = NetworkSettings(steps=80, batch=32)
INPUTS, ROWS = 24, 30


def moments(first: int, count: int, strength: float = 0.35) -> list[Moments]:
    """Return participants whose many inputs follow affect weakly."""
    mixing = np.random.default_rng(99).normal(size=(3, INPUTS))
    out = []
    for k in range(first, first + count):
        rng = np.random.default_rng(k)
        felt = rng.uniform(-1, 1, (ROWS, 3))
        x = strength * felt @ mixing + rng.normal(size=(ROWS, INPUTS))
        rated = felt + rng.normal(0, 0.3, felt.shape)
        out.append(Moments(f"P{k}", x, rated, felt))
    return out


@pytest.fixture(scope="module")
def gains() -> dict[str, dict[str, float]]:
    """Mean score of each model by world, over seeds."""
    taught, tested = moments(0, 12), moments(1000, 8)
    out = {}
    for name, kinds, seeds in (
        ("shared", SHARED, (1, 2)),
        ("unrelated", UNRELATED, (1,)),
    ):
        sets, new = world(kinds, taught, 3), true_sets(kinds, tested)
        runs = [scores(sets, new, SETTINGS, seed) for seed in seeds]
        out[name] = {
            model: float(
                np.mean(
                    [
                        list(table[MEAN][model].values())
                        for run in runs
                        for table in run.values()
                    ]
                )
            )
            for model in (UNIFIED, SINGLE, LINEAR)
        }
        out[f"{name}, nothing to learn"] = {
            model: float(np.mean(list(runs[0]["nothing"][MEAN][model].values())))
            for model in (UNIFIED, SINGLE)
            if "nothing" in runs[0]
        }
    return out


def test_labels_of_one_affect_gain_from_joint_training(
    gains: dict[str, dict[str, float]],
) -> None:
    assert gains["shared"][UNIFIED] > gains["shared"][SINGLE] + 0.01
    assert gains["shared"][SINGLE] > 0.6


def test_unrelated_labels_lose_no_more_than_the_margin(
    gains: dict[str, dict[str, float]],
) -> None:
    assert gains["unrelated"][UNIFIED] > gains["unrelated"][SINGLE] - 0.03


def test_a_label_without_a_cause_is_at_chance(
    gains: dict[str, dict[str, float]],
) -> None:
    for value in gains["unrelated, nothing to learn"].values():
        assert value == pytest.approx(0.5, abs=0.05)


def rows_of(y: Array, classes: int = 0, seed: int = 0) -> LabelSet:
    rng = np.random.default_rng(seed)
    people = np.repeat(["A", "B"], len(y) // 2)
    return LabelSet(
        f"set {seed}", rng.normal(size=(len(y), 4)), people, (Target("y", y, classes),)
    )


def test_a_row_without_a_label_has_no_loss() -> None:
    out = torch.zeros((3, 3), requires_grad=True)
    targets = (Target("c", np.zeros(3), 2), Target("n", np.zeros(3)))
    y = torch.tensor([[0.0, float("nan")], [float("nan"), 2.0], [float("nan")] * 2])
    task_loss(out, y, targets).backward()
    assert out.grad is not None
    changed = (out.grad != 0).tolist()
    assert changed == [[True, True, False], [False, False, True], [False] * 3]


def test_a_teacher_of_numbers_is_followed_by_squared_error() -> None:
    number = (Target("n", np.zeros(2)),)
    out, teacher = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]])
    assert float(taught_loss(out, teacher, number)) == pytest.approx(2.0)
    classes = (Target("c", np.zeros(2), 2),)
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    assert float(taught_loss(logits, logits + 5, classes)) == pytest.approx(0, abs=1e-6)
    assert float(taught_loss(logits, logits.flip(1), classes)) > 0.1


def test_the_teachers_decide_what_the_unified_network_learns() -> None:
    rows = rows_of(np.tile([0.0, 1.0], 40), 2)
    rows = replace(rows, x=rows.x + 2 * rows.targets[0].y[:, None])
    turned = replace(rows, targets=(Target("y", 1 - rows.targets[0].y, 2),))
    scale = common_scale([rows])
    wrong = {rows.name: train([turned], scale, SETTINGS, 1)}
    alone = train([rows], scale, SETTINGS, 1).outputs(rows.x, rows.name)[0]
    misled = train([rows], scale, SETTINGS, 1, wrong).outputs(rows.x, rows.name)[0]
    assert concordance_score(rows.targets[0], alone) > 0.9
    assert concordance_score(rows.targets[0], misled) < 0.1


def test_concordance_is_the_auc_of_classes_and_the_order_of_numbers() -> None:
    p = np.array([0.1, 0.4, 0.35, 0.8])
    classes = Target("c", np.array([0.0, 0, 1, 1]), 2)
    assert concordance_score(classes, np.stack([1 - p, p], axis=1)) == 0.75
    number = Target("n", np.array([0.0, 0, 1, 1]))
    assert concordance_score(number, p[:, None]) == 0.75
    assert concordance_score(number, np.zeros((4, 1))) == 0.5
    assert np.isnan(concordance_score(Target("n", np.ones(4)), p[:, None]))


def test_a_missing_input_has_not_changed() -> None:
    x = np.array([[np.nan, 100.0], [1.0, 2.0]])
    np.testing.assert_allclose(scaled(x, np.array([1.0, 2.0])), [[0, 5], [1, 1]])


def test_each_data_set_counts_alike_in_scale_and_score() -> None:
    small, large = rows_of(np.arange(4.0), seed=1), rows_of(np.arange(400.0), seed=2)
    large = replace(large, x=large.x * 10)
    scale = common_scale([small, large])
    both = [r.x.var(axis=0) for r in (small, large)]
    np.testing.assert_allclose(scale, np.sqrt(np.mean(both, axis=0)))
    tables = {
        name: {
            MEAN: {model: dict.fromkeys(people, value) for model in (UNIFIED, SINGLE)}
        }
        for name, people, value in (("one", "ab", 0.6), ("two", "abcdef", 0.8))
    }
    mean = np.mean(list(equal_sets(tables)[UNIFIED].values()))
    assert mean == pytest.approx(0.7)


def test_numbers_are_relative_to_their_person() -> None:
    y = person_centred(np.array([1.0, 3, 10, 14]), np.array(["A", "A", "B", "B"]))
    np.testing.assert_allclose(y, [-1, 1, -2, 2])


def test_every_participant_is_left_out_once() -> None:
    rows = rows_of(np.arange(8.0))
    rows = replace(rows, people=np.array([f"P{k}" for k in range(8)]))
    out = [person for fold in folds([rows], 3) for person in fold[0]]
    assert sorted(out) == sorted(rows.people)


def test_no_participant_is_in_two_simulated_sets() -> None:
    sets = world(SHARED, moments(0, 8), 2)
    people = [set(s.people) for s in sets]
    assert len(set.union(*people)) == sum(map(len, people)) == 8
    with pytest.raises(ValueError, match="need 12"):
        world(SHARED, moments(0, 8), 3)


def test_a_laboratory_left_out_is_read_by_the_heads_of_the_others() -> None:
    taught = world(SHARED, moments(0, 12, 1.0), 3)
    stress = [s for s in taught if s.name in ("conditions", "frustration", "stress")]
    (other,) = (
        t for t in true_sets(SHARED, moments(500, 4, 1.0)) if t.name == "stress"
    )
    by_model = other_laboratory(stress, other, other.targets[0].y, SETTINGS, 1)
    assert set(by_model) >= {UNIFIED, SINGLE, POOLED}
    assert np.mean(list(by_model[UNIFIED].values())) > 0.75


def test_pooling_turns_each_principal_label_into_intensity() -> None:
    y = np.tile([0.0, 1.0], 40)
    classes, number = rows_of(y, 2, 1), rows_of(10 * y + 50, 0, 2)
    sets = [replace(r, x=r.x + y[:, None]) for r in (classes, number)]
    output = pooled(sets, sets[0].x, common_scale(sets))
    assert concordance_score(Target("y", y), output[:, None]) > 0.8
