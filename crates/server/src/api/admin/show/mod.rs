//! How things look as JSON, and in the API's description: one type for both, so
//! that neither can say what the other does not. Absent values are null, times
//! RFC 3339.

/// A page of a list, newest first: its rows under a name of their own, and where
/// the next page begins.
macro_rules! page {
    ($(#[doc = $doc:literal])* $page:ident, $rows:ident: $row:ident) => {
        $(#[doc = $doc])*
        #[derive(Serialize, ToSchema)]
        pub struct $page {
            $rows: Vec<$row>,
            /// Null on the last page.
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
mod revocations;
mod time;
mod tokens;
mod warnings;

pub use audit::*;
pub use channels::*;
pub use revocations::*;
pub use time::time;
pub use tokens::*;
pub use warnings::*;
