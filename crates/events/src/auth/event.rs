//! The view that the auth rules have of an event.

use myelin_model::{Event, EventFlags, Membership};
use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde::Deserialize;

use crate::pdu::{Pdu, content_of};

/// An event as the auth rules see it: a parsed [`Pdu`] or a stored [`Event`].
pub trait AuthEvent {
    /// The event ID.
    fn event_id(&self) -> &EventId;
    /// The room.
    fn room_id(&self) -> &RoomId;
    /// The user who sent it.
    fn sender(&self) -> &UserId;
    /// The type.
    fn event_type(&self) -> &str;
    /// The state key.
    fn state_key(&self) -> Option<&str>;
    /// The content as JSON.
    fn content(&self) -> &str;
    /// The time at which its server says that it was sent, in milliseconds since the Unix epoch.
    fn origin_server_ts(&self) -> i64;
    /// Its depth in the event graph. Asked in state resolution of version 1 only.
    fn depth(&self) -> i64;
    /// Whether its only previous event is this one. Asked of member events only.
    fn follows_only(&self, event_id: &EventId) -> bool;
    /// Whether it has previous events. Asked of create events only.
    fn has_prev_events(&self) -> bool;
    /// The event that it redacts. Asked of redactions of versions 1 and 2 only.
    fn redacts(&self) -> Option<OwnedEventId>;
    /// Whether the checks on receipt rejected it.
    fn is_rejected(&self) -> bool;

    /// The membership of a member event.
    fn membership(&self) -> Option<Membership> {
        membership_of(self.content())
    }
}

/// The `membership` in a content.
pub(crate) fn membership_of(content: &str) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Member<'a> {
        #[serde(borrow)]
        membership: std::borrow::Cow<'a, str>,
    }
    serde_json::from_str::<Member<'_>>(content)
        .ok()
        .and_then(|member| Membership::parse(&member.membership))
}

impl AuthEvent for Pdu {
    fn event_id(&self) -> &EventId {
        &self.event_id
    }

    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn event_type(&self) -> &str {
        &self.event_type
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn content(&self) -> &str {
        Pdu::content(self)
    }

    fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts
    }

    fn depth(&self) -> i64 {
        self.depth
    }

    fn follows_only(&self, event_id: &EventId) -> bool {
        matches!(&*self.prev_events, [only] if only == event_id)
    }

    fn has_prev_events(&self) -> bool {
        !self.prev_events.is_empty()
    }

    fn redacts(&self) -> Option<OwnedEventId> {
        self.redacts.clone()
    }

    fn is_rejected(&self) -> bool {
        self.rejected
    }
}

/// A stored event, for states made of stored events. What needs the graph (`prev_events`, `redacts`) is read from the JSON.
impl AuthEvent for Event {
    fn event_id(&self) -> &EventId {
        &self.event_id
    }

    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn event_type(&self) -> &str {
        &self.event_type
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn content(&self) -> &str {
        content_of(&self.json).unwrap_or("{}")
    }

    fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts
    }

    fn depth(&self) -> i64 {
        self.depth
    }

    fn follows_only(&self, event_id: &EventId) -> bool {
        read_prev_events(&self.json)
            .is_some_and(|ids| matches!(&ids[..], [only] if only == event_id))
    }

    fn has_prev_events(&self) -> bool {
        read_prev_events(&self.json).is_some_and(|ids| !ids.is_empty())
    }

    fn redacts(&self) -> Option<OwnedEventId> {
        #[derive(Deserialize)]
        struct Redacts {
            redacts: Option<OwnedEventId>,
        }
        serde_json::from_str::<Redacts>(&self.json).ok()?.redacts
    }

    fn is_rejected(&self) -> bool {
        self.flags.contains(EventFlags::REJECTED)
    }

    fn membership(&self) -> Option<Membership> {
        self.membership
    }
}

fn read_prev_events(json: &str) -> Option<Vec<OwnedEventId>> {
    #[derive(Deserialize)]
    struct Prev {
        prev_events: crate::pdu::References,
    }
    serde_json::from_str::<Prev>(json).ok().map(|event| event.prev_events.ids.into_vec())
}

/// Shared events and references are events.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<E: AuthEvent + ?Sized> AuthEvent for $pointer {
            fn event_id(&self) -> &EventId {
                (**self).event_id()
            }
            fn room_id(&self) -> &RoomId {
                (**self).room_id()
            }
            fn sender(&self) -> &UserId {
                (**self).sender()
            }
            fn event_type(&self) -> &str {
                (**self).event_type()
            }
            fn state_key(&self) -> Option<&str> {
                (**self).state_key()
            }
            fn content(&self) -> &str {
                (**self).content()
            }
            fn origin_server_ts(&self) -> i64 {
                (**self).origin_server_ts()
            }
            fn depth(&self) -> i64 {
                (**self).depth()
            }
            fn follows_only(&self, event_id: &EventId) -> bool {
                (**self).follows_only(event_id)
            }
            fn has_prev_events(&self) -> bool {
                (**self).has_prev_events()
            }
            fn redacts(&self) -> Option<OwnedEventId> {
                (**self).redacts()
            }
            fn is_rejected(&self) -> bool {
                (**self).is_rejected()
            }
            fn membership(&self) -> Option<Membership> {
                (**self).membership()
            }
        }
    )*};
}
forward!(&E, std::sync::Arc<E>);
