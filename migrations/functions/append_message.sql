-- What `append_batch` does, for the batch that is most frequent while a server is not busy: one message in a room that is
-- there already. Plain values cost half of what columns cost. Returns no position, and nothing is written, where it must not be
-- appended or the transaction is known already.
CREATE FUNCTION append_message(
    r_nid bigint, r_expected bigint, r_version bigint, r_depth bigint, r_extremities bigint[], r_state bigint,
    r_ordinal bigint, r_built_on bigint[], r_built_ordinal bigint,
    e_nid bigint, e_depth bigint, e_ts bigint, e_before bigint, e_after bigint, e_flags smallint,
    e_id text, e_type text, e_sender text, e_json text,
    t_device text, t_path text, t_txn text, t_ts bigint,
    OUT pos bigint, OUT shift bigint, OUT forked boolean
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    p bigint;
BEGIN
    -- The lock on this row gives the log its order, so it comes first.
    UPDATE log_head SET pos = log_head.pos + 1 RETURNING log_head.pos INTO p;

    IF t_txn IS NOT NULL THEN
        INSERT INTO transactions (user_id, device_id, room_nid, event_type, txn_id, event_nid, created_ts)
        VALUES (e_sender, t_device, r_nid, t_path, t_txn, e_nid, t_ts)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            UPDATE log_head SET pos = p - 1;
            RETURN;
        END IF;
    END IF;

    UPDATE rooms SET version = r_version, depth = greatest(depth, r_depth),
        extremities = CASE WHEN extremities = r_built_on THEN r_extremities
            ELSE forked_extremities(extremities, r_built_on, r_extremities) END,
        notify_ordinal = notify_ordinal + r_ordinal - r_built_ordinal, last_pos = p
    WHERE room_nid = r_nid AND (version = r_expected AND extremities = r_built_on
        OR state_nid = r_state AND may_fork(extremities, r_extremities)
            AND NOT EXISTS (SELECT FROM events WHERE events.event_nid = e_nid)
            -- Two nodes may say the same in the same moment: of both there is one.
            AND NOT EXISTS (SELECT FROM events WHERE events.event_id = e_id))
    RETURNING notify_ordinal - r_ordinal, extremities <> r_extremities INTO shift, forked;
    IF NOT FOUND THEN
        DELETE FROM transactions WHERE event_nid = e_nid;
        UPDATE log_head SET pos = p - 1;
        RETURN;
    END IF;

    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_before, state_after, notify_ordinal, flags,
        event_id, event_type, sender, json)
    VALUES (e_nid, r_nid, p, e_depth, e_ts, e_before, e_after, r_ordinal + shift,
        CASE WHEN forked THEN e_flags & ~flag_linear() ELSE e_flags END, e_id, e_type, e_sender, e_json);

    PERFORM pg_notify('myelin_log', p::text);
    pos := p;
END
$$;
