"""The middlewares in gunicorn and uvicorn, and the loader in flask-jwt-extended."""

import asyncio
import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import flask
import flask_jwt_extended
import jwt
import pytest

import tegata
import tegata.flask
from tegata.asgi import Middleware
from waiting import until_gone

HERE = Path(__file__).parent


@contextlib.contextmanager
def running(server, *command):
    """Runs a server of Python's on a free port; yields its port and the path of its verifier."""
    made = server.admin("POST", "/verifiers", {"name": command[0]})
    settings = {**os.environ, "AUTHORITY": server.url, "SECRET": made["verifier_token"]}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=HERE,
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1]), f"/verifiers/{made['verifier_id']}"
                break
        else:
            raise AssertionError("".join(said))
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def get(port, token=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers
    finally:
        connection.close()


def test_workers_that_gunicorn_forks_each_follow_and_reject_what_was_revoked(server):
    options = ["--preload", "--workers", "2", "--bind", "127.0.0.1:0", "wsgi_app:application"]
    with running(server, "gunicorn", *options) as (port, verifier):
        token = server.issue("short-lived")
        workers = set()
        began = time.monotonic()
        while len(workers) < 2:
            assert time.monotonic() - began < 60, "one worker answers alone"
            status, body, _ = get(port, token)
            if status == 503:
                # On a busy machine, its first view is not there within a second.
                continue
            assert status == 200, body
            worker, channel = body.split()
            assert channel == server.channel.id
            workers.add(worker)
        instances = {it["instance"] for it in server.admin("GET", verifier)["instances"]}
        assert len(instances) == 3, "the first process and both workers"
        server.revoke(token)
        for _ in range(20):
            status, body, headers = get(port, token)
            assert status == 401 and "message" in body
            assert headers["www-authenticate"] == 'Bearer error="invalid_token"'
    until_gone(server, verifier)


def test_uvicorn_answers_401_403_and_the_application(server):
    options = ["--port", "0", "--host", "127.0.0.1", "asgi_app:application"]
    with running(server, "uvicorn", *options) as (port, verifier):
        assert get(port, server.issue("short-lived"))[:2] == (200, server.channel.id)
        assert get(port, server.issue("stateless"))[0] == 403
        assert get(port)[0] == 401
        assert get(port, "x" * 9_000)[0] == 400
        token = server.issue("v2.1")
        assert get(port, token)[0] == 200
        server.revoke(token)
        assert get(port, token)[0] == 401
    until_gone(server, verifier)


def test_an_unknown_state_is_503_with_when_to_ask_again():
    with tegata.connect("http://127.0.0.1:9", "token") as verifier:
        app = Middleware(None, verifier)
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "headers": [(b"authorization", b"Bearer eyJ.a.b")], "client": None}
        asyncio.run(app(scope, None, send))
        assert sent[0]["status"] == 503 and (b"retry-after", b"1") in sent[0]["headers"]
        sent.clear()
        asyncio.run(app({**scope, "type": "websocket"}, None, send))
        assert sent == [{"type": "websocket.close", "code": 1013}]


def test_two_authorization_headers_are_no_token(server, verifier):
    one = b"Bearer " + server.issue().encode()
    gate = tegata.verifier.gate(verifier, [], [], [])
    assert gate.verify([one]).channel == server.channel.id
    assert gate.verify([one, one]).status == 401


def test_a_decision_from_memory_keeps_the_interpreters_lock(server, verifier):
    gate = tegata.verifier.gate(verifier, [], [], [])
    header = [b"Bearer " + server.issue().encode()]
    assert gate.verify(header).channel == server.channel.id
    runs = []
    stop = threading.Event()

    def count():
        while not stop.is_set():
            runs.append(None)
            # Gives the lock back.
            time.sleep(0)

    interval = sys.getswitchinterval()
    # Another thread gets the lock only where it is given up.
    sys.setswitchinterval(600)
    try:
        counting = threading.Thread(target=count)
        counting.start()
        before = len(runs)
        for _ in range(1_000):
            gate.verify(header)
        after = len(runs)
    finally:
        sys.setswitchinterval(interval)
        stop.set()
    counting.join()
    assert after == before


def test_a_condition_that_is_none_is_an_error(verifier):
    with pytest.raises(ValueError, match="kind"):
        Middleware(None, verifier, kinds=["v3"])


def test_flask_jwt_extended_rejects_revoked_tokens_by_the_blocklist_loader(server, verifier):
    app = flask.Flask("api")
    app.config |= {"JWT_ALGORITHM": "EdDSA", "JWT_DECODE_AUDIENCE": server.url}
    manager = flask_jwt_extended.JWTManager(app)
    keys = jwt.PyJWKSet.from_dict(server._json("GET", "/.well-known/jwks.json"))
    manager.decode_key_loader(lambda header, _: next(it.key for it in keys.keys if it.key_id == header["kid"]))
    tegata.flask.install(app, manager, verifier)

    @app.get("/")
    @flask_jwt_extended.jwt_required()
    def index():
        return flask_jwt_extended.get_jwt_identity()

    client = app.test_client()

    def ask(token):
        return client.get("/", headers={"Authorization": f"Bearer {token}"})

    for kind in ["v2.1", "stateless"]:
        token = server.issue(kind)
        assert (ask(token).status_code, ask(token).text) == (200, server.channel.id)
        server.revoke(token)
        assert ask(token).status_code == 401
        assert "revoked" in ask(token).text
    # A token that is not the one that was decoded lets nothing through.
    loader = tegata.flask.blocklist_loader(verifier, lambda: server.issue())
    assert loader({}, {"jti": "another"})
    with tegata.connect("http://127.0.0.1:9", "token") as stale:
        unknown = flask.Flask("unknown")
        unknown.config |= app.config
        again = flask_jwt_extended.JWTManager(unknown)
        again.decode_key_loader(lambda header, _: next(it.key for it in keys.keys if it.key_id == header["kid"]))
        tegata.flask.install(unknown, again, stale)
        unknown.get("/")(flask_jwt_extended.jwt_required()(lambda: "let through"))
        response = unknown.test_client().get("/", headers={"Authorization": f"Bearer {server.issue()}"})
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
