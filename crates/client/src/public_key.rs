//! Reads a public assertion key from a user's file: a JWK, a set of one JWK, or PEM.
//!
//! A private key must not leave the machine: the document is searched for private parts
//! first, and the result is built from public members only.

use crate::key::{UnusableKey, value};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Map, Value, json};
use tegata_policy::jwk::{holds_private_part, is_private_text};
use tegata_system::pem::Pem;

/// The public members of an RSA JWK (RFC 7517, section 4; RFC 7518, section 6.3.1).
/// `kid` is among them, so that the authority can refuse it with its reason.
const PUBLIC: [&str; 7] = ["kty", "alg", "use", "key_ops", "kid", "n", "e"];

const PRIVATE: &str = "it holds a private key; nothing was sent. Register the public half \
                       only: of PEM, `openssl pkey -in FILE -pubout` writes it, of a JWK, the \
                       members kty, alg, use, n and e are it";

/// Reads the public JWK in a document, for registration.
///
/// # Errors
/// [`UnusableKey`]: the document holds a private part, or no single public RSA key. The
/// message names the form that was found and the next step, and quotes nothing.
pub fn public_jwk(document: &[u8]) -> Result<Value, UnusableKey> {
    let text = text_of(document)?;
    if is_private_text(text) {
        return Err(bad(PRIVATE));
    }
    if text.contains("-----BEGIN ") || text.contains("---- BEGIN ") {
        return in_pem(&Pem::find(text));
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(bad("it is an OpenSSH public key; `ssh-keygen -e -m PKCS8 -f FILE` writes \
                        an RSA key as PEM, which is accepted"));
    }
    let json: Value = serde_json::from_str(text).map_err(|_| {
        bad("neither a JWK, a set of one JWK, nor PEM; give the whole text from `{` to `}`, or from \
             `-----BEGIN PUBLIC KEY-----` to `-----END PUBLIC KEY-----`")
    })?;
    if holds_private_part(&json) {
        return Err(bad(PRIVATE));
    }
    let jwk = match json {
        Value::Object(mut members) if members.contains_key("keys") => {
            return only_key(members.remove("keys").unwrap_or_default());
        }
        Value::Object(members) => members,
        Value::Array(_) => {
            return Err(bad("it is a JSON array; give one public JWK, or a set {\"keys\": […]} \
                            of exactly one"));
        }
        _ => return Err(bad("it is JSON, but not an object; give one public JWK")),
    };
    if !jwk.contains_key("kty") && jwk.get("jwk").is_some_and(Value::is_object) {
        return Err(bad("it is the body of an API request; give the object in its member `jwk`"));
    }
    Ok(public_members(jwk))
}

fn bad(what: &str) -> UnusableKey {
    UnusableKey(what.to_owned())
}

fn text_of(document: &[u8]) -> Result<&str, UnusableKey> {
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    if document.starts_with(&[0xFF, 0xFE]) || document.starts_with(&[0xFE, 0xFF]) {
        return Err(bad("it is UTF-16; save it as UTF-8"));
    }
    if document.first() == Some(&0x30) && document.get(1).is_some_and(|&it| it >= 0x80) {
        return Err(bad(
            "it is binary (DER), not PEM; `openssl pkey -pubin -inform DER -in FILE` \
                        writes a public key as PEM, `openssl pkey -inform DER -in FILE -pubout` \
                        the public half of a private one",
        ));
    }
    match std::str::from_utf8(document) {
        Ok(text) => Ok(text.trim()),
        Err(_) => Err(bad("it is not UTF-8 text; give a public JWK or PEM")),
    }
}

/// The key of a set (RFC 7517, section 5) with exactly one. Its `kid` is removed: the
/// authority assigns one.
fn only_key(keys: Value) -> Result<Value, UnusableKey> {
    let Value::Array(mut keys) = keys else {
        return Err(bad("its member `keys` is not an array; give one public JWK"));
    };
    let count = keys.len();
    match (keys.pop(), count) {
        (Some(Value::Object(mut jwk)), 1) => {
            jwk.remove("kid");
            Ok(public_members(jwk))
        }
        (Some(_), 1) => Err(bad("the only entry of its set is not a JWK; give one public JWK")),
        _ => Err(UnusableKey(format!(
            "it is a set of {count} keys, but one is registered at a time; write the one that \
             is meant to a file of its own, such as by `jq '.keys[0]' FILE`"
        ))),
    }
}

fn public_members(jwk: Map<String, Value>) -> Value {
    jwk.into_iter()
        .filter(|(name, _)| PUBLIC.contains(&name.as_str()))
        .collect::<Map<_, _>>()
        .into()
}

// ---- PEM

fn in_pem(pem: &Pem) -> Result<Value, UnusableKey> {
    if let Some(label) = &pem.cut {
        return Err(UnusableKey(format!(
            "its section {label} is cut short: the line -----END {label}----- is missing; copy \
             all of it"
        )));
    }
    let labels: Vec<&str> = pem.labels.iter().map(String::as_str).collect();
    let key = match labels.as_slice() {
        ["PUBLIC KEY"] => spki(&pem.text),
        ["RSA PUBLIC KEY"] => pkcs1(&pem.text),
        ["CERTIFICATE", ..] => {
            return Err(bad("it is a certificate; `openssl x509 -in FILE -noout -pubkey` writes \
                            its public key"));
        }
        [] => {
            return Err(bad("it is an SSH2 public key (RFC 4716); `ssh-keygen -i -m RFC4716 -f \
                            FILE | ssh-keygen -e -m PKCS8 -f /dev/stdin` writes it as PEM"));
        }
        [other] => {
            return Err(UnusableKey(format!(
                "it is PEM of the kind \"{other}\"; give a PUBLIC KEY, as `openssl pkey -pubout` \
                 writes it"
            )));
        }
        several => {
            return Err(UnusableKey(format!(
                "it holds {} PEM sections, but one key is registered at a time; write the one \
                 that is meant to a file of its own",
                several.len()
            )));
        }
    };
    let (n, e) = key.ok_or_else(|| {
        bad("it is the PEM of a public key, but not of an RSA key; `tegata key generate` makes one")
    })?;
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    Ok(json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "n": encode(&n), "e": encode(&e) }))
}

/// The algorithm `rsaEncryption` (RFC 8017, appendix A.1).
const RSA_ENCRYPTION: [u8; 9] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OBJECT_IDENTIFIER: u8 = 6;
const SEQUENCE: u8 = 0x30;

/// Modulus and exponent, big-endian without leading zeros.
type Numbers = (Vec<u8>, Vec<u8>);

/// Reads a `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
fn spki(pem: &str) -> Option<Numbers> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (outer, _) = value(SEQUENCE, &der)?;
    let (algorithm, rest) = value(SEQUENCE, outer)?;
    let (oid, _) = value(OBJECT_IDENTIFIER, algorithm)?;
    let (bits, _) = value(BIT_STRING, rest)?;
    (oid == RSA_ENCRYPTION).then(|| rsa_public_key(bits.strip_prefix(&[0])?)).flatten()
}

/// Reads an `RSAPublicKey` (RFC 8017, appendix A.1.1). The PEM reader has no type for it, so
/// its label is replaced by a known one.
fn pkcs1(pem: &str) -> Option<Numbers> {
    let renamed = pem.replace(" RSA PUBLIC KEY-----", " PUBLIC KEY-----");
    rsa_public_key(&SubjectPublicKeyInfoDer::from_pem_slice(renamed.as_bytes()).ok()?)
}

fn rsa_public_key(der: &[u8]) -> Option<Numbers> {
    let (key, _) = value(SEQUENCE, der)?;
    let (n, rest) = value(INTEGER, key)?;
    let (e, _) = value(INTEGER, rest)?;
    let bare = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
    Some((bare(n), bare(e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
        rsa::{KeyPair, KeySize},
        signature::KeyPair as _,
    };
    use base64::engine::general_purpose::STANDARD;

    fn pem(label: &str, der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn refused(document: impl AsRef<[u8]>) -> String {
        public_jwk(document.as_ref()).expect_err("it was accepted").to_string()
    }

    #[test]
    fn a_public_key_is_read_from_a_jwk_a_set_of_one_and_either_form_of_pem() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = pem("PUBLIC KEY", spki.as_ref());
        let jwk = public_jwk(spki.as_bytes()).unwrap();
        tegata_policy::jwk::AssertionKey::from_jwk(jwk.to_string().as_bytes()).unwrap();
        let mut named = jwk.clone();
        named["kid"] = "mine".into();
        named["ext"] = true.into();
        for same in [
            pem("RSA PUBLIC KEY", pair.public_key().as_ref()),
            spki.replace('\n', "\\n"),
            format!("\"{}\"", spki.replace('\n', "\\n")),
            spki.replace('\n', "\n  "),
            format!("\u{feff}{spki}"),
            format!("Some words before it\n{spki}"),
            jwk.to_string(),
            json!({ "keys": [jwk] }).to_string(),
            json!({ "keys": [named] }).to_string(),
        ] {
            assert_eq!(public_jwk(same.as_bytes()).unwrap(), jwk, "{same}");
        }
        assert_eq!(public_jwk(named.to_string().as_bytes()).unwrap()["kid"], "mine");
    }

    #[test]
    fn a_private_part_is_found_in_every_form_and_never_printed() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let whole = PrivateKey::generate().unwrap().to_json("a");
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let mut without_d = whole.clone();
        without_d.as_object_mut().unwrap().remove("d");
        let mut documents = vec![
            whole.to_string(),
            without_d.to_string(),
            json!({ "keys": [whole] }).to_string(),
            json!([[{ "key": without_d }]]).to_string(),
            json!({ "key": whole.to_string() }).to_string(),
            json!({ "key": pem("PRIVATE KEY", der.as_ref()) }).to_string(),
            "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\nAAAA\n".to_owned(),
        ];
        for kind in ["", "RSA ", "EC ", "DSA ", "ENCRYPTED ", "OPENSSH "] {
            let key = pem(&format!("{kind}PRIVATE KEY"), der.as_ref());
            documents.push(key.replace('\n', "\\n"));
            documents.push(format!("{}{key}", pem("PUBLIC KEY", b"of a pair")));
            documents.push(key);
        }
        for document in documents {
            let error = refused(&document);
            assert!(error.contains("private key"), "{error}: {document}");
            assert!(error.len() < 400, "{error}");
        }
    }

    #[test]
    fn a_document_without_a_single_public_key_is_named_with_the_next_step() {
        for (document, named) in [
            (&b"{\"keys\":[{},{}]}"[..], "a set of 2 keys"),
            (b"{\"keys\":[]}", "a set of 0 keys"),
            (b"{\"keys\":[1]}", "not a JWK"),
            (b"{\"keys\":{}}", "not an array"),
            (b"[{}]", "a JSON array"),
            (b"\"text\"", "not an object"),
            (b"{\"jwk\":{\"kty\":\"RSA\"}}", "`jwk`"),
            (b"ssh-rsa AAAA me@here", "ssh-keygen"),
            (b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "ssh-keygen"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "openssl x509"),
            (b"-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----", "EC PARAMETERS"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "not of an RSA key"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA", "cut short"),
            (b"\x30\x82\x01\x22\x30", "DER"),
            (b"\xFF\xFE{\0}\0", "UTF-16"),
            (b"\xC3\x28", "UTF-8"),
            (b"nothing", "neither a JWK"),
            (b"", "neither a JWK"),
        ] {
            let error = refused(document);
            assert!(error.contains(named), "{error}: {}", String::from_utf8_lossy(document));
        }
        let two = pem("PUBLIC KEY", b"x").repeat(2);
        assert!(refused(two).contains("2 PEM sections"));
    }
}
