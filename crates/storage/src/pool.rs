//! Connections that suit the schema and the statements.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, postgres::PgPoolOptions};

/// The time that a statement waits for a lock. Locks are held for a few statements and one flush.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// The time that a statement takes at most.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// The time that a transaction may be left alone. After it, its node hangs, or is gone without a word.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Options of pools for [`crate::Db::open`], to be completed by the caller.
///
/// Our statements are short: PostgreSQL's compiler, which the estimates for long arrays call, costs more than it ever
/// saves. All this is set by a statement, since poolers refuse to start a connection with it.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            let settings = format!(
                "SET jit = off; SET lock_timeout = {}; SET statement_timeout = {};
                 SET idle_in_transaction_session_timeout = {}",
                LOCK_TIMEOUT.as_millis(),
                STATEMENT_TIMEOUT.as_millis(),
                IDLE_TRANSACTION_TIMEOUT.as_millis()
            );
            connection.execute(AssertSqlSafe(settings)).await?;
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    #[sqlx::test(migrations = false)]
    async fn statements_are_not_compiled_and_end_in_time(pool: PgPool) {
        let ours = pool_options().connect_with((*pool.connect_options()).clone()).await.unwrap();
        for (setting, expected) in [
            ("jit", "off"),
            ("lock_timeout", "15s"),
            ("statement_timeout", "1min"),
            ("idle_in_transaction_session_timeout", "1min"),
        ] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&ours)
                .await
                .unwrap();
            assert_eq!(value, expected, "{setting}");
        }
    }
}
