//! Lists in pages: the cursor of the next page is in its address.

use super::failure::Failure;
use crate::api::form::Form;
use form_urlencoded::Serializer;
use tegata_store::{Page, RowId};

/// Number of rows of a page.
const ROWS: usize = 50;

/// The page of a list that is asked for with a field of the query.
pub struct Pager {
    field: &'static str,
    before: Option<RowId>,
}

impl Pager {
    /// The page that this query field asks for.
    pub fn of(query: &Form<'_>, field: &'static str) -> Result<Self, Failure> {
        let before = query.get(field).map(|it| it.parse().map_err(|_| Failure::not_found()));
        Ok(Self { field, before: before.transpose()? })
    }

    /// The page to request: one row more, to find out whether there is another page.
    pub fn page(&self) -> Page {
        Page { before: self.before, most: ROWS + 1 }
    }

    /// The rows of the page, and the address of the next one: this path with these fields.
    pub fn split<T>(
        &self,
        mut rows: Vec<(RowId, T)>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (Vec<T>, Option<String>) {
        let more = rows.len() > ROWS;
        rows.truncate(ROWS);
        let next = rows.last().filter(|_| more).map(|(id, _)| {
            let kept = fields.iter().filter(|(_, value)| !value.is_empty());
            let mut query = Serializer::new(String::new());
            query.extend_pairs(kept).append_pair(self.field, &id.to_string());
            format!("{path}?{}", query.finish())
        });
        (rows.into_iter().map(|(_, row)| row).collect(), next)
    }
}
