"""Waits of tests for what another process does, long enough for a busy machine."""

import time


def until(is_so, what):
    """Waits until `is_so()`; fails with `what` after a minute."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < 60, what
        time.sleep(0.01)


def until_gone(server, verifier):
    """Waits until a verifier, by its path, has no instance."""
    until(lambda: server.admin("GET", verifier)["instances"] == [], "an instance did not say that it stopped")
