//! The JSON that this API returns, and its description: one type for both, so that they
//! cannot differ. Absent values are null, times are RFC 3339.

/// A page of a list, newest first: its rows under a name of their own, and the cursor of
/// the next page.
macro_rules! page {
    ($(#[doc = $doc:literal])* $page:ident, $rows:ident: $row:ident) => {
        $(#[doc = $doc])*
        #[derive(Serialize, ToSchema)]
        pub struct $page {
            $rows: Vec<$row>,
            /// The cursor of the next page; null on the last one.
            #[schema(required, value_type = Option<schema::Cursor>)]
            next: Option<String>,
        }

        impl $page {
            /// The page with these rows.
            pub fn of<'a, T: 'a>(
                rows: impl IntoIterator<Item = &'a T>,
                next: Option<String>,
            ) -> axum::Json<Self>
            where
                $row: From<&'a T>,
            {
                axum::Json(Self { $rows: rows.into_iter().map($row::from).collect(), next })
            }
        }
    };
}

mod audit;
mod channels;
mod people;
mod receipts;
mod revocations;
mod settings;
mod taken;
mod time;
mod tokens;
mod verifiers;
mod warnings;

pub use audit::*;
pub use channels::*;
pub use people::*;
pub use receipts::Receipt;
pub use revocations::*;
pub use settings::*;
pub use taken::*;
pub use time::time;
pub use tokens::*;
pub use verifiers::*;
pub use warnings::*;
