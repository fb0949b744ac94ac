-- The schema after all migrations, with its triggers, to be read. The functions that nodes call are in migrations/functions/.
-- Written by `cargo xtask schema`.

CREATE FUNCTION public.add_event_relation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.flag_branched() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (32)::smallint;

CREATE FUNCTION public.flag_linear() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (8)::smallint;

CREATE FUNCTION public.kind_device_list() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (7)::smallint;

CREATE FUNCTION public.kind_receipt() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (2)::smallint;

CREATE FUNCTION public.kind_to_device() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (11)::smallint;

CREATE FUNCTION public.membership_ban() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (4)::smallint;

CREATE FUNCTION public.membership_invite() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (1)::smallint;

CREATE FUNCTION public.membership_join() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (2)::smallint;

CREATE FUNCTION public.membership_knock() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (3)::smallint;

CREATE FUNCTION public.membership_leave() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (0)::smallint;

CREATE FUNCTION public.readable_json(json text) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (CASE WHEN (strpos(json, '\u0000'::text) = 0) THEN json ELSE replace(replace(json, '\\'::text, '\u005c'::text), '\u0000'::text, '\ufffd'::text) END)::json;

CREATE TABLE public.access_tokens (
    token_hash bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text COLLATE pg_catalog."C",
    created_ts bigint NOT NULL,
    expires_ts bigint,
    refresh_nid bigint,
    used boolean DEFAULT false NOT NULL,
    validated_ts bigint
);

CREATE TABLE public.account_data (
    user_id text NOT NULL COLLATE pg_catalog."C",
    room_nid bigint NOT NULL,
    data_type text NOT NULL COLLATE pg_catalog."C",
    content text NOT NULL
);

CREATE TABLE public.auth_chain_links (
    chain_nid bigint NOT NULL,
    seq integer NOT NULL,
    target_chain_nid bigint NOT NULL,
    target_seq integer NOT NULL
);

CREATE TABLE public.auth_chains (
    event_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    chain_nid bigint NOT NULL,
    seq integer NOT NULL
);

CREATE TABLE public.cross_signing_keys (
    user_id text NOT NULL COLLATE pg_catalog."C",
    usage text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL
);

CREATE TABLE public.device_keys (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    keys text NOT NULL
);

CREATE TABLE public.devices (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    display_name text,
    created_ts bigint NOT NULL,
    last_seen_ts bigint,
    last_seen_ip text,
    user_agent text
);

CREATE SEQUENCE public.event_nids
    START WITH 1
    INCREMENT BY 256
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.event_relations (
    child_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    parent_id text NOT NULL COLLATE pg_catalog."C",
    rel_type text NOT NULL COLLATE pg_catalog."C",
    pos bigint NOT NULL,
    event_type text NOT NULL COLLATE pg_catalog."C",
    sender text NOT NULL COLLATE pg_catalog."C",
    thread_root text COLLATE pg_catalog."C"
);

CREATE TABLE public.events (
    event_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    pos bigint,
    depth bigint NOT NULL,
    origin_server_ts bigint NOT NULL,
    state_key_nid bigint,
    state_before bigint,
    state_after bigint,
    replaces bigint,
    redacts bigint,
    redacted_by bigint,
    notify_ordinal bigint NOT NULL,
    flags smallint NOT NULL,
    membership smallint,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL COLLATE pg_catalog."C",
    sender text NOT NULL COLLATE pg_catalog."C",
    json text NOT NULL,
    received_ts bigint,
    rejection text,
    CONSTRAINT events_state_has_pos CHECK (((pos IS NOT NULL) OR ((state_before IS NULL) AND (state_after IS NULL))))
);

CREATE TABLE public.fallback_keys (
    key_nid bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    algorithm text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL,
    used boolean DEFAULT false NOT NULL
);

ALTER TABLE public.fallback_keys ALTER COLUMN key_nid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.fallback_keys_key_nid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.filters (
    user_id text NOT NULL COLLATE pg_catalog."C",
    filter_id bigint NOT NULL,
    hash bytea NOT NULL,
    content text NOT NULL
);

CREATE TABLE public.key_backup_keys (
    user_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    room_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    first_message_index bigint NOT NULL,
    forwarded_count bigint NOT NULL,
    is_verified boolean NOT NULL,
    session_data text NOT NULL
);

CREATE TABLE public.key_backups (
    user_id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    algorithm text NOT NULL,
    auth_data text NOT NULL,
    etag bigint DEFAULT 0 NOT NULL,
    keys_count bigint DEFAULT 0 NOT NULL,
    deleted boolean DEFAULT false NOT NULL
);

CREATE TABLE public.key_signatures (
    target_user_id text NOT NULL COLLATE pg_catalog."C",
    target_id text NOT NULL COLLATE pg_catalog."C",
    signer_id text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    signature text NOT NULL
);

CREATE TABLE public.late_redactions (
    target_id text NOT NULL COLLATE pg_catalog."C",
    redaction_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    is_powerful boolean NOT NULL
);

CREATE TABLE public.leases (
    name text NOT NULL COLLATE pg_catalog."C",
    node_id bigint NOT NULL
);

CREATE TABLE public.log (
    pos bigint NOT NULL,
    kind smallint NOT NULL,
    room_nid bigint,
    user_id text COLLATE pg_catalog."C",
    payload text NOT NULL
);

CREATE TABLE public.log_head (
    only_row boolean DEFAULT true NOT NULL,
    pos bigint NOT NULL,
    CONSTRAINT log_head_only_row_check CHECK (only_row)
);

CREATE TABLE public.login_tokens (
    token_hash bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    expires_ts bigint NOT NULL
);

CREATE TABLE public.memberships (
    user_id text NOT NULL COLLATE pg_catalog."C",
    room_nid bigint NOT NULL,
    membership smallint NOT NULL,
    event_nid bigint NOT NULL,
    pos bigint NOT NULL,
    forgotten boolean DEFAULT false NOT NULL
);

CREATE TABLE public.missing_events (
    event_id text NOT NULL COLLATE pg_catalog."C",
    follower_nid bigint NOT NULL,
    room_nid bigint NOT NULL
);

CREATE TABLE public.nodes (
    node_id bigint NOT NULL,
    functions text NOT NULL,
    alive_until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.one_time_keys (
    key_nid bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    algorithm text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL,
    claimed boolean DEFAULT false NOT NULL
);

ALTER TABLE public.one_time_keys ALTER COLUMN key_nid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.one_time_keys_key_nid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.openid_tokens (
    token_hash bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    expires_ts bigint NOT NULL
);

CREATE TABLE public.outside_states (
    event_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    stripped text NOT NULL
);

CREATE TABLE public.presence (
    user_id text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    status_msg text,
    last_active_ts bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE public.profiles (
    user_id text NOT NULL COLLATE pg_catalog."C",
    displayname text,
    avatar_url text,
    fields text DEFAULT '{}'::text NOT NULL
);

CREATE TABLE public.pushers (
    user_id text NOT NULL COLLATE pg_catalog."C",
    app_id text NOT NULL COLLATE pg_catalog."C",
    pushkey text NOT NULL COLLATE pg_catalog."C",
    device_id text COLLATE pg_catalog."C",
    content text NOT NULL
);

CREATE TABLE public.ratelimit_overrides (
    user_id text NOT NULL COLLATE pg_catalog."C",
    messages_per_second integer NOT NULL,
    burst_count integer NOT NULL
);

CREATE TABLE public.receipts (
    room_nid bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    receipt_type text NOT NULL,
    thread_id text NOT NULL COLLATE pg_catalog."C",
    event_nid bigint NOT NULL,
    event_pos bigint NOT NULL,
    ts bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE public.refresh_tokens (
    refresh_nid bigint NOT NULL,
    token_hash bytea NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    next_nid bigint,
    expires_ts bigint,
    session_expires_ts bigint
);

ALTER TABLE public.refresh_tokens ALTER COLUMN refresh_nid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.refresh_tokens_refresh_nid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.registration_tokens (
    token text NOT NULL COLLATE pg_catalog."C",
    uses_allowed bigint,
    pending bigint DEFAULT 0 NOT NULL,
    completed bigint DEFAULT 0 NOT NULL,
    expires_ts bigint
);

CREATE TABLE public.retrials (
    awaited_id text NOT NULL COLLATE pg_catalog."C",
    event_nid bigint NOT NULL,
    is_missing boolean NOT NULL
);

CREATE TABLE public.room_aliases (
    alias text NOT NULL COLLATE pg_catalog."C",
    room_nid bigint NOT NULL,
    creator text NOT NULL COLLATE pg_catalog."C",
    created_ts bigint NOT NULL
);

CREATE TABLE public.room_directory (
    room_nid bigint NOT NULL,
    appservice_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    network_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);

CREATE SEQUENCE public.room_nids
    START WITH 1
    INCREMENT BY 16
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.rooms (
    room_nid bigint NOT NULL,
    room_id text NOT NULL COLLATE pg_catalog."C",
    room_version text NOT NULL,
    version bigint NOT NULL,
    depth bigint NOT NULL,
    extremities bigint[] NOT NULL,
    state_nid bigint NOT NULL,
    notify_ordinal bigint NOT NULL,
    last_pos bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE public.state_garbage (
    state_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    found_ts bigint NOT NULL
);

CREATE TABLE public.state_keys (
    state_key_nid bigint NOT NULL,
    event_type text NOT NULL COLLATE pg_catalog."C",
    state_key text NOT NULL COLLATE pg_catalog."C"
);

ALTER TABLE public.state_keys ALTER COLUMN state_key_nid ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.state_keys_state_key_nid_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.state_looks (
    room_nid bigint NOT NULL,
    version bigint NOT NULL,
    garbage bigint NOT NULL,
    looked_ts bigint NOT NULL
);

CREATE SEQUENCE public.state_nids
    START WITH 1
    INCREMENT BY 256
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.state_snapshots (
    state_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    base_nid bigint,
    delta bytea NOT NULL
);

CREATE TABLE public.threepids (
    medium text NOT NULL,
    address text NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    validated_ts bigint NOT NULL,
    added_ts bigint NOT NULL
);

CREATE TABLE public.to_device (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    pos bigint NOT NULL,
    message text NOT NULL
);

CREATE TABLE public.to_device_transactions (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL COLLATE pg_catalog."C",
    txn_id text NOT NULL COLLATE pg_catalog."C",
    created_ts bigint NOT NULL
);

CREATE TABLE public.transactions (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    room_nid bigint NOT NULL,
    event_type text NOT NULL COLLATE pg_catalog."C",
    txn_id text NOT NULL COLLATE pg_catalog."C",
    event_nid bigint NOT NULL,
    created_ts bigint NOT NULL
);

CREATE TABLE public.triggers (
    name text NOT NULL,
    version integer NOT NULL
);

CREATE TABLE public.uia_sessions (
    session_id text NOT NULL,
    created_ts bigint NOT NULL,
    operation text NOT NULL,
    params text NOT NULL,
    stages text NOT NULL
);

CREATE TABLE public.unfinished_work (
    kind text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    due_ts bigint NOT NULL
);

ALTER TABLE public.unfinished_work ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.unfinished_work_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE public.unstreamed_positions
    START WITH -1
    INCREMENT BY -1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.used_nonces (
    nonce text NOT NULL COLLATE pg_catalog."C",
    expires_ts bigint NOT NULL
);

CREATE TABLE public.user_ips (
    user_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    ip text NOT NULL COLLATE pg_catalog."C",
    user_agent text NOT NULL,
    last_seen_ts bigint NOT NULL
)
WITH (fillfactor='80');

CREATE SEQUENCE public.user_numbers
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.users (
    user_id text NOT NULL COLLATE pg_catalog."C",
    password_hash text,
    created_ts bigint NOT NULL,
    user_type text,
    appservice_id text,
    is_guest boolean DEFAULT false NOT NULL,
    is_admin boolean DEFAULT false NOT NULL,
    deactivated boolean DEFAULT false NOT NULL,
    erased boolean DEFAULT false NOT NULL,
    locked boolean DEFAULT false NOT NULL,
    suspended boolean DEFAULT false NOT NULL,
    shadow_banned boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT access_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.account_data
    ADD CONSTRAINT account_data_pkey PRIMARY KEY (user_id, room_nid, data_type);

ALTER TABLE ONLY public.auth_chain_links
    ADD CONSTRAINT auth_chain_links_pkey PRIMARY KEY (chain_nid, seq, target_chain_nid);

ALTER TABLE ONLY public.auth_chains
    ADD CONSTRAINT auth_chains_pkey PRIMARY KEY (event_nid);

ALTER TABLE ONLY public.cross_signing_keys
    ADD CONSTRAINT cross_signing_keys_pkey PRIMARY KEY (user_id, usage);

ALTER TABLE ONLY public.device_keys
    ADD CONSTRAINT device_keys_pkey PRIMARY KEY (user_id, device_id);

ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_pkey PRIMARY KEY (user_id, device_id);

ALTER TABLE ONLY public.event_relations
    ADD CONSTRAINT event_relations_pkey PRIMARY KEY (child_nid);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (event_nid);

ALTER TABLE ONLY public.fallback_keys
    ADD CONSTRAINT fallback_keys_pkey PRIMARY KEY (key_nid);

ALTER TABLE ONLY public.filters
    ADD CONSTRAINT filters_pkey PRIMARY KEY (user_id, filter_id);

ALTER TABLE ONLY public.filters
    ADD CONSTRAINT filters_user_id_hash_key UNIQUE (user_id, hash);

ALTER TABLE ONLY public.key_backup_keys
    ADD CONSTRAINT key_backup_keys_pkey PRIMARY KEY (user_id, version, room_id, session_id);

ALTER TABLE ONLY public.key_backups
    ADD CONSTRAINT key_backups_pkey PRIMARY KEY (user_id, version);

ALTER TABLE ONLY public.key_signatures
    ADD CONSTRAINT key_signatures_pkey PRIMARY KEY (target_user_id, target_id, signer_id, key_id);

ALTER TABLE ONLY public.late_redactions
    ADD CONSTRAINT late_redactions_pkey PRIMARY KEY (target_id, redaction_nid);

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.log
    ADD CONSTRAINT log_pkey PRIMARY KEY (pos);

ALTER TABLE ONLY public.login_tokens
    ADD CONSTRAINT login_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (user_id, room_nid);

ALTER TABLE ONLY public.missing_events
    ADD CONSTRAINT missing_events_pkey PRIMARY KEY (event_id, follower_nid);

ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (node_id);

ALTER TABLE ONLY public.one_time_keys
    ADD CONSTRAINT one_time_keys_pkey PRIMARY KEY (key_nid);

ALTER TABLE ONLY public.openid_tokens
    ADD CONSTRAINT openid_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.outside_states
    ADD CONSTRAINT outside_states_pkey PRIMARY KEY (event_nid);

ALTER TABLE ONLY public.presence
    ADD CONSTRAINT presence_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.pushers
    ADD CONSTRAINT pushers_pkey PRIMARY KEY (user_id, app_id, pushkey);

ALTER TABLE ONLY public.ratelimit_overrides
    ADD CONSTRAINT ratelimit_overrides_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT receipts_pkey PRIMARY KEY (room_nid, user_id, receipt_type, thread_id);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (refresh_nid);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.registration_tokens
    ADD CONSTRAINT registration_tokens_pkey PRIMARY KEY (token);

ALTER TABLE ONLY public.retrials
    ADD CONSTRAINT retrials_pkey PRIMARY KEY (awaited_id, event_nid);

ALTER TABLE ONLY public.room_aliases
    ADD CONSTRAINT room_aliases_pkey PRIMARY KEY (alias);

ALTER TABLE ONLY public.room_directory
    ADD CONSTRAINT room_directory_pkey PRIMARY KEY (room_nid, appservice_id, network_id);

ALTER TABLE ONLY public.rooms
    ADD CONSTRAINT rooms_pkey PRIMARY KEY (room_nid);

ALTER TABLE ONLY public.rooms
    ADD CONSTRAINT rooms_room_id_key UNIQUE (room_id);

ALTER TABLE ONLY public.state_garbage
    ADD CONSTRAINT state_garbage_pkey PRIMARY KEY (state_nid);

ALTER TABLE ONLY public.state_keys
    ADD CONSTRAINT state_keys_event_type_state_key_key UNIQUE (event_type, state_key);

ALTER TABLE ONLY public.state_keys
    ADD CONSTRAINT state_keys_pkey PRIMARY KEY (state_key_nid);

ALTER TABLE ONLY public.state_looks
    ADD CONSTRAINT state_looks_pkey PRIMARY KEY (room_nid);

ALTER TABLE ONLY public.state_snapshots
    ADD CONSTRAINT state_snapshots_pkey PRIMARY KEY (state_nid);

ALTER TABLE ONLY public.threepids
    ADD CONSTRAINT threepids_pkey PRIMARY KEY (medium, address);

ALTER TABLE ONLY public.to_device
    ADD CONSTRAINT to_device_pkey PRIMARY KEY (user_id, device_id, pos);

ALTER TABLE ONLY public.to_device_transactions
    ADD CONSTRAINT to_device_transactions_pkey PRIMARY KEY (user_id, device_id, event_type, txn_id);

ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT transactions_pkey PRIMARY KEY (user_id, device_id, room_nid, event_type, txn_id);

ALTER TABLE ONLY public.triggers
    ADD CONSTRAINT triggers_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.uia_sessions
    ADD CONSTRAINT uia_sessions_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY public.unfinished_work
    ADD CONSTRAINT unfinished_work_pkey PRIMARY KEY (kind, subject);

ALTER TABLE ONLY public.used_nonces
    ADD CONSTRAINT used_nonces_pkey PRIMARY KEY (nonce);

ALTER TABLE ONLY public.user_ips
    ADD CONSTRAINT user_ips_pkey PRIMARY KEY (user_id, device_id, ip);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);

CREATE INDEX access_tokens_device ON public.access_tokens USING btree (user_id, device_id);

CREATE INDEX access_tokens_refresh ON public.access_tokens USING btree (refresh_nid) WHERE (refresh_nid IS NOT NULL);

CREATE UNIQUE INDEX auth_chains_place ON public.auth_chains USING btree (chain_nid, seq);

CREATE INDEX auth_chains_room ON public.auth_chains USING btree (room_nid);

CREATE INDEX event_relations_parent ON public.event_relations USING btree (room_nid, parent_id, rel_type, pos);

CREATE INDEX event_relations_threads ON public.event_relations USING btree (room_nid, pos) WHERE (rel_type = 'm.thread'::text);

CREATE INDEX event_relations_within_threads ON public.event_relations USING btree (room_nid, pos) WHERE ((thread_root <> ''::text) AND (rel_type <> 'm.thread'::text));

CREATE UNIQUE INDEX events_log_order ON public.events USING btree (((pos + 0))) WHERE (pos IS NOT NULL);

CREATE INDEX events_room_branched ON public.events USING btree (room_nid, pos) WHERE ((flags & public.flag_branched()) > 0);

CREATE INDEX events_room_mentions ON public.events USING btree (room_nid, pos) WHERE ((strpos(json, '"m.mentions":{"'::text) > 0) OR (event_type = 'm.room.tombstone'::text));

CREATE INDEX events_room_pos ON public.events USING btree (room_nid, pos) WHERE (pos IS NOT NULL);

CREATE INDEX events_room_ts ON public.events USING btree (room_nid, origin_server_ts, pos) WHERE (pos IS NOT NULL);

CREATE INDEX events_room_visibility ON public.events USING btree (room_nid) WHERE (event_type = 'm.room.history_visibility'::text);

CREATE UNIQUE INDEX fallback_keys_algorithm ON public.fallback_keys USING btree (user_id, device_id, algorithm);

CREATE INDEX key_signatures_signer ON public.key_signatures USING btree (signer_id, key_id);

CREATE INDEX log_device_lists ON public.log USING btree (pos) WHERE (kind = public.kind_device_list());

CREATE INDEX log_room ON public.log USING btree (room_nid, pos) WHERE (room_nid IS NOT NULL);

CREATE INDEX log_user ON public.log USING btree (user_id, pos) WHERE (user_id IS NOT NULL);

CREATE INDEX memberships_room ON public.memberships USING btree (room_nid, membership);

CREATE INDEX missing_events_room ON public.missing_events USING btree (room_nid);

CREATE UNIQUE INDEX one_time_keys_id ON public.one_time_keys USING btree (user_id, device_id, algorithm, key_id);

CREATE INDEX one_time_keys_unclaimed ON public.one_time_keys USING btree (user_id, device_id, algorithm, key_nid) WHERE (NOT claimed);

CREATE INDEX pushers_key ON public.pushers USING btree (app_id, pushkey);

CREATE INDEX receipts_user ON public.receipts USING btree (user_id);

CREATE INDEX refresh_tokens_device ON public.refresh_tokens USING btree (user_id, device_id);

CREATE INDEX refresh_tokens_next ON public.refresh_tokens USING btree (next_nid) WHERE (next_nid IS NOT NULL);

CREATE INDEX retrials_event ON public.retrials USING btree (event_nid);

CREATE INDEX room_aliases_room ON public.room_aliases USING btree (room_nid);

CREATE INDEX room_directory_network ON public.room_directory USING btree (appservice_id, network_id);

CREATE INDEX state_garbage_room ON public.state_garbage USING btree (room_nid);

CREATE INDEX state_snapshots_room ON public.state_snapshots USING btree (room_nid, state_nid) INCLUDE (base_nid);

CREATE INDEX threepids_user ON public.threepids USING btree (user_id);

CREATE INDEX to_device_transactions_created ON public.to_device_transactions USING btree (created_ts);

CREATE INDEX transactions_event ON public.transactions USING btree (event_nid);

CREATE INDEX uia_sessions_created ON public.uia_sessions USING btree (created_ts);

CREATE INDEX unfinished_work_due ON public.unfinished_work USING btree (due_ts);

CREATE INDEX user_ips_last_seen ON public.user_ips USING btree (last_seen_ts);

CREATE INDEX users_erased ON public.users USING btree (user_id) WHERE erased;

CREATE INDEX users_lower ON public.users USING btree (lower(user_id));

CREATE TRIGGER events_add_relation AFTER INSERT ON public.events FOR EACH ROW WHEN (((new.pos IS NOT NULL) AND (strpos(new.json, '"m.relates_to"'::text) > 0) AND (strpos(new.json, '"rel_type"'::text) > 0))) EXECUTE FUNCTION public.add_event_relation();
