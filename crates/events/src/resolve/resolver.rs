//! The common part of both algorithms: events loaded and parsed once, and the state that events are checked against.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use imbl::OrdMap;
use myelin_model::Membership;
use ruma::UserId;

use super::RoomEvents;
use crate::{
    auth::{
        self, AuthEvent, AuthState, Create, JoinRule, Power, PowerLevels, ThirdPartyInviteKeys,
    },
    version::RoomVersion,
};

/// The auth events of events.
type Edges<I> = HashMap<I, Rc<[I]>>;

/// Caches over a room for one resolution.
pub(super) struct Resolver<'r, R: RoomEvents> {
    pub(super) version: RoomVersion,
    pub(super) room: &'r R,
    events: RefCell<HashMap<R::Id, Option<R::Event>>>,
    edges: RefCell<Edges<R::Id>>,
    levels: RefCell<HashMap<Option<R::Id>, Arc<PowerLevels>>>,
    rules: RefCell<HashMap<R::Id, JoinRule>>,
    create: OnceCell<Option<Arc<Create>>>,
}

impl<'r, R: RoomEvents> Resolver<'r, R> {
    pub(super) fn new(version: RoomVersion, room: &'r R) -> Self {
        Self {
            version,
            room,
            events: RefCell::default(),
            edges: RefCell::default(),
            levels: RefCell::default(),
            rules: RefCell::default(),
            create: OnceCell::new(),
        }
    }

    pub(super) fn event(&self, id: R::Id) -> Option<R::Event> {
        self.events.borrow_mut().entry(id).or_insert_with(|| self.room.event(id)).clone()
    }

    pub(super) fn auth_events(&self, id: R::Id) -> Rc<[R::Id]> {
        let mut edges = self.edges.borrow_mut();
        let edges = edges.entry(id).or_insert_with(|| {
            let mut ids = Vec::new();
            self.room.auth_events(id, &mut ids);
            ids.into()
        });
        Rc::clone(edges)
    }

    /// The room's create event, parsed.
    fn create(&self) -> Option<Arc<Create>> {
        let parse =
            || Create::parse(self.version, &self.event(self.room.create()?)?).ok().map(Arc::new);
        self.create.get_or_init(parse).clone()
    }

    fn power_levels(&self, id: Option<R::Id>, create: &Arc<Create>) -> Arc<PowerLevels> {
        let mut levels = self.levels.borrow_mut();
        let levels = levels.entry(id).or_insert_with(|| {
            let event = id.and_then(|id| self.event(id));
            Arc::new(PowerLevels::new(Arc::clone(create), event.as_ref().map(AuthEvent::content)))
        });
        Arc::clone(levels)
    }

    /// The power levels event among an event's auth events.
    pub(super) fn cited_power_levels(&self, id: R::Id) -> Option<R::Id> {
        let cited = self.auth_events(id);
        self.room.prefetch(&cited);
        cited.iter().copied().find(|cited| {
            self.event(*cited).is_some_and(|event| {
                event.event_type() == "m.room.power_levels" && event.state_key() == Some("")
            })
        })
    }

    /// The power of an event's sender by the event's own auth events.
    pub(super) fn sender_power(&self, id: R::Id, event: &R::Event) -> Power {
        let cited = self.cited_power_levels(id);
        let levels = match (cited, self.version.has_hashed_room_ids()) {
            // A room may have several create events: only the one that it cites says who has power before there are levels.
            (None, false) => {
                self.cited_create(id).map(|create| Arc::new(PowerLevels::new(create, None)))
            }
            (Some(_), _) | (None, true) => {
                self.create().map(|create| self.power_levels(cited, &create))
            }
        };
        levels.map_or(Power::Level(0), |levels| levels.user(event.sender()))
    }

    /// The create event among an event's auth events, parsed.
    fn cited_create(&self, id: R::Id) -> Option<Arc<Create>> {
        let cited = self.auth_events(id);
        let mut creates = cited
            .iter()
            .filter_map(|cited| self.event(*cited))
            .filter(|event| event.event_type() == "m.room.create" && event.state_key() == Some(""));
        Create::parse(self.version, &creates.next()?).ok().map(Arc::new)
    }

    /// Apply events to a state, one after the other, each only if the state allows it (the iterative auth checks). `base` lies under
    /// `resolved`, which takes the changes.
    pub(super) fn apply(
        &self,
        ids: &[R::Id],
        base: Option<&OrdMap<R::Key, R::Id>>,
        resolved: &mut HashMap<R::Key, R::Id>,
    ) {
        for id in ids {
            let Some(event) = self.event(*id) else { continue };
            let Some(key) = event
                .state_key()
                .and_then(|state_key| self.room.key(event.event_type(), state_key))
            else {
                continue;
            };
            // Events that nothing could entitle are passed over, as the checks below would for the most part.
            if auth::auth_types_for(
                self.version,
                event.event_type(),
                event.sender(),
                event.state_key(),
                event.content(),
            )
            .is_err()
            {
                continue;
            }
            let mut cited: Vec<(R::Id, R::Event)> = self
                .auth_events(*id)
                .iter()
                .filter_map(|cited| Some((*cited, self.event(*cited)?)))
                .filter(|(_, event)| !event.is_rejected())
                .collect();
            if self.version.has_hashed_room_ids() {
                // The room ID stands for the create event.
                cited.extend(self.room.create().and_then(|id| Some((id, self.event(id)?))));
            }
            let state = ResolvingState { resolver: self, base, resolved, cited: &cited };
            if auth::check(self.version, &event, &state).is_ok() {
                resolved.insert(key, *id);
            }
        }
    }
}

/// The state resolved so far, and where it has nothing, an event's own auth events.
pub(super) struct ResolvingState<'s, R: RoomEvents> {
    pub(super) resolver: &'s Resolver<'s, R>,
    pub(super) base: Option<&'s OrdMap<R::Key, R::Id>>,
    pub(super) resolved: &'s HashMap<R::Key, R::Id>,
    pub(super) cited: &'s [(R::Id, R::Event)],
}

impl<R: RoomEvents> ResolvingState<'_, R> {
    fn find(&self, event_type: &str, state_key: &str) -> Option<(R::Id, R::Event)> {
        if let Some(key) = self.resolver.room.key(event_type, state_key)
            && let Some(id) = self.resolved.get(&key).or_else(|| self.base?.get(&key))
            && let Some(event) = self.resolver.event(*id)
            && !event.is_rejected()
        {
            return Some((*id, event));
        }
        self.cited
            .iter()
            .rev()
            .find(|(_, event)| {
                event.event_type() == event_type && event.state_key() == Some(state_key)
            })
            .cloned()
    }
}

impl<R: RoomEvents> AuthState for ResolvingState<'_, R> {
    fn create(&self) -> Option<Arc<Create>> {
        let (id, event) = self.find("m.room.create", "")?;
        if Some(id) == self.resolver.room.create() {
            return self.resolver.create();
        }
        Create::parse(self.resolver.version, &event).ok().map(Arc::new)
    }

    fn power_levels(&self, create: &Arc<Create>) -> Arc<PowerLevels> {
        self.resolver.power_levels(self.find("m.room.power_levels", "").map(|(id, _)| id), create)
    }

    fn join_rule(&self) -> JoinRule {
        let Some((id, event)) = self.find("m.room.join_rules", "") else { return JoinRule::Invite };
        *self
            .resolver
            .rules
            .borrow_mut()
            .entry(id)
            .or_insert_with(|| JoinRule::parse(event.content()))
    }

    fn membership(&self, user_id: &UserId) -> Option<Membership> {
        self.find("m.room.member", user_id.as_str())?.1.membership()
    }

    fn third_party_invite(&self, token: &str) -> Option<ThirdPartyInviteKeys> {
        self.find("m.room.third_party_invite", token)
            .map(|(_, event)| ThirdPartyInviteKeys::parse(&event))
    }
}
