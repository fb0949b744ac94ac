//! Users' profiles in their member events.

use myelin_model::{Actor, Membership};
use myelin_storage::StorageError;
use ruma::{OwnedRoomId, UserId};
use serde_json::{Map, Value};

use super::{Action, MembershipError, MembershipUpdate, update};
use crate::{Rooms, unfinished::Steps};

/// The profile of a user as member events show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberProfile {
    pub display_name: Option<String>,
    /// The avatar's MXC URI.
    pub avatar_url: Option<String>,
}

impl MemberProfile {
    /// Put into a content what it does not say itself.
    pub(crate) fn fill(self, content: &mut Map<String, Value>) {
        for (key, value) in [("displayname", self.display_name), ("avatar_url", self.avatar_url)] {
            if let Some(value) = value
                && !content.contains_key(key)
            {
                content.insert(key.to_owned(), value.into());
            }
        }
    }
}

/// The profile of a user of this server. Empty if there is none.
pub(crate) async fn find_member_profile(
    rooms: &Rooms,
    user_id: &UserId,
) -> Result<MemberProfile, StorageError> {
    let profile = rooms.db().profiles().find(user_id).await?.unwrap_or_default();
    Ok(MemberProfile { display_name: profile.displayname, avatar_url: profile.avatar_url })
}

/// Bring the member events of all rooms that the user is in in line with its profile. Rooms that refuse are left as they are.
#[tracing::instrument(name = "rooms.membership.update_profile", skip_all, fields(user.id = %user_id))]
pub(crate) async fn update_profile(rooms: &Rooms, user_id: &UserId) -> Result<(), MembershipError> {
    let actor = Actor::server(user_id.to_owned());
    let mut steps = Steps::default();
    for room_id in rooms.db().memberships().list_room_ids(user_id, &[Membership::Join]).await? {
        let step = match update_room(rooms, &actor, &room_id).await {
            Err(error) if !error.is_failure() => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    room.id = %room_id,
                    "a room does not take the new profile"
                );
                Ok(())
            }
            step => step,
        };
        if !steps.note(step) {
            break;
        }
    }
    steps.end()
}

async fn update_room(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &OwnedRoomId,
) -> Result<(), MembershipError> {
    let Some(mut draft) = rooms.engine().find_draft(room_id).await? else { return Ok(()) };
    let current = draft.find_state("m.room.member", actor.user_id.as_str()).await?;
    drop(draft);
    let Some(current) = current.filter(|event| event.membership == Some(Membership::Join)) else {
        return Ok(());
    };
    // What else the event says stays; what the profile does not have goes.
    let mut content: Map<String, Value> = current.pdu.content_as().unwrap_or_default();
    content.remove("displayname");
    content.remove("avatar_url");
    content.remove("reason");
    let (target, action) = (&*actor.user_id, Action::Rename);
    update(
        rooms,
        actor,
        MembershipUpdate { room_id, target, action, content, origin_server_ts: None },
    )
    .await?;
    Ok(())
}
