"""The native module. Use it by `tegata`, `tegata.asgi` and `tegata.wsgi`."""

from os import PathLike
from typing import Any, final

@final
class Token:
    """A token that is active. Its text is not kept."""

    @property
    def id(self) -> str:
        """Its id, which a JWT has as `jti`."""
    @property
    def kind(self) -> str:
        """`v2.1`, `stateless`, `short-lived` or `long-lived`."""
    @property
    def channel(self) -> str:
        """The id of the channel that it gives access to."""
    @property
    def provider(self) -> str:
        """The id of the provider that owns the channel."""
    @property
    def group(self) -> str | None:
        """The group within the channel that holds it."""
    @property
    def issued_at(self) -> int:
        """When it was issued, in Unix seconds."""
    @property
    def until(self) -> int:
        """The first moment at which it is no longer active, as far as is known now."""
    @property
    def stale(self) -> str | None:
        """Why the view is stale, which `on_stale="allow"` permits; else None."""

class Verifier:
    def __init__(
        self,
        authority: str,
        verifier_token: str,
        *,
        staleness: float = 60.0,
        on_stale: str = "deny",
        authority_ca: bytes | None = None,
        copy: str | PathLike[str] | None = None,
        report_uses: bool = True,
        cached_tokens: int = 10_000,
    ) -> None: ...
    def verify(self, token: str, source: str | None = None) -> Token:
        """Verifies a token. Waits for the authority, for a second at most, only if memory does
        not answer: without a view yet, for an unknown key or a suspended channel, and with
        `on_stale="ask"`. At most 1,024 verifications wait.

        Counts a use of the token, for the authority's record of when it was last used; `source`
        is the client's IP address.

        Raises `Invalid` or `Unknown`.
        """
    def recall(self, token: str, source: str | None = None) -> Token | None:
        """Verifies a token from memory alone, and counts its use; None if that does not answer.

        Raises `Invalid` or `Unknown`.
        """
    def ask(
        self, answers: Answers, number: int, token: str, source: str | None = None
    ) -> None: ...
    def ready(self, timeout: float = 1.0) -> bool:
        """Waits until there is a view, for at most `timeout` seconds; returns whether there
        is one."""
    def age(self) -> float | None:
        """The age of the view in seconds; None without a view."""
    def health(self) -> dict[str, Any]:
        """The health: `age`, `stale`, `rejected`, `failure`, `position` and more. `stale` is
        None as long as the view can be relied on."""
    def close(self, timeout: float = 1.0) -> None:
        """Stops: every later verification raises `Unknown`, and the authority learns that this
        process is gone. Waits for its response for at most `timeout` seconds."""

@final
class Refused:
    """The response to a request that is not let through."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...

@final
class Gate:
    """Decides about requests by their `Authorization` headers."""

    def __init__(self, verifier: Verifier, conditions: list[tuple[str, str]]) -> None: ...
    def recall(self, authorization: list[bytes], source: str | None = None) -> Token | Refused | None: ...
    def verify(self, authorization: list[bytes], source: str | None = None) -> Token | Refused: ...
    def ask(
        self, answers: Answers, number: int, authorization: list[bytes], source: str | None = None
    ) -> None: ...

@final
class Answers:
    """What verifications that wait for the authority are answered, for one event loop."""

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def take(self) -> list[tuple[int, Token | Refused | Exception]]: ...

def close_all(verifiers: list[Verifier], timeout: float) -> None: ...
