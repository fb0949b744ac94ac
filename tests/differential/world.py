"""One server, and what it calls the things that requests name."""

import http.client
import json
import threading
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 30

# What clients read all the time, besides /sync.
LOOKS = [
    "/pushrules/", "/pushers", "/devices", "/joined_rooms", "/profile/{alice}", "/rooms/{room}/messages?dir=b&limit=20",
    "/rooms/{room}/members", "/rooms/{room}/joined_members", "/rooms/{room}/state", "/publicRooms?limit=20",
]


class World:
    """Users and rooms on one server, the same on both."""

    def __init__(self, name, url):
        self.name, self.local = name, threading.local()
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.names, self.tokens = {}, {"nobody": "no-such-token"}

    def send(self, method, path, body=None, token=None, headers=None):
        """Status, and the answer: read as JSON where it is JSON."""
        if headers is None:
            headers = {} if body is None else {"Content-Type": "application/json"}
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        kept, self.local.connection = getattr(self.local, "connection", None), None
        connection = kept or http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept and isinstance(error, (ConnectionError, http.client.BadStatusLine)):
                # A kept connection that the server closed after its last answer says nothing of this request.
                return self.send(method, path, body, token, headers)
            return type(error).__name__, None
        if response.will_close:
            connection.close()
        else:
            self.local.connection = connection
        try:
            return response.status, json.loads(content)
        except ValueError:
            return response.status, f"not JSON: {response.getheader('Content-Type')}"

    def must(self, method, path, body=None, user=None):
        status, answer = self.send(method, f"/_matrix/client/v3{path}", None if body is None else json.dumps(body).encode(), self.tokens.get(user))
        if status != 200:
            raise RuntimeError(f"{self.name}: {method} {path}: {status} {answer}")
        return answer

    def register(self, key, name, password):
        answer = self.must("POST", "/register", {"username": name, "password": password, "auth": {"type": "m.login.dummy"}})
        self.names[key], self.tokens[key] = answer["user_id"], answer["access_token"]
        return answer

    def make_room(self, **options):
        room = self.must("POST", "/createRoom", {"preset": "public_chat", "room_version": "11", **options}, "alice")["room_id"]
        self.must("POST", f"/rooms/{quote(room)}/join", {}, "bob")
        return room

    def say(self, room, content):
        self.names["said"] = self.names.get("said", 0) + 1
        path = f"/rooms/{quote(room)}/send/m.room.message/said{self.names['said']}"
        return self.must("PUT", path, {"msgtype": "m.text", **content}, "alice")["event_id"]

    def begin(self):
        for key in ("alice", "bob", "carol"):
            answer = self.register(key, key, f"{key}-password")
            if key == "alice":
                self.names["device"] = answer["device_id"]
        names = self.names
        names["room"] = self.make_room(name="Room", room_alias_name="room")
        names["decoded_alias"] = names["alias"] = "#room:" + names["alice"].partition(":")[2]
        names["event"] = self.say(names["room"], {"body": "first"})
        names["event2"] = self.say(names["room"], {"body": "second"})
        names["space"] = self.make_room(creation_content={"type": "m.space"})
        self.must("PUT", f"/rooms/{quote(names['space'])}/state/m.space.child/{quote(names['room'])}", {"via": ["diff.localhost"]}, "alice")
        names["filter"] = self.must("POST", f"/user/{quote(names['alice'])}/filter", {"room": {"timeline": {"limit": 3}}}, "alice")["filter_id"]
        self.must("PUT", f"/user/{quote(names['alice'])}/account_data/org.example.data", {"a": 1}, "alice")
        names["since"] = self.must("GET", "/sync?timeout=0", user="carol")["next_batch"]

    def prepare(self, request, number):
        """Make what the request may spoil."""
        self.names["unique"] = f"n{number}"
        if request.route.fresh == "room":
            self.names["fresh_room"] = self.make_room()
        elif request.route.fresh == "user":
            answer = self.register("fresh_user", f"fresh{number}", "fresh-password")
            self.names["fresh_device"] = answer["device_id"]

    def look(self):
        """What of the usual reads does not answer with 200: something that was stored before may be in its way."""
        failed = []
        for user in ("alice", "bob"):
            since = self.names.get(f"{user}_since")
            reads = ["/sync?timeout=0" + (f"&since={since}" if since else ""), *LOOKS]
            for read in reads:
                path = f"/_matrix/client/v3{self.fill(read, True)}"
                status, answer = self.send("GET", path, token=self.tokens[user])
                if status != 200:
                    failed.append(f"{user}: GET {read}: {status}")
                elif read is reads[0]:
                    self.names[f"{user}_since"] = answer["next_batch"]
        return failed

    def fill(self, text, in_path):
        for key, value in self.names.items():
            value = str(value)
            text = text.replace(f"{{{key}}}", quote(value, safe="") if in_path else value)
        return text

    def answer(self, request):
        path = self.fill(request.path, True)
        if request.query:
            path += "?" + self.fill(request.query, True)
        body = request.body
        if isinstance(body, str):
            body = self.fill(body, False).encode("utf-8", "surrogatepass")
        return self.send(request.route.method, path, body, self.tokens.get(request.user), request.headers)
