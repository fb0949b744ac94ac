#!/usr/bin/env python3
"""Two users of matrix-nio chat through two nodes of one server.

usage: chat.py [--any-order] URL_OF_ALICE [URL_OF_BOB]

Alice and bob register, log in, make a room, invite, join, chat both ways, read more than 500 messages back, see each
other's receipts and typing, and log out. Ends with an error at the first thing that is not as it should be.
"""

import asyncio
import sys
import time

import nio

MESSAGES = 520
TIMEOUT_SECONDS = 60
FILTER = {"room": {"timeline": {"limit": 100}}}


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def expect(response, kind, what):
    check(isinstance(response, kind), f"{what}: {response}")
    return response


class Person:
    """A user with one signed-in device, who keeps on syncing."""

    def __init__(self, url, name):
        self.url, self.name, self.password = url, name, f"the password of {name}"
        self.client = self.new_client()
        # room id -> (event id, body), in the order in which `/sync` gave them
        self.seen, self.typing, self.receipts, self.invites = [], set(), {}, set()

    def new_client(self):
        config = nio.AsyncClientConfig(encryption_enabled=False, max_limit_exceeded=0, max_timeouts=0)
        return nio.AsyncClient(self.url, self.name, config=config)

    async def register(self):
        expect(await self.client.register(self.name, self.password), nio.RegisterResponse, "register")

    async def log_in(self):
        self.client.access_token = ""
        expect(await self.client.login(self.password, device_name="nio test"), nio.LoginResponse, "login")
        await self.sync(0)

    async def sync(self, timeout_ms):
        response = expect(await self.client.sync(timeout_ms, FILTER), nio.SyncResponse, f"/sync of {self.name}")
        self.invites.update(response.rooms.invite)
        for room in response.rooms.join.values():
            for event in room.timeline.events:
                if isinstance(event, nio.RoomMessageText):
                    self.seen.append((event.event_id, event.body))
            for event in room.ephemeral:
                if isinstance(event, nio.TypingNoticeEvent):
                    self.typing = set(event.users)
                elif isinstance(event, nio.ReceiptEvent):
                    for receipt in event.receipts:
                        self.receipts[receipt.user_id] = receipt.event_id

    async def sync_until(self, condition, what):
        end = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            check(time.monotonic() < end, f"{self.name} never saw {what}")
            await self.sync(5000)

    async def say(self, room_id, body):
        content = {"msgtype": "m.text", "body": body}
        response = await self.client.room_send(room_id, "m.room.message", content)
        return expect(response, nio.RoomSendResponse, f"send of {self.name}").event_id

    async def read_back(self, room_id):
        """Every message from the newest to the oldest, by pages."""
        messages, token = [], ""
        while True:
            page = await self.client.room_messages(room_id, token, limit=50, direction=nio.MessageDirection.back)
            expect(page, nio.RoomMessagesResponse, f"/messages of {self.name}")
            messages += [(e.event_id, e.body) for e in page.chunk if isinstance(e, nio.RoomMessageText)]
            if not page.end or not page.chunk:
                return messages
            token = page.end


def members(person, room_id):
    return person.client.rooms[room_id].users if room_id in person.client.rooms else {}


async def talk(alice, bob, room_id):
    """Both write at once, and each hears the other."""
    sent = {}

    async def speak(person, number):
        body = f"{person.name} says {number}"
        sent[await person.say(room_id, body)] = body

    first = await alice.say(room_id, "hello bob")
    await bob.sync_until(lambda: (first, "hello bob") in bob.seen, "alice's message")
    second = await bob.say(room_id, "hello alice")
    await alice.sync_until(lambda: (second, "hello alice") in alice.seen, "bob's message")
    sent.update({first: "hello bob", second: "hello alice"})
    for start in range(0, MESSAGES, 20):
        numbers = range(start, start + 20)
        await asyncio.gather(*(speak((alice, bob)[number % 2], number) for number in numbers))
        await asyncio.gather(alice.sync(0), bob.sync(0))
    return sent


async def run(urls, one_order):
    suffix = f"{time.time_ns():x}"
    alice, bob = Person(urls[0], f"alice{suffix}"), Person(urls[-1], f"bob{suffix}")
    for person in (alice, bob):
        await person.register()
        await person.log_in()
    print("ok: registered and logged in")

    room = await alice.client.room_create(name="Nio's room", preset=nio.RoomPreset.private_chat)
    room_id = expect(room, nio.RoomCreateResponse, "createRoom").room_id
    expect(await alice.client.room_invite(room_id, bob.client.user_id), nio.RoomInviteResponse, "invite")
    await bob.sync_until(lambda: room_id in bob.invites, "the invitation")
    expect(await bob.client.join(room_id), nio.JoinResponse, "join")
    await bob.sync_until(lambda: room_id in bob.client.rooms, "the room")
    await alice.sync_until(lambda: bob.client.user_id in members(alice, room_id), "bob's arrival")
    check(bob.client.rooms[room_id].name == "Nio's room", f"bob sees the name, not {bob.client.rooms[room_id].name}")
    print("ok: created, invited, joined")

    sent = await talk(alice, bob, room_id)
    last = await alice.say(room_id, "the last one")
    sent[last] = "the last one"
    for person in (alice, bob):
        await person.sync_until(lambda person=person: person.seen and person.seen[-1][0] == last, "the last message")
    print(f"ok: {len(sent)} messages both ways")

    back = await alice.read_back(room_id)
    check(len(back) == len(set(back)), "no message comes twice while reading back")
    check(dict(back) == sent, f"all messages come back: {len(back)} of {len(sent)}")
    check(back == await bob.read_back(room_id), "both read the same order back")
    for person in (alice, bob):
        order = {event_id: place for place, (event_id, _) in enumerate(reversed(back))}
        places = [order[event_id] for event_id, _ in person.seen]
        check(len(places) == len(sent), f"/sync gave {person.name} every message")
        check(len(places) == len(set(places)), f"/sync gave {person.name} nothing twice")
        # Synapse sorts pages by depth, and several messages sent at once have the same.
        check(not one_order or places == sorted(places), f"/sync gave {person.name} the same order as the pages")
    print(f"ok: {len(back)} messages read back")

    expect(await bob.client.room_read_markers(room_id, last, last), nio.RoomReadMarkersResponse, "read markers")
    await alice.sync_until(lambda: alice.receipts.get(bob.client.user_id) == last, "bob's receipt")
    expect(await bob.client.room_typing(room_id, True, 20000), nio.RoomTypingResponse, "typing")
    await alice.sync_until(lambda: bob.client.user_id in alice.typing, "bob typing")
    expect(await bob.client.room_typing(room_id, False), nio.RoomTypingResponse, "typing no more")
    await alice.sync_until(lambda: bob.client.user_id not in alice.typing, "bob not typing any more")
    print("ok: receipts and typing")

    for person in (alice, bob):
        token = person.client.access_token
        expect(await person.client.logout(), nio.LogoutResponse, "logout")
        person.client.access_token = token
        answer = await person.client.whoami()
        check(isinstance(answer, nio.WhoamiError) and answer.status_code == "M_UNKNOWN_TOKEN", f"the token is gone: {answer}")
        await person.client.close()
    print("ok: logged out")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--any-order"]
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    asyncio.run(run(arguments, "--any-order" not in sys.argv))
