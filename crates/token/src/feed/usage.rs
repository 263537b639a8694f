//! `POST /feed/usage`: which tokens an instance has verified.

use super::{InstanceId, LONGEST_SOURCE, LONGEST_USAGE, Unreadable, unreadable::read};
use crate::{
    id::{ChannelId, TokenId},
    time::UnixTime,
};
use serde::{Deserialize, Serialize};

/// The tokens that an instance verified, summed up by minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// The instance.
    pub instance: InstanceId,
    /// The minutes. A minute that is sent again replaces itself.
    pub minutes: Vec<UsageMinute>,
}

/// The tokens that were verified in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageMinute {
    /// When the minute began.
    pub minute: UnixTime,
    /// The tokens, the most used ones first.
    pub uses: Vec<TokenUse>,
    /// Number of uses that are left out, since the report would be too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How often a token was used from one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The token.
    pub token_id: TokenId,
    /// Its channel.
    pub channel: ChannelId,
    /// The number of uses.
    pub count: u64,
    /// The client's address, if it is known; else the instance.
    pub source: String,
}

impl UsageReport {
    /// The report as JSON.
    #[must_use]
    pub fn write(&self) -> String {
        // Strings, numbers and lists can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a report.
    ///
    /// # Errors
    /// It is not a report or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > LONGEST_USAGE {
            return Err(Unreadable::TooLong(bytes.len(), LONGEST_USAGE));
        }
        let report: Self = read(bytes)?;
        let malformed = |problem| Err(Unreadable::Malformed(problem));
        for minute in &report.minutes {
            if minute.minute.0 % 60 != 0 {
                return malformed(format!("{} is not the start of a minute", minute.minute.0));
            }
            let source = |it: &&TokenUse| {
                let length = it.source.chars().count();
                !(1..=LONGEST_SOURCE).contains(&length) || it.source.chars().any(char::is_control)
            };
            if let Some(wrong) = minute.uses.iter().find(source) {
                let limit = LONGEST_SOURCE;
                return malformed(format!(
                    "the source of {} is not 1 to {limit} printable characters",
                    wrong.token_id
                ));
            }
        }
        Ok(report)
    }
}
