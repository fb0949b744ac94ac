#!/usr/bin/env python3
"""Kills servers and PostgreSQL under load, and then looks whether anything that was acknowledged is lost.

Started by scripts/test-crash, which prepares the database and the configurations.

Writers send numbered messages, each with its transaction id, again and again until a node acknowledges it. Readers
follow /sync on every node through all crashes. At the end, on every node: each acknowledged message is there exactly
once, under the acknowledged event id; what one writer sent one after the other stands in that order; /messages forwards,
/messages backwards and what /sync gave have the same events in the same order.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote

REQUEST_TIMEOUT_SECONDS = 20
RECOVERY_TIMEOUT_SECONDS = 60


class Unavailable(Exception):
    """No answer, or one that says to try again."""


class Node:
    """One server process at one port."""

    def __init__(self, command, port, log):
        self.command, self.port, self.log = command, port, open(log, "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def wait_until_ready(self):
        """Seconds until the node answers a request that needs the database."""
        start = time.monotonic()
        while time.monotonic() - start < RECOVERY_TIMEOUT_SECONDS:
            if self.process.poll() is not None:
                sys.exit(f"FAILED: the server at port {self.port} ended by itself: {self.process.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/_matrix/client/v3/profile/@nobody:crash.localhost")
                if connection.getresponse().status < 500:
                    return time.monotonic() - start
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            time.sleep(0.05)
        sys.exit(f"FAILED: the server at port {self.port} did not come back within {RECOVERY_TIMEOUT_SECONDS} s")


class Api:
    """One connection of one user to one node at a time."""

    def __init__(self, ports, token=None):
        self.ports, self.token, self.turn, self.connection = ports, token, 0, None

    def call(self, method, path, body=None):
        if self.connection is None:
            port = self.ports[self.turn % len(self.ports)]
            self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_SECONDS)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = self.connection.getresponse()
            answer = response.read()
            status = response.status
        except (OSError, http.client.HTTPException) as error:
            self.next_node()
            raise Unavailable(str(error)) from error
        if status >= 500 or status == 429:
            self.next_node()
            raise Unavailable(f"{status} {answer[:200]!r}")
        if status >= 300:
            sys.stderr.write(f"{method} {path}: {status} {answer[:300]!r}\n")
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer)

    def next_node(self):
        if self.connection:
            self.connection.close()
        self.connection, self.turn = None, self.turn + 1

    def insist(self, method, path, body=None, stop=None):
        """Until it is acknowledged."""
        while True:
            try:
                return self.call(method, path, body)
            except Unavailable:
                if stop is not None and stop.is_set():
                    return None
                time.sleep(0.05)


def register(ports, name):
    api = Api(ports)
    nonce = api.call("GET", "/_synapse/admin/v1/register")["nonce"]
    text = f"{nonce}\0{name}\0secret\0notadmin".encode()
    mac = hmac.new(b"for-tests", text, hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": "secret", "admin": False, "mac": mac}
    return api.call("POST", "/_synapse/admin/v1/register", body)["access_token"]


class Writer(threading.Thread):
    """Sends numbered messages into the rooms in turn."""

    def __init__(self, number, ports, token, rooms):
        super().__init__(daemon=True)
        self.number, self.rooms = number, rooms
        self.api = Api(ports[number % len(ports):] + ports[: number % len(ports)], token)
        self.acknowledged, self.stopping, self.error = {}, threading.Event(), None

    def run(self):
        try:
            count = 0
            while not self.stopping.is_set():
                room = self.rooms[count % len(self.rooms)]
                path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/w{self.number}.{count}"
                body = {"msgtype": "m.text", "body": f"{self.number}/{count}"}
                # Insists even while stopping: a message that may have been stored has to be known.
                self.acknowledged[(room, f"{self.number}/{count}")] = self.api.insist("PUT", path, body)["event_id"]
                count += 1
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.error = error


class Reader(threading.Thread):
    """Follows /sync of one node; fills gaps as a client does, with /messages."""

    FILTER = quote(json.dumps({"room": {"timeline": {"limit": 500}}, "presence": {"not_types": ["*"]}}))

    def __init__(self, port, token):
        super().__init__(daemon=True)
        self.api = Api([port], token)
        self.timelines, self.stopping, self.error, self.since = {}, threading.Event(), None, None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.sync(2000)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.error = error

    def sync(self, timeout_ms):
        since = f"&since={self.since}" if self.since else ""
        path = f"/_matrix/client/v3/sync?timeout={timeout_ms}&filter={self.FILTER}{since}"
        answer = self.api.insist("GET", path, stop=self.stopping)
        if answer is None:
            return
        for room, joined in answer.get("rooms", {}).get("join", {}).items():
            timeline = joined.get("timeline", {})
            events, known = timeline.get("events", []), self.timelines.setdefault(room, [])
            if timeline.get("limited"):
                known += self.read_gap(room, timeline["prev_batch"], known[-1][0] if known else None)
            known += [(e["event_id"], e["content"].get("body")) for e in events]
        self.since = answer["next_batch"]

    def read_gap(self, room, token, last_known):
        gap = []
        while token:
            path = f"/_matrix/client/v3/rooms/{quote(room)}/messages?dir=b&limit=100&from={token}"
            page = self.api.insist("GET", path)
            for event in page["chunk"]:
                if event["event_id"] == last_known:
                    return gap[::-1]
                gap.append((event["event_id"], event["content"].get("body")))
            token = page.get("end") if page["chunk"] else None
        return gap[::-1]


def read_room(api, room, direction):
    events, token = [], ""
    while True:
        path = f"/_matrix/client/v3/rooms/{quote(room)}/messages?dir={direction}&limit=100{token}"
        page = api.insist("GET", path)
        events += [(e["event_id"], e["content"].get("body")) for e in page["chunk"]]
        if not page["chunk"] or not page.get("end"):
            return events if direction == "f" else events[::-1]
        token = f"&from={page['end']}"


def check_order(where, events, one_order, problems):
    """Nothing twice, and each writer's messages in the order in which they were acknowledged."""
    if len({event_id for event_id, _ in events}) != len(events):
        problems.append(f"{where}: an event stands twice")
    bodies = [body for _, body in events if body and "/" in body]
    if len(set(bodies)) != len(bodies):
        problems.append(f"{where}: a message was stored twice: {sorted(b for b in set(bodies) if bodies.count(b) > 1)[:5]}")
    last = {}
    for body in bodies:
        writer, count = map(int, body.split("/"))
        if one_order and last.get(writer, -1) > count:
            problems.append(f"{where}: {body} stands after {writer}/{last[writer]}")
        last[writer] = count


def verify(ports, token, rooms, writers, readers, one_order):
    problems, acknowledged = [], {}
    for writer in writers:
        acknowledged.update(writer.acknowledged)
    for room in rooms:
        expected = {(event_id, body) for (of, body), event_id in acknowledged.items() if of == room}
        orders = {}
        for port in ports:
            api = Api([port], token)
            for direction in "fb":
                orders[f"{room}: /messages {direction} at {port}"] = read_room(api, room, direction)
        for reader in readers:
            orders[f"{room}: /sync at {reader.api.ports[0]}"] = reader.timelines.get(room, [])
        first = None
        for where, events in orders.items():
            check_order(where, events, one_order, problems)
            lost = expected - set(events)
            if lost:
                problems.append(f"{where}: {len(lost)} acknowledged messages are lost, such as {sorted(lost)[0]}")
            # A reader may have begun after the room's first events.
            written = [event for event in events if event in expected]
            if one_order and first is not None and written != first[1]:
                problems.append(f"{where}: another order than {first[0]}")
            first = first or (where, written)
    return problems, len(acknowledged)


def kill_database(pid_file, number):
    with open(pid_file, encoding="ascii") as lines:
        postmaster = int(lines.readline())
    if number % 2:
        # One backend dies: PostgreSQL throws all connections out and recovers by itself.
        with open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="ascii") as children:
            backends = [pid for pid in children.read().split() if is_backend(pid)]
        if backends:
            os.kill(int(random.choice(backends)), signal.SIGKILL)
            return False
    os.kill(postmaster, signal.SIGKILL)
    while os.path.exists(f"/proc/{postmaster}"):
        with open(f"/proc/{postmaster}/stat", encoding="ascii") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                break
        time.sleep(0.02)
    return True


def is_backend(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as line:
            return "postgres" in (text := line.read()) and "[local]" in text
    except OSError:
        return False


def start_database(command):
    # The old processes need a moment to see that their parent is gone, and the new ones wait for that.
    for _ in range(50):
        if subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.2)
    sys.exit("FAILED: PostgreSQL did not start again")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", action="append", required=True, metavar="PORT=COMMAND")
    parser.add_argument("--database-pid-file", required=True)
    parser.add_argument("--database-start", required=True, help="shell command that starts PostgreSQL")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--database-kills", type=int, default=10)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--rooms", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", required=True, help="folder for the logs of the nodes")
    parser.add_argument("--any-order", action="store_true", help="do not compare orders (for servers without one log)")
    return parser.parse_args()


def cause_crashes(arguments, nodes, writers):
    plan = ["server"] * arguments.kills + ["database"] * arguments.database_kills
    random.shuffle(plan)
    recovery, server_kills, database_kills = [], 0, 0
    for step, what in enumerate(plan, 1):
        time.sleep(random.uniform(0.2, 1.5))
        if what == "server":
            node = nodes[server_kills % len(nodes)]
            node.kill()
            node.start()
            server_kills += 1
        else:
            if kill_database(arguments.database_pid_file, database_kills):
                start_database(arguments.database_start)
            database_kills += 1
        recovery += [node.wait_until_ready() for node in nodes]
        sent = sum(len(writer.acknowledged) for writer in writers)
        print(f"\r{step}/{len(plan)} crashes, {sent} messages acknowledged", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return max(recovery, default=0.0)


def main():
    arguments = parse_arguments()
    random.seed(arguments.seed)
    nodes = []
    for number, node in enumerate(arguments.node):
        port, command = node.split("=", 1)
        nodes.append(Node(shlex.split(command), int(port), f"{arguments.logs}/node{number}.log"))
    ports = [node.port for node in nodes]
    try:
        for node in nodes:
            node.start()
            node.wait_until_ready()
        tokens = [register(ports, f"crash{number}") for number in range(arguments.writers)]
        first = Api(ports, tokens[0])
        rooms = [first.call("POST", "/_matrix/client/v3/createRoom", {"preset": "public_chat"})["room_id"] for _ in range(arguments.rooms)]
        for token in tokens[1:]:
            for room in rooms:
                Api(ports, token).call("POST", f"/_matrix/client/v3/join/{quote(room)}", {})
        readers = [Reader(port, tokens[0]) for port in ports]
        writers = [Writer(number, ports, token, rooms) for number, token in enumerate(tokens)]
        for thread in readers + writers:
            thread.start()
        worst = cause_crashes(arguments, nodes, writers)
        time.sleep(1)
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(RECOVERY_TIMEOUT_SECONDS)
        time.sleep(1)
        for reader in readers:
            reader.stopping.set()
        for reader in readers:
            reader.join(RECOVERY_TIMEOUT_SECONDS)
            reader.stopping.clear()
            reader.sync(0)
        problems = [f"{thread.name}: {thread.error}" for thread in readers + writers if thread.error or thread.is_alive()]
        found, count = verify(ports, tokens[0], rooms, writers, readers, not arguments.any_order)
        problems += found
        for problem in problems[:30]:
            print(f"FAILED: {problem}")
        print(f"{arguments.kills} kills of the server, {arguments.database_kills} of PostgreSQL; "
              f"{count} messages acknowledged; slowest recovery {worst:.1f} s; {len(problems)} problems")
        print(f"{int(not problems)} passed, {int(bool(problems))} failed")
        return 1 if problems else 0
    finally:
        for node in nodes:
            node.stop()


if __name__ == "__main__":
    sys.exit(main())
