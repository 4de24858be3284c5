"""Confound cards against tables whose confounds are known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.evaluation.leakage.confound_card import ConfoundCard, confound_card
from tables import table


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return people who were stressed last, moved then, and liked the second film."""
    rng = np.random.default_rng(0)
    rows = table(participants=6, hop=240)
    rows = rows[rows["segment"] < 2].reset_index(drop=True)
    n, late = len(rows), rows["segment"].to_numpy() == 1
    rows["label"] = np.where(late, "stress", "calm")
    rows["motion.activity"] = rng.normal(0, 1, n) + 3 * late
    rows["eda.tonic"] = rng.normal(0, 1, n)
    rows["eda.scr_rate"] = rng.normal(0, 1, n)
    people = np.unique(rows["subject"], return_inverse=True)[1]
    turned = (rows["segment"].to_numpy() + people) % 2
    rows["stimulus"] = np.where(turned, "film 1", "film 2")
    rows["rating.valence"] = np.where(turned, -0.5, 0.5) + rng.normal(0, 0.1, n)
    rows["rating.arousal"] = 0.3 * (people % 3) + rng.normal(0, 0.05, n)
    rows.loc[late & (rng.random(n) < 0.8), "heart.rate"] = np.nan
    return rows


@pytest.fixture(scope="module")
def card(rows: pd.DataFrame) -> ConfoundCard:
    return confound_card(rows)


def test_each_rival_reaches_what_was_put_in(card: ConfoundCard) -> None:
    assert card.participants == 6
    label, valence, arousal = card.targets
    assert [t.target for t in card.targets] == [
        "label", "rating.valence", "rating.arousal",
    ]  # fmt: skip
    assert set(label.confounds) == {"clock", "order", "motion", "missingness"}
    value = {r.name: r.value for r in label.rivals}
    assert value["clock"] == value["order"] == 1.0
    assert value["motion"] > 0.9
    assert 0.75 < value["missingness"] < 1
    assert value["participant"] == label.chance == 0.5
    assert valence.confounds == ("stimulus",)
    reached = {r.name: r.value for r in valence.rivals}
    assert reached["stimulus"] > 0.9
    assert arousal.confounds == ()
    assert "no rival reaches more than chance" in arousal.text
    assert {r.name: r.value for r in arousal.rivals}["participant"] > 0.8
    assert "label: above chance (0.50) are clock 1.00 [1.00, 1.00]" in label.text


def test_rivals_without_columns_are_named(rows: pd.DataFrame) -> None:
    bare = rows.drop(columns=["motion.activity", "stimulus", "eda.tonic"])
    bare["heart.rate"] = 1.0
    (label, *_) = confound_card(bare, targets=["label"]).targets
    assert label.absent == {
        "motion": "the table has no column of movement",
        "stimulus": "participants share no names in the column 'trial'",
        "amplitude": "the table has no column of the size of a signal",
        "missingness": "nothing is missing anywhere",
    }


def test_what_cannot_be_judged_is_refused(rows: pd.DataFrame) -> None:
    few = rows[rows["subject"].isin(["S1", "S2"])]
    with pytest.raises(ValueError, match="needs 3 participants, and the table has 2"):
        confound_card(few)
    with pytest.raises(ValueError, match=r"no target 'rating\.joy'"):
        confound_card(rows, targets=["rating.joy"])
    with pytest.raises(ValueError, match="no column 'film'"):
        confound_card(rows, stimulus="film")
    plain = rows.assign(label="calm").drop(columns=["rating.valence", "rating.arousal"])
    with pytest.raises(ValueError, match="no target with two values"):
        confound_card(plain)


def test_the_command_writes_a_page_and_a_picture(
    rows: pd.DataFrame, tmp_path: Path
) -> None:
    file, out = tmp_path / "t.parquet", tmp_path / "card"
    rows[["subject", "session", "trial", "segment", "label", "start_s", "stimulus",
          "rating.valence", "heart.rate"]].to_parquet(file)  # fmt: skip
    done = CliRunner().invoke(app, ["audit", str(file), "--card", str(out)])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in out.iterdir()) == [
        "confounds.json", "confounds.md", "confounds.png",
    ]  # fmt: skip
    page = (out / "confounds.md").read_text("utf-8")
    assert "## label (chance: 0.500)" in page
    assert "| clock | 1.000 [1.000, 1.000] | seconds since the start |" in page
    assert (out / "confounds.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((out / "confounds.json").read_text("utf-8"))
    assert stored["targets"][1]["confounds"] == ["stimulus"]
