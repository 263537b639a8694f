//! Questions. Each is answered from what is committed; a few statements of one question are
//! sent at once. A statement only narrows by index what is read: whether a token is active is
//! decided by `tegata_policy::acts`, as for every other store.
//!
//! The functions here begin no transaction: [`Readers::ask`](super::readers::Readers::ask)
//! does, so that all statements of a question see the same commits.

pub(super) mod across;
pub(super) mod audit;
pub(super) mod audit_list;
pub(super) mod channels;
pub(super) mod dry;
pub(super) mod log;
pub(super) mod people;
pub(super) mod state;
pub(super) mod sweep;
pub(super) mod tokens;
pub(super) mod uses;
pub(super) mod verifiers;
pub(super) mod warnings;

use super::rows::int;
use crate::{Page, RowId};

/// The values of a cursor and a limit; without `before` the page starts at the first row.
fn bounds(page: Page) -> (RowId, i64) {
    (page.before.unwrap_or(RowId::MAX), int(page.most))
}
