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
    "false": "false", "blank": '" "', "control": '"a\\u0001\\u001b[31m\\nb"', "escaped": '"\\"\\\\/"', "integral fraction": "10.0",
    "least": "-9223372036854775808", "below least": "-9223372036854775809", "most": "18446744073709551615",
    "beyond most": "18446744073709551616", "digits": "1" * 400, "minus zero": "-0", "array of null": "[null]", "array of array": "[[]]",
    "array of object": "[{}]", "array of text": '["x"]', "many": "[" + ",".join(["7"] * 3000) + "]", "NUL key": '{"a\\u0000b":{}}',
    "empty key": '{"":{}}', "nested": "[" * 100 + "]" * 100, "nested object": '{"a":' * 100 + "1" + "}" * 100, "NaN": "NaN",
}
BAD_BODIES = {
    "no JSON": b"hello", "nothing": b"", "cut off": b'{"a":', "array": b"[]", "text": b'"x"', "number": b"7", "null": b"null",
    "bad UTF-8": b'{"a":"\x81\xff"}', "deep": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "NaN": b'{"a":NaN}', "empty object": b"{}",
    "extra": b'{"org.example.extra":1}', "float": b'{"org.example.extra":1.5}', "repeated": b'{"x":1,"x":2}', "BOM": b"\xef\xbb\xbf{}",
    "blank": b"  ", "two": b"{}{}", "comment": b"{} // x", "single quotes": b"{'a':1}", "NUL after": b"{}\0", "NUL key": b'{"a\\u0000b":1}',
    "surrogate key": b'{"a\\ud800b":1}', "overlong UTF-8": b'{"a":"\xc0\x80"}', "UTF-16": '{"a":1}'.encode("utf-16"), "form": b"a=1&b=2",
    "large": b'{"a":"' + b"x" * 1_000_000 + b'"}', "many keys": json.dumps({f"k{number}": number for number in range(5000)}).encode(),
}
# Bodies that are right, said to be something else.
BAD_HEADERS = {
    "no type": {}, "text": {"Content-Type": "text/plain"}, "form": {"Content-Type": "application/x-www-form-urlencoded"},
    "parts": {"Content-Type": "multipart/form-data; boundary=x"}, "unreadable": {"Content-Type": "\x01"},
    "Latin-1": {"Content-Type": "application/json; charset=iso-8859-1"}, "gzip": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
}
BAD_PATHS = {
    "other": "unknown", "nul": "a%00b", "surrogate": "%ED%A0%80", "bad UTF-8": "%FF", "long": "x" * 300, "slash": "a%2Fb", "emoji": "%F0%9F%98%80",
    "dots": "..", "encoded dots": "%2E%2E", "empty": "", "blank": "%20", "percent": "%25", "broken percent": "%ZZ", "control": "%01",
    "hash": "%23", "backslash": "%5C", "very long": "x" * 5000, "upper case": "ALICE", "number": "9223372036854775808", "negative": "-1",
    "sigil": "@", "room sigil": "!", "no server": "%40alice", "empty name": "%40:diff.localhost", "bad server": "%40alice:a%00b",
    "bad port": "%40alice:diff.localhost:99999", "user": "%40nobody:diff.localhost", "foreign user": "%40nobody:elsewhere.org", "room": "!none:diff.localhost", "event": "%24none",
}
BAD_QUERIES = {
    "nothing": "", "text": "x", "negative": "-1", "zero": "0", "huge": "99999999999999999999", "fraction": "1.5", "nul": "a%00b",
    "bad UTF-8": "%FF", "object": "%7B%7D", "JSON": "%7B%22a%22:", "true": "true", "space": "+5", "plus": "%2B5", "most": "9223372036854775807",
    "beyond most": "9223372036854775808", "least": "-9223372036854775808", "unsigned": "18446744073709551615", "leading zeros": "0005",
    "exponent": "1e3", "hex": "0x10", "broken percent": "%ZZ", "long": "x" * 5000, "token": "s1_2_3", "own token": "t5", "large token":
    "s9223372036854775807_0", "negative token": "s-5_0", "array": "%5B%5D", "null": "null", "surrogate": "%ED%A0%80", "emoji": "%F0%9F%98%80",
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
    headers: dict | None = None


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


def value_at(body, place):
    for key in place:
        body = body[key]
    return body


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
    for name, headers in BAD_HEADERS.items():
        yield good(route, case=f"header {name}", headers=headers)
    for place in places(route.body):
        shown = ".".join(map(str, place))
        yield good(route, case=f"{shown} missing", body=without(route.body, place))
        holed = with_hole(route.body, place)
        for name, value in BAD_VALUES.items():
            yield good(route, case=f"{shown} {name}", body=holed.replace(json.dumps(HOLE), value))
        if isinstance(place[-1], str):
            # The same name twice: once right and once not.
            key, right = json.dumps(place[-1]), json.dumps(value_at(route.body, place), ensure_ascii=False)
            for name, twice in {"twice, wrong last": f"{right},{key}:[7]", "twice, wrong first": f"[7],{key}:{right}"}.items():
                yield good(route, case=f"{shown} {name}", body=holed.replace(json.dumps(HOLE), twice))


def paths(route):
    for place, segment in enumerate(route.path.split("/")):
        is_name = segment.startswith("{") or "." in segment or segment in ("word", "mine", "NONE", "override", "content", "token", "k")
        if place < 4 or not is_name or segment == "im.nheko.summary":
            continue
        for name, value in BAD_PATHS.items():
            segments = route.path.split("/")
            segments[place] = value
            yield good(route, case=f"path {segment.strip('{}')} {name}", path="/".join(segments))


def queries(route):
    for key in route.query:
        rest = {other: quote_template(text) for other, text in route.query.items() if text != "" and other != key}
        for name, value in BAD_QUERIES.items():
            yield good(route, case=f"query {key} {name}", query=query_of({**rest, key: value}))
        right = quote_template(route.query[key])
        for name, twice in {"twice": [right, right], "twice, wrong last": [right, "x"], "twice, wrong first": ["x", right]}.items():
            pairs = [query_of(rest), *(f"{key}={value}" for value in twice)]
            yield good(route, case=f"query {key} {name}", query="&".join(pair for pair in pairs if pair))
    for name, query in {"unknown": "org.example=1", "no value": "org.example", "no name": "=1", "ampersands": "&&&", "NUL": "%00=%00"}.items():
        yield good(route, case=f"query besides {name}", query=query)


def callers(route):
    if route.user is not None:
        yield good(route, case="no token", user=None)
        yield good(route, case="wrong token", user="nobody")
        if "{alice}" in route.path or "rooms/" in route.path:
            yield good(route, case="stranger", user="carol")
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
        if method != route.method and method == "PATCH":
            yield Request(Route(method, route.path, user=route.user), "other method", route.path, "", None, route.user)


def pile_of(route):
    """All bad requests of a route."""
    pile = [*paths(route), *queries(route), *callers(route)]
    if route.body is not None:
        pile.extend(bodies(route))
    return pile


def choose(dice, count):
    """All good requests, and so many bad ones, of every route about as many. Without a count: all there are."""
    requests = [good(route) for route in ROUTES]
    piles = [pile_of(route) for route in ROUTES]
    if count is None:
        bad = [request for pile in piles for request in pile]
        dice.shuffle(bad)
        return requests + bad
    for pile in piles:
        dice.shuffle(pile)
    bad = []
    while len(bad) + len(requests) < count and any(piles):
        for pile in piles:
            # Routes with many fields come more often.
            for _ in range(1 + len(pile) // 60):
                if pile:
                    bad.append(pile.pop())
    dice.shuffle(bad)
    return requests + bad[: max(0, count - len(requests))]
