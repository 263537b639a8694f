//! A channel's private assertion key: generates it, reads it from a JWK (RFC 7517) or PEM
//! (RFC 7468), and signs assertions (RFC 7523).

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeyPairComponents, KeySize, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};
use tegata_system::{
    pem::Pem,
    secret::{Form, in_argument},
};
use tegata_token::{id::ChannelId, time::UnixTime};
use zeroize::Zeroizing;

/// A file or text without a usable key. The message says why and what to do, and quotes
/// nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableKey(pub(crate) String);

fn bad(what: &str) -> UnusableKey {
    UnusableKey(what.to_owned())
}

/// An RSA key pair with its numbers, and its `kid` once it is registered. It has no
/// `Debug`, so it cannot be printed.
pub struct PrivateKey {
    pair: KeyPair,
    kid: Option<String>,
    numbers: BTreeMap<&'static str, Zeroizing<String>>,
}

/// The members of an RSA private key (RFC 7518, section 6.3), in the order of
/// `RSAPrivateKey` (RFC 8017, appendix A.1.2).
const NUMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// The audience that LINE requires in an assertion, and Tegata accepts, too (LINE,
/// "Generate a JSON Web Token", docs/messaging-api/generate-json-web-token).
pub const AUDIENCE: &str = "https://api.line.me/";

/// How long an assertion is valid, in seconds: half of the maximum, so that a clock may be
/// a quarter of an hour off either way.
const GOOD_FOR: i64 = 15 * 60;

impl PrivateKey {
    /// Generates a pair of 2048 bits, which is not registered yet.
    ///
    /// # Errors
    /// [`UnusableKey`], if the library fails.
    pub fn generate() -> Result<Self, UnusableKey> {
        let pair = KeyPair::generate(KeySize::Rsa2048);
        Self::of(pair.map_err(|_| bad("cannot generate an RSA key pair"))?, None)
    }

    /// Reads the key in a file, like [`PrivateKey::parse`].
    ///
    /// # Errors
    /// [`UnusableKey`], which names the file.
    pub fn read(path: &Path, kid: Option<&str>) -> Result<Self, UnusableKey> {
        let text = in_argument(path, Form::Key).map_err(|error| UnusableKey(error.to_string()))?;
        let wrong = |error: UnusableKey| UnusableKey(format!("{}: {error}", path.display()));
        Self::parse(&text, kid).map_err(wrong)
    }

    /// Parses a private RSA JWK, as `tegata key generate` writes it, or a private key as PEM
    /// (PKCS #8 or PKCS #1). `kid` is the id that the key is registered under; a JWK with a
    /// `kid` needs none.
    ///
    /// # Errors
    /// [`UnusableKey`].
    pub fn parse(text: &str, kid: Option<&str>) -> Result<Self, UnusableKey> {
        let kid = kid.map(str::to_owned);
        if Pem::is_in(text) {
            let pair = pair_in_pem(text)?;
            let missing = "a PEM key needs the id that it is registered under; set it with `key_id` (--key-id)";
            return Self::of(pair, Some(kid.ok_or_else(|| bad(missing))?));
        }
        if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
            return Err(bad("it is an OpenSSH public key; the private key is in the file beside \
                            it, without `.pub`"));
        }
        let jwk: Value = serde_json::from_str(text).map_err(|_| bad("neither a JWK nor PEM"))?;
        let kid = kid.or_else(|| jwk["kid"].as_str().map(str::to_owned));
        let kid = kid.ok_or_else(|| {
            bad("no `kid`: set the id that the key is registered under with `key_id` (--key-id ID)")
        })?;
        Self::of(pair_in_jwk(&jwk)?, Some(kid))
    }

    fn of(pair: KeyPair, kid: Option<String>) -> Result<Self, UnusableKey> {
        let der: Result<Pkcs8V1Der<'_>, _> = pair.as_der();
        let der = der.map_err(|_| bad("cannot write out the key pair"))?;
        let found = numbers(der.as_ref()).ok_or_else(|| bad("the key pair is no PKCS #8"))?;
        let encode = |number: &[u8]| Zeroizing::new(URL_SAFE_NO_PAD.encode(number));
        let numbers = NUMBERS.into_iter().zip(found.map(encode)).collect();
        Ok(Self { pair, kid, numbers })
    }

    /// The public half, for registration.
    #[must_use]
    pub fn public(&self) -> Value {
        let (n, e) = (self.numbers["n"].as_str(), self.numbers["e"].as_str());
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e })
    }

    /// The private JWK with its `kid`, as it is written to a file.
    #[must_use]
    pub fn to_json(&self, kid: &str) -> String {
        let mut jwk = self.public();
        jwk["kid"] = kid.into();
        for (name, number) in &self.numbers {
            jwk[name] = number.as_str().into();
        }
        format!("{jwk:#}\n")
    }

    /// The private key as PEM (PKCS #8, RFC 5958), as it is written to a file. It holds no
    /// `kid`.
    ///
    /// # Errors
    /// [`UnusableKey`], if the library fails.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, UnusableKey> {
        /// Letters in a line (RFC 7468, section 2).
        const LINE: usize = 64;
        let der: Result<Pkcs8V1Der<'_>, _> = self.pair.as_der();
        let der = der.map_err(|_| bad("cannot write out the key pair"))?;
        let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// Signs an assertion of `channel` for `audience` (usually [`AUDIENCE`]), which is valid
    /// for a quarter of an hour from `now` and requests a token with a lifetime of `life`
    /// seconds, if its kind allows that.
    ///
    /// # Errors
    /// [`UnusableKey`], if the library fails to sign.
    pub fn assertion(
        &self,
        audience: &str,
        channel: ChannelId,
        life: i64,
        now: UnixTime,
    ) -> Result<String, UnusableKey> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        let claims = json!({
            "iss": channel,
            "sub": channel,
            "aud": audience,
            "exp": now.plus(GOOD_FOR).0,
            "token_exp": life,
        });
        let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| bad("cannot sign the assertion"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn pair_in_jwk(jwk: &Value) -> Result<KeyPair, UnusableKey> {
    let mut bytes = BTreeMap::new();
    for name in NUMBERS {
        let text = jwk[name].as_str().unwrap_or_default();
        let number = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).unwrap_or_default());
        if number.is_empty() {
            return Err(UnusableKey(format!("not a private RSA JWK: `{name}` is missing")));
        }
        bytes.insert(name, number);
    }
    KeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: bytes["n"].as_slice(), e: bytes["e"].as_slice() },
        d: &bytes["d"],
        p: &bytes["p"],
        q: &bytes["q"],
        dP: &bytes["dp"],
        dQ: &bytes["dq"],
        qInv: &bytes["qi"],
    })
    .map_err(|_| bad("its numbers are not an RSA key pair"))
}

fn pair_in_pem(text: &str) -> Result<KeyPair, UnusableKey> {
    let pem = Pem::find(text);
    if !pem.has_private_key() {
        return Err(UnusableKey(pem.instead_of_a_private_key(text)));
    }
    let der = PrivateKeyDer::from_pem_slice(pem.text.as_bytes());
    let damaged = "the private key in the PEM cannot be read; is it damaged? `openssl pkey -in \
                   FILE -check -noout` tests it";
    let pair = match der.map_err(|_| bad(damaged))? {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => {
            return Err(bad("it is an EC PRIVATE KEY, but assertions are signed with RSA; \
                             `tegata key generate` makes such a key"));
        }
    };
    pair.map_err(|_| {
        bad("the PEM holds no RSA key of 2048 bits or more; `tegata key generate` makes one")
    })
}

/// The eight numbers in a PKCS #8 RSA key (RFC 5958; RFC 8017, appendix A.1.2),
/// without the zero that keeps a DER number positive. The library exports a pair in this
/// form only.
fn numbers(pkcs8: &[u8]) -> Option<[&[u8]; 8]> {
    const INTEGER: u8 = 2;
    const OCTET_STRING: u8 = 4;
    const SEQUENCE: u8 = 0x30;
    let (outer, _) = value(SEQUENCE, pkcs8)?;
    let (_version, rest) = value(INTEGER, outer)?;
    let (_algorithm, rest) = value(SEQUENCE, rest)?;
    let (key, _) = value(OCTET_STRING, rest)?;
    let (key, _) = value(SEQUENCE, key)?;
    let (_version, mut rest) = value(INTEGER, key)?;
    let mut numbers = [&[][..]; 8];
    for number in &mut numbers {
        let (bytes, behind) = value(INTEGER, rest)?;
        *number = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        rest = behind;
    }
    Some(numbers)
}

/// The content of the DER value (X.690, section 8.1) at the start of `der`, and the rest.
pub(crate) fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..0x80 => (usize::from(length), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
            (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use tegata_policy::jwk::AssertionKey;

    fn channel() -> ChannelId {
        "1234567890".parse().unwrap()
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    #[test]
    fn a_new_key_can_be_registered_and_read_back_from_its_file() {
        let key = PrivateKey::generate().unwrap();
        AssertionKey::from_jwk(key.public().to_string().as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        std::fs::write(&file, key.to_json("a-kid")).unwrap();
        let back = PrivateKey::read(&file, None).unwrap();
        assert_eq!(back.kid.as_deref(), Some("a-kid"));
        assert_eq!(back.numbers, key.numbers);
    }

    #[test]
    fn a_pem_key_of_either_form_is_the_same_key_and_needs_its_id() {
        let key = PrivateKey::generate().unwrap();
        let pkcs8: Pkcs8V1Der<'_> = key.pair.as_der().unwrap();
        let pkcs8 = pkcs8.as_ref();
        let (outer, _) = value(0x30, pkcs8).unwrap();
        let (_, rest) = value(2, outer).unwrap();
        let (_, rest) = value(0x30, rest).unwrap();
        let (pkcs1, _) = value(4, rest).unwrap();
        for text in [pem("PRIVATE KEY", pkcs8), pem("RSA PRIVATE KEY", pkcs1)] {
            let back = PrivateKey::parse(&text, Some("a-kid")).unwrap();
            assert_eq!(back.numbers, key.numbers);
            let error = PrivateKey::parse(&text, None).err().unwrap().to_string();
            assert!(error.contains("key_id"), "{error}");
        }
        assert!(PrivateKey::parse(&pem("PRIVATE KEY", b"no key"), Some("a")).is_err());
        let lines = pem("PRIVATE KEY", pkcs8);
        for text in [
            lines.trim_end().replace('\n', "\\n"),
            format!("\"{}\"", lines.replace('\n', "\\n")),
            lines.replace('\n', "\n  "),
            lines.replace('\n', " "),
            pem("CERTIFICATE", b"x") + &lines,
        ] {
            let back = PrivateKey::parse(&text, Some("a-kid"));
            assert_eq!(back.ok().map(|it| it.numbers), Some(key.numbers.clone()), "{text}");
        }
    }

    #[test]
    fn a_key_of_either_form_without_its_id_names_the_option_that_gives_it() {
        let key = PrivateKey::generate().unwrap();
        let mut jwk: Value = serde_json::from_str(&key.to_json("a-kid")).unwrap();
        jwk.as_object_mut().unwrap().remove("kid");
        for text in [jwk.to_string(), key.to_pem().unwrap().to_string()] {
            let wrong = PrivateKey::parse(&text, None).err().unwrap().to_string();
            assert!(wrong.contains("`key_id` (--key-id"), "{wrong}");
            let key = PrivateKey::parse(&text, Some("a-kid")).unwrap();
            assert_eq!(key.kid.as_deref(), Some("a-kid"));
        }
    }

    #[test]
    fn another_document_than_a_private_key_is_named_with_the_next_step() {
        for (text, said) in [
            (pem("CERTIFICATE", b"x"), "CERTIFICATE"),
            (pem("PUBLIC KEY", b"x"), "PUBLIC KEY"),
            (pem("OPENSSH PRIVATE KEY", b"x"), "ssh-keygen -p"),
            (pem("ENCRYPTED PRIVATE KEY", b"x"), "openssl pkey"),
            (pem("EC PRIVATE KEY", b"x"), "signed with RSA"),
            ("PuTTY-User-Key-File-3: ssh-rsa".to_owned(), "puttygen"),
            ("ssh-rsa AAAA me@here".to_owned(), "without `.pub`"),
        ] {
            let error = PrivateKey::parse(&text, Some("a")).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_key_written_as_pem_is_the_same_key() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        assert_eq!(PrivateKey::parse(&pem, Some("a-kid")).unwrap().numbers, key.numbers);
        assert!(pem.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn an_assertion_is_a_jwt_that_another_library_verifies() {
        let mut key = PrivateKey::generate().unwrap();
        key.kid = Some("a-kid".to_owned());
        let jwt = key.assertion(AUDIENCE, channel(), 60, UnixTime(1_000)).unwrap();
        let public = &key.numbers;
        let decoder = DecodingKey::from_rsa_components(&public["n"], &public["e"]).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_exp = false;
        rules.set_audience(&["https://api.line.me/"]);
        let jwt = jsonwebtoken::decode::<Value>(&jwt, &decoder, &rules).unwrap();
        assert_eq!(jwt.header.kid.as_deref(), Some("a-kid"));
        assert_eq!(jwt.claims["sub"], "1234567890");
        assert_eq!((&jwt.claims["exp"], &jwt.claims["token_exp"]), (&json!(1_900), &json!(60)));
    }

    #[test]
    fn a_file_that_holds_no_private_key_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        std::fs::write(&file, r#"{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"}"#).unwrap();
        let error = PrivateKey::read(&file, None).err().unwrap().to_string();
        assert!(error.contains("key.json") && error.contains("`d`"), "{error}");
    }
}
