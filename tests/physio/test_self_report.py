"""Ratings as participants type and send them, and how estimates agree with them."""

import re
from fractions import Fraction

import numpy as np
import pytest

from physio.core.affect import DIMENSIONS
from physio.core.block import Block, Channel, StreamInfo
from physio.core.protocols import Command
from physio.inference import self_report
from physio.inference.agreement import Agreement, agree
from physio.online.commands import typed_rating, validate

ESTIMATES = StreamInfo("estimates", Fraction(4), tuple(Channel(d) for d in DIMENSIONS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sam 7 3 5", [0.5, -0.5, 0.0]),
        ("SAM: 9, 1", [1.0, -1.0, np.nan]),
        ("sam - 9 -", [np.nan, 1.0, np.nan]),
        ("rate -0.25", [-0.25, np.nan, np.nan]),
    ],
)
def test_typed_ratings(text: str, said: list[float]) -> None:
    rating = typed_rating(text)
    assert rating is not None
    kind, values = rating
    assert kind == ("rating" if text.startswith("rate") else "sam")
    np.testing.assert_array_equal(values, said)


@pytest.mark.parametrize("text", ["film 3", "sam", "sam smith", "samba 3", "rest"])
def test_other_markers_stay_markers(text: str) -> None:
    assert typed_rating(text) is None
    marker = Command("mark", 0.0, text)
    assert validate(marker, (), ()) == marker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sam 0", "the scale goes from 1 to 9; 0 is not on it"),
        ("sam 1 2 3 4", "a rating has at most 3 numbers; 'sam 1 2 3 4' has 4"),
        ("rate 2", "a rating lies from -1 to 1, not at 2"),
        ("rate - -", "a rating has valence, arousal and dominance, one of them at "
         "least, not [nan, nan, nan]"),
    ],
)  # fmt: skip
def test_ratings_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        validate(Command("mark", 0.0, text), (), ())


@pytest.mark.parametrize("cut", [1, 7, 2400])
def test_concordance_and_delay_of_a_report(cut: int) -> None:
    """A report that follows the estimate 2.5 s later, a third larger, a tenth off."""
    rng = np.random.default_rng(2)
    walk = np.convolve(rng.standard_normal(2400 + 200), np.ones(60) / 20, "same")[:2400]
    data = np.column_stack([walk, np.full(2400, np.nan), 0.5 * walk])
    block = Block(ESTIMATES, 0, 10.0, np.ascontiguousarray(data))
    found = Agreement()
    times = 10.0 + np.arange(20, 2400) / 4
    said = np.array([1.3 * walk[i - 10] + 0.1 for i in range(20, 2400)])
    for t, v in zip(times, said, strict=True):
        found.take(
            self_report.rating(t, [np.clip(v / 10, -1, 1)] * 3, self_report.CONTINUOUS)
        )
    for part in block.split(list(range(cut, 2400, cut))):
        found.take(part)
    told = found.summary()
    assert set(told) == {"valence", "dominance"}
    assert told["valence"]["delay_s"] == 2.5
    assert told["valence"]["r_at_delay"] > 0.999
    ccc, r = agree(walk[20:], np.clip(said / 10, -1, 1))
    assert told["valence"]["ccc"] == pytest.approx(ccc, rel=1e-9)
    assert told["valence"]["r"] == pytest.approx(r, rel=1e-9)


def test_concordance_against_its_definition() -> None:
    x, y = np.random.default_rng(3).normal(0, 1, (2, 500))
    y = 0.6 * x + 0.4 * y + 0.2
    top = 2 * np.cov(x, y, bias=True)[0, 1]
    expected = top / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    ccc, r = agree(x, y)
    assert ccc == pytest.approx(expected, rel=1e-12)
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-12)
    assert np.isnan(agree(x, np.ones(500))).all()


def test_agreement_of_an_estimator_that_gives_arousal_alone() -> None:
    info = StreamInfo("estimates", Fraction(4), (Channel("arousal"),))
    values = np.sin(np.arange(80) / 5)[:, None]
    agreement = Agreement()
    for i in range(20, 60, 2):
        rating = [0.5, values[i, 0], np.nan]
        agreement.take(self_report.rating(i / 4, rating, self_report.CONTINUOUS))
    agreement.take(Block(info, 0, 0.0, np.ascontiguousarray(values)))
    summary = agreement.summary()
    assert set(summary) == {"arousal"}
    assert summary["arousal"]["n"] == 20
    assert summary["arousal"]["ccc"] == pytest.approx(1.0)
