//! Live, in English.

use super::common::tokens;
use crate::texts::LiveTexts;

pub const TEXTS: LiveTexts = LiveTexts {
    expiries: "Expiries in the next 30 days",
    expiries_none: "No token expires in the next 30 days.",
    expiries_words: |count, first| match count {
        1 => format!("1 token expires in the next 30 days: {first}."),
        _ => format!("{} expire in the next 30 days, the first {first}.", tokens(count)),
    },
    at_least: |count| format!("Only the first {count} are shown."),
    next: "Next expiries",
    activity: "Activity of the last hour",
    activity_words: |verified, rejected, issued| {
        let all = verified + rejected;
        format!(
            "{all} {}: {verified} of active tokens, {rejected} rejected. {} issued.",
            if all == 1 { "verification" } else { "verifications" },
            tokens(usize::try_from(issued).unwrap_or(usize::MAX))
        )
    },
    verified: "Verifications per minute",
    issued: "Issued tokens per minute",
    here_only: "At this server, since it started. Verifiers verify tokens by themselves.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verification_is_singular() {
        let words = TEXTS.activity_words;
        assert!(words(0, 1, 0).starts_with("1 verification: 0 of active tokens, 1 rejected."));
        assert!(words(0, 0, 0).starts_with("0 verifications: "));
    }
}
