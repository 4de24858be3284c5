"""A value with a large standard deviation is no feature, in training and live."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import physio
from experiments.pulse_rate.recordings import RATE
from experiments.pulse_rate.simulation import simulated
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.core.stage import StageRunner
from physio.inference.baseline_use import BaselineObserver
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert, FeatureBinding
from physio.models import model_card
from physio.models.baseline import transform
from physio.models.sd_limits import SdLimits
from physio.training.participant_data import ParticipantData
from physio.training.save_weights import renew_example

WRIST = model_card.load("wrist").card
NAMES = tuple(name for name, _ in WRIST.columns)
LIMIT = WRIST.sd_limits["heart.rate"]
COLUMNS = (
    Channel("eda.log_slope", "misc", memory=90),
    Channel("eda.activity", "misc", memory=90),
    Channel("eda.window_start", unit="s"),
    Channel("eda.window_end", unit="s"),
    Channel("heart.rate", "misc", "1/min", memory=43),
    Channel("heart.rate.sd", "misc", "1/min", memory=43),
    Channel("heart.window_start", unit="s"),
    Channel("heart.window_end", unit="s"),
)
INFO = StreamInfo("features", Fraction(4), COLUMNS)


def rows(deviations: Array) -> Block:
    """Return ticks with these deviations of the heart rate."""
    rng = np.random.default_rng(0)
    n = len(deviations)
    t = np.arange(n) / 4
    slope, activity = 0.001 * rng.standard_normal(n), 0.02 * rng.lognormal(size=n)
    rate = 75 + 3 * rng.standard_normal(n)
    x = [slope, activity, t - 60, t, rate, deviations, t - 8, t]
    return Block(INFO, 0, 0.0, np.stack(x, axis=1))


def deviations(n: int = 2000) -> Array:
    """Return deviations about the limit, on it, and missing ones."""
    sd = LIMIT + np.random.default_rng(1).standard_normal(n)
    sd[::50], sd[1::50] = LIMIT, np.nan
    return np.asarray(sd)


def test_the_shipped_weights_state_the_limit() -> None:
    assert LIMIT == 5.0
    page = (model_card.STORE / "wrist" / "CARD.md").read_text("utf-8")
    assert "heart.rate where heart.rate.sd is at most 5" in page


def test_a_value_counts_up_to_the_limit() -> None:
    block = rows(deviations())
    before = block.data.copy()
    x = SdLimits.of(WRIST.sd_limits, INFO.names).apply(block.data)
    counts = block.data[:, 5] <= LIMIT
    assert 0.3 < counts.mean() < 0.7
    assert np.array_equal(~np.isnan(x[:, 4]), counts)
    reasons = missing_reason(x[~counts, 4])
    assert set(reasons.tolist()) == {MissingReason.POOR_QUALITY}
    others = [0, 1, 2, 3, 5, 6, 7]
    np.testing.assert_array_equal(x[:, others], before[:, others])
    np.testing.assert_array_equal(block.data, before)


def test_a_missing_value_keeps_its_reason() -> None:
    x = rows(np.full(4, 9.0)).data.copy()
    x[:, 4:6] = MissingReason.WARMING_UP.nan
    limited = SdLimits.of(WRIST.sd_limits, INFO.names).apply(x)
    assert set(missing_reason(limited[:, 4]).tolist()) == {MissingReason.WARMING_UP}


def test_a_rate_without_a_deviation_has_no_limit() -> None:
    names = tuple(n for n in INFO.names if n != "heart.rate.sd")
    x = np.delete(rows(np.full(4, 9.0)).data, 5, axis=1)
    assert SdLimits.of(WRIST.sd_limits, names).apply(x) is x


def test_training_reads_what_a_session_reads() -> None:
    block = rows(deviations())
    stored = model_card.load("wrist")
    binding = FeatureBinding.bind(Expert("wrist"), WRIST.columns, INFO, WRIST.sd_limits)
    live = binding.read(block.data)
    trained = ParticipantData("P1", block, ()).features(NAMES, WRIST.sd_limits)
    trained = transform(trained, [scale for _, scale in stored.card.columns])
    np.testing.assert_array_equal(live, trained)
    assert np.isnan(live[:, 2]).any()


def test_an_uncertain_rate_is_no_part_of_the_estimate() -> None:
    n = 400
    uncertain, sure = rows(np.full(n, LIMIT + 0.01)), rows(np.full(n, LIMIT))
    lost = uncertain.data.copy()
    lost[:, 4:6] = MissingReason.POOR_QUALITY.nan
    estimator = Estimator((Expert("wrist"),), baseline_seconds=60.0)
    answers = [
        StageRunner(estimator, INFO).push(replace(sure, data=np.ascontiguousarray(x)))
        for x in (uncertain.data, lost, sure.data)
    ]
    np.testing.assert_array_equal(answers[0].data, answers[1].data)
    assert np.isfinite(answers[0].column("arousal")).all()
    part = "arousal.contribution.heart.rate"
    assert not answers[0].column(part).any()
    assert answers[2].column(part).any()
    # Skin conductance ends later than the pulse does: its window alone counts.
    shifted = uncertain.data.copy()
    shifted[:, 7] += 1.0
    out = StageRunner(estimator, INFO).push(replace(sure, data=shifted))
    np.testing.assert_array_equal(out.column("support.window_end"), shifted[:, 3])


def test_an_uncertain_rate_begins_no_baseline() -> None:
    block = rows(np.where(np.arange(400) < 200, LIMIT + 1, LIMIT - 1))
    x = block.data.copy()
    x[:, :2] = np.nan
    block = replace(block, data=x)
    observer = BaselineObserver({"estimator": {"experts": [{"weights": "wrist"}]}})
    observer.take(block)
    (use,) = observer.uses()
    assert use.begin == 50.0


@pytest.fixture(scope="module")
def table() -> Recording:
    """A band on a table: no pulse wave, movement of the table, open electrodes."""
    recording = simulated(7026, 120, pulse=False)
    wave = StreamInfo("band.bvp", Fraction(RATE), (Channel("bvp", "bio"),))
    axes = tuple(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz")
    acc = StreamInfo("band.acc", Fraction(RATE), axes)
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    signals = (
        (wave, recording.pulse), (acc, recording.acceleration),
        (eda, np.zeros((120 * 4, 1))),
    )  # fmt: skip
    streams = {
        info.name: (Block(info, 0, 0.0, np.ascontiguousarray(x)),)
        for info, x in signals
    }
    return Recording(streams, {}, (), {"source": "simulated"})


def test_a_band_on_a_table_has_no_heart_rate(table: Recording) -> None:
    features = physio.compute_features(table)
    rate, sd = features.column("heart.rate"), features.column("heart.rate.sd")
    assert np.isfinite(rate).mean() > 0.02  # tracked, and uncertain
    limited = SdLimits.of(WRIST.sd_limits, features.info.names).apply(features.data)
    rate = limited[:, features.info.names.index("heart.rate")]
    assert not np.isfinite(rate).any()
    assert np.nanmedian(sd) > LIMIT
    assert not np.isfinite(physio.estimate(table).column("arousal")).any()


def test_live_weights_name_a_companion(tmp_path: Path) -> None:
    """The limit survives storage, and belongs to the weights, not to the model."""
    card = replace(WRIST, sd_limits={"heart.rate": 2.0})
    stored = model_card.load("wrist")
    again = model_card.save(tmp_path / "strict", card, stored.arrays, stored.golden)
    renew_example(tmp_path / "strict")
    loaded = model_card.load(str(tmp_path / "strict"))
    assert loaded.card.sd_limits == again.card.sd_limits == {"heart.rate": 2.0}
    strict = Estimator((Expert(str(tmp_path / "strict")),), baseline_seconds=60.0)
    out = StageRunner(strict, INFO).push(rows(np.full(400, 3.0)))
    assert np.isfinite(out.column("arousal")).all()
    assert not out.column("arousal.contribution.heart.rate").any()
