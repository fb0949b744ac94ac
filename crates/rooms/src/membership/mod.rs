//! Membership of rooms: joining, inviting, leaving, kicking, banning, unbanning, knocking, forgetting.

mod auto_join;
mod error;
pub mod forget;
mod joined;
mod leave_all;
mod permission;
mod profile;
mod restricted;
mod third_party;
mod update;

pub use self::{
    auto_join::{AutoJoin, auto_join},
    error::MembershipError,
    joined::{is_joined, list_joined},
    leave_all::leave_all,
    profile::{MemberProfile, update_profile},
    third_party::{ThirdPartySigned, exchange_third_party_invite},
    update::{Action, MembershipUpdate, update},
};
pub(crate) use self::{permission::blocks_invites, profile::find_member_profile};
