"""Verification in memory, by a follower of the authority's feed."""

import atexit
import weakref

from . import _tegata
from ._tegata import Token
from .waiting import answer

__all__ = ["Token", "Verifier", "connect", "gate"]

#: The verifiers that are closed when the interpreter exits.
_open: "weakref.WeakSet[Verifier]" = weakref.WeakSet()

#: How long the exit of the interpreter waits for the authority, in seconds, however many verifiers
#: there are.
_EXIT = 1.0


class Verifier(_tegata.Verifier):
    """Verifies tokens from memory.

    The follower is a thread of its own without Python code: a blocked event loop does not delay
    it. A forked process starts its own at its first verification. The parameters are those of
    `connect`. Can be used in a `with` statement, which closes it.
    """

    def __init__(self, *_, **__):
        _open.add(self)

    async def verify_async(self, token: str, source: "str | None" = None) -> Token:
        """As `verify`, but neither the event loop nor a thread waits for the authority."""
        found = self.recall(token, source)
        return await answer(self.ask, token, source) if found is None else found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(authority: str, verifier_token: str, **settings) -> Verifier:
    """Starts to follow the feed of an authority, and returns at once.

    `authority` is its address, `verifier_token` what `tegata verifier create` printed. Further
    parameters, all optional:

    - `staleness`: the age in seconds up to which the view may be used (default 60). A revoked
      token is accepted for at most this long, whatever fails.
    - `on_stale`: what is done with an older view: `deny` (default) raises `Unknown`, `ask` asks
      the authority about each token, `allow` uses the view.
    - `authority_ca`: the certificate authorities to trust, as PEM.
    - `copy`: a file for a copy of the view, which one process may use; a forked one has none.
    - `report_uses`: whether the authority learns when tokens were last used (default True).
    - `cached_tokens`: number of tokens whose signature check is kept (default 10,000).

    Raises `ValueError` if a setting is wrong. That the authority cannot be reached is no error:
    until then, `verify` raises `Unknown`.
    """
    return Verifier(authority, verifier_token, **settings)


@atexit.register
def _close_all() -> None:
    _tegata.close_all(list(_open), _EXIT)


def gate(verifier: Verifier, kinds, channels, groups) -> _tegata.Gate:
    """The decision about requests whose tokens must be of one of these kinds, channels and
    groups; an empty sequence is no condition."""
    lists = {"kind": kinds, "channel": channels, "group": groups}
    return _tegata.Gate(verifier, [(name, str(it)) for name, values in lists.items() for it in values])
