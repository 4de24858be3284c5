"""The pulse rate of a moving wrist: right, with an honest deviation, or missing."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import physio
from experiments.pulse_rate.curve import Rates, curve
from experiments.pulse_rate.mixtures import mixed
from experiments.pulse_rate.recordings import RATE, interval_reference
from experiments.pulse_rate.simulation import simulated
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Item
from physio.core.recording import stream_timeout
from physio.core.stage import Chain, MaskBadSamples, apply
from physio.features.cardiac.pulse_rate_tracker import PulseRateTracker
from physio.online.chain_runner import ChainConfig, ChainRunner
from physio.online.engine import Engine, PipelineConfig
from physio.quality.spike_detection import SpikeDetection
from physio.testing.stage_laws import StageLaws

WRIST = StreamInfo(
    "wrist.joined",
    Fraction(RATE),
    (Channel("bvp", "bio"), *(Channel(f"acc.{a}", "misc", "g") for a in "xyz")),
)
BVP = StreamInfo("wrist.bvp", Fraction(64), (Channel("bvp", "bio"),))
ACC = replace(WRIST, name="wrist.acc").with_channels(None, *WRIST.channels[1:])


def signal(seconds: int = 60, seed: int = 0) -> Array:
    recording = simulated(seed, seconds)
    return np.ascontiguousarray(np.hstack([recording.pulse, recording.acceleration]))


def test_laws_with_acceleration() -> None:
    laws = StageLaws(PulseRateTracker(), WRIST, signal(90))
    laws.cuts(1500, [1, 31, 32, 33, 700, 1111])
    laws.count(777)
    laws.gap(400, 460)


def test_simulated_movement_has_the_true_rate() -> None:
    wrong, answered = [], []
    for seed in range(5000, 5010):
        recording = simulated(seed)
        rate, sd = apply(PulseRateTracker(max_sd=1e9), recording.block).data[13:].T
        error = np.abs(rate - recording.reference[12 : 12 + len(rate)])
        answered.append(np.mean(sd <= 5))
        wrong.append(np.mean(error[sd <= 5] > 5))
    assert np.mean(answered) > 0.9
    assert np.mean(wrong) < 0.05


@pytest.mark.parametrize("kind", ["white", "walk", "constant", "not worn"])
def test_no_answer_without_a_pulse(kind: str) -> None:
    noise = np.random.default_rng(7).standard_normal(240 * RATE)
    recording = simulated(7000, 240, pulse=False)
    signals = {"white": noise, "walk": np.cumsum(noise), "constant": 0 * noise + 3}
    pulse = signals.get(kind, recording.pulse[:, 0])[:, np.newaxis]
    block = replace(recording, pulse=pulse).block
    rate, sd = apply(PulseRateTracker(max_sd=5.0), block).data[13:].T
    assert np.mean(np.isfinite(rate)) <= 0.05
    assert np.array_equal(np.isnan(rate), np.isnan(sd))


def test_scale_and_sign_do_not_matter() -> None:
    x = signal()
    expected = apply(PulseRateTracker(), Block(WRIST, 0, 0.0, x)).data
    for factor in (-1.0, 1e-6, 4096.0):
        scaled = np.ascontiguousarray(x * [factor, 1.0, 1.0, 1.0])
        actual = apply(PulseRateTracker(), Block(WRIST, 0, 0.0, scaled)).data
        inside = np.isfinite(expected[:, 0]) & np.isfinite(actual[:, 0])
        assert inside.mean() > 0.7
        difference = np.abs(actual[inside, 0] - expected[inside, 0])
        assert np.quantile(difference, 0.9) < 2.0


@pytest.mark.parametrize(
    ("trouble", "value"), [("spikes", 1e3), ("infinite", np.inf), ("lost", np.nan)]
)
def test_single_bad_samples_do_not_matter(trouble: str, value: float) -> None:
    x = signal()
    share = 0.05 if trouble == "lost" else 0.002
    bad = np.random.default_rng(0).random(len(x)) < share
    bad[: 3 * RATE] = False
    troubled = x.copy()
    troubled[bad, 0] = value
    chain = Chain((MaskBadSamples(quality=SpikeDetection()), PulseRateTracker()))
    rate, sd = apply(chain, Block(WRIST, 0, 0.0, x)).data.T
    other, wider = apply(chain, Block(WRIST, 0, 0.0, troubled)).data.T
    sure = (sd < 3) & (wider < 3)
    assert sure.sum() > 0.6 * np.sum(sd < 3) > 10
    assert np.abs(other - rate)[sure].max() < 5


def test_a_band_off_the_wrist_has_no_answer(data: Path) -> None:
    recording = physio.read(data / "empatica_e4" / "offwrist33s")
    sd = physio.compute_features(recording).column("heart.rate.sd")
    assert np.mean(sd <= 5) <= 0.05


def test_a_gap_widens_the_distribution() -> None:
    x = signal(90, seed=3)
    x[40 * RATE : 70 * RATE, 0] = np.nan
    _, sd = apply(PulseRateTracker(), Block(WRIST, 0, 0.0, x)).data.T
    assert sd[46] > 2 * sd[39]
    assert np.isnan(sd[66])


def test_refuses_a_stream_without_a_pulse_wave() -> None:
    with pytest.raises(ValueError, match="kind bio"):
        PulseRateTracker().output_info(ACC)


def test_reference_of_intervals() -> None:
    intervals = np.column_stack([np.arange(1, 31), np.full(30, 1.0)])
    reference = interval_reference(intervals, 30)
    assert np.isnan(reference[3])
    np.testing.assert_allclose(reference[10:], 60.0)


def test_an_artifact_of_another_has_the_power_that_is_asked_for() -> None:
    clean, other = simulated(1, 30), simulated(2, 300)
    for ratio in (6.0, 0.0, -6.0):
        noisy = mixed(clean, other, ratio, seed=1)
        added = noisy.pulse - clean.pulse
        power = 20 * np.log10(np.std(clean.pulse) / np.std(added))
        assert power == pytest.approx(ratio, abs=2.5)  # of the band alone
        assert not np.array_equal(noisy.acceleration, clean.acceleration)
        assert np.array_equal(noisy.reference, clean.reference)


def test_errors_against_coverage_rank_by_doubt() -> None:
    reference = np.full(200, 70.0)
    rate, doubt = reference.copy(), np.linspace(0, 1, 200)
    rate[150:] = 90.0
    figures = curve([(Rates(rate, doubt), reference)])
    assert figures["wrong"][0] == 0
    assert figures["answered"][-1] == 1
    assert figures["wrong"][-1] == pytest.approx(50 / 188)
    rate[100:] = np.nan  # the curve ends where answers do
    assert max(curve([(Rates(rate, doubt), reference)])["answered"]) < 0.5


def blocks(info: StreamInfo, x: Array, size: int) -> list[Block]:
    starts = range(0, len(x), size)
    parts = (np.ascontiguousarray(x[i : i + size]) for i in starts)
    return [Block(info, i, 0.0, part) for i, part in zip(starts, parts, strict=True)]


def streams(seconds: int) -> tuple[Array, Array]:
    x = signal(seconds)
    at = np.arange(len(x) * 2) / 64
    return np.interp(at, np.arange(len(x)) / 32, x[:, 0])[:, np.newaxis], x[:, 1:]


def computed(items: Sequence[Item]) -> Array:
    chain = ChainConfig("wrist.bvp", (PulseRateTracker(),), joined=("wrist.acc",))
    engine = Engine(PipelineConfig({"pulse": chain}), (BVP, ACC), 0.0)
    assert engine.notices == ()
    out = [o for item in items for o in engine.push(item)]
    return np.vstack([o.data for o in out if o.info.name == "features"])


def test_joined_chain_does_not_depend_on_blocks_and_order() -> None:
    bvp, acc = streams(40)
    whole = [*blocks(BVP, bvp, 4000), *blocks(ACC, acc, 4000)]
    parts = [*blocks(BVP, bvp, 17), *blocks(ACC, acc, 11)]
    parts.sort(key=lambda block: block.complete_until)
    a, b = computed(whole), computed(parts)
    n = min(len(a), len(b))
    assert n > 140
    assert np.isfinite(a[:n, 0]).any()
    assert np.array_equal(a[:n].view(np.uint64), b[:n].view(np.uint64))


def test_joined_chain_continues_without_a_silent_stream() -> None:
    bvp, acc = streams(60)
    items: list[Item] = [*blocks(BVP, bvp, 64), *blocks(ACC, acc[: 30 * 32], 32)]
    items.sort(key=lambda item: item.complete_until)
    items.append(stream_timeout("wrist.acc", 59.0))
    features = computed(items)
    assert len(features) > 230
    assert np.isfinite(features[-20:, 0]).any()


def test_joined_streams_need_distinct_channels() -> None:
    twice = ChainConfig("wrist.acc", (), joined=("other.acc",))
    known = {"wrist.acc": ACC, "other.acc": replace(ACC, name="other.acc")}
    with pytest.raises(ValueError, match=r"several have a channel acc\.x"):
        ChainRunner(twice, known, 0.0)
