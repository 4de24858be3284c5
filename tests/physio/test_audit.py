"""Leaks are planted, and each must be found; without them nothing is."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from physio.evaluation.folds import Fold, Folds
from physio.evaluation.leakage.audit import Audit, audit
from physio.evaluation.leakage.table_checks import fitted_outside
from physio.evaluation.splits import divide, protocol
from tables import table

FEATURES = ["eda.scr_rate", "heart.rate", "motion.activity"]


def loso(rows: pd.DataFrame) -> Folds:
    return divide(rows, protocol("loso"))


def kinds(found: Audit) -> set[str]:
    return {f.kind for f in found.findings if f.leak}


@pytest.mark.parametrize(
    "name", ["loso", "leave-order-out", "time-blocked", "cross-session"]
)
def test_an_honest_split_is_clean(name: str) -> None:
    rows = table()
    found = audit(rows, divide(rows, protocol(name)), time_only=False).check()
    assert found.ok
    assert found.findings == ()
    assert found.to_dict() == {
        "ok": True,
        "protocol": name,
        "findings": [],
        "time_only": None,
    }


def with_row_moved(folds: Folds) -> Folds:
    """Let one row of a tested participant train too."""
    fold = folds.folds[0]
    train = np.sort(np.append(fold.train, fold.test[5]))
    test = np.delete(fold.test, 5)
    first = Fold(fold.name, train, test)
    return replace(folds, folds=(first, *folds.folds[1:]))


def with_rest_tested(folds: Folds) -> Folds:
    fold = folds.folds[0]
    first = replace(fold, calibration=fold.test[:3])
    return replace(folds, folds=(first, *folds.folds[1:]))


def with_choice_by_test(folds: Folds) -> Folds:
    fold = folds.folds[0]
    inner = Fold("all", fold.train, fold.test)
    return replace(folds, folds=(replace(fold, inner=(inner,)), *folds.folds[1:]))


@pytest.mark.parametrize(
    ("leak", "kind"),
    [
        (with_row_moved, {"shared samples", "shared subjects"}),
        (with_rest_tested, {"calibration in the test"}),
        (with_choice_by_test, {"chosen by the test"}),
    ],
)
def test_what_is_on_both_sides_is_found(
    leak: Callable[[Folds], Folds], kind: set[str]
) -> None:
    rows = table()
    found = audit(rows, leak(loso(rows)), time_only=False)
    assert kinds(found) == kind
    with pytest.raises(ValueError, match=r"^the split 'loso' leaks and is refused: "):
        found.check()


def test_a_purge_that_forgets_the_memory_of_a_stage_is_found() -> None:
    rows = table()
    # Windows do not overlap, but what they rest on does.
    blind = rows.assign(support_start_sample=rows["start_sample"])
    folds = replace(divide(blind, protocol("time-blocked")), table="")
    assert audit(blind, folds, time_only=False).ok
    found = audit(rows, folds, time_only=False)
    assert kinds(found) == {"shared samples", "shared samples inside"}


@pytest.mark.parametrize("name", ["paper-window-kfold", "paper-row-kfold"])
def test_a_paper_may_leak_but_it_is_said(name: str) -> None:
    rows = table()
    found = audit(rows, divide(rows, protocol(name)), time_only=False).check()
    assert not found.ok
    assert {"shared samples", "shared trials", "shared subjects"} <= kinds(found)
    first = next(f for f in found.findings if f.kind == "shared subjects")
    assert first.text == "6 of 6 participants that are tested train too, as S1"
    assert str(found).endswith(f"{name}: this split leaks")


def simulated(rows: pd.DataFrame) -> pd.Series:
    rng = np.random.default_rng(1)
    return (rows["label"] == "stress") + rng.normal(0, 1, len(rows))


def cortisol(rows: pd.DataFrame, noise: float = 0.05) -> pd.Series:
    """Return a hormone made from stress: slow kinetics, a level of each participant."""
    rng = np.random.default_rng(8)
    level = dict(zip(sorted(set(rows["subject"])), rng.normal(9, 3, 99), strict=False))
    made = pd.Series(0.0, rows.index)
    for _, part in rows.groupby(["subject", "session"]):
        state, wandering = 0.0, 0.0
        for i in part.sort_values("start_s").index:
            state += (5 / 400) * ((rows["label"][i] == "stress") - state)
            wandering = 0.9 * wandering + 0.4 * rng.normal(0, noise)
            made[i] = level[rows["subject"][i]] + 6 * state + wandering
    return made


def standard(x: pd.Series) -> pd.Series:
    return (x - x.mean()) / x.std()


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("heart.rmssd", simulated, "simulated from the label"),
        ("cortisol", cortisol, "simulated from the label"),
        ("cortisol", lambda r: cortisol(r, 0.6), "simulated from the label"),
        (
            "cortisol",
            lambda r: cortisol(r) + np.random.default_rng(3).normal(0, 1, len(r)),
            "simulated from the label",
        ),
        (
            "cortisol",
            lambda r: 3 * simulated(r) + r["subject"].str[1:].astype(float),
            "simulated from the label",
        ),
        (
            "heart.rmssd",
            lambda r: (r["label"] == "stress") + 0.1 * r["heart.rate"],
            "gives the label",
        ),
        ("heart.rmssd", lambda r: 1.0 * r["segment"] % 3 + 1, "gives the label"),
        ("panas.nervous", lambda r: 1.0 * r["heart.rate"], "self-report"),
        ("rating.arousal", lambda r: 1.0 * r["heart.rate"], "self-report"),
        (
            "heart.z",
            lambda r: standard(r["heart.rate"]),
            "fitted outside the fold",
        ),
        (
            "heart.z",
            lambda r: r.groupby("subject")["heart.rate"].transform(standard),
            "fitted outside the fold",
        ),
    ],
)
def test_columns_that_know_too_much_are_found(
    name: str, values: Callable[[pd.DataFrame], pd.Series], kind: str
) -> None:
    rows = table()
    rows[name] = values(rows)
    found = audit(rows, loso(rows), [*FEATURES, name], time_only=False)
    assert kinds(found) == {kind}
    assert [f.text.startswith(name) for f in found.findings] == [True]


@pytest.mark.parametrize("hop", [4, 120, 240, 480])
def test_a_sensor_is_not_accused_at_any_hop(hop: int) -> None:
    """Few windows a part, and a feature that most windows lack, prove nothing."""
    rows = table(participants=3 if hop == 4 else 12, hop=hop)
    rng = np.random.default_rng(3)
    rows["heart.rmssd"] = rows["heart.rate"].where(rng.random(len(rows)) < 0.1)
    rows["heart.edr_rate"] = rows["heart.rate"].where(
        rows.groupby("segment").cumcount() == 1
    )
    rows["eda.scr_amplitude"] = np.round(np.maximum(rows["eda.scr_rate"], 0))
    names = [*FEATURES, "heart.rmssd", "heart.edr_rate", "eda.scr_amplitude"]
    assert kinds(audit(rows, loso(rows), names, time_only=False)) == set()
    counts = ["eda.scr_amplitude", "eda.scr_rate"]
    rows["eda.scr_rate"] = np.round(rows["eda.scr_rate"])
    assert kinds(audit(rows, loso(rows), counts, time_only=False)) == set()


def test_time_is_no_feature() -> None:
    rows = table()
    found = audit(rows, loso(rows), [*FEATURES, "start_s"], time_only=False)
    assert [f.text for f in found.findings] == [
        "start_s names the row or its time; it is no feature"
    ]


def test_rows_scaled_together_are_found() -> None:
    rows = table()
    x = rows[FEATURES]
    rows[FEATURES] = (x - x.min()) / (x.max() - x.min())
    assert kinds(audit(rows, loso(rows), time_only=False)) == {
        "fitted outside the fold"
    }


def test_copied_rows_are_found() -> None:
    rows = table()
    more = rows.iloc[np.random.default_rng(2).integers(0, len(rows), 100)]
    rows = pd.concat([rows, more], ignore_index=True)
    folds = divide(rows, protocol("paper-row-kfold"))
    assert "made-up rows" in kinds(audit(rows, folds, time_only=False))


def test_rows_between_others_are_found() -> None:
    rows = table()
    rng = np.random.default_rng(4)
    calm = rows[rows["label"] == "calm"].reset_index(drop=True)
    picks = rng.integers(0, len(calm), (150, 1))
    x = calm[FEATURES].to_numpy()
    far = np.linalg.norm(x[picks] - x[None], axis=2)
    near = np.argsort(far, axis=1)[:, 1 + rng.integers(0, 5)]
    share = rng.random((150, 1))
    made = calm.iloc[picks[:, 0]].copy()
    made[FEATURES] = x[picks[:, 0]] + share * (x[near] - x[picks[:, 0]])
    rows = pd.concat([rows, made], ignore_index=True)
    found = audit(rows, loso(rows), time_only=False)
    assert kinds(found) == {"made-up rows"}
    assert found.findings[0].text.endswith("oversampled before the split (SMOTE?)")


def test_a_preparation_that_sees_the_test_is_found() -> None:
    rows = table()
    fold = loso(rows).folds[0]
    x, y = rows[FEATURES].to_numpy(), rows["label"].to_numpy()

    def outside(x, y, train, test):  # noqa: ARG001
        return StandardScaler().fit_transform(x)[train]

    def inside(x, y, train, test):  # noqa: ARG001
        return StandardScaler().fit(x[train]).transform(x[train])

    def selected(x, y, train, test):  # noqa: ARG001
        gap = abs(x[y == "calm"].mean(axis=0) - x[y == "stress"].mean(axis=0))
        return x[np.ix_(train, np.argsort(gap)[-1:])]

    assert fitted_outside(outside, x, y, fold)
    assert not fitted_outside(inside, x, y, fold)
    assert fitted_outside(selected, x, y, fold)


def test_classes_on_one_side_are_told_and_not_refused() -> None:
    rows = table()
    rows = rows[(rows["subject"] != "S2") | (rows["label"] == "calm")]
    rows = rows.reset_index(drop=True)
    found = audit(rows, loso(rows), time_only=False).check()
    assert [(f.kind, f.fold, f.leak) for f in found.findings] == [
        ("one-sided classes", "S2", False)
    ]


def test_a_table_without_samples_proves_nothing() -> None:
    rows = table().drop(columns=["support_start_sample"])
    found = audit(rows, loso(rows), time_only=False)
    assert kinds(found) == {"unproved"}


def test_the_clock_is_told_where_all_had_one_order() -> None:
    rows = table()
    told = audit(rows, loso(rows))
    # Half of the participants had the conditions the other way round, so that time
    # tells nothing: chance is 0.5, and less where it is misleading.
    assert told.time_only is not None
    assert told.time_only.reached < 0.6
    same = rows[rows["subject"].isin(["S2", "S4", "S6"])].reset_index(drop=True)
    same = same[same["session"] == "1"].reset_index(drop=True)
    told = audit(same, loso(same)).check()
    assert told.time_only is not None
    # Only the windows at the border of the two conditions can be mistaken.
    assert told.time_only.reached > 0.95
    assert [f.kind for f in told.findings] == ["time only"]


def test_an_unknown_protocol_promises_nothing_that_can_be_held() -> None:
    rows = table()
    folds = replace(loso(rows), protocol="mine")
    message = "there is no protocol 'mine', so nothing to hold it to; it is loso, "
    with pytest.raises(ValueError, match=re.escape(message)):
        audit(rows, folds)
