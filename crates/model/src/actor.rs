//! The party that acts: a user, an application service, an admin or the server itself.

use std::ops::Deref;

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId};

/// The party that acts, and the user in whose name it does. Every use case that acts for somebody takes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The user in whose name everything is done.
    pub user_id: OwnedUserId,
    pub is_guest: bool,
    /// The party that does it.
    pub agent: Agent,
}

/// The party that does something in a user's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Agent {
    /// The user, through a client of its own.
    User {
        /// The device that the access token was issued to. `None` for a token that an admin made to log in as the user.
        device_id: Option<OwnedDeviceId>,
        /// The user is an admin of this server.
        is_admin: bool,
        /// The account is suspended (client-server API, "Account suspension").
        is_suspended: bool,
        /// The user's own rate limit, which takes the place of the configured one.
        rate_limit: Option<RateLimitOverride>,
    },
    /// An application service, for its own user or for one of its namespaces.
    Appservice {
        /// The `id` of its registration.
        appservice_id: String,
        /// The user's device that it acts as, if it named one.
        device_id: Option<OwnedDeviceId>,
        /// The user's account is suspended.
        is_suspended: bool,
        /// The rate limit that its registration sets.
        rate_limit: Option<RateLimitOverride>,
    },
    /// An admin of this server, for another user.
    Admin { admin_id: OwnedUserId },
    /// The server, of its own accord: it keeps what is configured or what a user asked for before.
    Server,
}

/// The account is suspended, and what was asked for is not among the few things that are left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("You cannot perform this action while suspended.")]
pub struct Suspended;

impl Actor {
    /// The server acts for one of its users.
    pub fn server(user_id: OwnedUserId) -> Self {
        Self { user_id, is_guest: false, agent: Agent::Server }
    }

    /// The actor for what it does to `user_id`: itself for its own user, an admin for all others. `None` if it may not.
    pub fn on_behalf_of(&self, user_id: &OwnedUserId) -> Option<Self> {
        if self.user_id == *user_id {
            return Some(self.clone());
        }
        (self.is_admin() && self.active().is_ok()).then(|| Self {
            user_id: user_id.clone(),
            is_guest: false,
            agent: Agent::Admin { admin_id: self.user_id.clone() },
        })
    }

    /// The same actor as one that may write. Use cases that write what others see ask for it.
    pub fn active(&self) -> Result<ActiveActor<'_>, Suspended> {
        match &self.agent {
            Agent::User { is_suspended: true, .. }
            | Agent::Appservice { is_suspended: true, .. } => Err(Suspended),
            Agent::User { .. } | Agent::Appservice { .. } | Agent::Admin { .. } | Agent::Server => {
                Ok(ActiveActor(self))
            }
        }
    }

    /// The device that acts, if it is one.
    pub fn device_id(&self) -> Option<&DeviceId> {
        match &self.agent {
            Agent::User { device_id, .. } | Agent::Appservice { device_id, .. } => {
                device_id.as_deref()
            }
            Agent::Admin { .. } | Agent::Server => None,
        }
    }

    /// The application service that acts, by the `id` of its registration.
    pub fn appservice_id(&self) -> Option<&str> {
        match &self.agent {
            Agent::Appservice { appservice_id, .. } => Some(appservice_id),
            Agent::User { .. } | Agent::Admin { .. } | Agent::Server => None,
        }
    }

    /// Whether an admin of this server acts: rules of the configuration do not bind it.
    pub fn is_admin(&self) -> bool {
        match &self.agent {
            Agent::User { is_admin, .. } => *is_admin,
            Agent::Admin { .. } => true,
            Agent::Appservice { .. } | Agent::Server => false,
        }
    }

    /// The rate limit that holds instead of the configured one.
    pub fn rate_limit(&self) -> Option<RateLimitOverride> {
        match &self.agent {
            Agent::User { rate_limit, .. } | Agent::Appservice { rate_limit, .. } => *rate_limit,
            Agent::Admin { .. } => None,
            Agent::Server => Some(RateLimitOverride::UNLIMITED),
        }
    }
}

/// An actor whose account is not suspended. Only [`Actor::active`] makes one, so a use case that takes it cannot be
/// called for a suspended user.
#[derive(Debug, Clone, Copy)]
pub struct ActiveActor<'a>(&'a Actor);

impl Deref for ActiveActor<'_> {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        self.0
    }
}

/// A rate limit of one user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimitOverride {
    /// Actions per second. With a burst count of zero too: no limit.
    pub messages_per_second: i32,
    /// The number of actions that may come at once.
    pub burst_count: i32,
}

impl RateLimitOverride {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { messages_per_second: 0, burst_count: 0 };
}

#[cfg(test)]
mod tests {
    use ruma::owned_user_id;

    use super::*;

    fn user(is_admin: bool, is_suspended: bool) -> Actor {
        Actor {
            user_id: owned_user_id!("@alice:example.org"),
            is_guest: false,
            agent: Agent::User { device_id: None, is_admin, is_suspended, rate_limit: None },
        }
    }

    #[test]
    fn who_is_suspended_does_not_write_but_the_server_may() {
        assert!(user(false, false).active().is_ok());
        assert_eq!(user(false, true).active().err(), Some(Suspended));
        assert!(Actor::server(user(false, true).user_id).active().is_ok());
    }

    #[test]
    fn only_an_admin_acts_for_another() {
        let bob = owned_user_id!("@bob:example.org");
        assert_eq!(user(false, false).on_behalf_of(&bob), None);
        assert_eq!(user(true, true).on_behalf_of(&bob), None);
        let acting = user(true, false).on_behalf_of(&bob).unwrap();
        assert_eq!((&acting.user_id, acting.is_admin()), (&bob, true));
        let own = user(false, true);
        assert_eq!(own.on_behalf_of(&own.user_id), Some(own.clone()));
    }
}
