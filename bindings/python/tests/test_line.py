"""The token suppliers for LINE's SDK."""

import gc
import json
import socket
import threading

import pytest

import tegata.line
from tegata.line import from_socket


@pytest.fixture
def agent(tmp_path):
    """Starts an agent that answers each request with some bytes; returns its supplier."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    done = threading.Event()

    def start(answer, and_close=True):
        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)
                    if not and_close:
                        done.wait(60)

        threading.Thread(target=serve, daemon=True).start()
        return from_socket(str(tmp_path / "socket"), "bot", "secret")

    yield start
    done.set()
    listener.close()


def response(status, body):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_the_token_of_the_agent_is_the_one_that_its_socket_answers(agent):
    token = agent(response(200, json.dumps({"access_token": "token"})))
    assert token() == token() == "token"


def test_the_agents_reason_is_in_the_error(agent):
    with pytest.raises(RuntimeError, match="no such name"):
        agent(response(404, '{"message": "there is no such name"}'))()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"])
def test_a_silent_agent_is_not_waited_for_without_end(agent, monkeypatch, said):
    monkeypatch.setattr(tegata.line, "_PATIENCE", 0.1)
    with pytest.raises(TimeoutError):
        agent(said, and_close=False)()


@pytest.mark.filterwarnings("error")
def test_an_agent_that_is_not_there_leaves_no_socket_open(tmp_path):
    with pytest.raises(FileNotFoundError):
        from_socket(str(tmp_path / "none"), "bot", "secret")()
    # A socket that was left open would be a warning, and that an error.
    gc.collect()
