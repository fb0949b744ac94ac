//! Queries over `room_aliases`.

use myelin_model::RoomNid;
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, UserId};

use crate::{Db, StorageError, Tx};

/// The time for which an alias stays claimed for a room that is still being made, in milliseconds. The node that
/// claimed it must have died since.
const CLAIM_MILLIS_MAX: u64 = 60_000;

/// An alias and the room it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub alias: OwnedRoomAliasId,
    pub room_nid: RoomNid,
    pub room_id: OwnedRoomId,
    /// The user who made it.
    pub creator: OwnedUserId,
}

struct Row {
    alias: String,
    room_nid: i64,
    room_id: String,
    creator: String,
}

impl TryFrom<Row> for Alias {
    type Error = StorageError;

    fn try_from(row: Row) -> Result<Self, StorageError> {
        Ok(Self {
            alias: row
                .alias
                .try_into()
                .map_err(StorageError::inconsistent("room_aliases.alias"))?,
            room_nid: RoomNid(row.room_nid),
            room_id: row.room_id.try_into().map_err(StorageError::inconsistent("rooms.room_id"))?,
            creator: row
                .creator
                .try_into()
                .map_err(StorageError::inconsistent("room_aliases.creator"))?,
        })
    }
}

/// Reads of aliases.
#[derive(Debug, Clone, Copy)]
pub struct Aliases<'db> {
    db: &'db Db,
}

impl Db {
    /// The aliases of this server.
    pub fn aliases(&self) -> Aliases<'_> {
        Aliases { db: self }
    }
}

impl Aliases<'_> {
    /// Find an alias of this server.
    #[tracing::instrument(name = "db.aliases.find", skip_all)]
    pub async fn find(&self, alias: &RoomAliasId) -> Result<Option<Alias>, StorageError> {
        sqlx::query_as!(
            Row,
            "SELECT alias, room_nid, room_id, creator FROM room_aliases JOIN rooms USING (room_nid) WHERE alias = $1",
            alias.as_str()
        )
        .fetch_optional(self.db.pool())
        .await?
        .map(Alias::try_from)
        .transpose()
    }

    /// The number of the room that an alias of this server names, even if the room is still being made.
    #[tracing::instrument(name = "db.aliases.find_room_nid", skip_all)]
    pub async fn find_room_nid(
        &self,
        alias: &RoomAliasId,
    ) -> Result<Option<RoomNid>, StorageError> {
        let nid = sqlx::query_scalar!(
            "SELECT room_nid FROM room_aliases WHERE alias = $1",
            alias.as_str()
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(nid.map(RoomNid))
    }

    /// The aliases of a room, oldest first.
    #[tracing::instrument(name = "db.aliases.list", skip_all)]
    pub async fn list(&self, room_nid: RoomNid) -> Result<Vec<Alias>, StorageError> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT alias, room_nid, room_id, creator FROM room_aliases JOIN rooms USING (room_nid)
             WHERE room_nid = $1 ORDER BY created_ts, alias",
            room_nid.0
        )
        .fetch_all(self.db.pool())
        .await?;
        let aliases = rows.into_iter().map(Alias::try_from);
        Ok(aliases.filter_map(|alias| self.db.pool().readable(alias)).collect())
    }
}

/// Writes of aliases.
#[derive(Debug)]
pub struct AliasesTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// The aliases of this server.
    pub fn aliases(&mut self) -> AliasesTx<'_> {
        AliasesTx { tx: self }
    }
}

impl AliasesTx<'_> {
    /// Give an alias to a room, which may be one that is still being made: its number is enough. `false` if the alias is
    /// taken already, whatever room it names.
    pub async fn add(
        &mut self,
        alias: &RoomAliasId,
        room_nid: RoomNid,
        creator: &UserId,
        now_ms: u64,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "INSERT INTO room_aliases AS a (alias, room_nid, creator, created_ts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (alias) DO UPDATE
                 SET room_nid = excluded.room_nid, creator = excluded.creator, created_ts = excluded.created_ts
                 -- A claim for a room that was never made.
                 WHERE a.created_ts < $5 AND NOT EXISTS (SELECT FROM rooms r WHERE r.room_nid = a.room_nid)",
            alias.as_str(),
            room_nid.0,
            creator.as_str(),
            i64::try_from(now_ms).unwrap_or(i64::MAX),
            i64::try_from(now_ms.saturating_sub(CLAIM_MILLIS_MAX)).unwrap_or(i64::MAX)
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Take an alias back from a room that was not made.
    pub async fn release(
        &mut self,
        alias: &RoomAliasId,
        room_nid: RoomNid,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "DELETE FROM room_aliases WHERE alias = $1 AND room_nid = $2",
            alias.as_str(),
            room_nid.0
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Delete an alias. Whether there was one.
    pub async fn delete(&mut self, alias: &RoomAliasId) -> Result<bool, StorageError> {
        let done = sqlx::query!("DELETE FROM room_aliases WHERE alias = $1", alias.as_str())
            .execute(&mut *self.tx.inner)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Have all aliases of a room name another one, as an upgrade does. Returns their number.
    pub async fn move_all(&mut self, from: RoomNid, to: RoomNid) -> Result<u64, StorageError> {
        let done =
            sqlx::query!("UPDATE room_aliases SET room_nid = $2 WHERE room_nid = $1", from.0, to.0)
                .execute(&mut *self.tx.inner)
                .await?;
        Ok(done.rows_affected())
    }
}
