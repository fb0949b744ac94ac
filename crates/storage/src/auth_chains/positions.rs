//! The places of single events in the chain cover, for those who append.

use std::collections::HashMap;

use myelin_model::EventNid;

use super::AuthChains;
use crate::StorageError;

/// The place of an event in the chain cover, and the end of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPosition {
    /// The chain, named by its first event.
    pub chain_nid: EventNid,
    /// The place in the chain, from 1.
    pub seq: i32,
    /// The last place in the chain.
    pub end: i32,
}

impl AuthChains<'_> {
    /// The places of state events in the chain cover. Events without a place are missing from the answer. It takes one
    /// query.
    #[tracing::instrument(name = "db.auth_chains.list_positions", skip_all)]
    pub async fn list_positions(
        &self,
        nids: &[EventNid],
    ) -> Result<HashMap<EventNid, ChainPosition>, StorageError> {
        let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT c.event_nid, c.chain_nid, c.seq,
                (SELECT max(last.seq) FROM auth_chains AS last WHERE last.chain_nid = c.chain_nid) AS "end!"
            FROM auth_chains AS c WHERE c.event_nid = ANY ($1)
            "#,
            &nids,
        )
        .fetch_all(self.db.pool())
        .await?;
        let place =
            |chain_nid, seq, end| ChainPosition { chain_nid: EventNid(chain_nid), seq, end };
        Ok(rows
            .into_iter()
            .map(|row| (EventNid(row.event_nid), place(row.chain_nid, row.seq, row.end)))
            .collect())
    }
}
