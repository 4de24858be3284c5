"""Windows, against plain NumPy."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.dsp.window import STATISTICS, Window


def info(rate: int, unit: str = "uS") -> StreamInfo:
    channels = (Channel("a", "gsr", unit), Channel("b", "gsr", unit))
    return StreamInfo("band.eda", Fraction(rate), channels)


def reference(x: np.ndarray, rate: int) -> list[float]:
    """Mean, mean square, deviation and slope a minute of what is there of a window."""
    there = ~np.isnan(x)
    t, v = np.flatnonzero(there) / rate / 60, x[there]
    return [v.mean(), (v**2).mean(), v.std(), np.polyfit(t, v, 1)[0]]


@pytest.mark.parametrize(("rate", "hop"), [(4, 0.25), (250, 0.25), (64, 0.5)])
def test_equals_numpy_after_every_hop(rate: int, hop: float) -> None:
    rng = np.random.default_rng(5)
    x = 5 + rng.standard_normal((rate * 12, 2))
    x[rng.random(x.shape) < 0.2] = MissingReason.POOR_QUALITY.nan
    stage = Window(STATISTICS, 3.0, hop)
    out = apply(stage, Block(info(rate), 0, 0.0, x))
    grid, m = stage.schedule(info(rate)), int(3 / hop)
    assert out.info.rate == 1 / Fraction(str(hop))
    assert len(out) == int(12 / hop)
    assert np.all(missing_reason(out.data[:m]) == MissingReason.WARMING_UP)
    for k in range(m, len(out)):
        window = x[grid.due(k - m) + 1 : grid.due(k) + 1]
        for c in range(2):
            # Sums of a few hundred terms of size 1 to 1e6 (times and their squares),
            # divided by a spread of times of some hundreds: 1e-9 is generous.
            np.testing.assert_allclose(
                out.data[k, c::2], reference(window[:, c], rate), rtol=1e-9
            )


def test_half_of_a_window_is_enough_and_less_has_the_newest_reason() -> None:
    x = np.ones((80, 2))
    x[40:47, 0] = MissingReason.NO_SIGNAL.nan
    x[47:49, 0] = MissingReason.POOR_QUALITY.nan
    out = apply(Window(("mean",), 4.0), Block(info(4), 0, 0.0, x))  # 16 samples
    missing = np.flatnonzero(np.isnan(out.data[16:, 0])) + 16
    # With sample 48, 9 of the last 16 are missing; from sample 56 on, 8 are.
    np.testing.assert_array_equal(missing, np.arange(48, 56))
    assert set(missing_reason(out.data[missing, 0])) == {MissingReason.POOR_QUALITY}
    np.testing.assert_array_equal(out.data[16:, 1], 1.0)


def test_a_lost_sample_leaves_the_window_without_a_trace() -> None:
    x = np.random.default_rng(7).standard_normal((4000, 2)) * 1e3
    holes = x.copy()
    holes[1000:1400] = MissingReason.NO_SIGNAL.nan
    stage = Window(STATISTICS, 2.0)
    whole = apply(stage, Block(info(250), 0, 0.0, x)).data
    lossy = apply(stage, Block(info(250), 0, 0.0, holes)).data
    last = int(1399 / 62.5 + 8) + 1
    np.testing.assert_array_equal(lossy[last + 1 :], whole[last + 1 :])
    assert not np.array_equal(lossy[last - 1], whole[last - 1])


def test_says_what_comes_out() -> None:
    out = Window(STATISTICS, 10.0).output_info(info(4))
    assert [(c.name, c.unit, c.memory) for c in out.channels[::2]] == [
        ("mean.a", "uS", 10.0),
        ("power.a", "(uS)^2", 10.0),
        ("deviation.a", "uS", 10.0),
        ("slope.a", "uS/min", 10.0),
    ]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            Window(window=1.1),
            "a window of 1.1 s on 'band.eda' is no whole number of steps of 0.25 s",
        ),
        (
            Window(step=0.1),
            "cannot give an output every 0.1 s on 'band.eda': a step must hold at "
            "least one sample, and its rate is 4 Hz",
        ),
        (
            Window(("median",)),
            "there is no statistic 'median' of a window: there are mean, power, "
            "deviation, slope",
        ),
        (
            Window(min_valid=0.0),
            "the proportion of samples that a window of 'band.eda' needs must be above "
            "0 and at most 1: 0.0",
        ),
    ],
)
def test_refuses(stage: Window, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(info(4))
    assert str(caught.value) == message
