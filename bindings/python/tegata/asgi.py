"""Verifies the bearer token of each request of an ASGI application: Starlette, FastAPI, Quart."""

from ._tegata import Refused
from .verifier import Verifier, gate
from .waiting import answer

#: The codes with which a WebSocket is closed: "policy violation", and "try again later".
_DENIED, _LATER = 1008, 1013


class Middleware:
    """Lets requests through whose bearer token is active, with the `Token` in
    `scope["tegata.token"]`. The others are answered with 401, with 403 if the token does not
    meet the conditions, and with 503 if its state is not known.

    `kinds`, `channels` and `groups` are lists of which the token must match one each. The
    client's address in the authority's record is the server's; behind a proxy, let the server
    take it from the proxy's header.
    """

    def __init__(self, app, verifier: Verifier, *, kinds=(), channels=(), groups=()):
        self._app = app
        self._gate = gate(verifier, kinds, channels, groups)

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        source = scope["client"][0] if scope.get("client") else None
        found = self._gate.recall(sent, source)
        if found is None:
            found = await answer(self._gate.ask, sent, source)
        if not isinstance(found, Refused):
            return await self._app({**scope, "tegata.token": found}, receive, send)
        if scope["type"] == "websocket":
            code = _LATER if found.status == 503 else _DENIED
            return await send({"type": "websocket.close", "code": code})
        headers = [(name.encode(), value.encode()) for name, value in found.headers]
        headers.append((b"content-length", str(len(found.body)).encode()))
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.body})
