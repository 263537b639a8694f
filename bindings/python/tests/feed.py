"""An authority that serves the vectors of `testdata/feed` over HTTP, one under each path."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


class Authority(ThreadingHTTPServer):
    """Serves `cases[N]` at `/N/`."""

    daemon_threads = True

    def __init__(self, cases):
        super().__init__(("127.0.0.1", 0), Handler)
        self.cases = cases
        Thread(target=self.serve_forever, daemon=True).start()

    def url(self, number):
        return f"http://127.0.0.1:{self.server_port}/{number}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        _, number, _, call = url.path.split("/")
        answer = getattr(self, call)(self.server.cases[int(number)], query)
        body = json.dumps({**answer, "seq": query.get("seq")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def head(self, case):
        # A case of changes has its time in its probes.
        now = case["time"] if "time" in case else case["probes"][0]["time"]
        return {"feed": 1, "age_ms": 0, "time_ms": now * 1000}

    def snapshot(self, case, _query):
        return {**self.head(case), "snapshot": case["snapshot"]}

    def changes(self, case, query):
        after = query["after"]
        for response in case.get("responses", []):
            if response["after"] == after:
                return {**response, "time_ms": self.head(case)["time_ms"]}
        time.sleep(int(query["hold"]) / 1000)
        return {**self.head(case), "after": after, "through": after, "changes": []}

    def log_message(self, *_):
        """Prints nothing."""
