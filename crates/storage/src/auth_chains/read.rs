//! Reading a room's index.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid};

use super::AuthChainIndex;
use crate::{
    Db, StorageError,
    writer::{ChainLink, ChainPlace},
};

/// Reads of the chain cover of the auth graph.
#[derive(Debug, Clone, Copy)]
pub struct AuthChains<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// The chain cover of the auth graph.
    pub fn auth_chains(&self) -> AuthChains<'_> {
        AuthChains { db: self }
    }
}

impl AuthChains<'_> {
    /// The chain cover of a room's state events. It takes two queries.
    #[tracing::instrument(name = "db.auth_chains.get", skip_all, fields(room.nid = %room_nid))]
    pub async fn get(&self, room_nid: RoomNid) -> Result<AuthChainIndex, StorageError> {
        // Places first: what is appended in between is then missing whole, and whoever asks for it reads anew. The other way round the index
        // would have it without its links, and lead nowhere from there.
        let places = sqlx::query!(
            "SELECT event_nid, chain_nid, seq FROM auth_chains WHERE room_nid = $1 ORDER BY chain_nid, seq",
            room_nid.0
        )
        .fetch_all(self.db.pool())
        .await?;
        let links = sqlx::query!(
            "SELECT l.chain_nid, l.seq, l.target_chain_nid, l.target_seq
             FROM auth_chain_links l JOIN auth_chains c ON c.chain_nid = l.chain_nid AND c.seq = l.seq
             WHERE c.room_nid = $1",
            room_nid.0
        )
        .fetch_all(self.db.pool())
        .await?;
        let mut by_source: HashMap<(i64, i32), Vec<ChainLink>> = HashMap::new();
        for link in links {
            by_source.entry((link.chain_nid, link.seq)).or_default().push(ChainLink {
                chain_nid: EventNid(link.chain_nid),
                seq: link.seq,
                target_chain_nid: EventNid(link.target_chain_nid),
                target_seq: link.target_seq,
            });
        }
        let mut index = AuthChainIndex::default();
        for place in places {
            let links = by_source.remove(&(place.chain_nid, place.seq)).unwrap_or_default();
            let place = ChainPlace {
                event_nid: EventNid(place.event_nid),
                chain_nid: EventNid(place.chain_nid),
                seq: place.seq,
            };
            index.add(place, &links);
        }
        Ok(index)
    }
}
