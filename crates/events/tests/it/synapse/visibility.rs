//! The readers of an event, by visibility and membership before and after it.

use myelin_events::visibility::{HistoryVisibility, Viewpoint, may_see, server_may_see};
use myelin_model::Membership;
use ruma::{server_name, user_id};
use serde::Deserialize;

use super::{Differences, lines};

/// Visibility before and after, the reader's membership before and after, whether the reader joined since, whether it is seen.
#[derive(Debug, Deserialize)]
struct Case(Option<String>, Option<String>, Option<String>, Option<String>, bool, bool);

fn visibility(name: Option<&str>) -> HistoryVisibility {
    name.map_or_else(HistoryVisibility::default, |name| {
        HistoryVisibility::parse(&format!(r#"{{"history_visibility":"{name}"}}"#))
    })
}

#[test]
fn users_see_what_they_see_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<Case>("visibility") {
        let Case(visibility_before, visibility_after, before, after, joined_since, seen) = &case;
        let membership = |name: &Option<String>| name.as_deref().and_then(Membership::parse);
        let view = Viewpoint {
            visibility_before: visibility(visibility_before.as_deref()),
            visibility_after: visibility(visibility_after.as_deref()),
            membership_before: membership(before),
            membership_after: membership(after),
            joined_since: *joined_since,
        };
        let is_member_event = view.membership_before != view.membership_after;
        // One's own member events are seen in any case, which `Sight` says before it asks here; Synapse says it here of a leave.
        let is_own_leave = is_member_event && view.membership_after == Some(Membership::Leave);
        // "The user should be allowed to see the event if the `history_visibility` before or after the event would allow them to see it."
        let is_change = view.visibility_before != view.visibility_after;
        let explained = if *seen { is_own_leave } else { is_change };
        differences.compare(may_see(&view), *seen, explained, || format!("{case:?}"));
    }
    differences.finish(700);
}

#[derive(Debug, Deserialize)]
struct ServerCase(String, Vec<String>, bool);

#[test]
fn servers_see_what_they_see_in_synapse() {
    let mut differences = Differences::default();
    for case in lines::<ServerCase>("server_visibility") {
        let members = case.1.iter().filter_map(|name| Membership::parse(name));
        let members = members.map(|membership| (user_id!("@bob:two"), membership));
        let ours = server_may_see(visibility(Some(&case.0)), server_name!("two"), members);
        differences.compare(ours, case.2, false, || format!("{case:?}"));
    }
    differences.finish(80);
}
