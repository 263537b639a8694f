"""What the tests share: one server for all that do not move its clock far, and a verifier."""

import pytest

from tegata.stand_in import StandIn


@pytest.fixture(scope="session")
def server():
    with StandIn() as it:
        yield it


@pytest.fixture(scope="session")
def verifier(server):
    return server.connect(staleness=30)
