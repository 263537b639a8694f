"""The fixture of pytest. It is there once the package is installed."""

import pytest


@pytest.fixture
def stand_in():
    """A server of its own for this test, a `tegata.stand_in.StandIn`; it is gone afterwards."""
    from .stand_in import StandIn

    with StandIn() as server:
        yield server
