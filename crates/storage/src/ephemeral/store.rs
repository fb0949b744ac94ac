//! Queries over `presence`, and sending to other nodes.

use ruma::OwnedUserId;
use sqlx::PgPool;

use super::{
    presence::{PresenceState, Record},
    wire::CHANNEL,
};
use crate::{StorageError, unreadable::Unreadable};

/// Presence as it stood when it was last written.
pub(super) async fn read(pool: &PgPool) -> Result<Vec<(OwnedUserId, Record)>, StorageError> {
    let rows = sqlx::query!("SELECT user_id, state, status_msg, last_active_ts FROM presence")
        .fetch_all(pool)
        .await?;
    let unreadable = Unreadable::default();
    let records = rows.into_iter().filter_map(|row| {
        let user_id = OwnedUserId::try_from(row.user_id)
            .map_err(StorageError::inconsistent("presence.user_id"));
        let user_id = user_id.map_err(|error| unreadable.count(&error)).ok()?;
        let record = Record::stored(
            PresenceState::parse(&row.state).unwrap_or_default(),
            row.status_msg,
            row.last_active_ts.try_into().unwrap_or_default(),
        );
        Some((user_id, record))
    });
    Ok(records.collect())
}

/// Write presence. It takes one statement.
pub(super) async fn write(
    pool: &PgPool,
    records: &[(OwnedUserId, Record)],
) -> Result<(), StorageError> {
    let users: Vec<String> = records.iter().map(|(user_id, _)| user_id.to_string()).collect();
    let states: Vec<String> =
        records.iter().map(|(_, record)| record.state.as_str().to_owned()).collect();
    let messages: Vec<Option<String>> =
        records.iter().map(|(_, record)| record.status_msg.clone()).collect();
    let times: Vec<i64> = records
        .iter()
        .map(|(_, record)| i64::try_from(record.last_active_ms).unwrap_or(i64::MAX))
        .collect();
    sqlx::query!(
        "INSERT INTO presence (user_id, state, status_msg, last_active_ts)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
         ON CONFLICT (user_id) DO UPDATE SET state = EXCLUDED.state, status_msg = EXCLUDED.status_msg,
            last_active_ts = greatest(presence.last_active_ts, EXCLUDED.last_active_ts)",
        &users,
        &states,
        &messages as &[Option<String>],
        &times
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Send to other nodes. It takes one statement.
pub(super) async fn notify(pool: &PgPool, payloads: &[String]) -> Result<(), StorageError> {
    sqlx::query!("SELECT pg_notify($1, p) FROM unnest($2::text[]) AS p", CHANNEL, payloads)
        .fetch_all(pool)
        .await?;
    Ok(())
}
