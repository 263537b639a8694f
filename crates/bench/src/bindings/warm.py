"""Measures verifications in nanoseconds each, in rounds: from memory, and by introspection.

Arguments: the authority's address, a verifier's token, a file of tokens, the number of rounds.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlencode, urlsplit

import tegata

url, secret, file, rounds = sys.argv[1:]
tokens = open(file).read().split()
verifier = tegata.connect(url, secret)
assert verifier.ready(60)
verify = verifier.verify
connection = http.client.HTTPConnection(urlsplit(url).netloc)
headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/x-www-form-urlencoded"}


def warm():
    began = time.perf_counter_ns()
    for _ in range(10):
        for token in tokens:
            verify(token)
    return (time.perf_counter_ns() - began) / (10 * len(tokens))


def introspection():
    began = time.perf_counter_ns()
    for token in tokens[:50]:
        connection.request("POST", "/oauth2/introspect", urlencode({"token": token}), headers)
        assert json.load(connection.getresponse())["active"]
    return (time.perf_counter_ns() - began) / 50


warm()
measured = {"warm": [], "introspection": []}
for _ in range(int(rounds)):
    measured["warm"].append(warm())
    measured["introspection"].append(introspection())
print(json.dumps(measured))
