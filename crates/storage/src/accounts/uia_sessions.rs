//! Queries over `uia_sessions`.

use serde_json::{Map, Value};
use sqlx::PgPool;

use super::{from_sql_ts, to_sql_ts};
use crate::{Db, StorageError, Tx};

/// The time for which a session holds after it began, in milliseconds: as in Synapse, two days.
pub const UIA_SESSION_LIFETIME_MS: u64 = 48 * 60 * 60 * 1000;

/// A session of user-interactive authentication.
#[derive(Clone)]
pub struct UiaSession {
    /// The secret by which the client names it.
    pub session_id: String,
    /// The time at which it began, in milliseconds since the epoch.
    pub created_ts: u64,
    /// The operation that it is for: method, path and user.
    pub operation: String,
    /// The request's body, without `auth`.
    pub params: Map<String, Value>,
    /// The completed stages with their results. Names that do not begin with `m.` are our own notes.
    pub stages: Map<String, Value>,
}

struct Row {
    session_id: String,
    created_ts: i64,
    operation: String,
    params: String,
    stages: String,
}

impl TryFrom<Row> for UiaSession {
    type Error = StorageError;

    fn try_from(row: Row) -> Result<Self, StorageError> {
        Ok(Self {
            session_id: row.session_id,
            created_ts: from_sql_ts(row.created_ts),
            operation: row.operation,
            params: serde_json::from_str(&row.params)
                .map_err(StorageError::inconsistent("uia_sessions.params"))?,
            stages: serde_json::from_str(&row.stages)
                .map_err(StorageError::inconsistent("uia_sessions.stages"))?,
        })
    }
}

/// Reads of sessions of user-interactive authentication.
#[derive(Debug, Clone, Copy)]
pub struct UiaSessions<'db> {
    db: &'db Db,
}

impl Db {
    /// Sessions of user-interactive authentication.
    pub fn uia_sessions(&self) -> UiaSessions<'_> {
        UiaSessions { db: self }
    }
}

impl UiaSessions<'_> {
    /// Find a session that began after `since_ms`.
    #[tracing::instrument(name = "db.uia_sessions.find", skip_all)]
    pub async fn find(
        &self,
        session_id: &str,
        since_ms: u64,
    ) -> Result<Option<UiaSession>, StorageError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT * FROM uia_sessions WHERE session_id = $1 AND created_ts > $2",
            session_id,
            to_sql_ts(since_ms)
        )
        .fetch_optional(self.db.pool())
        .await?;
        row.map(TryInto::try_into).transpose()
    }
}

/// Delete sessions that began before `before`, at most `rows_max`, and give back the uses of registration tokens that
/// were set aside for them. How many were deleted.
pub(crate) async fn delete_old(
    pool: &PgPool,
    before: i64,
    rows_max: i64,
) -> Result<u64, StorageError> {
    let count = sqlx::query_scalar!(
        r#"WITH old AS (
               DELETE FROM uia_sessions
               WHERE ctid = ANY (ARRAY(SELECT ctid FROM uia_sessions WHERE created_ts < $1 LIMIT $2)) RETURNING stages
           ), given_back AS (
               SELECT stages::jsonb ->> 'm.login.registration_token' AS token, count(*) AS uses FROM old
               WHERE NOT stages::jsonb ? 'registered_user' GROUP BY 1
           ), freed AS (
               UPDATE registration_tokens t SET pending = greatest(t.pending - g.uses, 0)
               FROM given_back g WHERE t.token = g.token
           )
           SELECT count(*) AS "count!" FROM old"#,
        before,
        rows_max
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

impl Tx {
    /// Sessions of user-interactive authentication.
    pub fn uia_sessions(&mut self) -> UiaSessionsTx<'_> {
        UiaSessionsTx { tx: self }
    }
}

/// Writes of sessions.
#[derive(Debug)]
pub struct UiaSessionsTx<'tx> {
    tx: &'tx mut Tx,
}

impl UiaSessionsTx<'_> {
    /// Add a session.
    #[tracing::instrument(name = "db.uia_sessions.add", skip_all)]
    pub async fn add(&mut self, session: &UiaSession) -> Result<(), StorageError> {
        let params = serde_json::to_string(&session.params)
            .map_err(StorageError::inconsistent("uia_sessions.params"))?;
        let stages = serde_json::to_string(&session.stages)
            .map_err(StorageError::inconsistent("uia_sessions.stages"))?;
        sqlx::query!(
            "INSERT INTO uia_sessions (session_id, created_ts, operation, params, stages)
             VALUES ($1, $2, $3, $4, $5)",
            session.session_id,
            to_sql_ts(session.created_ts),
            session.operation,
            params,
            stages
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Complete a stage, or take a note.
    #[tracing::instrument(name = "db.uia_sessions.set_stage", skip_all)]
    pub async fn set_stage(
        &mut self,
        session_id: &str,
        stage: &str,
        result: &Value,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE uia_sessions
             SET stages = (stages::jsonb || jsonb_build_object($2::text, $3::text::jsonb))::text
             WHERE session_id = $1",
            session_id,
            stage,
            result.to_string()
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Take a note that is taken once. False if it stands there already, or if there is no such session.
    #[tracing::instrument(name = "db.uia_sessions.add_note", skip_all)]
    pub async fn add_note(
        &mut self,
        session_id: &str,
        name: &str,
        value: &str,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "UPDATE uia_sessions SET stages = (stages::jsonb || jsonb_build_object($2::text, $3::text))::text
             WHERE session_id = $1 AND NOT stages::jsonb ? $2",
            session_id,
            name,
            value
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Find a session, and keep others from changing it until the end of the transaction.
    #[tracing::instrument(name = "db.uia_sessions.find_locked", skip_all)]
    pub async fn find_locked(
        &mut self,
        session_id: &str,
    ) -> Result<Option<UiaSession>, StorageError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT * FROM uia_sessions WHERE session_id = $1 FOR UPDATE",
            session_id
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        row.map(TryInto::try_into).transpose()
    }
}
