//! The account data in an answer.

use myelin_storage::{Change, StorageError};

use super::{
    Pass,
    plan::{Plan, RoomTask},
};
use crate::reader::account_data::{list, set, write_events};

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

/// Give the rooms their account data: all of it where everything is told, else what changed. It takes at most one
/// query.
pub(super) async fn fill(pass: &Pass<'_>, plan: &mut Plan) -> Result<(), StorageError> {
    for (room_nid, (data_type, content)) in std::mem::take(&mut plan.room_account_data) {
        if !plan.rooms.iter().any(|task| task.read.room_nid == room_nid)
            && let Some(row) = pass.reader.joined_row(room_nid).await?
        {
            plan.rooms.push(RoomTask::quiet(pass, &row));
        }
        if let Some(task) = plan.rooms.iter_mut().find(|task| task.read.room_nid == room_nid) {
            set(&mut task.account_data, &data_type, &content);
        }
    }
    let needs_all = pass.tells_all() || plan.rooms.iter().any(|task| task.read.newly_joined);
    if !needs_all {
        return Ok(());
    }
    let mut all = list(&pass.reader).await?;
    if pass.tells_all() {
        plan.global_account_data = all.global;
    }
    for task in plan.rooms.iter_mut().filter(|task| task.read.full) {
        if let Some(entries) = all.by_room.remove(&task.read.room_nid) {
            task.account_data = entries;
        }
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
