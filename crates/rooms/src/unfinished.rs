//! Work of several steps that survives a crash: it is written down before its first step or together with it, and what is not done
//! after a while is done by the node that looks after it. Every step may be done twice, by two nodes at once as well.

use std::time::Duration;

use myelin_storage::{Leases, StorageError, UnfinishedWork, WorkKind};
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{
    EventError, Rooms,
    membership::{self, MembershipError},
    upgrade::{self, UpgradeError},
};

/// The lease of the node that looks after it.
const LEASE: &str = "unfinished_work";

/// The time between two looks at unfinished work.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// The number of works that are done at one look.
const WORKS_MAX: u32 = 100;

/// The number of rooms that may fail before the others wait, too: the database is away.
const FAILURES_MAX: usize = 10;

/// The reason why work is still unfinished.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Look after unfinished work for all nodes, as long as the future is polled.
pub async fn look_after(rooms: &Rooms, leases: &Leases) {
    loop {
        let lease = leases.hold(LEASE).await;
        let looks = async {
            loop {
                finish_due(rooms).await;
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = lease.lost() => {}
            () = looks => {}
        }
    }
}

/// Finish what other nodes, or this one before it was started anew, left undone.
pub async fn finish_due(rooms: &Rooms) {
    match rooms.db().unfinished_work().list_due(rooms.now_ms(), WORKS_MAX).await {
        Ok(works) => {
            for work in &works {
                finish(rooms, work).await;
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "unfinished work could not be read; it is tried again later"
        ),
    }
}

/// Do work that was begun. What fails is logged, and tried again later.
#[tracing::instrument(name = "rooms.unfinished.finish", skip_all, fields(kind = work.kind.as_str(), subject = work.subject))]
pub async fn finish(rooms: &Rooms, work: &UnfinishedWork) {
    if let Err(error) = try_finish(rooms, work).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "work was left unfinished; it is tried again later"
        );
        // If this fails, too, the work stays due.
        let _ = rooms.db().unfinished_work().postpone(work, rooms.now_ms()).await;
    }
}

/// Write work down that is about to be begun.
pub(crate) async fn begin(
    rooms: &Rooms,
    kind: WorkKind,
    subject: &str,
) -> Result<UnfinishedWork, StorageError> {
    let mut tx = rooms.db().begin().await?;
    let work = tx.unfinished_work().add(kind, subject, rooms.now_ms()).await?;
    tx.commit().await?;
    Ok(work)
}

async fn try_finish(rooms: &Rooms, work: &UnfinishedWork) -> Result<(), WorkError> {
    match work.kind {
        WorkKind::LeaveRooms => membership::leave_all(rooms, &user_of(work)?).await?,
        WorkKind::UpdateProfile => membership::update_profile(rooms, &user_of(work)?).await?,
        WorkKind::RemoveGuests => membership::remove_guests(rooms, &room_of(work)?).await?,
        WorkKind::FinishUpgrade => upgrade::finish(rooms, &room_of(work)?).await?,
        WorkKind::CarryOver => upgrade::carry_over(rooms, &room_of(work)?).await?,
    }
    Ok(rooms.db().unfinished_work().delete(work).await?)
}

fn user_of(work: &UnfinishedWork) -> Result<OwnedUserId, StorageError> {
    let user_id = OwnedUserId::try_from(work.subject.as_str());
    user_id.map_err(StorageError::foreign("unfinished_work.subject"))
}

fn room_of(work: &UnfinishedWork) -> Result<OwnedRoomId, StorageError> {
    let room_id = OwnedRoomId::try_from(work.subject.as_str());
    room_id.map_err(StorageError::foreign("unfinished_work.subject"))
}

/// The outcome of one work for the rooms or members that it is about: one that fails keeps the others from nothing, unless too many fail.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    first: Option<MembershipError>,
    failures: usize,
}

impl Steps {
    /// Note a step. `false` if it is no use to go on.
    pub(crate) fn note(&mut self, step: Result<(), MembershipError>) -> bool {
        if let Err(error) = step {
            self.failures += 1;
            self.first.get_or_insert(error);
        }
        self.failures < FAILURES_MAX
    }

    /// The first failure, if there was one.
    pub(crate) fn end(self) -> Result<(), MembershipError> {
        self.first.map_or(Ok(()), Err)
    }
}
