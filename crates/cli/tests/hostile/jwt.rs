//! Invalid assertions: each class of attack on JWTs in RFC 8725, and others that some
//! library has accepted.
//!
//! Most are signed with the registered key, so that an assertion is refused for its one
//! fault, and not for its signature.

use crate::{World, line, process::http::Request};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A key of the attacked channel, its kid, and an unregistered key.
struct Forger {
    channel: String,
    kid: String,
    /// The kid of the attacker's key, which is registered on another channel.
    other_kid: String,
    registered: RsaKeyPair,
    foreign: RsaKeyPair,
    /// An address that a server would connect to if it followed a URL in a header.
    trap: String,
}

type Attacks = Vec<(&'static str, String)>;

impl Forger {
    async fn new(world: &World, trap: String) -> Self {
        let pair = || RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let (registered, foreign) = (pair(), pair());
        let kid = register(world, &world.victim.id, &registered).await;
        let other_kid = register(world, &world.attacker.id, &foreign).await;
        let channel = world.victim.id.clone();
        Self { channel, kid, other_kid, registered, foreign, trap }
    }

    fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid })
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.channel, "sub": self.channel, "aud": "https://api.line.me/",
            "exp": line::unix_now() + 600, "token_exp": 60,
        })
    }

    /// Header and claims as texts, signed by the registered key.
    fn texts(&self, header: &str, claims: &str) -> String {
        self.bytes(header.as_bytes(), claims.as_bytes())
    }

    fn bytes(&self, header: &[u8], claims: &[u8]) -> String {
        signed(&self.registered, &RSA_PKCS1_SHA256, header, claims)
    }

    fn good(&self) -> String {
        self.texts(&self.header().to_string(), &self.claims().to_string())
    }

    /// The valid one with other members in its header.
    fn headed(&self, changes: Value) -> String {
        self.texts(&changed(self.header(), changes).to_string(), &self.claims().to_string())
    }

    /// The valid one with other claims.
    fn claiming(&self, changes: Value) -> String {
        self.texts(&self.header().to_string(), &changed(self.claims(), changes).to_string())
    }

    /// The valid one, with one claim replaced by text that may be invalid JSON.
    fn claiming_raw(&self, name: &str, text: &str) -> String {
        let marked = changed(self.claims(), json!({ name: "HERE" })).to_string();
        self.texts(&self.header().to_string(), &marked.replace("\"HERE\"", text))
    }

    /// The valid one with another algorithm's name and signature.
    fn under(&self, name: &str, algorithm: &'static dyn RsaEncoding) -> String {
        let header = changed(self.header(), json!({ "alg": name })).to_string();
        let claims = self.claims().to_string();
        signed(&self.registered, algorithm, header.as_bytes(), claims.as_bytes())
    }

    /// The valid one as HS256, with a public value as its secret.
    fn hs256(&self, secret: &[u8]) -> String {
        let header = changed(self.header(), json!({ "alg": "HS256" })).to_string();
        let message = message(header.as_bytes(), self.claims().to_string().as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64.encode(tag))
    }

    /// The valid one with these bytes as its signature.
    fn with_signature(&self, header: Value, signature: &[u8]) -> String {
        let message = message(header.to_string().as_bytes(), self.claims().to_string().as_bytes());
        format!("{message}.{}", BASE64.encode(signature))
    }

    fn algorithms(&self) -> Attacks {
        let alg = |name: Value| changed(self.header(), json!({ "alg": name }));
        let modulus = self.registered.public_key().modulus().big_endian_without_leading_zero();
        let own = jwk(&self.foreign);
        let by_foreign = |header: Value| {
            let (header, claims) = (header.to_string(), self.claims().to_string());
            signed(&self.foreign, &RSA_PKCS1_SHA256, header.as_bytes(), claims.as_bytes())
        };
        let bring =
            |name: &str, value: Value| by_foreign(changed(self.header(), json!({ name: value })));
        vec![
            ("alg none, no signature", self.with_signature(alg(json!("none")), b"")),
            ("alg none, a signature", self.headed(json!({ "alg": "none" }))),
            ("alg None", self.with_signature(alg(json!("None")), b"")),
            ("alg NONE", self.with_signature(alg(json!("NONE")), b"")),
            ("alg nOnE", self.with_signature(alg(json!("nOnE")), b"")),
            ("no alg", self.headed(json!({ "alg": null }))),
            ("alg, empty", self.headed(json!({ "alg": "" }))),
            ("alg in small letters", self.headed(json!({ "alg": "rs256" }))),
            ("alg with a space", self.headed(json!({ "alg": "RS256 " }))),
            ("alg with a NUL", self.headed(json!({ "alg": "RS256\0" }))),
            ("alg, an array", self.headed(json!({ "alg": ["RS256"] }))),
            ("alg, a number", self.headed(json!({ "alg": 256 }))),
            ("HS256 by the modulus", self.hs256(modulus)),
            ("HS256 by the JWK", self.hs256(jwk(&self.registered).to_string().as_bytes())),
            ("HS256 by nothing", self.hs256(b"")),
            ("HS256 by the kid", self.hs256(self.kid.as_bytes())),
            ("RS384", self.under("RS384", &RSA_PKCS1_SHA384)),
            ("RS512", self.under("RS512", &RSA_PKCS1_SHA512)),
            ("PS256", self.under("PS256", &RSA_PSS_SHA256)),
            ("RS256 by name, PS256 at heart", self.under("RS256", &RSA_PSS_SHA256)),
            ("RS256 by name, RS512 at heart", self.under("RS256", &RSA_PKCS1_SHA512)),
            ("ES256 of zeros", self.with_signature(alg(json!("ES256")), &[0; 64])),
            ("EdDSA of zeros", self.with_signature(alg(json!("EdDSA")), &[0; 64])),
            ("no signature", self.with_signature(self.header(), b"")),
            ("a signature of zeros", self.with_signature(self.header(), &[0; 256])),
            ("a signature of ones", self.with_signature(self.header(), &[0xFF; 256])),
            ("the modulus for a signature", self.with_signature(self.header(), modulus)),
            ("the number one for a signature", {
                let mut one = [0; 256];
                one[255] = 1;
                self.with_signature(self.header(), &one)
            }),
            ("a foreign key's signature", by_foreign(self.header())),
            ("a key brought along", bring("jwk", own.clone())),
            ("a key's address", bring("jku", json!(format!("{}/jwks.json", self.trap)))),
            ("a certificate's address", bring("x5u", json!(format!("{}/cert.pem", self.trap)))),
            ("a certificate brought along", bring("x5c", json!([BASE64.encode([0x30; 300])]))),
            ("a thumbprint of a certificate", bring("x5t", json!(BASE64.encode([1; 20])))),
        ]
    }

    fn headers(&self) -> Attacks {
        let claims = self.claims().to_string();
        let kid = &self.kid;
        let raw = |header: &str| self.texts(header, &claims);
        vec![
            ("no typ", self.headed(json!({ "typ": null }))),
            ("typ of an access token", self.headed(json!({ "typ": "at+jwt" }))),
            ("typ in small letters", self.headed(json!({ "typ": "jwt" }))),
            ("typ, a number", self.headed(json!({ "typ": 1 }))),
            ("no kid", self.headed(json!({ "kid": null }))),
            ("kid, empty", self.headed(json!({ "kid": "" }))),
            ("kid, a number", self.headed(json!({ "kid": 0 }))),
            ("kid, an array", self.headed(json!({ "kid": [kid] }))),
            ("kid, an object", self.headed(json!({ "kid": { "$ne": null } }))),
            ("kid, a path", self.headed(json!({ "kid": "../../../../../../dev/null" }))),
            ("kid, SQL", self.headed(json!({ "kid": "x' UNION SELECT 'key" }))),
            ("kid, a command", self.headed(json!({ "kid": "|| sleep 10" }))),
            ("kid with a NUL", self.headed(json!({ "kid": format!("{kid}\0") }))),
            ("kid with a space", self.headed(json!({ "kid": format!(" {kid}") }))),
            ("kid in capitals", self.headed(json!({ "kid": kid.to_uppercase() }))),
            ("kid, long", self.headed(json!({ "kid": "k".repeat(5_000) }))),
            ("kid of another channel's key", self.headed(json!({ "kid": self.other_kid }))),
            ("crit", self.headed(json!({ "crit": ["exp"] }))),
            ("crit, empty", self.headed(json!({ "crit": [] }))),
            ("crit, a text", self.headed(json!({ "crit": "exp" }))),
            ("crit and b64", self.headed(json!({ "crit": ["b64"], "b64": false }))),
            (
                "alg twice",
                raw(&format!(r#"{{"alg":"none","alg":"RS256","typ":"JWT","kid":"{kid}"}}"#)),
            ),
            (
                "alg twice, once escaped",
                raw(&format!(r#"{{"alg":"RS256","\u0061lg":"none","typ":"JWT","kid":"{kid}"}}"#)),
            ),
            (
                "alg twice, once deeper",
                raw(&format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}","x":{{"a":1,"a":2}}}}"#)),
            ),
            (
                "kid twice",
                raw(&format!(r#"{{"alg":"RS256","typ":"JWT","kid":"x","kid":"{kid}"}}"#)),
            ),
            ("a header that is an array", raw(r#"["RS256","JWT"]"#)),
            ("a header that is a text", raw(r#""RS256""#)),
            ("a header that is no JSON", raw("alg=RS256")),
            ("an empty header", raw("")),
            ("a header and more", raw(&format!("{} x", self.header()))),
            ("a header behind a byte order mark", raw(&format!("\u{FEFF}{}", self.header()))),
            ("a header that is no UTF-8", {
                let header = self.header().to_string().replace("JWT", "JWTx").into_bytes();
                let header: Vec<u8> =
                    header.into_iter().map(|byte| if byte == b'x' { 0xFF } else { byte }).collect();
                self.bytes(&header, claims.as_bytes())
            }),
            ("a header, deep", raw(&format!("{}{}", "{\"a\":".repeat(1_000), "}".repeat(1_000)))),
        ]
    }

    fn wrong_claims(&self) -> Attacks {
        let header = self.header().to_string();
        let raw = |claims: &str| self.texts(&header, claims);
        let now = line::unix_now();
        let mut attacks = vec![
            ("no exp", self.claiming(json!({ "exp": null }))),
            ("exp, a text", self.claiming(json!({ "exp": (now + 600).to_string() }))),
            ("exp, a fraction", self.claiming_raw("exp", &format!("{}.5", now + 600))),
            ("exp, a whole fraction", self.claiming_raw("exp", &format!("{}.0", now + 600))),
            ("exp, an exponent", self.claiming_raw("exp", "1e10")),
            ("exp, not a number", self.claiming_raw("exp", "NaN")),
            ("exp, infinite", self.claiming_raw("exp", "Infinity")),
            ("exp, beyond all", self.claiming_raw("exp", "1e999")),
            ("exp, negative", self.claiming(json!({ "exp": -1 }))),
            ("exp, zero", self.claiming(json!({ "exp": 0 }))),
            ("exp, past", self.claiming(json!({ "exp": now - 1 }))),
            ("exp, far", self.claiming(json!({ "exp": now + 1_900 }))),
            ("exp, 2^63", self.claiming_raw("exp", "9223372036854775808")),
            ("exp, 2^64", self.claiming_raw("exp", "18446744073709551616")),
            ("exp, wrapped", self.claiming_raw("exp", &format!("{}", u128::from(now) + (1 << 64)))),
            ("exp, true", self.claiming(json!({ "exp": true }))),
            ("exp, an array", self.claiming(json!({ "exp": [now + 600] }))),
            ("exp with a leading zero", self.claiming_raw("exp", &format!("0{}", now + 600))),
            ("exp in hex", self.claiming_raw("exp", "0x7fffffff")),
            ("nbf in the future", self.claiming(json!({ "nbf": now + 600 }))),
            ("nbf, a text", self.claiming(json!({ "nbf": "0" }))),
            ("nbf, true", self.claiming(json!({ "nbf": true }))),
            ("nbf, beyond all", self.claiming_raw("nbf", "1e300")),
            ("no aud", self.claiming(json!({ "aud": null }))),
            ("aud, an array", self.claiming(json!({ "aud": ["https://api.line.me/"] }))),
            ("aud, an object", self.claiming(json!({ "aud": {} }))),
            ("aud, another", self.claiming(json!({ "aud": "https://example.com/" }))),
            ("aud, longer", self.claiming(json!({ "aud": "https://api.line.me.example/" }))),
            ("aud, in capitals", self.claiming(json!({ "aud": "HTTPS://API.LINE.ME/" }))),
            ("aud, empty", self.claiming(json!({ "aud": "" }))),
            ("no iss", self.claiming(json!({ "iss": null }))),
            ("no sub", self.claiming(json!({ "sub": null }))),
            ("iss, a number", self.claiming_raw("iss", &self.channel)),
            ("iss, an array", self.claiming(json!({ "iss": [self.channel] }))),
            ("iss with a space", self.claiming(json!({ "iss": format!("{} ", self.channel) }))),
            (
                "iss of no channel",
                self.claiming(json!({ "iss": "0000000000", "sub": "0000000000" })),
            ),
            ("sub of another", self.claiming(json!({ "sub": "0000000000" }))),
            ("claims that are an array", raw("[]")),
            ("claims that are a text", raw("\"x\"")),
            ("claims that are null", raw("null")),
            ("no claims", raw("")),
            ("claims and more", raw(&format!("{}{{}}", self.claims()))),
            ("claims behind a byte order mark", raw(&format!("\u{FEFF}{}", self.claims()))),
            ("claims with a NUL behind them", raw(&format!("{}\0", self.claims()))),
            ("a JWT in a JWT", raw(&self.good())),
            ("claims, deep", self.claiming_raw("x", &deep(1_500))),
            ("claims, deep in arrays", {
                self.claiming_raw("x", &format!("{}{}", "[".repeat(2_500), "]".repeat(2_500)))
            }),
            ("a lone surrogate", self.claiming_raw("x", r#""\ud800""#)),
            ("a control character", self.claiming_raw("x", "\"\u{1}\"")),
            ("longer than 8 KiB", self.claiming(json!({ "x": "x".repeat(8_192) }))),
        ];
        attacks.push(("claims that are no UTF-8", {
            let claims = self.claims().to_string().into_bytes();
            let claims: Vec<u8> = claims.into_iter().flat_map(|it| [it, 0]).collect();
            self.bytes(header.as_bytes(), &claims)
        }));
        for name in ["iss", "sub", "aud", "exp"] {
            let claims = self.claims();
            let twice = format!("{{\"{name}\":{},{}", claims[name], &claims.to_string()[1..]);
            attacks.push(("a claim twice, though it says the same", raw(&twice)));
        }
        attacks
    }

    /// The valid one, in other encodings.
    fn spellings(&self) -> Attacks {
        let good = self.good();
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("three parts") };
        let join = |parts: &[&str]| parts.join(".");
        let bytes = BASE64.decode(signature).expect("base64url");
        vec![
            ("without its signature", join(&[header, claims])),
            ("with an empty part", join(&[header, claims, signature, ""])),
            ("in five parts, as a JWE", join(&[header, claims, signature, claims, header])),
            ("header and claims exchanged", join(&[claims, header, signature])),
            ("without its header", join(&["", claims, signature])),
            ("padded", format!("{good}==")),
            ("padded in front", join(&[&format!("{header}="), claims, signature])),
            ("a space behind", format!("{good} ")),
            ("a space in front", format!(" {good}")),
            ("a line end inside", join(&[header, &format!("{claims}\n"), signature])),
            ("a tab inside", join(&[&format!("{header}\t"), claims, signature])),
            ("a NUL behind", format!("{good}\0")),
            ("in quotes", format!("\"{good}\"")),
            ("behind its scheme", format!("Bearer {good}")),
            ("in the other alphabet", {
                // A signature without these two letters is very rare.
                good.replace('-', "+").replace('_', "/")
            }),
            ("unused bits in the signature", join(&[header, claims, &unused_bit(signature)])),
            ("one byte less", join(&[header, claims, &BASE64.encode(&bytes[..255])])),
            ("one byte more", join(&[header, claims, &BASE64.encode([&bytes[..], &[0]].concat())])),
            (
                "a zero in front",
                join(&[header, claims, &BASE64.encode([&[0], &bytes[..]].concat())]),
            ),
            ("as JSON", {
                json!({ "protected": header, "payload": claims, "signature": signature })
                    .to_string()
            }),
            ("twice", format!("{good}{good}")),
            ("cut", good[..good.len() - 1].to_owned()),
        ]
    }

    /// Lifetimes that a v2.1 token cannot have.
    fn lives(&self) -> Attacks {
        ["null", "\"60\"", "0", "-1", "2592001", "1.5", "60.0", "6e1", "true", "[60]", "1e999"]
            .map(|life| ("token_exp", self.claiming_raw("token_exp", life)))
            .to_vec()
    }
}

async fn register(world: &World, channel: &str, pair: &RsaKeyPair) -> String {
    let path = format!("/channels/{channel}/assertion-keys");
    let registered = world.server.create(&path, json!({ "jwk": jwk(pair) })).await;
    registered["kid"].as_str().expect("a kid").to_owned()
}

fn jwk(pair: &RsaKeyPair) -> Value {
    let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
    json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": BASE64.encode(modulus) })
}

fn message(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", BASE64.encode(header), BASE64.encode(claims))
}

fn signed(
    pair: &RsaKeyPair,
    algorithm: &'static dyn RsaEncoding,
    header: &[u8],
    claims: &[u8],
) -> String {
    let message = message(header, claims);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(algorithm, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    format!("{message}.{}", BASE64.encode(signature))
}

/// The object with these members set; null removes one.
fn changed(mut object: Value, changes: Value) -> Value {
    let (Value::Object(members), Value::Object(changes)) = (&mut object, changes) else {
        panic!("objects");
    };
    for (name, value) in changes {
        match value {
            Value::Null => drop(members.remove(&name)),
            value => drop(members.insert(name, value)),
        }
    }
    object
}

fn deep(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

/// The same bytes in base64url, for a decoder that ignores unused bits.
fn unused_bit(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.iter().position(|it| *it == last.as_bytes()[0]).expect("base64url");
    format!("{head}{}", char::from(ALPHABET[at ^ 1]))
}

/// The three operations that take an assertion.
fn requests(assertion: &str) -> [Request; 3] {
    let fields = |issue: bool| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        if issue {
            form.append_pair("grant_type", "client_credentials");
        }
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        form.append_pair("client_assertion_type", kind).append_pair("client_assertion", assertion);
        form.finish()
    };
    let header = ("content-type", "application/x-www-form-urlencoded");
    [
        Request::new("POST", "/oauth2/v2.1/token", &[header], &fields(true)),
        Request::new("POST", "/oauth2/v3/token", &[header], &fields(true)),
        Request::new("GET", &format!("/oauth2/v2.1/tokens/kid?{}", fields(false)), &[], ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_invalid_assertion_is_accepted_by_any_operation() {
    let world = World::new().await;
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = trap.local_addr().expect("an address");
    let forger = Forger::new(&world, format!("http://{address}")).await;
    for request in requests(&forger.good()) {
        let response = world.server.ask(&request).await;
        assert_eq!(
            response.status,
            200,
            "the others would be refused for this: {}",
            response.text()
        );
    }
    let attacks =
        [forger.algorithms(), forger.headers(), forger.wrong_claims(), forger.spellings()].concat();
    for (name, assertion) in &attacks {
        for request in requests(assertion) {
            assert_refused(&world, name, &request).await;
        }
    }
    for (name, assertion) in forger.lives() {
        assert_refused(&world, name, &requests(&assertion)[0]).await;
    }
    let connection =
        tokio::time::timeout(std::time::Duration::from_millis(200), trap.accept()).await;
    assert!(connection.is_err(), "the server followed a URL in a header");
    world.assert_unharmed().await;
}

async fn assert_refused(world: &World, name: &str, request: &Request) {
    let response = world.server.ask(request).await;
    let text = response.text();
    assert!(matches!(response.status, 400 | 404), "{name}: {} {text}", response.status);
    let response = response.json();
    let words = response["error_description"].as_str().or(response["message"].as_str());
    assert!(words.is_some_and(|words| words.len() > 8), "{name}: no words in {text}");
}
