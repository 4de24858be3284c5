"""`physio extract` and `physio audit`, on real participants, as a script meets them."""

import json
import sys
from pathlib import Path

import pytest

from physio import cli
from physio.datasets import feature_table
from physio.evaluation.leakage.audit import audit
from physio.evaluation.splits import divide, protocol
from tables import table

Capture = pytest.CaptureFixture[str]


def physio(monkeypatch: pytest.MonkeyPatch, *args: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["physio", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def wesad(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the table of the twelve participants, a window every 15 s."""
    out = tmp_path_factory.mktemp("wesad") / "table"
    with pytest.MonkeyPatch.context() as patch:
        figures = out.with_suffix(".json")
        picture = out.with_suffix(".png")
        root = data / "wesad"
        options = ("--step", "15", "--json", figures, "--plot", picture)
        assert physio(patch, "extract", "wesad", root, out, *options) == 0
    return out


def test_twelve_participants_come_to_a_table(wesad: Path) -> None:
    told = json.loads(wesad.with_suffix(".json").read_text())
    assert [p["status"] for p in told["participants"]] == ["done"] * 12
    rows = feature_table.read(wesad)
    assert rows["subject"].unique().tolist()[:3] == ["S2", "S3", "S4"]
    assert sum(p["rows"] for p in told["participants"]) == len(rows)
    assert set(rows["label"]) == {
        *("", "baseline", "stress", "amusement", "meditation 1", "meditation 2")
    }
    # A wristband that is worn has skin conductance nearly all of the time.
    assert all(one["eda"] > 0.9 for one in told["usable"].values())
    assert wesad.with_suffix(".png").stat().st_size > 10_000


def test_the_clock_explains_wesad_unless_orders_are_left_out(wesad: Path) -> None:
    rows = feature_table.read(wesad)
    rows = rows[rows["label"].isin(["baseline", "stress", "amusement"])]
    rows = rows.reset_index(drop=True)
    reached = {}
    for name in ("loso", "leave-order-out"):
        found = audit(rows, divide(rows, protocol(name))).check()
        assert found.time_only is not None
        reached[name] = found.time_only.reached
        assert ("time only" in {f.kind for f in found.findings}) == (name == "loso")
    # Measured with windows every 5 s: 0.95 and 0.37; here every 15 s.
    assert reached["loso"] > 0.88
    assert reached["leave-order-out"] < 0.5


def test_a_split_is_kept_and_audited_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    file, folds, found = (tmp_path / n for n in ("t.parquet", "f.json", "a.json"))
    table(participants=4).to_parquet(file)
    made = ("--protocol", "leave-order-out", "--save", folds)
    assert physio(monkeypatch, "audit", file, *made) == 0
    again = ("--folds", folds, "--json", found)
    assert physio(monkeypatch, "audit", file, *again) == 0
    assert json.loads(found.read_text())["ok"] is True
    assert "leave-order-out: nothing leaks" in capsys.readouterr().out
    paper = ("--protocol", "paper-window-kfold")
    assert physio(monkeypatch, "audit", file, *paper) == 1
    assert "LEAK  shared samples" in capsys.readouterr().out
    other = ("--folds", folds, "--classes", "calm")
    assert physio(monkeypatch, "audit", file, *other) == 2
    assert "these folds are of another table of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("audit", "t.parquet"),
            "give either --folds FILE or --protocol NAME, or --card FOLDER for the "
            "confounds of the table",
        ),
        (
            ("audit", "nowhere", "--protocol", "loso"),
            "there is no table nowhere",
        ),
        (
            ("audit", "t.parquet", "--protocol", "loso", "--classes", "joy"),
            "t.parquet has no window labelled 'joy'; it has calm, stress",
        ),
        (
            ("extract", "wesad", "nowhere", "out"),
            "there is no folder nowhere",
        ),
        (
            ("extract", "wesad", ".", "out", "--window", "0"),
            "a window and its hop last more than 0 s, not 0.0 and 5.0",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    args: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    table(participants=2).to_parquet("t.parquet")
    assert physio(monkeypatch, *args) == 2
    said, _, more = capsys.readouterr().err.partition(" (see docs/")
    assert said == f"physio: {message}"
    assert more in {"extract.md)\n", "splits.md)\n", "data.md)\n", "evaluate.md)\n"}


def test_an_unknown_data_set_is_told_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert physio(monkeypatch, "extract", "nope", ".", "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("physio: there is no data set 'nope': ")
    assert "physio extract --list" in said
