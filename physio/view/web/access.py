"""Access control of web pages: exact hosts and origins, and a token per role."""

import hmac
import ipaddress
import re
import secrets
import ssl
from collections.abc import Iterable, Mapping
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

MIN_TOKEN_LENGTH: Final = 32
"""Minimum length of a token that a user chooses (characters)."""

_PATH: Final = re.compile(r"[A-Za-z0-9._/-]+")
_CROSS_SITE: Final = ("cross-site", "same-site")


def new_tokens(roles: Iterable[str]) -> dict[str, str]:
    """Return a new token for each role."""
    return {role: secrets.token_urlsafe(32) for role in roles}


@dataclass(frozen=True)
class ServerAddress:
    """Address, port and credentials at which pages are served.

    Parameters
    ----------
    address
        IP address of this computer; other than loopback only with token and TLS.
    port
        TCP port; 0 takes a free one.
    token
        Token of the experimenter, at least 32 characters; required off loopback.
    certificate, key
        PEM files for TLS; required off loopback.
    """

    address: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
        if self.token and len(self.token) < MIN_TOKEN_LENGTH:
            raise ValueError(
                f"the page's token has {len(self.token)} characters: use at "
                f"least {MIN_TOKEN_LENGTH}, or omit it to get a random one"
            )
        if bool(self.certificate) != bool(self.key):
            raise ValueError("TLS needs both a certificate and its key")
        if self.loopback:
            return
        if ipaddress.ip_address(self.address).is_unspecified:
            raise ValueError(
                f"the page cannot be served on all interfaces ({self.address}): "
                "give one address"
            )
        if not (self.token and self.certificate):
            raise ValueError(
                f"serving the page on {self.address}, outside loopback, needs a "
                "token and a certificate and key for TLS"
            )

    @property
    def loopback(self) -> bool:
        """True if the address can be reached from this computer only."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            raise ValueError(
                f"{self.address!r} is not an IP address: use numbers, as in 127.0.0.1"
            ) from None

    @property
    def scheme(self) -> str:
        """``https`` with TLS."""
        return "https" if self.certificate else "http"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context of TLS; None without a certificate.

        Raises
        ------
        ValueError
            If the certificate or its key cannot be used.
        """
        if not self.certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"certificate {self.certificate} with key {self.key} cannot be used "
                f"({error.strerror or error}): give two PEM files that belong together"
            ) from None
        return context

    def hosts(self, port: int) -> frozenset[str]:
        """Return the accepted values of the ``Host`` header."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        names = {host, "localhost"} if self.loopback else {host}
        return frozenset(f"{name}:{port}" for name in names)


class AccessControl(Router):
    """Router that passes allowed requests to an application and answers 403 otherwise.

    A request must name one of the hosts exactly. A token in the address of the first
    page is exchanged for a cookie; every other request needs the cookie of a role that
    may open that page. If the browser sends an origin, it must be this server.

    Parameters
    ----------
    application
        The application.
    tokens
        Token of each role.
    pages
        Pages that each role may open: the first parts of their paths. The first page of
        a role has the role's name.
    hosts
        Accepted values of the ``Host`` header.
    scheme
        ``http`` or ``https``.
    port
        Part of the cookies' names: browsers share cookies between ports.
    """

    def __init__(
        self,
        application: Any,
        tokens: Mapping[str, str],
        pages: Mapping[str, frozenset[str]],
        hosts: frozenset[str],
        scheme: str,
        port: int,
    ) -> None:
        self.application, self.tokens, self.hosts = application, dict(tokens), hosts
        self.pages, self.scheme, self.port = dict(pages), scheme, port

    def find_handler(
        self,
        request: HTTPServerRequest,
        **_kwargs: Any,
    ) -> HTTPMessageDelegate | None:
        """Return the handler of a request."""
        host = request.headers.get("Host", "")
        if host not in self.hosts or not self._is_same_origin(request, host):
            return _PlainResponse(request, 403)
        path, _, query = str(request.uri or "/").partition("?")
        if path == "/":
            return self._exchange_token(request, query)
        roles = self.roles(request)
        if not roles or ".." in path or not _PATH.fullmatch(path):
            return _PlainResponse(request, 403)
        first = path.split("/")[1]
        opened = {page for role in roles for page in self.pages[role]}
        if first not in opened and first != "static":
            return _PlainResponse(request, 403)
        handler: HTTPMessageDelegate | None = self.application.find_handler(request)
        return handler

    def roles(self, request: HTTPServerRequest) -> frozenset[str]:
        """Return the roles whose cookies a request holds."""
        return frozenset(r for r in self.pages if self._has_cookie(request, r))

    def _is_same_origin(self, request: HTTPServerRequest, host: str) -> bool:
        """Return whether the headers of a request are consistent with this server."""
        headers = request.headers
        if len(headers.get_list("Host")) != 1:
            return False
        origin = headers.get("Origin")
        if origin is not None and origin != f"{self.scheme}://{host}":
            return False
        is_websocket = headers.get("Upgrade", "").lower() == "websocket"
        changes = request.method not in ("GET", "HEAD")
        if (is_websocket or changes) and origin is None:
            return False
        first = request.uri is not None and request.uri.startswith("/?")
        return first or headers.get("Sec-Fetch-Site", "none") not in _CROSS_SITE

    def _exchange_token(
        self, request: HTTPServerRequest, query: str
    ) -> HTTPMessageDelegate:
        """Exchange a token for a cookie, and redirect to the page."""
        given = parse_qs(query).get("token", [""])[0]
        for role, token in self.tokens.items():
            if hmac.compare_digest(given.encode(), token.encode()):
                return self._redirect(request, role, token)
        known = next((r for r in self.pages if self._has_cookie(request, r)), "")
        return self._redirect(request, known) if known else _PlainResponse(request, 403)

    def _redirect(
        self, request: HTTPServerRequest, role: str, token: str = ""
    ) -> HTTPMessageDelegate:
        secure = "; Secure" if self.scheme == "https" else ""
        headers = {
            "Set-Cookie": f"{self._cookie(role)}={token}; Path=/; HttpOnly; "
            f"SameSite=Strict{secure}"
        }
        # The page reloads itself: after an HTTP redirect, a strict cookie would not
        # be sent if the navigation began at another site.
        body = (
            '<!DOCTYPE html><meta charset="utf-8"><title>physio</title>'
            '<link rel="icon" href="data:,">'
            f'<meta http-equiv="refresh" content="0;url=/{role}">'
        )
        return _PlainResponse(request, 200, headers if token else {}, body)

    def _cookie(self, role: str) -> str:
        return f"physio-{self.port}-{role}"

    def _has_cookie(self, request: HTTPServerRequest, role: str) -> bool:
        try:
            jar = SimpleCookie(request.headers.get("Cookie", ""))
        except CookieError:
            return False
        morsel = jar.get(self._cookie(role))
        given = morsel.value if morsel is not None else ""
        return hmac.compare_digest(given.encode(), self.tokens[role].encode())


class _PlainResponse(HTTPMessageDelegate):
    """Response without an application."""

    def __init__(
        self,
        request: HTTPServerRequest,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> None:
        self.request, self.status, self.body = request, status, body.encode()
        self.headers = HTTPHeaders({**SECURITY_HEADERS, **(headers or {})})
        self.headers["Content-Length"] = str(len(self.body))
        self.headers["Content-Type"] = "text/html; charset=utf-8"

    def data_received(self, chunk: bytes) -> None:
        """Ignore the request's body."""

    def finish(self) -> None:
        """Send the response."""
        connection = self.request.connection
        if connection is None:
            return
        line = ResponseStartLine("HTTP/1.1", self.status, "")
        connection.write_headers(line, self.headers, self.body)
        connection.finish()

    def on_connection_close(self) -> None:
        """Do nothing."""


SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every response: no content from and none for other origins, and neither
scripts nor styles in the page's own text."""
