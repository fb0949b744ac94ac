//! A user's account data, global and of rooms.

use std::collections::{HashMap, HashSet};

use myelin_events::{
    account_data::{PUSH_RULES, push_rules_json},
    canonical::write_string,
    filter::EventFilter,
};
use myelin_model::RoomNid;
use myelin_storage::StorageError;
use ruma::RoomId;
use serde_json::json;

use super::{Reader, events::write_room_id};

/// An entry of account data: type and content, as JSON.
pub(crate) type Entry = (Box<str>, Box<str>);

/// Entries of account data.
pub(crate) type AccountData = Vec<Entry>;

/// All account data of a user.
pub(crate) struct AllAccountData {
    pub(crate) global: AccountData,
    pub(crate) by_room: HashMap<RoomNid, AccountData>,
}

/// Set an entry in place of an earlier one of its type.
pub(crate) fn set(entries: &mut AccountData, data_type: &str, content: &str) {
    match entries.iter_mut().find(|(known, _)| &**known == data_type) {
        Some((_, known)) => *known = content.into(),
        None => entries.push((data_type.into(), content.into())),
    }
}

/// All account data as it stands. Push rules are told with those of the server, which everybody has. It takes at most one query.
pub(crate) async fn list(reader: &Reader<'_>) -> Result<AllAccountData, StorageError> {
    let rows = match &reader.account_data {
        Some(rows) => rows.clone(),
        None => reader.sync.db().account_data().list(reader.user_id).await?,
    };
    let mut all = AllAccountData { global: Vec::new(), by_room: HashMap::new() };
    // Deleted entries stay as `{}`, of which only those hear who had them.
    for row in rows.into_iter().filter(|row| &*row.content != "{}") {
        let entries = match row.room_nid {
            None => &mut all.global,
            Some(room_nid) => all.by_room.entry(room_nid).or_default(),
        };
        entries.push((row.data_type, row.content));
    }
    let stored = all.global.iter().find(|(known, _)| &**known == PUSH_RULES);
    let rules = push_rules_json(stored.map(|(_, content)| &**content), reader.user_id);
    set(&mut all.global, PUSH_RULES, &json!({ "global": rules }).to_string());
    Ok(all)
}

/// Write the entries that pass the filter as events, separated by commas.
pub(crate) fn write_events(entries: &AccountData, filter: &EventFilter, out: &mut String) {
    if filter.senders.as_ref().is_some_and(HashSet::is_empty) {
        return;
    }
    let passing = entries.iter().filter(|(data_type, _)| filter.allows_type(data_type));
    for (at, (data_type, content)) in passing.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_event(data_type, content, None, out);
    }
}

/// Write an entry as an event; with the room where that is not known otherwise.
pub(crate) fn write_event(
    data_type: &str,
    content: &str,
    room_id: Option<&RoomId>,
    out: &mut String,
) {
    out.push_str("{\"content\":");
    out.push_str(content);
    write_room_id(room_id, out);
    out.push_str(",\"type\":");
    write_string(out, data_type);
    out.push('}');
}
