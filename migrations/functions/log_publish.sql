-- Append changes and give them positions: the position of the first; the others follow. Call it last in a transaction: it takes
-- the lock of the log, and a node that does not commit soon after is thrown out as by `log_lock`.
CREATE FUNCTION log_publish(kinds smallint[], room_nids bigint[], user_ids text[], payloads text[], OUT first bigint)
LANGUAGE plpgsql AS $$
DECLARE
    n bigint := cardinality(kinds);
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
    UPDATE log_head SET pos = pos + n RETURNING pos - n + 1 INTO first;
    INSERT INTO log (pos, kind, room_nid, user_id, payload)
    SELECT first + c.ord - 1, c.kind, c.room_nid, c.user_id, c.payload
    FROM unnest(kinds, room_nids, user_ids, payloads) WITH ORDINALITY AS c (kind, room_nid, user_id, payload, ord);
    PERFORM pg_notify('myelin_log', (first + n - 1)::text);
END
$$;
