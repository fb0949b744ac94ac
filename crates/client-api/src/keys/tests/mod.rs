//! Stories of keys.

mod changes;
mod claims;
mod counts;
mod cross_signing;
mod devices;
mod signatures;

use myelin_events::SigningKey;
use myelin_testing::{TestResponse, TestServer, TestUser};
use serde_json::{Map, Value, json};

const V3: &str = "/_matrix/client/v3";

async fn post(server: &TestServer, user: &TestUser, path: &str, body: Value) -> TestResponse {
    server.post(&format!("{V3}/keys/{path}"), Some(user), body).await
}

async fn upload(server: &TestServer, user: &TestUser, body: Value) -> TestResponse {
    post(server, user, "upload", body).await
}

/// The keys of one user, as another one sees them.
async fn query(server: &TestServer, reader: &TestUser, user: &TestUser) -> Value {
    post(server, reader, "query", json!({"device_keys": {user.user_id.as_str(): []}})).await.ok()
}

/// Claim a key of the user's device: its ID.
async fn claim(server: &TestServer, caller: &TestUser, user: &TestUser) -> Option<String> {
    let body = json!({"one_time_keys": {user.user_id.as_str(): {user.device_id.as_str(): "signed_curve25519"}}});
    let answer = post(server, caller, "claim", body).await.ok();
    let keys =
        answer["one_time_keys"][user.user_id.as_str()][user.device_id.as_str()].as_object()?;
    assert_eq!(keys.len(), 1);
    keys.keys().next().cloned()
}

/// Keys with these IDs.
fn one_time_keys(ids: &[&str]) -> Value {
    let key = |id: &&str| (format!("signed_curve25519:{id}"), json!({"key": id, "signatures": {}}));
    ids.iter().map(key).collect::<Map<_, _>>().into()
}

fn fallback_key(id: &str) -> Value {
    let key = json!({"key": id, "fallback": true, "signatures": {}});
    json!({format!("signed_curve25519:{id}"): key})
}

/// The key that a device signs with.
fn device_key(user: &TestUser) -> SigningKey {
    let names = user.user_id.as_bytes().iter().chain(user.device_id.as_str().as_bytes());
    let seed = names.fold(0_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(*byte));
    SigningKey::from_seed(&[seed; 32], user.device_id.as_str())
}

fn sign(key: &SigningKey, user: &TestUser, object: &Value) -> Value {
    let signed = key.sign_json(user.user_id.as_str(), &object.to_string()).unwrap();
    serde_json::from_str(&signed).unwrap()
}

/// The identity keys of a device, signed by it.
fn device_keys(user: &TestUser) -> Value {
    let key = device_key(user);
    let keys = json!({
        "user_id": user.user_id,
        "device_id": user.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {
            key.key_id(): key.public_key().to_base64(),
            format!("curve25519:{}", user.device_id): "curve",
        },
    });
    sign(&key, user, &keys)
}

/// A user's cross-signing keys.
struct Identity {
    master: SigningKey,
    self_signing: SigningKey,
    user_signing: SigningKey,
}

impl Identity {
    /// Different numbers give different keys.
    fn new(number: u8) -> Self {
        let key = |kind: u8| {
            let seed = [number.wrapping_mul(3).wrapping_add(kind); 32];
            let public_half = SigningKey::from_seed(&seed, "").public_key().to_base64();
            SigningKey::from_seed(&seed, &public_half)
        };
        Self { master: key(0), self_signing: key(1), user_signing: key(2) }
    }

    fn master_key(&self, user: &TestUser) -> Value {
        signing_key(user, "master", &self.master)
    }

    fn self_signing_key(&self, user: &TestUser) -> Value {
        sign(&self.master, user, &signing_key(user, "self_signing", &self.self_signing))
    }

    fn user_signing_key(&self, user: &TestUser) -> Value {
        sign(&self.master, user, &signing_key(user, "user_signing", &self.user_signing))
    }

    /// The body of an upload.
    fn keys(&self, user: &TestUser) -> Value {
        json!({
            "master_key": self.master_key(user),
            "self_signing_key": self.self_signing_key(user),
            "user_signing_key": self.user_signing_key(user),
        })
    }
}

fn signing_key(user: &TestUser, usage: &str, key: &SigningKey) -> Value {
    json!({"user_id": user.user_id, "usage": [usage], "keys": {key.key_id(): key.version()}})
}

/// A room that users share.
async fn share_room(server: &TestServer, alice: &TestUser, bob: &TestUser) -> String {
    let room =
        crate::test_rooms::TestRoom::create(server, alice, json!({"preset": "public_chat"})).await;
    room.join(bob).await;
    room.id
}

/// Sync: the answer, and the token for the next one.
async fn sync(server: &TestServer, user: &TestUser, since: &str) -> (Value, String) {
    let since = if since.is_empty() { String::new() } else { format!("&since={since}") };
    let path = format!("{V3}/sync?set_presence=offline&timeout=0{since}");
    let answer = server.get(&path, Some(user)).await.ok();
    let token = answer["next_batch"].as_str().unwrap().to_owned();
    (answer, token)
}
