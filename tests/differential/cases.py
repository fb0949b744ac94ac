"""Good and bad requests, made from the routes."""

import copy
import json
from dataclasses import dataclass

from routes import ROUTES, Route

# Values as they stand in JSON: not all of them could be written from Python.
BAD_VALUES = {
    "nul": '"a\\u0000b"', "surrogate": '"a\\ud800b"', "huge": "1180591620717411303424", "over": "9007199254740993", "negative": "-1",
    "zero": "0", "fraction": "1.5", "infinite": "1e400", "empty": '""', "text": '"x"', "array": "[]", "array of number": "[7]",
    "object": "{}", "object of number": '{"x":7}', "null": "null", "true": "true", "long": json.dumps("x" * 70_000), "emoji": '"😀"',
}
BAD_BODIES = {
    "no JSON": b"hello", "nothing": b"", "cut off": b'{"a":', "array": b"[]", "text": b'"x"', "number": b"7", "null": b"null",
    "bad UTF-8": b'{"a":"\x81\xff"}', "deep": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "NaN": b'{"a":NaN}', "empty object": b"{}",
    "extra": b'{"org.example.extra":1}', "float": b'{"org.example.extra":1.5}', "repeated": b'{"x":1,"x":2}', "BOM": b"\xef\xbb\xbf{}",
}
BAD_PATHS = {
    "other": "unknown", "nul": "a%00b", "surrogate": "%ED%A0%80", "bad UTF-8": "%FF", "long": "x" * 300, "slash": "a%2Fb", "emoji": "%F0%9F%98%80",
    "user": "%40nobody:diff.localhost", "foreign user": "%40nobody:elsewhere.org", "room": "!none:diff.localhost", "event": "%24none",
}
BAD_QUERIES = {
    "nothing": "", "text": "x", "negative": "-1", "zero": "0", "huge": "99999999999999999999", "fraction": "1.5", "nul": "a%00b",
    "bad UTF-8": "%FF", "object": "%7B%7D", "JSON": "%7B%22a%22:", "true": "true", "space": "+5",
}
HOLE = "\x01"


@dataclass
class Request:
    """One request: its route, what is wrong with it, and its parts, still with names to fill in."""

    route: Route
    case: str
    path: str
    query: str
    body: str | bytes | None
    user: str | None


def query_of(pairs):
    return "&".join(f"{key}={value}" for key, value in pairs.items())


def good(route, **changes):
    body = None if route.body is None else json.dumps(route.body, ensure_ascii=False)
    query = query_of({key: quote_template(value) for key, value in route.query.items() if value != ""})
    parts = {"case": "good", "path": route.path, "query": query, "body": body, "user": route.user, **changes}
    return Request(route, **parts)


def quote_template(value):
    """Inline JSON in a query: its braces are written twice in routes.py, since single ones name something."""
    if value.startswith("{{"):
        text = value.replace("{{", "\x02").replace("}}", "\x03")
        return text.replace("\x02", "%7B").replace("\x03", "%7D").replace('"', "%22")
    return value


def places(value, path=()):
    """The fields of a body, to three levels."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            if len(path) < 2:
                yield from places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)
        if len(path) < 2:
            yield from places(value[0], (*path, 0))


def with_hole(body, place):
    changed = copy.deepcopy(body)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = HOLE
    return json.dumps(changed, ensure_ascii=False)


def without(body, place):
    changed = copy.deepcopy(body)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    del parent[place[-1]]
    return json.dumps(changed, ensure_ascii=False)


def bodies(route):
    for name, body in BAD_BODIES.items():
        yield good(route, case=f"body {name}", body=body)
    for place in places(route.body):
        shown = ".".join(map(str, place))
        yield good(route, case=f"{shown} missing", body=without(route.body, place))
        holed = with_hole(route.body, place)
        for name, value in BAD_VALUES.items():
            yield good(route, case=f"{shown} {name}", body=holed.replace(json.dumps(HOLE), value))


def paths(route):
    for place, segment in enumerate(route.path.split("/")):
        if place < 4 or place == 3:
            continue
        is_name = segment.startswith("{") or segment in ("word", "mine", "NONE", "m.read", "u.work", "override", "content", "m.room.message")
        if not is_name:
            continue
        for name, value in BAD_PATHS.items():
            segments = route.path.split("/")
            segments[place] = value
            yield good(route, case=f"path {segment.strip('{}')} {name}", path="/".join(segments))


def queries(route):
    for key in route.query:
        for name, value in BAD_QUERIES.items():
            rest = {other: quote_template(text) for other, text in route.query.items() if text != "" and other != key}
            yield good(route, case=f"query {key} {name}", query=query_of({**rest, key: value}))


def callers(route):
    if route.user is not None:
        yield good(route, case="no token", user=None)
        yield good(route, case="wrong token", user="nobody")
        if "{alice}" in route.path or "rooms/" in route.path:
            yield good(route, case="stranger", user="carol")
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
        if method != route.method and method == "PATCH":
            yield Request(Route(method, route.path, user=route.user), "other method", route.path, "", None, route.user)


def choose(dice, count):
    """All good requests, and so many bad ones, of every route about as many."""
    requests = [good(route) for route in ROUTES]
    piles = []
    for route in ROUTES:
        pile = [*paths(route), *queries(route), *callers(route)]
        if route.body is not None:
            pile.extend(bodies(route))
        dice.shuffle(pile)
        piles.append(pile)
    bad = []
    while len(bad) + len(requests) < count and any(piles):
        for pile in piles:
            # Routes with many fields come more often.
            for _ in range(1 + len(pile) // 60):
                if pile:
                    bad.append(pile.pop())
    dice.shuffle(bad)
    return requests + bad[: max(0, count - len(requests))]
