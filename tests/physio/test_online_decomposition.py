"""Online decomposition of skin conductance: ages, errors, responses, markers."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Stage, apply
from physio.features.eda.decomposition import decompose
from physio.features.eda.online_decomposition import AGES, PARTS, EdaDecomposition
from physio.features.eda.scr_detection import ScrDetection, event_related, responses

Signal = NDArray[np.float64]


def eda(rate: int = 4, unit: str = "uS") -> StreamInfo:
    return StreamInfo("band.eda", Fraction(rate), (Channel("eda", "gsr", unit),))


def wrist(data: Path, participant: str) -> Signal:
    file = np.load(data / "wesad" / participant / f"{participant}_wrist.npz")
    return np.asarray(file["eda"], np.float64).ravel()


def out(stage: Stage, y: Signal, rate: int = 4) -> Block:
    return apply(stage, Block(eda(rate), 0, 0.0, np.ascontiguousarray(y)[:, None]))


ONSETS = np.array([40.0, 61.0, 64.0, 100.0, 130.0, 131.5, 170.0, 200.0])
SIZES = np.array([0.5, 0.3, 0.3, 1.0, 0.1, 0.2, 0.05, 0.4])


def made(rate: int = 4, seconds: int = 240, noise: float = 0.002) -> Signal:
    """Responses that rise for 2 s and halve every 3 s, on a level of 2 uS."""
    t = np.arange(seconds * rate)[:, None] / rate - ONSETS
    rise = np.sin(np.pi / 4 * np.clip(t, 0, 2)) ** 2
    y = 2 + (SIZES * rise * 0.5 ** (np.clip(t - 2, 0, None) / 3)).sum(axis=1)
    return y + noise * np.random.default_rng(1).standard_normal(len(y))


def test_channels_say_their_age_and_unit() -> None:
    info = EdaDecomposition().output_info(eda())
    assert len(info.channels) == 31
    for age in AGES:
        for part in PARTS:
            for name in (f"{part}@{age}s", f"{part}.error@{age}s"):
                channel = info.channels[info.names.index(name)]
                late = 0.375 if part == "driver" else 0.0
                assert channel.delay == age + late
                assert channel.unit == ("uS/s" if part == "driver" else "uS")
    assert info.rate == 1
    # Samples are averaged over 0.25 s: at 50 Hz the mean lies 0.115 s back. From 100 Hz
    # on they are averaged over 0.2 s before, twenty times a second.
    for rate, delay in ((50, 0.115), (100, 0.1 + 0.095)):
        first = EdaDecomposition().output_info(eda(rate)).channels[0]
        assert first.delay == pytest.approx(delay)


@pytest.mark.parametrize("setting", ["default", "cvxeda"])
def test_is_warming_up_and_then_nears_the_whole_record_with_age(
    data: Path, setting: str
) -> None:
    y = wrist(data, "S6")[4000:8000]
    told, whole = out(EdaDecomposition(setting), y), decompose(y, 4, setting)
    assert np.all(missing_reason(told.data[:30]) == MissingReason.WARMING_UP)
    assert not np.isnan(told.data[30:]).any()
    rows = np.arange(200, len(told))
    off = [
        np.sqrt(np.mean((told.column(f"phasic@{a}s")[rows] - truth) ** 2))
        for a in AGES
        for truth in [whole.phasic[rows * 4 - a * 4]]
    ]
    assert off[-1] < off[2] < off[0]
    # The older the surer; at 10 s more is known than not, on a participant with many
    # jumps.
    assert off[-1] < 0.7 * whole.phasic.std()


@pytest.mark.parametrize(
    ("participant", "setting"),
    [("S4", "default"), ("S15", "default"), ("S13", "cvxeda")],
)
def test_errors_cover_nine_in_ten(data: Path, participant: str, setting: str) -> None:
    """Quantiles from the other eleven participants hold to 0.02."""
    y = wrist(data, participant)
    told, whole = out(EdaDecomposition(setting), y), decompose(y, 4, setting)
    rows = np.arange(200, len(told))
    for age in AGES:
        error = told.column(f"phasic.error@{age}s")[rows]
        off = told.column(f"phasic@{age}s")[rows] - whole.phasic[rows * 4 - age * 4]
        # Participants differ: measured, leaving each out, 0.70 to 0.98, 0.90 in the
        # mean.
        assert 0.65 < np.mean(np.abs(off) <= error) <= 1.0


@pytest.mark.parametrize("rate", [4, 8, 15, 128])
def test_responses_lie_where_they_begin_and_are_as_large_as_they_are(rate: int) -> None:
    found = events_from_grid(out(ScrDetection(), made(rate), rate))
    # Half of a bump's rise passes before a driver of the Bateman shape sets in; values
    # come four times a second: within 1.5 s. Two bumps 1.5 s apart may come as one.
    apart = np.abs(found.times[:, None] - ONSETS)
    assert np.all(apart.min(axis=1) <= 1.5)
    missed = np.abs(found.times - ONSETS[:, None]).min(axis=1) > 1.6
    assert missed.sum() == 0
    largest = found.data[np.argmin(np.abs(found.times - 100.0))]
    # The price of driver takes a part of each response, and so does the shape.
    assert largest[0] == pytest.approx(1.0, rel=0.25)
    assert np.all((found.data[:, 1] > 0.8) & (found.data[:, 1] < 4))
    assert np.all((found.data[:, 2] > 1.0) & (found.data[:, 2] < 6))


def test_events_keep_their_promise() -> None:
    stage = ScrDetection()
    block = out(stage, made())
    event = block.info.channels[0]
    there = ~np.isnan(block.data[:, 0])
    assert there.any()
    assert np.all(block.data[there, 0] <= 0)
    assert np.all(block.data[there, 0] >= -event.delay)


def test_a_gap_is_missing_at_every_age_and_then_over() -> None:
    y = made(seconds=300)
    y[600:604] = MissingReason.NO_SIGNAL.nan  # the second from 150 s
    told = out(EdaDecomposition(), y)
    for age in AGES:
        lost = np.flatnonzero(np.isnan(told.column(f"phasic@{age}s")[30:])) + 30
        np.testing.assert_array_equal(lost, [150 + age])
        reason = missing_reason(told.column(f"phasic.error@{age}s")[lost])
        assert np.all(reason == MissingReason.NO_SIGNAL)
    long = made(seconds=300)
    long[400:480] = MissingReason.NO_SIGNAL.nan  # 20 s of the 30
    told = out(EdaDecomposition(), long)
    reasons = missing_reason(told.column("phasic@0s"))
    # Below half of a window from 16 s into the gap until 14 s after it.
    assert np.all(reasons[100:120] == MissingReason.NO_SIGNAL)
    assert reasons[118] == MissingReason.NO_SIGNAL
    assert reasons[136] == MissingReason.OK


def test_responses_of_a_record_are_those_of_its_driver() -> None:
    driver = np.zeros(400)
    driver[[100, 101]] = 1.0
    driver[200] = 0.01  # 0.0009 uS: below the threshold
    found = responses(driver)
    t = np.arange(0, 20, 0.01)

    def shape(u: Signal) -> Signal:
        u = np.maximum(u, 0)
        return 0.25 * (np.exp(-u / 2) - np.exp(-u / 0.7))

    y = shape(t) + shape(t - 0.25)
    peak = int(np.argmax(y))
    half = int(np.argmax(y[peak:] < y[peak] / 2))
    assert found.shape == (1, 4)
    # Told to 0.05 s.
    np.testing.assert_allclose(
        found[0], [25.0, y[peak], peak / 100, half / 100], atol=0.051
    )


def test_what_follows_a_marker() -> None:
    info = StreamInfo("band.scr", Fraction(0), (Channel("amplitude", "gsr", "uS"),))
    times = np.array([2.0, 3.0, 20.0])
    found = Events(info, 40.0, times, np.array([[0.1], [0.2], [0.4]]))
    y = event_related([0.0, 18.5, 30.0, 39.0], found)
    np.testing.assert_allclose(y[:, 0], [2, 1, 0, np.nan])
    np.testing.assert_allclose(y[:, 1], [2.0, 1.5, np.nan, np.nan])
    np.testing.assert_allclose(y[:, 2], [0.3, 0.4, 0.0, np.nan])
    assert missing_reason(y[2, 1]) == MissingReason.NO_SIGNAL
    assert np.all(missing_reason(y[3]) == MissingReason.TOO_SHORT)


@pytest.mark.parametrize(
    ("stage", "info", "message"),
    [
        (
            EdaDecomposition(),
            eda(unit="kOhm"),
            "'eda' of 'band.eda' is a resistance in kOhm: turn it into conductance "
            "first, uS = 1000 / kOhm",
        ),
        (
            ScrDetection(),
            eda(unit="S"),
            "skin conductance is read in uS, but 'eda' of 'band.eda' is in S",
        ),
        (
            EdaDecomposition(window=15.0),
            eda(),
            "skin conductance of 'band.eda' is decomposed over whole seconds, 20 or "
            "more: 15",
        ),
        (
            ScrDetection(threshold=0.0),
            eda(),
            "the least response on 'band.eda' must be above 0 uS: 0.0",
        ),
        (
            EdaDecomposition("ledalab"),
            eda(),
            "there is no decomposition 'ledalab' of skin conductance: there are "
            "default, cvxeda",
        ),
    ],
)
def test_refuses(stage: Stage, info: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(info)
    assert str(caught.value) == message


def test_one_percent_of_loss_and_a_minute_of_gap_make_no_responses() -> None:
    y, whole = made(), events_from_grid(out(ScrDetection(), made()))
    rng = np.random.default_rng(5)
    lossy = y.copy()
    lossy[rng.random(len(y)) < 0.01] = MissingReason.NO_SIGNAL.nan
    found = events_from_grid(out(ScrDetection(), lossy))
    # A burst with a lost sample is left out; then its tail, up to 4 s later, may stand
    # for it.
    near = np.abs(found.times[:, None] - whole.times).min(axis=1)
    assert np.all(near <= 4.0)
    assert len(found) >= len(whole) - 3
    gap = np.full(len(y), 2.0)
    gap[400:640] = MissingReason.NO_SIGNAL.nan
    assert len(events_from_grid(out(ScrDetection(), gap))) == 0
    told = out(EdaDecomposition(), gap)
    assert np.all(missing_reason(told.data[120:160]) == MissingReason.NO_SIGNAL)
    assert told.column("phasic@5s")[200:].max() < 1e-3


def test_nothing_is_said_of_markers_before_responses_can_be_detected() -> None:
    events = events_from_grid(out(ScrDetection(), made()))
    assert events.complete_from == 30.0
    y = event_related([5.0, 28.5, 29.5, 50.0], events)
    reasons = missing_reason(y)
    assert (reasons[:2] == MissingReason.WARMING_UP).all()
    assert y[2, 0] == 0
    assert (y[3, [0, 2]] == 0).all()
    early = events.part(0, 1, 45.0)
    assert early.complete_from == 30.0


@pytest.mark.parametrize(("rise", "fall"), [(4, 4), (6, 6), (8, 10), (10, 15)])
@pytest.mark.parametrize("size", [0.5, 3.0])
def test_a_slow_response_is_a_single_one(size: float, rise: int, fall: int) -> None:
    s = np.arange(0, 160, 0.25) - 80
    bump = np.sin(np.pi / 2 / rise * np.clip(s, 0, rise)) ** 2
    y = 3 + size * bump * np.exp(-np.clip(s - rise, 0, None) / fall)
    y += np.random.default_rng(1).normal(0, 0.003, len(y))
    events = events_from_grid(out(ScrDetection(), y))
    near = (events.times > 70) & (events.times < 120)
    assert near.sum() == len(events) == 1
    assert events.times[near][0] == pytest.approx(82, abs=2)


def test_the_price_of_the_driver_is_that_of_the_past_hours() -> None:
    """A window of responses alone knows nothing of the noise at rest."""
    rng = np.random.default_rng(2)
    t = np.arange(0, 360, 0.25)
    s = t[:, None] - np.arange(240.0, 350.0, 3.0)
    bumps = np.where(s > 0, np.exp(-s / 2) - np.exp(-s / 0.7), 0.0).sum(axis=1)
    y = 2 + bumps + rng.normal(0, 0.002, len(t))
    live, whole = out(EdaDecomposition(), y), decompose(y, 4)
    rows = np.arange(300, 355)
    truth = whole.phasic[rows * 4 - 20]
    error = live.column("phasic@5s")[rows] - truth
    alone = [
        decompose(y[4 * k - 119 : 4 * k + 1], 4, begin=(4 * k - 119) % 40).phasic[-21]
        for k in rows
    ]
    assert np.std(error) < 0.75 * np.std(alone - truth)
