//! The rules for `m.room.member`.

use std::{collections::BTreeMap, sync::Arc};

use myelin_model::Membership;
use ruma::UserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    AuthError, AuthEvent, AuthState, Create, JoinRule, PowerLevels, selection::read_authoriser,
};
use crate::{
    canonical::{self, Members},
    version::RoomVersion,
};

pub(super) fn check(
    version: RoomVersion,
    event: &impl AuthEvent,
    create: &Arc<Create>,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    let target = event.state_key().ok_or(AuthError::MalformedMember("no state key"))?;
    let target = <&UserId>::try_from(target)
        .map_err(|_| AuthError::MalformedMember("the state key is no user ID"))?;
    let membership = event.membership().ok_or(AuthError::MalformedMember("unknown membership"))?;
    match membership {
        Membership::Join => check_join(version, event, target, create, state),
        Membership::Invite => check_invite(event, target, create, state),
        Membership::Leave => check_leave(version, event.sender(), target, create, state),
        Membership::Ban => check_ban(event.sender(), target, create, state),
        Membership::Knock if version.auth_rules().knocking => {
            check_knock(version, event.sender(), target, state)
        }
        Membership::Knock => Err(AuthError::MalformedMember("unknown membership")),
    }
}

fn check_join(
    version: RoomVersion,
    event: &impl AuthEvent,
    target: &UserId,
    create: &Arc<Create>,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    if create.creator.as_deref() == Some(target) && event.follows_only(&create.event_id) {
        return Ok(());
    }
    if event.sender() != target {
        return Err(AuthError::NotOneself("join"));
    }
    let membership = state.membership(target);
    if membership == Some(Membership::Ban) {
        return Err(AuthError::Banned);
    }
    let is_expected = matches!(membership, Some(Membership::Invite | Membership::Join));
    let rule = state.join_rule();
    match rule {
        JoinRule::Public => Ok(()),
        JoinRule::Invite if is_expected => Ok(()),
        JoinRule::Knock if is_expected && version.auth_rules().knocking => Ok(()),
        JoinRule::Restricted | JoinRule::KnockRestricted if rule.is_restricted(version) => {
            if is_expected {
                return Ok(());
            }
            let authoriser = read_authoriser(event.content())?.ok_or(AuthError::JoinRules)?;
            if state.membership(&authoriser) != Some(Membership::Join) {
                return Err(AuthError::JoinAuthoriser);
            }
            let levels = state.power_levels(create);
            if levels.read_user(&authoriser)? >= levels.read_invite()? {
                Ok(())
            } else {
                Err(AuthError::JoinAuthoriser)
            }
        }
        _ => Err(AuthError::JoinRules),
    }
}

/// Whether a user, who must be in the room, has the power to let others in by `join_authorised_via_users_server`.
pub fn may_authorise_joins(levels: &PowerLevels, user_id: &UserId) -> bool {
    levels.user(user_id) >= levels.invite()
}

fn check_invite(
    event: &impl AuthEvent,
    target: &UserId,
    create: &Arc<Create>,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    let members: Members<'_> = serde_json::from_str(event.content())
        .map_err(|error| AuthError::Malformed(error.to_string()))?;
    if let Some(invite) = members.get("third_party_invite") {
        return check_third_party_invite(event, invite, target, state);
    }
    if state.membership(event.sender()) != Some(Membership::Join) {
        return Err(AuthError::SenderNotJoined);
    }
    match state.membership(target) {
        Some(Membership::Join) => return Err(AuthError::Already("in the room")),
        Some(Membership::Ban) => return Err(AuthError::Banned),
        _ => {}
    }
    let levels = state.power_levels(create);
    super::enough(levels.read_user(event.sender())?, levels.read_invite()?, "invite")
}

fn check_third_party_invite(
    event: &impl AuthEvent,
    invite: &RawValue,
    target: &UserId,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    #[derive(Deserialize)]
    struct Invite<'a> {
        #[serde(borrow)]
        signed: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Signed {
        mxid: String,
        token: String,
        signatures: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    }
    let malformed = |_| AuthError::ThirdPartyInvite("malformed");
    if state.membership(target) == Some(Membership::Ban) {
        return Err(AuthError::Banned);
    }
    let invite: Invite<'_> = serde_json::from_str(invite.get()).map_err(malformed)?;
    let signed: Signed = serde_json::from_str(invite.signed.get()).map_err(malformed)?;
    if signed.mxid != target.as_str() {
        return Err(AuthError::ThirdPartyInvite("it is for another user"));
    }
    let keys = state
        .third_party_invite(&signed.token)
        .ok_or(AuthError::ThirdPartyInvite("there is none with its token"))?;
    if *keys.sender != *event.sender() {
        return Err(AuthError::ThirdPartyInvite("someone else sent it"));
    }
    let message = canonical_without_signatures(invite.signed.get())
        .map_err(|_| AuthError::ThirdPartyInvite("malformed"))?;
    let mut signatures = signed.signatures.values().flatten().filter_map(|(key_id, signature)| {
        signature.as_str().filter(|_| key_id.starts_with("ed25519:"))
    });
    if signatures
        .any(|signature| keys.keys.iter().any(|key| key.verifies(message.as_bytes(), signature)))
    {
        Ok(())
    } else {
        Err(AuthError::ThirdPartyInvite("no signature by its keys"))
    }
}

fn canonical_without_signatures(signed: &str) -> Result<String, canonical::CanonicalError> {
    let signed = canonical::to_canonical(signed, false)?;
    let mut members: Members<'_> = serde_json::from_str(&signed)?;
    members.remove("signatures");
    members.remove("unsigned");
    let mut message = String::with_capacity(signed.len());
    canonical::write_members(
        &mut message,
        members.iter().map(|(key, value)| (&*key.0, value.get())),
    );
    Ok(message)
}

fn check_leave(
    version: RoomVersion,
    sender: &UserId,
    target: &UserId,
    create: &Arc<Create>,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    let membership = state.membership(sender);
    if sender == target {
        return match membership {
            Some(Membership::Join | Membership::Invite) => Ok(()),
            Some(Membership::Knock) if version.auth_rules().knocking => Ok(()),
            Some(Membership::Ban) => Err(AuthError::Banned),
            _ => Err(AuthError::NotThere),
        };
    }
    if membership != Some(Membership::Join) {
        return Err(AuthError::SenderNotJoined);
    }
    let levels = state.power_levels(create);
    let power = levels.read_user(sender)?;
    if state.membership(target) == Some(Membership::Ban) && power < levels.read_ban()? {
        return Err(AuthError::NotEnoughPower { action: "unban".to_owned() });
    }
    super::enough(power, levels.read_kick()?, "kick")?;
    above_target(power, levels.read_user(target)?, "kick this user")
}

fn check_ban(
    sender: &UserId,
    target: &UserId,
    create: &Arc<Create>,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    if state.membership(sender) != Some(Membership::Join) {
        return Err(AuthError::SenderNotJoined);
    }
    let levels = state.power_levels(create);
    let power = levels.read_user(sender)?;
    super::enough(power, levels.read_ban()?, "ban")?;
    above_target(power, levels.read_user(target)?, "ban this user")
}

fn above_target(power: super::Power, target: super::Power, action: &str) -> Result<(), AuthError> {
    if power > target {
        Ok(())
    } else {
        Err(AuthError::NotEnoughPower { action: action.to_owned() })
    }
}

fn check_knock(
    version: RoomVersion,
    sender: &UserId,
    target: &UserId,
    state: &impl AuthState,
) -> Result<(), AuthError> {
    if !state.join_rule().allows_knock(version) {
        return Err(AuthError::KnockRules);
    }
    if sender != target {
        return Err(AuthError::NotOneself("knock"));
    }
    match state.membership(sender) {
        Some(Membership::Ban) => Err(AuthError::Banned),
        Some(Membership::Invite) => Err(AuthError::Already("invited")),
        Some(Membership::Join) => Err(AuthError::Already("in the room")),
        Some(Membership::Leave | Membership::Knock) | None => Ok(()),
    }
}
