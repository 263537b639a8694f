"""Verification against a server."""

import asyncio
import socket

import pytest

import tegata
from waiting import until


def test_every_kind_of_token_is_verified_with_its_facts(server, verifier):
    for kind in ["stateless", "short-lived", "long-lived", "v2.1"]:
        text = server.issue(kind)
        token = verifier.verify(text)
        assert (token.kind, token.channel) == (kind, server.channel.id)
        assert token.until > token.issued_at >= server.now() - 60
        assert token.stale is None and token.group is None
        assert token.id in repr(token) and text not in repr(token)
    assert verifier.verify(server.issue(group="kitchen")).group == "kitchen"


def test_a_revoked_token_is_invalid_once_its_receipt_is_complete(server, verifier):
    token = server.issue("short-lived")
    assert verifier.verify(token)
    server.revoke(token)
    with pytest.raises(tegata.Invalid, match="revoked") as raised:
        verifier.verify(token)
    assert raised.value.status == 401


def test_what_is_no_token_is_invalid(verifier):
    for text in ["", "x", "tgs_none", "eyJ.a.b", "\u00e9", "x" * 10_000]:
        with pytest.raises(tegata.Invalid):
            verifier.verify(text)


def test_a_token_expires_when_the_clock_is_moved(stand_in):
    token = stand_in.issue("stateless")
    verifier = stand_in.connect(staleness=30)
    assert verifier.verify(token)
    stand_in.advance(15 * 60)
    with pytest.raises(tegata.Invalid, match="expired"):
        verifier.verify(token)


def test_an_evicted_token_is_invalid_once_the_server_has_settled(stand_in):
    verifier = stand_in.connect(staleness=30)
    tokens = [stand_in.issue("short-lived") for _ in range(30)]
    # The server has issued one of its own when it started.
    assert verifier.verify(tokens[0])
    stand_in.issue("short-lived")
    stand_in.settle()
    with pytest.raises(tegata.Invalid, match="revoked"):
        verifier.verify(tokens[0])


def test_the_state_is_unknown_and_not_invalid_without_a_view(server):
    token = server.issue()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with tegata.connect(f"http://127.0.0.1:{silent.getsockname()[1]}", "token") as verifier:
            with pytest.raises(tegata.Unknown, match="no view") as raised:
                verifier.verify(token)
            assert raised.value.status == 503
            assert verifier.age() is None and not verifier.ready(0)


def test_after_close_the_state_is_unknown_and_the_instance_is_gone(server):
    made = server.admin("POST", "/verifiers", {"name": "closed"})
    token = server.issue()
    verifier = tegata.connect(server.url, made["verifier_token"])
    assert verifier.ready(60)
    assert verifier.verify(token) and verifier.age() < 60
    path = f"/verifiers/{made['verifier_id']}"
    assert len(server.admin("GET", path)["instances"]) == 1
    verifier.close(60)
    assert server.admin("GET", path)["instances"] == []
    with pytest.raises(tegata.Unknown, match="stopped"):
        verifier.verify(token)
    verifier.close()


def test_uses_are_reported_to_the_authority(server):
    made = server.admin("POST", "/verifiers", {"name": "uses"})
    text = server.issue("short-lived")
    with tegata.connect(server.url, made["verifier_token"]) as verifier:
        assert verifier.ready(60)
        token = verifier.verify(text, "192.0.2.1")
        verifier.recall(text, "192.0.2.2")
        asyncio.run(verifier.verify_async(text, "192.0.2.3"))
        verifier.close(60)
    row = server.admin("GET", f"/channels/{server.channel.id}/tokens/{token.id}")
    assert row["last_used_at"]
    uses = sorted((it["source"], it["count"]) for it in row["recent_uses"])
    assert uses == [("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1)]


def test_wrong_settings_are_rejected_with_what_is_right():
    for wrong, words in [
        ({"staleness": 0.1}, "out of range"),
        ({"on_stale": "perhaps"}, "on_stale"),
        ({"authority_ca": b"x"}, "no certificate"),
    ]:
        with pytest.raises(ValueError, match=words):
            tegata.connect("https://tokens.example", "token", **wrong)
    with pytest.raises(ValueError, match="address of an authority"):
        tegata.connect("ftp://tokens.example", "token")


def test_a_rejected_verifier_token_is_unknown_with_the_status(server):
    with tegata.connect(server.url, "tgv_wrong") as verifier:
        with pytest.raises(tegata.Unknown):
            verifier.verify(server.issue())
        until(lambda: verifier.health()["rejected"], "no response")
        assert "401" in verifier.health()["rejected"]
