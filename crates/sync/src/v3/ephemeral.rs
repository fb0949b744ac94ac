//! What passes in a room: who types, who has read how far.

use myelin_events::canonical::write_string;

use super::{Pass, load::Loaded, plan::RoomTask, receipts::Receipts};

/// Write the ephemeral events of a room, separated by commas.
pub(super) fn write(pass: &Pass<'_>, task: &RoomTask, loaded: &Loaded, out: &mut String) {
    let room_nid = task.row.room_nid;
    let filter = &pass.filter().room.ephemeral;
    let Some(head) = loaded.heads.get(&room_nid) else { return };
    if filter.blocks_all() || !filter.allows_room(&head.room_id) {
        return;
    }
    if filter.allows_type("m.receipt") {
        let mut receipts = Receipts::default();
        for row in loaded.receipts.get(&room_nid).into_iter().flatten() {
            receipts.add_row(row);
        }
        for entry in task.entries.iter().filter(|_| !task.full) {
            receipts.add_entry(entry, pass.user_id());
        }
        receipts.write(out);
    }
    if task.typing && filter.allows_type("m.typing") {
        write_typing(pass, task, out);
    }
}

fn write_typing(pass: &Pass<'_>, task: &RoomTask, out: &mut String) {
    let (stamp, users) = pass.sync.db().ephemeral().typing(task.row.room_nid);
    let changed = pass.since.is_some_and(|since| stamp > since.stamp);
    if users.is_empty() && (!changed || task.newly_joined) {
        return;
    }
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str("{\"content\":{\"user_ids\":[");
    let heard = users.iter().filter(|user_id| !pass.personal.ignored.contains(*user_id));
    for (at, user_id) in heard.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, user_id.as_str());
    }
    out.push_str("]},\"type\":\"m.typing\"}");
}
