-- no-transaction
-- A room's snapshots and what they are based on, for the collection of garbage.
CREATE INDEX CONCURRENTLY IF NOT EXISTS state_snapshots_room ON state_snapshots (room_nid, state_nid) INCLUDE (base_nid);
