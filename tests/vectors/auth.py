"""Verdicts of the auth rules over generated states and events, those that no honest server makes included."""

import asyncio

from signedjson.key import decode_signing_key_base64, get_verify_key
from signedjson.sign import sign_json
from synapse.event_auth import (
    auth_types_for_event,
    check_state_dependent_auth_rules,
    check_state_independent_auth_rules,
    validate_event_for_room_version,
)
from synapse.events import make_event_from_dict
from synapse.types import UserID
from unpaddedbase64 import encode_base64

from rooms import USERS, Room, VERSIONS, write

KEYS = [decode_signing_key_base64("ed25519", f"k{n}", encode_base64(bytes([n]) * 32)) for n in range(3)]
PUBLIC = [encode_base64(get_verify_key(key).encode()) for key in KEYS]
MEMBERSHIPS = ["join", "join", "join", "leave", "invite", "ban", "knock", None]
JOIN_RULES = ["public", "invite", "knock", "restricted", "knock_restricted", "private", "public", "invite", 5, None, {}]
LEVELS = [0, 0, 25, 50, 50, 75, 100, 101, -1]
# Levels as room versions up to 9 let them be written, and some that none does.
ODD_LEVELS = ["50", " 50 ", "+50", "-5", "050", "", "x", "5 0", None, [], {}, "9007199254740991"]
ODD_USERS = ["@a", "@", "alice:one", "@x:my_server", "@:one", "@UPPER Case:one", "@x:", "", "@x:one:8448", "@ü:one", "@x:y:z"]
NAMED = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"]


def level(dice, version):
    roll = dice.random()
    if roll < 0.1:
        return dice.choice(ODD_LEVELS)
    if roll < 0.13 and int(version) < 6:
        return dice.choice([50.0, 50.57, -0.5, 100.99, 2**53, 2**70, -2**70])
    return dice.choice(LEVELS)


def levels(dice, version, old=None):
    """Power levels: new ones, or the old with one or two changes."""
    if old is not None and isinstance(old.get("users"), dict):
        content = {key: dict(value) if isinstance(value, dict) else value for key, value in old.items()}
        for _ in range(dice.randrange(1, 3)):
            change(dice, version, content)
        return content
    content = {"users": {}}
    for user in USERS:
        if dice.random() < 0.4:
            content["users"][user] = level(dice, version)
    for _ in range(dice.randrange(4)):
        change(dice, version, content)
    return content


def change(dice, version, content):
    roll = dice.random()
    if roll < 0.4:
        name = dice.choice(NAMED)
        if name in content and dice.random() < 0.4:
            del content[name]
        else:
            content[name] = level(dice, version)
        return
    group = dice.choice(["users", "users", "events", "notifications"])
    if dice.random() < 0.04:
        content[group] = dice.choice([None, [], "x", 5, {}, {"@a:b": 5}])
        return
    entries = content.setdefault(group, {})
    if not isinstance(entries, dict):
        return
    names = {"users": USERS, "events": ["m.room.topic", "m.room.name", "m.room.redaction", "m.room.message"]}
    name = dice.choice(names.get(group, ["room", "x"]))
    if group == "users" and dice.random() < 0.06:
        name = dice.choice(ODD_USERS)
    if name in entries and dice.random() < 0.4:
        del entries[name]
    else:
        entries[name] = level(dice, version)


def create_content(dice, version):
    content = {"room_version": version}
    if int(version) < 11:
        content["creator"] = dice.choice(["@alice:one", "@alice:one", "@bob:two"])
    if version == "12" and dice.random() < 0.5:
        content["additional_creators"] = dice.sample(USERS, dice.randrange(3))
    if dice.random() < 0.15:
        content["m.federate"] = dice.choice([False, False, True])
    return content


def third_party_invite(dice):
    content = dice.choice([
        {"public_key": PUBLIC[0]},
        {"public_key": PUBLIC[1], "public_keys": [{"public_key": PUBLIC[0]}]},
        {"public_keys": [{"public_key": PUBLIC[2]}, {"public_key": PUBLIC[0], "key_validity_url": "x"}]},
        {"public_key": PUBLIC[2]},
        {"public_key": PUBLIC[1], "public_keys": []},
        {},
    ])
    return dict(content, display_name="x")


def state(dice, version):
    """A room whose events are one state, whoever could have made it."""
    room = Room(version)
    room.add({"type": "m.room.create", "state_key": "", "sender": "@alice:one", "content": create_content(dice, version)})
    for user in USERS:
        membership = "join" if user == "@alice:one" and dice.random() < 0.8 else dice.choice(MEMBERSHIPS)
        if membership is not None:
            room.add({"type": "m.room.member", "state_key": user, "sender": user, "content": {"membership": membership}})
    if dice.random() < 0.85:
        room.add({"type": "m.room.power_levels", "state_key": "", "sender": "@alice:one", "content": levels_in_force(dice, version)})
    if dice.random() < 0.85:
        rule = dice.choice(JOIN_RULES)
        content = {} if rule is None else {"join_rule": rule}
        room.add({"type": "m.room.join_rules", "state_key": "", "sender": "@alice:one", "content": content})
    for token in ("t", "u"):
        if dice.random() < 0.5:
            room.add({"type": "m.room.third_party_invite", "state_key": token, "sender": dice.choice(USERS[:3]),
                      "content": third_party_invite(dice)})
    return room


def levels_in_force(dice, version):
    """Levels that the version's own rules would have let in."""
    while True:
        content = levels(dice, version)
        values = [content[name] for name in NAMED if name in content]
        groups = [content[group] for group in ("users", "events", "notifications") if group in content]
        if int(version) < 10:
            if isinstance(content.get("users", {}), dict) and all(map(is_user, content.get("users", {}).items())):
                return content
            continue
        if all(type(value) is int for value in values) and all(
            isinstance(group, dict) and all(type(value) is int for value in group.values()) for group in groups
        ):
            return content


def is_user(entry):
    """Whether Synapse takes this entry of `users`."""
    try:
        int(entry[1])
        UserID.from_string(entry[0])
        return True
    except Exception:
        return False


def signed(dice, target):
    """`third_party_invite` of an invite: mostly right."""
    block = {"mxid": target if dice.random() < 0.9 else "@mallory:six", "token": dice.choice(["t", "t", "u", "none"])}
    block = sign_json(block, dice.choice(["id.server", "other"]), dice.choice([KEYS[0], KEYS[0], KEYS[1]]))
    roll = dice.random()
    if roll < 0.05:
        block["token"] = "changed"
    elif roll < 0.1:
        block.pop(dice.choice(["mxid", "token", "signatures"]))
    elif roll < 0.15:
        block["extra"] = 1
    elif roll < 0.2:
        block["signatures"] = dice.choice([{}, {"id.server": {}}, {"id.server": {"rsa:1": "x"}}, {"x": {"ed25519:k0": "AAAA"}}])
    elif roll < 0.25:
        block["unsigned"] = {"age": 1}
    return dice.choice([{"signed": block}] * 12 + [{"display_name": "x"}, {}, "x", None, [], {"signed": "x"}])


def member(dice, room):
    sender, target = dice.choice(USERS), dice.choice(USERS)
    membership = dice.choice(["join", "join", "leave", "leave", "invite", "invite", "ban", "knock"])
    if membership in ("join", "knock") and dice.random() < 0.85 or membership == "leave" and dice.random() < 0.4:
        target = sender
    content = {"membership": membership}
    if membership == "invite" and dice.random() < 0.5:
        content["third_party_invite"] = signed(dice, target)
    if dice.random() < 0.3:
        content["join_authorised_via_users_server"] = dice.choice(USERS + ["@nobody:two", "x", 5, None])
    if dice.random() < 0.04:
        content["membership"] = dice.choice(["x", "", 5, None, [], "JOIN"])
    if dice.random() < 0.02:
        del content["membership"]
    short = {"type": "m.room.member", "state_key": target, "sender": sender, "content": content}
    if dice.random() < 0.25:
        short["prev"] = dice.choice([[0], [0], [1], [0, 1]])
    if dice.random() < 0.02:
        short["state_key"] = dice.choice(ODD_USERS)
    return short


def attempt(dice, room):
    """An event that someone tries to send."""
    sender, version = dice.choice(USERS), room.version
    roll = dice.random()
    if roll < 0.5:
        return member(dice, room)
    if roll < 0.75:
        current = [short["content"] for short in room.short if short["type"] == "m.room.power_levels"]
        content = levels(dice, version, current[0] if current and dice.random() < 0.85 else None)
        return {"type": "m.room.power_levels", "state_key": "", "sender": sender, "content": content}
    if roll < 0.8:
        return {"type": "m.room.third_party_invite", "state_key": "n", "sender": sender, "content": {}}
    if roll < 0.84:
        key = dice.choice(["one", "two", "", "@alice:one"])
        short = {"type": "m.room.aliases", "state_key": key, "sender": sender, "content": {"aliases": []}}
        if dice.random() < 0.1:
            del short["state_key"]
        return short
    if roll < 0.88:
        return {"type": "m.room.redaction", "sender": sender, "content": {}, "id": f"$r:{sender.rpartition(':')[2]}",
                "redacts": dice.choice(["$x:one", "$x:two", "$x:nine"])}
    if roll < 0.92:
        key = dice.choice(USERS + ["@x", "@", "@alice:one_x", ""])
        return {"type": "org.example.own", "state_key": key, "sender": sender, "content": {}}
    if roll < 0.97:
        return {"type": dice.choice(["m.room.topic", "m.room.name", "m.room.join_rules"]), "state_key": "", "sender": sender,
                "content": {"join_rule": "public"}}
    return {"type": "m.room.message", "sender": sender, "content": {"body": "x"}}


def outcome(check):
    """`allow`, `refuse`, or what else Synapse died of, which no server can take for a yes."""
    try:
        check()
        return "allow"
    except Exception as error:
        return "refuse" if type(error).__name__ in ("AuthError", "UnstableSpecAuthError") else type(error).__name__


def dependent(dice, version, attempts):
    """States, and what their rules say of events."""
    room = state(dice, version)
    by_key = {(event.type, event.state_key): event for event in room.events}
    verdicts = []
    for _ in range(attempts):
        short = attempt(dice, room)
        event = room.make(short)
        types = set()

        def check():
            validate_event_for_room_version(event)
            types.update(auth_types_for_event(room.rules, event))
            chosen = [by_key[key] for key in types | {("m.room.create", "")} if key in by_key]
            check_state_dependent_auth_rules(event, chosen)

        verdict = outcome(check)
        is_shown = verdict == "allow" and short["type"] == "m.room.member"
        verdicts.append([short, verdict, sorted(types)] if is_shown else [short, verdict])
    return write({"version": version, "state": room.short, "events": verdicts})


class Store:
    """The events that an event cites."""

    def __init__(self, events):
        self.events = {event.event_id: event for event in events}

    async def get_events(self, event_ids, **_):
        return {event_id: self.events[event_id] for event_id in event_ids if event_id in self.events}


def cited(dice, room, short):
    """Citations of an event: the right ones, with some mistakes."""
    event = room.make(short)
    types = auth_types_for_event(room.rules, event)
    if room.version == "12":
        types.discard(("m.room.create", ""))
    places = [at for at, known in enumerate(room.events) if (known.type, known.get_state_key()) in types]
    roll = dice.random()
    if roll < 0.15 and places:
        places.remove(dice.choice(places))
    elif roll < 0.3:
        places.append(dice.randrange(len(room.events)))
    return places


def independent(dice, version, attempts):
    """What the rules about citations say of events."""
    room = state(dice, version)
    # Another event for a key that is taken, one that is no state, and one of another room.
    room.add({"type": "m.room.member", "state_key": "@alice:one", "sender": "@alice:one", "content": {"membership": "join", "x": 1}})
    room.add({"type": "m.room.message", "sender": "@alice:one", "content": {}})
    foreign = "!other:one" if version != "12" else "!" + "A" * 43
    room.add({"type": "m.room.member", "state_key": "@bob:two", "sender": "@bob:two", "content": {"membership": "join"}, "room_id": foreign})
    verdicts = []
    for _ in range(attempts):
        short = attempt(dice, room)
        try:
            places = cited(dice, room, short)
        except Exception:
            continue
        short["auth"] = places
        event = room.make(short)
        verdict = outcome(lambda: asyncio.run(check_state_independent_auth_rules(Store(room.events), event)))
        verdicts.append([short, verdict])
    return write({"version": version, "state": room.short, "events": verdicts})


def create(dice, version):
    """What the rules say of a create event."""
    room = Room(version)
    content = create_content(dice, version)
    for _ in range(dice.randrange(3)):
        key = dice.choice(["room_version", "creator", "additional_creators", "m.federate"])
        value = dice.choice(["99", "", version, 5, None, [], ["@a:b"], ["x"], [5], {}, "@alice:one", [""], ["@x:one", "@a:b:c"]])
        if dice.random() < 0.3 and (key != "room_version" or version == "1"):
            content.pop(key, None)
        else:
            content[key] = value
    short = {"type": "m.room.create", "state_key": "", "sender": dice.choice(["@alice:one", "@bob:two"]), "content": content}
    if dice.random() < 0.2:
        short["room_id"] = dice.choice(["!room:one", "!room:two"])
    verdict = outcome(lambda: asyncio.run(check_state_independent_auth_rules(Store([]), room.make(short))))
    return write({"version": version, "event": short, "verdict": verdict})


def signers(dice, version):
    """Which servers an event must be signed by: each of them is left out once."""
    room = Room(version)
    if version == "12":
        room.add({"type": "m.room.create", "state_key": "", "sender": "@alice:one", "content": {"room_version": "12"}})
    short = member(dice, room)
    short.pop("prev", None)
    if dice.random() < 0.2:
        short = {"type": "m.room.message", "sender": dice.choice(USERS), "content": {"join_authorised_via_users_server": "@x:four"}}
    if dice.random() < 0.3:
        short["id"] = "$e:" + dice.choice(["one", "two"])
    servers = ["one", "two", "three", "four"]

    def is_enough(signed_by):
        pdu = room.make(short).get_pdu_json()
        pdu["signatures"] = {server: {"ed25519:k": "x"} for server in signed_by}
        return outcome(lambda: validate_event_for_room_version(make_event_from_dict(pdu, room.rules))) == "allow"

    needed = [left_out for left_out in servers if not is_enough(set(servers) - {left_out})]
    # What is refused in any case asks for nobody's signature.
    needed = needed if is_enough(servers) else None
    return write({"version": version, "event": short, "needed": needed})
