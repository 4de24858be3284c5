"""Pages that need nothing else: what is usable, of whom, and what the audit says."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.missing import MissingReason
from physio.datasets import feature_table
from physio.view.plots.data_availability import missing_reasons, windows_per_condition
from physio.view.reports.dataset import dataset_report
from physio.view.reports.html_report import HtmlReport
from tables import table


def rows() -> pd.DataFrame:
    """Return a table with qualities and reasons: S2's heart is never usable."""
    made = table(participants=3, hop=40)
    lost = (made["subject"] == "S2").to_numpy()
    made["heart.rate"] = made["heart.rate"].where(~lost, MissingReason.POOR_QUALITY.nan)
    for chain in ("eda", "heart", "motion"):
        made[f"valid_fraction.{chain}"] = 1.0
    made.loc[lost, "valid_fraction.heart"] = 0.0
    made["eda.scr_rate.missing"] = np.int8(0)
    made["heart.rate.missing"] = np.where(
        lost, int(MissingReason.POOR_QUALITY), 0
    ).astype(np.int8)
    made["motion.activity.missing"] = np.int8(0)
    return made


def stored(out: Path) -> Path:
    made = rows()
    about = {
        "dataset": "made",
        "citation": "Nobody (2026)",
        "licence": "none",
        "windows": {"window": 60.0, "step": 10.0},
        "origin": "simulated",
        "source": {"stream": "e4.eda", "rate": "4"},
        "versions": {"numpy": "2"},
    }
    for participant in made["subject"].unique():
        own = made[made["subject"] == participant].drop(columns="subject")
        columns = {c: own[c].to_numpy() for c in own}
        feature_table.write(feature_table.path_of(out, participant), [columns], about)
    return out


def test_what_is_usable_and_why_not() -> None:
    found = missing_reasons(rows(), ["eda", "heart"])
    assert found.loc["heart"].to_dict() == {
        "present": pytest.approx(2 / 3),
        "poor quality": pytest.approx(1 / 3),
    }
    assert windows_per_condition(rows()).loc["S1"].to_dict() == {
        "calm": 108,
        "stress": 108,
    }


def test_the_page_of_a_data_set_needs_nothing_else(tmp_path: Path) -> None:
    out = stored(tmp_path / "table")
    said = CliRunner().invoke(app, ["report", str(out)])
    assert said.exit_code == 0, said.output
    page = (out / "report.html").read_text("utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # nothing is fetched
    assert "<script" not in page
    assert "The signals are simulated, not measured on participants." in page
    assert re.search(r"<th>S2</th>\s*<td>100%</td>\s*<td>0%</td>", page)
    assert "loso: no leakage found." in page
    assert "Nobody (2026)" in page
    assert len(re.findall(r"<img alt=\"[^\"]{40,}", page)) == 1


def test_a_leak_stands_out() -> None:
    told = {
        "ok": False,
        "protocol": "paper-row-kfold",
        "findings": [
            {
                "kind": "shared samples",
                "fold": "1 of 5",
                "leak": True,
                "text": "3 rows & <b>",
            }
        ],
        "time_only": None,
    }
    page = str(dataset_report(rows(), [told]))
    assert (
        '<p class="notice" role="note">paper-row-kfold: this split has leakage.' in page
    )
    assert "3 rows &amp; &lt;b&gt;" in page
    assert "<b>" not in str(HtmlReport("<b>").text("<b>"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "there is no "), ("", "is empty: there is nothing to report")],
)
def test_what_no_report_is_made_of(tmp_path: Path, name: str, message: str) -> None:
    said = CliRunner().invoke(app, ["report", str(tmp_path / name)])
    assert message in str(said.exception)
