"""Markers reach a session that runs."""

from pathlib import Path

import pytest

from physio.core.ports import FastClock
from physio.online.control import Door, door, send


def test_a_marker_reaches_the_session(tmp_path: Path) -> None:
    with Door(tmp_path, FastClock(5.0)) as entrance:
        assert entrance.read() == []
        send(tmp_path, "film 3 begins: größer")
        send(tmp_path, "b")
        first, second = entrance.read()
        assert first.labels == ("film 3 begins: größer",)
        assert first.times.tolist() == [5.0]
        assert second.labels == ("b",)
        assert door(tmp_path).stat().st_mode & 0o777 == 0o600
    assert not door(tmp_path).exists()
    assert entrance.read() == []


def test_no_session(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"no session runs in {tmp_path}"):
        send(tmp_path, "x")
