//! The search of a text that is in memory as a whole.

use crate::{Finder, Flat, FoundSecret, Scanned};

/// Reports each secret in `text`, in the order in which they begin.
pub fn search(finder: &Finder, text: &[u8], report: &mut dyn FnMut(&FoundSecret<'_>)) {
    let mut flat = Flat::default();
    flat.fill(text, true);
    let mut note = |_: usize, secret: &FoundSecret<'_>| -> Result<(), std::convert::Infallible> {
        report(secret);
        Ok(())
    };
    let mut from = 0;
    while let Some(candidate) = finder.next(&flat.bytes, from) {
        let Ok(verdict) = finder.look(&flat, &candidate, true, &mut note);
        from = match verdict {
            Scanned::Done(end) => end,
            Scanned::Nothing | Scanned::Undecided => candidate.at.start + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use tegata_token::{
        claims::Claims,
        id::{ChannelId, ProviderId, Serial, TokenId},
        key::SigningKey,
        kind::Kind,
        time::UnixTime,
        wire::write,
    };

    fn token(kind: Kind) -> String {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let claims = Claims {
            id: TokenId([1; 16]),
            kind,
            provider: ProviderId::from_number(1_234_567_890).unwrap(),
            channel: ChannelId::from_number(2_345_678_901).unwrap(),
            group: None,
            assertion_key: None,
            serial: Serial(3),
            issued_at: UnixTime(1_764_000_000),
            expires_at: UnixTime(1_764_000_900),
            key: key.public().id(),
        };
        write(&claims, "https://tegata.example.com", &key)
    }

    fn found(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        search(&Finder::new().unwrap(), text.as_bytes(), &mut |secret| {
            all.push(match secret {
                FoundSecret::Token(_, text) => String::from_utf8_lossy(text).into_owned(),
                FoundSecret::VerifierToken => "verifier".to_owned(),
                _ => "other".to_owned(),
            });
        });
        all
    }

    #[test]
    fn each_token_in_a_text_is_found_however_it_is_written() {
        for kind in Kind::all() {
            let token = token(kind);
            let (head, tail) = token.split_at(40);
            for text in [
                token.clone(),
                format!("Authorization: Bearer {token}\r\nHost: a"),
                format!("{{\"access_token\":\"{token}\"}}"),
                format!("{head}\n  {tail}"),
                STANDARD.encode(format!("user:{token}")),
            ] {
                assert_eq!(found(&text), std::slice::from_ref(&token), "{text}");
            }
        }
    }

    #[test]
    fn a_text_can_have_several_secrets() {
        let (one, other) = (token(Kind::V21), token(Kind::LongLived));
        let verifier = format!("tgv_{}", "a".repeat(64));
        let text = format!("a={one} b={verifier}, {other};{one}");
        assert_eq!(found(&text), [one.clone(), "verifier".to_owned(), other, one]);
    }

    #[test]
    fn a_part_of_a_token_is_not_one() {
        let token = token(Kind::V21);
        assert_eq!(found(&token[..token.len() - 1]), [""; 0]);
        assert_eq!(found("eyJ eyJhbGciOi tgs_ tgl_"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }
}
