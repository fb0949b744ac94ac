//! The access tokens a node keeps in memory. The log empties it: a revoked token is refused everywhere at once.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use myelin_model::TokenHash;
use myelin_storage::{Change, LogEntry, LogSubscriber, accounts::StoredSession};
use parking_lot::RwLock;
use ruma::{OwnedUserId, UserId};
use tokio_util::sync::CancellationToken;

/// The number of tokens that a node keeps in memory.
const SESSIONS_MAX: usize = 100_000;

/// The access tokens in memory.
#[derive(Debug)]
pub(crate) struct SessionCache {
    entries: RwLock<Entries>,
    /// Grows whenever something is voided: what was read before may be old.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Entries {
    by_token: HashMap<TokenHash, Arc<KnownSession>>,
    by_user: HashMap<OwnedUserId, Vec<TokenHash>>,
}

/// A session as it was read.
#[derive(Debug)]
pub(crate) struct KnownSession {
    pub(crate) stored: StoredSession,
    /// Canceled when the session may have changed or ended: who goes on with it reads it again.
    pub(crate) voided: CancellationToken,
}

impl Drop for Entries {
    fn drop(&mut self) {
        for known in self.by_token.values() {
            known.voided.cancel();
        }
    }
}

/// The generation that the cache was in when a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation(u64);

impl SessionCache {
    pub(crate) fn new() -> Self {
        Self { entries: RwLock::default(), generation: AtomicU64::new(0) }
    }

    pub(crate) fn find(&self, token: &TokenHash) -> Option<Arc<KnownSession>> {
        self.entries.read().by_token.get(token).cloned()
    }

    /// Call before reading from the database what is to be kept.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Keep what was read since `read_from`, unless something was voided meanwhile: then it is void itself.
    pub(crate) fn add(
        &self,
        token: TokenHash,
        stored: StoredSession,
        read_from: Generation,
    ) -> Arc<KnownSession> {
        let user_id = stored.user_id.clone();
        let known = Arc::new(KnownSession { stored, voided: CancellationToken::new() });
        let mut entries = self.entries.write();
        if self.generation.load(Ordering::Acquire) != read_from.0 {
            known.voided.cancel();
            return known;
        }
        if entries.by_token.len() >= SESSIONS_MAX {
            // Rare, and cheaper than an order of use kept on every request: each costs one read to come back.
            *entries = Entries::default();
        }
        match entries.by_token.insert(token.clone(), Arc::clone(&known)) {
            None => entries.by_user.entry(user_id).or_default().push(token),
            Some(old) => old.voided.cancel(),
        }
        known
    }

    fn forget(&self, user_id: &UserId) {
        let mut entries = self.entries.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        for token in entries.by_user.remove(user_id).unwrap_or_default() {
            if let Some(known) = entries.by_token.remove(&token) {
                known.voided.cancel();
            }
        }
    }

    fn forget_all(&self) {
        let mut entries = self.entries.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        *entries = Entries::default();
    }
}

impl LogSubscriber for SessionCache {
    fn apply(&self, log: &[Arc<LogEntry>]) {
        for entry in log {
            match &entry.change {
                Change::Sessions { user_id }
                | Change::Account { user_id }
                | Change::Other { user_id: Some(user_id), .. } => self.forget(user_id),
                Change::Other { user_id: None, room_nid: None } => self.forget_all(),
                Change::Other { user_id: None, room_nid: Some(_) }
                | Change::Event(_)
                | Change::StateReset { .. }
                | Change::Receipt { .. }
                | Change::AccountData { .. }
                | Change::Profile { .. }
                | Change::DeviceList { .. }
                | Change::ToDevice { .. }
                | Change::KeyCounts { .. }
                | Change::Signatures { .. }
                | Change::Rewritten { .. }
                | Change::Forgotten { .. } => {}
            }
        }
    }
}
