"""The page that is there while a dashboard loads: guarded, then replaced."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Thread

import pytest
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.opening_page import OpeningPage
from physio.view.web.access import ServerAddress, new_tokens

PATHS = [
    "/control", "/look", "/participant", "/control/progress", "/look/progress",
    "/static/opening/opening.js", "/static/web/common.css",
]  # fmt: skip


class _Dashboard(RequestHandler):
    def get(self) -> None:
        self.finish("dashboard")


@dataclass
class Opening:
    page: OpeningPage
    loop: IOLoop
    port: int
    tokens: dict[str, str]

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie("control")}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.request(method, path, headers={k: v for k, v in sent.items() if v})
            answer = link.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            link.close()

    def cookie(self, role: str) -> str:
        return f"physio-{self.port}-{role}={self.tokens[role]}"


@pytest.fixture
def opening() -> Iterator[Opening]:
    ready, parts = Event(), list[Opening]()

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        listening = socket.create_server(("127.0.0.1", 0))
        tokens = new_tokens(ROLES)
        page = OpeningPage(ServerAddress(), tokens, listening, "reading a.zip")
        loop = IOLoop.current()
        parts.append(Opening(page, loop, listening.getsockname()[1], tokens))
        loop.add_callback(ready.set)
        loop.start()
        page.http.stop()
        loop.close()

    thread = Thread(target=run)
    thread.start()
    assert ready.wait(30)
    yield parts[0]
    parts[0].loop.add_callback(parts[0].loop.stop)
    thread.join(30)


def test_strangers_get_nothing_and_others_the_progress(opening: Opening) -> None:
    for path in PATHS:
        for headers in (
            {"Cookie": ""},
            {"Cookie": f"physio-{opening.port}-control=x"},
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec_Fetch_Site": "cross-site"},
        ):
            assert opening.ask(path, **headers)[:2] == (403, b""), (path, headers)
        status, body, sent = opening.ask(path)
        assert status == 200, path
        assert "default-src 'none'" in sent["Content-Security-Policy"]
        assert sent["X-Frame-Options"] == "DENY"
        assert body
    participant = {"Cookie": opening.cookie("participant")}
    assert opening.ask("/control/progress", **participant)[0] == 403
    assert opening.ask("/participant", **participant)[0] == 200
    for path in ("/control/x", "/static/opening/../opening.py", "/static/opening/x"):
        assert opening.ask(path)[0] in (403, 404)
    assert opening.ask("/control/progress", "POST")[0] in (403, 405)


def test_the_progress_is_replaced_by_the_dashboard(opening: Opening) -> None:
    assert json.loads(opening.ask("/look/progress")[1]) == {"text": "reading a.zip"}
    opening.page.text = "computing: 40 %"
    assert json.loads(opening.ask("/look/progress")[1]) == {"text": "computing: 40 %"}
    opening.page.install(Application([("/control", _Dashboard)]))
    assert opening.ask("/control")[:2] == (200, b"dashboard")
    assert opening.ask("/control/progress")[0] == 404
    assert opening.ask("/control", Cookie="")[0] == 403
