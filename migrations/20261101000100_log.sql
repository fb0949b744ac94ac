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
    kind     smallint NOT NULL, -- what changed: see crates/storage/src/log/kind.rs
    room_nid bigint,            -- the room it concerns
    user_id  text COLLATE "C",  -- the user it concerns
    payload  text     NOT NULL  -- the change itself, as JSON
);
CREATE INDEX log_room ON log (room_nid, pos) WHERE room_nid IS NOT NULL;
CREATE INDEX log_user ON log (user_id, pos) WHERE user_id IS NOT NULL;
-- Whose devices changed while a client was away.
CREATE INDEX log_device_lists ON log (pos) WHERE kind = kind_device_list();
