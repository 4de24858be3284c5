"""The benches run, and what they compare is the same thing."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import dsp_full_pipeline, paper_training_epoch
from benchmarks.dsp_beat_detection import f1
from benchmarks.timing import compiling, interleaved, row
from physio.cli import app


def test_both_are_timed_in_turn_after_a_warm_up() -> None:
    calls: list[str] = []
    times = interleaved(lambda: calls.append("a"), lambda: calls.append("b"), rounds=3)
    assert "".join(calls) == "aababab"
    assert min(times) > 0


def test_a_row_has_the_figures_that_are_promised() -> None:
    one = row("this", "that", 2.0, 5.0, extra=1)
    assert one["ratio"] == 2.5
    assert one["share_of_peak"] is None
    assert one["extra"] == 1
    assert row("this", "nobody", 2.0, None)["ratio"] is None


def test_same_beats() -> None:
    true = np.arange(10.0)
    assert f1(true + 0.04, true) == 1
    # Nine of ten found, all of them true: 2 * 0.9 / 1.9.
    assert f1(true[1:], true) == pytest.approx(1.8 / 1.9)


def test_compiling_is_timed_in_new_processes() -> None:
    one = compiling("nothing", "pass")
    assert one["ours_s"] > 0
    assert one["peer_s"] > 0


def test_a_whole_participant_is_faster_than_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dsp_full_pipeline, "LENGTH", 4)
    for one in dsp_full_pipeline.rows(None):
        assert one["ratio"] > 1
        assert one["p50_ms"] <= one["p99_ms"]


def test_the_published_protocol_is_counted_from_an_epoch_of_each_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paper_training_epoch, "WINDOWS", 300)
    large, small = paper_training_epoch.rows(None)
    assert large["work"].endswith(" x 32 x 4, batches of 256")
    each = 150 * (large["ours_s"] + small["ours_s"])
    assert large["hours_of_the_protocol"] == pytest.approx(5 * each / 3600)


def test_a_bench_that_is_not_there() -> None:
    result = CliRunner().invoke(app, ["bench", "nothing"])
    assert isinstance(result.exception, ValueError)
    assert str(result.exception).startswith(
        "there is no benchmark 'nothing': choose one of "
    )
    assert "dsp" in str(result.exception)


def test_peers_are_pinned() -> None:
    pins = Path(__file__).parents[2] / "benchmarks" / "peers.txt"
    assert "torcheeg==1.1.3" in pins.read_text(encoding="utf-8").splitlines()
