"""The exceptions for tokens that are not accepted."""


class NotAccepted(Exception):
    """A token is not accepted; `status` is that of the response to its request."""

    status: int


class Invalid(NotAccepted):
    """The token is not active: it has expired, was revoked, or is none."""

    status = 401


class Unknown(NotAccepted):
    """It is not known whether the token is active, since the authority did not respond for
    longer than the staleness. The client may repeat its request."""

    status = 503
