//! Which warnings of the database are about a commit that no standby may have.

use tokio_postgres::error::{DbError, Severity};

/// What a warning says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warning<'a> {
    /// The file of the database's sources that it comes from.
    file: Option<&'a str>,
    message: &'a str,
}

impl<'a> Warning<'a> {
    /// Reads a message of the database; `None`: it is no warning. The first word of a message may be
    /// in the language of the database.
    pub fn of(it: &'a DbError) -> Option<Self> {
        let is_warning = match it.parsed_severity() {
            Some(severity) => severity == Severity::Warning,
            None => it.severity() == "WARNING",
        };
        is_warning.then_some(Self { file: it.file(), message: it.message() })
    }

    /// Whether it says that the wait for a standby was cancelled: its transaction is committed, and
    /// a failover may lose it. PostgreSQL gives it no code of its own, and its text in the language
    /// of the database. A warning that does not say where it comes from counts: then this is not
    /// known.
    pub fn is_about_a_standby(self) -> bool {
        self.file.is_none_or(|it| it.ends_with("syncrep.c"))
            || self.message.contains("synchronous replication")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_warning_about_a_standby_or_one_of_unknown_origin_is_about_a_commit_that_may_be_lost()
    {
        let is = |file, message| Warning { file, message }.is_about_a_standby();
        let cancelled = "canceling wait for synchronous replication due to user request";
        assert!(is(Some("syncrep.c"), cancelled) && is(Some("another.c"), cancelled));
        assert!(is(Some("syncrep.c"), "storniere Warten auf synchrone Replikation"));
        assert!(is(Some("../src/syncrep.c"), "") && is(None, "the queue is half full"));
        let vacuum = r#"database "template1" must be vacuumed within 27000000 transactions"#;
        assert!(!is(Some("varsup.c"), vacuum));
        assert!(!is(Some("postinit.c"), "database \"t\" has a collation version mismatch"));
    }
}
