//! The places where users go on reading: `m.fully_read` in their account data.

use std::sync::Arc;

use myelin_model::{Event, RoomNid};
use ruma::{OwnedEventId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Change, StorageError, Tx};

const DATA_TYPE: &str = "m.fully_read";

#[derive(Serialize, Deserialize)]
struct Content {
    event_id: OwnedEventId,
}

/// Writes of read markers.
#[derive(Debug)]
pub struct ReadMarkersTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Writes of the places where users go on reading.
    pub fn read_markers(&mut self) -> ReadMarkersTx<'_> {
        ReadMarkersTx { tx: self }
    }
}

impl ReadMarkersTx<'_> {
    /// The event that a user's marker in a room is at. Others cannot move it until the transaction ends.
    pub async fn find_for_update(
        &mut self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Result<Option<OwnedEventId>, StorageError> {
        let content = sqlx::query_scalar!(
            "SELECT content FROM account_data WHERE user_id = $1 AND room_nid = $2 AND data_type = $3 FOR UPDATE",
            user_id.as_str(),
            room_nid.0,
            DATA_TYPE
        )
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        // Clients may have written something else there by themselves.
        Ok(content.and_then(|content| {
            serde_json::from_str::<Content>(&content).ok().map(|content| content.event_id)
        }))
    }

    /// Set a user's marker and announce it.
    pub async fn set(&mut self, user_id: &UserId, event: &Event) -> Result<(), StorageError> {
        let content = Content { event_id: event.event_id.clone() };
        let content = serde_json::to_string(&content)
            .map_err(StorageError::inconsistent("account_data.content"))?;
        sqlx::query!(
            "INSERT INTO account_data (user_id, room_nid, data_type, content) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, room_nid, data_type) DO UPDATE SET content = EXCLUDED.content",
            user_id.as_str(),
            event.room_nid.0,
            DATA_TYPE,
            content
        )
        .execute(&mut *self.tx.inner)
        .await?;
        let content: Arc<RawValue> = RawValue::from_string(content)
            .map_err(StorageError::inconsistent("account_data.content"))?
            .into();
        self.tx.publish(Change::AccountData {
            user_id: user_id.to_owned(),
            room_nid: Some(event.room_nid),
            data_type: DATA_TYPE.into(),
            content,
        });
        Ok(())
    }
}
