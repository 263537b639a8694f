"""An API behind the proxies: a WSGI program, so that headers reach it as such programs
see them, in capital letters and with `_` for `-`. It answers with the request that it
got; `/seen` answers how many that were."""

import http.client
import json
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

# The proxies decide how many headers a request may have.
http.client._MAXHEADERS = 1000


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    seen = 0


def api(environ, start_response):
    if environ["PATH_INFO"] == "/seen":
        answer = server.seen
    else:
        server.seen += 1
        length = int(environ.get("CONTENT_LENGTH") or 0)
        answer = {
            "request": environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "body": environ["wsgi.input"].read(length).decode(),
            "headers": {k[5:]: v for k, v in environ.items() if k.startswith("HTTP_")},
        }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


server = Server(("127.0.0.1", 0), Handler)
server.set_app(api)
print(server.server_port, flush=True)
server.serve_forever()
