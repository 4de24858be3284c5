"""Beats put right: what was done to a known train is undone, and told."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.missing import MissingReason
from physio.core.stage import Chain, apply
from physio.features.cardiac.heart_rate import HeartRate
from physio.features.cardiac.hrv import HRV
from physio.features.cardiac.rr_correction import MARKS, RRCorrection

RATE = 100
INFO = StreamInfo(
    "chest.ecg",
    Fraction(RATE),
    (
        Channel("event", "event", "s"),
        Channel("interval", "misc", "s"),
        Channel("confidence", "misc", "1"),
    ),
)


def true(n: int = 200) -> Array:
    """Return when a heart beats that breathes: 0.85 s, 50 ms up and down."""
    k = np.arange(n)
    return 1 + np.cumsum(0.85 + 0.05 * np.sin(2 * np.pi * k / 5))


def train(times: Array, wrong: tuple[float, ...] = ()) -> Block:
    """Return beats on the grid; intervals of beats at ``wrong`` are not accepted."""
    x = np.full((int(RATE * (times[-1] + 8)), 3), np.nan)
    for before, t in zip(np.append(np.nan, times), times, strict=False):
        i = int(np.ceil(t * RATE))
        bad = any(abs(t - w) < 1e-9 for w in wrong)
        interval = (
            MissingReason.POOR_QUALITY.nan if bad or np.isnan(before) else t - before
        )
        x[i] = t - i / RATE, interval, 0.9
    return Block(INFO, 0, 0.0, x)


def corrected(times: Array, wrong: tuple[float, ...]) -> Events:
    return events_from_grid(apply(RRCorrection(), train(times, wrong)))


def test_a_train_without_fault_is_left_as_it_is() -> None:
    found = corrected(true(), ())
    np.testing.assert_allclose(found.times, true(), atol=1e-9)
    assert np.all(found.data[:, 2] == MARKS.index("measured"))


@pytest.mark.parametrize("gone", [1, 2])
def test_missed_beats_are_put_in(gone: int) -> None:
    times = true()
    left = np.delete(times, range(60, 60 + gone))
    found = corrected(left, (times[60 + gone],))
    assert len(found) == len(times)
    # Where they were is told by the gap alone: within the swing of the rhythm.
    np.testing.assert_allclose(found.times, times, atol=0.11)
    marked = np.flatnonzero(found.data[:, 2] == MARKS.index("one missed"))
    assert marked.tolist() == list(range(60, 61 + gone))


def test_a_beat_too_many_is_left_out() -> None:
    times = true()
    extra = times[80] + 0.35
    more = np.sort(np.append(times, extra))
    found = corrected(more, (extra, times[81]))
    np.testing.assert_allclose(found.times, times, atol=1e-9)
    assert found.data[81, 2] == MARKS.index("one too many")
    assert found.data[81, 0] == pytest.approx(times[81] - times[80])


def test_an_extrasystole_is_moved_half_way() -> None:
    times = true()
    early = times.copy()
    early[90] -= 0.3
    found = corrected(early, (early[90], early[91]))
    assert np.abs(found.times[90] - times[90]) < 0.06
    assert found.data[90:92, 2].tolist() == [MARKS.index("out of turn")] * 2
    np.testing.assert_allclose(np.diff(found.times[89:92], 2), 0, atol=1e-9)


def test_what_cannot_be_explained_stays_missing() -> None:
    times = true()
    odd = np.delete(times, [60])
    odd[60] += 0.5  # a gap of 2.6 usual intervals
    found = corrected(odd, (odd[60], odd[61]))
    assert np.isnan(found.data[60, 0])
    last = np.append(times[:-3], times[-4] + 0.3)  # early, and nothing after it
    found = corrected(last, (last[-1],))
    assert len(found) == len(last)
    assert np.isnan(found.data[-1, 0])


def test_what_was_put_right_counts_as_not_accepted() -> None:
    times = true(400)
    left = np.delete(times, range(40, 390, 4))
    wrong = tuple(times[k] for k in range(41, 390, 4))
    source = train(left, wrong)
    stages = RRCorrection(), HRV()
    out = apply(Chain(stages), source)
    assert out.column("corrected")[250] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(out.column("sdnn")[250])
    chain = Chain((RRCorrection(), HeartRate(accepted=0.8)))
    assert np.isnan(apply(chain, source).data[800]).all()


def test_a_corrected_train_has_the_power_of_the_true_one() -> None:
    times = true(400)
    keep = np.ones(400, bool)
    keep[50::12] = False
    left, wrong = times[keep], tuple(times[51::12])
    truth = apply(HRV(), train(times)).column("hf")[250:300]
    put_in = apply(Chain((RRCorrection(), HRV())), train(left, wrong))
    # One beat in twelve put in the middle takes some of the swing's power.
    np.testing.assert_allclose(put_in.column("hf")[250:300], truth, rtol=0.25)


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            RRCorrection(),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "beats are corrected by their intervals and confidence: put "
            "BeatDetection before it; 'band.bio' has bvp",
        ),
        (
            RRCorrection(near=0.6),
            INFO,
            "an interval near the usual one of 'chest.ecg' may be off by above 0 and "
            "below 0.5 of it, not 0.6",
        ),
    ],
)
def test_refuses(stage: RRCorrection, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message
