"""A WSGI application with a verifier that is connected before gunicorn forks its workers."""

import os

import tegata
from tegata.wsgi import Middleware

verifier = tegata.connect(os.environ["AUTHORITY"], os.environ["SECRET"], staleness=30)
verifier.ready(60)


def inner(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{os.getpid()} {environ['tegata.token'].channel}".encode()]


application = Middleware(inner, verifier)
