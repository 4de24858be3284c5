"""Learned lifting: the stage, its response, and what it recovers or does not invent."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from experiments.lifting.band_shift import spectrum, trials
from experiments.lifting.learned_filters import Learning, learned
from experiments.lifting.lifting_filters import LEVELS, powers, wavelet
from experiments.lifting.lifting_rows import RATE, LiftingRows, lifting, rows_of
from experiments.lifting.lifting_scores import FIXED, LEARNED, LiftingComparison
from experiments.lifting.lifting_stage import LiftingEntropy
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import StageRunner, apply
from physio.evaluation.splits import protocol

INFO = StreamInfo(
    "headset.eeg",
    Fraction(RATE),
    (Channel("Fz", "eeg", "uV"), Channel("x", "misc", "V"), Channel("Pz", "eeg", "uV")),
)
LEARNING = Learning(epochs=40, rate=0.03)


def other_taps(steps: int = 3) -> Array:
    """Return taps away from the wavelet, with the same sums."""
    off = 0.1 * np.random.default_rng(2).normal(size=(LEVELS, steps, 4))
    return wavelet(steps) + off - off.mean(axis=2, keepdims=True)


def noise(seconds: int) -> Array:
    return 10 * np.random.default_rng(1).normal(size=(seconds * RATE, 3))


@pytest.mark.parametrize("steps", [2, 3])
def test_live_is_offline_to_the_bit(steps: int) -> None:
    x = noise(40)
    x[700:720, 0] = MissingReason.NO_SIGNAL.nan
    block = Block(INFO, 0, 0.0, x)
    stage = lifting(other_taps(steps))
    whole = apply(stage, block).data
    rng = np.random.default_rng(3)
    for longest in (1, 3, 700):
        runner, parts, i = StageRunner(stage, INFO), [], 0
        while i < len(x):
            n = int(rng.integers(1, longest + 1))
            parts.append(runner.push(block.part(i, i + n)).data)
            i += n
        live = np.vstack(parts)
        assert live.tobytes() == whole.tobytes()


def test_a_missing_sample_is_forgotten_and_its_reason_is_given() -> None:
    stage = LiftingEntropy(window=2.0, step=1.0)
    x = noise(30)
    plain = apply(stage, Block(INFO, 0, 0.0, x.copy())).data
    x[10 * RATE : 15 * RATE, 0] = MissingReason.MARKED_BAD.nan
    y = apply(stage, Block(INFO, 0, 0.0, x))
    assert y.info.names[0] == "lifting.1.Fz"
    assert len(y.info.names) == 2 * LEVELS  # the channel of another kind is skipped
    times = np.arange(len(y.data)) * 1.0
    for k, channel in enumerate(y.info.channels):
        assert channel.delay < 1.0
        other = not np.array_equal(plain[:, k], y.data[:, k], equal_nan=True)
        assert other == channel.name.endswith("Fz")
        after = times > 15 + channel.memory
        assert np.array_equal(plain[after, k], y.data[after, k])
    reasons = missing_reason(y.data[times == 14, 0])
    assert reasons.tolist() == [MissingReason.MARKED_BAD]
    assert missing_reason(y.data[0]).tolist() == [MissingReason.WARMING_UP] * len(
        y.info.names
    )


def test_the_stage_has_the_response_that_learning_assumes() -> None:
    taps = other_taps()
    y = apply(lifting(taps), Block(INFO, 0, 0.0, noise(400))).data
    frequencies = torch.linspace(0, 0.5, 513, dtype=torch.float64)
    power = powers(torch.as_tensor(taps), frequencies).numpy()
    wanted = 0.5 * np.log2(2 * np.pi * np.e * 100 * power.mean(axis=1))
    measured = np.nanmean(y.reshape(len(y), LEVELS, 2), axis=(0, 2))
    assert measured == pytest.approx(wanted, abs=0.07)


def test_the_wavelet_has_octaves() -> None:
    frequencies = torch.linspace(0, 0.5, 513, dtype=torch.float64)
    power = powers(torch.as_tensor(wavelet()), frequencies).numpy()
    peaks = power.argmax(axis=1) / 1024 * RATE
    for level, peak in enumerate(peaks):
        assert RATE / 2 ** (level + 2) <= peak <= RATE / 2 ** (level + 1)
    assert power[:, 0].max() < 1e-20  # a constant has no energy


def test_levels_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="4 taps"):
        LiftingEntropy((((0.5, 0.5),),))


def test_power_moves_inside_one_band_alone() -> None:
    rest, task = spectrum(0.0), spectrum(0.3)
    assert task[14:32].sum() == pytest.approx(rest[14:32].sum())
    assert task[15:23].sum() == pytest.approx(1.3 * rest[15:23].sum())
    assert np.array_equal(task[:15], rest[:15])


@pytest.fixture(scope="module")
def people() -> dict[float, LiftingRows]:
    """Return windows of simulated people, with a change of power and without."""
    return {
        shift: rows_of(
            [
                *trials("training people", 20, shift, 1),
                *trials("tested people", 16, shift, 2),
            ]
        )
        for shift in (0.4, 0.0)
    }


def means(rows: LiftingRows) -> dict[str, float]:
    settings = LiftingComparison(LEARNING, {})
    by = protocol("cross-dataset", test="tested people")
    classes = {"rest": ("rest",), "task": ("task",)}
    part, scores = settings.part(rows, by, classes, (1,))
    assert set(scores[1][LEARNED]) == {f"tested people 2-{k}" for k in range(16)}
    return {r["model"]: r["mean"] for r in part["rows"]}


def test_a_change_inside_a_fixed_band_is_recovered(
    people: dict[float, LiftingRows],
) -> None:
    scores = means(people[0.4])
    assert scores[LEARNED] > scores[FIXED] + 0.1
    assert scores[LEARNED] > 0.7


def test_no_change_is_not_invented(people: dict[float, LiftingRows]) -> None:
    scores = means(people[0.0])
    assert 0.38 < scores[LEARNED] < 0.62


def test_learning_depends_on_training_participants_alone(
    people: dict[float, LiftingRows],
) -> None:
    rows = people[0.4]
    who = rows.table["subject"].to_numpy()
    used = rows.table["dataset"].to_numpy() == "training people"
    y = (rows.table["label"] == "task").to_numpy().astype(int)
    quick = Learning(epochs=5)

    def taps(spectra: Array, seed: int) -> Any:
        return learned(
            quick, spectra[used], y[used], who[used], rows.baseline[used], seed
        )

    first = taps(rows.spectra, 1)
    assert np.array_equal(first, taps(rows.spectra.copy(), 1))
    assert not np.array_equal(first, taps(rows.spectra, 2))
    assert np.allclose(first.sum(axis=2), wavelet().sum(axis=2))
