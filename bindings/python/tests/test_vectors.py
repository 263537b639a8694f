"""The vectors of `testdata/feed`, of both token forms, by the package as it is installed."""

import json
import os
import time
from pathlib import Path

import tegata
from feed import Authority

DATA = Path(os.environ["TESTDATA"])

#: The words of a vector for the package's own.
REASONS = {"unknown-key": "signed by an unknown key", "suspended": "its channel is suspended"}


def cases(name):
    return json.loads((DATA / name).read_text())["cases"]


def answer(verifier, token):
    try:
        return "active", verifier.verify(token).until
    except tegata.Invalid as invalid:
        for word, reason in REASONS.items():
            if reason in str(invalid):
                return word, None
        return "invalid", None


def test_tokens_get_the_answers_of_the_vectors():
    all = cases("verify.json")
    authority = Authority(all)
    forms = {case["token"][:4] for case in all if case["answer"] == "active"}
    assert {"eyJh", "tgs_", "tgl_"} <= forms, "both forms are among the vectors"
    for number, case in enumerate(all):
        with tegata.connect(authority.url(number), "token") as verifier:
            assert verifier.ready(60), case["name"]
            assert answer(verifier, case["token"]) == (case["answer"], case.get("until")), case["name"]


def test_changes_lead_to_the_views_of_the_vectors():
    all = cases("changes.json")
    authority = Authority(all)
    for number, case in enumerate(all):
        with tegata.connect(authority.url(number), "token") as verifier:
            began = time.monotonic()
            while verifier.health()["position"] != case["result"]["position"]:
                assert time.monotonic() - began < 60, case["name"]
                time.sleep(0.01)
            for probe in case["probes"]:
                assert answer(verifier, probe["token"])[0] == probe["answer"], case["name"]
