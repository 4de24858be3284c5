"""Commands of other programs reach a session, and its answer reaches them."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.protocols import FastClock, WallClock
from physio.inference import self_report
from physio.online import loopback_control, remote_control, unix_control
from physio.online.commands import decode
from physio.online.engine import PipelineConfig
from physio.online.remote_control import ControlSocket, mark, rate, request, send
from physio.online.session import Session
from physio.online.unix_control import socket_address
from test_engine import EDA, PLAN, Script, steady


@pytest.fixture(autouse=True, params=[unix_control, loopback_control])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module through which commands go: each test runs with both."""
    monkeypatch.setattr(remote_control, "_TRANSPORT", request.param)
    return request.param


def answered(entrance: ControlSocket, refusal: str, ask: Callable[[], None]) -> Future:
    """Return what becomes of a request that the session answers with ``refusal``."""
    with ThreadPoolExecutor() as pool:
        future = pool.submit(ask)
        commands = []
        while not commands and not future.done():
            commands = list(entrance.commands())
        for command in commands:
            entrance.reply(command, refusal)
    return future


def address(transport: Any, folder: Path) -> Path:
    is_unix = transport is unix_control
    return socket_address(folder) if is_unix else folder / loopback_control.ADDRESS


def test_a_marker_reaches_the_session(tmp_path: Path, transport: Any) -> None:
    with ControlSocket(tmp_path, FastClock(5.0)) as entrance:
        assert entrance.commands() == []
        send(tmp_path, "film 3 begins: größer")
        send(tmp_path, "b")
        first, second = entrance.commands()
        assert (first.kind, first.label) == ("mark", "film 3 begins: größer")
        assert first.time == 5.0
        assert second.label == "b"
        assert address(transport, tmp_path).stat().st_mode & 0o777 == 0o600
    assert not address(transport, tmp_path).exists()
    assert entrance.commands() == []


@pytest.mark.parametrize("to", [send, mark])
def test_no_session(tmp_path: Path, to: Callable[[Path, str], None]) -> None:
    with pytest.raises(OSError, match=f"no session runs in {tmp_path}"):
        to(tmp_path, "x")


def test_a_rating_reaches_the_session_as_it_was_sent(tmp_path: Path) -> None:
    values = [0.5, float("nan"), -0.25]
    with (
        ControlSocket(tmp_path, FastClock(5.0)) as entrance,
        ThreadPoolExecutor() as pool,
    ):
        sent = pool.submit(rate, tmp_path, values, self_report.CONTINUOUS, "p2")
        while not (commands := entrance.commands()):
            pass
        (command,) = commands
        entrance.reply(command, "")
        sent.result(5)
    assert (command.kind, command.label, command.time) == ("rate", "rating", 5.0)
    assert command.participant == "p2"
    np.testing.assert_array_equal(command.values, values)


def test_a_refusal_reaches_the_sender(tmp_path: Path) -> None:
    with ControlSocket(tmp_path, FastClock(5.0)) as entrance:
        done = answered(entrance, "nobody here is 'p9'", lambda: mark(tmp_path, "x"))
        with pytest.raises(ValueError, match=r"^nobody here is 'p9'$"):
            done.result()
    assert not socket_address(tmp_path).exists()


def test_a_session_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with ControlSocket(tmp_path) as entrance:
        from physio.core.protocols import Command

        with pytest.raises(OSError, match=r"did not answer within 0\.05 s"):
            request(tmp_path, Command("mark", 0.0, "x"), timeout=0.05)
        (command,) = entrance.commands()
        entrance.reply(command, "the sender is gone already")


@pytest.mark.parametrize(
    "line",
    [
        '{"command": "rate", "values": "high"}',
        '{"command": "rate", "values": {"valence": 1}}',
        '{"command": "rate", "values": [null, null, null]}',
        '{"command": "rate", "values": [0.1, "x", 0]}',
        '{"command": "rate", "values": [1e999, 0, 0]}',
        '{"command": "erase", "label": 5}',
        '{"command": ["mark"], "label": []}',
        '{"command": "mark", "label": "  "}',
        '{"command": "mark", "label": "sam 12"}',
        '{"command": "mute", "label": "nothing"}',
        "sam 0",
        "",
    ],
)
def test_what_is_no_command_of_this_session_records_nothing(
    tmp_path: Path, line: str, transport: Any
) -> None:
    clock = FastClock()
    entrance = ControlSocket(tmp_path, clock)
    device = Script((EDA,), steady(EDA, 2), clock)
    plan = type(PLAN)({"eda": PLAN.chains["eda"]})
    with Session(plan, [device, entrance], clock=clock, poll=0.25) as session:
        transport.call(tmp_path, line, 0.0)
        items = list(session)
    names = {i.info.name for i in items}
    assert not {n for n in names if n.startswith(("session.mark", "session.rat"))}
    status = [x for i in items if i.info.name == "session.status" for x in i.labels]
    assert len([x for x in status if x.startswith("refused: ")]) == 1


def test_a_folder_that_is_created_anew_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_control, "_ANNOUNCE", 0.0)
    folder = tmp_path / "s"
    folder.mkdir()
    with ControlSocket(folder) as entrance:
        folder.rename(tmp_path / "t")
        assert entrance.commands() == []  # no folder to be announced in
        folder.mkdir()
        assert entrance.commands() == []
        send(folder, "x")
        assert [c.label for c in entrance.commands()] == ["x"]


def test_strangers_on_the_port_are_turned_away(tmp_path: Path) -> None:
    entrance = loopback_control.LoopbackEntrance(tmp_path)
    about = json.loads((tmp_path / loopback_control.ADDRESS).read_text("utf-8"))
    strangers = [
        b"0123 mark\n", about["token"].encode()[:-1] + b"g mark\n", b" mark\n",
        b"\n", b"x" * 100_000, b"GET / HTTP/1.1\r\n\r\n", b"",
    ]  # fmt: skip
    links = []
    for text in strangers:
        link = socket.create_connection(("127.0.0.1", about["port"]), 5)
        links.append(link)
        link.sendall(text)
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline and len(entrance._reading) != 1:
        assert entrance.receive() == []
        time.sleep(0.01)
    (silent,) = entrance._reading  # it has its time yet
    silent.until = 0.0
    assert entrance.receive() == []
    assert not entrance._reading
    crowd = [socket.create_connection(("127.0.0.1", about["port"])) for _ in range(20)]
    assert entrance.receive() == []
    for link in (*links, *crowd):
        link.close()
    entrance.close()
    with pytest.raises(OSError, match="no session runs in"):
        loopback_control.call(tmp_path, "x", 1.0)
    (tmp_path / loopback_control.ADDRESS).write_text('{"port": "x"}')
    with pytest.raises(OSError, match="no session runs in"):
        loopback_control.call(tmp_path, "x", 1.0)


def test_a_marker_has_the_time_at_which_it_was_sent(tmp_path: Path) -> None:
    clock = WallClock()
    with ControlSocket(tmp_path, clock) as device:
        before = clock.now()
        send(tmp_path, "film 1")
        after = clock.now()
        time.sleep(0.3)
        send(tmp_path, json.dumps({"command": "mark", "label": "now"}))
        first, second = device.commands()
    assert before <= first.time <= after
    assert second.time >= after + 0.3


@pytest.mark.parametrize("sent", [1e12, -1e12, "x", None, True, float("nan")])
def test_an_impossible_time_of_sending_is_ignored(sent: object) -> None:
    line = json.dumps({"command": "mark", "label": "film", "sent": sent})
    assert decode(line, 100.0, speed=1.0).time == 100.0


def test_no_marker_precedes_its_session() -> None:
    clock = WallClock()
    with Session(PipelineConfig(), [], (), clock) as session:
        session.mark("early", session.begin - 50.0)
        events = [i for i in session if i.info.name == "session.markers"]
    assert [e.times[0] for e in events] == [session.begin]
