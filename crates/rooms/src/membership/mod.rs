//! Who is in a room: joining, inviting, leaving, kicking, banning, unbanning, knocking, forgetting.

mod auto_join;
mod error;
pub mod forget;
mod leave_all;
mod profile;
mod restricted;
mod update;

pub(crate) use self::profile::find_member_profile;
pub use self::{
    auto_join::{AutoJoin, auto_join},
    error::MembershipError,
    leave_all::leave_all,
    profile::{MemberProfile, update_profile},
    update::{Action, MembershipUpdate, update},
};
