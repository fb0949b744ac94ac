-- `append_batch` as before (see 20261101000200_append_batch.sql), but for three things. Whether a transaction is known already
-- is looked up by the whole key: without the event type, as before, the lookup read every transaction that the device ever
-- had in the room. The type of a transaction's event is taken from its place in the array, not by joining the arrays. And
-- what only new rooms or redactions need is left out where there are none.
CREATE OR REPLACE FUNCTION append_batch(
    r_nid bigint[], r_id text[], r_room_version text[], r_expected bigint[], r_version bigint[], r_depth bigint[],
    r_extremities text[], r_state bigint[], r_ordinal bigint[],
    e_room bigint[], e_nid bigint[], e_depth bigint[], e_ts bigint[], e_state_key bigint[], e_before bigint[],
    e_after bigint[], e_replaces bigint[], e_redacts bigint[], e_ordinal bigint[], e_flags smallint[],
    e_membership smallint[], e_id text[], e_type text[], e_sender text[], e_json text[],
    s_room bigint[], s_nid bigint[], s_base bigint[], s_delta bytea[],
    m_room bigint[], m_user text[], m_membership smallint[], m_event bigint[],
    t_room bigint[], t_user text[], t_device text[], t_txn text[], t_event bigint[], t_ts bigint[],
    c_room bigint[], c_event bigint[], c_chain bigint[], c_seq integer[],
    l_room bigint[], l_chain bigint[], l_seq integer[], l_target_chain bigint[], l_target_seq integer[],
    x_room bigint[], x_kind smallint[], x_payload text[],
    p_room bigint[], p_user text[], p_type text[], p_thread text[], p_event bigint[], p_event_pos bigint[], p_ts bigint[],
    p_payload text[],
    OUT base bigint, OUT appended bigint[], OUT receipts_moved integer[]
) LANGUAGE plpgsql
-- The planner knows neither how short the arrays are nor how large the tables will be. Every table is reached by a few
-- keys, so one plan made of index lookups is right for all batches; planning anew, or compiling, would take longer than the work.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    n bigint := 0;
    m bigint;
BEGIN
    SELECT pos INTO base FROM log_head FOR UPDATE;

    SELECT coalesce(array_agg(r.nid), '{}') INTO appended
    FROM unnest(r_nid, r_expected) AS r (nid, expected)
    LEFT JOIN rooms ON rooms.room_nid = r.nid
    WHERE coalesce(rooms.version, 0) = r.expected;

    IF cardinality(t_room) > 0 THEN
        SELECT coalesce(array_agg(a.nid), '{}') INTO appended
        FROM unnest(appended) AS a (nid)
        WHERE a.nid NOT IN (
            SELECT t.room_nid
            FROM unnest(t_room, t_user, t_device, t_txn, t_event) AS t (room_nid, user_id, device_id, txn_id, event)
            CROSS JOIN LATERAL (
                SELECT 1 FROM transactions AS known
                WHERE known.user_id = t.user_id AND known.device_id = t.device_id AND known.room_nid = t.room_nid
                    AND known.event_type = e_type[array_position(e_nid, t.event)] AND known.txn_id = t.txn_id
                OFFSET 0 -- a lookup of its own by all five columns, never a join by some of them
            ) AS known
        );
    END IF;

    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_key_nid, state_before, state_after,
        replaces, redacts, notify_ordinal, flags, membership, event_id, event_type, sender, json)
    SELECT e.nid, e.room, base + row_number() OVER (ORDER BY e.ord), e.depth, e.ts, e.state_key, e.before, e.after,
        e.replaces, e.redacts, e.ordinal, e.flags, e.membership, e.id, e.type, e.sender, e.json
    FROM unnest(e_room, e_nid, e_depth, e_ts, e_state_key, e_before, e_after, e_replaces, e_redacts, e_ordinal,
        e_flags, e_membership, e_id, e_type, e_sender, e_json) WITH ORDINALITY
        AS e (room, nid, depth, ts, state_key, before, after, replaces, redacts, ordinal, flags, membership, id, type,
              sender, json, ord)
    WHERE e.room = ANY (appended);
    GET DIAGNOSTICS n = ROW_COUNT;

    IF 0 = ANY (r_expected) THEN
        INSERT INTO rooms (room_nid, room_id, room_version, version, depth, extremities, state_nid, notify_ordinal, last_pos)
        SELECT r.nid, r.id, r.room_version, r.version, r.depth, r.extremities::bigint[], r.state, r.ordinal, base + n
        FROM unnest(r_nid, r_id, r_room_version, r_expected, r_version, r_depth, r_extremities, r_state, r_ordinal)
            AS r (nid, id, room_version, expected, version, depth, extremities, state, ordinal)
        WHERE r.expected = 0 AND r.nid = ANY (appended);
    END IF;

    UPDATE rooms SET version = r.version, depth = r.depth, extremities = r.extremities::bigint[], state_nid = r.state,
        notify_ordinal = r.ordinal, last_pos = base + n
    FROM unnest(r_nid, r_expected, r_version, r_depth, r_extremities, r_state, r_ordinal)
        AS r (nid, expected, version, depth, extremities, state, ordinal)
    WHERE rooms.room_nid = r.nid AND r.expected > 0 AND r.nid = ANY (appended);

    IF cardinality(array_remove(e_redacts, NULL)) > 0 THEN
        UPDATE events SET redacted_by = e.nid
        FROM unnest(e_room, e_nid, e_redacts) AS e (room, nid, redacts)
        WHERE e.redacts IS NOT NULL AND e.room = ANY (appended) AND events.event_nid = e.redacts
            AND events.redacted_by IS NULL;
    END IF;

    IF cardinality(s_nid) > 0 THEN
        INSERT INTO state_snapshots (state_nid, room_nid, base_nid, delta)
        SELECT s.nid, s.room, s.base, s.delta
        FROM unnest(s_room, s_nid, s_base, s_delta) AS s (room, nid, base, delta)
        WHERE s.room = ANY (appended);
    END IF;

    IF cardinality(m_room) > 0 THEN
        -- One user can come up several times in a batch; the last one stays.
        INSERT INTO memberships (user_id, room_nid, membership, event_nid, pos)
        SELECT DISTINCT ON (m.user_id, m.room) m.user_id, m.room, m.membership, m.event, coalesce(events.pos, base + n)
        FROM unnest(m_room, m_user, m_membership, m_event) WITH ORDINALITY AS m (room, user_id, membership, event, ord)
        JOIN events ON events.event_nid = m.event
        WHERE m.room = ANY (appended)
        ORDER BY m.user_id, m.room, m.ord DESC
        ON CONFLICT (user_id, room_nid) DO UPDATE SET membership = EXCLUDED.membership,
            event_nid = EXCLUDED.event_nid, pos = EXCLUDED.pos, forgotten = false;
    END IF;

    IF cardinality(t_room) > 0 THEN
        INSERT INTO transactions (user_id, device_id, room_nid, event_type, txn_id, event_nid, created_ts)
        SELECT t.user_id, t.device, t.room, e_type[array_position(e_nid, t.event)], t.txn, t.event, t.ts
        FROM unnest(t_room, t_user, t_device, t_txn, t_event, t_ts) AS t (room, user_id, device, txn, event, ts)
        WHERE t.room = ANY (appended);
    END IF;

    IF cardinality(c_room) > 0 THEN
        INSERT INTO auth_chains (event_nid, room_nid, chain_nid, seq)
        SELECT c.event, c.room, c.chain, c.seq
        FROM unnest(c_room, c_event, c_chain, c_seq) AS c (room, event, chain, seq)
        WHERE c.room = ANY (appended);
        INSERT INTO auth_chain_links (chain_nid, seq, target_chain_nid, target_seq)
        SELECT l.chain, l.seq, l.target_chain, l.target_seq
        FROM unnest(l_room, l_chain, l_seq, l_target_chain, l_target_seq) AS l (room, chain, seq, target_chain, target_seq)
        WHERE l.room = ANY (appended);
    END IF;

    IF cardinality(x_room) > 0 THEN
        INSERT INTO log (pos, kind, room_nid, payload)
        SELECT base + n + row_number() OVER (ORDER BY x.ord), x.kind, x.room, x.payload
        FROM unnest(x_room, x_kind, x_payload) WITH ORDINALITY AS x (room, kind, payload, ord)
        WHERE x.room = ANY (appended);
        GET DIAGNOSTICS m = ROW_COUNT;
        n := n + m;
    END IF;

    receipts_moved := '{}';
    IF cardinality(p_room) > 0 THEN
        -- The writer sends at most one receipt a (room, user, type, thread) in a batch.
        WITH given AS (
            SELECT * FROM unnest(p_room, p_user, p_type, p_thread, p_event, p_event_pos, p_ts, p_payload) WITH ORDINALITY
                AS p (room, user_id, type, thread, event, event_pos, ts, payload, ord)
        ), moved AS (
            INSERT INTO receipts AS old (room_nid, user_id, receipt_type, thread_id, event_nid, event_pos, ts)
            SELECT p.room, p.user_id, p.type, p.thread, p.event, p.event_pos, p.ts FROM given AS p
            ON CONFLICT (room_nid, user_id, receipt_type, thread_id) DO UPDATE
                SET event_nid = EXCLUDED.event_nid, event_pos = EXCLUDED.event_pos, ts = EXCLUDED.ts
                WHERE old.event_pos < EXCLUDED.event_pos
            RETURNING old.room_nid, old.user_id, old.receipt_type, old.thread_id
        ), numbered AS (
            SELECT p.*, row_number() OVER (ORDER BY p.ord) AS place
            FROM given AS p JOIN moved ON (moved.room_nid, moved.user_id, moved.receipt_type, moved.thread_id)
                = (p.room, p.user_id, p.type, p.thread)
        ), logged AS (
            INSERT INTO log (pos, kind, room_nid, user_id, payload)
            SELECT base + n + place, 2, room, user_id, payload FROM numbered
        )
        SELECT coalesce(array_agg(ord::integer ORDER BY ord), '{}') INTO receipts_moved FROM numbered;
        n := n + cardinality(receipts_moved);
    END IF;

    IF n > 0 THEN
        UPDATE log_head SET pos = base + n;
        PERFORM pg_notify('myelin_log', (base + n)::text);
    END IF;
END
$$;
