-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_room_branched ON events (room_nid, pos) WHERE flags & flag_branched() > 0;
