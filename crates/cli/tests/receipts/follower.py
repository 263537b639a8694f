"""Followers of the feed, by the rules of docs/feed.md: one thread for each.

Arguments: address, verifier's token, staleness in milliseconds, number of followers.
A line `accepts CHANNEL` on standard input is answered with the number of followers that
would accept a token of that channel, issued before any revocation of it; `fresh` with the
number of those whose view is not stale.
"""
import http.client, json, random, secrets, sys, threading, time

address, token, staleness, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def steady():
    """Counts suspension of the machine, and goes on while this process is stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Follower:
    def __init__(self):
        self.instance = secrets.token_urlsafe(16)
        self.state = None  # (position, channels with revocations, made at), replaced whole
        self.seq = 0

    def ask(self, path, more, timeout):
        self.seq += 1
        query = (f"/feed/{path}?instance={self.instance}&staleness={staleness}&on_stale=deny"
                 f"&speaks=1&seq={self.seq}{more}")
        sent = steady()
        connection = http.client.HTTPConnection(address, timeout=timeout)
        try:
            connection.request("GET", query, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return response.status, None, None
        answer = json.loads(body)
        if answer["seq"] != str(self.seq):
            return None, None, None
        return 200, answer, sent - answer["age_ms"] / 1000

    def step(self):
        if self.state is None:
            status, answer, made = self.ask("snapshot", "", 10)
            if status == 200:
                snapshot = answer["snapshot"]
                touched = {it["channel"] for it in snapshot["channels"]}
                self.state = (snapshot["position"], touched, made)
            return status
        position, touched, _ = self.state
        timeout = staleness / 3000 + min(2, staleness / 3000)
        status, answer, made = self.ask("changes", f"&after={position}&hold=25000", timeout)
        if status == 200:
            new = {it["channel"] for it in answer["changes"] if it["channel"]}
            self.state = (answer["through"], touched | new, made)
        elif status == 410:
            self.state = None
        return status

    def run(self):
        while True:
            try:
                status = self.step()
            except (OSError, http.client.HTTPException):
                status = None
            if status not in (200, 410):
                time.sleep(random.uniform(0, min(5, staleness / 3000)))

    def standing(self, channel):
        state = self.state
        if state is None:
            return "stale"
        revoked = channel in state[1]
        if steady() - state[2] > staleness / 1000:
            return "stale"
        return "revoked" if revoked else "active"


followers = [Follower() for _ in range(count)]
for follower in followers:
    threading.Thread(target=follower.run, daemon=True).start()
for line in sys.stdin:
    words = line.split()
    channel = words[1] if len(words) > 1 else ""
    found = [it.standing(channel) for it in followers]
    wanted = {"accepts": lambda it: it == "active", "fresh": lambda it: it != "stale"}[words[0]]
    print(sum(map(wanted, found)), flush=True)
