"""Tables by participant and condition: values, baselines, exclusions and files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import miniatures
from physio.cli import app
from physio.core.baseline_choice import BaselineChoice
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording
from physio.datasets.open_recording import read
from physio.io.bids import bids_export
from physio.offline.condition_table import distinct_names, long_table, wide_table
from physio.offline.exclusions import Exclusion, read_rules
from physio.offline.table_files import Sheet, spss_names, write_tables


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["table", *arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three wristbands, a damaged one, and their table with each option."""
    root = tmp_path_factory.mktemp("table")
    miniatures.wristbands(root)
    (root / "raw" / "S04.zip").write_bytes(b"PK damaged")
    sheet = root / "conditions.csv"
    text = sheet.read_text("utf-8")
    sheet.write_text(text + "S01,late,1000,1100\nS04,rest,0,80\n", "utf-8")
    files = [str(p) for p in sorted((root / "raw").glob("*.zip"))]
    result = run(
        *files, "--conditions", str(sheet), "--baseline", "rest", "--events", "tag",
        "--min-coverage", "0.5", "--min-beats", "1000", "--backend", "serial",
        "--no-estimates", "--plots", str(root / "plots"), "-o", str(root / "t.csv"),
    )  # fmt: skip
    assert result.exit_code == 1, (result.output, result.exception)  # a damaged one
    assert "S04.zip: no rows" in result.stderr
    assert "row 8: 'late' from 1000.0 to 1100.0 s lies outside" in result.stderr
    return root


@pytest.fixture(scope="module")
def table(study: Path) -> pd.DataFrame:
    return pd.read_csv(study / "t.csv", keep_default_na=True, na_values=[""]).fillna(
        {"exclusion": "", "reason": "", "baseline_role": "", "baseline_exclusion": ""}
    )


def values(table: pd.DataFrame, measure: str, column: str = "value") -> pd.DataFrame:
    """Return a measure by participant and condition, of the chosen baseline."""
    rows = table[(table["measure"] == measure) & (table["baseline_role"] == "primary")]
    return rows.pivot_table(
        index="participant", columns="condition", values=column, dropna=False
    )


def test_values_are_those_that_were_put_in(table: pd.DataFrame) -> None:
    shift = np.array([0.0, 0.3, 0.6])
    rate = values(table, "mean_heart_rate")
    np.testing.assert_allclose(rate["rest"], 60 + 10 * shift, atol=0.3)
    np.testing.assert_allclose(rate["task"], 80 + 10 * shift, atol=0.5)
    level = values(table, "scl")
    np.testing.assert_allclose(level["task"] - level["rest"], 1.0, atol=0.35)
    np.testing.assert_allclose(np.diff(level["rest"]), 0.3, atol=0.05)
    responses = values(table, "scr_per_minute", "n")
    assert responses["rest"].tolist() == [1, 1, 1]
    assert responses["task"].tolist() == [5, 5, 5]
    size = values(table, "scr_mean_amplitude")
    np.testing.assert_allclose(size["rest"], 0.317, atol=0.03)
    first = values(table, "scr_first_latency")
    np.testing.assert_allclose(first["rest"], 20.0, atol=1.0)
    assert set(table.loc[table["measure"] == "scl", "unit"]) == {"uS"}
    assert (table["coverage"].dropna() <= 1).all()


def test_each_difference_is_from_a_baseline_that_is_named(table: pd.DataFrame) -> None:
    rows = table[table["measure"] == "scl"]
    primary = rows[rows["baseline_role"] == "primary"]
    other = rows[rows["baseline_role"] == "sensitivity"]
    assert len(primary) == len(other) == 6
    assert set(primary["baseline"]) == {"rest"}
    assert set(other["baseline"]) == {"rest, second half"}
    assert primary["baseline_begin_s"].tolist() == [0.0] * 6
    assert primary["baseline_end_s"].tolist() == [70.0] * 6
    assert other["baseline_begin_s"].tolist() == [35.0] * 6
    difference = primary["value"] - primary["baseline_value"]
    np.testing.assert_allclose(primary["difference"], difference)
    assert not np.allclose(primary["baseline_value"], other["baseline_value"])
    assert (primary["baseline_coverage"] > 0.95).all()
    assert (primary["baseline_slope"].abs() < 1).all()
    assert primary["baseline_since_worn_s"].isna().all()  # worn from the beginning


def test_rules_exclude_values_and_are_listed(study: Path, table: pd.DataFrame) -> None:
    beats = table[table["measure"] == "mean_heart_rate"]
    assert beats["exclusion"].str.contains("beats are below 1000").all()
    assert beats["difference"].isna().all()
    assert (table.loc[table["measure"] == "scl", "exclusion"] == "").all()
    late = table[table["condition"] == "late"]
    assert late["exclusion"].tolist() == late["reason"].tolist()
    coverage = pd.read_csv(study / "t_coverage.csv").set_index(["condition", "measure"])
    row = coverage.loc[("rest", "mean_heart_rate")]
    assert (row["participants"], row["values"], row["excluded_share"]) == (3, 3, 1.0)
    assert row["reasons"] == "3 x beats are below 1000"
    assert coverage.loc[("task", "scl"), "excluded"] == 0
    methods = (study / "t_methods.txt").read_text("utf-8")
    assert "Rules of exclusion, stated before the analysis" in methods
    assert "the condition 'rest' (70 s)" in methods
    assert "3 recordings of 3 participants were analysed; 1 could not be." in methods
    for word in ("EEG", "estimates", "High-frequency"):
        assert word not in methods


def test_a_wide_row_has_value_difference_and_baseline(study: Path) -> None:
    wide = pd.read_csv(study / "t_wide.csv")
    assert wide["participant"].tolist() == ["S01", "S02", "S03"]
    np.testing.assert_allclose(
        wide["scl.task.difference"], wide["scl.task"] - wide["scl.baseline"]
    )
    assert "mean_heart_rate.task" not in wide  # all are excluded


def test_events_have_window_threshold_and_resolution(study: Path) -> None:
    events = pd.read_csv(study / "t_events.csv")
    assert len(events) == 9
    assert events["time"].tolist() == [100.0, 115.0, 130.0] * 3
    assert set(events["responder"]) <= {0, 1}
    assert set(events["scr_threshold_uS"]) == {0.02}
    assert set(zip(events["window_begin_s"], events["window_end_s"], strict=True)) == {
        (1.0, 4.0)
    }
    assert set(events["latency_resolution_s"]) == {0.25}
    silent = events["responder"] == 0
    assert (events.loc[silent, "magnitude"] == 0).all()
    assert events.loc[silent, "amplitude"].isna().all()


def test_figures_and_sidecar(study: Path) -> None:
    drawn = {p.stem for p in (study / "plots").iterdir()}
    assert {"scl", "scr_per_minute", "mean_heart_rate", "skin_temperature"} <= drawn
    about = json.loads((study / "t.json").read_text("utf-8"))
    assert about["baseline"] == "the condition 'rest'"
    assert [r["participant"] for r in about["recordings"]] == ["S01", "S02", "S03", ""]
    assert about["recordings"][3]["error"]
    assert about["columns"]["table"]["difference"].startswith("value less")
    assert about["measures"]["scl"] == "mean tonic level"
    assert (study / "t.csv").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("suffix", ["parquet", "xlsx", "sav", "tsv"])
def test_each_format_holds_the_same_table(
    study: Path, table: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"t.{suffix}"
    frame = pd.read_csv(study / "t.csv")
    text = frame.select_dtypes("object").columns
    frame[text] = frame[text].fillna("")
    frame.loc[0, "condition"] = "=1+1"
    sheets = (
        Sheet("", frame, {"value": "the value"}),
        Sheet("wide", wide_table(table), {}),
    )
    written = write_tables(path, sheets, "Methods.", {"source": "test"})
    assert path in written
    if suffix == "parquet":
        back = pd.read_parquet(path)
    elif suffix == "tsv":
        back = pd.read_csv(path, sep="\t", keep_default_na=False)
    elif suffix == "xlsx":
        back = pd.read_excel(path, sheet_name="long", keep_default_na=False)
        with pd.ExcelFile(path) as book:
            assert set(book.sheet_names) == {"long", "wide", "columns"}
    else:
        import pyreadstat

        back, about = pyreadstat.read_sav(str(path))
        assert about.column_names_to_labels["value"] == "the value"
        assert about.variable_measure["value"] == "scale"
        assert about.variable_measure["condition"] == "nominal"
    assert back.loc[0, "condition"] == "=1+1"
    got = pd.to_numeric(back["value"], errors="coerce")
    np.testing.assert_allclose(got, frame["value"], rtol=1e-12)
    with pytest.raises(ValueError, match="exists, and is not overwritten"):
        write_tables(path, sheets, "Methods.", {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "t.doc"], "a table ends with .csv, .tsv, .parquet, .xlsx, .sav, not"),
        (["-o", "t.csv", "--baseline", "5", "2"], "a baseline from 5 to 2 s is none"),
        (["-o", "t.csv", "--zone", "Mars"], "there is no time zone 'Mars'"),
        (["-o", "t.csv", "--window", "4", "1"], "the window of a response is BEGIN"),
        (["-o", "t.csv", "--conditions", "none.csv"], "there is no file none.csv"),
        (["-o", "t.csv"], "no recording could be analysed: .*states no conditions"),
    ],
)
def test_wrong_options_are_one_sentence(
    study: Path, tmp_path: Path, monkeypatch: Any, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(str(study / "raw" / "S01.zip"), *options)
    assert isinstance(result.exception, ValueError | OSError), result.output
    assert pd.Series([str(result.exception)]).str.contains(message).all()
    assert not list(tmp_path.iterdir())


def test_seconds_are_a_baseline_and_an_existing_table_stays(
    study: Path, tmp_path: Path
) -> None:
    sheet, out = str(study / "conditions.csv"), tmp_path / "t.parquet"
    arguments = (
        str(study / "raw" / "S02.zip"), "--conditions", sheet, "--baseline", "0", "60",
        "--no-estimates", "-o", str(out),
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    rows = pd.read_parquet(out)
    primary = rows[rows["baseline_role"] == "primary"]
    assert set(primary["baseline"]) == {"0 to 60 s after the beginning"}
    before = out.read_bytes()
    assert "not overwritten" in str(run(*arguments).exception)
    assert out.read_bytes() == before


def test_without_a_baseline_there_is_no_difference_and_no_estimate(
    study: Path, tmp_path: Path
) -> None:
    sheet, out = str(study / "conditions.csv"), tmp_path / "t.csv"
    path = str(study / "raw" / "S02.zip")
    result = run(path, "--conditions", sheet, "-o", str(out))
    assert result.exit_code == 0, (result.output, result.exception)
    assert "no estimates: no baseline was chosen" in result.stderr
    rows = pd.read_csv(out)
    assert rows["difference"].isna().all()
    assert set(rows["analysis"]) == {"whole record, non-causal"}
    assert "No baseline was chosen" in (tmp_path / "t_methods.txt").read_text("utf-8")


def test_a_baseline_is_two_times_or_a_name() -> None:
    assert BaselineChoice.parse("60 360")[1:] == (60.0, 360.0)
    assert BaselineChoice.parse("rest 1").condition == "rest 1"
    with pytest.raises(ValueError, match="END is later"):
        BaselineChoice.parse("60 60")


def test_repeats_are_counted_over_the_recordings_of_a_participant() -> None:
    def part(recording: str, *rows: tuple[str, float]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "participant": "p",
                "recording": recording,
                "condition": [name for name, _ in rows],
                "begin_s": [begin for _, begin in rows],
                "measure": "scl",
            }
        )

    table = long_table(
        [part("a", ("task", 9.0), ("rest", 1.0)), part("b", ("rest", 0))]
    )
    assert table["repeat"].tolist() == [1, 1, 2]
    assert table["position"].tolist() == [2, 1, 3]


def test_a_bids_folder_has_its_conditions(study: Path, tmp_path: Path) -> None:
    """Each recording of the folder, with the durations of its events.tsv."""
    whole = read(study / "raw" / "S01.zip")
    skin = {"e4.eda": whole.streams["e4.eda"]}
    labels = ("begin rest", "end rest", "begin task", "end task")
    times, nothing = np.array([5.0, 80.0, 100.0, 175.0]), np.empty((4, 0))
    events = {MARKERS: Events(event_stream(MARKERS), 180.0, times, nothing, labels)}
    for code in ("p1", "p2"):
        about = {**whole.metadata, "participant": code}
        one = Recording(skin, events, (), about)
        bids_export.export(one, tmp_path / "bids", participant=code)
    out = tmp_path / "t.csv"
    arguments = ("--baseline", "rest", "--no-estimates", "--backend", "serial")
    result = run(str(tmp_path / "bids"), *arguments, "-o", str(out))
    assert result.exit_code == 0, (result.output, result.exception)
    rows = pd.read_csv(out)
    rows = rows[(rows["measure"] == "scl") & (rows["baseline_role"] == "primary")]
    assert rows["participant"].tolist() == ["p1", "p1", "p2", "p2"]
    assert rows["condition"].tolist() == ["rest", "task"] * 2
    assert rows["seconds"].tolist() == [75.0] * 4


def test_files_of_the_same_name_are_told_apart() -> None:
    paths = [Path(p) for p in ("a/x.zip", "b/x.zip", "p7/recording.xdf", "y.csv")]
    assert list(distinct_names(paths).values()) == [
        str(paths[0]), str(paths[1]), "p7/recording.xdf", "y.csv",
    ]  # fmt: skip


def test_names_for_spss_are_valid_and_distinct() -> None:
    names = spss_names(["scl.rest 1", "scl.rest_1", "SCL.rest_1", "1 a", "x" * 70])
    assert len({n.lower() for n in names.values()}) == 5
    assert all(len(n) <= 64 and n[0].isalpha() for n in names.values())


def test_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[exclusions]]\noutcomes = ["prv"]\ncorrected = 0.1\n', "utf-8")
    assert read_rules(path) == (Exclusion(outcomes=("prv",), corrected=0.1),)
    path.write_text("[[exclusions]]\ncorrected = 3\n", "utf-8")
    with pytest.raises(ValueError, match="corrected must be from 0 to 1, not 3"):
        read_rules(path)
    path.write_text("x = 3\n", "utf-8")
    with pytest.raises(ValueError, match="'x'"):
        read_rules(path)
