//! Statements with the types of their values. So the server need not be asked for the types
//! before: a statement is one round trip, has no name on the server, and works through a
//! pooler that gives each transaction another connection.

use tokio_postgres::types::{ToSql, Type};

/// Begins a message whose commit returns before it is durable.
pub(super) const AT_ONCE: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL synchronous_commit = off";

/// A value that knows its type in the database.
pub(super) trait Typed: ToSql + Sync {
    /// The type.
    const TYPE: Type;
}

macro_rules! typed {
    ($($of:ty => $type:ident),+ $(,)?) => {
        $(impl Typed for $of { const TYPE: Type = Type::$type; })+
    };
}

typed! {
    bool => BOOL,
    i32 => INT4,
    i64 => INT8,
    &str => TEXT,
    String => TEXT,
    &[u8] => BYTEA,
    Vec<u8> => BYTEA,
    &[i64] => INT8_ARRAY,
    Vec<i64> => INT8_ARRAY,
    &[&str] => TEXT_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<Option<String>> => TEXT_ARRAY,
    Vec<Option<i64>> => INT8_ARRAY,
    Vec<bool> => BOOL_ARRAY,
    Vec<Option<bool>> => BOOL_ARRAY,
    Vec<Vec<u8>> => BYTEA_ARRAY,
    Vec<&[u8]> => BYTEA_ARRAY,
    Vec<Option<&[u8]>> => BYTEA_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: Type = T::TYPE;
}

/// A value and its type, as the driver takes them.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// Pairs a value with its type.
pub(super) fn value<T: Typed>(it: &T) -> Value<'_> {
    (it, T::TYPE)
}

/// What a column is compared with to be among these values, which are the statement's only ones.
/// One is compared as it is: of an array the database does not know the length when it plans.
pub(super) fn among<'a, T: Typed>(all: &'a &'a [T]) -> (&'static str, [Value<'a>; 1])
where
    &'a [T]: Typed,
{
    match all {
        [one] => ("= $1", [value(one)]),
        _ => ("= ANY($1)", [value(all)]),
    }
}

/// The values `$1, $2, …` of a statement.
macro_rules! values {
    ($($it:expr),* $(,)?) => { &[$($crate::postgres::sql::value(&$it)),*] };
}
pub(super) use values;
