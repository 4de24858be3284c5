"""The E4's driver on a server of ours, over TCP on this machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from devices.empatica import E4, MockServer, discover
from devices.simulated import Wristband
from physio.core.block import Block, Origin
from physio.core.events import Events, Item
from physio.core.protocols import FastClock, WallClock


@contextmanager
def server(speed: float = 1.0, **settings: Any) -> Iterator[MockServer]:
    clock = WallClock(speed)
    bands = {
        serial: Wristband(name=serial, clock=clock, seed=i, ground_truth=False)
        for i, serial in enumerate(("9ff167", "7a3166"), 1)
    }
    with MockServer(bands, clock=clock, **settings) as twin:
        yield twin


def gather(
    devices: list[E4], then: Callable[[list[Item]], bool], seconds: float = 20.0
) -> list[Item]:
    """Read, each time at once, until ``then``; the time allowed is a busy machine's."""
    items: list[Item] = []
    end = time.monotonic() + seconds
    while not then(items):
        assert time.monotonic() < end, "it did not come"
        for device in devices:
            items += device.read()
        time.sleep(0.005)
    return items


def column(items: list[Item], name: str) -> np.ndarray:
    found = [
        i.data[:, 0] for i in items if isinstance(i, Block) and i.info.name == name
    ]
    return np.concatenate(found) if found else np.empty(0)


def labels(items: list[Item], name: str) -> list[str]:
    events = (i for i in items if isinstance(i, Events) and i.info.name == name)
    return [label for e in events for label in e.labels]


@pytest.mark.parametrize("settings", [
    {}, {"comma": True, "temperature": "E4_Temp", "piece": 7, "tags": (1.0,)},
])  # fmt: skip
def test_two_wristbands_give_what_they_sensed(settings: dict[str, Any]) -> None:
    with server(**settings) as twin:
        assert discover(port=twin.port) == ["9ff167", "7a3166"]
        bands = [
            E4(serial, port=twin.port, name=name, participant=who, simulated=True,
               clock=twin.clock, btle=True)
            for serial, name, who in (("9ff167", "a", "p1"), ("7a3166", "b", "p2"))
        ]  # fmt: skip
        with bands[0], bands[1]:
            names = [i.name for i in bands[1].streams if i.rate]
            assert names == ["b.eda", "b.bvp", "b.acc", "b.temp"]
            assert {i.participant for i in bands[1].streams} == {"p2"}
            assert {i.origin for i in bands[1].streams} == {Origin.SIMULATED}
            items = gather(bands, lambda i: len(column(i, "b.eda")) >= 8)
    clock = FastClock()
    with Wristband(name="x", clock=clock, seed=2, ground_truth=False) as sensed:
        clock.wait(30.0)
        known = column(list(sensed.read()), "x.eda")
    eda = column(items, "b.eda")
    # What came before this one subscribed is not sent; 9 digits are, of at most 20 uS.
    fits = [
        np.allclose(eda[:8], known[k : k + 8], rtol=0, atol=1e-7) for k in range(90)
    ]
    assert sum(fits) == 1
    assert not np.array_equal(column(items, "a.eda")[:8], eda[:8])
    if settings:
        assert labels(items, "a.tags") == ["tag"]
    assert not [x for x in labels(items, "a.status") if x.startswith("not understood")]


def test_out_of_reach_is_told_and_is_a_gap() -> None:
    with server(lost=((1.0, 3.0),)) as twin:
        band = E4("9ff167", port=twin.port, name="a", clock=twin.clock)
        with band:
            items = gather([band], lambda i: len(column(i, "a.bvp")) > 64 * 2)
            end = band.clock.now()
    assert labels(items, "a.status") == [
        "connection lost to device 9ff167",
        "connection re-established to device 9ff167",
    ]
    bvp = [i for i in items if isinstance(i, Block) and i.info.name == "a.bvp"]
    lost = bvp[-1].stop - sum(map(len, bvp))
    # 2 s at 64 Hz; the twin looks every 10 ms, and a busy machine a little later.
    assert lost == pytest.approx(128, abs=10)
    assert bvp[-1].complete_until == pytest.approx(end, abs=0.2)


def test_a_server_that_goes_is_sought_until_it_is_back() -> None:
    with server(off=6.0) as twin:
        band = E4("9ff167", port=twin.port, name="a", clock=twin.clock)
        with band:
            gather([band], lambda i: len(column(i, "a.bvp")) > 10)
            twin.hang_up()
            items = gather([band], lambda i: len(column(i, "a.bvp")) > 10)
            told = labels(items, "a.status")
            assert "the E4 server at" in told[0]
            assert told[0].endswith("closed the connection; next try in 1 s")
            assert told[1:] == ["reconnecting (try 1)", "connection re-established"]
            rest = gather([band], lambda i: bool(labels(i, "a.status")))
            assert labels(rest, "a.status") == ["device 9ff167 turned off via button"]


def test_what_is_wrong_is_said_in_a_sentence() -> None:
    with server() as twin:
        for serial, wanted in (("", "no one wristband"), ("ff", "no wristband 'ff'")):
            with (
                pytest.raises(OSError, match=r".*") as caught,
                E4(serial, port=twin.port),
            ):
                pass
            assert str(caught.value) == (
                f"the E4 server at 127.0.0.1:{twin.port} has {wanted}; it has 9ff167, "
                "7a3166"
            )
        port = twin.port
    with pytest.raises(OSError, match=r".*") as caught, E4(port=port):
        pass
    assert str(caught.value) == (
        f"no E4 streaming server answers at 127.0.0.1:{port}: is it started, and its "
        "port the same? (ConnectionRefusedError)"
    )
    assert discover(port=port) == []
