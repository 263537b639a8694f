"""Verifies channel access tokens of Tegata in memory, and starts servers for tests.

`connect` returns a `Verifier`. `tegata.stand_in` has the server for tests, `tegata.asgi`,
`tegata.wsgi` and `tegata.flask` verify the token of each request, and `tegata.line` has the
token suppliers for LINE's SDK.
"""

from typing import TYPE_CHECKING

from .errors import Invalid, NotAccepted, Unknown

if TYPE_CHECKING:
    from ._tegata import Token
    from .verifier import Verifier, connect

__all__ = ["Invalid", "NotAccepted", "Token", "Unknown", "Verifier", "connect"]


def __getattr__(name: str):
    # The native module is loaded only by programs that verify: the others start faster.
    if name in ("Token", "Verifier", "connect"):
        from . import verifier

        return getattr(verifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
