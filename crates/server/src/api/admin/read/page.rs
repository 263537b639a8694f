//! Pagination of lists.

use super::{Line, Whole, invalid};
use crate::api::admin::{problem::Problem, schema};
use serde::Deserialize;
use std::str::FromStr;
use tegata_store::{Page, RowId};
use utoipa::IntoParams;

/// Maximum number of rows of a page.
pub type Limit = Whole<1, 1_000>;

/// The page of a list to return.
#[derive(Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

const CURSOR: &str = "a cursor that the previous page returned as `next`";

/// The page to return, of the rows that a text is searched in.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Found {
    /// Only those whose name or id contains this text.
    #[param(value_type = Option<String>, min_length = 1, max_length = 100)]
    search: Option<Line<100>>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

impl Found {
    /// The text, and the page.
    pub fn split(self) -> (Option<String>, Part) {
        (self.search.map(|it| it.0), Part::new(self.after, self.limit))
    }
}

impl Part {
    /// The page behind that cursor.
    pub fn new(after: Option<String>, limit: Option<Limit>) -> Self {
        Self { after, limit }
    }

    /// Maximum number of rows.
    pub fn limit(&self) -> usize {
        self.limit.map_or(100, Limit::count)
    }

    /// The cursor, for a list whose cursors are names.
    pub fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let after = self.after.as_ref().map(|it| it.parse()).transpose();
        after.map_err(|_| invalid("after", CURSOR).in_query())
    }

    /// The page to request from the store: one row more, to find out whether there is a
    /// next page.
    pub fn page(&self) -> Result<Page, Problem> {
        let before: Option<Result<RowId, _>> = self.after.as_ref().map(|it| it.parse());
        let before = before.transpose().map_err(|_| invalid("after", CURSOR).in_query())?;
        Ok(Page { before, most: self.limit() + 1 })
    }

    /// The rows of this page, and the cursor of the next.
    pub fn split<T>(&self, mut rows: Vec<(RowId, T)>) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit();
        rows.truncate(self.limit());
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
            let place = place.ok_or_else(|| invalid("after", gone).in_query())?;
            rows.drain(..=place);
        }
        let more = rows.len() > self.limit();
        rows.truncate(self.limit());
        let next = rows.last().filter(|_| more).map(&name);
        Ok((rows, next))
    }
}
