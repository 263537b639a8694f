//! What a password of a person must be.

use crate::secret::PlainSecret;
use zeroize::Zeroizing;

/// Number of characters of a password, at least and at most.
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=200;

/// Checks that a password has enough characters, and is not the person's own name.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(password: &PlainSecret, login: &str, name: &str) -> Result<(), &'static str> {
    let text = password.reveal();
    if !LENGTHS.contains(&text.chars().count()) {
        return Err("a password has 12 to 200 characters");
    }
    let lower = Zeroizing::new(text.to_lowercase());
    let rest = |name: &str| lower.replace(name, "").chars().count();
    let names = [login, &name.to_lowercase()];
    if names.iter().any(|name| name.chars().count() > 3 && rest(name) < 8) {
        return Err("the password is little more than the person's name");
    }
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 {
        return Err("the password has fewer than five different characters");
    }
    Ok(())
}
