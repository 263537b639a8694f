//! The search of a text that is in memory as a whole.

use crate::{Finder, Flat, FoundSecret, Scanned};

/// Reports each secret in `text`, in the order in which they begin. Returns how many bytes were
/// parsed and decoded, each as often as it was.
pub fn search(finder: &Finder, text: &[u8], report: &mut dyn FnMut(&FoundSecret<'_>)) -> usize {
    let mut flat = Flat::default();
    flat.fill(text, true);
    let mut note = |_: usize, secret: &FoundSecret<'_>| -> Result<(), std::convert::Infallible> {
        report(secret);
        Ok(())
    };
    let (mut pass, mut from) = (finder.pass(&flat, true), 0);
    while let Some(candidate) = pass.next(from) {
        let Ok(verdict) = pass.look(&candidate, &mut note);
        from = match verdict {
            Scanned::Done(end) => end,
            Scanned::Nothing | Scanned::Undecided => candidate.at.start + 1,
        };
    }
    pass.work()
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

    /// Texts of `length` bytes which have much that looks like the beginning of a secret.
    fn involved(length: usize) -> Vec<Vec<u8>> {
        let fill = |head: &str, part: &str| {
            let text = head.bytes().chain(part.bytes().cycle());
            text.take(length).collect::<Vec<u8>>()
        };
        let plain = vec![
            fill(&[&"{\"a\":".repeat(7), "{\"a\":["].concat(), "\"kty\","),
            fill("", "{\"kty\":"),
            fill("", "{\"kty\":\"EC\",\"a\":"),
            fill("", "{\"kty\":\"{\\\"kty\\\""),
            fill("", "{\"kty\""),
            fill("", "{%5C\"\"kty\""),
            fill("", "{=5C\"\"kty\""),
            fill("", "\"kty\" {} "),
            fill(&"{\"a\":[".repeat(8), "{\"kty\":[]},"),
            fill("", "-----BEGIN PRIVATE KEY-----"),
            fill("", "tgs_"),
            fill("", "tgp_0123"),
        ];
        let encoded = plain.iter().map(|it| STANDARD.encode(it).into_bytes());
        let twice = encoded.clone().map(|it| STANDARD.encode(it).into_bytes());
        // At all ways to divide the text into quanta, in runs that are short and long.
        let mixed = [3, 40, 5_000, 30_001].into_iter().flat_map(|run| {
            plain.iter().map(move |it| {
                let runs = it.chunks(run).enumerate().map(|(number, it)| {
                    ["", "A", "AA", "AAA"][number % 4].to_owned() + &STANDARD.encode(it)
                });
                runs.collect::<String>().into_bytes()
            })
        });
        let all: Vec<_> = encoded.chain(twice).chain(mixed).collect();
        plain.into_iter().chain(all).collect()
    }

    #[test]
    fn the_work_is_linear_in_the_length_of_a_text_whatever_the_text_is() {
        let finder = Finder::new().unwrap();
        for text in involved(100_000) {
            let work = search(&finder, &text, &mut |_| ());
            let begin = String::from_utf8_lossy(&text[..60]).into_owned();
            assert!(work <= 50 * text.len(), "{work} bytes for {}: {begin}", text.len());
        }
    }

    #[test]
    fn in_a_long_run_of_base64_each_secret_is_found_once() {
        let words = |count: usize| "lorem ipsum ".repeat(count);
        let jwk = format!("{{\"kty\":\"EC\",\"x5c\":\"{}\",\"d\":\"A\"}}", "A".repeat(8_000));
        for (before, between) in [(0, 100), (10, 900), (3_000, 3_000), (1_000, 769), (2_000, 1_537)]
        {
            for shift in 0..3 {
                let token = token(Kind::LongLived);
                let parts: Vec<_> = [&*token, &jwk, "tgv_", &token, &jwk]
                    .iter()
                    .map(|it| format!("{}{it}", words(between)))
                    .collect();
                let text = format!("{}{}{}", "x".repeat(shift), words(before), parts.join(" "));
                let expected = [&*token, "other", &token, "other"];
                assert_eq!(found(&STANDARD.encode(text)), expected, "{before} {between} {shift}");
            }
        }
    }
}
