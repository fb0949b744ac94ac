//! The auth rules of every room version: who may send what (server-server API, "Authorization rules").
//!
//! [`auth_types_for`] says which state entitles an event, [`check_auth_events`] checks the events that it cites,
//! [`check`] checks it against a state: that of its auth events, the state before it, or the current state.

mod citations;
mod create;
mod error;
mod event;
mod level;
mod levels_change;
mod member;
mod power_levels;
mod selection;
mod state;

pub use self::{
    citations::check_auth_events,
    create::{Create, version_of},
    error::AuthError,
    event::AuthEvent,
    member::may_authorise_joins,
    power_levels::{Power, PowerLevels},
    selection::auth_types_for,
    state::{AuthState, JoinRule, LookupState, ThirdPartyInviteKeys},
};

use myelin_model::Membership;

use crate::version::RoomVersion;

/// Whether the auth rules of the version allow the event in this state. Each call checks one state; the checks on receipt make several.
///
/// Of the create event it checks everything; of other events everything but what [`check_auth_events`] does. Signatures are taken as
/// verified, that of `join_authorised_via_users_server` too.
pub fn check(
    version: RoomVersion,
    event: &impl AuthEvent,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    if event.event_type() == "m.room.create" {
        return create::check(version, event);
    }
    let create = state.create().ok_or(AuthError::NoCreate)?;
    if !create.federate && create.sender.server_name() != event.sender().server_name() {
        return Err(AuthError::NotFederated);
    }
    let rules = version.auth_rules();
    if rules.special_case_room_aliases && event.event_type() == "m.room.aliases" {
        return match event.state_key() {
            Some(key) if key == event.sender().server_name().as_str() => Ok(()),
            _ => Err(AuthError::AliasesOfOtherServer),
        };
    }
    if event.event_type() == "m.room.member" {
        return member::check(version, event, &create, state);
    }
    if state.membership(event.sender()) != Some(Membership::Join) {
        return Err(AuthError::SenderNotJoined);
    }
    let levels = state.power_levels(&create);
    let sender_power = levels.read_user(event.sender())?;
    if event.event_type() == "m.room.third_party_invite" {
        return enough(sender_power, levels.read_invite()?, "invite");
    }
    if sender_power < levels.read_event(event.event_type(), event.state_key().is_some())? {
        return Err(AuthError::NotEnoughPower { action: format!("send {}", event.event_type()) });
    }
    if event.state_key().is_some_and(|key| key.starts_with('@') && key != event.sender().as_str()) {
        return Err(AuthError::StateKeyOfOtherUser);
    }
    if event.event_type() == "m.room.power_levels" {
        return levels_change::check(version, event, &create, &levels, sender_power);
    }
    if rules.special_case_room_redaction && event.event_type() == "m.room.redaction" {
        return check_redaction(event, &levels, sender_power);
    }
    Ok(())
}

/// Versions 1 and 2 only: later redactions are checked when they are applied.
fn check_redaction(
    event: &impl AuthEvent,
    levels: &PowerLevels,
    sender_power: Power,
) -> Result<(), AuthError> {
    if sender_power >= levels.read_redact()? {
        return Ok(());
    }
    let own_server = event.event_id().server_name();
    let redacted = event.redacts();
    if own_server.is_some() && redacted.as_ref().and_then(|id| id.server_name()) == own_server {
        return Ok(());
    }
    Err(AuthError::NotEnoughPower { action: "redact events of other servers".to_owned() })
}

/// Whether a redaction may be applied (versions since 3, and never wrong for 1 and 2): its sender has the power to redact, or both events
/// come from users of one server.
pub fn may_redact(
    levels: &PowerLevels,
    redaction_sender: &ruma::UserId,
    event_sender: &ruma::UserId,
) -> bool {
    levels.user(redaction_sender) >= levels.redact()
        || redaction_sender.server_name() == event_sender.server_name()
}

fn enough(power: Power, needed: Power, action: &str) -> Result<(), AuthError> {
    if power >= needed {
        Ok(())
    } else {
        Err(AuthError::NotEnoughPower { action: action.to_owned() })
    }
}
