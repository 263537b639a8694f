//! `tegata token revoke --created-by`: which actor, and when.

use crate::api::time;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Which actor, and when.
#[derive(Args)]
pub struct CreatedBy {
    /// Delete the assertion keys that an actor registered since --since, and revoke the tokens
    /// issued for them and the tokens that the actor had issued; lists all of them first. The
    /// actor is named as in `tegata audit list`: `administrator`, `person ID`, or `channel ID`
    /// for a channel's own requests.
    #[arg(
        long,
        group = "what",
        value_name = "ACTOR",
        requires = "since",
        conflicts_with = "channel"
    )]
    created_by: Option<String>,
    /// With --created-by: only by requests from this address.
    #[arg(long, value_name = "ADDRESS", requires = "created_by")]
    source: Option<IpAddr>,
    /// With --created-by: from this time on, such as 2026-11-26T09:00:00Z.
    #[arg(long, value_name = "TIME", requires = "created_by", value_parser = time)]
    since: Option<Timestamp>,
    /// With --created-by: before this time.
    #[arg(long, value_name = "TIME", requires = "created_by", value_parser = time)]
    until: Option<Timestamp>,
}

impl CreatedBy {
    /// The members of the request's body, if an actor is given.
    pub fn members(&self) -> Option<Value> {
        let actor = self.created_by.as_ref()?;
        let mut member = json!({ "actor": actor });
        let text = |it: &dyn ToString| Value::String(it.to_string());
        for (name, value) in [
            ("source", self.source.as_ref().map(|it| text(it))),
            ("since", self.since.as_ref().map(|it| text(it))),
            ("until", self.until.as_ref().map(|it| text(it))),
        ] {
            if let Some(value) = value {
                member[name] = value;
            }
        }
        Some(json!({ "created_by": member }))
    }
}
