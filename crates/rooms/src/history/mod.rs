//! Reading a room: pages of its history, single events, its state.

mod context;
mod event;
mod filter;
mod members;
mod messages;
mod place;
mod shown;
mod state;
mod timestamp;

pub use myelin_engine::{RoomView, ViewError};
pub use myelin_events::{client::Format, filter::InvalidFilter};

pub use self::{
    context::{Context, ContextError, context},
    event::{FindEventError, find_event, find_event_anywhere},
    filter::HistoryFilter,
    members::{JoinedMember, MembersError, MembersQuery, joined_members, members},
    messages::{Messages, MessagesQuery, messages},
    place::{Place, PlaceError, find_place},
    shown::{Reader, Shown},
    state::{StateError, find_state, state},
    timestamp::{TimestampError, find_by_timestamp},
};
