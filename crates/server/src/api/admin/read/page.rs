//! Which page of a list a caller wants.

use super::{FromMembers, Members, invalid};
use crate::api::admin::{problem::Problem, schema};
use std::str::FromStr;
use tegata_store::{Page, RowId};
use tegata_token::id::ChannelId;
use utoipa::IntoParams;

/// Which page of a list.
#[derive(Clone, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Go on behind this cursor, which the page before gave as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// At most so many rows.
    #[param(required = false, minimum = 1, maximum = 1_000, default = 100)]
    limit: usize,
}

const CURSOR: &str = "a cursor that the page before gave as `next`";

impl FromMembers for Part {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let after = members.take("after", CURSOR)?;
        let limit = members.whole("limit", 1..=1_000)?.unwrap_or(100);
        Ok(Self { after, limit: usize::try_from(limit).unwrap_or(100) })
    }
}

/// The same, of one channel's or of all.
pub struct PartOf {
    /// Only what concerns this channel.
    pub channel: Option<ChannelId>,
    /// Which page.
    pub part: Part,
}

impl FromMembers for PartOf {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let channel = members.take("channel", "a channel id, exactly ten digits")?;
        Ok(Self { channel, part: Part::from_members(members)? })
    }
}

impl Part {
    /// At most so many rows.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The cursor, of a list whose cursors are names.
    pub fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let after = self.after.as_ref().map(|it| it.parse()).transpose();
        after.map_err(|_| invalid("after", CURSOR))
    }

    /// What to ask the store for: one row more, to see whether there is a next page.
    pub fn page(&self) -> Result<Page, Problem> {
        let before: Option<Result<RowId, _>> = self.after.as_ref().map(|it| it.parse());
        let before = before.transpose().map_err(|_| invalid("after", CURSOR))?;
        Ok(Page { before, most: self.limit + 1 })
    }

    /// The rows of this page, and the cursor of the next.
    pub fn split<T>(&self, mut rows: Vec<(RowId, T)>) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|(id, _)| id.to_string());
        (rows.into_iter().map(|(_, row)| row).collect(), next)
    }

    /// The same of a list that is at hand as a whole, whose cursor is the last
    /// row's name.
    pub fn cut<T>(
        &self,
        mut rows: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        if let Some(after) = &self.after {
            let place = rows.iter().position(|row| name(row) == *after);
            let gone = "a cursor that the page before gave as `next`, and whose row is still \
                        there; begin the list anew";
            let place = place.ok_or_else(|| invalid("after", gone))?;
            rows.drain(..=place);
        }
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(&name);
        Ok((rows, next))
    }
}
