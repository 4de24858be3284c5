"""The server for other programs under attack, and the form of what it takes."""

import http.client
import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.protocols import Command, WallClock
from physio.online import session_config
from physio.view.http_api import Http
from physio.view.http_api.api_server import _ProgramHandler
from physio.view.http_api.program_commands import parse
from physio.view.http_api.subscribers import CLIENTS
from physio.view.web.access import ServerAddress
from physio.view.web.page_server import PageServer, Site

ESTIMATES = StreamInfo(
    "estimates",
    Fraction(4),
    tuple(map(Channel, ("arousal", "arousal.sd", "arousal.missing"))),
    participant="p07",
)
PAGE = "http://127.0.0.1:8000"
ROUTES = ("/status", "/latest", "/events", "/socket", "/marker", "/rating", "/", "/x")
READING = ("/status", "/latest", "/events", "/socket")


class Target:
    def __init__(self, sink: Http, folder: Path) -> None:
        self.sink = sink
        self.at = json.loads((folder / "http.json").read_text())
        self.port = int(self.at["url"].rpartition(":")[2])
        self.commands: list[Command] = []

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; (0, b"") if the connection was closed."""
        sent = {"Host": f"127.0.0.1:{self.port}"}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                link.putheader(name, value)
            if body:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body or None)
            answer = link.getresponse()
            self.headers = dict(answer.getheaders())
            stream = "text/event-stream" in self.headers.get("Content-Type", "")
            upgraded = answer.status == 101
            return answer.status, b"" if stream or upgraded else answer.read()
        except (http.client.HTTPException, OSError):
            return 0, b""
        finally:
            link.close()

    def post(self, path: str, content: Any, role: str = "control") -> tuple[int, Any]:
        bearer = f"Bearer {self.at[role]}"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, text = self.ask(
            path, "POST", body, Authorization=bearer, Content_Type="application/json"
        )
        return status, json.loads(text or b"null")


def serve(sink: Http) -> threading.Thread:
    """Let a thread act as the session: it takes every command but 'refuse me'."""

    def run() -> None:
        while not ended.is_set():
            for command in sink.commands():
                taken.append(command)
                refused = command.label == "refuse me"
                late = 1.0 if command.label == "before the newest" else 0.0
                done = command._replace(time=command.time + late)
                sink.reply(done, "no such thing" if refused else "")
            time.sleep(0.01)

    ended, taken = threading.Event(), list[Command]()
    thread = threading.Thread(target=run)
    thread.ended, thread.taken = ended, taken  # type: ignore[attr-defined]
    thread.start()
    return thread


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("session")
    with Http(folder, {"participant": "p07"}, origins=(PAGE,)) as sink:
        session = serve(sink)
        attacked = Target(sink, folder)
        attacked.commands = session.taken  # type: ignore[attr-defined]
        data = np.array([[0.5, 0.2, 0.0], [MissingReason.WARMING_UP.nan, np.nan, 2.0]])
        sink.write(Block(ESTIMATES, 0, 10.0, data))
        yield attacked
        session.ended.set()  # type: ignore[attr-defined]
        session.join()
    assert not (folder / "http.json").exists()


def websocket(**headers: str) -> dict[str, str]:
    return {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers,
    }  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_gives_nothing_to_those_who_may_not(path: str, target: Target) -> None:
    good = target.at["look"]
    bearer, port = f"Bearer {good}", target.port
    for token in ("", "x", good[:-1], f"{good}x", good.swapcase(), "Bearer", "%00"):
        for extra in ({}, websocket()):
            for place, header in (
                (path, {"Authorization": f"Bearer {token}"}),
                (f"{path}?token={token}", {}),
                (path, {"Cookie": f"token={good}"}),
                (path, {"Authorization": f"Basic {good}"}),
            ):
                status, body = target.ask(place, **header, **extra)
                assert status == 401, (place, header)
                assert b"estimates" not in body
                assert good.encode() not in body
    hosts = ["evil.example", f"evil.example:{port}", "127.0.0.1", "", "localhost"]
    hosts += [
        f"127.0.0.1:{port}.evil.example",
        f"127.0.0.1:{port + 1}",
        f"[::1]:{port}",
    ]
    hosts += [f"127.0.0.1:{port}, evil.example", f"localhost.evil.example:{port}"]
    for host in hosts:
        status, body = target.ask(path, Authorization=bearer, Host=host)
        assert (status in (400, 403), body) == (True, b""), host
    origins = ["http://evil.example", "null", f"http://127.0.0.1:{port + 1}", ""]
    origins += [f"https://127.0.0.1:{port}", "http://127.0.0.1:80", f"{PAGE}0"]
    for origin in origins:
        for extra in ({}, websocket()):
            answer = target.ask(path, Authorization=bearer, Origin=origin, **extra)
            assert answer == (403, b""), origin
            assert "Access-Control-Allow-Origin" not in target.headers
    for site in ("cross-site", "same-site"):
        answer = target.ask(f"{path}?token={good}", Sec_Fetch_Site=site)
        assert answer == (403, b"")


def test_those_who_may_read_cannot_send(target: Target) -> None:
    before = len(target.commands)
    for path in ROUTES:
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "X"):
            bearer = f"Bearer {target.at['look']}"
            status, _ = target.ask(
                path, method, b'{"label": "x"}', Authorization=bearer
            )
            assert status in (403, 404, 405, 501), (method, path)
    for path in (*READING, "/", "/x"):
        assert target.post(path, {"label": "x"})[0] in (404, 405)
    for path in ("/marker", "/rating"):
        bearer = f"Bearer {target.at['control']}"
        assert target.ask(path, Authorization=bearer)[0] == 405
        form = {"Content_Type": "text/plain"}
        status, body = target.ask(
            path, "POST", b'{"label": "x"}', Authorization=bearer, **form
        )
        assert (status, b"application/json" in body) == (415, True)
    assert len(target.commands) == before


@pytest.mark.parametrize("path", ["/socket", "/events", "/latest"])
def test_no_error_prints_a_token(
    path: str,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = f"{path}?token={target.at['look']}&streams="
    extra = websocket() if path == "/socket" else {}
    assert target.ask(f"{place}%ff", **extra)[0] == 400
    assert capsys.readouterr().err == ""

    def fail(_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(_ProgramHandler, "streams", property(fail))
    assert target.ask(f"{place}x", **extra)[0] == 500
    printed = capsys.readouterr().err
    assert f"{path} failed: TypeError: a bug" in printed
    assert target.at["look"] not in printed


def test_a_listed_page_may_ask(target: Target) -> None:
    assert target.ask("/marker", "OPTIONS", Origin=PAGE)[0] == 204
    assert target.headers["Access-Control-Allow-Origin"] == PAGE
    assert target.ask("/marker", "OPTIONS", Origin="http://evil.example")[0] == 403
    assert target.ask("/marker", "OPTIONS")[0] == 403
    path = f"/latest?token={target.at['look']}"
    status, body = target.ask(path, Origin=PAGE, Sec_Fetch_Site="same-site")
    assert status == 200
    assert target.headers["Access-Control-Allow-Origin"] == PAGE
    row = json.loads(body)["estimates"]
    assert row["values"] == {"arousal": None, "arousal.sd": None}
    assert row["missing"] == {"arousal": "warming up"}
    assert (row["time"], row["participant"]) == (10.25, "p07")


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "//latest", "/latest/", "/latest/../status", "/%2e%2e", "/.git"],
)
def test_no_path_leads_out(path: str, target: Target) -> None:
    status, body = target.ask(path, Authorization=f"Bearer {target.at['control']}")
    assert status == 404
    assert b"root:" not in body


def test_large_slow_and_malformed_requests_end(target: Target) -> None:
    bearer = f"Bearer {target.at['control']}"
    json_type = {"Content_Type": "application/json", "Authorization": bearer}
    begun = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", target.port), 30) for _ in range(40)]
    head = f"Host: 127.0.0.1:{target.port}\r\nAuthorization: {bearer}\r\n"
    for link in slow:
        link.sendall(
            f"POST /marker HTTP/1.1\r\n{head}Content-Length: 9\r\n\r\n1".encode()
        )
    large = b'{"label": "' + b"x" * 1_000_000 + b'"}'
    assert target.ask("/marker", "POST", large, **json_type)[0] in (0, 400, 413)
    assert target.ask("/latest", X_Large="x" * 100_000)[0] in (0, 400, 431)
    for body in (b"", b"[]", b"x", b"{", b'{"a":' * 3000, b'{"label": NaN}', b"\xff"):
        assert target.post("/marker", body)[0] == 400
    assert target.ask("/status", Authorization=bearer)[0] == 200
    assert time.monotonic() - begun < 4
    for link in slow:
        link.close()


def test_the_number_of_followers_is_limited(target: Target) -> None:
    def follow() -> socket.socket:
        link = socket.create_connection(("127.0.0.1", target.port), 10)
        head = f"GET /events?token={target.at['look']} HTTP/1.1\r\n"
        link.sendall(f"{head}Host: 127.0.0.1:{target.port}\r\n\r\n".encode())
        return link

    links = [follow() for _ in range(CLIENTS)]
    assert all(b"200" in link.recv(4096)[:20] for link in links)
    bearer = f"Bearer {target.at['look']}"
    for extra in ({}, websocket()):
        path = "/socket" if extra else "/events"
        assert target.ask(path, Authorization=bearer, **extra)[0] == 503
    for link in links:
        link.close()
    deadline = time.monotonic() + 5
    while target.ask("/socket", Authorization=bearer, **websocket())[0] != 101:
        assert time.monotonic() < deadline
        target.sink.write(Block(ESTIMATES, 2, 10.0, np.zeros((1, 3))))
        time.sleep(0.05)


def test_a_follower_that_does_not_read_costs_nothing(target: Target) -> None:
    """Its messages are dropped and counted; the others receive every row."""
    bearer = f"Bearer {target.at['look']}"
    stuck = socket.create_connection(("127.0.0.1", target.port), 10)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"Host: 127.0.0.1:{target.port}\r\nAuthorization: {bearer}\r\n"
    stuck.sendall(f"GET /events HTTP/1.1\r\n{head}\r\n".encode())
    assert stuck.recv(12) == b"HTTP/1.1 200"
    time.sleep(0.5)
    text = json.dumps({"type": "row", "padding": "x" * 200_000})
    server = target.sink._server
    assert server is not None
    slowest = 0.0
    for i in range(400):  # more than the queue and the buffers of the system hold
        begun = time.perf_counter()
        server.call(server.newest.take, [("row", "estimates", text)])
        target.sink.write(Block(ESTIMATES, 10 + i, 10.0, np.zeros((1, 3))))
        slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 0.5
    deadline = time.monotonic() + 20
    dropped = 0
    while not dropped and time.monotonic() < deadline:
        dropped = json.loads(target.ask("/status", Authorization=bearer)[1])["dropped"]
    assert dropped > 0
    stuck.close()


def test_markers_and_ratings_reach_the_session(target: Target) -> None:
    status, reply = target.post("/marker", {"label": "film 3"})
    assert status == 200
    assert reply["clock"].startswith("arrival of the request on the session's computer")
    assert target.commands[-1][:3] == ("mark", reply["time"], "film 3")
    assert reply["unix"] == pytest.approx(time.time(), abs=2)
    sent = time.time() - 5.0
    status, reply = target.post("/marker", {"label": "x", "time": sent})
    assert reply["unix"] == pytest.approx(sent, abs=0.01)
    assert reply["clock"].startswith("Unix clock of the sender")
    status, reply = target.post("/marker", {"label": "x", "age": 2.0})
    assert reply["unix"] == pytest.approx(time.time() - 2, abs=1)
    status, reply = target.post("/marker", {"label": "before the newest", "age": 2.0})
    assert reply["time"] == target.commands[-1].time + 1.0
    assert reply["unix"] == pytest.approx(time.time() - 1, abs=0.5)
    assert target.post("/rating", {"sam": [7, 3, None], "participant": "p07"})[0] == 200
    kind, _, label, values, participant, _ = target.commands[-1]
    assert (kind, label, values[:2], participant) == ("rate", "sam", (0.5, -0.5), "p07")
    assert math.isnan(values[2])
    status, reply = target.post("/marker", {"label": "refuse me"})
    assert (status, reply) == (400, {"error": "no such thing"})


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        ("marker", {"text": "x"}, "a marker has no field 'text'"),
        ("marker", {"label": 3}, "label is a text, not '3'"),
        ("marker", {"label": "x" * 201}, "label has at most 200 characters"),
        ("marker", {"label": "x", "age": -1}, "age lies from 0 to 3600 s"),
        ("marker", {"label": "x", "age": True}, "age is a number"),
        ("marker", {"label": "x", "age": 1e400}, "age is a finite number"),
        ("marker", {"label": "x", "age": 10**400}, "age is a finite number"),
        ("marker", {"label": "x", "time": 1, "age": 1}, "either 'time' or 'age'"),
        ("marker", {"label": "x", "time": 5}, "s behind this computer's Unix clock"),
        ("marker", {"label": "x", "time": 9e9}, "s ahead of this computer's Unix"),
        ("rating", {"sam": 5}, "sam is a list of"),
        ("rating", {"sam": [10]}, "the scale goes from 1 to 9"),
        ("rating", {"sam": [1, 2, 3, 4]}, "sam is a list of"),
        ("rating", {"sam": [5], "arousal": 1}, "either 'sam' or 'arousal'"),
        ("rating", {"arousal": "0.5"}, "arousal is a number, not '0.5'"),
    ],
)
def test_a_malformed_command_is_refused(
    kind: str, content: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse(kind, content, WallClock())


def test_an_open_address_is_refused() -> None:
    for settings, problem in (
        ({"address": "192.0.2.1"}, "needs a token and a certificate"),
        ({"address": "0.0.0.0"}, "all interfaces"),
        ({"token": "short"}, "at least 32"),
        ({"origins": ["*"]}, "origins: '\\*' must be like"),
        ({"origins": ["http://127.0.0.1:8000/x"]}, "without a path"),
    ):
        table = {"sinks": {"http": settings}}
        with pytest.raises(ValueError, match=problem):
            session_config.SessionConfig(table, "s.toml").sinks({})


def test_too_many_fields_are_no_token(target: Target) -> None:
    path = f"/status?token={target.at['look']}"
    assert target.ask(f"{path}{'&x=1' * 19}")[0] == 200
    assert target.ask(f"{path}{'&x=1' * 30}")[0] == 401


def test_a_program_receives_the_end(tmp_path: Path) -> None:
    for _ in range(5):
        with Http(tmp_path) as sink:
            at = Target(sink, tmp_path)
            link = socket.create_connection(("127.0.0.1", at.port), 10)
            head = f"GET /events?token={at.at['look']} HTTP/1.1\r\n"
            link.sendall(f"{head}Host: 127.0.0.1:{at.port}\r\n\r\n".encode())
            assert b"200" in link.recv(4096)[:20]
            for i in range(100):
                sink.write(Block(ESTIMATES, i, 10.0, np.zeros((1, 3))))
            sink.end("completed")
        text = b""
        while part := link.recv(65536):
            text += part
        link.close()
        assert text.count(b'"type": "row"') == 100
        assert b'{"type": "ended", "outcome": "completed"}' in text


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}
    problem = r"c\.pem with key .*k\.pem cannot be used \(No such file"
    with pytest.raises(ValueError, match=problem):
        Http(tmp_path, **files).__enter__()
    with pytest.raises(ValueError, match=problem):
        PageServer(Site({}, []), ServerAddress(**files))
    (tmp_path / "c.pem").write_text("no certificate")
    (tmp_path / "k.pem").write_text("no key")
    with pytest.raises(ValueError, match="two PEM files that belong together"):
        Http(tmp_path, **files).__enter__()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} of 127.0.0.1 cannot be"):
            Http(tmp_path, port=port).__enter__()
