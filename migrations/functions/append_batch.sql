-- One batch of the group-commit writer: room events with all their derived rows, and receipts, in one statement, so that
-- the lock on the log is held for this function and one flush, and never while waiting for a client.
--
-- The parameters are columns, named by the group of rows they belong to: crates/storage/src/writer/rows.rs says what each is.
-- r_*: one row a room: the head that the writer built upon (r_expected, 0 for a new room) and the one it leaves.
-- A room that has moved on, or one of whose transactions is known already, is left out whole, with all its rows; the others go
-- on. Messages of two nodes for one room need not wait for each other: what was built upon an older head is appended beside what
-- came in between, as long as the state is the one it was built upon, and so what entitles its sender. The room has then two
-- forward extremities, and the next event that knows of both joins them. What has a built_state of 0 is appended to the very head that
-- it was built upon, or not at all.
--
-- a_*: the events that came from other servers. Several nodes may be handed the same one: a room for which something is known of such
-- an event that the writer does not know is left out, too. One that was kept beside the log before is taken into it.
--
-- Returns the position before the batch, the rooms appended to, by how much the notify ordinals of each have shifted, whether
-- others are forward extremities beside its last event, the receipts that moved, and the deliveries to users' devices that were made.
CREATE FUNCTION append_batch(
    r_nid bigint[], r_id text[], r_room_version text[], r_expected bigint[], r_version bigint[], r_depth bigint[],
    r_extremities text[], r_state bigint[], r_ordinal bigint[], r_built_on text[],
    r_built_state bigint[], r_built_ordinal bigint[],
    e_room bigint[], e_nid bigint[], e_depth bigint[], e_ts bigint[], e_state_key bigint[], e_before bigint[],
    e_after bigint[], e_replaces bigint[], e_redacts bigint[], e_redacted_by bigint[], e_ordinal bigint[], e_flags smallint[],
    e_membership smallint[], e_id text[], e_event_type text[], e_sender text[], e_json text[],
    a_room bigint[], a_event bigint[], a_id text[], a_looked_up boolean[], a_stored boolean[], a_pos bigint[], a_ts bigint[],
    d_room bigint[], d_redaction bigint[], d_target text[], d_powerful boolean[],
    o_room bigint[], o_event bigint[], o_stripped text[],
    g_room bigint[], g_event bigint[], g_missing text[],
    s_room bigint[], s_nid bigint[], s_base bigint[], s_delta bytea[],
    m_room bigint[], m_user text[], m_membership smallint[], m_event bigint[],
    t_room bigint[], t_user text[], t_device text[], t_path text[], t_txn text[], t_event bigint[], t_ts bigint[],
    c_room bigint[], c_event bigint[], c_chain bigint[], c_seq integer[],
    l_room bigint[], l_chain bigint[], l_seq integer[], l_target_chain bigint[], l_target_seq integer[],
    x_room bigint[], x_kind smallint[], x_payload text[],
    p_room bigint[], p_user text[], p_receipt_type text[], p_thread text[], p_event bigint[], p_event_pos bigint[], p_ts bigint[],
    p_payload text[],
    z_user text[], z_device text[], z_event_type text[], z_txn text[], z_ts bigint[],
    v_request bigint[], v_user text[], v_payload text[],
    w_request bigint[], w_delivery bigint[], w_user text[], w_device text[], w_message text[],
    OUT base bigint, OUT appended bigint[], OUT shifts bigint[], OUT forked boolean[], OUT receipts_moved integer[],
    OUT delivered integer[]
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
    repeated bigint[] := '{}';
    new_transactions bigint[] := '{}';
    new_requests bigint[];
BEGIN
    SELECT pos INTO base FROM log_head FOR UPDATE;

    IF cardinality(t_room) > 0 THEN
        WITH taken AS (
            INSERT INTO transactions (user_id, device_id, room_nid, event_type, txn_id, event_nid, created_ts)
            SELECT t.user_id, t.device, t.room, t.path, t.txn, t.event, t.ts
            FROM unnest(t_room, t_user, t_device, t_path, t_txn, t_event, t_ts) AS t (room, user_id, device, path, txn, event, ts)
            ON CONFLICT DO NOTHING
            RETURNING event_nid
        )
        SELECT coalesce(array_agg(taken.event_nid), '{}') INTO new_transactions FROM taken;
        IF cardinality(new_transactions) < cardinality(t_room) THEN
            -- Nothing of a room goes in whose transaction is known already.
            SELECT array_agg(t.room) INTO repeated
            FROM unnest(t_room, t_event) AS t (room, event)
            WHERE t.event <> ALL (new_transactions);
        END IF;
    END IF;

    IF cardinality(a_room) > 0 THEN
        SELECT repeated || coalesce(array_agg(a.room), '{}') INTO repeated
        FROM unnest(a_room, a_event, a_id, a_looked_up, a_stored, a_pos) AS a (room, event, id, looked_up, stored, pos)
        LEFT JOIN LATERAL (SELECT event_nid, pos FROM events WHERE event_id = a.id OFFSET 0) AS e ON true
        WHERE CASE WHEN a.looked_up
            THEN a.stored <> (e.event_nid IS NOT NULL) OR e.event_nid <> a.event OR e.pos IS DISTINCT FROM a.pos
            ELSE e.event_nid IS NOT NULL
                OR EXISTS (SELECT FROM late_redactions WHERE target_id = a.id)
                OR EXISTS (SELECT FROM missing_events WHERE event_id = a.id)
                OR EXISTS (SELECT FROM retrials WHERE awaited_id = a.id)
            END;
    END IF;

    IF cardinality(d_room) > 0 THEN
        -- What such a redaction waits for may have come to another node meanwhile, beside the log.
        SELECT repeated || coalesce(array_agg(d.room), '{}') INTO repeated
        FROM unnest(d_room, d_target) AS d (room, target)
        JOIN LATERAL (SELECT pos FROM events WHERE event_id = d.target OFFSET 0) AS e ON true
        WHERE e.pos < 0;
    END IF;

    n := cardinality(e_nid);
    WITH moved AS (
        UPDATE rooms SET version = r.version, depth = greatest(rooms.depth, r.depth),
            extremities = CASE WHEN rooms.extremities = r.built_on::bigint[] THEN r.extremities::bigint[]
                ELSE forked_extremities(rooms.extremities, r.built_on::bigint[], r.extremities::bigint[]) END,
            state_nid = r.state, notify_ordinal = rooms.notify_ordinal + r.ordinal - r.built_ordinal, last_pos = base + n
        FROM unnest(r_nid, r_expected, r_version, r_depth, r_extremities, r_state, r_ordinal, r_built_on, r_built_state,
            r_built_ordinal)
            AS r (nid, expected, version, depth, extremities, state, ordinal, built_on, built_state,
                built_ordinal)
        WHERE rooms.room_nid = r.nid AND r.expected > 0 AND r.nid <> ALL (repeated)
            AND (rooms.version = r.expected AND rooms.extremities = r.built_on::bigint[]
                OR rooms.state_nid = r.state AND r.built_state = r.state AND may_fork(rooms.extremities, r.extremities::bigint[])
                    AND NOT EXISTS (SELECT FROM events WHERE events.event_nid = r.version)
                    -- Two nodes may say the same in the same moment: of both there is one.
                    AND NOT EXISTS (
                        SELECT FROM unnest(e_room, e_id) AS e (room, id)
                        CROSS JOIN LATERAL (SELECT FROM events WHERE events.event_id = e.id OFFSET 0) AS stored
                        WHERE e.room = r.nid
                    ))
        RETURNING r.nid, rooms.notify_ordinal - r.ordinal AS shift, rooms.extremities <> r.extremities::bigint[] AS forked
    )
    SELECT coalesce(array_agg(moved.nid), '{}'), coalesce(array_agg(moved.shift), '{}'), coalesce(array_agg(moved.forked), '{}')
    INTO appended, shifts, forked FROM moved;

    IF 0 = ANY (r_expected) THEN
        WITH made AS (
            INSERT INTO rooms (room_nid, room_id, room_version, version, depth, extremities, state_nid, notify_ordinal, last_pos)
            SELECT r.nid, r.id, r.room_version, r.version, r.depth, r.extremities::bigint[], r.state, r.ordinal, base + n
            FROM unnest(r_nid, r_id, r_room_version, r_expected, r_version, r_depth, r_extremities, r_state, r_ordinal)
                AS r (nid, id, room_version, expected, version, depth, extremities, state, ordinal)
            WHERE r.expected = 0 AND r.nid <> ALL (repeated)
            -- Two nodes may make the same room in the same moment: one of them begins anew.
            ON CONFLICT DO NOTHING
            RETURNING room_nid
        )
        SELECT appended || coalesce(array_agg(made.room_nid), '{}'), shifts || coalesce(array_agg(0::bigint), '{}'),
            forked || coalesce(array_agg(false), '{}')
        INTO appended, shifts, forked FROM made;
    END IF;

    IF cardinality(a_room) > 0 THEN
        DELETE FROM event_relations USING unnest(a_room, a_event, a_stored) AS a (room, event, stored)
        WHERE a.stored AND a.room = ANY (appended) AND event_relations.child_nid = a.event;
        DELETE FROM events USING unnest(a_room, a_event, a_stored) AS a (room, event, stored)
        WHERE a.stored AND a.room = ANY (appended) AND events.event_nid = a.event;
        DELETE FROM retrials USING unnest(a_room, a_event, a_stored) AS a (room, event, stored)
        WHERE a.stored AND a.room = ANY (appended) AND retrials.event_nid = a.event;
        DELETE FROM missing_events USING unnest(a_room, a_id) AS a (room, id)
        WHERE a.room = ANY (appended) AND missing_events.event_id = a.id;
        WITH applied AS (
            DELETE FROM late_redactions USING unnest(a_room, a_event, a_id) AS a (room, event, id)
            WHERE a.room = ANY (appended) AND late_redactions.target_id = a.id
            RETURNING late_redactions.redaction_nid, a.event
        )
        UPDATE events SET redacts = applied.event FROM applied
        WHERE events.event_nid = applied.redaction_nid
            AND applied.redaction_nid = e_redacted_by[array_position(e_nid, applied.event)];
    END IF;

    INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_key_nid, state_before, state_after,
        replaces, redacts, redacted_by, notify_ordinal, flags, membership, event_id, event_type, sender, json, received_ts)
    SELECT e.nid, e.room, base + row_number() OVER (ORDER BY e.ord), e.depth, e.ts, e.state_key, e.before, e.after,
        e.replaces, e.redacts, e.redacted_by, e.ordinal + shifts[array_position(appended, e.room)],
        CASE WHEN forked[array_position(appended, e.room)] THEN e.flags & ~flag_linear() ELSE e.flags END,
        e.membership, e.id, e.type, e.sender, e.json, a_ts[array_position(a_event, e.nid)]
    FROM unnest(e_room, e_nid, e_depth, e_ts, e_state_key, e_before, e_after, e_replaces, e_redacts, e_redacted_by, e_ordinal,
        e_flags, e_membership, e_id, e_event_type, e_sender, e_json) WITH ORDINALITY
        AS e (room, nid, depth, ts, state_key, before, after, replaces, redacts, redacted_by, ordinal, flags, membership, id, type,
              sender, json, ord)
    WHERE e.room = ANY (appended);
    GET DIAGNOSTICS n = ROW_COUNT;

    IF cardinality(appended) < cardinality(r_nid) THEN
        DELETE FROM transactions WHERE event_nid = ANY (new_transactions) AND room_nid <> ALL (appended);
        UPDATE rooms SET last_pos = base + n WHERE room_nid = ANY (appended);
    END IF;

    IF cardinality(array_remove(e_redacts, NULL)) > 0 THEN
        UPDATE events SET redacted_by = e.nid
        FROM unnest(e_room, e_nid, e_redacts) AS e (room, nid, redacts)
        WHERE e.redacts IS NOT NULL AND e.room = ANY (appended) AND events.event_nid = e.redacts
            AND events.redacted_by IS NULL;
    END IF;

    IF cardinality(d_room) > 0 THEN
        INSERT INTO late_redactions (target_id, redaction_nid, room_nid, is_powerful)
        SELECT d.target, d.redaction, d.room, d.powerful
        FROM unnest(d_room, d_redaction, d_target, d_powerful) AS d (room, redaction, target, powerful)
        WHERE d.room = ANY (appended);
    END IF;

    IF cardinality(o_room) > 0 THEN
        INSERT INTO outside_states (event_nid, room_nid, stripped)
        SELECT o.event, o.room, o.stripped FROM unnest(o_room, o_event, o_stripped) AS o (room, event, stripped)
        WHERE o.room = ANY (appended);
    END IF;

    IF cardinality(g_room) > 0 THEN
        INSERT INTO missing_events (event_id, follower_nid, room_nid)
        SELECT g.missing, g.event, g.room FROM unnest(g_room, g_event, g_missing) AS g (room, event, missing)
        -- Another node may have brought one meanwhile.
        WHERE g.room = ANY (appended)
            AND NOT EXISTS (SELECT FROM events WHERE events.event_id = g.missing AND events.pos IS NOT NULL);
    END IF;

    IF cardinality(s_nid) > 0 THEN
        INSERT INTO state_snapshots (state_nid, room_nid, base_nid, delta)
        SELECT s.nid, s.room, s.base, s.delta
        FROM unnest(s_room, s_nid, s_base, s_delta) AS s (room, nid, base, delta)
        WHERE s.room = ANY (appended);
    END IF;

    IF cardinality(m_room) > 0 THEN
        -- One user can come up several times in a batch; the last one stays. Without an event the user has no membership any more. An
        -- event that came before this batch is current again from here on.
        WITH last AS (
            SELECT DISTINCT ON (m.user_id, m.room) m.room, m.user_id, m.membership, m.event
            FROM unnest(m_room, m_user, m_membership, m_event) WITH ORDINALITY AS m (room, user_id, membership, event, ord)
            WHERE m.room = ANY (appended)
            ORDER BY m.user_id, m.room, m.ord DESC
        ), gone AS (
            DELETE FROM memberships USING last
            WHERE last.event IS NULL AND memberships.user_id = last.user_id AND memberships.room_nid = last.room
        )
        INSERT INTO memberships (user_id, room_nid, membership, event_nid, pos)
        SELECT last.user_id, last.room, last.membership, last.event,
            CASE WHEN last.event = ANY (e_nid) THEN events.pos ELSE base + n END
        FROM last JOIN events ON events.event_nid = last.event
        -- Who has forgotten a room does not remember it by being banned.
        ON CONFLICT (user_id, room_nid) DO UPDATE SET membership = EXCLUDED.membership,
            event_nid = EXCLUDED.event_nid, pos = EXCLUDED.pos,
            forgotten = memberships.forgotten AND EXCLUDED.membership IN (membership_leave(), membership_ban());
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
            SELECT * FROM unnest(p_room, p_user, p_receipt_type, p_thread, p_event, p_event_pos, p_ts, p_payload) WITH ORDINALITY
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
            SELECT base + n + place, kind_receipt(), room, user_id, payload FROM numbered
        )
        SELECT coalesce(array_agg(ord::integer ORDER BY ord), '{}') INTO receipts_moved FROM numbered;
        n := n + cardinality(receipts_moved);
    END IF;

    delivered := '{}';
    IF cardinality(z_user) > 0 THEN
        -- The writer sends a transaction once in a batch. A request whose transaction is known already sends nothing.
        WITH given AS (
            SELECT * FROM unnest(z_user, z_device, z_event_type, z_txn, z_ts) WITH ORDINALITY
                AS z (user_id, device, event_type, txn, ts, ord)
        ), taken AS (
            INSERT INTO to_device_transactions (user_id, device_id, event_type, txn_id, created_ts)
            SELECT z.user_id, z.device, z.event_type, z.txn, z.ts FROM given AS z
            ON CONFLICT DO NOTHING
            RETURNING user_id, device_id, event_type, txn_id
        )
        SELECT coalesce(array_agg(z.ord), '{}') INTO new_requests
        FROM given AS z JOIN taken ON (taken.user_id, taken.device_id, taken.event_type, taken.txn_id)
            = (z.user_id, z.device, z.event_type, z.txn);

        WITH numbered AS (
            SELECT v.ord, v.user_id, v.payload, row_number() OVER (ORDER BY v.ord) AS place
            FROM unnest(v_request, v_user, v_payload) WITH ORDINALITY AS v (request, user_id, payload, ord)
            WHERE v.request = ANY (new_requests)
        ), logged AS (
            INSERT INTO log (pos, kind, user_id, payload)
            SELECT base + n + place, kind_to_device(), user_id, payload FROM numbered
        )
        SELECT coalesce(array_agg(ord::integer ORDER BY ord), '{}') INTO delivered FROM numbered;

        -- Every delivery has messages, so they are counted as above. A device may be gone meanwhile; who deletes one holds the
        -- lock of the log.
        INSERT INTO to_device (user_id, device_id, pos, message)
        SELECT w.user_id, w.device, base + n + w.place, w.message
        FROM (
            SELECT user_id, device, message, dense_rank() OVER (ORDER BY delivery) AS place
            FROM unnest(w_request, w_delivery, w_user, w_device, w_message) AS w (request, delivery, user_id, device, message)
            WHERE w.request = ANY (new_requests)
        ) AS w JOIN devices ON devices.user_id = w.user_id AND devices.device_id = w.device;
        n := n + cardinality(delivered);
    END IF;

    IF n > 0 THEN
        UPDATE log_head SET pos = base + n;
        PERFORM pg_notify('myelin_log', (base + n)::text);
    END IF;
END
$$;
