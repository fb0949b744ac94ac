//! Queries over `unfinished_work`: work of several steps that outlives the node that began it.

use crate::{Db, StorageError, Tx, accounts::to_sql_ts};

/// The time for which the node that begins work is left alone with it, and the time between tries of work that fails, in
/// milliseconds.
const LEFT_ALONE_MILLIS: u64 = 60_000;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// A deactivated user leaves all rooms. The subject is the user.
    LeaveRooms,
    /// The member events of a user's rooms follow the profile. The subject is the user.
    UpdateProfile,
    /// The guests of a room that lets no guests in any more leave it. The subject is the room.
    RemoveGuests,
    /// A room that was made to replace another takes its place. The subject is the new room.
    FinishUpgrade,
    /// Members keep of the successor of a room what they kept of the room. The subject is the successor.
    CarryOver,
    /// A user who came into the successor of a room keeps of it what it kept of the room. The subject is the successor and the user.
    CarryOverFor,
    /// A new user joins the rooms that new users join. The subject is the user.
    AutoJoin,
    /// A user who left a room forgets it. The subject is the room and the user.
    ForgetRoom,
    /// The canonical alias event of a room names an alias no more that was deleted. The subject is the room, the alias, and who deleted it.
    DropAlias,
}

impl WorkKind {
    const ALL: [Self; 9] = [
        Self::LeaveRooms,
        Self::UpdateProfile,
        Self::RemoveGuests,
        Self::FinishUpgrade,
        Self::CarryOver,
        Self::CarryOverFor,
        Self::AutoJoin,
        Self::ForgetRoom,
        Self::DropAlias,
    ];

    /// The kind's name, in the database and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeaveRooms => "leave_rooms",
            Self::UpdateProfile => "update_profile",
            Self::RemoveGuests => "remove_guests",
            Self::FinishUpgrade => "finish_upgrade",
            Self::CarryOver => "carry_over",
            Self::CarryOverFor => "carry_over_for",
            Self::AutoJoin => "auto_join",
            Self::ForgetRoom => "forget_room",
            Self::DropAlias => "drop_alias",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Work that is not done yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedWork {
    /// The kind of work.
    pub kind: WorkKind,
    /// The IDs of the users and rooms that it is about, with spaces between them.
    pub subject: String,
    number: i64,
}

/// Reads of unfinished work, and its end.
#[derive(Debug, Clone, Copy)]
pub struct UnfinishedWorks<'db> {
    db: &'db Db,
}

impl Db {
    /// Unfinished work.
    pub fn unfinished_work(&self) -> UnfinishedWorks<'_> {
        UnfinishedWorks { db: self }
    }
}

impl UnfinishedWorks<'_> {
    /// At most `count_max` works that are due at `now_ms`, in milliseconds since the epoch, the longest due first. Kinds that only newer
    /// nodes know are left to them.
    #[tracing::instrument(name = "db.unfinished_work.list_due", skip_all)]
    pub async fn list_due(
        &self,
        now_ms: u64,
        count_max: u32,
    ) -> Result<Vec<UnfinishedWork>, StorageError> {
        let kinds = WorkKind::ALL.map(|kind| kind.as_str().to_owned());
        let rows = sqlx::query!(
            "SELECT kind, subject, number FROM unfinished_work WHERE due_ts <= $1 AND kind = ANY ($2)
             ORDER BY due_ts LIMIT $3",
            to_sql_ts(now_ms),
            &kinds,
            i64::from(count_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        let works = rows.into_iter().filter_map(|row| {
            let kind = WorkKind::parse(&row.kind)?;
            Some(UnfinishedWork { kind, subject: row.subject, number: row.number })
        });
        Ok(works.collect())
    }

    /// Try work that failed again later, after what is due by then.
    #[tracing::instrument(name = "db.unfinished_work.postpone", skip_all)]
    pub async fn postpone(&self, work: &UnfinishedWork, now_ms: u64) -> Result<(), StorageError> {
        sqlx::query!(
            "UPDATE unfinished_work SET due_ts = $4 WHERE kind = $1 AND subject = $2 AND number = $3",
            work.kind.as_str(),
            &work.subject,
            work.number,
            to_sql_ts(now_ms.saturating_add(LEFT_ALONE_MILLIS))
        )
        .execute(self.db.pool())
        .await?;
        Ok(())
    }

    /// The work is done. Nothing happens if the same was begun anew meanwhile. This is no part of a transaction: should it get lost, the
    /// work is done once more, which does no harm.
    #[tracing::instrument(name = "db.unfinished_work.delete", skip_all)]
    pub async fn delete(&self, work: &UnfinishedWork) -> Result<(), StorageError> {
        sqlx::query!(
            "DELETE FROM unfinished_work WHERE kind = $1 AND subject = $2 AND number = $3",
            work.kind.as_str(),
            &work.subject,
            work.number
        )
        .execute(self.db.pool())
        .await?;
        Ok(())
    }
}

/// Writes of unfinished work.
#[derive(Debug)]
pub struct UnfinishedWorksTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Unfinished work.
    pub fn unfinished_work(&mut self) -> UnfinishedWorksTx<'_> {
        UnfinishedWorksTx { tx: self }
    }
}

impl UnfinishedWorksTx<'_> {
    /// Begin work at `now_ms`, in milliseconds since the epoch. What was begun before and is unfinished is begun anew.
    #[tracing::instrument(name = "db.unfinished_work.add", skip_all)]
    pub async fn add(
        &mut self,
        kind: WorkKind,
        subject: &str,
        now_ms: u64,
    ) -> Result<UnfinishedWork, StorageError> {
        let number = sqlx::query_scalar!(
            "INSERT INTO unfinished_work (kind, subject, due_ts) VALUES ($1, $2, $3)
             ON CONFLICT (kind, subject) DO UPDATE SET number = DEFAULT, due_ts = EXCLUDED.due_ts
             RETURNING number",
            kind.as_str(),
            subject,
            to_sql_ts(now_ms.saturating_add(LEFT_ALONE_MILLIS))
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        Ok(UnfinishedWork { kind, subject: subject.to_owned(), number })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::StorageSettings;

    async fn begin(db: &Db, subject: &str, now_ms: u64) -> UnfinishedWork {
        let mut tx = db.begin().await.unwrap();
        let work = tx.unfinished_work().add(WorkKind::UpdateProfile, subject, now_ms).await;
        tx.commit().await.unwrap();
        work.unwrap()
    }

    async fn open(pool: PgPool) -> Db {
        let settings = StorageSettings::default();
        Db::open(pool.clone(), pool, &settings, CancellationToken::new()).await.unwrap()
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_is_begun_anew_is_not_ended_by_an_earlier_time(pool: PgPool) {
        let db = open(pool).await;
        let works = db.unfinished_work();
        let first = begin(&db, "@a:b", 1_000).await;
        let second = begin(&db, "@a:b", 2_000).await;

        works.delete(&first).await.unwrap();

        assert_eq!(works.list_due(61_999, 10).await.unwrap(), []);
        assert_eq!(works.list_due(62_000, 10).await.unwrap(), std::slice::from_ref(&second));
        works.delete(&second).await.unwrap();
        assert_eq!(works.list_due(62_000, 10).await.unwrap(), []);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_fails_keeps_nothing_else_waiting(pool: PgPool) {
        let db = open(pool.clone()).await;
        let works = db.unfinished_work();
        let failing = begin(&db, "@a:b", 0).await;
        let waiting = begin(&db, "@b:b", 1).await;
        sqlx::query("INSERT INTO unfinished_work (kind, subject, due_ts) VALUES ('newer', 'x', 0)")
            .execute(&pool)
            .await
            .unwrap();
        let now_ms = LEFT_ALONE_MILLIS + 1;
        assert_eq!(works.list_due(now_ms, 1).await.unwrap(), std::slice::from_ref(&failing));

        works.postpone(&failing, now_ms).await.unwrap();

        assert_eq!(works.list_due(now_ms, 1).await.unwrap(), std::slice::from_ref(&waiting));
        let later = works.list_due(now_ms + LEFT_ALONE_MILLIS, 10).await.unwrap();
        assert_eq!(later, [waiting, failing]);
    }
}
