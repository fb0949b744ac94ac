//! The description of rooms for users who are not in them: the public list, summaries, and the rooms of a space.

mod hierarchy;
mod public_rooms;
mod room_info;
mod summary;

pub use self::{
    hierarchy::{Child, Hierarchy, HierarchyError, HierarchyQuery, SpaceRoom, hierarchy},
    public_rooms::{
        InvalidSince, ListKind, PublicRooms, PublicRoomsQuery, is_listed, public_rooms,
    },
    room_info::RoomInfo,
    summary::{RoomSummary, SummaryError, summary},
};
