"""Channels picked by name."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.stage import apply
from physio.dsp.select_channels import SelectChannels

INFO = StreamInfo(
    "b.ppg", Fraction(64), tuple(Channel(c, "bio") for c in ("ir", "red", "g"))
)
DATA = Block(INFO, 0, 0.0, np.arange(12.0).reshape(4, 3))


def test_the_named_channels_in_the_named_order() -> None:
    got = apply(SelectChannels(("g", "ir")), DATA)
    assert got.info.names == ("g", "ir")
    np.testing.assert_array_equal(got.data, DATA.data[:, [2, 0]])


def test_an_unknown_channel() -> None:
    with pytest.raises(
        ValueError, match=r"'b\.ppg' has no channel 'x'; it has ir, red"
    ):
        apply(SelectChannels(("x",)), DATA)
