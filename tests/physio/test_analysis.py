"""Analyses of whole recordings: both ends, gaps, conditions and events."""

from fractions import Fraction

import numpy as np
import pytest

import physio
from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.offline.analysis import Analysis, analyze


def block(name: str, kind: str, unit: str, rate: float, values: np.ndarray) -> Block:
    info = StreamInfo(name, Fraction(rate), (Channel(kind, kind, unit),))
    data = np.ascontiguousarray(values, float)[:, None].copy()
    return Block(info, 0, 0.0, data)


def recording(*blocks: Block) -> Recording:
    return Recording({b.info.name: (b,) for b in blocks})


def skin(onsets: list[float], seconds: float, rate: float = 4.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    level = 2.0 + 0.002 * t
    for onset in onsets:
        s = np.maximum(t - onset, 0.0)
        level = level + 0.8 * (np.exp(-s / 2) - np.exp(-s / 0.7))
    return level


@pytest.fixture(scope="module")
def short() -> Analysis:
    onsets = [1.0, 12.0, 30.0, 55.0]
    return analyze(recording(block("e4.eda", "gsr", "uS", 4.0, skin(onsets, 60.0))))


def test_responses_at_both_ends_are_returned(short: Analysis) -> None:
    assert np.allclose(short.scrs["onset"], [1.0, 12.0, 30.0, 55.0], atol=0.6)
    assert (short.scrs["peak"] > short.scrs["onset"]).all()
    peak = 0.8 * np.max(skin([0.0], 10.0) - skin([], 10.0)) / 0.8
    assert np.allclose(short.scrs["amplitude"], peak, rtol=0.15)


def test_a_span_has_a_row_for_each_measure(short: Analysis) -> None:
    table = short.spans([ConditionSpan("a", 0.0, 20.0), ConditionSpan("b", 60.0, 80.0)])
    rows = table.set_index(["condition", "measure"])
    assert rows.loc[("a", "scr_per_minute"), "n"] == 2
    assert rows.loc[("a", "scl"), "coverage"] == pytest.approx(1.0)
    assert np.isnan(rows.loc[("b", "scl"), "value"])
    assert rows.loc[("b", "scl"), "reason"] == "no valid sample"
    assert table.attrs["provenance"] == "whole record, non-causal"


def test_events_tell_responders_and_missing_windows(short: Analysis) -> None:
    table = short.events([10.5, 20.0, 58.0])
    assert table["responder"].tolist()[:2] == [1.0, 0.0]
    assert table.loc[0, "latency"] == pytest.approx(1.5, abs=0.6)
    assert table.loc[1, "magnitude"] == 0.0
    assert np.isnan(table.loc[1, "amplitude"])
    assert np.isnan(table.loc[2, "responder"])
    assert table.loc[2, "skin_reason"] == "the window exceeds the recording"


def test_the_package_offers_it() -> None:
    assert physio.analyze is analyze
