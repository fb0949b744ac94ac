-- version 2
-- Keeps event_relations. Which events relate to others is found out for each event that may, not by a statement for each batch: most
-- events relate to nothing, and an AFTER ROW trigger whose condition does not hold costs next to nothing.
--
-- Texts that are longer than an ID may be do not fit an index; such relations are not kept.
CREATE OR REPLACE FUNCTION add_event_relation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    id_size_bytes_max CONSTANT integer := 255;
    event json := readable_json(NEW.json);
    parent_id text := event #>> '{content,m.relates_to,event_id}';
    rel_type text := event #>> '{content,m.relates_to,rel_type}';
BEGIN
    IF octet_length(parent_id) BETWEEN 1 AND id_size_bytes_max AND octet_length(rel_type) BETWEEN 1 AND id_size_bytes_max THEN
        INSERT INTO event_relations (child_nid, room_nid, parent_id, rel_type, pos, event_type, sender)
        VALUES (NEW.event_nid, NEW.room_nid, parent_id, rel_type, NEW.pos, NEW.event_type, NEW.sender);
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER events_add_relation AFTER INSERT ON events FOR EACH ROW
    WHEN (NEW.pos IS NOT NULL AND NEW.state_key_nid IS NULL AND strpos(NEW.json, '"m.relates_to"') > 0
        AND strpos(NEW.json, '"rel_type"') > 0)
    EXECUTE FUNCTION add_event_relation();
