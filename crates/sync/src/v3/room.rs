//! The rooms of an answer.

use myelin_events::{canonical::write_string, client::Format, filter::EventFormat};
use myelin_storage::MembershipRow;

use super::{
    Pass, ephemeral,
    plan::{Plan, RoomTask},
    state::{self, Room},
};
use crate::{
    reader::{
        EventForm, EventWriter, Loaded, Summary, Timeline, account_data, cut, summary,
        write_stripped_state,
    },
    unread::Unread,
};

/// Write all rooms, if there are any to tell of.
pub(super) fn write_all(pass: &Pass<'_>, plan: &Plan, loaded: &Loaded, out: &mut String) {
    let (mut joined, mut left) = (String::new(), String::new());
    for task in &plan.rooms {
        let Some((room_id, _)) = loaded.room(task.read.room_nid) else { continue };
        if !pass.allows_room(room_id) {
            continue;
        }
        let section = if task.read.is_joined() { &mut joined } else { &mut left };
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
    write_outside(pass, &plan.invited, loaded, "invite", &mut sections);
    write_outside(pass, &plan.knocked, loaded, "knock", &mut sections);
    write_section("leave", &left, &mut sections);
    if !sections.is_empty() {
        out.push_str(",\"rooms\":{");
        out.push_str(&sections);
        out.push('}');
    }
}

/// Write the rooms that the user is invited to, or knocks at, if there are any. `kind` is `invite` or `knock`.
fn write_outside(
    pass: &Pass<'_>,
    rows: &[MembershipRow],
    loaded: &Loaded,
    kind: &str,
    out: &mut String,
) {
    let mut rooms = String::new();
    for row in rows {
        let Some((room_id, version)) = loaded.room(row.room_nid) else { continue };
        let Some(own) = loaded.events.get(&row.event_nid) else { continue };
        if !pass.reader.takes_invite(own) || !pass.allows_room(room_id) {
            continue;
        }
        if !rooms.is_empty() {
            rooms.push(',');
        }
        write_string(&mut rooms, room_id.as_str());
        rooms.push_str(&format!(":{{\"{kind}_state\":{{\"events\":["));
        write_stripped_state(row, own, version, loaded, &mut rooms);
        rooms.push_str("]}}");
    }
    write_section(kind, &rooms, out);
}

/// Write a section with its rooms, if there are any.
fn write_section(name: &str, rooms: &str, out: &mut String) {
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
    let read = &task.read;
    let room_nid = read.room_nid;
    let (Some((_, version)), Some(window)) = (loaded.room(room_nid), loaded.windows.get(&room_nid))
    else {
        return false;
    };
    let timeline = cut(&pass.reader, &pass.wants(), read, window, loaded);
    let summary = summary(&pass.reader, read, window, &timeline, loaded);
    let heroes = summary.as_ref().and_then(|summary| summary.heroes.as_deref());
    let heroes = heroes.unwrap_or_default();
    let room = Room { pass, read, window, timeline: &timeline, loaded, heroes };
    let state = state::events(&room);
    let mut ephemeral = String::new();
    if read.is_joined() {
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
        && !read.full
        && (!timeline.limited || window.events.is_empty());
    if says_nothing {
        return false;
    }
    let writer = EventWriter {
        seen: Some(&timeline.seen).filter(|_| timeline.limited),
        ..loaded.writer(&pass.reader, form(pass), read, version)
    };
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
    if read.is_joined() {
        out.push_str(",\"ephemeral\":{\"events\":[");
        out.push_str(&ephemeral);
        out.push_str("]},\"summary\":");
        write_summary(summary.as_ref(), out);
        write_unread(pass, unread, out);
    }
    out.push('}');
    true
}

/// The form of events that the client asked for.
fn form<'a>(pass: &'a Pass<'_>) -> EventForm<'a> {
    let filter = pass.filter();
    let format = match filter.event_format {
        EventFormat::Client => Format::Sync,
        EventFormat::Federation => Format::Federation,
    };
    EventForm { format, fields: &filter.event_fields }
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

/// Write who is in the room; `{}` where that did not change.
fn write_summary(summary: Option<&Summary<'_>>, out: &mut String) {
    out.push('{');
    if let Some(summary) = summary {
        if let Some(heroes) = &summary.heroes {
            out.push_str("\"m.heroes\":[");
            for (at, (user_id, _)) in heroes.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, user_id.as_str());
            }
            out.push_str("],");
        }
        out.push_str(&format!(
            "\"m.invited_member_count\":{},\"m.joined_member_count\":{}",
            summary.members.invited, summary.members.joined
        ));
    }
    out.push('}');
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
