"""Content hashes, reference hashes and redacted contents of odd events, in every room version."""

import hashlib
import json

from canonicaljson import encode_canonical_json
from synapse.crypto.event_signing import compute_content_hash, compute_event_reference_hash
from synapse.events.utils import prune_event
from synapse.federation.federation_base import event_from_pdu_json
from synapse.util.json import json_decoder
from unpaddedbase64 import encode_base64

from rooms import VERSIONS, version_of, write

TYPES = [
    "m.room.member", "m.room.create", "m.room.join_rules", "m.room.power_levels",
    "m.room.history_visibility", "m.room.aliases", "m.room.redaction", "m.room.message",
    "m.room.third_party_invite", "m.room.server_acl", "m.room.topic", "m.room.member.x", "",
]
CONTENT_KEYS = [
    "membership", "displayname", "join_authorised_via_users_server", "third_party_invite", "reason",
    "creator", "room_version", "m.federate", "additional_creators", "predecessor", "join_rule", "allow",
    "ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default",
    "invite", "notifications", "history_visibility", "aliases", "redacts", "body", "m.relates_to", "",
]
NUMBERS = [
    "0", "1", "-1", "50", "9007199254740991", "-9007199254740991",
]
ODD_NUMBERS = [
    "1e-7", "1.0", "-0", "-0.0", "0.0", "1E5", "1e16", "1e15", "123456789012345678", "0.1", "1.5e300",
    "9007199254740992", "-9007199254740993", "9223372036854775808", "18446744073709551616",
    "-9223372036854775809", "123456789012345678901234567890", "5e-324", "1.7976931348623157e308", "1e22",
    "0.00001", "0.0001", "123456.789e3", "1e+2", "2.5E-3", "4.35", "0.30000000000000004", "1e23",
    "9007199254740993.0", "8.41e21", "2.2250738585072011e-308", "50.57", "5.114698E4",
]
TEXTS = [
    '"x"', '""', '"\\u00e9"', '"é"', '"日本語"', '"😀"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\n\\t\\b\\f\\r"', '"\\u001f\\u007f"',
    '"\\/\\\\\\""', '"\\u2028"', '"ﬀ"', '"@a:h"', '"join"', '"invite"', '"$r:h"',
]
KEYS = ['"a"', '"b"', '"A"', '"é"', '"e\\u0301"', '"日"', '"😀"', '"ﬀ"', '"\\u0061"', '"signed"', '"x\\ny"', '"@a:h"', '""']
INVITES = [
    "null", "true", "7", '"x"', "[]", '[{"signed":{}}]', "{}", '{"signed":null}', '{"signed":{}}', '{"signed":[1]}',
    '{"signed":{"mxid":"@a:h","token":"t"},"display_name":"x"}', '{"display_name":"x"}', '{"signed":7,"signed":8}',
]


def value(dice, depth=0):
    roll = dice.random()
    if roll < 0.2:
        return dice.choice(["null", "true", "false"])
    if roll < 0.45:
        return dice.choice(ODD_NUMBERS if dice.random() < 0.15 else NUMBERS)
    if roll < 0.75 or depth > 2:
        return dice.choice(TEXTS)
    if roll < 0.85:
        return "[" + ", ".join(value(dice, depth + 1) for _ in range(dice.randrange(4))) + "]"
    return "{" + ",".join(f"{dice.choice(KEYS)} :{value(dice, depth + 1)}" for _ in range(dice.randrange(5))) + "}"


def content(dice, kind):
    keys = dice.sample(CONTENT_KEYS, dice.randrange(7))
    members = [f'"{key}": {value(dice)}' for key in keys]
    if kind == "m.room.member" and dice.random() < 0.6:
        members.append(f'"third_party_invite":{dice.choice(INVITES)}')
    dice.shuffle(members)
    if members and dice.random() < 0.1:
        members.append(members[0].partition(":")[0] + ":" + value(dice))
    return "{" + " , ".join(members) + "}"


def unsigned(dice):
    return dice.choice(['{"age":1}', "{}", '{"age_ts":5,"prev_content":{"a":1}}', '{"redacted_because":{}}'])


def event_text(dice):
    """The text of an event, in any spelling, with an `event_id` in both formats' form."""
    kind = dice.choice(TYPES)
    members = [
        f'"type":{json.dumps(kind)}', f'"content":{content(dice, kind)}', '"sender":"@a:h"', '"room_id":"!r:h"',
        f'"depth":{dice.choice(["0", "1", "9007199254740991"])}', f'"origin_server_ts":{dice.choice(["0", "1", "1700000000000"])}',
        '"hashes":{"sha256":"x"}', '"signatures":{"h":{"ed25519:k":"x"}}',
    ]
    if dice.random() < 0.6:
        members.append(f'"state_key":{dice.choice(TEXTS)}')
    if dice.random() < 0.5:
        members.append(f'"unsigned":{unsigned(dice)}')
    for key in ("origin", "membership", "prev_state", "redacts", "prev_content", "auth_chain", "é"):
        if dice.random() < 0.2:
            members.append(f'"{key}":{dice.choice(TEXTS) if key == "redacts" else value(dice)}')
    dice.shuffle(members)
    return members


def answer(text, version):
    """What Synapse makes of the event: `None` if it refuses it."""
    try:
        event = event_from_pdu_json(json_decoder.decode(text), version_of(version))
        redacted = prune_event(event).get_pdu_json()
        return {
            "kept": encode_canonical_json(redacted["content"]).decode(),
            "reference": encode_base64(compute_event_reference_hash(event, hashlib.sha256)[1]),
            "content": encode_base64(compute_content_hash(event.get_pdu_json(), hashlib.sha256)[1]),
        }
    except Exception:
        return None


def case(members):
    """One event and what each group of versions makes of it."""
    answers = []
    texts = {}
    for pairs in (True, False):
        references = '[["$p:h",{"sha256":"x"}]]' if pairs else '["$p"]'
        rest = [f'"prev_events":{references}', f'"auth_events":{references}'] + (['"event_id":"$e:h"'] if pairs else [])
        texts[pairs] = "{" + ",".join(members + rest) + "}"
    for version in VERSIONS:
        found = answer(texts[version in ("1", "2")], version)
        for known in answers:
            if known["answer"] == found:
                known["versions"].append(version)
                break
        else:
            answers.append({"versions": [version], "answer": found})
    return {"event": ",".join(members), "answers": answers}


def lines(dice, count):
    for number in ODD_NUMBERS:
        yield write(case([
            '"type":"m.room.power_levels"', f'"content":{{"ban":{number},"x":[{number}]}}', '"sender":"@a:h"', '"room_id":"!r:h"',
            '"depth":1', '"origin_server_ts":1', '"hashes":{"sha256":"x"}', '"signatures":{}', '"state_key":""',
        ]))
    for _ in range(count):
        yield write(case(event_text(dice)))
