//! Values that are written in a form of their own, such as times.

use super::invalid;
use crate::api::admin::problem::Problem;
use jiff::Timestamp;
use std::str::FromStr;
use tegata_token::time::UnixTime;

/// The value of a parameter that is written in a form of its own.
pub fn parsed<T: FromStr>(
    name: &str,
    text: Option<String>,
    what: &str,
) -> Result<Option<T>, Problem> {
    let value = text.map(|it| it.parse()).transpose();
    value.map_err(|_| invalid(name, what))
}

/// A time; events have whole seconds, so a fraction counts as the next second.
pub fn moment(name: &str, text: Option<String>) -> Result<Option<UnixTime>, Problem> {
    let what = "a time as RFC 3339 has it, such as 2026-11-26T09:00:00Z";
    let at: Option<Timestamp> = parsed(name, text, what)?;
    let up = |at: Timestamp| UnixTime(at.as_second() + i64::from(at.subsec_nanosecond() > 0));
    Ok(at.map(up))
}
