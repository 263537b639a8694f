"""Issues, verifies, lists and revokes every kind of channel access token with LINE's
own SDK for Python, unmodified: first its plain client, then its asyncio one.

    TEGATA_URL=http://127.0.0.1:8080 TEGATA_ADMIN_TOKEN=... python line_python.py

The server must run with `--dev`, because tokens are seen to expire by moving
its clock. Each client gets a provider, a channel and an assertion key of its
own. Prints a line for each step and, at the end, a JSON line with the count of
checks; ends with 1 at the first check that fails.
"""

import asyncio
import base64
import contextlib
import faulthandler
import importlib.metadata
import inspect
import json
import os
import sys
import traceback
import urllib.error
import urllib.request
import uuid
from datetime import datetime

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from linebot.v3.oauth import (
    ApiClient,
    ApiException,
    AsyncApiClient,
    AsyncChannelAccessToken,
    ChannelAccessToken,
    ChannelAccessTokenKeyIdsResponse,
    Configuration,
    IssueChannelAccessTokenResponse,
    IssueShortLivedChannelAccessTokenResponse,
    IssueStatelessChannelAccessTokenResponse,
    VerifyChannelAccessTokenResponse,
)
from linebot.v3.oauth.exceptions import NotFoundException

GRANT = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MONTH = 30 * 24 * 60 * 60
I32_MAX = 2**31 - 1

# What LINE documents, word for word.
NO_SUCH_KEY = {"message": "Cannot find channel key that satisfies the conditions"}
FULL = {"message": "The maximum number of access tokens has already been issued"}


def error(kind, description):
    return {"error": kind, "error_description": description}


EXPIRED = error("invalid_request", "The access token expired")
REVOKED = error("invalid_request", "The access token revoked")
NOT_JWS = error("invalid_request", "The access token not JWS")
OPAQUE_INVALID = error("invalid_request", "access_token invalid")
OPAQUE_FORMAT = error("invalid_request", "access_token in invalid format")


class Server:
    """The server under test: its address, admin API and clock."""

    def __init__(self, url, admin_token):
        self.url = url.rstrip("/")
        self.admin_token = admin_token

    def admin(self, path, body, status=201):
        return self._call("/admin/v1" + path, body, status, {"Authorization": f"Bearer {self.admin_token}"})

    def now(self):
        return self._call("/dev/clock", None, 200)["now_unix"]

    def advance(self, seconds):
        return self._call("/dev/clock", {"advance_seconds": seconds}, 200)["now_unix"]

    def _call(self, path, body, status, headers=None):
        request = urllib.request.Request(self.url + path, headers=headers or {})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                got, text = answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            got, text = refusal.code, refusal.read()
        check(got == status, f"{request.get_method()} {path}: {got} {text!r}, expected {status}")
        return json.loads(text)


class AssertionKey:
    """An RSA key pair; `kid` is known once its public half is registered."""

    def __init__(self):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = None

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "n": base64url(numbers.n), "e": base64url(numbers.e)}

    def sign(self, now, channel_id, *, kid=None, **claims):
        """An assertion as LINE's guide writes it; `claims` replace or, if None, remove."""
        payload = {
            "iss": channel_id,
            "sub": channel_id,
            "aud": "https://api.line.me/",
            "exp": now + 30 * 60,
            "token_exp": MONTH,
        } | claims
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, self.private, algorithm="RS256", headers={"kid": kid or self.kid})


class Client:
    """Either of the SDK's two clients, called alike: every method is awaited."""

    def __init__(self, api, not_found):
        self.api = api
        self.not_found = not_found

    def __getattr__(self, name):
        method = getattr(self.api, name)

        async def call(*args, **kwargs):
            result = method(*args, _request_timeout=30, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return call


async def life(server, client):
    """The whole life of each kind, on a channel of its own."""
    with step("a channel of its own, with an assertion key"):
        provider = server.admin("/providers", {"name": "SDK for Python"})
        channel = server.admin(
            f"/providers/{provider['provider_id']}/channels", {"name": "Every kind", "type": "messaging-api"}
        )
        channel_id, secret = channel["channel_id"], channel["channel_secret"]
        key = AssertionKey()
        key.kid = server.admin(f"/channels/{channel_id}/assertion-keys", {"jwk": key.jwk()})["kid"]

    walk = Walk(server, client, channel_id, secret, key)
    await walk.jwt_tokens()
    await walk.wrong_assertions()
    await walk.stateless_tokens()
    await walk.short_lived_tokens()
    await walk.long_lived_tokens()


class Walk:
    def __init__(self, server, client, channel_id, secret, key):
        self.server = server
        self.client = client
        self.channel_id = channel_id
        self.secret = secret
        self.key = key

    # v2.1 -----------------------------------------------------------------

    async def jwt_tokens(self):
        client = self.client

        with step("v2.1: issued for the time asked for"):
            assertion = self.assertion(token_exp=60)
            answer = await client.issue_channel_token_by_jwt_with_http_info(GRANT, ASSERTION_TYPE, assertion)
            first = answer.data
            check(answer.status_code == 200, f"status {answer.status_code}")
            check_request_id(answer.headers)
            check(isinstance(first, IssueChannelAccessTokenResponse), f"a {type(first)}")
            check(first.expires_in == 60, f"expires_in {first.expires_in}")
            check(first.token_type == "Bearer", f"token_type {first.token_type}")
            check(first.access_token.startswith("ey") and first.access_token.count(".") == 2, "not a compact JWS")
            check(len(base64.urlsafe_b64decode(first.key_id + "==")) == 16, f"key_id {first.key_id}")

        with step("v2.1: verified"):
            verified = await client.verify_channel_token_by_jwt(first.access_token)
            self.check_verified(verified, 60, "profile chat_message.write")

        with step("v2.1: the same assertion asks for another token"):
            second = await client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, assertion)
            check(second.access_token != first.access_token, "the same token")
            await self.check_kids([first.key_id, second.key_id])

        with step("v2.1: gone once expired"):
            self.server.advance(61)
            await refused(client.verify_channel_token_by_jwt(first.access_token), 400, EXPIRED)
            await self.check_kids([])
            await client.revoke_channel_token_by_jwt(self.channel_id, self.secret, first.access_token)

        with step("v2.1: thirty at once"):
            tokens = [await self.issue_jwt() for _ in range(30)]
            check(all(token.expires_in == MONTH for token in tokens), "not all for 30 days")
            await self.check_kids([token.key_id for token in tokens])

        with step("v2.1: the 31st is refused and all thirty stay"):
            await refused(self.issue_jwt(), 400, FULL)
            for token in tokens:
                await client.verify_channel_token_by_jwt(token.access_token)
            await self.check_kids([token.key_id for token in tokens])

        with step("v2.1: a full channel still has room for other kinds"):
            other = await self.issue_short_lived()
            await client.revoke_channel_token(other.access_token)

        with step("v2.1: a wrong secret revokes nothing"):
            await refused(
                client.revoke_channel_token_by_jwt(self.channel_id, "0" * 32, tokens[0].access_token),
                400,
                lambda body: body["error"] == "invalid_client",
            )
            await client.verify_channel_token_by_jwt(tokens[0].access_token)

        with step("v2.1: revoked, and twice is the same as once"):
            ended, *tokens = tokens
            for _ in range(2):
                answer = await client.revoke_channel_token_by_jwt_with_http_info(
                    self.channel_id, self.secret, ended.access_token
                )
                check(answer.status_code == 200 and answer.data is None, f"{answer.status_code} {answer.data}")
            await refused(client.verify_channel_token_by_jwt(ended.access_token), 400, REVOKED)
            await self.check_kids([token.key_id for token in tokens])

        with step("v2.1: the place is free again"):
            tokens.append(await self.issue_jwt())
            await refused(self.issue_jwt(), 400, FULL)

        with step("v2.1: a text that is not a JWS gets its error"):
            for not_jws in ["not-a-token", "W1TeHCgfH2Liwa+/"]:
                await refused(client.verify_channel_token_by_jwt(not_jws), 400, NOT_JWS)
                await refused(client.revoke_channel_token_by_jwt(self.channel_id, self.secret, not_jws), 400, NOT_JWS)
            await refused(client.verify_channel_token(tokens[0].access_token), 400, OPAQUE_FORMAT)

        with step("v2.1: all revoked"):
            for token in tokens:
                await client.revoke_channel_token_by_jwt(self.channel_id, self.secret, token.access_token)
            await self.check_kids([])

    async def wrong_assertions(self):
        client = self.client

        with step("assertions: an unknown key is not found"):
            unknown = self.assertion(kid=str(uuid.uuid4()))
            refusal = await refused(
                client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, unknown), 404, NO_SUCH_KEY
            )
            check(type(refusal) is client.not_found, f"a {type(refusal)}")
            await refused(
                client.gets_all_valid_channel_access_token_key_ids(ASSERTION_TYPE, unknown), 404, NO_SUCH_KEY
            )
            await refused(client.issue_stateless_channel_token_by_jwt_assertion(unknown), 404, NO_SUCH_KEY)

        with step("assertions: an expired one is refused"):
            expired = self.assertion(exp=self.server.now() - 60)
            said = error("invalid_client", "Invalid exp")
            await refused(client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, expired), 400, said)
            await refused(client.gets_all_valid_channel_access_token_key_ids(ASSERTION_TYPE, expired), 400, said)

        with step("assertions: anything else wrong is refused, with a reason"):
            forged = AssertionKey().sign(self.server.now(), self.channel_id, kid=self.key.kid)
            for wrong in [
                forged,
                self.assertion(sub="1"),
                self.assertion(aud="https://example.com/"),
                self.assertion(exp=self.server.now() + 2 * 60 * 60),
            ]:
                await refused(
                    client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, wrong),
                    400,
                    lambda body: body["error"] == "invalid_client" and body["error_description"],
                )
            for token_exp in [None, 0, MONTH + 1]:
                wrong = self.assertion(token_exp=token_exp)
                await refused(client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, wrong), 400)
            await self.check_kids([])

    # stateless ------------------------------------------------------------

    async def stateless_tokens(self):
        client = self.client

        with step("stateless: issued in all four ways, and verified"):
            issued = [
                await client.issue_stateless_channel_token_by_client_secret(self.channel_id, self.secret),
                await client.issue_stateless_channel_token_by_jwt_assertion(self.assertion()),
                await client.issue_stateless_channel_token(
                    grant_type=GRANT, client_id=self.channel_id, client_secret=self.secret
                ),
                await client.issue_stateless_channel_token(
                    grant_type=GRANT, client_assertion_type=ASSERTION_TYPE, client_assertion=self.assertion()
                ),
            ]
            for token in issued:
                check(isinstance(token, IssueStatelessChannelAccessTokenResponse), f"a {type(token)}")
                check(token.token_type == "Bearer", f"token_type {token.token_type}")
                check(token.expires_in in (899, 900), f"expires_in {token.expires_in}")
                check(token.access_token.startswith("ey"), "not a JWS")
                verified = await client.verify_channel_token_by_jwt(token.access_token)
                self.check_verified(verified, 900, "profile chat_message.write")

        with step("stateless: not counted and not listed"):
            for _ in range(31):
                await client.issue_stateless_channel_token_by_client_secret(self.channel_id, self.secret)
            await self.check_kids([])

        with step("stateless: a wrong secret is refused"):
            await refused(
                client.issue_stateless_channel_token_by_client_secret(self.channel_id, "0" * 32),
                400,
                error("invalid_request", "Invalid 'client_credentials'."),
            )

        with step("stateless: revoked alone"):
            revoked, *others = issued
            await client.revoke_channel_token_by_jwt(self.channel_id, self.secret, revoked.access_token)
            await refused(
                client.verify_channel_token_by_jwt(revoked.access_token),
                400,
                lambda body: body["error"] == "invalid_request",
            )
            for token in others:
                await client.verify_channel_token_by_jwt(token.access_token)

        with step("stateless: gone after 15 minutes"):
            self.server.advance(901)
            for token in others:
                await refused(client.verify_channel_token_by_jwt(token.access_token), 400, EXPIRED)

    # short-lived ----------------------------------------------------------

    async def short_lived_tokens(self):
        client = self.client

        with step("short-lived: issued for 30 days, and verified"):
            answer = await client.issue_channel_token_with_http_info(GRANT, self.channel_id, self.secret)
            first = answer.data
            check(answer.status_code == 200, f"status {answer.status_code}")
            check_request_id(answer.headers)
            check(isinstance(first, IssueShortLivedChannelAccessTokenResponse), f"a {type(first)}")
            check(first.expires_in == MONTH, f"expires_in {first.expires_in}")
            check(first.token_type == "Bearer", f"token_type {first.token_type}")
            self.check_verified(await client.verify_channel_token(first.access_token), MONTH, "P CM")

        with step("short-lived: wrong credentials are refused"):
            await refused(
                client.issue_channel_token(GRANT, self.channel_id, "0" * 32),
                400,
                error("invalid_client", "invalid client_secret"),
            )
            await refused(client.issue_channel_token(GRANT, "0000000000", self.secret), 400)

        with step("short-lived: a token of another form gets its error"):
            await refused(client.verify_channel_token("not-a-token"), 400, OPAQUE_FORMAT)
            await refused(client.verify_channel_token_by_jwt(first.access_token), 400, NOT_JWS)
            await refused(client.revoke_channel_token("not-a-token"), 400, {"error": "invalid_request"})

        with step("short-lived: revoked, and twice is the same as once"):
            for _ in range(2):
                answer = await client.revoke_channel_token_with_http_info(first.access_token)
                check(answer.status_code == 200 and answer.data is None, f"{answer.status_code} {answer.data}")
            await refused(client.verify_channel_token(first.access_token), 400, OPAQUE_INVALID)

        with step("short-lived: thirty at once"):
            tokens = [await self.issue_short_lived() for _ in range(30)]
            for token in tokens:
                await client.verify_channel_token(token.access_token)

        with step("short-lived: the 31st ends the oldest and no other"):
            tokens.append(await self.issue_short_lived())
            oldest, *tokens = tokens
            await refused(client.verify_channel_token(oldest.access_token), 400, OPAQUE_INVALID)
            for token in tokens:
                await client.verify_channel_token(token.access_token)

        with step("short-lived: gone after 30 days"):
            self.server.advance(MONTH)
            for token in tokens:
                await refused(client.verify_channel_token(token.access_token), 400, OPAQUE_INVALID)

        with step("short-lived: all revoked"):
            tokens.append(await self.issue_short_lived())
            for token in tokens:
                await client.revoke_channel_token(token.access_token)
            await refused(client.verify_channel_token(tokens[-1].access_token), 400, OPAQUE_INVALID)

    # long-lived -----------------------------------------------------------

    async def long_lived_tokens(self):
        client = self.client

        with step("long-lived: issued by an administrator, and verified"):
            first = self.issue_long_lived()
            check(first["previous_valid_until"] is None, f"a predecessor until {first['previous_valid_until']}")
            await self.check_without_end(first)

        with step("long-lived: reissued with a delay, both live"):
            second = self.issue_long_lived(delay_seconds=3600)
            until = datetime.fromisoformat(second["previous_valid_until"].replace("Z", "+00:00")).timestamp()
            check(abs(until - self.server.now() - 3600) < 60, f"previous until {second['previous_valid_until']}")
            verified = await client.verify_channel_token(first["access_token"])
            self.check_verified(verified, 3600, "P CM")
            await self.check_without_end(second)

        with step("long-lived: only the new one lives after the delay"):
            self.server.advance(3601)
            await refused(client.verify_channel_token(first["access_token"]), 400, OPAQUE_INVALID)
            await self.check_without_end(second)

        with step("long-lived: reissued without a delay, the old one is gone at once"):
            third = self.issue_long_lived()
            await refused(client.verify_channel_token(second["access_token"]), 400, OPAQUE_INVALID)
            await self.check_without_end(third)

        with step("long-lived: lives on through the months"):
            self.server.advance(12 * MONTH)
            await self.check_without_end(third)

        with step("long-lived: revoked, and twice is the same as once"):
            for _ in range(2):
                await client.revoke_channel_token(third["access_token"])
            await refused(client.verify_channel_token(third["access_token"]), 400, OPAQUE_INVALID)

    # what the steps share ---------------------------------------------------

    def assertion(self, **claims):
        return self.key.sign(self.server.now(), self.channel_id, **claims)

    async def issue_jwt(self):
        return await self.client.issue_channel_token_by_jwt(GRANT, ASSERTION_TYPE, self.assertion())

    async def issue_short_lived(self):
        return await self.client.issue_channel_token(GRANT, self.channel_id, self.secret)

    def issue_long_lived(self, **body):
        issued = self.server.admin(f"/channels/{self.channel_id}/long-lived-token", body)
        check(issued["token_type"] == "Bearer", f"token_type {issued['token_type']}")
        return issued

    def check_verified(self, verified, at_most, scope):
        check(isinstance(verified, VerifyChannelAccessTokenResponse), f"a {type(verified)}")
        check(verified.client_id == self.channel_id, f"client_id {verified.client_id}")
        check(at_most - 30 < verified.expires_in <= at_most, f"expires_in {verified.expires_in} of {at_most}")
        check(verified.scope == scope, f"scope {verified.scope!r}, expected {scope!r}")

    async def check_without_end(self, issued):
        verified = await self.client.verify_channel_token(issued["access_token"])
        check(isinstance(verified, VerifyChannelAccessTokenResponse), f"a {type(verified)}")
        check(verified.client_id == self.channel_id, f"client_id {verified.client_id}")
        check(verified.expires_in > I32_MAX, f"expires_in {verified.expires_in} fits an i32")

    async def check_kids(self, expected):
        found = await self.client.gets_all_valid_channel_access_token_key_ids(ASSERTION_TYPE, self.assertion())
        check(isinstance(found, ChannelAccessTokenKeyIdsResponse), f"a {type(found)}")
        check(sorted(found.kids) == sorted(expected), f"key ids {found.kids}, expected {expected}")


# checking -------------------------------------------------------------------

checks = 0


def check(holds, otherwise):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(otherwise)


def check_request_id(headers):
    found = {name.lower(): value for name, value in headers.items()}.get("x-line-request-id")
    check(found is not None and uuid.UUID(found), f"X-Line-Request-Id {found}")


async def refused(call, status, body=None):
    """The SDK raises its own error, with this status and this JSON body, or
    one that the function `body` finds right. Returns the error."""
    try:
        answer = await call
    except ApiException as refusal:
        said = json.loads(refusal.body)
        check(refusal.status == status, f"{refusal.status} {said}, expected {status}")
        right = body(said) if callable(body) else body is None or said == body
        check(right, f"{status} {said}, expected {'another' if callable(body) else body}")
        return refusal
    check(False, f"answered {type(answer).__name__}, expected {status}")


@contextlib.contextmanager
def step(name):
    try:
        yield
    except Exception as failure:
        traceback.print_exc()
        print(f"FAILED  {name}: {type(failure).__name__}: {failure}", flush=True)
        sys.exit(1)
    print(f"ok      {name}", flush=True)


def base64url(number):
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def pointed_at(server, api, not_found):
    # Without this line the SDK would send the secrets to LINE: it ignores the
    # `host` of its configuration.
    api.line_base_path = server.url
    return Client(api, not_found)


async def main():
    server = Server(os.environ["TEGATA_URL"], os.environ["TEGATA_ADMIN_TOKEN"])
    print("The plain client", flush=True)
    with ApiClient(Configuration()) as connection:
        await life(server, pointed_at(server, ChannelAccessToken(connection), NotFoundException))
    # This one has no class of its own for 404.
    print("The asyncio client", flush=True)
    async with AsyncApiClient(Configuration()) as connection:
        await life(server, pointed_at(server, AsyncChannelAccessToken(connection), ApiException))
    sdk = "line-bot-sdk for Python " + importlib.metadata.version("line-bot-sdk")
    print(json.dumps({"sdk": sdk, "checks": checks}), flush=True)


if __name__ == "__main__":
    # A server that stops answering is a failure with a traceback, not a hang.
    faulthandler.dump_traceback_later(300, exit=True)
    # The asyncio client obeys the proxy variables; nothing here goes through one.
    os.environ["NO_PROXY"] = "*"
    asyncio.run(main())
