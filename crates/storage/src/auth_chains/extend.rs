//! Reading on in a room's index: what came to the room since it was read.

use std::collections::{BTreeMap, HashMap};

use myelin_model::EventNid;

use super::{AuthChainIndex, AuthChains};
use crate::{
    StorageError,
    writer::{ChainLink, ChainPlace},
};

/// The number of steps from chain to chain that are followed. Who is further behind reads the index anew.
const STEPS_MAX: usize = 16;

/// The number of events that are asked for at once. More of them are read with the whole index.
const EVENTS_MAX: usize = 1_000;

/// The part of a chain up to a place.
type Ends = BTreeMap<EventNid, i32>;

impl AuthChains<'_> {
    /// Add events to the index of their room, with all that is in their auth chains. `false` if there is too much to add: then the index
    /// is to be read anew. Events without a place are left out. It takes one query, and two for each step from chain to chain that
    /// leads to what is new.
    #[tracing::instrument(name = "db.auth_chains.extend", skip_all)]
    pub async fn extend(
        &self,
        index: &mut AuthChainIndex,
        nids: &[EventNid],
    ) -> Result<bool, StorageError> {
        if nids.len() > EVENTS_MAX {
            return Ok(false);
        }
        let positions = self.list_positions(nids).await?;
        let mut ends = Ends::new();
        for position in positions.values() {
            reach(&mut ends, position.chain_nid, position.seq);
        }
        let mut parts = Vec::new();
        for _ in 0..STEPS_MAX {
            ends.retain(|chain_nid, end| index.known_of(*chain_nid) < *end);
            if ends.is_empty() {
                // Targets before what leads to them.
                parts.into_iter().rev().for_each(|part| add(index, part));
                return Ok(true);
            }
            let part = self.read_part(index, &ends).await?;
            ends = Ends::new();
            for link in &part.links {
                reach(&mut ends, link.target_chain_nid, link.target_seq);
            }
            parts.push(part);
        }
        Ok(false)
    }

    /// Read what the index does not have of some chains.
    async fn read_part(&self, index: &AuthChainIndex, ends: &Ends) -> Result<Part, StorageError> {
        let chains: Vec<i64> = ends.keys().map(|nid| nid.0).collect();
        let known: Vec<i32> = ends.keys().map(|nid| index.known_of(*nid)).collect();
        let upto: Vec<i32> = ends.values().copied().collect();
        let places = sqlx::query!(
            r#"
            SELECT c.event_nid AS "event_nid!", c.chain_nid AS "chain_nid!", c.seq AS "seq!"
            FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS w (chain_nid, known, upto)
            CROSS JOIN LATERAL (
                SELECT event_nid, chain_nid, seq FROM auth_chains
                WHERE chain_nid = w.chain_nid AND seq > w.known AND seq <= w.upto
                OFFSET 0
            ) AS c
            ORDER BY c.chain_nid, c.seq
            "#,
            &chains,
            &known,
            &upto
        )
        .fetch_all(self.db.pool())
        .await?;
        let links = sqlx::query!(
            r#"
            SELECT l.chain_nid AS "chain_nid!", l.seq AS "seq!", l.target_chain_nid AS "target_chain_nid!", l.target_seq AS "target_seq!"
            FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS w (chain_nid, known, upto)
            CROSS JOIN LATERAL (
                SELECT chain_nid, seq, target_chain_nid, target_seq FROM auth_chain_links
                WHERE chain_nid = w.chain_nid AND seq > w.known AND seq <= w.upto
                OFFSET 0
            ) AS l
            "#,
            &chains,
            &known,
            &upto
        )
        .fetch_all(self.db.pool())
        .await?;
        let place = |event_nid, chain_nid, seq| ChainPlace {
            event_nid: EventNid(event_nid),
            chain_nid: EventNid(chain_nid),
            seq,
        };
        let link = |chain_nid, seq, target_chain_nid, target_seq| ChainLink {
            chain_nid: EventNid(chain_nid),
            seq,
            target_chain_nid: EventNid(target_chain_nid),
            target_seq,
        };
        Ok(Part {
            places: places
                .into_iter()
                .map(|row| place(row.event_nid, row.chain_nid, row.seq))
                .collect(),
            links: links
                .into_iter()
                .map(|row| link(row.chain_nid, row.seq, row.target_chain_nid, row.target_seq))
                .collect(),
        })
    }
}

/// A part of some chains that follows what an index has of them.
struct Part {
    places: Vec<ChainPlace>,
    links: Vec<ChainLink>,
}

/// Have a chain be known up to a place at least.
fn reach(ends: &mut Ends, chain_nid: EventNid, seq: i32) {
    let end = ends.entry(chain_nid).or_insert(seq);
    *end = seq.max(*end);
}

fn add(index: &mut AuthChainIndex, part: Part) {
    let mut by_source: HashMap<(EventNid, i32), Vec<ChainLink>> = HashMap::new();
    for link in part.links {
        by_source.entry((link.chain_nid, link.seq)).or_default().push(link);
    }
    for place in part.places {
        // A chain can be reached in two steps: the farther one has read all that the nearer one did.
        if !index.contains(place.event_nid) {
            let links = by_source.remove(&(place.chain_nid, place.seq)).unwrap_or_default();
            index.add(place, &links);
        }
    }
}
