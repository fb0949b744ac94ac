-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_relations_within_threads ON event_relations (room_nid, pos)
    WHERE thread_root <> '' AND rel_type <> 'm.thread';
