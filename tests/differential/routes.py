"""The requests that both servers get: each route with a good request, from which the bad ones are made.

In paths and bodies `{name}` is filled in with what the server at hand calls it (see world.py). `fresh` names what the
request may spoil, and is made anew for it: a room, or a user.
"""

from dataclasses import dataclass, field

V1 = "/_matrix/client/v1"
V3 = "/_matrix/client/v3"


@dataclass
class Route:
    method: str
    path: str
    body: dict | None = None
    query: dict = field(default_factory=dict)
    user: str | None = "alice"
    fresh: str | None = None

    @property
    def name(self):
        return f"{self.method} {self.path.replace('/_matrix/client', '')}"


def get(path, query=None, **rest):
    return Route("GET", path, None, query or {}, **rest)


def put(path, body, **rest):
    return Route("PUT", path, body, **rest)


def post(path, body, **rest):
    return Route("POST", path, body, **rest)


def delete(path, **rest):
    return Route("DELETE", path, **rest)


MESSAGE = {"msgtype": "m.text", "body": "hello"}
FILTER = {
    "event_fields": ["type", "content"], "event_format": "client",
    "presence": {"types": ["m.presence"], "limit": 5, "senders": ["{alice}"]},
    "account_data": {"not_types": ["x.*"]},
    "room": {
        "rooms": ["{room}"], "include_leave": True,
        "timeline": {"limit": 5, "lazy_load_members": True, "contains_url": False, "types": ["m.room.*"]},
        "state": {"not_senders": ["{bob}"], "include_redundant_members": False},
    },
}
LOGIN = {
    "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "alice-password",
    "device_id": "LOGIN", "initial_device_display_name": "x", "refresh_token": False,
}
PASSWORD = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "{fresh_user}"}, "password": "fresh-password"}
REGISTER = {
    "username": "new{unique}", "password": "long-password", "device_id": "X", "initial_device_display_name": "x",
    "inhibit_login": False, "refresh_token": False, "auth": {"type": "m.login.dummy"},
}
EMAIL = {"client_secret": "s", "email": "a@example.org", "send_attempt": 1, "next_link": "https://example.org", "id_server": "x"}
MSISDN = {"client_secret": "s", "country": "GB", "phone_number": "07700900000", "send_attempt": 1}
CREATE = {
    "preset": "public_chat", "visibility": "private", "name": "n", "topic": "t", "room_version": "11", "is_direct": False,
    "room_alias_name": "alias{unique}", "invite": ["{bob}"], "creation_content": {"m.federate": True, "type": "m.space"},
    "initial_state": [{"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}],
    "power_level_content_override": {"events_default": 0, "users": {"{alice}": 100}},
}
PUSHER = {
    "pushkey": "k", "kind": "http", "app_id": "app", "app_display_name": "a", "device_display_name": "d", "lang": "en",
    "profile_tag": "p", "append": False, "data": {"url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only"},
}
POWER_LEVELS = {
    "users": {"{alice}": 100}, "users_default": 0, "events": {"m.room.name": 50}, "events_default": 0, "state_default": 50,
    "ban": 50, "kick": 50, "redact": 50, "invite": 0, "notifications": {"room": 50},
}
PUSH_RULE = {"actions": ["notify", {"set_tweak": "sound", "value": "default"}], "pattern": "word"}
UNDERRIDE = {"actions": ["notify"], "conditions": [{"kind": "event_match", "key": "type", "pattern": "m.room.*"}]}
ROOM = f"{V3}/rooms/{{room}}"


def state(event_type, content, key="", **rest):
    return put(f"{ROOM}/state/{event_type}/{key}", content, fresh="room", **rest)


ROUTES = [
    get("/_matrix/client/versions", user=None),
    get(f"{V3}/capabilities"),
    get(f"{V3}/login", user=None),
    post(f"{V3}/login", LOGIN, user=None),
    post(f"{V1}/login/get_token", {}),
    post(f"{V3}/logout", {}, fresh="user", user="fresh_user"),
    post(f"{V3}/logout/all", {}, fresh="user", user="fresh_user"),
    post(f"{V3}/refresh", {"refresh_token": "x"}, user=None),
    post(f"{V3}/register", REGISTER, user=None),
    post(f"{V3}/register", {}, query={"kind": "guest"}, user=None),
    get(f"{V3}/register/available", {"username": "free{unique}"}, user=None),
    get(f"{V1}/register/m.login.registration_token/validity", {"token": "x"}, user=None),
    get(f"{V3}/account/whoami"),
    get(f"{V3}/account/3pid"),
    post(f"{V3}/account/3pid/add", {"client_secret": "s", "sid": "1"}),
    post(f"{V3}/account/3pid/delete", {"medium": "email", "address": "a@example.org"}),
    post(f"{V3}/account/3pid", {"client_secret": "s", "sid": "1"}),
    post(f"{V3}/account/3pid/bind", {"client_secret": "s", "sid": "1", "id_server": "id.example.org", "id_access_token": "t"}),
    post(f"{V3}/account/3pid/unbind", {"medium": "email", "address": "a@example.org"}),
    post(f"{V3}/account/3pid/email/requestToken", EMAIL),
    post(f"{V3}/account/3pid/msisdn/requestToken", MSISDN),
    post(f"{V3}/register/email/requestToken", EMAIL, user=None),
    post(f"{V3}/register/msisdn/requestToken", MSISDN, user=None),
    post(f"{V3}/account/password/email/requestToken", EMAIL, user=None),
    post(f"{V3}/account/password/msisdn/requestToken", MSISDN, user=None),
    get(f"{V3}/auth/m.login.dummy/fallback/web", {"session": "x"}, user=None),
    post(f"{V3}/auth/m.login.dummy/fallback/web", {}, query={"session": "x"}, user=None),
    get("/_matrix/static/client/login/", user=None),
    post(f"{V3}/account/password", {"new_password": "p", "logout_devices": False, "auth": PASSWORD}, fresh="user", user="fresh_user"),
    post(f"{V3}/account/deactivate", {"erase": False, "auth": PASSWORD}, fresh="user", user="fresh_user"),
    get(f"{V3}/devices"),
    get(f"{V3}/devices/{{device}}"),
    put(f"{V3}/devices/{{device}}", {"display_name": "d"}),
    delete(f"{V3}/devices/NONE"),
    post(f"{V3}/delete_devices", {"devices": ["NONE"]}),
    post(f"{V3}/delete_devices", {"devices": ["NONE"], "auth": PASSWORD}, fresh="user", user="fresh_user"),
    put(f"{V3}/devices/{{fresh_device}}", {"display_name": "d"}, fresh="user", user="fresh_user"),
    get(f"{V3}/profile/{{alice}}", user=None),
    get(f"{V3}/profile/{{alice}}/displayname", user=None),
    put(f"{V3}/profile/{{alice}}/displayname", {"displayname": "Alice"}),
    put(f"{V3}/profile/{{alice}}/avatar_url", {"avatar_url": "mxc://one.localhost/x"}),
    put(f"{V3}/profile/{{alice}}/org.example.field", {"org.example.field": "x"}),
    delete(f"{V3}/profile/{{alice}}/org.example.none"),
    get(f"{V3}/presence/{{alice}}/status"),
    put(f"{V3}/presence/{{alice}}/status", {"presence": "online", "status_msg": "here"}),
    post(f"{V3}/user_directory/search", {"search_term": "bob", "limit": 5}),
    get(f"{V3}/user/{{alice}}/account_data/org.example.data"),
    put(f"{V3}/user/{{alice}}/account_data/org.example.data", {"a": 1}),
    put(f"{V3}/user/{{alice}}/account_data/m.ignored_user_list", {"ignored_users": {"@mallory:elsewhere": {}}}),
    put(f"{V3}/user/{{alice}}/account_data/m.direct", {"{bob}": ["{room}"]}),
    put(f"{V3}/user/{{alice}}/account_data/m.push_rules", {"global": {"override": [{"rule_id": "x", "actions": []}]}}),
    put(f"{V3}/user/{{fresh_user}}/account_data/m.invite_permission_config", {"default_action": "block"}, fresh="user", user="fresh_user"),
    put(f"{V3}/user/{{fresh_user}}/account_data/m.ignored_user_list", {"ignored_users": {"{bob}": {}}}, fresh="user", user="fresh_user"),
    put(f"{V3}/user/{{alice}}/rooms/{{room}}/account_data/m.tag", {"tags": {"u.x": {"order": 0.5}}}),
    get(f"{V3}/user/{{alice}}/rooms/{{room}}/account_data/org.example.data"),
    put(f"{V3}/user/{{alice}}/rooms/{{room}}/account_data/org.example.data", {"a": 1}),
    put(f"{V3}/user/{{alice}}/rooms/{{room}}/account_data/m.fully_read", {"event_id": "$x"}),
    get(f"{V3}/user/{{alice}}/rooms/{{room}}/tags"),
    put(f"{V3}/user/{{alice}}/rooms/{{room}}/tags/u.work", {"order": 0.5}),
    delete(f"{V3}/user/{{alice}}/rooms/{{room}}/tags/u.none"),
    post(f"{V3}/user/{{alice}}/filter", FILTER),
    get(f"{V3}/user/{{alice}}/filter/{{filter}}"),
    post(f"{V3}/user/{{alice}}/openid/request_token", {}),
    get(f"{V3}/sync", {"timeout": "0", "filter": '{{"room":{{"timeline":{{"limit":1}}}}}}', "full_state": "false", "set_presence": "offline", "since": ""}),
    get(f"{V3}/sync", {"timeout": "0", "since": "{since}"}, user="carol"),
    get(f"{V3}/events", {"timeout": "0", "from": "", "limit": "2"}),
    get(f"{V3}/events/{{event}}"),
    get(f"{V3}/initialSync", {"limit": "2", "archived": "false"}, user="carol"),
    get(f"{V3}/pushrules/"),
    get(f"{V3}/pushrules/global/"),
    get(f"{V3}/pushrules"),
    get(f"{V3}/pushrules/global"),
    get(f"{V3}/pushrules/device/"),
    get(f"{V3}/pushrules/global/content"),
    get(f"{V3}/pushrules/global/nope/"),
    get(f"{V3}/pushrules/global/content/none"),
    get(f"{V3}/pushrules/global/content/.m.rule.contains_user_name/nope"),
    get(f"{V3}/pushrules/global/override/"),
    get(f"{V3}/pushrules/global/override/.m.rule.master"),
    get(f"{V3}/pushrules/global/override/.m.rule.master/enabled"),
    get(f"{V3}/pushrules/global/content/.m.rule.contains_user_name/actions"),
    put(f"{V3}/pushrules/global/content/word", PUSH_RULE),
    put(f"{V3}/pushrules/global/underride/mine", UNDERRIDE, query={"before": ".m.rule.message"}),
    put(f"{V3}/pushrules/global/room/{{room}}", {"actions": []}),
    put(f"{V3}/pushrules/global/sender/{{bob}}", {"actions": ["dont_notify"]}),
    put(f"{V3}/pushrules/global/override/.m.rule.master/enabled", {"enabled": False}),
    put(f"{V3}/pushrules/global/override/.m.rule.suppress_notices/actions", {"actions": ["notify"]}),
    put(f"{V3}/pushrules/device/content/word", PUSH_RULE),
    put(f"{V3}/pushrules/global/nope/word", PUSH_RULE),
    put(f"{V3}/pushrules/global/content/word/nope", {"nope": True}),
    delete(f"{V3}/pushrules/global/override/none"),
    delete(f"{V3}/pushrules/global/nope/none"),
    get(f"{V3}/pushers"),
    post(f"{V3}/pushers/set", PUSHER),
    get(f"{V3}/notifications", {"limit": "3"}),
    get(f"{V3}/voip/turnServer"),
    get(f"{V3}/thirdparty/protocols"),
    get(f"{V3}/joined_rooms"),
    get(f"{V3}/publicRooms", {"limit": "2", "since": ""}, user=None),
    post(f"{V3}/publicRooms", {"limit": 2, "since": "", "filter": {"generic_search_term": "x", "room_types": [None]}, "include_all_networks": False}),
    post(f"{V3}/publicRooms", {"since": ""}),
    get(f"{V3}/directory/list/room/{{room}}", user=None),
    put(f"{V3}/directory/list/room/{{room}}", {"visibility": "public"}),
    get(f"{V3}/directory/room/{{alias}}", user=None),
    put(f"{V3}/directory/room/%23put{{unique}}:diff.localhost", {"room_id": "{room}"}),
    delete(f"{V3}/directory/room/%23none:diff.localhost"),
    post(f"{V3}/createRoom", CREATE),
    post(f"{V3}/join/{{fresh_room}}", {"reason": "r"}, user="carol", fresh="room"),
    post(f"{V3}/join/{{alias}}", {}, user="bob"),
    post(f"{V3}/knock/{{fresh_room}}", {"reason": "r"}, user="carol", fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/join", {"reason": "r"}, user="carol", fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/leave", {"reason": "r"}, user="bob", fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/forget", {}, user="bob", fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/invite", {"user_id": "{carol}", "reason": "r"}, fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/kick", {"user_id": "{bob}", "reason": "r"}, fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/ban", {"user_id": "{bob}", "reason": "r"}, fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/unban", {"user_id": "{bob}", "reason": "r"}, fresh="room"),
    post(f"{V3}/rooms/{{fresh_room}}/upgrade", {"new_version": "11"}, fresh="room"),
    get(f"{ROOM}/state"),
    get(f"{ROOM}/state/m.room.name"),
    get(f"{ROOM}/state/m.room.member/{{bob}}", {"format": "event"}),
    get(f"{ROOM}/members", {"membership": "join", "not_membership": "ban", "at": ""}),
    get(f"{ROOM}/joined_members"),
    get(f"{ROOM}/aliases"),
    get(f"{ROOM}/initialSync", {"limit": "2"}),
    get(f"{ROOM}/messages", {"dir": "b", "limit": "3", "from": "", "to": "", "filter": '{{"types":["m.room.message"]}}'}),
    get(f"{ROOM}/context/{{event}}", {"limit": "2", "filter": "{{}}"}),
    get(f"{ROOM}/event/{{event}}"),
    get(f"{V1}/rooms/{{room}}/timestamp_to_event", {"ts": "1", "dir": "f"}),
    get(f"{V1}/rooms/{{room}}/relations/{{event}}", {"limit": "2", "dir": "b", "recurse": "false"}),
    get(f"{V1}/rooms/{{room}}/relations/{{event}}/m.annotation/m.reaction"),
    get(f"{V1}/rooms/{{room}}/threads", {"limit": "2", "include": "all", "from": ""}),
    get(f"{V1}/rooms/{{space}}/hierarchy", {"limit": "2", "max_depth": "1", "suggested_only": "false", "from": ""}),
    get(f"{V1}/room_summary/{{room}}"),
    get("/_matrix/client/unstable/im.nheko.summary/summary/{alias}"),
    get("/_matrix/client/unstable/im.nheko.summary/rooms/{room}/summary"),
    put(f"{ROOM}/send/m.room.message/{{unique}}", MESSAGE),
    put(f"{ROOM}/send/m.room.message/{{unique}}", dict(MESSAGE, **{"m.relates_to": {"rel_type": "m.thread", "event_id": "{event}",
        "is_falling_back": True, "m.in_reply_to": {"event_id": "{event}"}}})),
    put(f"{ROOM}/send/m.room.message/{{unique}}", dict(MESSAGE, **{"m.new_content": {"body": "b"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": "{event}"}, "m.mentions": {"user_ids": ["{bob}"], "room": True}})),
    put(f"{ROOM}/send/m.reaction/{{unique}}", {"m.relates_to": {"rel_type": "m.annotation", "event_id": "{event}", "key": "k{unique}"}}),
    put(f"{ROOM}/send/org.example.type/{{unique}}", {"a": {"b": [1, "x"]}}),
    put(f"{ROOM}/send/m.room.encrypted/{{unique}}", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "device_id": "D"}),
    put(f"{ROOM}/send/m.call.invite/{{unique}}", {"call_id": "c", "version": 1, "lifetime": 1000, "offer": {"type": "offer", "sdp": "x"}}),
    put(f"{ROOM}/send/m.room.redaction/{{unique}}", {"redacts": "{event2}", "reason": "r"}),
    post(f"{ROOM}/send/org.example.type", {"a": {"b": [1, "x"]}}),
    put(f"{ROOM}/redact/{{event2}}/{{unique}}", {"reason": "r"}),
    post(f"{ROOM}/redact/{{event2}}", {"reason": "r"}),
    put(f"{ROOM}/typing/{{alice}}", {"typing": True, "timeout": 5000}),
    post(f"{ROOM}/receipt/m.read/{{event}}", {"thread_id": "main"}),
    post(f"{ROOM}/read_markers", {"m.fully_read": "{event}", "m.read": "{event}", "m.read.private": "{event}"}),
    state("m.room.name", {"name": "n"}),
    state("m.room.topic", {"topic": "t", "m.topic": {"m.text": [{"body": "t", "mimetype": "text/plain"}]}}),
    state("m.room.avatar", {"url": "mxc://one.localhost/x", "info": {"w": 1}}),
    state("m.room.join_rules", {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": "{room}"}]}),
    state("m.room.history_visibility", {"history_visibility": "joined"}),
    state("m.room.guest_access", {"guest_access": "forbidden"}),
    state("m.room.power_levels", POWER_LEVELS),
    state("m.room.member", {"membership": "join", "displayname": "x", "avatar_url": "mxc://one.localhost/x"}, key="{alice}"),
    state("m.room.member", {"membership": "invite", "reason": "x"}, key="{carol}"),
    state("m.room.server_acl", {"allow": ["*"], "deny": ["evil.org"], "allow_ip_literals": True}),
    state("m.room.canonical_alias", {"alias": "{decoded_alias}", "alt_aliases": ["{decoded_alias}"]}),
    state("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": 604800000}),
    state("m.room.pinned_events", {"pinned": ["{event}"]}),
    state("m.room.tombstone", {"body": "b", "replacement_room": "{room}"}),
    state("m.room.third_party_invite", {"display_name": "x", "key_validity_url": "https://x", "public_key": "x", "public_keys": []}, key="token"),
    state("m.space.child", {"via": ["diff.localhost"], "order": "a", "suggested": True}, key="{room}"),
    state("m.room.retention", {"max_lifetime": 86400000, "min_lifetime": 1000}),
    state("org.example.state", {"a": 1}, key="k"),
    get("/_synapse/admin/v1/register", user=None),
    post("/_synapse/admin/v1/register", {"nonce": "n", "username": "admin{unique}", "password": "p", "admin": False, "mac": "m",
         "user_type": "bot", "displayname": "x"}, user=None),
    get("/.well-known/matrix/client", user=None),
]

# A state key or a room of its own that the request may spoil stands for the shared one.
for _route in ROUTES:
    if _route.fresh == "room":
        _route.path = _route.path.replace("{room}", "{fresh_room}")
