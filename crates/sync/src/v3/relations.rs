//! What relates to the events of a timeline (client-server API, "Aggregations of child events").
//!
//! A client that gets every event of a room aggregates for itself. So only timelines with something missing before them are told what
//! relates to their events.

use std::collections::{HashMap, HashSet};

use myelin_events::{
    RoomVersion,
    canonical::write_string,
    client::{Format, Unsigned, write_event},
};
use myelin_model::{Event, EventNid, RoomNid};
use myelin_storage::RelatedRow;
use ruma::OwnedUserId;

use super::{
    Pass, SyncError,
    load::{Loaded, timeline_limit},
    plan::RoomTask,
    timeline::Window,
};

/// What relates to events, by event.
pub(super) type Related = HashMap<EventNid, Vec<RelatedRow>>;

/// Find what relates to the events of timelines with a gap. At most one query, and none without such timelines.
pub(super) async fn load(
    pass: &Pass<'_>,
    tasks: &[&RoomTask],
    windows: &HashMap<RoomNid, Window>,
) -> Result<Related, SyncError> {
    let limit = timeline_limit(pass);
    let mut parents: Vec<EventNid> = Vec::new();
    for task in tasks.iter().filter(|task| task.is_joined()) {
        let Some(window) = windows.get(&task.row.room_nid) else { continue };
        if task.newly_joined || window.is_longer_than(limit) {
            parents.extend(window.messages());
        }
    }
    let mut related = Related::new();
    if parents.is_empty() {
        return Ok(related);
    }
    let ignored: Vec<OwnedUserId> = pass.personal.ignored.iter().cloned().collect();
    let reads = pass.sync.db().sync_reads();
    for row in reads.list_related(&parents, pass.user_id(), &ignored).await? {
        related.entry(row.parent_nid).or_default().push(row);
    }
    Ok(related)
}

/// Collect the events to be loaded.
pub(super) fn want(related: &Related, wanted: &mut HashSet<EventNid>) {
    for row in related.values().flatten() {
        let count = if &*row.rel_type == "m.reference" { row.children.len() } else { 1 };
        wanted.extend(row.children.iter().take(count));
    }
}

/// The events that the filter's `related_by_*` lets pass; `None` if it lets all pass. At most one query.
pub(super) async fn passing(
    pass: &Pass<'_>,
    windows: &HashMap<RoomNid, Window>,
) -> Result<Option<HashSet<EventNid>>, SyncError> {
    let filter = &pass.filter().room.timeline;
    if filter.related_by_rel_types.is_none() && filter.related_by_senders.is_none() {
        return Ok(None);
    }
    let nids: Vec<EventNid> = windows.values().flat_map(Window::messages).collect();
    let (types, senders) = (&filter.related_by_rel_types, &filter.related_by_senders);
    let reads = pass.sync.db().sync_reads();
    Ok(Some(reads.find_related_by(&nids, types.as_deref(), senders.as_deref()).await?))
}

/// `m.relations` of an event, as JSON. `None` if there is nothing.
pub(super) fn to_json(
    pass: &Pass<'_>,
    event: &Event,
    version: RoomVersion,
    loaded: &Loaded,
) -> Option<String> {
    let rows = loaded.related.get(&event.nid).filter(|_| event.redacted_by.is_none())?;
    let mut out = String::from("{");
    let newest = |row: &RelatedRow| {
        let nid = row.children.first()?;
        loaded.events.get(nid).filter(|event| event.redacted_by.is_none())
    };
    let write = |out: &mut String, event: &Event| {
        let age = Some(pass.now_ms.saturating_sub(event.origin_server_ts));
        let event = pass.older(event, version);
        write_event(out, &event, version, Format::Sync, &Unsigned { age, ..Unsigned::default() });
    };
    for row in rows {
        let start = out.len();
        if start > 1 {
            out.push(',');
        }
        write_string(&mut out, &row.rel_type);
        out.push(':');
        let written = match (&*row.rel_type, newest(row)) {
            ("m.reference", _) => {
                write_references(row, loaded, &mut out);
                true
            }
            ("m.thread", Some(latest)) => {
                out.push_str("{\"latest_event\":");
                write(&mut out, latest);
                let participated = row.participated || event.sender == *pass.user_id();
                out.push_str(&format!(
                    ",\"count\":{},\"current_user_participated\":{participated}}}",
                    row.count
                ));
                true
            }
            ("m.replace", Some(edit)) => {
                write(&mut out, edit);
                true
            }
            _ => false,
        };
        if !written {
            out.truncate(start);
        }
    }
    out.push('}');
    (out.len() > 2).then_some(out)
}

fn write_references(row: &RelatedRow, loaded: &Loaded, out: &mut String) {
    out.push_str("{\"chunk\":[");
    let events = row.children.iter().rev().filter_map(|nid| loaded.events.get(nid));
    for (at, event) in events.enumerate() {
        out.push_str(if at > 0 { ",{\"event_id\":" } else { "{\"event_id\":" });
        write_string(out, event.event_id.as_str());
        out.push('}');
    }
    out.push_str("]}");
}
