"""Markers reach a session that runs."""

from pathlib import Path

import pytest

from physio.core.protocols import FastClock
from physio.inference import self_report
from physio.online.remote_control import ControlSocket, rate, send, socket_address


def test_a_marker_reaches_the_session(tmp_path: Path) -> None:
    with ControlSocket(tmp_path, FastClock(5.0)) as entrance:
        assert entrance.read() == []
        send(tmp_path, "film 3 begins: größer")
        send(tmp_path, "b")
        first, second = entrance.read()
        assert first.labels == ("film 3 begins: größer",)
        assert first.times.tolist() == [5.0]
        assert second.labels == ("b",)
        assert socket_address(tmp_path).stat().st_mode & 0o777 == 0o600
    assert not socket_address(tmp_path).exists()
    assert entrance.read() == []


def test_no_session(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"no session runs in {tmp_path}"):
        send(tmp_path, "x")


def test_a_rating_reaches_the_session(tmp_path: Path) -> None:
    with ControlSocket(tmp_path, FastClock(5.0)) as entrance:
        rate(tmp_path, [0.5, float("nan"), -0.25], self_report.CONTINUOUS, "p2")
        send(tmp_path, "sam 7 3 5")
        send(tmp_path, "sam 12")
        send(tmp_path, "sam smith comes in")
        now, sam, bad, marker = entrance.read()
    assert (now.info.name, sam.info.name) == ("session.ratings.p2", "session.ratings")
    assert (now.info.participant, now.labels) == ("p2", ("rating",))
    assert repr(now.data.tolist()) == "[[0.5, nan, -0.25]]"
    assert sam.data.tolist() == [[0.5, -0.5, 0.0]]
    assert bad.labels == (
        "not taken as a rating: the scale goes from 1 to 9; 12 is not on it",
    )
    assert bad.info.name == "session.status"
    assert marker.labels == ("sam smith comes in",)


def test_a_rating_outside_its_scale_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^a rating lies from -1 to 1, not at 3$"):
        rate(tmp_path, [3.0, 0.0, 0.0])
