//! Upgrading a room: a new one takes its place (client-server API, "Room upgrades").

mod carry_over;
mod finish;
mod new_room;
mod old_room;
mod power_levels;

use std::fmt;

use myelin_engine::{Attempts, Draft, Refused};
use myelin_events::RoomVersion;
use myelin_model::{ActiveActor, Actor};
use myelin_storage::{StorageError, WorkKind};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};

use self::carry_over::{name_each_other, tombstone_of};
pub(crate) use self::{
    carry_over::{carry_over, carry_over_for, predecessor_of},
    finish::finish,
};
use crate::{EventError, Rooms, membership::leave, unfinished};

/// The time for which an upgrade that is asked for again is the same one, in milliseconds (as Synapse has it).
const REPEATED_MILLIS: u64 = 5 * 60 * 1000;

/// The reason why a room was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// This server does not know the room.
    #[error("Unknown room id {0}")]
    UnknownRoom(OwnedRoomId),
    /// Somebody else has just replaced the room, or is about to.
    #[error("An upgrade for this room is currently in progress")]
    InProgress,
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
/// Who asks again within `REPEATED_MILLIS` is told the same room: a room has one successor, although an answer was lost or several
/// nodes were asked. Once the new room is there, another node goes on if this one dies.
#[tracing::instrument(name = "rooms.upgrade", skip_all, fields(room.id = %room_id, user.id = %actor.user_id))]
pub async fn upgrade(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &RoomId,
    version: RoomVersion,
    additional_creators: &[OwnedUserId],
) -> Result<OwnedRoomId, UpgradeError> {
    let plan = Plan { rooms, actor: &actor, version, additional_creators };
    let mut attempts = Attempts::default();
    loop {
        let seen = match find_recent(rooms, &actor, room_id).await? {
            Recent::Successor(successor) => return Ok(successor),
            Recent::Tombstone(seen) => seen,
        };
        let mut old = find_old(rooms, room_id).await?;
        let before = tombstone_of(&mut old).await?.map(|tombstone| tombstone.event_id);
        // Else somebody was quicker in between.
        if before == seen
            && let Some(successor) = try_upgrade(&plan, old, before).await?
        {
            return Ok(successor);
        }
        attempts.again().await?;
    }
}

/// Replace a room that nobody else replaced yet. `None` if its state changed meanwhile: who was banned in it then would not be in the room
/// that was made.
async fn try_upgrade(
    plan: &Plan<'_>,
    mut old: Draft,
    before: Option<OwnedEventId>,
) -> Result<Option<OwnedRoomId>, UpgradeError> {
    let Plan { rooms, actor, .. } = *plan;
    let (room_id, copied) = (old.room_id().to_owned(), old.head().chain.state_nid());
    let mut new = rooms.engine().create_draft(plan.version).await?;
    new.take_over_aliases_of(old.room_nid());
    build(plan, &mut old, &mut new).await?;
    let new_id = new.room_id().to_owned();
    let succession = Succession { new_id: new_id.clone(), before };
    let work = unfinished::begin(rooms, WorkKind::FinishUpgrade, &succession.to_string()).await?;
    // The new room first, so that no tombstone ever names a room that is not there.
    match new.append().await {
        Ok(_) => {}
        Err(Refused::Conflict) => return Err(EventError::Busy.into()),
        Err(Refused::Failed(error)) => return Err(error.into()),
    }
    let replaced = match old.append().await {
        Ok(_) => Replaced::Done,
        Err(Refused::Conflict) => {
            finish::replace_again(plan, &room_id, &succession, Some(copied)).await?
        }
        Err(Refused::Failed(error)) => return Err(error.into()),
    };
    match replaced {
        // The new room is in the old one's place. What else moves may do so later.
        Replaced::Done => unfinished::finish(rooms, &work).await,
        // The room that was made in vain is left to itself.
        Replaced::ByAnother => {
            leave_in_vain(rooms, actor, &new_id).await;
            return match find_recent(rooms, actor, &room_id).await? {
                Recent::Successor(successor) => Ok(Some(successor)),
                Recent::Tombstone(_) => Err(UpgradeError::InProgress),
            };
        }
        Replaced::NotAsCopied => {
            unfinished::end(rooms, &work, Ok::<(), UpgradeError>(())).await;
            leave_in_vain(rooms, actor, &new_id).await;
            return Ok(None);
        }
    }
    Ok(Some(new_id))
}

/// The trace of an upgrade before.
enum Recent {
    /// The room by which the same user has just replaced this one.
    Successor(OwnedRoomId),
    /// None that counts: the tombstone that stands there all the same, if there is one.
    Tombstone(Option<OwnedEventId>),
}

/// Look for an upgrade that this is asked for again. Who may not replace the room is refused elsewhere.
async fn find_recent(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
) -> Result<Recent, UpgradeError> {
    let mut old = find_old(rooms, room_id).await?;
    let Some(tombstone) = tombstone_of(&mut old).await? else {
        return Ok(Recent::Tombstone(None));
    };
    let may_replace = old.power_levels().await?.may_send(&actor.user_id, "m.room.tombstone", true);
    drop(old);
    let is_recent = rooms.now_ms().saturating_sub(tombstone.ts) <= REPEATED_MILLIS;
    match tombstone.successor {
        Some(successor)
            if may_replace && is_recent && name_each_other(rooms, room_id, &successor).await? =>
        {
            if tombstone.sender == actor.user_id {
                Ok(Recent::Successor(successor))
            } else {
                Err(UpgradeError::InProgress)
            }
        }
        _ => Ok(Recent::Tombstone(Some(tombstone.event_id))),
    }
}

/// Leave a room that was made in vain. What fails is logged: the user can leave it as well.
async fn leave_in_vain(rooms: &Rooms, actor: &Actor, room_id: &RoomId) {
    if let Err(error) = leave(rooms, &Actor::server(actor.user_id.clone()), room_id).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            room.id = %room_id,
            "a room that was made in vain was not left"
        );
    }
}

async fn find_old(rooms: &Rooms, room_id: &RoomId) -> Result<Draft, UpgradeError> {
    let old = rooms.engine().find_draft(room_id).await?;
    old.ok_or_else(|| UpgradeError::UnknownRoom(room_id.to_owned()))
}

/// The outcome of a second try to replace a room by one that is there.
enum Replaced {
    /// It is replaced.
    Done,
    /// Another one was quicker.
    ByAnother,
    /// The room's state is not the one that was copied any more.
    NotAsCopied,
}

/// The room that is to replace another, and the tombstone that the other had before.
#[derive(Debug, PartialEq)]
struct Succession {
    new_id: OwnedRoomId,
    before: Option<OwnedEventId>,
}

impl fmt::Display for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.new_id.as_str())?;
        self.before.iter().try_for_each(|event_id| write!(f, " {event_id}"))
    }
}

impl Succession {
    /// Read what was written down with the upgrade. `None` if that was something else.
    fn parse(text: &str) -> Option<Self> {
        let (new_id, before) =
            text.split_once(' ').map_or((text, None), |(id, rest)| (id, Some(rest)));
        let before = before.map(OwnedEventId::try_from).transpose().ok()?;
        Some(Self { new_id: new_id.try_into().ok()?, before })
    }
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
