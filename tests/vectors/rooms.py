"""Rooms whose events are written short, and read by Synapse."""

import json

from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict

VERSIONS = [str(number) for number in range(1, 13)]
USERS = ["@alice:one", "@bob:two", "@carol:three", "@dave:four", "@eve:one", "@frank:two"]
# Everybody signed everything; who must have is a matter of its own.
SIGNED = {server: {"ed25519:k": "x"} for server in ("one", "two", "three", "four")}


def version_of(name):
    return KNOWN_ROOM_VERSIONS[name]


def write(value):
    """JSON on one line, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Room:
    """A room: its events short, as they go into the file, and whole, as Synapse has them."""

    def __init__(self, version):
        self.version = version
        self.rules = version_of(version)
        self.short = []
        self.events = []

    def has_pairs(self):
        return self.version in ("1", "2")

    def room_id(self):
        if self.rules.msc4291_room_ids_as_hashes:
            return "!" + self.events[0].event_id[1:]
        return "!room:one"

    def make(self, short):
        """Read a short event without taking it into the room."""
        place = len(self.events)
        ids = lambda places: [self.events[at].event_id for at in places]
        if self.has_pairs():
            references = lambda places: [[event_id, {"sha256": ""}] for event_id in ids(places)]
        else:
            references = ids
        event = {
            "type": short["type"],
            "sender": short["sender"],
            "content": short["content"],
            "prev_events": references(short.get("prev", [])),
            "auth_events": references(short.get("auth", [])),
            "depth": short.get("depth", 1),
            "origin_server_ts": short.get("ts", 1),
            "hashes": {"sha256": ""},
            "signatures": SIGNED,
        }
        if "state_key" in short:
            event["state_key"] = short["state_key"]
        if "redacts" in short:
            event["redacts"] = short["redacts"]
        is_root = short["type"] == "m.room.create" and self.rules.msc4291_room_ids_as_hashes
        if "room_id" in short:
            event["room_id"] = short["room_id"]
        elif not is_root:
            event["room_id"] = self.room_id()
        if self.has_pairs():
            event["event_id"] = short.get("id", f"${place}:{short['sender'].rpartition(':')[2]}")
        return make_event_from_dict(event, self.rules)

    def add(self, short):
        """Take an event into the room. Returns its place."""
        self.events.append(self.make(short))
        self.short.append(short)
        return len(self.events) - 1
