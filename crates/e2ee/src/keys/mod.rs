//! The keys of devices: their identity keys, and those that others claim to begin a conversation (client-server API, "Key
//! management API").

mod claim;
mod query;
mod upload;
mod uploaded;

use std::collections::BTreeSet;

use ruma::{OwnedServerName, UserId};
use serde_json::{Value, json};

pub use self::{
    claim::{ClaimKeysError, claim_keys},
    query::{QueryKeysError, query_keys},
    upload::{UploadKeysError, upload_keys},
    uploaded::{InvalidKeys, UploadedKeys},
};
use crate::E2ee;

/// The servers among those of `users` that cannot be asked, with the reason as Synapse gives it.
fn failures<'u>(e2ee: &E2ee, users: impl Iterator<Item = &'u UserId>) -> Value {
    let remote = users.filter(|user_id| !e2ee.is_local(user_id));
    let servers: BTreeSet<OwnedServerName> =
        remote.map(|user_id| user_id.server_name().to_owned()).collect();
    let failure = || json!({ "status": 503, "message": "Not ready for retry" });
    servers.into_iter().map(|server| (server.to_string(), failure())).collect()
}
