//! The state that an event is checked against.

use std::sync::Arc;

use myelin_model::Membership;
use ruma::UserId;
use serde::Deserialize;
use serde_json::Value;

use super::{AuthEvent, Create, PowerLevels};
use crate::{
    canonical::{Key, present},
    key::PublicKey,
    version::RoomVersion,
};

/// A room state, as far as the rules ask. A room held in memory answers from what it has parsed before; [`LookupState`] answers from events.
pub trait AuthState {
    /// The create event. `None` if there is none, or none that can be read.
    fn create(&self) -> Option<Arc<Create>>;
    /// The power levels in force, with the defaults if there is no event.
    fn power_levels(&self, create: &Arc<Create>) -> Arc<PowerLevels>;
    /// The join rule; [`JoinRule::Invite`] if there is no event.
    fn join_rule(&self) -> JoinRule;
    /// A user's membership. `None` if there is no event.
    fn membership(&self, user_id: &UserId) -> Option<Membership>;
    /// The third-party invite with this token: who sent it, and the keys that may sign for it.
    fn third_party_invite(&self, token: &str) -> Option<ThirdPartyInviteKeys>;
}

/// The join rules of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinRule {
    /// Everybody may join.
    Public,
    /// Invited users may join.
    Invite,
    /// Invited users may join, and everybody may ask to be let in (since version 7).
    Knock,
    /// Invited users may join, and users who are in certain rooms (since version 8).
    Restricted,
    /// As `Restricted`, and everybody may ask to be let in (since version 10).
    KnockRestricted,
    /// Nobody may join: `private`, or a rule that is not known.
    Nobody,
}

impl JoinRule {
    /// Read the content of an `m.room.join_rules` event. One that names no rule is as good as none: the invited.
    pub fn parse(content: &str) -> Self {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            join_rule: Option<Key<'a>>,
        }
        match serde_json::from_str::<Content<'_>>(content) {
            Ok(Content { join_rule: None }) => Self::Invite,
            Err(_) => Self::Nobody,
            Ok(Content { join_rule: Some(rule) }) => Self::named(&rule.0),
        }
    }

    /// The rule of a name.
    pub fn named(name: &str) -> Self {
        match name {
            "public" => Self::Public,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "restricted" => Self::Restricted,
            "knock_restricted" => Self::KnockRestricted,
            _ => Self::Nobody,
        }
    }

    /// Whether membership in other rooms can let a user in, in this version.
    pub fn is_restricted(self, version: RoomVersion) -> bool {
        let rules = version.auth_rules();
        self == Self::Restricted && rules.restricted_join_rule
            || self == Self::KnockRestricted && rules.knock_restricted_join_rule
    }

    /// Whether users may knock, in this version.
    pub fn allows_knock(self, version: RoomVersion) -> bool {
        let rules = version.auth_rules();
        self == Self::Knock && rules.knocking
            || self == Self::KnockRestricted && rules.knock_restricted_join_rule
    }
}

/// The part of an `m.room.third_party_invite` event that the rules need.
#[derive(Debug, Clone)]
pub struct ThirdPartyInviteKeys {
    /// The user who sent it.
    pub sender: ruma::OwnedUserId,
    /// The keys that may sign for it.
    pub keys: Vec<PublicKey>,
}

impl ThirdPartyInviteKeys {
    /// Read the event. Keys that cannot be read are left out.
    pub fn parse(event: &impl AuthEvent) -> Self {
        let content: Value = serde_json::from_str(event.content()).unwrap_or_default();
        let others = content.get("public_keys").and_then(Value::as_array).into_iter().flatten();
        let texts = std::iter::once(&content).chain(others);
        let texts = texts.filter_map(|key| key.get("public_key")?.as_str());
        let keys = texts.filter_map(PublicKey::from_base64).collect();
        Self { sender: event.sender().to_owned(), keys }
    }
}

/// A state given as a lookup of events by type and state key. Parses at each question.
pub struct LookupState<F> {
    version: RoomVersion,
    lookup: F,
}

impl<F, E> LookupState<F>
where
    F: Fn(&str, &str) -> Option<E>,
    E: AuthEvent,
{
    /// The state of a room of this version.
    pub fn new(version: RoomVersion, lookup: F) -> Self {
        Self { version, lookup }
    }
}

impl<F, E> AuthState for LookupState<F>
where
    F: Fn(&str, &str) -> Option<E>,
    E: AuthEvent,
{
    fn create(&self) -> Option<Arc<Create>> {
        Create::parse(self.version, &(self.lookup)("m.room.create", "")?).ok().map(Arc::new)
    }

    fn power_levels(&self, create: &Arc<Create>) -> Arc<PowerLevels> {
        let event = (self.lookup)("m.room.power_levels", "");
        Arc::new(PowerLevels::new(Arc::clone(create), event.as_ref().map(AuthEvent::content)))
    }

    fn join_rule(&self) -> JoinRule {
        (self.lookup)("m.room.join_rules", "")
            .map_or(JoinRule::Invite, |event| JoinRule::parse(event.content()))
    }

    fn membership(&self, user_id: &UserId) -> Option<Membership> {
        (self.lookup)("m.room.member", user_id.as_str())?.membership()
    }

    fn third_party_invite(&self, token: &str) -> Option<ThirdPartyInviteKeys> {
        (self.lookup)("m.room.third_party_invite", token)
            .map(|event| ThirdPartyInviteKeys::parse(&event))
    }
}
