-- A server as the planner sees it: tables large enough that reading one whole costs more than any lookup. Quiet rooms and
-- busy ones, users in few rooms and in many.
ALTER TABLE events DISABLE TRIGGER USER;
INSERT INTO rooms (room_nid, room_id, room_version, version, depth, extremities, state_nid, notify_ordinal, last_pos)
SELECT n, '!' || n || ':h', '11', 1, 1, '{1}', 1, 0, n FROM generate_series(1, 20000) n;
INSERT INTO state_keys (event_type, state_key) SELECT 'm.room.member', '@u' || n || ':h' FROM generate_series(1, 50000) n;
INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_key_nid, state_before, state_after, replaces,
    notify_ordinal, flags, membership, event_id, event_type, sender, json)
SELECT n, 1 + n % 1000, n, 1, n, CASE WHEN n % 10 = 0 THEN n / 10 END, 1 + n / 10, 1 + n / 10, CASE WHEN n % 100 = 0 THEN n - 50 END,
    n, 8, CASE WHEN n % 20 = 0 THEN 2 END, '$' || n, 't', '@u' || n % 20000 || ':h', '{"content":{}}'
FROM generate_series(1, 100000) n;
INSERT INTO event_relations (child_nid, room_nid, parent_id, rel_type, pos, event_type, sender)
SELECT n, 1 + n % 1000, '$' || n - 1, CASE WHEN n % 2 = 0 THEN 'm.thread' ELSE 'm.annotation' END, n, 't', '@u' || n % 20000 || ':h'
FROM generate_series(1, 50000) n;
INSERT INTO memberships (user_id, room_nid, membership, event_nid, pos)
SELECT '@u' || n % 20000 || ':h', 1 + n / 100, CASE WHEN n % 10 = 0 THEN 4 ELSE 2 END, n, n FROM generate_series(1, 100000) n;
INSERT INTO receipts (room_nid, user_id, receipt_type, thread_id, event_nid, event_pos, ts)
SELECT 1 + n / 100, '@u' || n % 20000 || ':h', 'm.read', '', n, n, n FROM generate_series(1, 100000) n;
INSERT INTO log (pos, kind, room_nid, user_id, payload)
SELECT n, CASE WHEN n % 100 = 0 THEN 7 ELSE 1 END, CASE WHEN n % 2 = 0 THEN 1 + n % 1000 END, '@u' || n % 20000 || ':h', '{}'
FROM generate_series(1, 100000) n;
INSERT INTO account_data (user_id, room_nid, data_type, content)
SELECT '@u' || n % 20000 || ':h', n % 3, 'type' || n, '{}' FROM generate_series(1, 50000) n;
INSERT INTO state_snapshots (state_nid, room_nid, base_nid, delta)
SELECT n, 1 + n % 1000, CASE WHEN n % 10 > 0 THEN n - 1 END, '\x00' FROM generate_series(1, 50000) n;
INSERT INTO auth_chains (event_nid, room_nid, chain_nid, seq) SELECT n, 1 + n % 1000, n, 1 FROM generate_series(1, 50000) n;
INSERT INTO retrials (awaited_id, event_nid, is_missing) SELECT '$awaited' || n, n, n % 2 = 0 FROM generate_series(1, 50000) n;
INSERT INTO auth_chain_links (chain_nid, seq, target_chain_nid, target_seq) SELECT n, 1, n - 1, 1 FROM generate_series(2, 50000) n;
INSERT INTO transactions (user_id, device_id, room_nid, event_type, txn_id, event_nid, created_ts)
SELECT '@u' || n % 20000 || ':h', 'D', 1 + n % 1000, 't', n::text, n, n FROM generate_series(1, 50000) n;
INSERT INTO users (user_id, created_ts) SELECT '@u' || n || ':h', n FROM generate_series(1, 50000) n;
INSERT INTO profiles (user_id, displayname, fields) SELECT '@u' || n || ':h', 'User ' || n, '{}' FROM generate_series(1, 50000) n;
INSERT INTO devices (user_id, device_id, created_ts) SELECT '@u' || n || ':h', 'D', n FROM generate_series(1, 50000) n;
INSERT INTO access_tokens (token_hash, user_id, device_id, created_ts, refresh_nid)
SELECT sha256(n::text::bytea), '@u' || n || ':h', 'D', n, n FROM generate_series(1, 50000) n;
INSERT INTO refresh_tokens (token_hash, user_id, device_id, next_nid)
SELECT sha256(n::text::bytea), '@u' || n || ':h', 'D', n FROM generate_series(1, 50000) n;
INSERT INTO user_ips (user_id, device_id, ip, user_agent, last_seen_ts)
SELECT '@u' || n || ':h', 'D', '10.0.0.1', 'x', n FROM generate_series(1, 50000) n;
INSERT INTO filters (user_id, filter_id, hash, content)
SELECT '@u' || n || ':h', 0, sha256(n::text::bytea), '{}' FROM generate_series(1, 50000) n;
INSERT INTO pushers (user_id, app_id, pushkey, device_id, content)
SELECT '@u' || n || ':h', 'app', n::text, 'D', '{}' FROM generate_series(1, 50000) n;
INSERT INTO threepids (user_id, medium, address, validated_ts, added_ts)
SELECT '@u' || n || ':h', 'email', n || '@h', n, n FROM generate_series(1, 50000) n;
INSERT INTO room_directory (room_nid, appservice_id, network_id) SELECT n, '', '' FROM generate_series(1, 100) n;
INSERT INTO room_aliases (alias, room_nid, creator, created_ts) SELECT '#' || n || ':h', 1 + n % 20000, '@u1:h', n FROM generate_series(1, 20000) n;
INSERT INTO missing_events (event_id, follower_nid, room_nid) SELECT '$m' || n, n, 1 + n % 1000 FROM generate_series(1, 50000) n;
INSERT INTO late_redactions (target_id, redaction_nid, room_nid, is_powerful)
SELECT '$l' || n, n, 1 + n % 1000, true FROM generate_series(1, 50000) n;
INSERT INTO key_backups (user_id, version, algorithm, auth_data) SELECT '@u' || n || ':h', 1, 'a', '{}' FROM generate_series(1, 50000) n;
INSERT INTO key_backup_keys (user_id, version, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data)
SELECT '@u' || n % 1000 || ':h', 1, '!' || n % 20000 || ':h', n::text, 0, 0, false, '{}' FROM generate_series(1, 100000) n;
INSERT INTO to_device (user_id, device_id, pos, message) SELECT '@u' || n % 20000 || ':h', 'D', n, '{}' FROM generate_series(1, 100000) n;
INSERT INTO to_device_transactions (user_id, device_id, event_type, txn_id, created_ts)
SELECT '@u' || n % 20000 || ':h', 'D', 't', n::text, n FROM generate_series(1, 50000) n;
INSERT INTO device_keys (user_id, device_id, keys) SELECT '@u' || n || ':h', 'D', '{}' FROM generate_series(1, 50000) n;
INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key, claimed)
SELECT '@u' || n % 2000 || ':h', 'D', 'a', n::text, '{}', n % 5 = 0 FROM generate_series(1, 100000) n;
INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key)
SELECT '@u' || n || ':h', 'D', 'a', 'k', '{}' FROM generate_series(1, 50000) n;
INSERT INTO cross_signing_keys (user_id, usage, key)
SELECT '@u' || n || ':h', usage, '{}' FROM generate_series(1, 20000) n, unnest('{master,self_signing,user_signing}'::text[]) usage;
INSERT INTO key_signatures (target_user_id, target_id, signer_id, key_id, signature)
SELECT '@u' || n || ':h', 'D', '@u' || s || ':h', 'ed25519:' || s, 's' FROM generate_series(1, 50000) n, unnest(ARRAY[n, n % 100]) s
ON CONFLICT DO NOTHING;
INSERT INTO outside_states (event_nid, room_nid, stripped) SELECT n, 1 + n % 1000, '[]' FROM generate_series(1, 50000) n;
ANALYZE;
