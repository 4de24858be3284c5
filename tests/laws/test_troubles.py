"""Every stage on everything that sensors give when something is wrong with them."""

import pytest

from physio.core.block import StreamInfo
from physio.core.stage import Stage
from physio.testing.example_streams import DISTURBANCES
from physio.testing.stage_laws import StageLaws
from test_stages import CASES


@pytest.mark.parametrize(
    ("stage", "info"), CASES, ids=lambda v: getattr(v, "name", repr(v))
)
def test_nothing_is_infinite_and_what_is_missing_says_why(
    stage: Stage, info: StreamInfo
) -> None:
    for disturbance in DISTURBANCES:
        StageLaws(stage, info).disturbed(disturbance)


def test_there_are_disturbances() -> None:
    assert {"disconnected", "flat", "railed", "a minute lost"} <= set(DISTURBANCES)
