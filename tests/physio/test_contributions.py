"""Contributions by modality, and to a change of an estimate."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.stage import StageRunner
from physio.inference.contributions import change_contributions, modality_contributions
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert

COLUMNS = ("eda.log_slope", "eda.activity", "heart.rate", "heart.rate.sd")
INFO = StreamInfo(
    "features",
    Fraction(1),
    tuple(
        Channel(n)
        for n in (
            *COLUMNS,
            *(f"{c}.window_{e}" for c in ("eda", "heart") for e in ("start", "end")),
        )
    ),
)


def estimates() -> Block:
    rng = np.random.default_rng(0)
    n = 60
    data = np.tile([0.0, 0.05, 70.0, 1.0, 0.0, 0.0, 0.0, 0.0], (n, 1))
    data[:, :3] += rng.normal(0, [0.01, 0.005, 1.0], (n, 3))
    data[:, 4::2], data[:, 5::2] = np.arange(n)[:, None], np.arange(n)[:, None] + 1.0
    data[40:, 2] += 20.0
    block = Block(replace(INFO), 0, 0.0, np.ascontiguousarray(data))
    return StageRunner(Estimator((Expert("wrist"),), baseline_seconds=20.0), INFO).push(
        block
    )


def row(block: Block, k: int) -> dict[str, float]:
    return dict(zip(block.info.names, block.data[k].tolist(), strict=True))


def test_contributions_to_a_change_add_up_to_it() -> None:
    out = estimates()
    before, after = row(out, 38), row(out, 50)
    parts = change_contributions(before, after, "arousal")
    assert sum(parts.values()) == pytest.approx(after["arousal"] - before["arousal"])
    assert max(parts, key=lambda k: abs(parts[k])) == "heart"
    assert parts["heart"] > 0.05


def test_features_of_a_chain_are_one_modality() -> None:
    given = {
        "arousal": 0.2,
        "arousal.contribution.eda.scr_rate": 0.1,
        "arousal.contribution.eda.slope": 0.2,
        "arousal.contribution.prv.rate": float("nan"),
        "valence.contribution.eda.slope": 0.7,
    }
    assert modality_contributions(given, "arousal") == {"eda": pytest.approx(0.3)}


def test_a_missing_estimate_has_no_change() -> None:
    given = {"arousal": 0.2, "arousal.contribution.eda.slope": 0.2}
    assert change_contributions(given, {**given, "arousal": np.nan}, "arousal") == {}
    assert change_contributions({}, given, "arousal") == {}
