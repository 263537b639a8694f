"""Passes requests on to an authority; refuses those of the feed while a file exists."""
import http.client
import http.server
import os
import sys
import urllib.parse

authority = urllib.parse.urlsplit(sys.argv[1]).netloc
refuse = sys.argv[2]


class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        is_refused = os.path.exists(refuse) and self.path.startswith("/feed/")
        if is_refused:
            status, headers, body = 503, [], b""
        else:
            onward = http.client.HTTPConnection(authority, timeout=60)
            headers = {name: value for name, value in self.headers.items()}
            onward.request(self.command, self.path, body, headers)
            answer = onward.getresponse()
            status, headers, body = answer.status, answer.getheaders(), answer.read()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
print(server.server_port, flush=True)
server.serve_forever()
