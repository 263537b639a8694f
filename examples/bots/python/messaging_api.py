"""The part of a Messaging API that the bot uses. It verifies tokens in memory, as a real API
behind Tegata does."""

import json
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

from tegata.wsgi import Middleware


class MessagingApi:
    def __init__(self, verifier):
        #: What was sent: pairs of the receiver and the text.
        self.sent = []
        self._server = make_server("127.0.0.1", 0, Middleware(self._push, verifier), handler_class=Quiet)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def _push(self, environ, start_response):
        assert environ["PATH_INFO"] == "/v2/bot/message/push"
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        self.sent += [(body["to"], message["text"]) for message in body["messages"]]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"sentMessages": [{"id": "1"}]}']

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        """Prints nothing."""
