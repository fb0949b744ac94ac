//! The members of a room.

use std::sync::Arc;

use myelin_events::client::content_for_clients;
use myelin_model::{Event, EventNid, Membership, StreamPos};
use myelin_storage::{Page, PageFilter, StorageError};
use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;

use super::{Place, RoomView, Shown, ViewError};
use crate::Rooms;

const ALL: [Membership; 5] =
    [Membership::Leave, Membership::Invite, Membership::Join, Membership::Knock, Membership::Ban];

/// The member events that are asked for.
#[derive(Debug, Clone, Default)]
pub struct MembersQuery {
    /// The place in history that the members are asked for. `None`: now.
    pub at: Option<Place>,
    /// The only membership that is wanted. `None`: any.
    pub membership: Option<Membership>,
    /// A membership that is not wanted.
    pub not_membership: Option<Membership>,
}

impl MembersQuery {
    fn wants(&self, membership: Membership) -> bool {
        self.membership.is_none_or(|wanted| wanted == membership)
            && self.not_membership != Some(membership)
    }
}

/// The reason why no members are shown.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// The room is not shown to the user.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The user may not see the events of the time that was asked for.
    #[error("You don't have permission to see the members at that time.")]
    Hidden,
}

impl From<StorageError> for MembersError {
    fn from(error: StorageError) -> Self {
        Self::View(error.into())
    }
}

/// The member events of a room. Those of now are for whom the room is shown to, those of an earlier time for who may see what happened
/// last then.
pub async fn members(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    query: &MembersQuery,
) -> Result<Vec<Shown>, MembersError> {
    let mut view = RoomView::get_for_events(rooms.engine(), room_id, user_id).await?;
    let upto = query.at.map_or(view.upto(), |at| at.0.min(view.upto()));
    if (upto < view.upto() || !view.is_open()) && !may_see_state_at(rooms, &mut view, upto).await? {
        return Err(MembersError::Hidden);
    }
    let events: Vec<Arc<Event>> = if upto >= view.head.last_pos {
        let wanted: Vec<Membership> =
            ALL.into_iter().filter(|membership| query.wants(*membership)).collect();
        rooms.db().memberships().list_events(view.head.room_nid, &wanted).await?
    } else {
        let mut state = if upto == view.upto() {
            view.state(rooms.engine()).await?
        } else {
            rooms.engine().state_at(&view.head, upto).await?
        };
        if state.is_empty()
            && let Some(first) =
                rooms.db().history().find_first_joined_state_nid(view.head.room_nid).await?
        {
            // A client that has the whole timeline asks from before its first event: then the room had but its creator.
            state = rooms.db().states().get(first).await?;
        }
        let keys: Vec<_> = state.keys().copied().collect();
        let keys = rooms.db().state_keys().list(&keys).await?;
        let is_member = |key| keys.get(key).is_some_and(|key| &*key.event_type == "m.room.member");
        let nids: Vec<EventNid> =
            state.iter().filter(|(key, _)| is_member(*key)).map(|(_, nid)| *nid).collect();
        let mut events = rooms.db().events().list(&nids).await?;
        events.retain(|event| event.membership.is_some_and(|membership| query.wants(membership)));
        events
    };
    Ok(rooms.show_state(&view, events).await?)
}

/// Whether the user may know the room's state at a position: the state is that at the last event up to there, and before all events that
/// at the first one. It takes at most one query, and what [`RoomView::see`] takes.
async fn may_see_state_at(
    rooms: &Rooms,
    view: &mut RoomView,
    upto: StreamPos,
) -> Result<bool, StorageError> {
    let filter = PageFilter::default();
    let room_nid = view.head.room_nid;
    let last =
        Page { room_nid, after: Place::START.0, upto, backward: true, limit: 1, filter: &filter };
    let mut events = rooms.db().history().list(&last).await?.events;
    if events.is_empty() {
        let first = Page { upto: StreamPos(i64::MAX), backward: false, ..last };
        events = rooms.db().history().list(&first).await?.events;
    }
    match events.first() {
        Some(event) => view.is_in_sight(rooms.engine(), event).await,
        None => Ok(true),
    }
}

/// A user in a room, with the profile shown there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub user_id: OwnedUserId,
    /// The display name in this room.
    pub display_name: Option<String>,
    /// The avatar in this room.
    pub avatar_url: Option<String>,
}

/// The users who have joined a room. Only its members may ask.
pub async fn joined_members(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
) -> Result<Vec<JoinedMember>, ViewError> {
    #[derive(Deserialize, Default)]
    struct Profile {
        #[serde(default)]
        displayname: serde_json::Value,
        #[serde(default)]
        avatar_url: serde_json::Value,
    }
    let view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    if !view.is_member() {
        return Err(ViewError::NotInRoom);
    }
    let events =
        rooms.db().memberships().list_events(view.head.room_nid, &[Membership::Join]).await?;
    let members = events.iter().filter_map(|event| {
        let user_id = OwnedUserId::try_from(event.state_key.as_deref()?).ok()?;
        let content = content_for_clients(event, view.version);
        let profile: Profile = serde_json::from_str(&content).unwrap_or_default();
        let text = |value: serde_json::Value| value.as_str().map(ToOwned::to_owned);
        Some(JoinedMember {
            user_id,
            display_name: text(profile.displayname),
            avatar_url: text(profile.avatar_url),
        })
    });
    Ok(members.collect())
}
