//! Hashing with argon2id off the threads that serve requests, few at once, in memory that is used again.
//!
//! A hash needs 19 MiB. Allocators give so much back to the system at once, and to get it anew, page by page, takes nearly as long as
//! the hash.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordHasher,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::password::PasswordError;

/// The time for which memory is kept after a hash.
const KEPT: Duration = Duration::from_secs(10);

/// The memory of one hash at a time. It grows to what the hash needs, and stays for the next one.
#[derive(Default)]
pub(crate) struct Workspace(RefCell<Vec<Block>>);

impl PasswordHasher<PasswordHash> for Workspace {
    fn hash_password_with_salt(
        &self,
        password: &[u8],
        salt: &[u8],
    ) -> password_hash::Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, Params::default())
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Workspace {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let mut buffer = [0; Output::MAX_LENGTH];
        let out = buffer
            .get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))
            .ok_or(password_hash::Error::OutputSize)?;
        let mut memory = self.0.borrow_mut();
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        Argon2::new(algorithm, version, params.clone()).hash_password_into_with_memory(
            password,
            salt,
            out,
            memory.get_mut(..blocks).unwrap_or_default(),
        )?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(out)?),
        })
    }
}

/// The permits to hash, and the memory of those that nobody uses.
pub(crate) struct Hashing {
    permits: Semaphore,
    spare: Mutex<Spare>,
}

#[derive(Default)]
struct Spare {
    workspaces: Vec<(Instant, Workspace)>,
    /// A task waits to let go of them.
    is_watched: bool,
}

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashing").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl Hashing {
    /// Let at most `concurrent_max` hashes be made at once, and at least one.
    pub(crate) fn new(concurrent_max: usize) -> Arc<Self> {
        let permits = Semaphore::new(concurrent_max.max(1));
        Arc::new(Self { permits, spare: Mutex::default() })
    }

    /// Do work that hashes, off the threads that serve requests, when it is its turn. Fails only while the server
    /// stops.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Workspace) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _permit = self.permits.acquire().await.map_err(|_| PasswordError::Stopping)?;
        let spare = self.spare.lock().workspaces.pop();
        let workspace = spare.map(|(_, workspace)| workspace).unwrap_or_default();
        let work = move || (work(&workspace), workspace);
        let (result, workspace) =
            tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Stopping)?;
        self.keep(workspace);
        Ok(result)
    }

    fn keep(self: &Arc<Self>, workspace: Workspace) {
        let mut spare = self.spare.lock();
        spare.workspaces.push((Instant::now(), workspace));
        if !spare.is_watched {
            spare.is_watched = true;
            tokio::spawn(let_go(Arc::downgrade(self)));
        }
    }
}

/// Let go of memory that was not used for a while, until there is none.
async fn let_go(hashing: Weak<Hashing>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(hashing) = hashing.upgrade() else { return };
        let mut spare = hashing.spare.lock();
        spare.workspaces.retain(|(used, _)| used.elapsed() < KEPT);
        if spare.workspaces.is_empty() {
            spare.is_watched = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[test]
    fn hashes_are_those_of_the_library_whatever_was_hashed_before() {
        let workspace = Workspace::default();
        for (password, params) in [
            ("first", Params::default()),
            ("second", Params::new(64, 2, 1, Some(16)).unwrap()),
            ("third", Params::new(256, 1, 2, None).unwrap()),
            ("fourth", Params::default()),
        ] {
            let salt = b"salt and pepper";
            let ours = workspace
                .hash_password_customized(password.as_bytes(), salt, None, None, params.clone())
                .unwrap();
            let theirs = Argon2::default()
                .hash_password_customized(password.as_bytes(), salt, None, None, params)
                .unwrap();
            assert_eq!(ours.to_string(), theirs.to_string());
            assert!(workspace.verify_password(password.as_bytes(), &theirs).is_ok());
            assert!(workspace.verify_password(b"wrong", &theirs).is_err());
        }
    }

    #[tokio::test]
    async fn memory_is_used_again() {
        let hashing = Hashing::new(2);
        let hash = |workspace: &Workspace| {
            workspace.hash_password_with_salt(b"secret", b"salt and pepper").map(drop).unwrap();
            workspace.0.borrow().as_ptr().addr()
        };
        let first = hashing.run(hash).await.unwrap();
        assert_eq!(hashing.run(hash).await.unwrap(), first);
        assert_eq!(hashing.spare.lock().workspaces.len(), 1);
    }
}
