//! The rooms of an answer.

use myelin_events::canonical::write_string;

use super::{
    Pass, account_data, ephemeral,
    events::EventWriter,
    load::Loaded,
    plan::{Plan, RoomTask},
    state::{self, Room},
    stripped, summary,
    timeline::{self, Timeline},
};
use crate::unread::Unread;

/// Write all rooms, if there are any to tell of.
pub(super) fn write_all(pass: &Pass<'_>, plan: &Plan, loaded: &Loaded, out: &mut String) {
    if pass.since.is_none() {
        pass.sync.sent_members().clear(pass.session);
    }
    let (mut joined, mut left) = (String::new(), String::new());
    for task in &plan.rooms {
        let Some((room_id, _)) = loaded.room(task.row.room_nid) else { continue };
        if !pass.allows_room(room_id) {
            continue;
        }
        let section = if task.is_joined() { &mut joined } else { &mut left };
        let length = section.len();
        if length > 0 {
            section.push(',');
        }
        write_string(section, room_id.as_str());
        section.push(':');
        if !write_room(pass, task, loaded, section) {
            section.truncate(length);
        }
    }
    let mut sections = String::new();
    write_section("join", &joined, &mut sections);
    stripped::write(pass, &plan.invited, loaded, "invite", &mut sections);
    stripped::write(pass, &plan.knocked, loaded, "knock", &mut sections);
    write_section("leave", &left, &mut sections);
    if !sections.is_empty() {
        out.push_str(",\"rooms\":{");
        out.push_str(&sections);
        out.push('}');
    }
}

/// Write a section with its rooms, if there are any.
pub(super) fn write_section(name: &str, rooms: &str, out: &mut String) {
    if rooms.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(&format!("\"{name}\":{{{rooms}}}"));
}

/// Write a room. Whether there was anything to tell; if not, what was written is to be thrown away.
fn write_room(pass: &Pass<'_>, task: &RoomTask, loaded: &Loaded, out: &mut String) -> bool {
    let room_nid = task.row.room_nid;
    let (Some((_, version)), Some(window)) = (loaded.room(room_nid), loaded.windows.get(&room_nid))
    else {
        return false;
    };
    let timeline = timeline::cut(pass, task, window, loaded);
    let summary = summary::summary(pass, task, window, &timeline, loaded);
    let heroes = &summary.heroes;
    let room = Room { pass, task, window, timeline: &timeline, loaded, heroes };
    let state = state::events(&room);
    let mut ephemeral = String::new();
    if task.is_joined() {
        ephemeral::write(pass, task, loaded, &mut ephemeral);
    }
    let mut account_data = String::new();
    let filter = &pass.filter().room.account_data;
    if loaded.room(room_nid).is_some_and(|(room_id, _)| filter.allows_room(room_id)) {
        account_data::write_events(&task.account_data, filter, &mut account_data);
    }
    let unread = loaded.unread.get(&room_nid);
    let says_nothing = timeline.events.is_empty()
        && state.is_empty()
        && ephemeral.is_empty()
        && account_data.is_empty()
        && !task.full
        && (!timeline.limited || window.events.is_empty());
    if says_nothing {
        return false;
    }
    let writer = EventWriter { pass, version, loaded };
    out.push_str("{\"timeline\":{\"events\":[");
    write_timeline(&writer, &timeline, out);
    out.push_str(&format!(
        "],\"limited\":{},\"prev_batch\":\"t{}\"}},\"{}\":{{\"events\":[",
        timeline.limited,
        timeline.before,
        pass.request.state_after.unwrap_or("state"),
    ));
    for (at, event) in state.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        writer.write(event, None, out);
    }
    out.push_str("]},\"account_data\":{\"events\":[");
    out.push_str(&account_data);
    out.push_str("]}");
    if task.is_joined() {
        out.push_str(",\"ephemeral\":{\"events\":[");
        out.push_str(&ephemeral);
        out.push_str("]},\"summary\":");
        out.push_str(&summary.json);
        write_unread(pass, unread, out);
    }
    out.push('}');
    true
}

fn write_timeline(writer: &EventWriter<'_>, timeline: &Timeline, out: &mut String) {
    for (at, (event, membership)) in timeline.events.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        // Who was never in the room counts as out of it.
        writer.write(event, Some(membership.unwrap_or(myelin_model::Membership::Leave)), out);
    }
}

fn write_unread(pass: &Pass<'_>, unread: Option<&Unread>, out: &mut String) {
    let Some(unread) = unread else { return };
    let by_thread = pass.filter().room.timeline.unread_thread_notifications;
    let count = if by_thread { unread.main } else { unread.all() };
    out.push_str(&format!(
        ",\"unread_notifications\":{{\"highlight_count\":{},\"notification_count\":{}}}",
        count.highlights, count.notifications
    ));
    if !by_thread || unread.threads.is_empty() {
        return;
    }
    out.push_str(",\"unread_thread_notifications\":{");
    for (at, (thread, count)) in unread.threads.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, thread);
        out.push_str(&format!(
            ":{{\"highlight_count\":{},\"notification_count\":{}}}",
            count.highlights, count.notifications
        ));
    }
    out.push('}');
}
