"""What simulated participants did is found again, in more and more noise."""

import numpy as np
import pytest

from benchmarks import recovery_in_noise
from benchmarks.recovery_in_noise import TRIALS, matched

# Least precision and recall, and most error of time (ms), of one participant: without
# noise, and with the third level of the table. The table's own figures, of four
# participants, are in benchmarks/README.md.
LEAST = {
    "beats in ECG": ((0.99, 0.99, 5.0), (0.99, 0.99, 5.0)),
    "beats in PPG": ((0.95, 0.85, 10.0), (0.95, 0.80, 15.0)),
    "skin responses": ((0.90, 0.70, 500.0), (0.85, 0.50, 600.0)),
    "breaths in a belt": ((0.95, 0.95, 350.0), (0.95, 0.95, 350.0)),
}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda t: t.work)
def test_it_is_found_again(
    trial: recovery_in_noise.Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_in_noise, "PEOPLE", (31,))
    for level, least in zip((0.0, trial.levels[2]), LEAST[trial.work], strict=True):
        row = recovery_in_noise._row(trial, level)
        assert row["true"] > 10
        assert row["precision"] >= least[0]
        assert row["recall"] >= least[1]
        assert row["timing_ms"] <= least[2]


def test_noise_alone_finds_no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_in_noise, "PEOPLE", (31,))
    for trial in (t for t in TRIALS if t.levels is recovery_in_noise.RELATIVE):
        row = recovery_in_noise._row(trial, 100.0)
        assert row["recall"] < 0.1


def test_each_true_one_is_found_once() -> None:
    true = np.arange(10.0)
    assert list(matched(true + 0.3, true, 0.1)) == pytest.approx([0.3] * 10)
    twice = np.sort(np.concatenate([true, true + 0.01]))
    assert len(matched(twice, true, 0.1)) == 10
    assert len(matched(np.array([4.0]), true, 0.1)) == 1
    assert not len(matched(np.empty(0), true, 0.1))
