"""The device that the page builds."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from physio.core.block import Channel, StreamInfo
from physio.core.protocols import FastClock
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "devices.md"


def code() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_a_device_in_thirty_lines() -> None:
    text = code()
    body = text[text.index("@dataclass") :].strip()
    assert len(body.splitlines()) <= 30
    room: dict[str, Any] = {}
    exec(text, room)
    clock = FastClock(100.0)
    device = room["Thermometer"](
        lambda: 20.0 + clock.now(), participant="p1", clock=clock
    )
    plan = PipelineConfig({"air": ChainConfig("room.temp")})
    with Session(plan, [device], (), clock, poll=0.4, seconds=10.0) as session:
        items = list(session)
    blocks = [i for i in items if i.info.name == "room.temp"]
    values = np.concatenate([b.data[:, 0] for b in blocks])
    # Read within 0.4 s of each second, so never in the one before.
    np.testing.assert_allclose(values, 120.2 + np.arange(len(values)), atol=0.2 + 1e-9)
    assert len(values) >= 10
    assert session.health["room.temp"].lost == 0
    assert blocks[0].info.participant == "p1"
    assert session.ended == "completed: the time was up"


def test_the_faulty_band_of_the_page_is_a_session_file() -> None:
    import tomllib

    from physio.online.session_config import SessionConfig

    for text in re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        file = SessionConfig(tomllib.loads(text), "page")
        if not file.table("chains"):
            (device,) = file.devices(FastClock())
            assert getattr(device, "name", None) == "band"
            continue
        eda = Channel("eda", "gsr", "uS")
        plan = file.plan(
            [StreamInfo("band.eda", Fraction(4), (eda,), participant="p1")]
        )
        assert list(plan.chains) == ["p1.eda"]
        assert set(plan.estimators) == {"p1"}


def test_who_wears_a_device_is_in_its_streams() -> None:
    from physio.online.session_config import SessionConfig

    use = {"use": "devices.simulated:Wristband", "ground_truth": False}
    tables = {
        "session": {"participant": "p1"},
        "devices": {"a": use, "b": {**use, "participant": "p2"}},
    }
    a, b = SessionConfig(tables, "dyad").devices(FastClock())
    with a, b:
        assert {i.participant for i in a.streams} == {"p1"}
        assert {i.participant for i in b.streams} == {"p2"}
