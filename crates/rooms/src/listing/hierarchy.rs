//! The rooms of a space (client-server API, "Querying rooms within spaces").

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::client::content_for_clients;
use myelin_model::{Event, EventNid};
use myelin_storage::{RoomHead, StorageError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value};

use super::RoomInfo;
use crate::Rooms;

/// The number of rooms that a page has at most, whatever is asked for.
const PAGE_ROOMS_MAX: usize = 50;

/// The number of rooms of a tree that are looked at in all. Rooms beyond it are not shown.
const TREE_ROOMS_MAX: usize = 5_000;

/// The length of `order`.
const ORDER_LENGTH_BYTES_MAX: usize = 50;

/// The part of a tree of rooms that is asked for.
#[derive(Debug, Clone, Default)]
pub struct HierarchyQuery {
    /// Only suggested children are wanted.
    pub suggested_only: bool,
    /// The depth to go to; 0 is the room alone. `None`: as deep as the tree is.
    pub max_depth: Option<u64>,
    /// The number of rooms at most. `None`: as many as a page may have.
    pub limit: Option<usize>,
    /// The token of the page, from [`Hierarchy::next`] of the page before. `None`: the first page.
    pub from: Option<String>,
}

/// The reason why no page is shown.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyError {
    /// The user may not know what the room is, or there is no such room here.
    #[error("User not in room, and room previews are disabled")]
    NotAllowed,
    /// The page to go on from is not one of ours, or was told for other parameters.
    #[error("Unknown pagination token")]
    BadToken,
    #[error("could not read the space")]
    Storage(#[from] StorageError),
}

/// A room of the tree.
#[derive(Debug)]
pub struct SpaceRoom {
    /// The description of the room itself.
    pub info: RoomInfo,
    /// The room's children, in their order.
    pub children: Vec<Child>,
}

/// An `m.space.child` event.
#[derive(Debug, Clone)]
pub struct Child {
    /// The child's ID, as the state key has it.
    pub room_id: String,
    pub content: Map<String, Value>,
    /// The user who sent the event.
    pub sender: OwnedUserId,
    /// The time at which it was sent, in milliseconds since the epoch.
    pub origin_server_ts: i64,
}

/// A page of the tree.
#[derive(Debug)]
pub struct Hierarchy {
    /// The rooms, parents before their children.
    pub rooms: Vec<SpaceRoom>,
    /// The token of the next page. `None`: there is nothing more.
    pub next: Option<String>,
}

/// A page of the rooms below a room, as far as this server knows them and the user may know what they are.
pub async fn hierarchy(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    query: &HierarchyQuery,
) -> Result<Hierarchy, HierarchyError> {
    // Some clients send an empty token for none.
    let skip = match query.from.as_deref().filter(|from| !from.is_empty()) {
        None => 0,
        Some(from) => read_token(from, room_id, query).ok_or(HierarchyError::BadToken)?,
    };
    let next_token = |shown| token(shown, room_id, query);
    let limit = query.limit.unwrap_or(PAGE_ROOMS_MAX).clamp(1, PAGE_ROOMS_MAX);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut pending: Vec<(OwnedRoomId, u64)> = vec![(room_id.to_owned(), 0)];
    let mut shown = 0;
    // The tree is walked anew for each page: it may have changed, and nothing is kept.
    while let Some((room_id, depth)) = pending.pop() {
        if found.len() == limit || seen.len() == TREE_ROOMS_MAX {
            pending.push((room_id, depth));
            break;
        }
        if !seen.insert(room_id.clone()) {
            continue;
        }
        let Some(room) = find_room(rooms, user_id, &room_id, query.suggested_only).await? else {
            if depth == 0 {
                return Err(HierarchyError::NotAllowed);
            }
            continue;
        };
        if query.max_depth.is_none_or(|max| depth < max) {
            let children = room.children.iter().rev();
            let children = children.filter_map(|child| OwnedRoomId::try_from(&*child.room_id).ok());
            pending.extend(children.map(|room_id| (room_id, depth.saturating_add(1))));
        }
        shown += 1;
        if shown > skip {
            found.push(room);
        }
    }
    pending.retain(|(room_id, _)| !seen.contains(room_id));
    let has_more = !pending.is_empty() && seen.len() < TREE_ROOMS_MAX;
    let counted: HashMap<_, _> = count(rooms, &found).await?;
    for room in &mut found {
        room.info.joined_members = counted.get(&room.info.room_id).copied().unwrap_or_default();
    }
    Ok(Hierarchy { next: has_more.then(|| next_token(shown)), rooms: found })
}

/// The token of a page after `shown` rooms. It names the request that it holds for: in another walk, the same number
/// would mean another place.
fn token(shown: usize, root: &RoomId, query: &HierarchyQuery) -> String {
    let depth = query.max_depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string());
    format!("h{shown}_{}_{depth}_{root}", u8::from(query.suggested_only))
}

/// The number of rooms that were shown before. `None` if the token is of another request than this.
fn read_token(from: &str, root: &RoomId, query: &HierarchyQuery) -> Option<usize> {
    let (number, _) = from.strip_prefix('h')?.split_once('_')?;
    let shown = number.parse().ok()?;
    (token(shown, root, query) == from).then_some(shown)
}

/// A room with its children, if this server knows it and the user may know what it is.
async fn find_room(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    suggested_only: bool,
) -> Result<Option<SpaceRoom>, StorageError> {
    let Some(head) = rooms.db().heads().find(room_id).await? else { return Ok(None) };
    let Some(info) = rooms.room_infos(std::slice::from_ref(&head)).await?.pop() else {
        return Ok(None);
    };
    let membership = rooms.membership(&head, user_id).await?;
    if !rooms.may_preview(&info, membership, Some(user_id)).await? {
        return Ok(None);
    }
    let children = if info.room_type.as_deref() == Some("m.space") {
        list_children(rooms, &head, suggested_only).await?
    } else {
        Vec::new()
    };
    Ok(Some(SpaceRoom { info, children }))
}

/// The children of a space, in their order.
async fn list_children(
    rooms: &Rooms,
    head: &Arc<RoomHead>,
    suggested_only: bool,
) -> Result<Vec<Child>, StorageError> {
    let version = rooms.engine().version_of(head)?;
    let nids: Vec<_> = head.state.keys().copied().collect();
    let keys = rooms.db().state_keys().list(&nids).await?;
    let is_child = |key| keys.get(key).is_some_and(|key| &*key.event_type == "m.space.child");
    let nids: Vec<EventNid> =
        head.state.iter().filter(|(key, _)| is_child(*key)).map(|(_, nid)| *nid).collect();
    let events: Vec<Arc<Event>> = rooms.db().events().list(&nids).await?;
    let mut children: Vec<Child> = events
        .iter()
        .filter_map(|event| {
            let content: Map<String, Value> =
                serde_json::from_str(&content_for_clients(event, version)).ok()?;
            // Without servers to join through a child is no child any more.
            content.get("via")?.as_array().filter(|via| !via.is_empty())?;
            Some(Child {
                room_id: event.state_key.as_deref()?.to_owned(),
                content,
                sender: event.sender.clone(),
                origin_server_ts: event.origin_server_ts,
            })
        })
        .filter(|child| {
            !suggested_only || child.content.get("suggested").and_then(Value::as_bool) == Some(true)
        })
        .collect();
    children.sort_by(|a, b| a.place().cmp(&b.place()));
    Ok(children)
}

impl Child {
    /// Children with a valid `order` come first, by it; then by age, then by ID.
    fn place(&self) -> (bool, &str, i64, &str) {
        let order = self.content.get("order").and_then(Value::as_str).filter(|order| {
            order.len() <= ORDER_LENGTH_BYTES_MAX
                && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        });
        (order.is_none(), order.unwrap_or_default(), self.origin_server_ts, &self.room_id)
    }
}

async fn count(
    rooms: &Rooms,
    found: &[SpaceRoom],
) -> Result<HashMap<OwnedRoomId, i64>, StorageError> {
    let mut nids = HashMap::new();
    for room in found {
        if let Some(nid) = rooms.db().heads().find_nid(&room.info.room_id).await? {
            nids.insert(nid, room.info.room_id.clone());
        }
    }
    let list: Vec<_> = nids.keys().copied().collect();
    let counts = rooms.db().memberships().count_joined(&list).await?;
    Ok(counts.into_iter().filter_map(|(nid, count)| Some((nids.remove(&nid)?, count))).collect())
}
