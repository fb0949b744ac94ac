#!/usr/bin/env python3
"""Replaces the nodes of a server one by one by another version of the program, and then back again, under load.

Started by scripts/test-upgrade, which prepares the database, the configurations and the programs.

Clients send, change state and profiles, and follow /sync. One that gets no answer, because its node is being replaced, goes on at
the other node, as a proxy would have it do; every answer that is an error is a failure. At the end nothing that was acknowledged is
lost, stands twice or out of order, on any node and in what /sync gave.
"""

import argparse
import shlex
import sys
import threading
import time
from urllib.parse import quote

from crash import RECOVERY_TIMEOUT_SECONDS, Api, Node, Reader, Unavailable, Writer, register, verify

SECONDS_BETWEEN = 4


class StrictApi(Api):
    """Takes an error for a failure, and only no answer for a reason to ask the other node."""

    def call(self, method, path, body=None):
        try:
            return super().call(method, path, body)
        except Unavailable as error:
            if error.__cause__ is None:
                raise RuntimeError(f"{method} {path}: {error}") from error
            raise


class Changer(threading.Thread):
    """Changes what is not a message: profile, state of a room, receipts, account data, members."""

    def __init__(self, ports, token, user_id, room):
        super().__init__(daemon=True)
        self.api, self.user, self.room = StrictApi(ports, token), quote(user_id), quote(room)
        self.count, self.stopping, self.error = 0, threading.Event(), None

    def run(self):
        client = "/_matrix/client/v3"
        try:
            while not self.stopping.is_set():
                name = f"name {self.count}"
                self.api.insist("PUT", f"{client}/profile/{self.user}/displayname", {"displayname": name})
                topic = self.api.insist("PUT", f"{client}/rooms/{self.room}/state/m.room.topic", {"topic": name})
                receipt = f"{client}/rooms/{self.room}/receipt/m.read/{quote(topic['event_id'])}"
                self.api.insist("POST", receipt, {})
                self.api.insist("PUT", f"{client}/user/{self.user}/account_data/org.example.test", {"count": self.count})
                new = self.api.insist("POST", f"{client}/createRoom", {})["room_id"]
                self.api.insist("POST", f"{client}/rooms/{quote(new)}/leave", {})
                self.api.insist("POST", f"{client}/rooms/{quote(new)}/forget", {})
                known = self.api.insist("GET", f"{client}/profile/{self.user}/displayname")["displayname"]
                if known != name:
                    raise RuntimeError(f"the name is {known!r} and was set to {name!r}")
                self.count += 1
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.error = error


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", action="append", required=True, metavar="PORT=ARGUMENTS", help="what the program is started with")
    parser.add_argument("--old", required=True, help="the program that runs first and last")
    parser.add_argument("--new", required=True, help="the program that takes its place")
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--rooms", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="how often to go to the new program and back")
    parser.add_argument("--logs", required=True, help="folder for the logs of the nodes")
    return parser.parse_args()


def replace_nodes(arguments, nodes, commands, threads):
    """Seconds that the slowest start took."""
    slowest = 0.0
    for program in [arguments.new, arguments.old] * arguments.rounds:
        for node, command in zip(nodes, commands):
            time.sleep(SECONDS_BETWEEN)
            node.stop()
            node.command = [program, *command]
            node.start()
            slowest = max(slowest, node.wait_until_ready())
            if any(thread.error for thread in threads):
                return slowest
    time.sleep(SECONDS_BETWEEN)
    return slowest


def start_clients(arguments, ports):
    tokens = [register(ports, f"crash{number}") for number in range(arguments.writers)]
    first = Api(ports, tokens[0])
    rooms = [first.call("POST", "/_matrix/client/v3/createRoom", {"preset": "public_chat"})["room_id"] for _ in range(arguments.rooms)]
    for token in tokens[1:]:
        for room in rooms:
            Api(ports, token).call("POST", f"/_matrix/client/v3/join/{quote(room)}", {})
    readers = [Reader(port, tokens[0]) for port in ports]
    for number, reader in enumerate(readers):
        reader.api = StrictApi(ports[number:] + ports[:number], tokens[0])
    writers = [Writer(number, ports, token, rooms) for number, token in enumerate(tokens)]
    for writer in writers:
        writer.api = StrictApi(writer.api.ports, writer.api.token)
    # Not the user whom the readers follow: they would read rooms that were forgotten meanwhile.
    own_room = Api(ports, tokens[1]).call("POST", "/_matrix/client/v3/createRoom", {})["room_id"]
    changer = Changer(ports, tokens[1], "@crash1:crash.localhost", own_room)
    for thread in [*readers, *writers, changer]:
        thread.start()
    return tokens, rooms, readers, writers, changer


def stop_clients(readers, senders):
    for thread in senders:
        thread.stopping.set()
    for thread in senders:
        thread.join(RECOVERY_TIMEOUT_SECONDS)
    time.sleep(1)
    for reader in readers:
        reader.stopping.set()
    for reader in readers:
        reader.join(RECOVERY_TIMEOUT_SECONDS)
        reader.stopping.clear()
        reader.sync(0)


def main():
    arguments = parse_arguments()
    nodes, commands = [], []
    for number, node in enumerate(arguments.node):
        port, command = node.split("=", 1)
        commands.append(shlex.split(command))
        nodes.append(Node([arguments.old, *commands[-1]], int(port), f"{arguments.logs}/node{number}.log"))
    ports = [node.port for node in nodes]
    try:
        for node in nodes:
            node.start()
            node.wait_until_ready()
        tokens, rooms, readers, writers, changer = start_clients(arguments, ports)
        threads = [*readers, *writers, changer]
        slowest = replace_nodes(arguments, nodes, commands, threads)
        stop_clients(readers, [*writers, changer])
        problems = [f"{thread.name}: {thread.error}" for thread in threads if thread.error or thread.is_alive()]
        found, count = verify(ports, tokens[0], rooms, writers, readers, True)
        problems += found
        for problem in problems[:30]:
            print(f"FAILED: {problem}")
        print(f"{2 * arguments.rounds * len(nodes)} nodes replaced, {count} messages acknowledged, {changer.count} rounds of other changes; "
              f"slowest start {slowest:.1f} s; {len(problems)} problems")
        print(f"{int(not problems)} passed, {int(bool(problems))} failed")
        return 1 if problems else 0
    finally:
        for node in nodes:
            node.stop()


if __name__ == "__main__":
    sys.exit(main())
