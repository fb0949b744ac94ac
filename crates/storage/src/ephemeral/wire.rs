//! The form in which ephemeral news travels: JSON in the payload of a NOTIFY.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// The channel that nodes notify each other on.
pub(crate) const CHANNEL: &str = "myelin_ephemeral";

/// PostgreSQL takes less than 8,000 bytes.
const PAYLOAD_SIZE_BYTES_MAX: usize = 7_900;

/// The contents of one notification.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packet {
    /// The node that says it, which takes up its own news at once and not from here.
    pub(super) node: u64,
    pub(super) news: Vec<News>,
}

/// A change on one node. Times are spans, because the clocks of nodes differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum News {
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

/// The payloads that say `news`, each small enough. What is too large by itself is left out.
pub(super) fn payloads(node: u64, news: Vec<News>) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut packet = Packet { node, news: Vec::new() };
    let mut size = 64;
    for item in news {
        let item_size = serde_json::to_string(&item).map_or(usize::MAX, |json| json.len() + 1);
        if item_size > PAYLOAD_SIZE_BYTES_MAX - 64 {
            tracing::warn!("an ephemeral change is too large to be sent to other nodes");
            continue;
        }
        if size + item_size > PAYLOAD_SIZE_BYTES_MAX {
            payloads.extend(serde_json::to_string(&packet));
            packet.news.clear();
            size = 64;
        }
        size += item_size;
        packet.news.push(item);
    }
    if !packet.news.is_empty() {
        payloads.extend(serde_json::to_string(&packet));
    }
    payloads
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn much_news_takes_several_payloads() {
        let news: Vec<News> = (0..400)
            .map(|n| News::Typing {
                room_nid: n,
                user_id: user_id!("@somebody:example.org").to_owned(),
                ms: 30_000,
            })
            .collect();
        let payloads = payloads(7, news);
        assert!(payloads.len() > 1);
        assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_SIZE_BYTES_MAX));
        let count: usize = payloads
            .iter()
            .map(|payload| serde_json::from_str::<Packet>(payload).unwrap().news.len())
            .sum();
        assert_eq!(count, 400);
    }
}
