//! Queries over `room_directory`: the rooms listed in public.

use std::collections::HashSet;

use myelin_model::{Membership, RoomNid};

use crate::{Db, StorageError, Tx};

/// A list of rooms: the server's own, or a network of an application service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryList<'a> {
    /// The application service; empty for the server's own list.
    pub appservice_id: &'a str,
    /// The network in it; empty for the server's own list.
    pub network_id: &'a str,
}

/// The lists that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryScope<'a> {
    List(DirectoryList<'a>),
    All,
}

/// A listed room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedRoom {
    pub room_nid: RoomNid,
    /// The number of users who have joined it.
    pub joined_members: i64,
}

/// Reads of the directory.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'db> {
    db: &'db Db,
}

impl Db {
    /// The rooms listed in public.
    pub fn directory(&self) -> Directory<'_> {
        Directory { db: self }
    }
}

impl Directory<'_> {
    /// Whether a room stands in a list.
    #[tracing::instrument(name = "db.directory.contains", skip_all)]
    pub async fn contains(
        &self,
        room_nid: RoomNid,
        list: DirectoryList<'_>,
    ) -> Result<bool, StorageError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM room_directory WHERE room_nid = $1 AND appservice_id = $2 AND network_id = $3)
                AS "listed!""#,
            room_nid.0,
            list.appservice_id,
            list.network_id
        )
        .fetch_one(self.db.pool())
        .await?)
    }

    /// The rooms among these that stand in the server's own list.
    #[tracing::instrument(name = "db.directory.list_listed", skip_all)]
    pub async fn list_listed(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<HashSet<RoomNid>, StorageError> {
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let listed = sqlx::query_scalar!(
            "SELECT room_nid FROM room_directory
            WHERE room_nid = ANY ($1) AND appservice_id = '' AND network_id = ''",
            &rooms
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(listed.into_iter().map(RoomNid).collect())
    }

    /// The listed rooms, those with the most members first.
    #[tracing::instrument(name = "db.directory.list", skip_all)]
    pub async fn list(&self, scope: DirectoryScope<'_>) -> Result<Vec<ListedRoom>, StorageError> {
        let (all, list) = match scope {
            DirectoryScope::All => (true, DirectoryList::default()),
            DirectoryScope::List(list) => (false, list),
        };
        let rows = sqlx::query!(
            r#"
            SELECT d.room_nid AS "room_nid!", m.joined AS "joined_members!"
            FROM (
                SELECT DISTINCT room_nid FROM room_directory
                WHERE $1 OR (appservice_id = $2 AND network_id = $3)
            ) AS d
            CROSS JOIN LATERAL (
                SELECT count(*) AS joined FROM memberships WHERE room_nid = d.room_nid AND membership = $4
                OFFSET 0 -- a look into the index a room, never a join with all memberships
            ) AS m
            WHERE m.joined > 0
            ORDER BY m.joined DESC, d.room_nid
            "#,
            all,
            list.appservice_id,
            list.network_id,
            Membership::Join.to_i16()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ListedRoom {
                room_nid: RoomNid(row.room_nid),
                joined_members: row.joined_members,
            })
            .collect())
    }
}

/// Writes of the directory.
#[derive(Debug)]
pub struct DirectoryTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// The rooms listed in public.
    pub fn directory(&mut self) -> DirectoryTx<'_> {
        DirectoryTx { tx: self }
    }
}

impl DirectoryTx<'_> {
    /// List a room. Once is enough.
    pub async fn add(
        &mut self,
        room_nid: RoomNid,
        list: DirectoryList<'_>,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO room_directory (room_nid, appservice_id, network_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            room_nid.0,
            list.appservice_id,
            list.network_id
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// List a room no more. Whether it was listed.
    pub async fn delete(
        &mut self,
        room_nid: RoomNid,
        list: DirectoryList<'_>,
    ) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "DELETE FROM room_directory WHERE room_nid = $1 AND appservice_id = $2 AND network_id = $3",
            room_nid.0,
            list.appservice_id,
            list.network_id
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
