"""Who sees an event: each visibility, membership and kind of event, for users and for servers."""

import itertools

from synapse.synapse_rust.events import event_visible_to_server
from synapse.storage.databases.main.room import RetentionPolicy
from synapse.visibility import _check_client_allowed_to_see_event

from rooms import Room, write

VISIBILITIES = [None, "world_readable", "shared", "invited", "joined", "x"]
MEMBERSHIPS = [None, "join", "invite", "knock", "leave", "ban"]
READER = "@bob:two"


def event_of(room, kind, key, content, before):
    short = {"type": kind, "sender": "@alice:one", "content": content}
    if key is not None:
        short["state_key"] = key
    event = room.make(short)
    if before is not None:
        event.unsigned["prev_content"] = before
    return event


def content(name, value):
    return None if value is None else {name: value}


def seen(room, visibility, membership, event, joined_since):
    state = {}
    if visibility is not None:
        state[("m.room.history_visibility", "")] = event_of(room, "m.room.history_visibility", "", content("history_visibility", visibility), None)
    if membership is not None:
        state[("m.room.member", READER)] = event_of(room, "m.room.member", READER, content("membership", membership), None)
    found = _check_client_allowed_to_see_event(
        user_id=READER, event=event, clock=None, filter_send_to_client=True, is_peeking=not joined_since, always_include_ids=frozenset(),
        sender_ignored=False, retention_policy=RetentionPolicy(), state=state, sender_erased=False,
    )
    return found is not None


def lines():
    """[visibility before, after, membership before, after, joined since, seen]: of an event that changes one of the two, or none."""
    room = Room("11")
    room.add({"type": "m.room.create", "state_key": "", "sender": "@alice:one", "content": {"room_version": "11"}})
    for visibility, membership, since in itertools.product(VISIBILITIES, MEMBERSHIPS, (False, True)):
        message = event_of(room, "m.room.message", None, {"body": "x"}, None)
        yield write([visibility, visibility, membership, membership, since, seen(room, visibility, membership, message, since)])
        for new in VISIBILITIES[1:]:
            change = event_of(room, "m.room.history_visibility", "", content("history_visibility", new), content("history_visibility", visibility))
            yield write([visibility, new, membership, membership, since, seen(room, new, membership, change, since)])
        for new in MEMBERSHIPS[1:]:
            change = event_of(room, "m.room.member", READER, content("membership", new), content("membership", membership))
            yield write([visibility, visibility, membership, new, since, seen(room, visibility, new, change, since)])


def server_lines():
    """[visibility, memberships of the server's users, seen]"""
    for visibility in VISIBILITIES[1:5]:
        for count in range(3):
            for memberships in itertools.combinations_with_replacement(MEMBERSHIPS[1:], count):
                yield write([visibility, memberships, event_visible_to_server(
                    sender="@alice:one", target_server_name="two", history_visibility=visibility, erased_senders={},
                    partial_state_invisible=False, memberships=[("@bob:two", membership) for membership in memberships],
                )])
