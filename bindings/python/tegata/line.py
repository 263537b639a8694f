"""A channel access token that is always fresh, for bots on LINE's SDK for Python.

`tegata agent` renews the token; the bot reads it for each call instead of holding one that
expires:

    from linebot.v3.messaging import ApiClient, MessagingApi
    from tegata.line import FreshConfiguration, from_file

    configuration = FreshConfiguration(from_file("/run/bot/token"))
    api = MessagingApi(ApiClient(configuration))

Use `api` for as long as the process runs.
"""

import http.client
import json
import socket

from linebot.v3.messaging import Configuration

#: How long the agent may take to connect, and to send the next bytes, in seconds.
_PATIENCE = 10.0


class FreshConfiguration(Configuration):
    """The SDK's configuration, with a token that is read for each call."""

    def __init__(self, token, **others):
        self._token = token
        super().__init__(**others)

    @property
    def access_token(self):
        return self._token()

    @access_token.setter
    def access_token(self, _):
        """Ignores the value that the base class sets."""


def from_file(path):
    """The token in a file that the agent replaces as a whole."""

    def token():
        with open(path, encoding="ascii") as file:
            return file.read().strip()

    return token


def from_socket(path, name, secret):
    """The token of this name, from the agent's Unix socket."""

    def token():
        connection = _Connection(path)
        try:
            connection.request("GET", f"/token/{name}", headers={"Authorization": f"Bearer {secret}"})
            response = connection.getresponse()
            body = json.load(response)
            if response.status != 200:
                raise RuntimeError(f"the agent has no token: {body['message']}")
            return body["access_token"]
        finally:
            connection.close()

    return token


class _Connection(http.client.HTTPConnection):
    """A connection over a Unix socket."""

    def __init__(self, path):
        super().__init__("agent", timeout=_PATIENCE)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
