#!/usr/bin/env python3
"""A follower of Tegata's feed in plain Python, by docs/feed.md, for `tegata feed conform`.

An argument plants a fault: `no-age-check`, `merged-snapshot` or `skips-unknown`.
"""
import base64, json, sys
from ed25519 import signed_by

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
SPEAKS = {"nothing", "revoked", "cutoff", "state", "forget", "signing-key"}
# ---- tokens
def unbase(text):
    bytes = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(bytes).rstrip(b"=").decode() != text: raise ValueError(text)
    return bytes
def parse(token):
    """The key, the message, the signature and a function for the claims."""
    if token[:4] in ("tgs_", "tgl_"):
        raw = unbase(token[4:])
        body, signature = raw[:-64], raw[-64:]
        if body[0] != 1 or len(body) != 62 + body[61]: raise ValueError
        number = lambda a, b: int.from_bytes(body[a:b], "big")
        claims = {"provider": "%010d" % number(9, 17), "sub": "%010d" % number(17, 25), "serial": number(25, 33),
                  "iat": number(33, 39), "exp": number(39, 45), "jti": None, "kind": {"s": "short-lived", "l": "long-lived"}[token[2]]}
        if body[61]: claims["group"] = body[62:].decode()
        return base64.urlsafe_b64encode(body[1:9]).rstrip(b"=").decode(), token[:4].encode() + body, signature, claims
    header, payload, signature = token.split(".")
    start, end = '{"alg":"EdDSA","typ":"at+jwt","kid":"', '"}'
    header = unbase(header).decode()
    if not header.startswith(start) or len(header) != len(start) + 13 or not header.endswith(end): raise ValueError
    claims = json.loads(unbase(payload))
    return header[len(start):-2], token.rsplit(".", 1)[0].encode(), unbase(signature), claims
CACHE = {}
class View:
    def __init__(self, snapshot):
        self.provider, self.keys, self.channels = snapshot["provider"], {}, {}
        self.at(snapshot["position"])
        for key in snapshot["keys"]: self.key(key)
        for it in snapshot["channels"]:
            if it["type"] != "channel": raise ValueError("unknown type " + it["type"])
            self.add(it["channel"], it)
            self.channels[it["channel"]]["state"] = it["state"]
    def at(self, position): self.epoch, self.number = map(int, position.split("-"))
    def position(self): return "%d-%d" % (self.epoch, self.number)
    def key(self, key):
        if key["type"] != "ed25519": raise ValueError("unknown type " + key["type"])
        self.keys[key["kid"]] = key
    def add(self, channel, body):
        it = self.channels.setdefault(channel, {"state": "active", "cutoffs": [], "serials": {}, "ids": {}})
        for cutoff in body.get("cutoffs", []):
            if cutoff["type"] not in COVERS: raise ValueError("unknown type " + cutoff["type"])
            it["cutoffs"].append(cutoff)
        for one in body.get("revoked", []): it["serials"][int(one["serial"])] = one["until"]
        for one in body.get("revoked_ids", []): it["ids"][one["id"]] = one["until"]
    def apply(self, change):
        body, channel = change["change"], change["channel"]
        if body["type"] not in SPEAKS:
            if FAULT == "skips-unknown": return
            raise ValueError("unknown type " + body["type"])
        if body["type"] == "nothing": return
        if body["type"] == "signing-key": return self.key(body["key"])
        self.add(channel, body)
        it = self.channels[channel]
        if body["type"] == "state" and it["state"] != "deleted": it["state"] = body["state"]
        if body["type"] == "forget":
            it["cutoffs"] = [c for c in it["cutoffs"] if c["until"] > body["expired_by"]]
            for name in ("serials", "ids"): it[name] = {k: v for k, v in it[name].items() if v > body["expired_by"]}
    def check(self, token, time):
        if token not in CACHE:
            try: kid, message, signature, claims = parse(token)
            except Exception: return "invalid"
            if kid not in self.keys: return "unknown-key"
            if not signed_by(unbase(self.keys[kid]["x"]), message, signature): return "invalid"
            CACHE[token] = kid, claims
        kid, c = CACHE[token]
        if kid not in self.keys: return "unknown-key"
        key, it = self.keys[kid], self.channels.get(c["sub"])
        if self.provider not in (None, c["provider"]) or time >= c["exp"]: return "invalid"
        if key["state"] == "revoked" or c["iat"] >= key.get("issued_before", 1 << 62): return "invalid"
        if not it: return "active"
        stateless = c["kind"] == "stateless"
        single = c["jti"] in it["ids"] if stateless else c["serial"] in it["serials"]
        covered = any(c["serial"] < int(x["below"]) and COVERS[x["type"]](x, c) and x.get("from", 0) <= time
                      and (stateless or str(c["serial"]) not in x.get("except", [])) for x in it["cutoffs"])
        if it["state"] == "deleted" or single or covered: return "invalid"
        return "suspended" if it["state"] == "suspended" else "active"
COVERS = {
    "channel": lambda x, c: True,
    "kind": lambda x, c: c["kind"] == x["kind"],
    "kind-group": lambda x, c: c["kind"] == x["kind"] and c.get("group") == x["group"],
    "kind-without-group": lambda x, c: c["kind"] == x["kind"] and "group" not in c,
    "group": lambda x, c: c.get("group") == x["group"],
    "assertion-key": lambda x, c: c.get("ak") == x["assertion_key"],
    "secret": lambda x, c: c["kind"] in ("short-lived", "stateless") and "ak" not in c,
}

# ---- the follower
class Follower:
    def __init__(self, m):
        self.instance, self.staleness, self.on_stale = m["instance"], m["staleness_ms"], m["on_stale"]
        self.view = self.cannot = self.bye = self.main = self.question = None; self.wants = self.rejected = False
        self.snapshot, self.count, self.asked, self.not_before, self.quiet, self.clock = True, 0, -1e18, 0, 0, (0, 0, 0)
    def send(self, m, path, **more):
        self.count += 1
        query = {"instance": self.instance, "staleness": str(self.staleness), "on_stale": self.on_stale, "speaks": "1", "seq": str(self.count), **more}
        hold = int(more.get("hold", 0))
        timeout = hold + min(2000, self.staleness / 3) if path == "/feed/changes" else 10000
        sent = {"id": str(self.count), "path": path, "query": query, "at": m["steady_ms"], "gap": m["wall_ms"] - m["steady_ms"], "until": m["steady_ms"] + timeout}
        self.out.append({k: sent[k] for k in ("id", "path", "query")})
        return sent
    def retry(self, m): self.not_before = m["steady_ms"] + min(5000, self.staleness / 3) * m["random"]
    def next(self, m):
        now, self.out = m["steady_ms"], []
        if self.main and self.main["until"] <= now: self.main = None; self.retry(m)
        if self.question and self.question["until"] <= now: self.question = None
        if not self.main and now >= self.not_before and self.bye != "done":
            if self.bye: self.main = self.send(m, "/feed/changes", after=self.view.position() if self.view else "0-0", hold="0", bye="1")
            elif self.snapshot: self.main = self.send(m, "/feed/snapshot")
            else: self.main = self.send(m, "/feed/changes", after=self.view.position(), hold=str(int(min(25000, self.staleness / 3))))
        if self.wants and not self.question and not self.snapshot and not self.bye and now >= self.asked + 1000:
            self.wants, self.asked = False, now
            self.question = self.send(m, "/feed/changes", after=self.view.position(), hold="0")
        ends = [self.main["until"] if self.main else self.not_before]
        if self.question: ends.append(self.question["until"])
        elif self.wants: ends.append(self.asked + 1000)
        return {"type": "send", "requests": self.out, "wait_ms": max(1, int(min(ends) - now) + 1)}
    def response(self, m):
        name = next((n for n in ("main", "question") if getattr(self, n) and getattr(self, n)["id"] == m["id"]), None)
        if not name: return
        sent, status = getattr(self, name), m["status"]
        setattr(self, name, None)
        if name == "main": self.not_before = m["steady_ms"]
        if "bye" in sent["query"]:
            if status in (200, 403, 410): self.bye = "done"
            return self.retry(m)
        if status == 410: self.snapshot = True; self.not_before = m["steady_ms"] + 100 * m["random"]
        elif status in (400, 401, 403, 426): self.rejected = True; self.retry(m)
        elif status != 200: self.retry(m) if name == "main" else None
        else:
            try: self.apply(sent, json.loads(m["body"]), m)
            except Exception: self.snapshot = True
            if self.snapshot or self.quiet: self.retry(m)
    def apply(self, sent, body, m):
        now = m["steady_ms"]
        if body["feed"] != 1 or body["seq"] != sent["id"]: raise ValueError("not the response")
        as_of = sent["at"] - body["age_ms"]
        if "snapshot" in body:
            new, old = View(body["snapshot"]), self.view
            if old and (new.epoch, new.number) < (old.epoch, old.number): return
            if old and FAULT == "merged-snapshot": new.channels = {**old.channels, **new.channels}
            self.as_of, self.sent, self.gap, self.snapshot, self.quiet = as_of, sent["at"], sent["gap"], False, 0
        else:
            after, new = sent["query"]["after"], self.view
            epoch, number = map(int, after.split("-"))
            if body["after"] != after: raise ValueError("for another position")
            if new.epoch != epoch or new.number < number: return
            first = body["changes"][0]["position"] if body["changes"] else None
            if first and new.provider is None and first != "%d-%d" % (epoch, number + 1): raise ValueError("a gap")
            for change in body["changes"]:
                if int(change["position"].split("-")[1]) > new.number: new.apply(change)
            new.number = max(new.number, int(body["through"].split("-")[1]))
            early = not body["changes"] and now - sent["at"] < int(sent["query"]["hold"]) / 2
            if body["changes"] or sent["query"]["hold"] != "0": self.quiet = self.quiet + 1 if early else 0
            if self.quiet >= 3: self.quiet, self.snapshot = 0, True
            if sent["at"] > self.sent: self.gap = sent["gap"]
            self.as_of, self.sent = max(self.as_of, as_of), max(self.sent, sent["at"])
        read, (reckoned, least) = body["time_ms"], self.reckon(now)
        self.clock = min(max(reckoned, read), read + now - as_of), now, least
        self.view, self.rejected = new, False
    def reckon(self, now): at = self.clock[0] + now - self.clock[1]; return at, max(at, self.clock[2])
    def verify(self, m):
        if not self.view or self.bye: return "stale"
        now, age = m["steady_ms"], m["steady_ms"] - self.as_of
        answer = self.view.check(m["token"], self.reckon(now)[1] // 1000)
        if answer == "invalid": return answer
        stale = age > self.staleness or abs(m["wall_ms"] - now - self.gap) >= 100
        if FAULT == "no-age-check": stale = False
        if self.rejected or stale and self.on_stale != "allow": return "stale"
        if answer == "active" or not stale and (self.sent >= m["began_ms"] or answer == "suspended" and age < 1000): return answer
        self.wants = True
        return "question"

follower = view = None
for line in sys.stdin:
    m, reply = json.loads(line), {"type": "ok"}
    if m["type"] == "view":
        try:
            view = View(m["snapshot"])
            for response in m["responses"]:
                for change in response["changes"]: view.apply(change)
                view.at(response["through"])
        except Exception as problem: reply = {"type": "cannot", "reason": str(problem)}
        CACHE.clear()
    elif m["type"] == "check": reply = {"type": "answer", "answer": view.check(m["token"], m["time"])}
    elif m["type"] == "start": follower = Follower(m)
    elif m["type"] == "next": reply = follower.next(m)
    elif m["type"] == "response": follower.response(m)
    elif m["type"] == "verify": reply = {"type": "answer", "answer": follower.verify(m)}
    elif m["type"] == "stop": follower.bye, follower.main, follower.question = "wanted", None, None
    print(json.dumps(reply), flush=True)
