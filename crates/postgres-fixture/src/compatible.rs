//! What engines that speak PostgreSQL's protocol may lack, taken away from a database.

use crate::{PostgresServer, Problem};

impl PostgresServer {
    /// Takes the right to use advisory locks and notifications. `LISTEN` and `NOTIFY` are no
    /// functions: a [`Proxy`](crate::Proxy) refuses them.
    pub fn abstain(&self, database: &str) -> Result<(), Problem> {
        self.sql(database, ABSTAIN)
    }

    /// Makes transactions serializable unless they say otherwise, and one in twenty fail. The
    /// database has a store's tables.
    pub fn fail_at_times(&self, database: &str) -> Result<(), Problem> {
        self.sql(database, &FAIL.replace("DATABASE_NAME", database))
    }
}

/// Takes the right to use advisory locks and notifications.
const ABSTAIN: &str = "
DO $$
DECLARE it regprocedure;
BEGIN
    FOR it IN SELECT oid FROM pg_proc WHERE proname ~ '^pg_(try_)?advisory' OR proname = 'pg_notify'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', it);
    END LOOP;
END $$";

/// Makes one transaction in twenty fail, half of them at the first statement that writes,
/// half of them at the commit. A transaction that is run again has another number.
const FAIL: &str = "
ALTER DATABASE DATABASE_NAME SET default_transaction_isolation = 'serializable';
CREATE FUNCTION fail_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n int := (hashint8(pg_current_xact_id()::text::bigint) & 1023);
BEGIN
    IF n BETWEEN 26 * TG_ARGV[0]::int AND 26 * TG_ARGV[0]::int + 25 THEN
        RAISE EXCEPTION 'could not serialize access, for a test' USING ERRCODE = '40001';
    END IF;
    RETURN NULL;
END $$;
DO $$
DECLARE it text;
BEGIN
    FOREACH it IN ARRAY ARRAY['authority', 'token', 'channel_count'] LOOP
        EXECUTE format('CREATE TRIGGER fail_at_once AFTER INSERT OR UPDATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION fail_sometimes(0)', it);
        EXECUTE format('CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT OR UPDATE ON %I
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_sometimes(1)', it);
    END LOOP;
END $$";
