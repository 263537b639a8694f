//! A channel's private assertion key: made, kept in a file as a JWK (RFC 7517),
//! and used to sign the assertions that ask for tokens (RFC 7523).

use crate::failure::BadUsage;
use anyhow::{Context, anyhow};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeyPairComponents, KeySize, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};
use tegata_token::id::ChannelId;

/// An RSA key pair with the numbers that it is made of, and its `kid` once it is
/// registered. Cannot be printed.
pub struct PrivateJwk {
    pair: KeyPair,
    kid: Option<String>,
    numbers: BTreeMap<&'static str, String>,
}

/// The members of an RSA private key (RFC 7518, section 6.3), in the order of
/// `RSAPrivateKey` (RFC 8017, appendix A.1.2).
const NUMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

impl PrivateJwk {
    /// A new pair of 2048 bits.
    pub fn generate() -> anyhow::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).context("cannot make an RSA key pair")?;
        let der: Pkcs8V1Der<'_> = pair.as_der().context("cannot write out the key pair")?;
        let numbers = numbers(der.as_ref()).ok_or_else(|| anyhow!("the key pair is no PKCS #8"))?;
        let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        let numbers = NUMBERS.into_iter().zip(numbers.map(encode)).collect();
        Ok(Self { pair, kid: None, numbers })
    }

    /// The key in a file that `tegata key generate` wrote, or any private RSA JWK
    /// with the `kid` that it is registered under.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = |what: &str| BadUsage(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        let jwk: Value = serde_json::from_str(&text).map_err(|_| wrong("not JSON"))?;
        let kid = jwk["kid"].as_str().map(str::to_owned);
        let kid = Some(kid.ok_or_else(|| wrong("no `kid`: add the one that registering gave"))?);
        let mut numbers = BTreeMap::new();
        let mut bytes = BTreeMap::new();
        for name in NUMBERS {
            let text = jwk[name].as_str().unwrap_or_default();
            let number = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
            if number.is_empty() {
                return Err(wrong(&format!("not a private RSA JWK: `{name}` is missing")).into());
            }
            numbers.insert(name, text.to_owned());
            bytes.insert(name, number);
        }
        let pair = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: &bytes["n"], e: &bytes["e"] },
            d: &bytes["d"],
            p: &bytes["p"],
            q: &bytes["q"],
            dP: &bytes["dp"],
            dQ: &bytes["dq"],
            qInv: &bytes["qi"],
        })
        .map_err(|_| wrong("its numbers are no RSA key pair"))?;
        Ok(Self { pair, kid, numbers })
    }

    /// The public half, as it is registered.
    pub fn public(&self) -> Value {
        let (n, e) = (&self.numbers["n"], &self.numbers["e"]);
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e })
    }

    /// The whole key under its `kid`, as it goes into its file.
    pub fn to_json(&self, kid: &str) -> String {
        let mut jwk = self.public();
        jwk["kid"] = kid.into();
        for (name, number) in &self.numbers {
            jwk[name] = number.as_str().into();
        }
        format!("{jwk:#}\n")
    }

    /// An assertion of `channel`, good for five minutes from `now` (seconds since
    /// 1970), that asks for a token of `life` seconds where that can be chosen.
    pub fn assertion(&self, channel: ChannelId, life: i64, now: i64) -> anyhow::Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        let claims = json!({
            "iss": channel,
            "sub": channel,
            "aud": "https://api.line.me/",
            "exp": now + 5 * 60,
            "token_exp": life,
        });
        let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .context("cannot sign the assertion")?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The eight numbers in a PKCS #8 RSA key (RFC 5958; RFC 8017, appendix A.1.2),
/// without the zero that keeps a DER number positive. The library gives a pair
/// out in this form only.
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

/// The content of the DER value (X.690, section 8.1) that `der` begins with, and
/// what comes behind it.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
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
    use tegata_token::jwk::AssertionKey;

    #[test]
    fn a_new_key_can_be_registered_and_read_back_from_its_file() {
        let key = PrivateJwk::generate().unwrap();
        AssertionKey::from_jwk(key.public().to_string().as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        std::fs::write(&file, key.to_json("a-kid")).unwrap();
        let back = PrivateJwk::read(&file).unwrap();
        assert_eq!(back.kid.as_deref(), Some("a-kid"));
        assert_eq!(back.numbers, key.numbers);
    }

    #[test]
    fn an_assertion_is_a_jwt_that_others_can_check() {
        let mut key = PrivateJwk::generate().unwrap();
        key.kid = Some("a-kid".to_owned());
        let jwt = key.assertion("1234567890".parse().unwrap(), 60, 1_000).unwrap();
        let public = &key.numbers;
        let decoder = DecodingKey::from_rsa_components(&public["n"], &public["e"]).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_exp = false;
        rules.set_audience(&["https://api.line.me/"]);
        let jwt = jsonwebtoken::decode::<Value>(&jwt, &decoder, &rules).unwrap();
        assert_eq!(jwt.header.kid.as_deref(), Some("a-kid"));
        assert_eq!(jwt.claims["sub"], "1234567890");
        assert_eq!((&jwt.claims["exp"], &jwt.claims["token_exp"]), (&json!(1_300), &json!(60)));
    }

    #[test]
    fn a_file_that_holds_no_private_key_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        std::fs::write(&file, r#"{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"}"#).unwrap();
        let error = PrivateJwk::read(&file).err().unwrap().to_string();
        assert!(error.contains("key.json") && error.contains("`d`"), "{error}");
    }
}
