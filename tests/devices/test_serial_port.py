"""Triggers of a serial port, on a pseudo-terminal."""

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from devices.serial_port import Triggers
from physio.core.protocols import WallClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig

pytest.importorskip("serial")
if not hasattr(os, "openpty"):  # pragma: no cover
    pytest.skip("this system has no pty", allow_module_level=True)


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    box, port = os.openpty()
    yield box, os.ttyname(port)
    os.close(port)
    os.close(box)


def test_bytes_are_events_with_their_time(line: tuple[int, str]) -> None:
    box, port = line
    with Triggers(port, labels={"1": "calm film"}, name="box") as device:
        sent = []
        for code in (1, 7, 255):
            os.write(box, bytes([code, 0]))
            sent.append(device.clock.now())
            time.sleep(0.15)  # longer than a poll, and than the thread waits
        events = device.read()
        assert device.read() == []
    assert [e.info.name for e in events] == ["box.markers"] * 3
    assert [e.labels[0] for e in events] == ["calm film", "7", "255"]
    assert [e.data[0, 0] for e in events] == [1.0, 7.0, 255.0]
    late = np.array([e.times[0] for e in events]) - sent
    assert np.all(np.abs(late) < 0.05), late


def test_a_session_records_triggers(line: tuple[int, str]) -> None:
    box, port = line
    table = {"use": "devices.serial_port:Triggers", "port": port}
    wrist = {"use": "devices.simulated:Wristband", "seconds": 60}
    file = SessionConfig({"devices": {"box": table, "wrist": wrist}}, "s.toml")
    clock = WallClock()
    labels = []
    with Session(
        SessionConfig().plan, file.devices(clock), clock=clock, seconds=1.0
    ) as session:
        os.write(box, b"\x05\x00")
        labels = [i.labels for i in session if i.info.name == "box.markers"]
    assert labels == [("5",)]
    assert session.faults == []


def test_a_port_that_is_lost_is_reported() -> None:
    box, port = os.openpty()
    with Triggers(os.ttyname(port)) as device:
        os.close(port)
        os.close(box)
        device._thread.join(5)
        with pytest.raises(OSError, match="was lost"):
            device.read()


def test_wrong_settings_are_refused() -> None:
    for settings, problem in (
        ({"port": ""}, "such as /dev/ttyUSB0"),
        ({"port": "x", "labels": {"0": "none"}}, "a code is from 1 to 255, not '0'"),
    ):
        table = {"use": "devices.serial_port:Triggers", **settings}
        with pytest.raises(ValueError, match=problem):
            SessionConfig({"devices": {"box": table}}, "s.toml").devices(WallClock())
    with pytest.raises(OSError, match="'/dev/none' of the triggers cannot be opened"):
        Triggers("/dev/none").__enter__()
