//! Rate limits with the keys of `homeserver.yaml` that begin with `rc_`.
//!
//! Each limit is a leaky bucket per key (a user, an address, a room), as in Synapse, so that a limit of one user's own
//! can take the place of the configured one. Each node counts for itself.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use myelin_model::{Actor, RateLimitOverride};
use parking_lot::Mutex;

use crate::ApiError;

/// The number of keys that a limit remembers.
const KEYS_MAX: usize = 50_000;

/// The number of keys that are looked at for each new one. It is more than one, so that empty buckets go faster than
/// new keys come.
const KEYS_LOOKED_AT: usize = 2;

/// A rate of actions: how often they may come in the long run, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Actions per second in the long run.
    pub per_second: f64,
    /// The number of actions that may come at once.
    pub burst_count: f64,
}

impl RateLimit {
    const fn new(per_second: f64, burst_count: f64) -> Self {
        Self { per_second, burst_count }
    }
}

/// Declares settings and limiters with the same names.
macro_rules! rate_limits {
    ($($(#[$doc:meta])* $name:ident = $per_second:literal, $burst_count:literal;)*) => {
        /// The configured limits. The defaults are those of Synapse.
        #[derive(Debug, Clone, Copy)]
        pub struct RateLimitSettings {
            $($(#[$doc])* pub $name: RateLimit,)*
        }

        impl Default for RateLimitSettings {
            fn default() -> Self {
                Self { $($name: RateLimit::new($per_second, $burst_count),)* }
            }
        }

        impl RateLimitSettings {
            /// No limits.
            pub fn unlimited() -> Self {
                Self { $($name: RateLimit::new(f64::INFINITY, f64::INFINITY),)* }
            }
        }

        /// The limiters of a node, with the actions that have been done of late.
        #[derive(Debug)]
        pub struct Limiters {
            $($(#[$doc])* pub $name: Limiter,)*
        }

        impl Limiters {
            fn new(settings: &RateLimitSettings) -> Self {
                Self { $($name: Limiter::new(settings.$name),)* }
            }
        }
    };
}

rate_limits! {
    /// `rc_message`: sending, by user.
    message = 0.2, 10.0;
    /// `rc_registration`: registering, by address.
    registration = 0.17, 3.0;
    /// `rc_registration_token_validity`: asking whether a registration token is valid, by address.
    registration_token_validity = 0.1, 5.0;
    /// `rc_login.address`: logging in, by address.
    login_address = 0.003, 5.0;
    /// `rc_login.account`: logging in, by account.
    login_account = 0.003, 5.0;
    /// `rc_login.failed_attempts`: failures to log in, by account.
    login_failed_attempts = 0.17, 3.0;
    /// `rc_admin_redaction`: by user. As `rc_message` unless it is configured.
    admin_redaction = 0.2, 10.0;
    /// `rc_joins.local`: joining rooms that this server is in, by user.
    joins_local = 0.1, 10.0;
    /// `rc_joins.remote`: joining other rooms, by user.
    joins_remote = 0.01, 10.0;
    /// `rc_joins_per_room`: joins, by room.
    joins_per_room = 1.0, 10.0;
    /// `rc_3pid_validation`: by address and by third-party identifier.
    threepid_validation = 0.003, 5.0;
    /// `rc_invites.per_room`: invites, by room.
    invites_per_room = 0.3, 10.0;
    /// `rc_invites.per_user`: invites, by the user who is invited.
    invites_per_user = 0.003, 5.0;
    /// `rc_invites.per_issuer`: invites, by the user who sends them.
    invites_per_issuer = 0.3, 10.0;
    /// `rc_third_party_invite`: invites by e-mail or phone number, by user.
    third_party_invite = 0.2, 10.0;
    /// `rc_presence.per_user`: changes of presence, by user.
    presence_per_user = 0.1, 1.0;
    /// `rc_key_requests`: requests for keys sent to other devices, by device.
    key_requests = 20.0, 100.0;
    /// `rc_reports`: reports of users, rooms and events, by user.
    reports = 1.0, 5.0;
    /// `rc_room_creation`: making rooms, by user.
    room_creation = 0.016, 10.0;
    /// `rc_user_directory`: searches in the user directory, by user.
    user_directory = 0.016, 200.0;
    /// `rc_profile`: changes of profiles, by user.
    profile = 1.0, 500.0;
    /// Asking whether names are free, by address. No key, in Synapse neither.
    username_availability = 1.0, 10.0;
    /// Tokens to log in another device, by user. No key, in Synapse neither.
    login_token = 0.016_666_666_666_666_666, 1.0;
    /// Requests that a user still has to prove, by user. No key, in Synapse neither.
    unproved_requests = 0.1, 10.0;
    /// Reading the rooms of a space, by user. No key, in Synapse neither.
    hierarchy = 5.0, 10.0;
}

/// All rate limits of a node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct RateLimits(Arc<Limiters>);

impl RateLimits {
    /// Begin with empty buckets.
    pub fn new(settings: &RateLimitSettings) -> Self {
        Self(Arc::new(Limiters::new(settings)))
    }
}

impl std::ops::Deref for RateLimits {
    type Target = Limiters;

    fn deref(&self) -> &Limiters {
        &self.0
    }
}

/// The fill of a bucket, in actions, at one time. It leaks from then on.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    actions: f64,
    since: Instant,
}

impl Bucket {
    /// The fill at `now`, in actions, after the leak since the last one was counted.
    fn actions_at(&self, now: Instant, limit: RateLimit) -> f64 {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        (self.actions - seconds * limit.per_second).max(0.0)
    }
}

/// The buckets of one limit. Strangers may bring any number of keys, so there are at most `KEYS_MAX`, and no look at them takes
/// longer the more there are.
#[derive(Debug, Default)]
struct Buckets {
    by_key: HashMap<Arc<str>, Bucket>,
    /// All keys, in the order in which they are looked at to be forgotten.
    order: VecDeque<Arc<str>>,
}

impl Buckets {
    fn set(&mut self, key: &str, bucket: Bucket, limit: RateLimit) {
        if let Some(known) = self.by_key.get_mut(key) {
            *known = bucket;
            return;
        }
        self.forget_some(bucket.since, limit);
        let key: Arc<str> = key.into();
        self.order.push_back(Arc::clone(&key));
        self.by_key.insert(key, bucket);
    }

    /// Forget the next buckets in turn if they are empty; if there are too many, forget them all the same.
    fn forget_some(&mut self, now: Instant, limit: RateLimit) {
        for _ in 0..KEYS_LOOKED_AT {
            let Some(key) = self.order.pop_front() else { return };
            let is_empty =
                self.by_key.get(&key).is_none_or(|bucket| bucket.actions_at(now, limit) <= 0.0);
            if is_empty || self.by_key.len() >= KEYS_MAX {
                self.by_key.remove(&key);
            } else {
                self.order.push_back(key);
            }
        }
    }
}

/// One limit and its buckets.
#[derive(Debug)]
pub struct Limiter {
    limit: RateLimit,
    buckets: Mutex<Buckets>,
}

impl Limiter {
    /// Begin with empty buckets.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, buckets: Mutex::default() }
    }

    /// Count an action of the caller, by its user. Its own limit takes the place of the configured one.
    pub fn check_caller(&self, caller: &Actor) -> Result<(), ApiError> {
        self.check_at(caller.user_id.as_str(), caller.rate_limit(), 1.0, true, Instant::now())
    }

    /// Do something that counts by the caller's user, unless that is refused. It counts while it is being done, so that many at once are no
    /// way around the limit.
    pub async fn count_done<T>(
        &self,
        caller: &Actor,
        action: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        self.check_caller(caller)?;
        let done = action.await;
        if done.as_ref().is_err_and(|error| error.status().is_client_error()) {
            self.take_back(caller.user_id.as_str());
        }
        done
    }

    /// Count an action of the caller by another key than its user. Who has no limit has none here either.
    pub fn check_caller_by(&self, caller: &Actor, key: &str) -> Result<(), ApiError> {
        if caller.rate_limit() == Some(RateLimitOverride::UNLIMITED) {
            return Ok(());
        }
        self.check(key)
    }

    /// Whether the caller might do something that counts by another key than its user, without counting it.
    pub fn would_allow_caller_by(&self, caller: &Actor, key: &str) -> Result<(), ApiError> {
        if caller.rate_limit() == Some(RateLimitOverride::UNLIMITED) {
            return Ok(());
        }
        self.would_allow(key)
    }

    /// Count several actions of the caller, by its user: all of them, or none if there are too many.
    pub fn check_caller_many(&self, caller: &Actor, actions: usize) -> Result<(), ApiError> {
        let actions = u32::try_from(actions).map_or(f64::INFINITY, f64::from);
        self.check_at(caller.user_id.as_str(), caller.rate_limit(), actions, true, Instant::now())
    }

    /// Count an action by a key.
    pub fn check(&self, key: &str) -> Result<(), ApiError> {
        self.check_at(key, None, 1.0, true, Instant::now())
    }

    /// Whether an action would be allowed, without counting it.
    pub fn would_allow(&self, key: &str) -> Result<(), ApiError> {
        self.check_at(key, None, 1.0, false, Instant::now())
    }

    /// Take back an action that was counted: it turned out to be none of those that are limited. What is limited by how it ends,
    /// as wrong passwords are, is counted first, so that many at once are no way around the limit.
    pub fn take_back(&self, key: &str) {
        if let Some(bucket) = self.buckets.lock().by_key.get_mut(key) {
            bucket.actions = (bucket.actions - 1.0).max(0.0);
        }
    }

    fn check_at(
        &self,
        key: &str,
        own: Option<RateLimitOverride>,
        actions: f64,
        count: bool,
        now: Instant,
    ) -> Result<(), ApiError> {
        let limit = match own {
            Some(RateLimitOverride::UNLIMITED) => return Ok(()),
            Some(own) => {
                RateLimit::new(f64::from(own.messages_per_second), f64::from(own.burst_count))
            }
            None => self.limit,
        };
        if limit.per_second.is_infinite() || actions < 1.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock();
        let bucket = buckets.by_key.get(key);
        let actions = actions + bucket.map_or(0.0, |bucket| bucket.actions_at(now, limit));
        if actions > limit.burst_count + 1e-9 {
            let wait_s = (actions - limit.burst_count) / limit.per_second.max(1e-9);
            return Err(ApiError::limit_exceeded(Duration::from_secs_f64(wait_s.min(86_400.0))));
        }
        if count {
            let bucket = Bucket { actions, since: now };
            buckets.set(key, bucket, self.limit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_leaks_and_an_override_counts() {
        let limiter = Limiter::new(RateLimit::new(1.0, 2.0));
        let start = Instant::now();
        let check = |own, after_s| {
            limiter.check_at("@a:b", own, 1.0, true, start + Duration::from_secs(after_s)).is_ok()
        };
        assert_eq!([check(None, 0), check(None, 0), check(None, 0)], [true, true, false]);
        assert_eq!([check(None, 1), check(None, 1)], [true, false]);
        assert!(check(Some(RateLimitOverride::UNLIMITED), 1));
        assert!(check(Some(RateLimitOverride { messages_per_second: 1, burst_count: 9 }), 1));
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let limiter = Limiter::new(RateLimit::new(0.001, 2.0));
        for _ in 0..5 {
            limiter.check("right").unwrap();
            limiter.take_back("right");
        }
        limiter.check("right").unwrap();
        limiter.check("right").unwrap();
        assert_eq!(limiter.check("right").unwrap_err().status(), 429);
        limiter.take_back("never counted");
    }

    #[test]
    fn several_actions_count_as_one_or_not_at_all() {
        let limiter = Limiter::new(RateLimit::new(0.001, 5.0));
        let check = |actions| {
            limiter.check_at("@a:b", None, f64::from(actions), true, Instant::now()).is_ok()
        };
        assert_eq!(
            [check(6), check(3), check(3), check(2), check(0), check(1)],
            [false, true, false, true, true, false]
        );
    }

    #[test]
    fn keys_are_forgotten_when_they_are_empty_or_too_many() {
        let limiter = Limiter::new(RateLimit::new(1.0, 2.0));
        let start = Instant::now();
        let keys = || limiter.buckets.lock().by_key.len();
        for number in 0..KEYS_MAX + 100 {
            limiter.check_at(&number.to_string(), None, 1.0, true, start).unwrap();
        }
        assert!(keys() <= KEYS_MAX, "{}", keys());
        let later = start + Duration::from_secs(10);
        for number in 0..KEYS_MAX {
            limiter.check_at(&format!("late {}", number % 100), None, 1.0, true, later).ok();
            limiter.check_at(&format!("late {number}"), None, 1.0, true, later).unwrap();
        }
        let limiter_order = limiter.buckets.lock().order.len();
        assert_eq!(limiter_order, keys());
    }
}
