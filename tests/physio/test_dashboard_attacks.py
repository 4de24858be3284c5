"""The dashboard's server under attack: every route, by those who may not use it."""

import asyncio
import http.client
import json
import logging
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import tomli_w
from bokeh.document import Document

from physio.cli.dashboard import announcer
from physio.core.block import Channel, StreamInfo
from physio.core.protocols import Command, CommandKind
from physio.online import session_config
from physio.view.dashboard import Dashboard, commands
from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.figures.theme import THEMES
from physio.view.dashboard.participant import ParticipantPage
from physio.view.dashboard.server import DashboardServer, create_server
from physio.view.dashboard.session_state import SessionState
from physio.view.message_limit import LimitedLog, MessageLimit
from physio.view.web.access import ServerAddress, new_tokens

EDA = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
REFUSALS = (400, 403, 404, 405, 413, 431, 501)


@dataclass
class Target:
    """A server, and the file that its standard error goes to."""

    board: Dashboard
    log: Path

    @property
    def port(self) -> int:
        return urlsplit(self.board.page).port or 0

    def cookie(self, role: str) -> str:
        token = urlsplit(self.board.urls[role]).query.removeprefix("token=")
        return f"physio-{self.port}-{role}={token}"

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; (0, b"") if the connection was closed."""
        own = {"Host": f"127.0.0.1:{self.port}"}
        own |= {k.replace("_", "-"): v for k, v in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in own.items():
                link.putheader(name, value)
            if body:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body or None)
            answer = link.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, OSError):
            return 0, b""
        finally:
            link.close()

    def send(self, text: bytes, wait: float = 10.0) -> bytes:
        """Send bytes as they are; return what comes until the connection closes."""
        with socket.create_connection(("127.0.0.1", self.port), wait) as link:
            parts = []
            try:
                link.sendall(text)
                while part := link.recv(65536):
                    parts.append(part)
            except OSError:
                pass
            return b"".join(parts)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("session")
    log, board = folder / "stderr", Dashboard(folder)
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)  # the server inherits it
        try:
            board.__enter__()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    board.open_streams([EDA])
    attacked = Target(board, log)
    deadline = time.monotonic() + 60
    page, cookie = "/control?theme=light", attacked.cookie("control")
    while b"bokeh" not in attacked.ask(page, Cookie=cookie)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield attacked
    board.__exit__(None, None, None)


def routes() -> list[str]:
    """Return a path for every rule of the application."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            dashboard = DashboardServer(SessionState(), lambda _: None)
            server = create_server(
                dashboard, ServerAddress(), new_tokens(ROLES), listening
            )
            rules = server._tornado.wildcard_router.rules
            patterns = [rule.matcher.regex.pattern for rule in rules]
            server._http.stop()
            server._tornado.stop()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert len(patterns) > 10
    return [re.sub(r"\(.*\)", "js/bokeh.min.js", p.rstrip("$")) for p in patterns]


ROUTES = routes()


def websocket(
    cookie: str = "", origin: str = "", protocol: str = "x"
) -> dict[str, str]:
    return {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin,
        "Sec_WebSocket_Protocol": f"bokeh, {protocol}", "Cookie": cookie,
    }  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_gives_nothing_to_those_who_may_not(path: str, target: Target) -> None:
    nothing, port = (403, b""), target.port
    good, here = target.cookie("control"), f"http://127.0.0.1:{port}"
    role = path.split("/")[1]
    strangers = [
        "", "x", f"physio-{port}-control=", f"physio-{port}-control={'x' * 43}",
        good.replace(str(port), str(port + 1)), good[:-1], f"{good}x",
        good.replace("control", "look"),
    ]  # fmt: skip
    if role in ROLES:
        allowed = {"control": ("control",), "look": ("control", "look")}
        allowed["participant"] = ("control", "participant")
        strangers += [target.cookie(r) for r in ROLES if r not in allowed[role]]
    for cookie in strangers:
        assert target.ask(path, Cookie=cookie) == nothing, cookie
        assert target.ask(path, **websocket(cookie, here)) == nothing, cookie
    for host in (
        "evil.example", f"evil.example:{port}", "127.0.0.1", "", "localhost",
        f"127.0.0.1:{port}.evil.example", f"localhost.evil.example:{port}",
        f"127.0.0.1:{port + 1}", f"[::1]:{port}", f"127.0.0.1:{port}, evil.example",
    ):  # fmt: skip
        # An empty or listed host is refused by the server before the application is.
        status, body = target.ask(path, Cookie=good, Host=host)
        assert status in (400, 403), host
        assert body == b"", host
    for origin in (
        "http://evil.example", "null", f"http://127.0.0.1:{port + 1}",
        f"https://127.0.0.1:{port}", f"http://localhost:{port}",
    ):  # fmt: skip
        assert target.ask(path, Cookie=good, Origin=origin) == nothing, origin
        assert target.ask(path, **websocket(good, origin)) == nothing, origin
    for site in ("cross-site", "same-site"):
        assert target.ask(path, Cookie=good, Sec_Fetch_Site=site) == nothing
    assert target.ask(path, **{**websocket(good), "Origin": ""}) == nothing


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "X"])
def test_a_route_is_only_read(path: str, method: str, target: Target) -> None:
    for cookie in ("", target.cookie("control")):
        status, body = target.ask(path, method, b"a=b", Cookie=cookie)
        assert status in REFUSALS, (method, cookie)
        assert b"bokeh" not in body.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/js/..%2f..%2f..%2f..%2fetc%2fpasswd", "/static//etc/passwd",
        "/static/%00", "/static/js", "/static/", "/control/../participant",
        "//etc/passwd", "/control/..;/look", "/static/extensions/../../etc/passwd",
        "/%2e%2e/etc/passwd", "/look/ws/../../control", "/etc/passwd", "/.git/config",
        "/session.json",
    ],
)  # fmt: skip
def test_no_path_leads_out(path: str, target: Target) -> None:
    for role in ("look", "participant", "control"):
        status, body = target.ask(path, Cookie=target.cookie(role))
        assert status in REFUSALS, role
        assert b"root:" not in body


def test_whole_addresses_and_two_hosts_are_refused(target: Target) -> None:
    cookie, host = target.cookie("control"), f"Host: 127.0.0.1:{target.port}"
    for first, hosts in (
        ("GET http://evil.example/control HTTP/1.1", host),
        ("GET /control HTTP/1.1", f"{host}\r\nHost: evil.example"),
        ("GET /control HTTP/1.1", f"Host: evil.example\r\n{host}"),
        ("GET /control HTTP/1.0", ""),
        ("GET /control HTTP/9.9", host),
        ("CONNECT evil.example:443 HTTP/1.1", host),
        ("GET /control\x00 HTTP/1.1", host),
        ("\x16\x03\x01\x02\x00\x01\x00\x01", ""),
    ):
        text = f"{first}\r\n{hosts}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        answer = target.send(text.encode("latin-1").replace(b"\r\n\r\nC", b"\r\nC", 1))
        status = answer.split(b" ")[1:2]
        assert status in ([], [b"400"], [b"403"], [b"404"]), first


def test_large_and_slow_requests_end(target: Target) -> None:
    """A request of a megabyte is cut off, and a body that does not come is waited
    for a few seconds only, while other requests are answered."""
    cookie = target.cookie("control")
    host = f"Host: 127.0.0.1:{target.port}\r\nCookie: {cookie}\r\n"
    begun = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", target.port), 30) for _ in range(40)]
    for link in slow:
        link.sendall(
            f"POST /control HTTP/1.1\r\n{host}Content-Length: 9\r\n\r\n1".encode()
        )
    large = b"x" * 1_000_000
    assert target.ask("/control", "POST", large, Cookie=cookie)[0] in (0, *REFUSALS)
    assert target.ask("/control", Cookie=cookie, X_Large="x" * 100_000)[0] in (0, 400)
    chunked = f"POST /control HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n"
    answer = target.send(
        chunked.encode() + 20 * (b"10000\r\n" + b"x" * 65536 + b"\r\n")
    )
    assert answer.split(b" ")[1:2] in ([], [b"400"], [b"405"], [b"413"])
    assert target.ask("/control", Cookie=cookie)[0] == 200
    assert time.monotonic() - begun < 4.0
    for link in slow:
        with link:
            try:
                link.recv(65536)
            except ConnectionResetError:
                continue
    assert time.monotonic() - begun < 15.0


def frame(text: bytes, code: int = 1) -> bytes:
    """Return a masked frame of a websocket."""
    n = len(text)
    head = bytes([0x80 | code])
    head += bytes([0x80 | n]) if n < 126 else b"\xff" + struct.pack(">Q", n)
    return head + bytes(4) + text


def test_viewers_cannot_fill_the_log(target: Target) -> None:
    """Thousands of bad messages of several viewers are a few lines."""
    cookie, host = target.cookie("participant"), f"127.0.0.1:{target.port}"
    bad = [b"", b"{}", b"[", b"\xff\xfe", b"null", b"x" * 70_000,
           b'{"msgtype": "PATCH-DOC", "msgid": "1"}']  # fmt: skip
    for n in range(120):
        page = target.ask("/participant?theme=light", Cookie=cookie)[1].decode()
        token = re.search(r'"token":"([^"]+)"', page)
        if token is None:  # no more than 8 viewers at a time
            assert "viewers" in page
            time.sleep(0.05)
            continue
        headers = websocket(cookie, f"http://{host}", token[1])
        lines = [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        head = "\r\n".join(["GET /participant/ws HTTP/1.1", f"Host: {host}", *lines])
        texts = b"".join(frame(bad[(n + i) % len(bad)], 1 + i % 2) for i in range(30))
        with socket.create_connection(("127.0.0.1", target.port), 10) as link:
            try:
                link.sendall(head.encode() + b"\r\n\r\n" + texts + frame(b"", 8))
                assert b"101" in link.recv(65536)[:20]
            except ConnectionError:
                continue
    for _ in range(500):
        target.send(b"\x00\x01 nonsense\r\n\r\n", 1.0)
    assert target.ask("/control", Cookie=target.cookie("control"))[0] == 200
    lines = target.log.read_bytes().splitlines()
    assert 1 <= len(lines) <= 20, lines
    assert all(line.startswith(b"dashboard: ") for line in lines)
    assert not any(b"Traceback" in line for line in lines)


def test_a_limit_counts_what_it_does_not_print(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    limit = MessageLimit(3, 10.0, lambda: now[0])
    lines = [line for n in range(5) for line in limit.admit(f"m{n}")]
    assert lines == ["m0", "m1", "m2"]
    now[0] = 10.0
    assert limit.admit("m5") == ["2 further messages were not printed", "m5"]
    assert limit.summary() == []
    log = LimitedLog("dashboard", MessageLimit(2, 10.0, lambda: now[0]))
    logger = logging.Logger("x")
    logger.addHandler(log)
    for text in ("a\n\x1b[31mb", "x" * 999, "third"):
        logger.error(text)
    log.close()
    assert capsys.readouterr().err.splitlines() == [
        r"dashboard: a \x1b[31mb",
        f"dashboard: {'x' * 300}",
        "dashboard: 1 further messages were not printed",
    ]


def test_redirected_output_holds_no_token(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = target.board
    announce = announcer(open_it=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    line = announce(board)
    path = board.folder / "dashboard.txt"
    assert line == f"dashboard: its addresses are in {path}"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text("utf-8")
    assert [part.split(": ") for part in text.splitlines()] == [
        [role, url] for role, url in board.urls.items()
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert all(url in announce(board) for url in board.urls.values())


def test_a_recording_holds_no_token(tmp_path: Path) -> None:
    sink = {"use": "physio.view.dashboard:Dashboard", "token": "s3cret" * 8, "port": 9}
    path = tmp_path / "s.toml"
    path.write_text(tomli_w.dumps({"sinks": {"dashboard": sink}}), "utf-8")
    file = session_config.read(path)
    resolved = file.resolved(file.plan([EDA]))
    assert resolved["sinks"]["dashboard"]["port"] == 9
    assert "s3cret" not in json.dumps(resolved)
    (built,) = file.sinks({"folder": tmp_path})
    assert built.token == "s3cret" * 8
    assert "s3cret" not in repr(built)


KINDS = sorted({*get_args(CommandKind), *commands.ALLOWED["control"], "view", "erase"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_participant_may_only_rate(kind: str) -> None:
    submitted: list[Command] = []

    class Requests:
        rating_requests = 1

    state = SessionState()
    page = ParticipantPage(
        Document(), state, submitted.append, THEMES["light"], Requests(), "p1"
    )
    page.open()
    values: dict[str, Any] = {"valence": 0.5}
    for label in ("band.eda", "sam", "baseline start", "stop", "at"):
        message = {"kind": kind, "label": label, "values": values, "value": "1"}
        page.inbox.data = {"command": [json.dumps(message)]}
    assert {c.kind for c in submitted} == ({"rate"} if kind == "rate" else set())
    assert {c.participant for c in submitted} <= {"p1"}
    assert {c.label for c in submitted} <= {"sam"}
