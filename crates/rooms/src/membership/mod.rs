//! Membership of rooms: joining, inviting, leaving, kicking, banning, unbanning, knocking, forgetting.

mod auto_join;
mod error;
pub mod forget;
mod joined;
mod leave_all;
mod permission;
mod profile;
mod remove_guests;
mod restricted;
mod third_party;
mod update;

pub use self::{
    auto_join::AutoJoin,
    error::MembershipError,
    joined::{is_joined, list_joined},
    profile::MemberProfile,
    third_party::{ThirdPartySigned, exchange_third_party_invite},
    update::{Action, MembershipUpdate, update},
};
pub(crate) use self::{
    auto_join::auto_join,
    leave_all::{leave, leave_all},
    permission::blocks_invites,
    profile::{find_member_profile, update_profile},
    remove_guests::remove_guests,
};
