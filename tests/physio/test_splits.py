"""Folds by every protocol: what each promises, and that it is the same each time."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from physio.evaluation import folds as stored
from physio.evaluation.folds import Folds
from physio.evaluation.leakage.audit import audit
from physio.evaluation.row_index import overlapping
from physio.evaluation.splits import PROTOCOLS, divide, protocol
from tables import table


def exact(message: str) -> str:
    return f"^{re.escape(message)}$"


FEATURES = ["eda.scr_rate", "heart.rate", "motion.activity"]


def all_of(name: str) -> tuple[pd.DataFrame, Folds]:
    rows = table()
    if name == "cross-dataset":
        rows["dataset"] = np.where(rows["subject"] < "S4", "one", "two")
    if name == "leave-laboratory-out":
        rows["dataset"] = rows["subject"].map(lambda s: "abc"[int(s[1:]) % 3])
    rows["film"] = rows["segment"].map(lambda k: f"film {k}")
    settings = {
        "trial-blocked": {"k": 2},
        "leave-n-subjects-out": {"n": 4},
        "leave-participant-and-stimulus-out": {
            "stimulus": "film",
            "participants": 3,
            "stimuli": 2,
        },
        "held-out-participants": {"test": ["S2", "S5"]},
    }
    return rows, divide(rows, protocol(name, **settings.get(name, {})))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_folds_are_data_and_the_same_each_time(name: str, tmp_path) -> None:
    rows, folds = all_of(name)
    _, again = all_of(name)
    assert folds.to_dict() == again.to_dict()
    assert folds.summary() == again.summary()
    assert folds.summary()["folds"] == len(folds.folds)
    folds.write(tmp_path / "folds.json")
    back = stored.read(tmp_path / "folds.json").of(rows)
    assert back.to_dict() == folds.to_dict()
    assert back.protocol == name
    for fold in folds.folds:
        assert len(fold.train)
        assert len(fold.test)
        assert not set(fold.train) & set(fold.test)
        for inner in fold.inner:
            assert set(inner.train) | set(inner.test) <= set(fold.train)
            assert not set(inner.train) & set(inner.test)


@pytest.mark.parametrize("name", [n for n in PROTOCOLS if not n.startswith("paper-")])
def test_no_sample_is_on_both_sides(name: str) -> None:
    rows, folds = all_of(name)
    for fold in folds.folds:
        # Proved the slow way, sample by sample: the table has 6 x 9600 of them.
        sides = []
        for side in (fold.train, fold.test):
            used = set()
            for _, r in rows.iloc[side].iterrows():
                key = (r.get("dataset"), r["subject"], r["session"])
                used |= {
                    (*key, i)
                    for i in range(r["support_start_sample"], r["end_sample"], 5)
                }
            sides.append(used)
        # Spans begin and end at multiples of 5 samples, so every fifth tells.
        assert not sides[0] & sides[1]
        assert overlapping(rows, fold.test, fold.train) == []


def test_touching_is_what_samples_tell() -> None:
    rng = np.random.default_rng(3)
    rows = table(participants=2)
    dealt = rng.random(len(rows)) < 0.02
    train, test = np.flatnonzero(dealt), np.flatnonzero(~dealt)
    slow = [
        i
        for i in test
        for a in [rows.iloc[i]]
        if any(
            a["subject"] == b["subject"]
            and a["session"] == b["session"]
            and a["support_start_sample"] < b["end_sample"]
            and b["support_start_sample"] < a["end_sample"]
            for _, b in rows.iloc[train].iterrows()
        )
    ]
    assert overlapping(rows, test, train) == slow
    assert 0 < len(slow) < len(test)


def test_everybody_is_left_out_once() -> None:
    rows, folds = all_of("loso")
    assert [f.name for f in folds.folds] == ["S1", "S2", "S3", "S4", "S5", "S6"]
    for fold in folds.folds:
        assert set(rows["subject"].iloc[fold.test]) == {fold.name}
    assert len(folds.folds[0].inner) == 5
    tested = np.concatenate([f.test for f in all_of("leave-n-subjects-out")[1].folds])
    assert sorted(tested) == list(range(len(rows)))


def test_a_laboratory_is_left_out_inside_too() -> None:
    rows, folds = all_of("leave-laboratory-out")
    assert [f.name for f in folds.folds] == ["a", "b", "c"]
    for fold in folds.folds:
        assert set(rows["dataset"].iloc[fold.test]) == {fold.name}
        inner = [set(rows["dataset"].iloc[f.test]) for f in fold.inner]
        assert inner == [{name} for name in "abc" if name != fold.name]


def test_neither_participant_nor_stimulus_trains() -> None:
    rows, folds = all_of("leave-participant-and-stimulus-out")
    assert len(folds.folds) == 3 * 2
    tested = np.concatenate([f.test for f in folds.folds])
    assert sorted(tested) == list(range(len(rows)))
    for fold in (*folds.folds, *folds.folds[0].inner):
        train, test = rows.iloc[fold.train], rows.iloc[fold.test]
        assert not set(train["subject"]) & set(test["subject"])
        assert not set(train["film"]) & set(test["film"])
    first = folds.folds[0]
    others = ~rows["subject"].isin(rows["subject"].iloc[first.test])
    leaky = replace(first, train=np.flatnonzero(others), inner=())
    found = audit(rows, replace(folds, folds=(leaky,)), FEATURES, time_only=False)
    assert [f.kind for f in found.findings if f.leak] == ["shared stimuli"]
    message = "needs at least 2 stimuli in the column 'trial'; the table has 0"
    with pytest.raises(ValueError, match=re.escape(message)):
        divide(rows, protocol("leave-participant-and-stimulus-out"))


def test_participants_are_held_out_by_name() -> None:
    rows, folds = all_of("held-out-participants")
    (fold,) = folds.folds
    assert set(rows["subject"].iloc[fold.test]) == {"S2", "S5"}
    assert len(fold.inner) == 4
    rows["dataset"] = "one"
    again = divide(rows, protocol("held-out-participants", test=["one S2", "S5"]))
    assert again.folds[0].to_dict() == fold.to_dict()
    for names, message in (
        (["S9"], "held-out-participants would test 'S9'; the table has one S1, one S2"),
        ([f"S{i}" for i in range(1, 7)], "leaves nobody to train on"),
        ([], "held-out-participants needs the names of participants in test"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            divide(rows, protocol("held-out-participants", test=names))


def test_orders_are_tested_both_ways() -> None:
    rows, folds = all_of("leave-order-out")
    assert [f.name for f in folds.folds] == ["calm > stress", "stress > calm"]
    turned = {"calm > stress": {"S2", "S4", "S6"}, "stress > calm": {"S1", "S3", "S5"}}
    for fold in folds.folds:
        assert set(rows["subject"].iloc[fold.test]) == turned[fold.name]
        assert not set(rows["subject"].iloc[fold.train]) & turned[fold.name]


def test_time_blocks_have_all_participants_and_classes_on_both_sides() -> None:
    rows, folds = all_of("time-blocked")
    (fold,) = folds.folds
    for side in (fold.train, fold.test):
        both = rows.iloc[side].groupby("subject")["label"].nunique()
        assert (both == 2).all()
        assert len(both) == 6
    left = len(rows) - len(fold.train) - len(fold.test)
    # A window reaches 350 samples back, that is over 17 hops, at each of 24 cuts; and
    # the windows of a part begin before the part before it has been tested to the end.
    assert 24 * 17 <= left <= 24 * 2 * 18
    for part, own in rows.groupby(["subject", "segment"]).groups.items():
        early = np.intersect1d(fold.train, own)
        late = np.intersect1d(fold.test, own)
        assert early.max() < late.min(), part


def test_trials_need_several_of_each_class() -> None:
    message = (
        "trial-blocked with k = 3 needs as many trials of each class, but S1 has 2 of "
        "'calm'; time-blocked divides within trials"
    )
    with pytest.raises(ValueError, match=exact(message)):
        divide(table(), protocol("trial-blocked", k=3))


def test_splitters_are_scikit_learns() -> None:
    rows = table()
    x, y = rows[FEATURES], rows["label"]
    for name in ("loso", "leave-order-out", "time-blocked"):
        by = protocol(name)
        assert clone(LogisticRegression()).fit(x, y)
        scores = cross_val_score(LogisticRegression(), x, y, groups=rows, cv=by)
        assert len(scores) == by.get_n_splits(x, y, rows)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=protocol("loso"))
    search.fit(x, y, groups=rows["subject"])
    assert search.n_splits_ == 6


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "losso",
            {},
            "there is no protocol 'losso'; it is loso, leave-n-subjects-out, "
            "leave-order-out, trial-blocked, time-blocked, session-blocked, "
            "cross-session, cross-dataset, leave-laboratory-out, "
            "leave-participant-and-stimulus-out, "
            "held-out-participants, paper-window-kfold, paper-row-kfold",
        ),
        ("time-blocked", {"share": 1.0}, "share must be between 0 and 1, not 1.0"),
        ("trial-blocked", {"k": 1}, "k must be at least 2, not 1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=exact(message)):
        protocol(name, **settings)


def test_folds_of_another_table_are_refused() -> None:
    rows, folds = all_of("loso")
    other = rows.assign(label=np.roll(rows["label"], 100))
    message = (
        f"these folds are of another table of {len(rows)} rows: this one has "
        f"{len(rows)}, or other rows or labels; make the folds again"
    )
    with pytest.raises(ValueError, match=exact(message)):
        folds.of(other)


def test_one_participant_cannot_be_left_out() -> None:
    message = "loso needs at least 2 participants; the table has 1"
    with pytest.raises(ValueError, match=exact(message)):
        divide(table(participants=1), protocol("loso"))
