//! Who is in a room: joining, inviting, leaving, kicking, banning, unbanning, knocking, forgetting.

mod error;
pub mod forget;
mod profile;
mod restricted;
mod update;

pub(crate) use self::profile::find_member_profile;
pub use self::{
    error::MembershipError,
    profile::{MemberProfile, update_profile},
    update::{Action, MembershipUpdate, update},
};
