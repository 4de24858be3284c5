"""Access of other programs: exact hosts, listed origins, a token in each request."""

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)
from tornado.routing import Router

from physio.view.web.access import SECURITY_HEADERS

ROLES: Final = ("control", "look")
"""Programs that may also send markers and ratings, and programs that only read."""

_PATH: Final = re.compile(r"/[a-z]{1,20}")
_CROSS_SITE: Final = ("cross-site", "same-site")
_NO_TOKEN: Final = (
    "the token is missing or wrong: send it as the header 'Authorization: Bearer "
    "TOKEN', or as ?token=TOKEN; it is in http.json in the session's folder"
)


class ProgramAccess(Router):
    """Router that passes allowed requests to an application and answers others.

    A request must name one of the hosts exactly, and hold a token, in a header or in
    the address. Only the role ``control`` may send anything. An origin, which browsers
    send, must be this server or one of those listed. Cookies are not read.

    Parameters
    ----------
    application
        The application.
    tokens
        Token of each role.
    hosts
        Accepted values of the ``Host`` header.
    origins
        Accepted values of the ``Origin`` header.
    """

    def __init__(
        self,
        application: Any,
        tokens: Mapping[str, str],
        hosts: frozenset[str],
        origins: frozenset[str],
    ) -> None:
        self.application, self.tokens = application, dict(tokens)
        self.hosts, self.origins = hosts, origins

    def find_handler(
        self, request: HTTPServerRequest, **_kwargs: Any
    ) -> HTTPMessageDelegate | None:
        """Return the handler of a request."""
        headers = request.headers
        host = headers.get_list("Host")
        if len(host) != 1 or host[0] not in self.hosts:
            return Refusal(request, 403)
        origin = headers.get("Origin")
        if origin is not None and origin not in self.origins:
            return Refusal(request, 403)
        if origin is None and headers.get("Sec-Fetch-Site", "none") in _CROSS_SITE:
            return Refusal(request, 403)
        cors = cors_headers(origin)
        if request.method == "OPTIONS":
            return Refusal(request, 204 if origin else 403, cors)
        path, _, query = str(request.uri or "/").partition("?")
        role = self._role(request, query)
        if not role:
            return Refusal(request, 401, cors, _NO_TOKEN)
        if not _PATH.fullmatch(path):
            return Refusal(request, 404, cors)
        if role != "control" and request.method != "GET":
            text = "this token only reads; markers and ratings need the other one"
            return Refusal(request, 403, cors, text)
        handler: HTTPMessageDelegate | None = self.application.find_handler(request)
        return handler

    def _role(self, request: HTTPServerRequest, query: str) -> str:
        """Return the role whose token a request holds; empty without one."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            try:
                token = parse_qs(query, max_num_fields=20).get("token", [""])[0]
            except ValueError:  # too many fields
                return ""
        given = token.strip().encode("utf-8", "replace")
        for role, expected in self.tokens.items():
            if hmac.compare_digest(given, expected.encode()):
                return role
        return ""


def cors_headers(origin: str | None) -> dict[str, str]:
    """Return the headers that let pages of an allowed origin read a response."""
    if origin is None:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Allow-Methods": "GET, POST",
        "Vary": "Origin",
    }


class Refusal(HTTPMessageDelegate):
    """Response without an application: a status, and a reason as JSON."""

    def __init__(
        self,
        request: HTTPServerRequest,
        status: int,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        self.request, self.status = request, status
        self.body = json.dumps({"error": reason}).encode() if reason else b""
        self.headers = HTTPHeaders({**SECURITY_HEADERS, **(headers or {})})
        if status != 204:
            self.headers["Content-Length"] = str(len(self.body))
            self.headers["Content-Type"] = "application/json"

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
