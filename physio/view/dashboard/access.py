"""Who may see anything at all: exact hosts and origins, and a token."""

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)
from tornado.routing import Router

ROLES: Final = ("control", "look", "participant")
"""Who may come: to steer, to watch, and the participant that is measured."""

MAY_OPEN: Final[Mapping[str, frozenset[str]]] = {
    "control": frozenset(ROLES),
    "look": frozenset({"look"}),
    "participant": frozenset({"participant"}),
}
"""Which pages each may open."""

SHORTEST: Final = 32
"""How many characters a token that participants choose has at least."""

_FOREIGN: Final = ("cross-site", "same-site")


def fresh() -> dict[str, str]:
    """Return a new token for each role."""
    return {role: secrets.token_urlsafe(32) for role in ROLES}


@dataclass(frozen=True)
class ServerAddress:
    """Where a dashboard is served.

    Parameters
    ----------
    address
        An address of this computer: one of the loopback, unless all else is given.
    port
        0 takes a free one.
    token
        For other addresses: what gives control; at least 32 characters.
    certificate, key
        For other addresses: files for TLS (PEM).
    """

    address: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"a port lies between 0 and 65535, not {self.port}")
        if self.token and len(self.token) < SHORTEST:
            raise ValueError(
                f"the dashboard's token has {len(self.token)} characters: give at "
                f"least {SHORTEST}, or none, and a fresh one is made"
            )
        if bool(self.certificate) != bool(self.key):
            raise ValueError("TLS needs both, the certificate and its key")
        if self.loopback:
            return
        if ipaddress.ip_address(self.address).is_unspecified:
            raise ValueError(
                f"the dashboard is not served on all interfaces ({self.address}): "
                "name one address"
            )
        if not (self.token and self.certificate):
            raise ValueError(
                f"the dashboard is served on the loopback alone; on {self.address} it "
                "needs a token of your own and a certificate and key for TLS"
            )

    @property
    def loopback(self) -> bool:
        """Whether nobody outside of this computer can come."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            raise ValueError(
                f"{self.address!r} is no address: give numbers, as 127.0.0.1"
            ) from None

    @property
    def scheme(self) -> str:
        """``https`` with TLS."""
        return "https" if self.certificate else "http"

    def hosts(self, port: int) -> frozenset[str]:
        """Return what browsers may call this place in ``Host``."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        names = {host, "localhost"} if self.loopback else {host}
        return frozenset(f"{name}:{port}" for name in names)


class AccessControl(Router):
    """Lets requests through to an application, or answers with nothing.

    A request must name one of the hosts exactly. A token in the address of the first
    page is exchanged for a cookie; all else needs the cookie of a role that may open
    that page. Where a browser tells the origin, it must be this very place.

    Parameters
    ----------
    inside
        The application.
    tokens
        What gives each role.
    hosts
        What may stand in ``Host``.
    scheme
        ``http`` or ``https``.
    port
        Part of the cookies' names: browsers share cookies between ports.
    """

    def __init__(
        self,
        inside: Any,
        tokens: Mapping[str, str],
        hosts: frozenset[str],
        scheme: str,
        port: int,
    ) -> None:
        self.inside, self.tokens, self.hosts = inside, dict(tokens), hosts
        self.scheme, self.port = scheme, port

    def find_handler(
        self,
        request: HTTPServerRequest,
        **_kwargs: Any,
    ) -> HTTPMessageDelegate | None:
        """Return who answers a request."""
        host = request.headers.get("Host", "")
        if host not in self.hosts or not self._own(request, host):
            return _Answer(request, 403)
        path, _, query = str(request.uri or "/").partition("?")
        if path == "/":
            return self._welcome(request, query)
        roles = {r for r in ROLES if self._holds(request, r)}
        if not roles or ".." in path:
            return _Answer(request, 403)
        first = path.split("/")[1]
        opened = {page for role in roles for page in MAY_OPEN[role]}
        if first not in opened and first != "static":
            return _Answer(request, 403)
        found: HTTPMessageDelegate | None = self.inside.find_handler(request)
        return found

    def _own(self, request: HTTPServerRequest, host: str) -> bool:
        """Tell whether a request comes from this very place, as far as it is told."""
        headers = request.headers
        if len(headers.get_list("Host")) != 1:
            return False
        origin = headers.get("Origin")
        if origin is not None and origin != f"{self.scheme}://{host}":
            return False
        if headers.get("Upgrade", "").lower() == "websocket" and origin is None:
            return False
        first = request.uri is not None and request.uri.startswith("/?")
        return first or headers.get("Sec-Fetch-Site", "none") not in _FOREIGN

    def _welcome(self, request: HTTPServerRequest, query: str) -> HTTPMessageDelegate:
        """Exchange a token for a cookie, and lead on."""
        given = parse_qs(query).get("token", [""])[0]
        for role, token in self.tokens.items():
            if hmac.compare_digest(given.encode(), token.encode()):
                return self._lead(request, role, token)
        known = next((r for r in ROLES if self._holds(request, r)), "")
        return self._lead(request, known) if known else _Answer(request, 403)

    def _lead(
        self, request: HTTPServerRequest, role: str, token: str = ""
    ) -> HTTPMessageDelegate:
        secure = "; Secure" if self.scheme == "https" else ""
        headers = {
            "Set-Cookie": f"{self._cookie(role)}={token}; Path=/; HttpOnly; "
            f"SameSite=Strict{secure}"
        }
        # A page that leads on by itself: after a redirect, a strict cookie would not be
        # sent if the way here began at another site.
        body = (
            '<!DOCTYPE html><meta charset="utf-8"><title>physio</title>'
            '<link rel="icon" href="data:,">'
            f'<meta http-equiv="refresh" content="0;url=/{role}">'
        )
        return _Answer(request, 200, headers if token else {}, body)

    def _cookie(self, role: str) -> str:
        return f"physio-{self.port}-{role}"

    def _holds(self, request: HTTPServerRequest, role: str) -> bool:
        try:
            jar = SimpleCookie(request.headers.get("Cookie", ""))
        except CookieError:
            return False
        morsel = jar.get(self._cookie(role))
        given = morsel.value if morsel is not None else ""
        return hmac.compare_digest(given.encode(), self.tokens[role].encode())


class _Answer(HTTPMessageDelegate):
    """An answer that needs no application."""

    def __init__(
        self,
        request: HTTPServerRequest,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> None:
        self.request, self.status, self.body = request, status, body.encode()
        self.headers = HTTPHeaders({**SAFE, **(headers or {})})
        self.headers["Content-Length"] = str(len(self.body))
        self.headers["Content-Type"] = "text/html; charset=utf-8"

    def data_received(self, chunk: bytes) -> None:
        """Pay no heed to what is sent."""

    def finish(self) -> None:
        """Answer."""
        connection = self.request.connection
        if connection is None:
            return
        line = ResponseStartLine("HTTP/1.1", self.status, "")
        connection.write_headers(line, self.headers, self.body)
        connection.finish()

    def on_connection_close(self) -> None:
        """Let it go."""


SAFE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries: nothing from elsewhere, nothing for elsewhere."""
