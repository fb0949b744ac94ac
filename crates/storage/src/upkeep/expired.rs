//! Deleting what has expired. Each statement deletes a bounded number of rows, and they are repeated until few are left.

use std::time::Duration;

use sqlx::PgPool;

use crate::{
    StorageError,
    accounts::{UIA_SESSION_LIFETIME_MS, delete_old_uia_sessions, to_sql_ts},
    e2ee::delete_beyond,
};

/// The number of rows that one statement deletes.
const ROWS_MAX: i64 = 1_000;

/// Pause between two statements, so that others get their turn.
const PAUSE: Duration = Duration::from_millis(50);

/// The time for which a refresh token is kept after it has run out, so that its client is told so.
const REFRESH_TOKEN_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The time for which the presence of a user is kept who is offline and says nothing.
const PRESENCE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The time for which transaction IDs are kept: a client that sends again what it sent before gets the same event all
/// this time.
const TRANSACTION_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The number of messages that wait for a device. One that never comes back must not fill the database; one that comes back after
/// months has lost the oldest keys, and asks for them anew.
const TO_DEVICE_MESSAGES_MAX: i64 = 10_000;

/// Delete everything that has expired at `now_ms`.
pub(super) async fn delete_all(
    pool: &PgPool,
    now_ms: u64,
    user_ips_max_age_ms: Option<u64>,
) -> Result<(), StorageError> {
    let before = |age_ms: u64| to_sql_ts(now_ms.saturating_sub(age_ms));
    repeat(|| delete_old_uia_sessions(pool, before(UIA_SESSION_LIFETIME_MS), ROWS_MAX)).await?;
    repeat(|| delete_login_tokens(pool, before(0))).await?;
    repeat(|| delete_openid_tokens(pool, before(0))).await?;
    repeat(|| delete_refresh_tokens(pool, before(REFRESH_TOKEN_KEPT_MS))).await?;
    repeat(|| delete_nonces(pool, before(0))).await?;
    repeat(|| delete_presence(pool, before(PRESENCE_KEPT_MS))).await?;
    delete_transactions(pool, before(TRANSACTION_KEPT_MS)).await?;
    repeat(|| delete_to_device_transactions(pool, before(TRANSACTION_KEPT_MS))).await?;
    repeat(|| delete_beyond(pool, TO_DEVICE_MESSAGES_MAX, ROWS_MAX)).await?;
    if let Some(max_age_ms) = user_ips_max_age_ms {
        repeat(|| delete_user_ips(pool, before(max_age_ms))).await?;
    }
    Ok(())
}

/// Repeat a statement until it has nothing more to do.
async fn repeat<F: Future<Output = Result<u64, StorageError>>>(
    delete: impl Fn() -> F,
) -> Result<(), StorageError> {
    while delete().await? >= ROWS_MAX.unsigned_abs() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn delete_login_tokens(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM login_tokens
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM login_tokens WHERE expires_ts <= $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

async fn delete_openid_tokens(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM openid_tokens
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM openid_tokens WHERE expires_ts <= $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

/// Oldest first: what a token was exchanged for tells whether it may be used again, so that stays as long as the token.
async fn delete_refresh_tokens(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY(
             SELECT r.ctid FROM refresh_tokens r
             WHERE least(r.expires_ts, r.session_expires_ts) <= $1
                AND NOT EXISTS (SELECT 1 FROM refresh_tokens old WHERE old.next_nid = r.refresh_nid)
             LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

async fn delete_nonces(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM used_nonces
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM used_nonces WHERE expires_ts <= $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

async fn delete_presence(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM presence WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM presence
             WHERE state = 'offline' AND status_msg IS NULL AND last_active_ts < $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

async fn delete_to_device_transactions(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM to_device_transactions WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM to_device_transactions WHERE created_ts < $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

async fn delete_user_ips(pool: &PgPool, before: i64) -> Result<u64, StorageError> {
    let done = sqlx::query!(
        "DELETE FROM user_ips
         WHERE ctid = ANY (ARRAY(SELECT ctid FROM user_ips WHERE last_seen_ts < $1 LIMIT $2))",
        before,
        ROWS_MAX
    );
    Ok(done.execute(pool).await?.rows_affected())
}

/// Goes through the transactions by their events, whose numbers grow with time but for those that a node holds ready, and ends
/// where none has expired. So it reads what it deletes and little more, and needs no index over the time.
async fn delete_transactions(pool: &PgPool, before: i64) -> Result<(), StorageError> {
    let mut after = i64::MIN;
    loop {
        let step = sqlx::query!(
            "WITH oldest AS (
                 SELECT ctid, event_nid, created_ts FROM transactions WHERE event_nid > $1 ORDER BY event_nid LIMIT $3
             ), deleted AS (
                 DELETE FROM transactions WHERE ctid = ANY (ARRAY(SELECT ctid FROM oldest WHERE created_ts < $2))
                 RETURNING 1
             )
             SELECT (SELECT max(event_nid) FROM oldest) AS last, (SELECT count(*) FROM deleted) AS deleted",
            after,
            before,
            ROWS_MAX
        )
        .fetch_one(pool)
        .await?;
        match step.last {
            Some(last) if step.deleted.unwrap_or_default() > 0 => after = last,
            Some(_) | None => return Ok(()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    const NOW_MS: u64 = 1_700_000_000_000;

    /// Insert, delete what has expired, and tell which rows are left.
    async fn left(pool: &PgPool, insert: &str, select: &str) -> Vec<String> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(pool).await.unwrap();
        delete_all(pool, NOW_MS, Some(DAY_MS)).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(pool).await.unwrap()
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_has_expired_goes_and_the_rest_stays(pool: PgPool) {
        let (long_ago, day_ago) = (NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS);
        let user_ips = format!(
            "INSERT INTO user_ips SELECT '@a:b', 'D' || n, '::1', '', CASE WHEN n = 1 THEN {NOW_MS} ELSE {long_ago} END
             FROM generate_series(1, 2500) n"
        );
        assert_eq!(left(&pool, &user_ips, "SELECT device_id FROM user_ips").await, ["D1"]);

        for table in ["login_tokens", "openid_tokens"] {
            let insert = format!(
                "INSERT INTO {table} VALUES ('\\x01', '@old:b', {day_ago}), ('\\x02', '@new:b', {NOW_MS} + 1)"
            );
            let select = format!("SELECT user_id FROM {table}");
            assert_eq!(left(&pool, &insert, &select).await, ["@new:b"], "{table}");
        }

        let nonces =
            format!("INSERT INTO used_nonces VALUES ('old', {day_ago}), ('new', {NOW_MS} + 1)");
        assert_eq!(left(&pool, &nonces, "SELECT nonce FROM used_nonces").await, ["new"]);

        let presence = format!(
            "INSERT INTO presence VALUES ('@old:b', 'offline', NULL, {long_ago}), ('@says:b', 'offline', 'x', {long_ago}),
                ('@on:b', 'online', NULL, {long_ago}), ('@new:b', 'offline', NULL, {day_ago})"
        );
        assert_eq!(
            left(&pool, &presence, "SELECT user_id FROM presence ORDER BY user_id").await,
            ["@new:b", "@on:b", "@says:b"]
        );
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn old_transactions_go_although_a_young_one_has_a_low_number(pool: PgPool) {
        let insert = format!(
            "INSERT INTO transactions SELECT '@a:b', 'D', 1, 't', 'txn' || n, n,
                CASE WHEN n = 2 OR n > 2500 THEN {NOW_MS} ELSE {} END FROM generate_series(1, 2502) n",
            NOW_MS - 8 * DAY_MS
        );
        let select = "SELECT txn_id FROM transactions ORDER BY event_nid";
        assert_eq!(left(&pool, &insert, select).await, ["txn2", "txn2501", "txn2502"]);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_refresh_token_stays_while_the_one_before_it_does(pool: PgPool) {
        let long_ago = NOW_MS - 40 * DAY_MS;
        let insert = format!(
            "INSERT INTO refresh_tokens (refresh_nid, token_hash, user_id, device_id, next_nid, expires_ts, session_expires_ts)
             OVERRIDING SYSTEM VALUE VALUES
                (1, '\\x01', '@a:b', 'lives', 2, NULL, NULL), (2, '\\x02', '@a:b', 'follows', NULL, {long_ago}, NULL),
                (3, '\\x03', '@a:b', 'alone', NULL, NULL, {long_ago}), (4, '\\x04', '@a:b', 'late', NULL, {NOW_MS}, NULL)"
        );
        assert_eq!(
            left(&pool, &insert, "SELECT device_id FROM refresh_tokens ORDER BY 1").await,
            ["follows", "late", "lives"]
        );
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn an_old_session_gives_back_its_registration_token(pool: PgPool) {
        let long_ago = NOW_MS - 3 * DAY_MS;
        let insert = format!(
            r#"INSERT INTO registration_tokens (token, pending) VALUES ('t', 3);
               INSERT INTO uia_sessions VALUES
                ('waits', {long_ago}, 'op', '{{}}', '{{"m.login.registration_token": "t"}}'),
                ('done', {long_ago}, 'op', '{{}}', '{{"m.login.registration_token": "t", "registered_user": "@a:b"}}'),
                ('new', {NOW_MS}, 'op', '{{}}', '{{"m.login.registration_token": "t"}}')"#
        );
        assert_eq!(left(&pool, &insert, "SELECT session_id FROM uia_sessions").await, ["new"]);
        let pending: i64 = sqlx::query_scalar("SELECT pending FROM registration_tokens")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(pending, 2);
    }
}
