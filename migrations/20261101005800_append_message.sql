-- Which events relate to others is found out for each event that may, not by a statement for each batch: most events relate to
-- nothing, and an AFTER ROW trigger whose condition does not hold costs next to nothing.
DROP TRIGGER events_add_relations ON events;
DROP FUNCTION add_event_relations();

-- Texts with \u0000 cannot be read as values by PostgreSQL, and longer ones than an ID may be do not fit an index; such
-- relations are not kept.
CREATE FUNCTION add_event_relation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    parent_id text := NEW.json::json #>> '{content,m.relates_to,event_id}';
    rel_type text := NEW.json::json #>> '{content,m.relates_to,rel_type}';
BEGIN
    IF octet_length(parent_id) BETWEEN 1 AND 255 AND octet_length(rel_type) BETWEEN 1 AND 255 THEN
        INSERT INTO event_relations (child_nid, room_nid, parent_id, rel_type, pos, event_type, sender)
        VALUES (NEW.event_nid, NEW.room_nid, parent_id, rel_type, NEW.pos, NEW.event_type, NEW.sender);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_add_relation AFTER INSERT ON events FOR EACH ROW
    WHEN (NEW.pos IS NOT NULL AND NEW.state_key_nid IS NULL AND strpos(NEW.json, '"m.relates_to"') > 0
        AND strpos(NEW.json, '"rel_type"') > 0 AND strpos(NEW.json, '\u0000') = 0)
    EXECUTE FUNCTION add_event_relation();

-- What `append_batch` does, for the batch that is most frequent while a server is not busy: one message in a room that is
-- there already. Plain values cost half of what columns cost. Returns the position; NULL, and nothing is written, where the
-- room has moved on or the transaction is known already.
CREATE FUNCTION append_message(
    r_nid bigint, r_expected bigint, r_version bigint, r_depth bigint, r_extremities bigint[], r_state bigint,
    r_ordinal bigint,
    e_nid bigint, e_depth bigint, e_ts bigint, e_before bigint, e_after bigint, e_ordinal bigint, e_flags smallint,
    e_id text, e_type text, e_sender text, e_json text,
    t_device text, t_txn text, t_ts bigint
) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    p bigint;
BEGIN
    -- The lock on this row gives the log its order, so it comes first.
    UPDATE log_head SET pos = pos + 1 RETURNING pos INTO p;

    IF t_txn IS NOT NULL THEN
        INSERT INTO transactions (user_id, device_id, room_nid, event_type, txn_id, event_nid, created_ts)
        VALUES (e_sender, t_device, r_nid, e_type, t_txn, e_nid, t_ts)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            UPDATE log_head SET pos = p - 1;
            RETURN NULL;
        END IF;
    END IF;

    UPDATE rooms SET version = r_version, depth = r_depth, extremities = r_extremities, state_nid = r_state,
        notify_ordinal = r_ordinal, last_pos = p
    WHERE room_nid = r_nid AND version = r_expected;
    IF NOT FOUND THEN
        DELETE FROM transactions WHERE event_nid = e_nid;
        UPDATE log_head SET pos = p - 1;
        RETURN NULL;
    END IF;

    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_before, state_after, notify_ordinal, flags,
        event_id, event_type, sender, json)
    VALUES (e_nid, r_nid, p, e_depth, e_ts, e_before, e_after, e_ordinal, e_flags, e_id, e_type, e_sender, e_json);

    PERFORM pg_notify('myelin_log', p::text);
    RETURN p;
END
$$;
