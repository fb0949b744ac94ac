//! Hash and signatures of received events (server-server API, "Validating hashes and signatures on received events").

use base64::Engine as _;
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use sha2::{Digest as _, Sha256};

use crate::{
    canonical::{self, Members},
    key::{BASE64, PublicKeys, SigningKey, decode_base64},
    pdu::{Pdu, PduError},
    redact,
};

/// The answer of hash and signatures to an event.
#[derive(Debug)]
pub enum Verdict {
    /// The hash and all signatures hold.
    Good,
    /// The signatures hold but the content is not what was hashed: the event goes on in this redacted form.
    Redacted(Box<Pdu>),
    /// A server that must have signed has not, or its key is not known, or the signature is wrong: the event is dropped.
    BadSignature(OwnedServerName),
}

/// Check the hash and all signatures that the event must have. `keys` are those valid at the event's time.
pub fn verify(pdu: &Pdu, keys: &impl PublicKeys) -> Result<Verdict, PduError> {
    let members: Members<'_> = serde_json::from_str(pdu.json())?;
    let message = redact::signable(&members, pdu.version);
    let lacking = |pdu: &Pdu| {
        let mut servers = signing_servers(pdu).into_iter();
        servers.find(|server| !is_signed_by(&members, &message, server, keys))
    };
    if let Some(server) = lacking(pdu) {
        return Ok(Verdict::BadSignature(server));
    }
    if has_right_hash(&members) {
        return Ok(Verdict::Good);
    }
    let redacted = redact::redact_event(pdu.json(), pdu.version)?;
    let redacted = Pdu::from_stored(pdu.event_id.clone(), redacted, pdu.version)?;
    // An invite that loses its `third_party_invite` is an ordinary one, for which the sender's server must answer.
    if let Some(server) = lacking(&redacted) {
        return Ok(Verdict::BadSignature(server));
    }
    Ok(Verdict::Redacted(Box::new(redacted)))
}

/// Whether an event's content is what was hashed.
pub fn is_whole(pdu: &Pdu) -> Result<bool, PduError> {
    Ok(has_right_hash(&serde_json::from_str(pdu.json())?))
}

/// The servers that must have signed: the sender's (but for third-party invites), in versions 1 and 2 that of the event ID, and since
/// version 8 that of the user who authorised a restricted join. Only joins ask for the latter: on another membership the field entitles to
/// nothing, and servers take such events without that signature.
pub fn signing_servers(pdu: &Pdu) -> Vec<OwnedServerName> {
    let content: Members<'_> = if &*pdu.event_type == "m.room.member" {
        serde_json::from_str(pdu.content()).unwrap_or_default()
    } else {
        Members::new()
    };
    let mut servers: Vec<OwnedServerName> = Vec::with_capacity(2);
    let mut add = |server: &ServerName| {
        if !servers.iter().any(|known| known == server) {
            servers.push(server.to_owned());
        }
    };
    let is_membership =
        |name: &str| content.get("membership").is_some_and(|membership| membership.get() == name);
    if !(is_membership("\"invite\"") && content.contains_key("third_party_invite")) {
        add(pdu.sender.server_name());
    }
    if pdu.version.rules().signatures.check_event_id_server
        && let Some(server) = pdu.event_id.server_name()
    {
        add(server);
    }
    if pdu.version.rules().signatures.check_join_authorised_via_users_server
        && is_membership("\"join\"")
        && let Some(user_id) = content.get("join_authorised_via_users_server")
        && let Ok(user_id) = serde_json::from_str::<OwnedUserId>(user_id.get())
    {
        add(user_id.server_name());
    }
    servers
}

/// The IDs of the keys that a server says to have signed with, to know which to fetch.
pub fn key_ids(pdu: &Pdu, server: &ServerName) -> Vec<String> {
    let Ok(members) = serde_json::from_str::<Members<'_>>(pdu.json()) else { return Vec::new() };
    signatures_of(&members, server)
        .unwrap_or_default()
        .keys()
        .map(|key_id| key_id.0.to_string())
        .collect()
}

fn signatures_of<'a>(members: &Members<'a>, server: &ServerName) -> Option<Members<'a>> {
    let servers: Members<'a> = serde_json::from_str(members.get("signatures")?.get()).ok()?;
    serde_json::from_str(servers.get(server.as_str())?.get()).ok()
}

/// Whether there is a signature by a known key, and none by a known key that is wrong.
fn is_signed_by(
    members: &Members<'_>,
    message: &str,
    server: &ServerName,
    keys: &impl PublicKeys,
) -> bool {
    let mut found = false;
    for (key_id, signature) in signatures_of(members, server).unwrap_or_default() {
        let Some(key) = key_id
            .0
            .starts_with("ed25519:")
            .then(|| keys.find(server.as_str(), &key_id.0))
            .flatten()
        else {
            continue;
        };
        let Ok(signature) = serde_json::from_str::<String>(signature.get()) else { return false };
        if !key.verifies(message.as_bytes(), &signature) {
            return false;
        }
        found = true;
    }
    found
}

/// The content hash of an event in unpadded base64, from its canonical JSON: what `hashes.sha256` must be.
pub fn content_hash(json: &str) -> Result<String, PduError> {
    Ok(BASE64.encode(hash_content(&serde_json::from_str(json)?)))
}

fn hash_content(members: &Members<'_>) -> impl AsRef<[u8]> {
    let mut hashed = String::with_capacity(1024);
    let kept =
        members.iter().filter(|(key, _)| !matches!(&*key.0, "hashes" | "signatures" | "unsigned"));
    canonical::write_members(&mut hashed, kept.map(|(key, value)| (&*key.0, value.get())));
    Sha256::digest(hashed)
}

fn has_right_hash(members: &Members<'_>) -> bool {
    let claimed = members
        .get("hashes")
        .and_then(|hashes| serde_json::from_str::<Members<'_>>(hashes.get()).ok())
        .and_then(|hashes| serde_json::from_str::<String>(hashes.get("sha256")?.get()).ok())
        .and_then(|hash| decode_base64(&hash));
    claimed.as_deref() == Some(hash_content(members).as_ref())
}

/// The event with this server's signature beside those that it has, as for restricted joins and invites of other servers' users.
pub fn add_signature(pdu: &Pdu, server: &ServerName, key: &SigningKey) -> Result<Pdu, PduError> {
    let mut members: Members<'_> = serde_json::from_str(pdu.json())?;
    let signature = key.sign(redact::signable(&members, pdu.version).as_bytes());
    let mut signatures: std::collections::BTreeMap<
        String,
        std::collections::BTreeMap<String, String>,
    > = match members.get("signatures") {
        Some(signatures) => serde_json::from_str(signatures.get())?,
        None => Default::default(),
    };
    signatures.entry(server.to_string()).or_default().insert(key.key_id().to_owned(), signature);
    let signatures = serde_json::value::to_raw_value(&signatures)?;
    members.insert(canonical::Key("signatures".into()), &signatures);
    let mut json = String::with_capacity(pdu.json().len() + 160);
    canonical::write_members(&mut json, members.iter().map(|(key, value)| (&*key.0, value.get())));
    Pdu::from_stored(pdu.event_id.clone(), json, pdu.version)
}
