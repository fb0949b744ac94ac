//! The views that users and servers have of a room, beside a slow model that looks at the whole graph for each event.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use myelin_engine::{Engine, RoomView};
use myelin_events::{
    Pdu,
    visibility::{HistoryVisibility, Viewpoint, may_see, server_may_see},
};
use myelin_model::{Event, EventFlags, Membership};
use myelin_testing::{Graph, NamedState};
use ruma::{OwnedEventId, OwnedUserId, ServerName, UserId};
use serde_json::Value;

use crate::{
    fixture::eventually,
    world::{World, head, name},
};

/// The states before and after an event.
type Around = (NamedState, NamedState);

/// A room as a node has it, and the states at its events as the model has them.
struct Room<'w> {
    graph: &'w Graph,
    /// The current state.
    now: NamedState,
    /// The events as the node has stored them.
    stored: HashMap<OwnedEventId, Arc<Event>>,
    around: &'w HashMap<OwnedEventId, Around>,
}

impl Room<'_> {
    fn content(&self, state: &NamedState, kind: &str, key: &str) -> Option<Value> {
        let event_id = state.get(&(kind.to_owned(), key.to_owned()))?;
        Some(self.graph.get(event_id)?.content_as().unwrap())
    }

    fn visibility(&self, state: &NamedState) -> HistoryVisibility {
        let content = self.content(state, "m.room.history_visibility", "");
        content.map(|content| HistoryVisibility::parse(&content.to_string())).unwrap_or_default()
    }

    fn membership(&self, state: &NamedState, user: &str) -> Option<Membership> {
        let content = self.content(state, "m.room.member", user)?;
        Membership::parse(content["membership"].as_str()?)
    }

    /// The position of an event in the log.
    fn pos(&self, event_id: &OwnedEventId) -> Option<i64> {
        let pos = self.stored.get(event_id)?.pos?;
        Some(pos.0).filter(|pos| *pos > 0)
    }

    /// The position of the last join among the memberships that led to a user's current one. `None` if there is none; `Some(None)` if none of
    /// them stands in the log.
    fn last_join(&self, user: &str) -> Option<Option<i64>> {
        let key = ("m.room.member".to_owned(), user.to_owned());
        let mut last = None;
        let mut state = &self.now;
        while let Some(event_id) = state.get(&key) {
            let (before, after) = &self.around[event_id];
            if self.membership(after, user) == Some(Membership::Join) {
                last = Some(last.flatten().max(self.pos(event_id)));
            }
            if self.stored.get(event_id).is_none_or(|event| event.pos.is_none()) {
                // What it took the place of is not known here.
                break;
            }
            state = before;
        }
        last
    }

    /// Whether the room is shown to a user at all.
    fn is_shown(&self, user: &str) -> bool {
        match self.membership(&self.now, user) {
            Some(Membership::Join) => true,
            Some(Membership::Leave | Membership::Ban) if self.last_join(user).is_some() => true,
            _ => self.visibility(&self.now) == HistoryVisibility::WorldReadable,
        }
    }

    fn sees(&self, user: &str, pdu: &Pdu, event: &Event) -> bool {
        if !event.is_visible() {
            return false;
        }
        if event.is_state_of("m.room.member", user) {
            return true;
        }
        let (before, after) = &self.around[&pdu.event_id];
        // Who has left sees what came before the last join, by the order in which it came here.
        let member = after.get(&("m.room.member".to_owned(), user.to_owned()));
        let own = event.pos.map(|pos| pos.0);
        let pos = member.map_or(own, |event_id| self.pos(event_id));
        let last_join = self.last_join(user).flatten();
        let view = Viewpoint {
            visibility_before: self.visibility(before),
            visibility_after: self.visibility(after),
            membership_before: self.membership(before, user),
            membership_after: self.membership(after, user),
            joined_since: self.membership(&self.now, user) == Some(Membership::Join)
                || pos.zip(last_join).is_some_and(|(pos, join)| pos < join),
        };
        is_history(event) && may_see(&view)
    }

    fn server_sees(&self, server: &ServerName, pdu: &Pdu, event: &Event) -> bool {
        let (before, after) = &self.around[&pdu.event_id];
        let allows = |state: &NamedState| {
            let members = state.keys().filter(|(kind, _)| kind == "m.room.member");
            let membership = |(_, user): &(String, String)| {
                let user_id = OwnedUserId::try_from(user.clone()).ok()?;
                Some((user_id, self.membership(state, user)?))
            };
            let members: Vec<_> = members.filter_map(membership).collect();
            let members = members.iter().map(|(user_id, membership)| (&**user_id, *membership));
            server_may_see(self.visibility(state), server, members)
        };
        is_history(event)
            && !event.flags.contains(EventFlags::REJECTED)
            && (allows(before) || allows(after))
    }
}

fn is_history(event: &Event) -> bool {
    event.pos.is_some() && !event.flags.contains(EventFlags::OUTLIER)
}

/// The states at all events.
fn states_of(graph: &Graph) -> HashMap<OwnedEventId, Around> {
    let around = |pdu: &Arc<Pdu>| {
        let before = graph.state_after(&pdu.prev_events);
        let mut after = before.clone();
        if let Some(state_key) = pdu.state_key.as_ref().filter(|_| !pdu.rejected) {
            let key = (pdu.event_type.to_string(), state_key.to_string());
            after.insert(key, pdu.event_id.clone());
        }
        (pdu.event_id.clone(), (before, after))
    };
    graph.events().iter().map(around).collect()
}

/// Wait until all nodes have applied what any of them has.
async fn wait_for_all(nodes: &[Engine]) {
    let applied = || nodes.iter().map(|node| node.db().log().applied());
    let upto = applied().max();
    eventually(async || applied().min() >= upto).await;
}

/// Check on each node what users and servers see of all events of a graph.
pub(crate) async fn check_readers(world: &World, graph: &Graph, users: &[&str]) {
    wait_for_all(&world.nodes).await;
    let around = states_of(graph);
    for engine in &world.nodes {
        let mut stored = HashMap::new();
        for pdu in graph.events() {
            let event = engine.db().events().find_by_id(&pdu.event_id).await.unwrap();
            stored.extend(event.map(|event| (pdu.event_id.clone(), event)));
        }
        let head = head(engine, &world.room_id).await;
        let now = name(engine, &head).await;
        let room = Room { graph, now, stored, around: &around };
        for user in users {
            check_user(&room, engine, world, user).await;
        }
        let servers: BTreeSet<&ServerName> =
            users.iter().map(|user| <&UserId>::try_from(*user).unwrap().server_name()).collect();
        for server in servers {
            let events = room.stored.values().cloned().collect();
            let shown = engine.show_to_server(&head, server, events).await.unwrap();
            let shown: BTreeSet<_> = shown.iter().map(|event| event.event_id.clone()).collect();
            for (event_id, event) in &room.stored {
                let pdu = graph.get(event_id).unwrap();
                let expected = room.server_sees(server, pdu, event);
                assert_eq!(shown.contains(event_id), expected, "{server}: {}", pdu.json());
            }
        }
    }
}

async fn check_user(room: &Room<'_>, engine: &Engine, world: &World, user: &str) {
    let user_id = <&UserId>::try_from(user).unwrap();
    let view = RoomView::get(engine, &world.room_id, user_id).await;
    assert_eq!(view.is_ok(), room.is_shown(user), "{user}");
    let Ok(mut view) = view else { return };
    let events: BTreeMap<_, _> = room.stored.iter().collect();
    let seen = view.see(engine, events.into_values().cloned().collect()).await.unwrap();
    let seen: BTreeSet<_> = seen.iter().map(|event| event.event_id.clone()).collect();
    for (event_id, event) in &room.stored {
        let pdu = room.graph.get(event_id).unwrap();
        let expected = room.sees(user, pdu, event);
        assert_eq!(seen.contains(event_id), expected, "{user}: {event:?}");
    }
}
