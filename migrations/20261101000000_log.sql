-- The log: every change that a client must hear of has one position. Positions are given while the one row of
-- log_head is locked, and that lock is held until the commit: so commit order is position order, without gaps
-- that fill later. Room events carry their position themselves (events.pos); everything else is a row here.
CREATE TABLE log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    pos      bigint NOT NULL
);
INSERT INTO log_head (pos) VALUES (0);

CREATE TABLE log (
    pos      bigint   PRIMARY KEY,
    kind     smallint NOT NULL, -- what changed: see crates/storage/src/log/change.rs
    room_nid bigint,            -- the room it concerns
    user_id  text COLLATE "C",  -- the user it concerns
    payload  text     NOT NULL  -- the change itself, as JSON
);
CREATE INDEX log_room ON log (room_nid, pos) WHERE room_nid IS NOT NULL;
CREATE INDEX log_user ON log (user_id, pos) WHERE user_id IS NOT NULL;

-- Append changes and give them positions. Call it last in a transaction: it takes the lock of the log.
-- Returns the position of the first; the others follow.
CREATE FUNCTION log_publish(kinds smallint[], room_nids bigint[], user_ids text[], payloads text[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    base bigint;
    n    bigint := cardinality(kinds);
BEGIN
    UPDATE log_head SET pos = pos + n RETURNING pos - n INTO base;
    INSERT INTO log (pos, kind, room_nid, user_id, payload)
    SELECT base + c.ord, c.kind, c.room_nid, c.user_id, c.payload
    FROM unnest(kinds, room_nids, user_ids, payloads) WITH ORDINALITY AS c (kind, room_nid, user_id, payload, ord);
    PERFORM pg_notify('myelin_log', (base + n)::text);
    RETURN base + 1;
END
$$;
