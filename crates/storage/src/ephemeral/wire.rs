//! The form in which ephemeral changes travel: JSON in the payload of a NOTIFY.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// The channel that nodes notify each other on.
pub(crate) const CHANNEL: &str = "myelin_ephemeral";

/// PostgreSQL takes less than 8,000 bytes.
const PAYLOAD_SIZE_BYTES_MAX: usize = 7_900;

/// The contents of one notification.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packet {
    /// The node that says it, which takes up its own changes at once and not from here.
    pub(super) node: u64,
    #[serde(rename = "news")]
    pub(super) updates: Vec<Update>,
}

/// A change on one node. Times are spans, because the clocks of nodes differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Update {
    /// A user types for `ms` from now on; not at all if 0.
    #[serde(rename = "t")]
    Typing {
        #[serde(rename = "r")]
        room_nid: i64,
        #[serde(rename = "u")]
        user_id: OwnedUserId,
        ms: u64,
    },
    /// The presence of a user changed.
    #[serde(rename = "p")]
    Presence {
        #[serde(rename = "u")]
        user_id: OwnedUserId,
        #[serde(rename = "s")]
        state: String,
        #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
        status_msg: Option<String>,
        /// The time since the user was active, in milliseconds; `None` for never.
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
        active_ago_ms: Option<u64>,
    },
}

/// The payloads that say `updates`, each small enough. What is too large by itself is left out.
pub(super) fn payloads(node: u64, updates: Vec<Update>) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut packet = Packet { node, updates: Vec::new() };
    let mut size = 64;
    for update in updates {
        let update_size = serde_json::to_string(&update).map_or(usize::MAX, |json| json.len() + 1);
        if update_size > PAYLOAD_SIZE_BYTES_MAX - 64 {
            tracing::warn!("an ephemeral change is too large to be sent to other nodes");
            continue;
        }
        if size + update_size > PAYLOAD_SIZE_BYTES_MAX {
            payloads.extend(serde_json::to_string(&packet));
            packet.updates.clear();
            size = 64;
        }
        size += update_size;
        packet.updates.push(update);
    }
    if !packet.updates.is_empty() {
        payloads.extend(serde_json::to_string(&packet));
    }
    payloads
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn many_updates_take_several_payloads() {
        let updates: Vec<Update> = (0..400)
            .map(|n| Update::Typing {
                room_nid: n,
                user_id: user_id!("@somebody:example.org").to_owned(),
                ms: 30_000,
            })
            .collect();
        let payloads = payloads(7, updates);
        assert!(payloads.len() > 1);
        assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_SIZE_BYTES_MAX));
        let count: usize = payloads
            .iter()
            .map(|payload| serde_json::from_str::<Packet>(payload).unwrap().updates.len())
            .sum();
        assert_eq!(count, 400);
    }
}
