-- version 3
-- Keeps event_relations. Which events relate to others is found out for each event that may, not by a statement for each batch: most
-- events relate to nothing, and an AFTER ROW trigger whose condition does not hold costs next to nothing.
--
-- Texts that are longer than an ID may be do not fit an index; such relations are not kept. Nor are edits that are state: they are none.
CREATE OR REPLACE FUNCTION add_event_relation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    id_size_bytes_max CONSTANT integer := 255;
    -- The number of relations that lead from an event to the one that stands in a thread.
    relations_max CONSTANT integer := 3;
    event json := readable_json(NEW.json);
    parent_id text := event #>> '{content,m.relates_to,event_id}';
    rel_type text := event #>> '{content,m.relates_to,rel_type}';
    root text := '';
BEGIN
    IF octet_length(parent_id) NOT BETWEEN 1 AND id_size_bytes_max OR octet_length(rel_type) NOT BETWEEN 1 AND id_size_bytes_max
        OR parent_id IS NULL OR rel_type IS NULL OR NEW.state_key_nid IS NOT NULL AND rel_type = 'm.replace' THEN
        RETURN NULL;
    END IF;
    -- What notifies by the default rules, as its ordinal says.
    IF NEW.state_key_nid IS NULL AND rel_type <> 'm.replace'
        AND (NEW.event_type IN ('m.room.encrypted', 'm.call.invite')
            OR NEW.event_type = 'm.room.message' AND event #>> '{content,msgtype}' IS DISTINCT FROM 'm.notice') THEN
        root := parent_id;
        IF rel_type <> 'm.thread' THEN
            WITH RECURSIVE up AS (
                SELECT parent_id COLLATE "C" AS id, ''::text COLLATE "C" AS kind, 0 AS depth
                UNION ALL
                SELECT r.parent_id, r.rel_type, up.depth + 1 FROM up
                CROSS JOIN LATERAL (SELECT event_nid FROM events WHERE event_id = up.id OFFSET 0) AS e
                CROSS JOIN LATERAL (
                    SELECT c.parent_id, c.rel_type FROM event_relations c WHERE c.child_nid = e.event_nid OFFSET 0
                ) AS r
                WHERE up.kind <> 'm.thread' AND up.depth < relations_max
            )
            SELECT coalesce(max(up.id), '') INTO root FROM up WHERE up.kind = 'm.thread';
        END IF;
    END IF;
    INSERT INTO event_relations (child_nid, room_nid, parent_id, rel_type, pos, event_type, sender, thread_root)
    VALUES (NEW.event_nid, NEW.room_nid, parent_id, rel_type, NEW.pos, NEW.event_type, NEW.sender, root);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER events_add_relation AFTER INSERT ON events FOR EACH ROW
    WHEN (NEW.pos IS NOT NULL AND strpos(NEW.json, '"m.relates_to"') > 0 AND strpos(NEW.json, '"rel_type"') > 0)
    EXECUTE FUNCTION add_event_relation();
