-- Rooms, events and state. Numbers (nids) come from sequences in blocks, so that a node knows them before it writes.
CREATE SEQUENCE event_nids AS bigint INCREMENT BY 256;
CREATE SEQUENCE room_nids  AS bigint INCREMENT BY 16;
CREATE SEQUENCE state_nids AS bigint INCREMENT BY 256;

CREATE TABLE rooms (
    room_nid       bigint   PRIMARY KEY,
    room_id        text     COLLATE "C" NOT NULL UNIQUE,
    room_version   text     NOT NULL,
    version        bigint   NOT NULL, -- the newest event appended, as event_nid: a node that built upon another one must reload its head
    depth          bigint   NOT NULL, -- of the deepest forward extremity
    extremities    bigint[] NOT NULL, -- forward extremities, as event_nids
    state_nid      bigint   NOT NULL, -- the resolved state after all extremities
    notify_ordinal bigint   NOT NULL, -- of the newest event: see events.notify_ordinal
    last_pos       bigint   NOT NULL  -- no event of the room stands after it
) WITH (fillfactor = 70); -- every append updates the row; with room on the page the update touches no index

CREATE TABLE state_keys (
    state_key_nid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type    text COLLATE "C" NOT NULL,
    state_key     text COLLATE "C" NOT NULL,
    UNIQUE (event_type, state_key)
);

CREATE TABLE events (
    event_nid        bigint   PRIMARY KEY,
    room_nid         bigint   NOT NULL,
    pos              bigint,            -- null for outliers, negative for backfilled events
    depth            bigint   NOT NULL,
    origin_server_ts bigint   NOT NULL, -- milliseconds since the epoch
    state_key_nid    bigint,            -- of state events
    state_before     bigint,            -- null for outliers
    state_after      bigint,
    replaces         bigint,            -- the state event whose place it took
    redacts          bigint,            -- what a valid redaction redacts
    redacted_by      bigint,
    notify_ordinal   bigint   NOT NULL, -- events up to this one that notify under the default push rules: unread counts are differences of it
    flags            smallint NOT NULL, -- myelin_model::EventFlags
    membership       smallint,          -- of member events
    event_id         text COLLATE "C" NOT NULL UNIQUE,
    event_type       text COLLATE "C" NOT NULL,
    sender           text COLLATE "C" NOT NULL,
    json             text     NOT NULL, -- the PDU, canonical, without unsigned
    -- Whoever collects garbage reads a room's events by position: one without a position must refer to no snapshot.
    CONSTRAINT events_state_has_pos CHECK (pos IS NOT NULL OR (state_before IS NULL AND state_after IS NULL))
);
-- The order of the log, for who reads the log. By the plain column this index would give the events of one room in order, too, and
-- the planner takes it where it believes that the room's events are many: to find the last few of a quiet room it then reads the
-- log of all rooms back to its beginning. Nobody but the log's readers asks for (pos + 0).
CREATE UNIQUE INDEX events_log_order ON events ((pos + 0)) WHERE pos IS NOT NULL;
CREATE INDEX events_room_pos ON events (room_nid, pos) WHERE pos IS NOT NULL;
-- The event of a room nearest to a moment, in both directions.
CREATE INDEX events_room_ts ON events (room_nid, origin_server_ts, pos) WHERE pos IS NOT NULL;

-- A snapshot is a difference to its base, or the whole state when it has none. The difference is packed: see crates/storage/src/state/packed.rs.
CREATE TABLE state_snapshots (
    state_nid bigint PRIMARY KEY,
    room_nid  bigint NOT NULL,
    base_nid  bigint,
    delta     bytea  NOT NULL
);
-- A room's snapshots and what they are based on, for the collection of garbage.
CREATE INDEX state_snapshots_room ON state_snapshots (room_nid, state_nid) INCLUDE (base_nid);

-- Snapshots that nothing referred to when their room was looked at. Those that nothing refers to an hour later go, with
-- their rows here: see crates/storage/src/upkeep/state_garbage.rs.
CREATE TABLE state_garbage (
    state_nid bigint PRIMARY KEY,
    room_nid  bigint NOT NULL,
    found_ts  bigint NOT NULL -- milliseconds since the epoch
);
CREATE INDEX state_garbage_room ON state_garbage (room_nid);

-- When each room's snapshots were last looked at, and what for. Delete the row of a room to have it looked at anew.
CREATE TABLE state_looks (
    room_nid  bigint PRIMARY KEY,
    version   bigint NOT NULL, -- rooms.version at that time
    garbage   bigint NOT NULL, -- how many snapshots of the room were left in state_garbage
    looked_ts bigint NOT NULL  -- milliseconds since the epoch
);

-- The current membership of every user in every room that this server is or was in; derived from the current state.
CREATE TABLE memberships (
    user_id    text COLLATE "C" NOT NULL,
    room_nid   bigint   NOT NULL,
    membership smallint NOT NULL,
    event_nid  bigint   NOT NULL,
    pos        bigint   NOT NULL,
    forgotten  boolean  NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, room_nid)
);
CREATE INDEX memberships_room ON memberships (room_nid, membership);

-- What a client's transaction ID became, so that a repeated request makes no second event. An ID holds for one path: a
-- room and an event type.
CREATE TABLE transactions (
    user_id    text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    room_nid   bigint NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    txn_id     text COLLATE "C" NOT NULL,
    event_nid  bigint NOT NULL,
    created_ts bigint NOT NULL,
    PRIMARY KEY (user_id, device_id, room_nid, event_type, txn_id)
);
CREATE INDEX transactions_event ON transactions (event_nid);

-- The chain cover of the auth graph of state events: an event stands at `seq` of one chain and is after everything
-- before it there; links lead from a place in one chain to a place in another.
CREATE TABLE auth_chains (
    event_nid bigint PRIMARY KEY,
    room_nid  bigint NOT NULL,
    chain_nid bigint NOT NULL, -- the event_nid of the chain's first event
    seq       integer NOT NULL
);
CREATE UNIQUE INDEX auth_chains_place ON auth_chains (chain_nid, seq);
CREATE INDEX auth_chains_room ON auth_chains (room_nid);
CREATE TABLE auth_chain_links (
    chain_nid        bigint  NOT NULL,
    seq              integer NOT NULL,
    target_chain_nid bigint  NOT NULL,
    target_seq       integer NOT NULL,
    PRIMARY KEY (chain_nid, seq, target_chain_nid)
);

-- The newest receipt of each user in each room, by type and thread ('' is the unthreaded one).
CREATE TABLE receipts (
    room_nid     bigint NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    receipt_type text NOT NULL,
    thread_id    text COLLATE "C" NOT NULL,
    event_nid    bigint NOT NULL,
    event_pos    bigint NOT NULL, -- of the event read: receipts only move forward by it
    ts           bigint NOT NULL, -- milliseconds since the epoch
    PRIMARY KEY (room_nid, user_id, receipt_type, thread_id)
) WITH (fillfactor = 80);
CREATE INDEX receipts_user ON receipts (user_id);

-- Which events relate to which (`m.relates_to` with `rel_type`); derived from the events, in the transaction that
-- appends them, by the trigger in migrations/triggers/events_add_relation.sql.
CREATE TABLE event_relations (
    child_nid  bigint PRIMARY KEY,
    room_nid   bigint NOT NULL,
    parent_id  text COLLATE "C" NOT NULL, -- may name an event that is not known
    rel_type   text COLLATE "C" NOT NULL,
    pos        bigint NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    sender     text COLLATE "C" NOT NULL
);
CREATE INDEX event_relations_parent ON event_relations (room_nid, parent_id, rel_type, pos);
CREATE INDEX event_relations_threads ON event_relations (room_nid, pos) WHERE rel_type = 'm.thread';
