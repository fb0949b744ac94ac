-- no-transaction
-- The event of a room nearest to a moment, in both directions.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_room_ts ON events (room_nid, origin_server_ts, pos) WHERE pos IS NOT NULL;
