-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_room_visibility ON events (room_nid) WHERE event_type = 'm.room.history_visibility';
