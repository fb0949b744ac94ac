//! The state that entitles an event (server-server API, "Auth events selection").

use myelin_model::Membership;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;

use super::{AuthError, event::membership_of};
use crate::{canonical::present, version::RoomVersion};

/// The (type, state key) pairs whose events in the current state are an event's `auth_events`, without repetition.
///
/// Fails for member events that no rule could allow anyway.
pub fn auth_types_for(
    version: RoomVersion,
    event_type: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &str,
) -> Result<Vec<(&'static str, String)>, AuthError> {
    if event_type == "m.room.create" {
        return Ok(Vec::new());
    }
    let mut types = Vec::with_capacity(6);
    // Since version 12 the room ID is proof of the create event.
    if !version.has_hashed_room_ids() {
        types.push(("m.room.create", String::new()));
    }
    types.push(("m.room.power_levels", String::new()));
    types.push(("m.room.member", sender.as_str().to_owned()));
    if event_type == "m.room.member" {
        let target = state_key.ok_or(AuthError::MalformedMember("no state key"))?;
        let membership =
            membership_of(content).ok_or(AuthError::MalformedMember("unknown membership"))?;
        add_for_member(&mut types, version, target, membership, content)?;
    }
    Ok(types)
}

fn add_for_member(
    types: &mut Vec<(&'static str, String)>,
    version: RoomVersion,
    target: &str,
    membership: Membership,
    content: &str,
) -> Result<(), AuthError> {
    let add_member = |types: &mut Vec<(&'static str, String)>, user_id: &str| {
        if !types.iter().any(|(kind, key)| *kind == "m.room.member" && key == user_id) {
            types.push(("m.room.member", user_id.to_owned()));
        }
    };
    add_member(types, target);
    if matches!(membership, Membership::Join | Membership::Invite | Membership::Knock) {
        types.push(("m.room.join_rules", String::new()));
    }
    if membership == Membership::Invite
        && let Some(token) = read_token(content)?
    {
        types.push(("m.room.third_party_invite", token));
    }
    if membership == Membership::Join
        && version.auth_rules().restricted_join_rule
        && let Some(user_id) = read_authoriser(content)?
    {
        add_member(types, user_id.as_str());
    }
    Ok(())
}

/// `third_party_invite.signed.token` of a member event.
fn read_token(content: &str) -> Result<Option<String>, AuthError> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default, deserialize_with = "present")]
        third_party_invite: Option<Invite>,
    }
    #[derive(Deserialize)]
    struct Invite {
        signed: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        token: String,
    }
    let content: Content =
        serde_json::from_str(content).map_err(|_| AuthError::ThirdPartyInvite("malformed"))?;
    Ok(content.third_party_invite.map(|invite| invite.signed.token))
}

/// `join_authorised_via_users_server` of a member event.
pub(super) fn read_authoriser(content: &str) -> Result<Option<OwnedUserId>, AuthError> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default, deserialize_with = "present")]
        join_authorised_via_users_server: Option<OwnedUserId>,
    }
    let content: Content = serde_json::from_str(content).map_err(|_| {
        AuthError::MalformedMember("join_authorised_via_users_server is no user ID")
    })?;
    Ok(content.join_authorised_via_users_server)
}
