//! One-time codes of six digits from a shared secret and the time (RFC 6238, with SHA-1 and
//! steps of 30 seconds, as every authenticator program has it).

use crate::secret::PlainSecret;
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use tegata_token::time::UnixTime;

/// Seconds of a time step.
const STEP: i64 = 30;

/// The time step of a moment.
#[must_use]
pub fn step_at(now: UnixTime) -> i64 {
    now.0.div_euclid(STEP)
}

/// The code of a time step.
#[must_use]
pub fn code(secret: &[u8], step: i64) -> u32 {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    // RFC 4226, section 5.3: SHA-1 gives 20 bytes, and the offset is at most 15.
    let offset = usize::from(bytes.last().copied().unwrap_or(0) & 15);
    let four = bytes.get(offset..offset + 4).unwrap_or(&[0; 4]);
    let number = four.iter().fold(0, |number: u32, &byte| number << 8 | u32::from(byte));
    (number & 0x7FFF_FFFF) % 1_000_000
}

/// A code, or a recovery code, as it is compared: without the spaces with which authenticators
/// show it, in lower case, and in ASCII, where a Japanese keyboard may write wide digits.
#[must_use]
pub fn entered(code: &str) -> PlainSecret {
    let narrow = |it: char| match it {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(it) - 0xFEE0).unwrap_or(it),
        _ => it,
    };
    // Allocated beforehand: a growing string would leave copies behind.
    let mut text = String::with_capacity(code.len());
    let shown = code.chars().filter(|it| !it.is_whitespace());
    text.extend(shown.map(|it| narrow(it).to_ascii_lowercase()));
    PlainSecret::from_caller(text)
}

/// The time step that `shown` is the code of: the present one, the one before or the one
/// after, since clocks differ.
#[must_use]
pub fn step_of(secret: &[u8], shown: &str, now: UnixTime) -> Option<i64> {
    let shown = entered(shown);
    let shown = shown.reveal();
    if shown.len() != 6 || !shown.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let shown: u32 = shown.parse().ok()?;
    let present = step_at(now);
    // All three are computed, so that the time tells nothing about which one it is.
    let steps = [present + 1, present, present - 1].map(|step| (step, code(secret, step)));
    steps.into_iter().rfind(|(_, code)| *code == shown).map(|(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of its eight digits.
        for (at, expected) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            let step = step_at(UnixTime(at));
            assert_eq!(code(b"12345678901234567890", step), expected, "{at}");
            let shown = format!("{expected:06}");
            assert_eq!(step_of(b"12345678901234567890", &shown, UnixTime(at)), Some(step));
        }
    }

    #[test]
    fn a_code_is_accepted_one_step_early_or_late_and_no_further() {
        let (secret, now) = (b"a secret of some bytes", UnixTime(1_800_000_000));
        let at = |step: i64| format!("{:06}", code(secret, step));
        let present = step_at(now);
        for near in [present - 1, present, present + 1] {
            assert_eq!(step_of(secret, &at(near), now), Some(near));
        }
        for far in [present - 2, present + 2] {
            assert_eq!(step_of(secret, &at(far), now), None);
        }
        let spaced = |it: &str| format!("\u{3000}{} {}\n", &it[..3], &it[3..]);
        let wide = |it: &str| -> String {
            it.bytes().filter_map(|it| char::from_u32(u32::from(it) + 0xFEE0)).collect()
        };
        for shown in [spaced(&at(present)), wide(&at(present))] {
            assert_eq!(step_of(secret, &shown, now), Some(present), "{shown}");
        }
        for bad in ["", "12345", "1234567", "12345a", " 12345", "+12345"] {
            assert_eq!(step_of(secret, bad, now), None, "{bad}");
        }
    }
}
