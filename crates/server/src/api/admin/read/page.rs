//! Pagination of lists.

use super::{FromMembers, Members, invalid};
use crate::api::admin::{problem::Problem, schema};
use std::str::FromStr;
use tegata_store::{Page, RowId};
use tegata_token::id::ChannelId;
use utoipa::IntoParams;

/// The page of a list to return.
#[derive(Clone, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(required = false, minimum = 1, maximum = 1_000, default = 100)]
    limit: usize,
}

const CURSOR: &str = "a cursor that the previous page returned as `next`";

impl FromMembers for Part {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let after = members.take("after", CURSOR)?;
        let limit = members.whole("limit", 1..=1_000)?.unwrap_or(100);
        Ok(Self { after, limit: usize::try_from(limit).unwrap_or(100) })
    }
}

/// The page to return, of one channel's list or of all.
pub struct PartOf {
    /// Only rows of this channel.
    pub channel: Option<ChannelId>,
    /// The page.
    pub part: Part,
}

impl FromMembers for PartOf {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let channel = members.take("channel", "a channel id, exactly ten digits")?;
        Ok(Self { channel, part: Part::from_members(members)? })
    }
}

/// The page to return, of the rows that a text is searched in.
pub struct Found {
    /// Only those whose name or id contains this text.
    pub search: Option<String>,
    /// The page.
    pub part: Part,
}

impl FromMembers for Found {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { search: members.line("search", 100)?, part: Part::from_members(members)? })
    }
}

impl Part {
    /// Maximum number of rows.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The cursor, for a list whose cursors are names.
    pub fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let after = self.after.as_ref().map(|it| it.parse()).transpose();
        after.map_err(|_| invalid("after", CURSOR))
    }

    /// The page to request from the store: one row more, to find out whether there is a
    /// next page.
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

    /// The same for a list that is in memory as a whole, whose cursor is the last row's
    /// name.
    pub fn cut<T>(
        &self,
        mut rows: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        if let Some(after) = &self.after {
            let place = rows.iter().position(|row| name(row) == *after);
            let gone = "a cursor that the previous page returned as `next`, and whose row still \
                        exists; start again from the first page";
            let place = place.ok_or_else(|| invalid("after", gone))?;
            rows.drain(..=place);
        }
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(&name);
        Ok((rows, next))
    }
}
