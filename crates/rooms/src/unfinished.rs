//! Work of several steps that survives a crash: it is written down before its first step or together with it, and what is not done
//! after a while is done by the node that looks after it. Every step may be done twice, by two nodes at once as well.

use std::time::Duration;

use myelin_storage::{Leases, StorageError, UnfinishedWork, WorkKind};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::{
    EventError, Rooms, alias,
    membership::{self, MembershipError, forget::forget_left},
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
pub(crate) enum WorkError {
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
    match try_finish(rooms, work).await {
        Ok(Outcome::Done) => end(rooms, work, Ok::<(), WorkError>(())).await,
        // If this fails, the work stays due.
        Ok(Outcome::Again) => {
            let _ = rooms.db().unfinished_work().postpone(work, rooms.now_ms()).await;
        }
        Err(error) => end(rooms, work, Err(error)).await,
    }
}

/// The outcome of work.
enum Outcome {
    /// Nothing is left to do.
    Done,
    /// All was done that was there to be done; there may be more, by requests that were under way.
    Again,
}

/// Note what came of work: it is done, or is tried again later.
pub(crate) async fn end<E: Into<WorkError>>(
    rooms: &Rooms,
    work: &UnfinishedWork,
    done: Result<(), E>,
) {
    let ended = match done {
        Ok(()) => rooms.db().unfinished_work().delete(work).await.map_err(WorkError::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = ended {
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

async fn try_finish(rooms: &Rooms, work: &UnfinishedWork) -> Result<Outcome, WorkError> {
    match work.kind {
        WorkKind::LeaveRooms => {
            if membership::leave_all(rooms, &user_of(work)?).await? {
                return Ok(Outcome::Again);
            }
        }
        WorkKind::UpdateProfile => membership::update_profile(rooms, &user_of(work)?).await?,
        WorkKind::RemoveGuests => membership::remove_guests(rooms, &room_of(work)?).await?,
        WorkKind::FinishUpgrade => upgrade::finish(rooms, &work.subject).await?,
        WorkKind::CarryOver => upgrade::carry_over(rooms, &room_of(work)?).await?,
        WorkKind::CarryOverFor => {
            let (room_id, user_id) = room_and_user_of(work)?;
            upgrade::carry_over_for(rooms, &room_id, &user_id).await?;
        }
        WorkKind::AutoJoin => membership::auto_join(rooms, &user_of(work)?).await?,
        WorkKind::ForgetRoom => {
            let (room_id, user_id) = room_and_user_of(work)?;
            forget_left(rooms, &user_id, &room_id).await?;
        }
        WorkKind::DropAlias => alias::delete::drop_from_room(rooms, &work.subject).await?,
    }
    Ok(Outcome::Done)
}

/// The subject of work that is about a user in a room.
pub(crate) fn room_and_user(room_id: &RoomId, user_id: &UserId) -> String {
    format!("{room_id} {user_id}")
}

fn room_and_user_of(work: &UnfinishedWork) -> Result<(OwnedRoomId, OwnedUserId), StorageError> {
    // Users may have had spaces in their names once, rooms never.
    let parsed = work.subject.split_once(' ').and_then(|(room_id, user_id)| {
        Some((OwnedRoomId::try_from(room_id).ok()?, OwnedUserId::try_from(user_id).ok()?))
    });
    parsed.ok_or_else(|| StorageError::foreign("unfinished_work.subject")("no room and user"))
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
