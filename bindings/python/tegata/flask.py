"""Revocation for flask-jwt-extended, which verifies tokens of Tegata as the JWTs that they are:

    app.config["JWT_ALGORITHM"] = "EdDSA"
    app.config["JWT_DECODE_AUDIENCE"] = "https://tokens.example"
    jwt = JWTManager(app)
    tegata.flask.install(app, jwt, verifier)

The kinds `v2.1` and `stateless` are JWTs. For the others use `tegata.wsgi.Middleware`.
"""

import flask

from .errors import Invalid, Unknown
from .verifier import Verifier


def install(app, jwt, verifier: Verifier, token=None) -> None:
    """Makes a `JWTManager` reject revoked tokens, and the application answer 503 if the state of
    a token is not known.

    `token` is a function that returns the text of the request's token; without one, it is taken
    from the header that flask-jwt-extended is configured for.
    """
    jwt.token_in_blocklist_loader(blocklist_loader(verifier, token))

    @app.errorhandler(Unknown)
    def unknown(_):
        body = {"msg": "The service is temporarily unavailable. Try again later."}
        return body, Unknown.status, {"Retry-After": "1"}


def blocklist_loader(verifier: Verifier, token=None):
    """A function for `JWTManager.token_in_blocklist_loader`. It raises `Unknown` if the state of
    a token is not known."""

    def is_revoked(_header, payload) -> bool:
        # Not every program calls the loader while it has a request.
        source = flask.request.remote_addr if flask.has_request_context() else None
        try:
            found = verifier.verify((token or _from_header)(), source)
        except Invalid:
            return True
        # Another token than the one that was decoded says nothing about that one.
        return found.id != payload.get("jti")

    return is_revoked


def _from_header() -> str:
    config = flask.current_app.config
    value = flask.request.headers.get(config["JWT_HEADER_NAME"], "")
    return value.removeprefix(config["JWT_HEADER_TYPE"]).strip()
