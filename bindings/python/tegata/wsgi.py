"""Verifies the bearer token of each request of a WSGI application: Flask, Django, Bottle."""

from http import HTTPStatus

from ._tegata import Refused
from .verifier import Verifier, gate


class Middleware:
    """Lets requests through whose bearer token is active, with the `Token` in
    `environ["tegata.token"]`. The others are answered with 401, with 403 if the token does not
    meet the conditions, and with 503 if its state is not known.

    `kinds`, `channels` and `groups` are lists of which the token must match one each.
    """

    def __init__(self, app, verifier: Verifier, *, kinds=(), channels=(), groups=()):
        self._app = app
        self._gate = gate(verifier, kinds, channels, groups)

    def __call__(self, environ, start_response):
        header = environ.get("HTTP_AUTHORIZATION")
        sent = [] if header is None else [header.encode("latin-1")]
        found = self._gate.verify(sent, environ.get("REMOTE_ADDR"))
        if not isinstance(found, Refused):
            environ["tegata.token"] = found
            return self._app(environ, start_response)
        headers = [*found.headers, ("content-length", str(len(found.body)))]
        start_response(f"{found.status} {HTTPStatus(found.status).phrase}", headers)
        return [found.body]
