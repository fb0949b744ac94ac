//! The passing state of a room: the users who type, and the receipts.

use super::{Pass, plan::RoomTask};
use crate::reader::{self, Loaded, Receipts};

/// Write the ephemeral events of a room, separated by commas.
pub(super) fn write(pass: &Pass<'_>, task: &RoomTask, loaded: &Loaded, out: &mut String) {
    let room = &task.read;
    let room_nid = room.room_nid;
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
        for entry in room.entries.iter().filter(|_| !room.full) {
            receipts.add_entry(entry, pass.reader.user_id);
        }
        receipts.write(None, out);
    }
    if task.typing && filter.allows_type("m.typing") {
        write_typers(pass, task, out);
    }
}

fn write_typers(pass: &Pass<'_>, task: &RoomTask, out: &mut String) {
    let (stamp, users) = pass.reader.sync.db().ephemeral().typing(task.read.room_nid);
    let changed = pass.since.is_some_and(|since| stamp > since.stamp);
    if users.is_empty() && (!changed || task.read.newly_joined) {
        return;
    }
    if !out.is_empty() {
        out.push(',');
    }
    reader::write_typing(&pass.reader, &users, None, out);
}
