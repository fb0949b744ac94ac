//! The account data in an answer.

use myelin_events::canonical::write_string;
use myelin_storage::Change;

use super::{
    Pass, SyncError,
    plan::{Plan, joined_row, quiet},
};
use crate::filter::EventFilter;

/// An account data entry: type and content, as JSON.
pub(super) type AccountData = (Box<str>, Box<str>);

/// Take up a change of global account data. That of rooms comes with [`fill`].
pub(super) fn take_up(change: &Change, plan: &mut Plan) {
    if let Change::AccountData { room_nid, data_type, content, .. } = change {
        match room_nid {
            None => set(&mut plan.global_account_data, data_type, content.get()),
            Some(room_nid) => {
                let (data_type, content) = (data_type.clone(), content.get().into());
                plan.room_account_data.push((*room_nid, (data_type, content)));
            }
        }
    }
}

/// The last content of a type counts.
fn set(entries: &mut Vec<AccountData>, data_type: &str, content: &str) {
    match entries.iter_mut().find(|(known, _)| &**known == data_type) {
        Some((_, known)) => *known = content.into(),
        None => entries.push((data_type.into(), content.into())),
    }
}

/// Give the rooms their account data: all of it where everything is told, else what changed. At most one query.
pub(super) async fn fill(pass: &Pass<'_>, plan: &mut Plan) -> Result<(), SyncError> {
    for (room_nid, (data_type, content)) in std::mem::take(&mut plan.room_account_data) {
        if !plan.rooms.iter().any(|task| task.row.room_nid == room_nid)
            && let Some(row) = joined_row(pass, room_nid)
        {
            plan.rooms.push(quiet(pass, &row));
        }
        if let Some(task) = plan.rooms.iter_mut().find(|task| task.row.room_nid == room_nid) {
            set(&mut task.account_data, &data_type, &content);
        }
    }
    let needs_all = pass.tells_all() || plan.rooms.iter().any(|task| task.newly_joined);
    if !needs_all {
        return Ok(());
    }
    let rows = match &pass.account_data {
        Some(rows) => rows.clone(),
        None => pass.sync.db().sync_reads().list_account_data(pass.user_id()).await?,
    };
    let mut by_room: std::collections::HashMap<_, Vec<AccountData>> =
        std::collections::HashMap::new();
    for row in rows {
        // Deleted entries stay as `{}`, of which only those hear who had them.
        if &*row.content == "{}" {
            continue;
        }
        match row.room_nid {
            None if pass.tells_all() => {
                set(&mut plan.global_account_data, &row.data_type, &row.content);
            }
            None => {}
            Some(room_nid) => {
                by_room.entry(room_nid).or_default().push((row.data_type, row.content));
            }
        }
    }
    for task in plan.rooms.iter_mut().filter(|task| task.full) {
        if let Some(entries) = by_room.remove(&task.row.room_nid) {
            task.account_data = entries;
        }
    }
    if pass.tells_all()
        && !plan.global_account_data.iter().any(|(known, _)| &**known == "m.push_rules")
        && let Ok(rules) = serde_json::to_string(&pass.personal.rules)
    {
        let content = format!("{{\"global\":{rules}}}");
        set(&mut plan.global_account_data, "m.push_rules", &content);
    }
    Ok(())
}

/// Write the global account data, if there is any to tell.
pub(super) fn write_global(pass: &Pass<'_>, plan: &Plan, out: &mut String) {
    let mut events = String::new();
    write_events(&plan.global_account_data, &pass.filter().account_data, &mut events);
    if !events.is_empty() {
        out.push_str(",\"account_data\":{\"events\":[");
        out.push_str(&events);
        out.push_str("]}");
    }
}

/// Write entries that pass the filter, separated by commas.
pub(super) fn write_events(entries: &[AccountData], filter: &EventFilter, out: &mut String) {
    if filter.senders.as_ref().is_some_and(std::collections::HashSet::is_empty) {
        return;
    }
    let passing = entries.iter().filter(|(data_type, _)| filter.allows_type(data_type));
    for (at, (data_type, content)) in passing.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str("{\"content\":");
        out.push_str(content);
        out.push_str(",\"type\":");
        write_string(out, data_type);
        out.push('}');
    }
}
