-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_room_mentions ON events (room_nid, pos)
    WHERE strpos(json, '"m.mentions":{"') > 0 OR event_type = 'm.room.tombstone';
