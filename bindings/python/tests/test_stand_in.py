"""The server for tests."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tegata.stand_in import RequestFailed, StandIn


def test_tokens_of_all_kinds_are_active_until_the_clock_is_past_their_expiry(stand_in):
    tokens = {
        "v2.1": (stand_in.issue("v2.1", lifetime=60), 60),
        "stateless": (stand_in.issue(), 15 * 60),
        "short-lived": (stand_in.issue("short-lived"), 30 * 24 * 60 * 60),
    }
    began = stand_in.now()
    for token, lifetime in tokens.values():
        assert stand_in.is_active(token)
        stand_in.advance(began + lifetime + 1 - stand_in.now())
        assert not stand_in.is_active(token)
    assert stand_in.is_active(stand_in.issue("long-lived"))


def test_a_revoked_token_is_not_active(server):
    token = server.issue("short-lived")
    server.revoke(token)
    assert not server.is_active(token)


def test_faults_come_as_often_as_asked_for_and_as_late(server):
    token = server.issue()
    server.fault(429, count=2)
    for _ in range(2):
        with pytest.raises(RequestFailed) as raised:
            server.issue()
        assert raised.value.status == 429
    assert server.issue()
    server.fault(500, delay=0.2, path="/gateway/")
    assert server.issue(), "another path"
    began = time.monotonic()
    with pytest.raises(RequestFailed, match="500"):
        server.is_active(token)
    assert time.monotonic() - began >= 0.2
    server.fault(503, count=100)
    server.clear_faults()
    assert server.is_active(token)


def test_the_channels_key_is_a_private_jwk(server):
    assert {"kty", "n", "e", "d"} <= set(server.channel.key)


def is_gone(folder, pid):
    """Whether neither the process nor its files are there."""
    return not Path(f"/proc/{pid}").exists() and not Path(folder).exists()


def server_process(shell):
    """The id of the server, the only child of its shell."""
    return Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0]


def test_nothing_is_left_after_stop():
    server = StandIn()
    folder, pid = server._folder.name, server_process(server._process.pid)
    assert Path(f"/proc/{pid}").exists()
    server.stop()
    assert is_gone(folder, pid)
    server.stop()


def test_no_server_is_left_of_a_process_that_was_killed():
    program = """if True:
        from tegata.stand_in import StandIn
        server = StandIn()
        print(server._process.pid, flush=True)
        input()
    """
    with tempfile.TemporaryDirectory() as folder:
        tests = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": folder},
        )
        pid = server_process(int(tests.stdout.readline()))
        os.kill(tests.pid, signal.SIGKILL)
        tests.wait()
        began = time.monotonic()
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() - began < 60, "the server runs on"
            time.sleep(0.02)
        tests.stdin.close()
        tests.stdout.close()


def test_a_program_that_does_not_start_is_shown(monkeypatch, tmp_path):
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho the disk is full >&2\n")
    program.chmod(0o700)
    monkeypatch.setenv("TEGATA_PROGRAM", str(program))
    with pytest.raises(RuntimeError, match="the disk is full"):
        StandIn()
