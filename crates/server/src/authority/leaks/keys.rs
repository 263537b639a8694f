//! The public keys with which a programme signs its reports.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The keys of one programme, by their ids.
#[derive(Debug)]
pub struct ProgrammeKeys(BTreeMap<String, ParsedPublicKey>);

/// Why a file of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// It is not the JSON that the programmes publish.
    #[error(
        "it is not a list of keys; expected {{\"public_keys\": [{{\"key_identifier\": …, \"key\": …}}]}}, \
         as the programme publishes it"
    )]
    Form,
    /// It has no keys.
    #[error("it has no keys; fetch it again from the programme")]
    Empty,
    /// A key is repeated.
    #[error("the key {0} is in it twice; fetch it again from the programme")]
    Twice(String),
    /// A key is not an ECDSA key on P-256.
    #[error("the key {0} is not a public key on the curve P-256, in PEM")]
    Key(String),
}

/// A report without a signature of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the report is not signed by the programme")]
pub struct ForgedReport;

/// The file as the programmes publish it. Other members are ignored.
#[derive(Deserialize)]
struct File {
    public_keys: Vec<Key>,
}

/// `is_current` is ignored, too: a programme still publishes a previous key for as long as
/// reports that it signed can arrive.
#[derive(Deserialize)]
struct Key {
    key_identifier: String,
    key: String,
}

/// The longest signature: an ASN.1 DER sequence of two numbers of up to 33 bytes, in base64.
const LONGEST_SIGNATURE: usize = 96;

impl ProgrammeKeys {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// [`BadKeys`].
    pub fn parse(text: &str) -> Result<Self, BadKeys> {
        let file: File = serde_json::from_str(text).map_err(|_| BadKeys::Form)?;
        let mut keys = BTreeMap::new();
        for Key { key_identifier: id, key } in file.public_keys {
            let der = SubjectPublicKeyInfoDer::from_pem_slice(key.as_bytes());
            let der = der.map_err(|_| BadKeys::Key(id.clone()))?;
            let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der.as_ref());
            let key = key.map_err(|_| BadKeys::Key(id.clone()))?;
            if keys.insert(id.clone(), key).is_some() {
                return Err(BadKeys::Twice(id));
            }
        }
        if keys.is_empty() {
            return Err(BadKeys::Empty);
        }
        Ok(Self(keys))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, which [`Self::parse`] rejects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key of this id is among them.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Checks the signature of a report: the base64 of an ECDSA signature in ASN.1 DER over the
    /// SHA-256 of the body, as it was received.
    ///
    /// # Errors
    /// [`ForgedReport`].
    pub fn check(&self, id: &str, signature: &str, body: &[u8]) -> Result<(), ForgedReport> {
        let key = self.0.get(id).ok_or(ForgedReport)?;
        if signature.len() > LONGEST_SIGNATURE {
            return Err(ForgedReport);
        }
        let signature = STANDARD.decode(signature).map_err(|_| ForgedReport)?;
        key.verify_sig(body, &signature).map_err(|_| ForgedReport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
        },
    };
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
    use serde_json::json;

    fn pem(pair: &EcdsaKeyPair) -> String {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let der = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    }

    fn file(keys: &[(&str, String)]) -> String {
        let key = |(id, key): &(&str, String)| json!({ "key_identifier": id, "key": key });
        let keys: Vec<_> = keys.iter().map(key).collect();
        json!({ "public_keys": keys }).to_string()
    }

    #[test]
    fn a_signature_is_good_only_for_its_key_its_body_and_in_its_one_encoding() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let keys = ProgrammeKeys::parse(&file(&[("a", pem(&pair)), ("b", pem(&other))])).unwrap();
        let sign = |body: &[u8]| pair.sign(&SystemRandom::new(), body).unwrap();
        let made = sign(b"[]");
        let der = made.as_ref();
        let text = STANDARD.encode(der);
        assert_eq!(keys.check("a", &text, b"[]"), Ok(()));
        assert_eq!(keys.check("b", &text, b"[]"), Err(ForgedReport), "another key");
        assert_eq!(keys.check("c", &text, b"[]"), Err(ForgedReport), "an unknown key");
        assert_eq!(keys.check("a", &text, b"[ ]"), Err(ForgedReport), "another body");
        // A signature whose base64 has other letters in the two alphabets.
        let url_safe = (0..200).map(|n: u32| n.to_string()).find_map(|body| {
            let made = sign(body.as_bytes());
            let text = URL_SAFE.encode(made.as_ref());
            text.contains(['-', '_']).then_some((body, text))
        });
        let (body, url_safe) = url_safe.unwrap();
        assert_eq!(keys.check("a", &url_safe, body.as_bytes()), Err(ForgedReport));
        let fixed: Vec<u8> = vec![7; 64];
        let with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = der.to_vec();
            change(&mut bytes);
            STANDARD.encode(bytes)
        };
        for (what, forged) in [
            ("empty", String::new()),
            ("spaces", format!(" {text}")),
            ("a line break", format!("{text}\n")),
            ("hex", data_encoding::HEXLOWER.encode(der)),
            ("not base64", "!".repeat(96)),
            ("zeros in DER", STANDARD.encode([0x30, 6, 2, 1, 0, 2, 1, 0])),
            ("a fixed length, as in JWS", STANDARD.encode(fixed)),
            ("a byte more", with(|it| it.push(0))),
            ("a byte less", with(|it| it.truncate(it.len() - 1))),
            ("a changed bit", with(|it| it[20] ^= 1)),
            ("a length of BER", with(|it| it.splice(1..2, [0x81, it[1]]).for_each(drop))),
            ("long", STANDARD.encode(vec![0x30; 4_000])),
        ] {
            assert_eq!(keys.check("a", &forged, b"[]"), Err(ForgedReport), "{what}");
        }
        let unpadded = (0..200).map(|n: u32| n.to_string()).find_map(|body| {
            let made = sign(body.as_bytes());
            let text = STANDARD.encode(made.as_ref());
            text.ends_with('=').then(|| (body, STANDARD_NO_PAD.encode(made.as_ref())))
        });
        let (body, unpadded) = unpadded.unwrap();
        assert_eq!(keys.check("a", &unpadded, body.as_bytes()), Err(ForgedReport));
    }

    /// The sample request of GitHub's documentation, and GitHub's key of that time.
    #[test]
    fn the_sample_of_githubs_documentation_is_accepted() {
        let id = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
        let key = "-----BEGIN PUBLIC KEY-----\n\
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\n\
            AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n\
            -----END PUBLIC KEY-----\n";
        let keys = ProgrammeKeys::parse(&file(&[(id, key.to_owned())])).unwrap();
        let body = br#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
        let signature = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/\
            AO1RtBY66YcAdjxji410VQV4xg==";
        assert_eq!(keys.check(id, signature, body), Ok(()));
        assert_eq!(keys.check(id, signature, b"[]"), Err(ForgedReport));
    }

    #[test]
    fn a_file_of_other_keys_or_of_none_is_rejected() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let large = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let of = |text: &str| ProgrammeKeys::parse(text).err();
        for text in
            ["", "[]", "{}", "{\"public_keys\": 5}", "<html></html>", "{\"public_keys\":[{}]}"]
        {
            assert_eq!(of(text), Some(BadKeys::Form), "{text}");
        }
        assert_eq!(of(&file(&[])), Some(BadKeys::Empty));
        let twice = file(&[("a", pem(&pair)), ("a", pem(&pair))]);
        assert_eq!(of(&twice), Some(BadKeys::Twice("a".to_owned())));
        let pem = pem(&pair);
        let one = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned();
        let private = pem.replace("PUBLIC KEY", "PRIVATE KEY");
        for key in [super::tests::pem(&large), one, private, String::new()] {
            assert_eq!(of(&file(&[("a", key)])), Some(BadKeys::Key("a".to_owned())));
        }
    }
}
