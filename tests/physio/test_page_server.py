"""The page server under attack: every kind of route, by those who may not use it."""

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from physio.view.web.access import SECURITY_HEADERS, ServerAddress
from physio.view.web.html_page import html_page
from physio.view.web.page_server import PageRequest, PageServer, Route, Site


@dataclass
class Pages:
    """A site of two roles, and what it was told."""

    folder: Path
    sent: list[PageRequest] = field(default_factory=list)

    def save(self, request: PageRequest) -> dict[str, Any]:
        self.sent.append(request)
        if "bad" in request.content:
            raise ValueError("row 3 has no end: give one")
        if "bug" in request.content:
            raise TypeError("secret of the source")
        return {"n": len(self.sent)}

    async def later(self, request: PageRequest) -> dict[str, Any]:
        return {"roles": sorted(request.roles), **request.query}

    def site(self) -> Site:
        (self.folder / "media").mkdir()
        (self.folder / "media" / "a.bin").write_bytes(bytes(range(100)))
        (self.folder / "secret").write_text("root:", "utf-8")
        (self.folder / "media" / "out").symlink_to(self.folder / "secret")
        return Site(
            {"edit": frozenset({"edit", "guest"}), "guest": frozenset({"guest"})},
            [
                Route("/edit", lambda _: html_page("A <b>", "<p>editor")),
                Route("/edit/data", lambda _: b"\x00\x01"),
                Route("/edit/save", self.save, "POST"),
                Route("/guest", lambda _: html_page("Guest", "<p>editor of guests")),
                Route("/guest/later", self.later),
            ],
            media={"guest/media": self.folder / "media"},
        )


ROUTES = [
    "/edit", "/edit/data", "/edit/save", "/guest", "/guest/later",
    "/guest/media/a.bin", "/static/web/common.css",
]  # fmt: skip
METHODS = {"/edit/save": "POST"}


@dataclass
class Target:
    server: PageServer
    pages: Pages

    def cookie(self, role: str) -> str:
        return f"physio-{self.server.port}-{role}={self.server.tokens[role]}"

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        sent = {"Host": f"127.0.0.1:{self.server.port}"}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                link.putheader(name, value)
            if body:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body or None)
            answer = link.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        except (http.client.HTTPException, OSError):
            return 0, b"", {}
        finally:
            link.close()

    def post(self, content: Any, **headers: str) -> tuple[int, Any]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {
            "Cookie": self.cookie("edit"), "Content_Type": "application/json",
            "Origin": f"http://127.0.0.1:{self.server.port}", **headers,
        }  # fmt: skip
        status, text, _ = self.ask("/edit/save", "POST", body, **sent)
        return status, json.loads(text) if text else None


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    pages = Pages(tmp_path_factory.mktemp("pages"))
    with PageServer(pages.site()) as server:
        yield Target(server, pages)


def test_a_token_opens_the_page_of_its_role(target: Target) -> None:
    for role, text in (("edit", b"<p>editor"), ("guest", b"of guests")):
        path = target.server.urls[role].partition(str(target.server.port))[2]
        status, body, headers = target.ask(path)
        assert status == 200
        assert f"url=/{role}".encode() in body
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        status, body, headers = target.ask(f"/{role}", Cookie=cookie.split(";")[0])
        assert status == 200
        assert text in body
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        for name, value in SECURITY_HEADERS.items():
            assert headers[name] == value
        assert "unsafe" not in headers["Content-Security-Policy"]
    assert b"<title>A &lt;b&gt;</title>" in target.ask(
        "/edit", Cookie=target.cookie("edit")
    )[1]  # fmt: skip
    assert target.ask("/?token=x")[:2] == (403, b"")
    assert target.ask("/")[:2] == (403, b"")


def test_content_comes_as_it_is(target: Target) -> None:
    cookie = target.cookie("edit")
    assert target.ask("/edit/data", Cookie=cookie)[:2] == (200, b"\x00\x01")
    status, body, _ = target.ask("/guest/later?at=3.5", Cookie=cookie)
    assert json.loads(body) == {"roles": ["edit"], "at": "3.5"}
    both = f"{cookie}; {target.cookie('guest')}"
    assert json.loads(target.ask("/guest/later", Cookie=both)[1]) == {
        "roles": ["edit", "guest"]
    }
    part = target.ask("/guest/media/a.bin", Cookie=cookie, Range="bytes=10-12")
    assert part[:2] == (206, bytes([10, 11, 12]))
    style = target.ask("/static/web/common.css", Cookie=target.cookie("guest"))
    assert style[0] == 200
    assert style[2]["Cache-Control"] == "private, no-cache"
    assert status == 200


def test_objects_are_taken_and_bad_ones_refused(target: Target) -> None:
    del target.pages.sent[:]
    assert target.post({"a": 1}) == (200, {"n": 1})
    assert target.pages.sent[0].content == {"a": 1}
    assert target.post({"bad": 1}) == (400, {"error": "row 3 has no end: give one"})
    status, content = target.post({"bug": 1})
    assert status == 500
    assert "secret" not in content["error"]
    for body in (b"", b"[]", b"{", b'{"a": NaN}', b"\xff", b"1", b"[" * 60_000):
        status, content = target.post(body)
        assert status == 400, body[:10]
        assert content == {"error": "the content must be a JSON object"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert target.post({"a": 1}, Content_Type=kind)[0] == 415
    assert len(target.pages.sent) == 3


def test_large_bodies_are_refused(target: Target) -> None:
    del target.pages.sent[:]
    assert target.post(b'{"a": "' + b"x" * 200_000 + b'"}')[0] in (0, 400, 413)
    assert target.pages.sent == []
    cookie = target.cookie("edit")
    assert target.ask("/edit", Cookie=cookie, X_Large="x" * 100_000)[0] in (0, 400)
    assert target.ask("/edit", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_gives_nothing_to_those_who_may_not(path: str, target: Target) -> None:
    del target.pages.sent[:]
    nothing, port, method = (403, b""), target.server.port, METHODS.get(path, "GET")
    good, own = target.cookie("edit"), f"http://127.0.0.1:{port}"
    body = b"{}" if method == "POST" else b""

    def ask(**headers: str) -> tuple[int, bytes]:
        sent = {"Content_Type": "application/json", "Origin": own, **headers}
        sent = {k: v for k, v in sent.items() if v}
        return target.ask(path, method, body, **sent)[:2]

    strangers = [
        "", "x", f"physio-{port}-edit=", f"physio-{port}-edit={'x' * 43}", good[:-1],
        good.replace(str(port), str(port + 1)), f"{good}x",
        good.replace("edit", "guest"),
    ]  # fmt: skip
    if path.startswith("/edit"):
        strangers.append(target.cookie("guest"))
    for cookie in strangers:
        assert ask(Cookie=cookie) == nothing, cookie
    for host in (
        "evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}",
        f"127.0.0.1:{port}.evil.example", f"127.0.0.1:{port}, evil.example",
    ):  # fmt: skip
        assert ask(Cookie=good, Host=host)[0] in (400, 403), host
    for origin in (
        "http://evil.example", "null", f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}",
    ):  # fmt: skip
        assert ask(Cookie=good, Origin=origin) == nothing, origin
    for site in ("cross-site", "same-site"):
        assert ask(Cookie=good, Sec_Fetch_Site=site) == nothing
    if method == "POST":  # a form of another page, or a program
        assert ask(Cookie=good, Origin="") == nothing
    assert target.pages.sent == []
    assert ask(Cookie=good)[0] == 200


@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_are_refused(path: str, target: Target) -> None:
    del target.pages.sent[:]
    own = f"http://127.0.0.1:{target.server.port}"
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "X"):
        if method == METHODS.get(path, "GET"):
            continue
        answer = target.ask(
            path, method, b"{}", Cookie=target.cookie("edit"), Origin=own,
            Content_Type="application/json",
        )  # fmt: skip
        assert answer[0] in (403, 405, 501), method
        assert b"editor" not in answer[1]
    assert target.pages.sent == []


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../etc/passwd", "/static/web/../../access.py",
        "/static/web/%2e%2e/access.py", "/static/web/..%2faccess.py", "/static/web/",
        "/static//etc/passwd", "/static/web//etc/passwd", "/static/web/%00",
        "/guest/media/out", "/guest/media/../secret", "/guest/media/%2e%2e/secret",
        "/guest/media//etc/passwd", "/guest/media/", "/guest/none", "//etc/passwd",
        "/etc/passwd", "/guest/..;/edit",
    ],
)  # fmt: skip
def test_no_path_leads_out(path: str, target: Target) -> None:
    for role in ("edit", "guest"):
        status, body, _ = target.ask(path, Cookie=target.cookie(role))
        assert status in (403, 404), role
        assert b"root:" not in body
        assert b"import" not in body


def test_the_server_ends_and_takes_no_open_address() -> None:
    server = PageServer(Site({"a": frozenset({"a"})}, [Route("/a", lambda _: "x")]))
    with server:
        server.end()
        server.wait()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), 1)
    with pytest.raises(ValueError, match="outside loopback"):
        PageServer(Site({}, []), ServerAddress("192.168.1.5"))
