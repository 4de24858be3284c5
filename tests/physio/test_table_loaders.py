"""Tables as inputs of scikit-learn and PyTorch."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

import physio.datasets
from physio.datasets import scikit
from tables import table


def test_groups_are_participants() -> None:
    made = table()
    made.loc[3, "label"] = ""
    x, y, groups = scikit(made)
    assert len(x) == len(y) == len(groups) == len(made) - 1
    assert set(y) == {"calm", "stress"}
    assert set(groups) == set(made["subject"])
    model = LogisticRegression()
    scores = cross_val_score(model, x, y, groups=groups, cv=GroupKFold(3))
    assert len(scores) == 3
    assert 0.5 < scores.mean() < 0.9
    two = made.assign(dataset=np.where(made["subject"] == made["subject"][0], "a", "b"))
    assert f"a {made['subject'][0]}" in set(scikit(two).groups)


def test_ratings_are_numbers() -> None:
    made = table()
    made["rating.arousal"] = np.where(made["label"] == "stress", 0.5, np.nan)
    for name in ("arousal", "rating.arousal"):
        x, y, _ = scikit(made, name)
        assert y.dtype == np.float64
        assert len(x) == (made["label"] == "stress").sum()
    with pytest.raises(
        ValueError,
        match=r"the table has no column 'valence'; its targets are label",
    ):
        scikit(made, "valence")
    with pytest.raises(ValueError, match="no row of the table has a value"):
        scikit(made.assign(label=""))


def test_loaders_share_no_participant(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    made = table()
    names = [c for c in made.columns if c.startswith("x")] or None
    train, test = physio.datasets.torch(made, batch=50, columns=names)
    rows = [sum(len(y) for _, y in part) for part in (train, test)]
    assert sum(rows) == len(made)
    assert rows[1] == (made["subject"] == made["subject"].iloc[0]).sum()
    batches = torch.cat([x for x, _ in train])
    np.testing.assert_allclose(batches.mean(dim=0), 0, atol=1e-4)
    np.testing.assert_allclose(batches.std(dim=0), 1, atol=1e-2)
    assert next(iter(train))[1].dtype == torch.int64
    again = physio.datasets.torch(made, batch=50, columns=names)
    assert torch.equal(next(iter(again.train))[0], next(iter(
        physio.datasets.torch(made, batch=50, columns=names).train))[0])  # fmt: skip
    with pytest.raises(ValueError, match="the table has no participant 'nobody'"):
        physio.datasets.torch(made, test_participants=["nobody"])
    with pytest.raises(ValueError, match="all participants are tested"):
        physio.datasets.torch(made, test_participants=sorted(set(made["subject"])))
    path = tmp_path / "t.parquet"
    made.to_parquet(path)
    assert len(physio.datasets.torch(path).test.dataset) == rows[1]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = physio.datasets.nothing
