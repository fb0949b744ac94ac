//! The state that a new event is checked against: the one before it.

use std::{cell::Cell, sync::Arc};

use myelin_events::{
    Pdu,
    auth::{self, AuthState, Create, JoinRule, PowerLevels, ThirdPartyInviteKeys},
};
use myelin_model::Membership;
use ruma::UserId;

use crate::{Draft, EventError, StateEvent};

impl Draft {
    /// Check an event against the auth rules. What they ask for must have been loaded.
    pub(crate) fn check_auth(&mut self, pdu: &Pdu) -> Result<(), EventError> {
        let create = self.create()?;
        let levels = match &create {
            Some(create) => Some(self.levels(create)?),
            None => None,
        };
        let state = StateBefore { draft: self, create, levels, is_incomplete: Cell::new(false) };
        let verdict = auth::check(self.version, pdu, &state);
        // A verdict on what was not known is none.
        if state.is_incomplete.get() {
            return Err(EventError::NotLoaded);
        }
        Ok(verdict?)
    }
}

struct StateBefore<'d> {
    draft: &'d Draft,
    create: Option<Arc<Create>>,
    levels: Option<Arc<PowerLevels>>,
    /// The rules asked for what was not loaded.
    is_incomplete: Cell<bool>,
}

impl StateBefore<'_> {
    fn find(&self, event_type: &str, state_key: &str) -> Option<&Arc<StateEvent>> {
        self.draft.loaded(event_type, state_key).unwrap_or_else(|_| {
            self.is_incomplete.set(true);
            None
        })
    }
}

impl AuthState for StateBefore<'_> {
    fn create(&self) -> Option<Arc<Create>> {
        self.create.clone()
    }

    fn power_levels(&self, create: &Arc<Create>) -> Arc<PowerLevels> {
        match &self.levels {
            Some(levels) => Arc::clone(levels),
            None => {
                self.is_incomplete.set(true);
                Arc::new(PowerLevels::new(Arc::clone(create), None))
            }
        }
    }

    fn join_rule(&self) -> JoinRule {
        let event = self.find("m.room.join_rules", "");
        event.map_or(JoinRule::Invite, |event| JoinRule::parse(event.pdu.content()))
    }

    fn membership(&self, user_id: &UserId) -> Option<Membership> {
        self.find("m.room.member", user_id.as_str())?.membership
    }

    fn third_party_invite(&self, token: &str) -> Option<ThirdPartyInviteKeys> {
        let event = self.find("m.room.third_party_invite", token)?;
        Some(ThirdPartyInviteKeys::parse(&event.pdu))
    }
}
