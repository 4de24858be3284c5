"""Skin conductance does not depend on its sampling rate: the shipped chain at many."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import Chain, StageRunner, apply
from physio.online.shipped_chains import default_chains
from physio.quality.range_checks import EdaQuality

RATES = ("2", "3.99", "4", "8", "15.6", "64", "700", "1000", "2000")
SECONDS = 180
ONSETS = np.array([35, 50, 62, 78, 95, 110, 118, 135, 150, 163])  # s
SIZES = np.array([0.3, 0.1, 0.5, 0.2, 0.06, 0.4, 0.3, 0.25, 0.15, 0.35])  # uS
RISE, DECAY = 0.7, 2.0  # s
each = pytest.mark.parametrize("rate", RATES)


def tonic_at(t: Array) -> Array:
    return 3.0 + 0.3 * np.sin(2 * np.pi * t / 90)


def skin(rate: str, noise: float = 0.003) -> Array:
    """Return a level with ten responses as a device samples it, in steps of 1.5 nS."""
    t = np.arange(int(SECONDS * Fraction(rate))) / float(Fraction(rate))
    peak = np.log(DECAY / RISE) / (1 / RISE - 1 / DECAY)
    top = np.exp(-peak / DECAY) - np.exp(-peak / RISE)
    x = tonic_at(t)
    for onset, size in zip(ONSETS, SIZES, strict=True):
        s = np.clip(t - onset, 0, None)
        x += size * (np.exp(-s / DECAY) - np.exp(-s / RISE)) / top
    x += np.random.default_rng(1).normal(0, noise, len(x))
    return np.asarray(np.round(x / 0.0015) * 0.0015)


def stream(rate: str) -> StreamInfo:
    return StreamInfo("band.eda", Fraction(rate), (Channel("eda", "gsr", "uS"),))


def features(
    rate: str, x: Array, chain_name: str = "eda"
) -> tuple[Array, dict[str, Array]]:
    """Return the times and the columns that a shipped chain computes."""
    info = stream(rate)
    table = default_chains([info], [chain_name])[chain_name]
    chain = Chain(
        tuple(config.build(stage, "chains.toml") for stage in table["stages"])
    )
    out = apply(chain, Block(info, 0, 0.0, np.ascontiguousarray(x[:, None])))
    return out.times, dict(zip(out.info.names, out.data.T, strict=True))


@pytest.fixture(scope="module")
def at_4_hz() -> dict[str, Array]:
    return features("4", skin("4"))[1]


@each
def test_level_responses_and_coverage_are_those_of_4_hz(
    rate: str, at_4_hz: dict[str, Array]
) -> None:
    times, y = features(rate, skin(rate))
    assert len(times) == SECONDS
    for name, values in y.items():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(at_4_hz[name]), name)
    valid = ~np.isnan(y["tonic"])
    assert valid.mean() == 150 / SECONDS  # the window of 30 s fills first
    np.testing.assert_allclose(y["tonic"], at_4_hz["tonic"], atol=0.02)
    np.testing.assert_array_equal(y["scr_rate"], at_4_hz["scr_rate"])
    np.testing.assert_allclose(y["scr_amplitude"], at_4_hz["scr_amplitude"], rtol=0.15)
    assert (y["stability"][valid] == 1).all()
    true = tonic_at(times[valid] - 5)
    assert np.median(abs(y["tonic"][valid] - true)) < 0.03
    last = np.sum((ONSETS > SECONDS - 66) & (ONSETS < SECONDS - 6))
    assert y["scr_rate"][-1] == last == 4


@each
def test_single_zeros_cost_a_sample(rate: str, at_4_hz: dict[str, Array]) -> None:
    x = skin(rate)
    lost = np.random.default_rng(5).random(len(x)) < 0.01
    lost[1:] &= ~lost[:-1]
    x[lost] = 0.0
    block = Block(stream(rate), 0, 0.0, x[:, None])
    good = apply(EdaQuality(), block).data[:, 0]
    np.testing.assert_array_equal(good == 0, lost)
    y = features(rate, x)[1]
    # At 4 Hz and below, a zero 5 s ago leaves a second without a value.
    least = 0.99 if float(rate) > 4 else 0.95
    assert np.isfinite(y["tonic"]).sum() >= least * 150
    np.testing.assert_allclose(
        np.nanmean(y["tonic"]), np.nanmean(at_4_hz["tonic"]), atol=0.03
    )


@each
def test_a_fault_that_lasts_is_held_as_long_at_every_rate(rate: str) -> None:
    x, per_second = skin(rate), float(Fraction(rate))
    t = np.arange(len(x)) / per_second
    x[(t >= 60) & (t < 62)] = 0.0  # off the skin
    x[t >= 120] += 6.0  # 6 uS at once
    good = apply(EdaQuality(), Block(stream(rate), 0, 0.0, x[:, None])).data[:, 0]
    step = max(0.25, 1 / per_second)
    bad = [(t[good == 0] >= a) & (t[good == 0] < b) for a, b in ((0, 110), (110, 180))]
    spans = [np.sum(part) / per_second for part in bad]
    assert spans[0] == pytest.approx(2 + 5, abs=2 * step)
    assert spans[1] == pytest.approx(5, abs=2 * step)


@each
def test_the_trace_that_forecasts_read_is_averaged_to_4_hz(rate: str) -> None:
    times, y = features(rate, skin(rate, noise=0.02), "trace")
    (trace,) = y.values()
    assert len(trace) == pytest.approx(4 * SECONDS, abs=3)
    clean = skin("4", noise=0.0)[: len(trace)]
    error = np.nanstd(trace[40:] - clean[40:])
    many = max(float(Fraction(rate)) / 4, 1)
    assert error < 1.2 * max(0.02 / np.sqrt(many), 0.01), error
    assert np.diff(times).max() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("mains", [50, 60])
@pytest.mark.parametrize("rate", ["700", "1000", "2000"])
def test_mains_hum_neither_hides_nor_adds_responses(
    rate: str, mains: int, at_4_hz: dict[str, Array]
) -> None:
    x = skin(rate)
    x += 0.5 * np.sin(2 * np.pi * mains * np.arange(len(x)) / float(rate) + 0.3)
    y = features(rate, x)[1]
    np.testing.assert_array_equal(y["scr_rate"], at_4_hz["scr_rate"])
    np.testing.assert_allclose(y["tonic"], at_4_hz["tonic"], atol=0.02)


def test_a_fast_stream_in_any_blocks_gives_the_same_features() -> None:
    info = stream("127.9")  # no whole number of samples in any step
    stages = default_chains([info])["eda"]["stages"]
    chain = Chain(tuple(config.build(stage, "chains.toml") for stage in stages))
    whole = Block(info, 0, 0.0, skin("127.9")[: 60 * 128, None].copy())
    rng = np.random.default_rng()
    runner = StageRunner(chain, info)
    cuts = sorted(rng.choice(len(whole), 200, replace=False).tolist())
    parts = [runner.push(block).data for block in whole.split(cuts)]
    expected = apply(chain, whole).data
    assert np.isfinite(expected[:, 0]).any()
    assert np.vstack(parts).tobytes() == expected.tobytes()


def test_a_spike_of_one_sample_is_masked_alone_where_samples_are_fast() -> None:
    x = skin("1000")
    x[50_000] = 9.0
    good = apply(EdaQuality(), Block(stream("1000"), 0, 0.0, x[:, None])).data[:, 0]
    np.testing.assert_array_equal(np.flatnonzero(good == 0), [50_000])


def test_a_change_is_as_steep_at_every_rate() -> None:
    for rate in RATES:
        per_second = float(Fraction(rate))
        t = np.arange(int(60 * per_second)) / per_second
        for slope, fine in ((9.0, True), (11.0, False)):
            x = 3 + np.clip((t - 30) * slope, 0, 40)
            block = Block(stream(rate), 0, 0.0, x[:, None])
            assert (apply(EdaQuality(), block).data == 1).all() == fine, (rate, slope)


def test_a_recording_at_2000_hz_is_that_averaged_to_4_hz(data: Any) -> None:
    folder = data.parent / "cases" / "wear" / "08-biopac-eda-2000-hz"
    if not folder.is_dir():
        pytest.skip(f"no such recording: {folder}")
    for name, rate, tonic in (
        ("eda_2000hz", 2000, 3.63),
        ("eda_bitalino_1000hz", 1000, None),
    ):
        x = np.load(folder / f"{name}.npz")["eda_uS"].astype(float)
        slow = x[: len(x) // (rate // 4) * (rate // 4)].reshape(-1, rate // 4).mean(1)
        _, fast = features(f"{rate}", x)
        _, mean = features("4", slow)
        for y in (fast, mean):
            assert np.isfinite(y["tonic"]).any()
        level = np.nanmean(fast["tonic"])
        assert level == pytest.approx(np.nanmean(mean["tonic"]), rel=0.01)
        assert tonic is None or level == pytest.approx(tonic, abs=0.02)


def test_a_recording_with_single_zeros_keeps_its_level(data: Any) -> None:
    import physio

    file = data.parent / "cases" / "wear" / "23-eda-single-zeros" / "zeros.xdf"
    if not file.is_file():
        pytest.skip(f"no such recording: {file}")
    table = physio.to_pandas(physio.compute_features(physio.read(file)))
    (tonic,) = [table[name] for name in table if name.endswith(".tonic")]
    assert tonic.notna().sum() >= 0.98 * (90 - 30) * 4
    assert tonic.mean() == pytest.approx(2.64, abs=0.05)
