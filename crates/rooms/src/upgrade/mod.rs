//! Upgrading a room: a new one takes its place (client-server API, "Room upgrades").

mod carry_over;
mod finish;
mod new_room;
mod old_room;
mod power_levels;

use myelin_engine::{Draft, Refused};
use myelin_events::RoomVersion;
use myelin_model::{ActiveActor, Actor};
use myelin_storage::{StorageError, WorkKind};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};

pub(crate) use self::{
    carry_over::{carry_over, carry_over_for, predecessor_of, successor_of},
    finish::finish,
};
use crate::{EventError, Rooms, unfinished};

/// The reason why a room was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// This server does not know the room.
    #[error("Unknown room id {0}")]
    UnknownRoom(OwnedRoomId),
    /// An event in the old or the new room was refused.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl UpgradeError {
    /// Whether nothing was decided: the same may be done later.
    fn is_failure(&self) -> bool {
        matches!(self, Self::Event(error) if error.is_failure())
    }
}

impl From<StorageError> for UpgradeError {
    fn from(error: StorageError) -> Self {
        Self::Event(error.into())
    }
}

/// Replace a room by one of another version: its state is copied, its aliases and its place in the directory move, and the old one points
/// to the new one by a tombstone. What local members keep of the old room, they keep of the new one too. `additional_creators` counts
/// since version 12.
///
/// Once the new room is there, another node goes on if this one dies.
#[tracing::instrument(name = "rooms.upgrade", skip_all, fields(room.id = %room_id, user.id = %actor.user_id))]
pub async fn upgrade(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &RoomId,
    version: RoomVersion,
    additional_creators: &[OwnedUserId],
) -> Result<OwnedRoomId, UpgradeError> {
    let mut old = find_old(rooms, room_id).await?;
    let mut new = rooms.engine().create_draft(version).await?;
    new.take_over_aliases_of(old.room_nid());
    let plan = Plan { rooms, actor: &actor, version, additional_creators };
    build(&plan, &mut old, &mut new).await?;
    let new_id = new.room_id().to_owned();
    let work = unfinished::begin(rooms, WorkKind::FinishUpgrade, new_id.as_str()).await?;
    // The new room first, so that no tombstone ever names a room that is not there.
    match new.append().await {
        Ok(_) => {}
        Err(Refused::Conflict) => return Err(EventError::Busy.into()),
        Err(Refused::Failed(error)) => return Err(error.into()),
    }
    match old.append().await {
        Ok(_) => {}
        Err(Refused::Conflict) => finish::replace_again(&plan, room_id, &new_id).await?,
        Err(Refused::Failed(error)) => return Err(error.into()),
    }
    // The new room is in the old one's place. What else moves may do so later.
    unfinished::finish(rooms, &work).await;
    Ok(new_id)
}

async fn find_old(rooms: &Rooms, room_id: &RoomId) -> Result<Draft, UpgradeError> {
    let old = rooms.engine().find_draft(room_id).await?;
    old.ok_or_else(|| UpgradeError::UnknownRoom(room_id.to_owned()))
}

/// The upgrade that is asked for, and the user who asks.
struct Plan<'a> {
    rooms: &'a Rooms,
    actor: &'a Actor,
    version: RoomVersion,
    additional_creators: &'a [OwnedUserId],
}

/// Add the events of both rooms. Since version 12 the new room's ID is known only when its create event is made.
async fn build(plan: &Plan<'_>, old: &mut Draft, new: &mut Draft) -> Result<(), UpgradeError> {
    if plan.version.has_hashed_room_ids() {
        new_room::add_create(plan, old, new, None).await?;
        old_room::add_tombstone(plan, old, new.room_id()).await?;
    } else {
        let new_id = new.room_id().to_owned();
        let tombstone = old_room::add_tombstone(plan, old, &new_id).await?;
        new_room::add_create(plan, old, new, Some(&tombstone)).await?;
    }
    new_room::add_state(plan, old, new).await?;
    old_room::add_rest(plan, old).await
}
