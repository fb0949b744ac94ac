-- Which events relate to which (`m.relates_to` with `rel_type`); derived from the events, in the transaction that appends them.
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

-- Runs once a batch. Most events relate to nothing: they are sorted out by their text. Texts with \u0000 cannot be read as
-- values by PostgreSQL, and longer ones than an ID may be do not fit an index; such relations are not kept.
CREATE FUNCTION add_event_relations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_relations (child_nid, room_nid, parent_id, rel_type, pos, event_type, sender)
    SELECT r.event_nid, r.room_nid, r.parent_id, r.rel_type, r.pos, r.event_type, r.sender
    FROM (
        SELECT event_nid, room_nid, pos, event_type, sender,
            json::json #>> '{content,m.relates_to,event_id}' AS parent_id,
            json::json #>> '{content,m.relates_to,rel_type}' AS rel_type
        FROM added
        WHERE strpos(json, '"m.relates_to"') > 0 AND strpos(json, '"rel_type"') > 0 AND strpos(json, '\u0000') = 0
            AND pos IS NOT NULL AND state_key_nid IS NULL
    ) AS r
    WHERE octet_length(r.parent_id) BETWEEN 1 AND 255 AND octet_length(r.rel_type) BETWEEN 1 AND 255;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_add_relations AFTER INSERT ON events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION add_event_relations();
