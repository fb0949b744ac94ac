//! The steps of an upgrade once the new room is there. Each may be done twice, and by a node that knows only the new room.

use myelin_engine::{Attempts, Refused};
use myelin_model::{Actor, RoomNid, StateNid};
use myelin_storage::{DirectoryList, StorageError};
use ruma::RoomId;

use super::{
    Plan, Replaced, Succession, UpgradeError, carry_over, carry_over::tombstone_of, find_old,
    old_room, predecessor_of,
};
use crate::Rooms;

/// The server's own list.
const OWN_LIST: DirectoryList<'_> = DirectoryList { appservice_id: "", network_id: "" };

/// Put a room that was made for it in the place of another, as far as that is not done yet. `subject` is what was written down with the
/// upgrade. Nothing is to be done if the room was not made, if its maker has lost the power to, or if another room was quicker.
pub(crate) async fn finish(rooms: &Rooms, subject: &str) -> Result<(), UpgradeError> {
    let unreadable = || StorageError::foreign("unfinished_work.subject")("it names no upgrade");
    let succession = Succession::parse(subject).ok_or_else(unreadable)?;
    let new_id = &succession.new_id;
    let Some(mut new) = rooms.engine().find_draft(new_id).await? else { return Ok(()) };
    let (Some(old_id), Some(create)) =
        (predecessor_of(&mut new).await?, new.find_state("m.room.create", "").await?)
    else {
        return Ok(());
    };
    let (new_nid, version) = (new.room_nid(), new.version());
    drop(new);
    let actor = Actor::server(create.pdu.sender.clone());
    let plan = Plan { rooms, actor: &actor, version, additional_creators: &[] };
    let Some(mut old) = rooms.engine().find_draft(&old_id).await? else { return Ok(()) };
    let old_nid = old.room_nid();
    let tombstone = tombstone_of(&mut old).await?;
    drop(old);
    match tombstone.and_then(|tombstone| tombstone.successor) {
        Some(successor) if successor == *new_id => {}
        _ => match replace_again(&plan, &old_id, &succession, None).await {
            Ok(Replaced::Done) => {}
            Ok(Replaced::ByAnother | Replaced::NotAsCopied) => return Ok(()),
            Err(error) if error.is_failure() => return Err(error),
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    room.id = %old_id,
                    successor.id = %new_id,
                    "a room was not replaced by the one that was made for it"
                );
                return Ok(());
            }
        },
    }
    move_names(rooms, old_nid, new_nid).await?;
    Ok(carry_over(rooms, new_id).await?)
}

/// Say in the old room, as it is by now, that the new one takes its place. `copied` is the state that the new one was made of; `None`
/// where it is not known any more.
pub(super) async fn replace_again(
    plan: &Plan<'_>,
    old_id: &RoomId,
    succession: &Succession,
    copied: Option<Option<StateNid>>,
) -> Result<Replaced, UpgradeError> {
    let mut attempts = Attempts::default();
    loop {
        let mut old = find_old(plan.rooms, old_id).await?;
        let tombstone = tombstone_of(&mut old).await?;
        // It was said before, and had not been heard of here.
        if tombstone
            .as_ref()
            .is_some_and(|tombstone| tombstone.successor.as_ref() == Some(&succession.new_id))
        {
            return Ok(Replaced::Done);
        }
        if tombstone.map(|tombstone| tombstone.event_id) != succession.before {
            return Ok(Replaced::ByAnother);
        }
        if copied.is_some_and(|copied| copied != old.head().chain.state_nid()) {
            return Ok(Replaced::NotAsCopied);
        }
        old_room::add_tombstone(plan, &mut old, &succession.new_id).await?;
        old_room::add_rest(plan, &mut old).await?;
        match old.append().await {
            Ok(_) => return Ok(Replaced::Done),
            Err(Refused::Conflict) => attempts.again().await?,
            Err(Refused::Failed(error)) => return Err(error.into()),
        }
    }
}

/// Move the aliases, and the place in the directory.
async fn move_names(rooms: &Rooms, old: RoomNid, new: RoomNid) -> Result<(), UpgradeError> {
    let mut tx = rooms.db().begin().await?;
    tx.aliases().move_all(old, new).await?;
    if tx.directory().delete(old, OWN_LIST).await? {
        tx.directory().add(new, OWN_LIST).await?;
    }
    tx.commit().await?;
    Ok(())
}
