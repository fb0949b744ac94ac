//! An event as it is to another server: the part of a room's history that may be given to that (server-server API, "Retrieving events").

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_events::{
    RoomVersion,
    pdu::content_of,
    redact::prune,
    visibility::{HistoryVisibility, server_may_see},
};
use myelin_model::{Event, EventFlags, EventNid, Membership, StateKeyNid, StateNid, StreamPos};
use myelin_storage::{RoomHead, StateMap, StorageError};
use ruma::{OwnedUserId, ServerName};

use crate::Engine;

/// The events that single states name, and the states whose members of a server were looked for.
#[derive(Default)]
struct Looked {
    visibilities: HashMap<StateNid, HistoryVisibility>,
    members: HashMap<StateNid, Vec<(OwnedUserId, Membership)>>,
}

impl Engine {
    /// The events of a room among these that a server which takes part in it may see, in the form in which it may. What erased users
    /// sent is without content. It takes no query for a room that never kept its history from anybody, else at most six.
    pub async fn show_to_server(
        &self,
        head: &RoomHead,
        server: &ServerName,
        events: Vec<Arc<Event>>,
    ) -> Result<Vec<Arc<Event>>, StorageError> {
        let version = self.version_of(head)?;
        let erased = self.db().users().list_erased().await?;
        let looked = self.look_for(head, server, &events).await?;
        let may_see = |event: &Arc<Event>| {
            event.room_nid == head.room_nid
                && is_shown(event)
                && (is_open_at(head, event) || looked.allows(server, event))
        };
        let shown = events.into_iter().filter(may_see);
        Ok(shown.map(|event| without_erased(event, version, &erased)).collect())
    }

    /// Look up what decides on these events.
    async fn look_for(
        &self,
        head: &RoomHead,
        server: &ServerName,
        events: &[Arc<Event>],
    ) -> Result<Looked, StorageError> {
        let unclear = events.iter().filter(|event| is_shown(event) && !is_open_at(head, event));
        let nids: HashSet<StateNid> =
            unclear.flat_map(|event| [event.state_before, event.state_after]).flatten().collect();
        let nids: Vec<StateNid> = nids.into_iter().collect();
        let mut looked = Looked::default();
        if nids.is_empty() {
            return Ok(looked);
        }
        looked.visibilities = self.visibilities(&nids).await?;
        let closed: Vec<StateNid> = nids
            .into_iter()
            .filter(|nid| looked.visibilities.get(nid).is_some_and(|one| !one.is_open()))
            .collect();
        if !closed.is_empty() {
            looked.members = self.members_of(server, &closed).await?;
        }
        Ok(looked)
    }

    /// The history visibility in states. What cannot be read is left out.
    async fn visibilities(
        &self,
        nids: &[StateNid],
    ) -> Result<HashMap<StateNid, HistoryVisibility>, StorageError> {
        let key = self.db().state_keys().find("m.room.history_visibility", "").await?;
        let values = self.db().states().list_values(nids, [key]).await?;
        let named: Vec<EventNid> = values.values().flatten().flatten().copied().collect();
        let events = self.db().events().find_many(&named).await?;
        let visibility = |(nid, [value]): (StateNid, [Option<EventNid>; 1])| {
            let visibility = match value {
                Some(value) => HistoryVisibility::parse(content_of(&events.get(&value)?.json)?),
                None => HistoryVisibility::default(),
            };
            Some((nid, visibility))
        };
        Ok(values.into_iter().filter_map(visibility).collect())
    }

    /// The members of a server in states. Those that cannot be read are left out.
    async fn members_of(
        &self,
        server: &ServerName,
        nids: &[StateNid],
    ) -> Result<HashMap<StateNid, Vec<(OwnedUserId, Membership)>>, StorageError> {
        let states = self.db().states().list(nids).await?;
        let keys: HashSet<StateKeyNid> =
            states.values().flat_map(|state| state.keys().copied()).collect();
        let keys: Vec<StateKeyNid> = keys.into_iter().collect();
        let mut users: HashMap<StateKeyNid, OwnedUserId> = HashMap::new();
        for (nid, key) in self.db().state_keys().list(&keys).await? {
            if &*key.event_type == "m.room.member"
                && let Ok(user_id) = OwnedUserId::try_from(&*key.state_key)
                && user_id.server_name() == server
            {
                users.insert(nid, user_id);
            }
        }
        let theirs = |state: &StateMap| -> Vec<(OwnedUserId, EventNid)> {
            let member =
                |(key, user): (&StateKeyNid, &OwnedUserId)| Some((user.clone(), *state.get(key)?));
            users.iter().filter_map(member).collect()
        };
        let theirs: HashMap<StateNid, _> =
            states.iter().map(|(nid, state)| (*nid, theirs(state))).collect();
        let named: HashSet<EventNid> = theirs.values().flatten().map(|(_, nid)| *nid).collect();
        let named: Vec<EventNid> = named.into_iter().collect();
        let events = self.db().events().find_many(&named).await?;
        let membership = |(user, nid)| Some((user, events.get(&nid)?.membership?));
        Ok(theirs
            .into_iter()
            .map(|(nid, members)| (nid, members.into_iter().filter_map(membership).collect()))
            .collect())
    }
}

impl Looked {
    /// Whether the state before an event, or that after it, lets a server see it.
    fn allows(&self, server: &ServerName, event: &Event) -> bool {
        let allows = |nid: StateNid| {
            let Some(visibility) = self.visibilities.get(&nid) else { return false };
            let members = self.members.get(&nid).into_iter().flatten();
            let members = members.map(|(user_id, membership)| (&**user_id, *membership));
            server_may_see(*visibility, server, members)
        };
        [event.state_before, event.state_after].into_iter().flatten().any(allows)
    }
}

/// Whether the event is part of the room's history, and not rejected. One that is not allowed any more is not kept from servers, which
/// need it for what they have that follows it.
fn is_shown(event: &Event) -> bool {
    event.pos.is_some()
        && !event.flags.contains(EventFlags::REJECTED)
        && !event.flags.contains(EventFlags::OUTLIER)
}

/// Whether every server that takes part may see the event, without a look at its states.
fn is_open_at(head: &RoomHead, event: &Event) -> bool {
    head.is_open && event.pos.is_some_and(|pos| pos > StreamPos::ZERO)
}

fn without_erased(
    event: Arc<Event>,
    version: RoomVersion,
    erased: &HashSet<OwnedUserId>,
) -> Arc<Event> {
    if erased.contains(&event.sender) { Arc::new(prune(&event, version)) } else { event }
}
