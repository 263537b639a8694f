"""Walks through metadata, issue, introspection and revocation with the OAuth client Authlib, and
verifies tokens with the JWT libraries jwcrypto and PyJWT, all unmodified.

    TEGATA_URL=http://127.0.0.1:8080 TEGATA_ADMIN_TOKEN=... python python.py

The server must run with `--dev`, whose faults are asked for. Makes a provider, a channel and an
assertion key of its own. Prints a line for each step and, at the end, a JSON line with the count
of checks; ends with 1 at the first check that fails.
"""

import importlib.metadata
import json
import os
import sys

import jwt
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import AssertionSession, OAuth2Session
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto import jwt as jwcrypto_jwt

# The server of the test has no TLS; the setting is Authlib's own.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
URL = os.environ["TEGATA_URL"]
ADMIN = {"Authorization": f"Bearer {os.environ['TEGATA_ADMIN_TOKEN']}"}
SCOPE = "profile chat_message.write"
PATIENCE = 60

checks = 0


def check(holds, message):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(message)


def same(found, expected, what):
    check(found == expected, f"{what}: {found!r} instead of {expected!r}")


def post(path, body, status):
    response = requests.post(URL + path, json=body, headers=ADMIN, timeout=PATIENCE)
    same(response.status_code, status, path)
    return response.json()


def create(path, body):
    return post(f"/admin/v1{path}", body, 201)


def failing(call, kind):
    """The error with which it fails."""
    try:
        call()
    except kind as error:
        check(True, "")
        return error
    raise AssertionError("it was not refused")


class Channel:
    def __init__(self):
        provider = create("/providers", {"name": "OAuth"})["provider_id"]
        body = {"name": "Authlib", "type": "messaging-api"}
        made = create(f"/providers/{provider}/channels", body)
        self.id, self.secret = made["channel_id"], made["channel_secret"]
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        public = {"kty": "RSA", "alg": "RS256", "use": "sig", "n": public["n"], "e": public["e"]}
        self.kid = create(f"/channels/{self.id}/assertion-keys", {"jwk": public})["kid"]

    def session(self, method, secret=None):
        return OAuth2Session(
            self.id,
            secret or self.secret,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            default_timeout=PATIENCE,
        )

    def by_assertion(self, headers=None):
        """With the endpoint of each request as audience, and an hour until `exp`."""
        session = self.session("private_key_jwt", self.pem)
        session.register_client_auth_method(PrivateKeyJWT(headers=headers))
        return session


def read_metadata():
    response = requests.get(get_well_known_url(URL, external=True), timeout=PATIENCE)
    metadata = AuthorizationServerMetadata(response.json())
    metadata.validate()
    same(metadata["issuer"], URL, "issuer")
    return metadata


def walk(server, session):
    """Issues, asks about and revokes a token."""
    issued = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    same(issued["token_type"], "Bearer", "token_type")
    same(issued["scope"], SCOPE, "scope")
    check(890 < issued["expires_in"] <= 900, f"expires_in {issued['expires_in']}")
    token = issued["access_token"]

    def ask():
        answer = session.introspect_token(server["introspection_endpoint"], token=token)
        same(answer.status_code, 200, answer.text)
        same(answer.headers["cache-control"], "no-store", "Cache-Control")
        return answer.json()

    about = ask()
    same((about["active"], about["client_id"], about["iss"]), (True, session.client_id, URL), "introspection")
    verify_with_both(server, token, "at+jwt", URL)
    for hint in ["access_token", "refresh_token", None]:
        revoked = session.revoke_token(server["revocation_endpoint"], token=token, token_type_hint=hint)
        same((revoked.status_code, revoked.text), (200, ""), "revocation")
    same(ask()["active"], False, "after revocation")
    return token


def verify_with_both(server, token, typ, audience):
    """Verifies a JWS with PyJWT and with jwcrypto; returns its claims."""
    keys = jwt.PyJWKClient(server["jwks_uri"])
    key = keys.get_signing_key_from_jwt(token)
    options = {"algorithms": ["EdDSA"], "audience": audience, "issuer": URL}
    claims = jwt.decode(token, key, **options)
    same(jwt.get_unverified_header(token)["typ"], typ, "typ")
    cut = token[:-1] + ("A" if token[-1] != "A" else "Q")
    failing(lambda: jwt.decode(cut, key, **options), jwt.InvalidSignatureError)

    text = requests.get(server["jwks_uri"], timeout=PATIENCE).text
    jwks = jwcrypto_jwk.JWKSet.from_json(text)
    own = jwks.get_key(jwt.get_unverified_header(token)["kid"])
    verified = jwcrypto_jws.JWS()
    verified.allowed_algs = ["EdDSA"]
    verified.deserialize(token, own)
    same(json.loads(verified.payload), claims, "jwcrypto")
    # Its JWT class requires `exp`, which a signed introspection has not (RFC 9701, section 5).
    if "exp" in claims:
        expected = {"iss": URL, "aud": audience}
        whole = jwcrypto_jwt.JWT(jwt=token, key=jwks, algs=["EdDSA"], check_claims=expected)
        same(json.loads(whole.claims), claims, "jwcrypto")
    torn = jwcrypto_jws.JWS()
    torn.allowed_algs = ["EdDSA"]
    failing(lambda: torn.deserialize(cut, own), jwcrypto_jws.InvalidJWSSignature)
    return claims


def signed_introspection(server, session, token):
    accept = {"Accept": "application/token-introspection+jwt"}
    answer = session.introspect_token(server["introspection_endpoint"], token=token, headers=accept)
    same(answer.headers["content-type"], "application/token-introspection+jwt", "RFC 9701")
    claims = verify_with_both(server, answer.text, "token-introspection+jwt", session.client_id)
    same(claims["token_introspection"]["active"], True, "active")


def grants(server, channel):
    """RFC 7523, section 2.1, by Authlib's session for it."""
    key = RSAKey.import_key(channel.pem)
    for header in [{"alg": "RS256", "kid": channel.kid}, {"alg": "RS256"}]:
        session = AssertionSession(
            server["token_endpoint"], issuer=channel.id, subject=channel.id,
            audience=server["token_endpoint"], key=key, header=header,
        )
        issued = session.refresh_token()
        verify_with_both(server, issued["access_token"], "at+jwt", URL)
    wrong = AssertionSession(
        server["token_endpoint"], issuer=channel.id, subject=channel.id,
        audience="https://other.example", key=key, header={"alg": "RS256"},
    )
    same(failing(wrong.refresh_token, OAuth2Error).error, "invalid_grant", "the error")


def errors(server, channel):
    token_endpoint = server["token_endpoint"]

    def named(session, error, **parameters):
        parameters = {"grant_type": "client_credentials", **parameters}
        failure = failing(lambda: session.fetch_token(token_endpoint, **parameters), OAuthError)
        same(failure.error, error, "the error")
        check(failure.description, "no error_description")

    basic = channel.session("client_secret_basic")
    for method in ["client_secret_basic", "client_secret_post"]:
        wrong = channel.session(method, "wrong")
        named(wrong, "invalid_client")
        revoked = wrong.revoke_token(server["revocation_endpoint"], token="t")
        same((revoked.status_code, revoked.json()["error"]), (401, "invalid_client"), "revocation")
        is_challenged = revoked.headers.get("www-authenticate", "").startswith("Basic realm=")
        same(is_challenged, method == "client_secret_basic", "the challenge")
        asked = wrong.introspect_token(server["introspection_endpoint"], token="t")
        same((asked.status_code, asked.json()["error"]), (401, "invalid_client"), "introspection")
    # The id of another key.
    named(channel.by_assertion({"alg": "RS256", "kid": "x"}), "invalid_client")
    named(basic, "unsupported_grant_type", grant_type="password")
    named(basic, "invalid_scope", scope="openid")
    named(basic, "unauthorized_client", kind="v2.1")
    named(basic, "invalid_request", kind="v3")
    post("/dev/faults", {"status": 429, "path": "/oauth2/"}, 200)
    named(basic, "temporarily_unavailable")
    # Authlib does not read the body of a 503.
    post("/dev/faults", {"status": 503, "path": "/oauth2/"}, 200)
    unknown = failing(lambda: basic.fetch_token(token_endpoint), requests.HTTPError).response
    same((unknown.status_code, unknown.json()["error"]), (503, "temporarily_unavailable"), "unknown")
    check(int(unknown.headers["retry-after"]) >= 1, "no Retry-After")


def step(name, work, *arguments):
    try:
        done = work(*arguments)
    except Exception:
        print(f"FAILED  {name}")
        raise
    print(f"ok  {name}", flush=True)
    return done


def main():
    server = step("Authlib: the metadata is valid", read_metadata)
    channel = Channel()
    sessions = {
        "basic": channel.session("client_secret_basic"),
        "post": channel.session("client_secret_post"),
        "private_key_jwt": channel.by_assertion({"alg": "RS256", "kid": channel.kid}),
        "private_key_jwt without kid": channel.by_assertion(),
    }
    for name, session in sessions.items():
        step(f"Authlib: issue, introspect, revoke; PyJWT and jwcrypto verify; {name}", walk, server, session)
    basic = sessions["basic"]
    token = basic.fetch_token(server["token_endpoint"], grant_type="client_credentials")["access_token"]
    step("PyJWT, jwcrypto: a signed introspection", signed_introspection, server, basic, token)
    step("Authlib: an assertion as grant", grants, server, channel)
    step("Authlib: the errors", errors, server, channel)
    names = [f"{name} {importlib.metadata.version(name)}" for name in ["Authlib", "jwcrypto", "PyJWT"]]
    sdk = f"{', '.join(names)} on Python {sys.version.split()[0]}"
    print(json.dumps({"sdk": sdk, "checks": checks}))


main()
