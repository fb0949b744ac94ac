"""Random rooms with forks, and the states that Synapse resolves them to."""

import asyncio

from synapse.api.room_versions import StateResolutionVersions
from synapse.event_auth import auth_types_for_event, check_state_dependent_auth_rules
from synapse.state import v1, v2

from auth import outcome
from rooms import USERS, Room, write

LEVELS = [0, 0, 25, 50, 50, 75, 100, 101]
RULES = ["public", "invite", "knock", "restricted", "knock_restricted", "private"]


class Clock:
    async def sleep(self, _):
        pass


class Store:
    """A room's events for Synapse's resolution."""

    def __init__(self, room):
        self.events = {event.event_id: event for event in room.events}

    async def get_events(self, event_ids, allow_rejected=False):
        return {event_id: self.events[event_id] for event_id in event_ids if event_id in self.events}

    def chain(self, start):
        """The events and all that they cite, those included."""
        seen, waiting = set(), list(start)
        while waiting:
            event_id = waiting.pop()
            if event_id not in seen:
                seen.add(event_id)
                waiting.extend(self.events[event_id].auth_event_ids())
        return seen

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted_state, additional_backwards_reachable_conflicted_events):
        chains = [self.chain(events) for events in state_sets]
        difference = set.union(*chains) - set.intersection(*chains)
        subgraph = set()
        if conflicted_state is not None:
            targets = conflicted_state | (additional_backwards_reachable_conflicted_events or set())
            for event_id in self.chain(targets):
                if self.chain([event_id]) & conflicted_state:
                    subgraph.add(event_id)
        return v2.StateDifference(auth_difference=difference, conflicted_subgraph=subgraph)


def resolve(room, states):
    """The state that follows from several."""
    states = [dict(items) for items in {tuple(sorted(state.items())) for state in states}]
    if len(states) == 1:
        return states[0]
    states.sort(key=lambda state: sorted(state.items()))
    store = Store(room)
    if room.rules.state_res == StateResolutionVersions.V1:
        found = v1.resolve_events_with_store(room.room_id(), room.rules, states, None, store.get_events)
    else:
        found = v2.resolve_events_with_store(Clock(), room.room_id(), room.rules, states, None, store)
    return dict(asyncio.run(found))


class History:
    """A room that grows by what the rules allow, upon any of its latest events."""

    def __init__(self, dice, version):
        self.dice, self.room, self.states, self.resolved = dice, Room(version), [], []
        self.places = {}
        users = {"@bob:two": 100} if version == "12" else {"@alice:one": 100, "@bob:two": 100}
        self.first_levels = {"users": users, "users_default": 0, "invite": 0}
        create = {"creator": "@alice:one", "room_version": version, "additional_creators": ["@dave:four"]}
        beginning = [
            ("m.room.create", "", create),
            ("m.room.member", "@alice:one", {"membership": "join"}),
            ("m.room.power_levels", "", self.first_levels),
            ("m.room.join_rules", "", {"join_rule": "public"}),
        ]
        for number, (kind, key, content) in enumerate(beginning):
            self.attempt({"type": kind, "state_key": key, "sender": "@alice:one", "content": content}, [number - 1] if number else [])

    def attempt(self, short, prev):
        """Take the event if the state before it allows it."""
        room = self.room
        state = resolve(room, [self.states[at] for at in prev]) if prev else {}
        if len(prev) > 1:
            self.resolved.append([prev, sorted(self.places[event_id] for event_id in state.values())])
        short = dict(short, prev=prev, depth=1 + max((room.short[at]["depth"] for at in prev), default=0))
        probe = room.make(short)
        auth = {key: state[key] for key in auth_types_for_event(room.rules, probe) if key in state}
        places = sorted(self.places[event_id] for event_id in auth.values())
        chosen = [room.events[at] for at in places]
        if room.version == "12" and room.events:
            places = [at for at in places if at != 0]
            chosen.append(room.events[0])
        short["auth"] = places
        event = room.make(short)
        if event.event_id in self.places or outcome(lambda: check_state_dependent_auth_rules(event, chosen)) != "allow":
            return
        self.places[event.event_id] = room.add(short)
        after = dict(state)
        if event.is_state():
            after[(event.type, event.state_key)] = event.event_id
        self.states.append(after)

    def levels(self, target):
        dice, level = self.dice, self.dice.choice(LEVELS)
        content = dict(self.first_levels, users=dict(self.first_levels["users"]))
        content["users"][target] = level
        extra = dice.choice([None, "events", "ban", "kick", "state_default", "invite", "users_default"])
        if extra == "events":
            content["events"] = {"m.room.topic": level}
        elif extra:
            content[extra] = level
        return content

    def step(self):
        dice = self.dice
        sender, target = dice.choice(USERS), dice.choice(USERS)
        kind, key, content = dice.choice([
            lambda: ("m.room.member", sender, {"membership": "join"}),
            lambda: ("m.room.member", sender, {"membership": "join", "displayname": str(dice.randrange(9))}),
            lambda: ("m.room.member", sender, {"membership": "join", "join_authorised_via_users_server": target}),
            lambda: ("m.room.member", sender, {"membership": dice.choice(["leave", "knock"])}),
            lambda: ("m.room.member", target, {"membership": "invite"}),
            lambda: ("m.room.member", target, {"membership": "leave"}),
            lambda: ("m.room.member", target, {"membership": "ban"}),
            lambda: ("m.room.power_levels", "", self.levels(target)),
            lambda: ("m.room.power_levels", "", self.levels(target)),
            lambda: ("m.room.join_rules", "", {"join_rule": dice.choice(RULES)}),
            lambda: ("m.room.topic", "", {"topic": str(dice.randrange(99))}),
            lambda: ("m.room.topic", "", {"topic": str(dice.randrange(99))}),
            lambda: ("m.room.aliases", dice.choice(["one", "two"]), {"aliases": [str(dice.randrange(9))]}),
        ])()
        count = len(self.room.events)
        latest = range(max(3, count - 6), count)
        prev = sorted(dice.sample(latest, min(len(latest), dice.choice([1, 1, 2, 2, 3]))))
        short = {"type": kind, "state_key": key, "sender": sender, "content": content, "ts": 10 * dice.randrange(8)}
        self.attempt(short, prev)


def line(dice, version, steps):
    history = History(dice, version)
    for _ in range(steps):
        history.step()
    return write({
        "version": version, "events": history.room.short, "last": history.room.events[-1].event_id, "resolved": history.resolved,
    })
