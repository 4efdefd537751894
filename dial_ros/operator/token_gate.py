"""Access control of the page: visitors with the token (`?token=...` once, then a cookie), or without a token this machine alone."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

COOKIE = "dial_operator_token"


class TokenGate:
    """ASGI middleware that refuses every request and websocket without the token."""

    def __init__(self, app, token: str) -> None:
        self.app, self._token = app, token
        # The cookie. Browsers send it to every port of this host: a program there does not learn the token, which may be used elsewhere.
        self._remembered = hashlib.sha256(token.encode()).hexdigest()

    async def __call__(self, scope, receive, send) -> None:
        """Handles one request or websocket."""
        if scope["type"] not in ("http", "websocket") or self._known(scope):
            await self.app(scope, receive, self._with_cookie(scope, send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"This page needs its token: open it with ?token=..."})

    def _known(self, scope) -> bool:
        if _same(self._asked(scope), self._token):
            return True
        return any(_same(value, self._remembered) for value in cookies(scope.get("headers", []), COOKIE))

    @staticmethod
    def _asked(scope) -> str:
        return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]

    def _with_cookie(self, scope, send):
        if scope["type"] != "http" or not self._asked(scope):
            return send

        async def sending(message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={self._remembered}; HttpOnly; SameSite=Strict; Path=/"
                message = message | {"headers": [*message["headers"], (b"set-cookie", cookie.encode())]}
            await send(message)

        return sending


def cookies(headers: Iterable[tuple[bytes, bytes]], name: str) -> list[str]:
    """Returns the values of the cookies called `name` in a request's headers.

    Cookies are those of all programs on a host, whatever their port, and many are not as RFC 6265 wants them (JSON, spaces, brackets):
    http.cookies drops what follows such a one, or raises. Only a semicolon ends a cookie here, as in browsers.
    """
    pairs = [pair.partition("=") for key, line in headers if key == b"cookie" for pair in line.decode("latin-1").split(";")]
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


class LoopbackGate:
    """ASGI middleware of a page without a token: refuses requests whose Host or Origin is not this machine.

    Otherwise any web site could reach the page through a browser on this machine, by DNS rebinding or a script.
    """

    NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        """Handles one request or websocket."""
        if scope["type"] not in ("http", "websocket") or self._ours(dict(scope.get("headers", []))):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"This page answers to 127.0.0.1 and localhost only."})

    def _ours(self, headers: dict[bytes, bytes]) -> bool:
        named = [f"//{headers.get(b'host', b'').decode('latin-1')}"]
        if b"origin" in headers:
            named.append(headers[b"origin"].decode("latin-1"))
        return all(urlsplit(name).hostname in self.NAMES for name in named)
