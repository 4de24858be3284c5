"""Pictures of runs: there, labelled, and honest in their words."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from physio.datasets.eegmat import EEG
from physio.view.plots import results
from physio.view.reports.html_report import HtmlReport
from physio.view.reports.training_run import add_run_figures

BANDS = ("theta", "alpha", "beta", "gamma")
RNG = np.random.default_rng(0)


def words(figure: Figure) -> str:
    texts = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return " ".join(t for t in texts if t)


def row(model: str, mean: float) -> dict[str, object]:
    participants = {f"S{i}": float(v) for i, v in enumerate(RNG.random(5))}
    participants["S9"] = None  # type: ignore[assignment]
    base = {"metric": "AUC", "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
    return {"model": model, **base, "per_participant": participants}


def test_participants_are_bars_from_chance() -> None:
    figure = results.participants_figure([row("net", 0.8), row("plain", 0.7)], "AUC")
    said = words(figure)
    assert "chance" in said
    assert "net: 0.80 [0.70, 0.90]" in said
    bars = figure.axes[0].patches
    assert len(bars) == 12
    assert all(bar.get_y() == 0.5 for bar in bars)
    with pytest.raises(ValueError, match=r"^no model has the metric 'r'$"):
        results.participants_figure([row("net", 0.8)], "r")


def test_calibration_is_how_often_it_was_so() -> None:
    p = RNG.random(20_000)
    y = (RNG.random(20_000) < p).astype(int)
    table = pd.DataFrame({"y": y, "net.a": 1 - p, "net.b": p})
    line = results.calibration_figure(table, ["net"], ["a", "b"]).axes[0].lines[1]
    x, so = (np.asarray(v, np.float64) for v in line.get_data())
    # ten bins of 2000: five standard deviations of a share
    np.testing.assert_allclose(so, x, atol=5 * 0.5 / np.sqrt(2000))
    table["y"] = 1
    line = results.calibration_figure(table, ["net"], ["a", "b"]).axes[0].lines[1]
    assert set(np.asarray(line.get_ydata())) == {1.0}


def test_confusion_is_in_shares_of_what_was_so() -> None:
    table = pd.DataFrame(
        {
            "y": [0, 0, 0, 1],
            "net.a": [0.9, 0.8, 0.1, 0.2],
            "net.b": [0.1, 0.2, 0.9, 0.8],
        }
    )
    said = words(results.confusion_figure(table, "net", ["a", "b"]))
    assert "67%\n2" in said
    assert "100%\n1" in said


def test_a_head_is_drawn_with_enough_electrodes_and_bars_below() -> None:
    values = RNG.random((19, 4))
    values[3, 1] = 1.5
    heads = results.importance_figure(values, EEG, BANDS)
    assert len(heads.axes) == 5  # and a scale
    assert f"maximum: alpha at {EEG[3]}, 1.5e+02 percentage points" in words(heads)
    few = results.importance_figure(values[:8], EEG[:8], BANDS)
    assert len(few.axes[0].patches) == 32
    unknown = [f"E{i}" for i in range(19)]
    assert len(results.importance_figure(values, unknown, BANDS).axes[0].patches) == 76


def test_attention_says_what_it_is_not() -> None:
    figure = results.attention_figure(RNG.dirichlet(np.ones(5), 5), EEG[:5])
    assert "This is not connectivity" in words(figure).replace("\n", " ")
    even = results.attention_figure(np.full((4, 4), 0.25), EEG[:4])
    assert "1.00 to 1.00 times uniform attention" in words(even)
    assert even.axes[0].images[0].get_clim() == (0.8, 1.25)


def test_a_run_s_page_shows_all_there_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    network = run / "networks" / "S0 0"
    network.mkdir(parents=True)
    told = {
        "dataset": "eegmat", "participants": ["S0"], "leaks": True,
        "protocol": "paper-window-kfold",
        "rows": [row("net", 0.9), row("majority class", 0.5)], "classes": ["a", "b"],
        "notes": ["Workload, not emotion."],
        "audit": {"ok": False, "protocol": "paper-window-kfold", "findings": []},
    }  # fmt: skip
    (run / "evaluation.json").write_text(json.dumps(told))
    p = RNG.random(50)
    pd.DataFrame({"y": p > 0.5, "net.a": 1 - p, "net.b": p}).to_parquet(
        run / "outputs.parquet"
    )
    (network / "curve.json").write_text(json.dumps({"losses": [0.7, 0.5, 0.4]}))
    read = {"electrodes": EEG[:4], "bands": BANDS, "importance": np.eye(4).tolist()}
    read["attention"] = np.full((4, 4), 0.25).tolist()
    (network / "explained.json").write_text(json.dumps(read))
    page = str(add_run_figures(HtmlReport("eegmat"), run))
    assert page.count("<img ") == 6
    assert "Workload, not emotion." in page
    assert "not connectivity" in page
    done = subprocess.run(
        [sys.executable, "-m", "physio.cli", "report", str(run)], check=True
    )
    assert done.returncode == 0
    whole = (run / "report.html").read_text("utf-8")
    assert whole.count("<img ") == 7  # and one of the evaluation itself
    assert "leakage" in whole
