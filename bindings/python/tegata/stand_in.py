"""A server for tests, on a free port, with a channel and a clock that can be moved forward.

    with StandIn() as server:
        token = server.issue("short-lived")
        server.advance(30 * 24 * 60 * 60)
        assert not server.is_active(token)

pytest has it as the fixture `stand_in`.
"""

import json
import os
import queue
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import program

#: How long a start may take on a busy machine, in seconds.
_PATIENCE = 60.0

#: Starts the server, and kills it once the standard input is closed: also when this process was
#: killed, no server is left. The shell closes its output, which thereby ends with the server.
_KEEP = '"$@" </dev/null & server=$!; exec >&-; read -r _; kill -KILL $server; wait $server 2>/dev/null'

#: What the server prints of its channel, before the value.
_PRINTED = {
    "listening on": "url",
    "channel id": "id",
    "channel secret": "secret",
    "assertion key id": "key_id",
    "private assertion key": "key_file",
    "administrator's token": "admin_token",
}


@dataclass(frozen=True)
class Channel:
    """A channel with its credentials."""

    #: Its id, ten digits.
    id: str
    #: Its secret.
    secret: str
    #: The id of its assertion key.
    key_id: str
    #: The file with its private assertion key, as JWK.
    key_file: str

    @property
    def key(self) -> dict:
        """Its private assertion key as a JWK, to sign assertions for v2.1 tokens with."""
        return json.loads(Path(self.key_file).read_text())


class RequestFailed(Exception):
    """The server has answered a request with an error."""

    def __init__(self, status: int, body: str):
        super().__init__(f"{status}: {body}")
        #: The status of the response.
        self.status = status
        #: Its body.
        self.body = body


class StandIn:
    """A development server with a channel. Starts with the object, and is stopped by `stop` or at
    the end of a `with` statement; nothing is left then."""

    #: Its address, as `http://127.0.0.1:PORT`.
    url: str
    #: The administrator's token, for the admin API.
    admin_token: str
    #: Its channel.
    channel: Channel

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tegata-stand-in-")
        self._verifiers = []
        self._aside = None
        ours = {name: it for name, it in os.environ.items() if not name.startswith(("TEGATA_", "OTEL_"))}
        ours |= {"TMPDIR": self._folder.name, "TEGATA_LOG": "warn"}
        serve = [program.path(), "serve", "--dev", "--listen", "127.0.0.1:0"]
        self._log = Path(self._folder.name, "log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _KEEP, "sh", *serve],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder.name,
                env=ours,
                # An interrupt at the terminal is for this process, which then closes the input.
                start_new_session=True,
            )
        try:
            found = self._printed()
        except BaseException:
            self.stop()
            raise
        self.url = found.pop("url")
        self.admin_token = found.pop("admin_token")
        self.channel = Channel(**found)

    def _printed(self) -> dict:
        """What the server prints about itself and its channel."""
        lines: queue.SimpleQueue = queue.SimpleQueue()

        def read():
            # To its end, so that the server never waits for a reader.
            for line in self._process.stdout:
                lines.put(line.decode(errors="replace"))
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        found: dict = {}
        while len(found) < len(_PRINTED):
            try:
                line = lines.get(timeout=_PATIENCE)
            except queue.Empty:
                line = None
            if line is None:
                raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')}")
            for words, name in _PRINTED.items():
                if line.startswith(words + " "):
                    found[name] = line.removeprefix(words).strip()
        return found

    # The clock and faults.

    def now(self) -> int:
        """The server's time, in Unix seconds."""
        return self._json("GET", "/dev/clock")["now_unix"]

    def advance(self, seconds: int) -> int:
        """Moves the server's clock forward; returns its time. Tokens expire by it, also for the
        verifiers of `connect` once this returns."""
        now = self._json("POST", "/dev/clock", {"advance_seconds": seconds})["now_unix"]
        if self._verifiers:
            self.settle()
        return now

    def settle(self) -> None:
        """Waits until every verifier has applied what the server has done: evictions, too, which
        have no receipt."""
        if self._aside is None:
            # A change of a channel without tokens affects nothing else.
            provider = self.admin("GET", f"/channels/{self.channel.id}")["provider_id"]
            made = self.admin("POST", f"/providers/{provider}/channels", {"name": "settle", "type": "line-login"})
            self._aside = made["channel_id"]
        self._revoke(self._aside, {"all": True})

    def fault(self, status: int = 503, *, count: int = 1, delay: float = 0, path: str | None = None) -> None:
        """Makes the server answer the next `count` requests, of the paths that begin with `path`,
        with a status of 429, 500 or 503, `delay` seconds late. A verifier's requests count, too,
        unless `path` is another one."""
        fault = {"status": status, "count": count, "delay_ms": round(delay * 1000)}
        self._json("POST", "/dev/faults", fault if path is None else {**fault, "path": path})

    def clear_faults(self) -> None:
        """Removes the faults that are still to come."""
        self._json("DELETE", "/dev/faults")

    # Tokens.

    def issue(self, kind: str = "stateless", *, group: str | None = None, lifetime: int | None = None) -> str:
        """Issues a token of the channel: `stateless`, `short-lived`, `long-lived` or `v2.1`.

        `lifetime`, in seconds, is for `v2.1`. Its assertion is signed for the present time: after
        `advance`, sign one yourself with `channel.key`.
        """
        if kind == "v2.1":
            return self._issue_by_assertion(group, lifetime)
        if kind == "long-lived":
            path = f"/channels/{self.channel.id}/long-lived-token"
            return self.admin("POST", path, {"delay_seconds": 0})["access_token"]
        form = {
            "grant_type": "client_credentials",
            "client_id": self.channel.id,
            "client_secret": self.channel.secret,
        }
        if group is not None:
            form["group"] = group
        paths = {"stateless": "/oauth2/v3/token", "short-lived": "/v2/oauth/accessToken"}
        return self._json("POST", paths[kind], form=form)["access_token"]

    def _issue_by_assertion(self, group, lifetime) -> str:
        channel = self.channel
        command = [program.path(), "--url", self.url, "-o", "json", "token", "issue", "--kind", "v2.1"]
        command += ["--channel", channel.id, "--key", channel.key_file]
        command += [] if group is None else ["--group", group]
        command += [] if lifetime is None else ["--lifetime", str(lifetime)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout)["access_token"]

    def revoke(self, token: str) -> None:
        """Revokes a token, whatever its kind; returns once every verifier has applied it."""
        self._revoke(self.channel.id, {"access_token": token})

    def _revoke(self, channel: str, what: dict) -> None:
        path = f"/channels/{channel}/revocations"
        done = self.admin("POST", path, {**what, "wait_seconds": 60})
        if done["receipt"]["state"] != "complete":
            raise RuntimeError(f"not every verifier has applied the revocation: {done['receipt']}")

    def is_active(self, token: str) -> bool:
        """Whether the server accepts a token now, as a gateway asks it."""
        try:
            self._send("GET", "/gateway/verify", headers={"Authorization": f"Bearer {token}"})
        except RequestFailed as failed:
            if failed.status == 401:
                return False
            raise
        return True

    def connect(self, **settings):
        """A `tegata.Verifier` that follows this server, with a view already; it is closed with the
        server. The settings are those of `tegata.connect`."""
        from .verifier import connect

        made = self.admin("POST", "/verifiers", {"name": "tests"})
        verifier = connect(self.url, made["verifier_token"], **settings)
        self._verifiers.append(verifier)
        if not verifier.ready(_PATIENCE):
            raise RuntimeError(f"the verifier has no view: {verifier.health()}")
        return verifier

    def admin(self, method: str, path: str, body: dict | None = None):
        """Calls the admin API; `path` is what follows `/admin/v1`. Raises `RequestFailed`."""
        authorization = {"Authorization": f"Bearer {self.admin_token}"}
        return self._json(method, "/admin/v1" + path, body, headers=authorization)

    # Requests.

    def _json(self, method, path, body=None, *, form=None, headers=None):
        headers = dict(headers or {})
        data = None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return json.loads(self._send(method, path, data, headers) or "null")

    def _send(self, method, path, data=None, headers=None) -> str:
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        # No request for this machine goes to a proxy of the environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_PATIENCE) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            raise RequestFailed(error.code, error.read().decode(errors="replace")) from None

    def stop(self) -> None:
        """Kills the server and deletes its files; can be called again."""
        while self._verifiers:
            self._verifiers.pop().close()
        process = self._process
        if process.stdin and not process.stdin.closed:
            try:
                # A line, not the end of the input: a forked process may have it open, too.
                process.stdin.write(b"\n")
                process.stdin.close()
            except BrokenPipeError:
                pass
        process.wait(_PATIENCE)
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
