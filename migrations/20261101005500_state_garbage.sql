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

-- Whoever collects garbage reads a room's events by position: one without a position must refer to no snapshot.
ALTER TABLE events ADD CONSTRAINT events_state_has_pos
    CHECK (pos IS NOT NULL OR (state_before IS NULL AND state_after IS NULL)) NOT VALID;
