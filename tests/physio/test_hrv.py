"""Indices of variability, against closed forms."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import apply
from physio.features.cardiac.hrv import HRV

INFO = StreamInfo(
    "band.beats",
    Fraction(64),
    (
        Channel("event", "event", "s"),
        Channel("interval", "misc", "s"),
        Channel("confidence", "misc", "1"),
    ),
)


def beats(intervals: Array, seconds: int) -> Block:
    """Return beats on the grid, each told with the sample after it."""
    x = np.full((seconds * 64, 3), np.nan)
    at = np.cumsum(intervals)
    for t, interval in zip(at[at < seconds - 1], intervals, strict=False):
        i = int(np.ceil(t * 64))
        x[i] = t - i / 64, interval, 1.0
    return Block(INFO, 0, 0.0, x)


def wave(freq: float, size: float, n: int) -> Array:
    """Return intervals around 0.8 s that swing at ``freq`` Hz by ``size`` s."""
    found, t = [], 0.0
    for _ in range(n):
        found.append(0.8 + size * np.sin(2 * np.pi * freq * t))
        t += found[-1]
    return np.array(found)


@pytest.mark.parametrize(("freq", "index"), [(0.25, "hf"), (0.1, "lf")])
def test_power_lies_in_its_band(freq: float, index: str) -> None:
    out = apply(HRV(), beats(wave(freq, 0.03, 400), 200))
    at = dict(zip(out.info.names, out.data[-1], strict=True))
    other = {"hf": "lf", "lf": "hf"}[index]
    # A swing of 30 ms has 450 ms^2; a line between beats 0.8 s apart takes
    # 1 - sinc(0.25 * 0.8)**4 = 24 % of its power at 0.25 Hz, 4 % at 0.1.
    assert 0.7 * 450 < at[index] < 1.05 * 450
    assert at[other] < 0.02 * 450
    # As many at the top as at the bottom of the wave: 30 ms / sqrt(2).
    assert at["sdnn"] == pytest.approx(21.2, rel=0.03)
    assert at["corrected"] == 0


def test_each_waits_for_its_own_window() -> None:
    out = apply(HRV(ratio=True), beats(wave(0.25, 0.03, 500), 330))
    assert out.info.names == ("sdnn", "hf", "lf", "corrected", "lf/hf")
    first = [int(np.flatnonzero(np.isfinite(c))[0]) for c in out.data.T]
    assert first == [120, 60, 120, 60, 300]
    assert missing_reason(out.data[59, 1]) == MissingReason.WARMING_UP


def test_too_few_accepted_beats() -> None:
    intervals = wave(0.25, 0.03, 300)
    block = beats(intervals, 200)
    rows = np.flatnonzero(~np.isnan(block.data[:, 0]))
    data = block.data.copy()
    data[rows[::4], 1] = (
        MissingReason.POOR_QUALITY.nan
    )  # a quarter, of which a fifth may be
    out = apply(HRV(), Block(INFO, 0, 0.0, data))
    assert np.all(missing_reason(out.data[-1, :3]) == MissingReason.POOR_QUALITY)
    assert out.data[-1, 3] == pytest.approx(0.25, abs=0.02)


def test_no_ratio_from_a_wrist() -> None:
    wrist = StreamInfo(INFO.name, INFO.rate, INFO.channels, site="left wrist")
    with pytest.raises(
        ValueError,
        match=r"^LF/HF is not given from 'band.beats', worn on the left wrist: leave "
        r"ratio out$",
    ):
        HRV(ratio=True).output_info(wrist)
    HRV().output_info(wrist)
