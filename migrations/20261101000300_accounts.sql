-- Users of this server and what proves that a request is theirs.
CREATE TABLE users (
    user_id       text COLLATE "C" PRIMARY KEY,
    password_hash text,             -- PHC string of argon2id, or bcrypt's as imported from Synapse; null: no password
    created_ts    bigint  NOT NULL, -- milliseconds since the epoch
    user_type     text,             -- null for people; 'bot', 'support'
    appservice_id text,             -- the application service that registered it
    is_guest      boolean NOT NULL DEFAULT false,
    is_admin      boolean NOT NULL DEFAULT false,
    deactivated   boolean NOT NULL DEFAULT false,
    erased        boolean NOT NULL DEFAULT false,
    locked        boolean NOT NULL DEFAULT false,
    suspended     boolean NOT NULL DEFAULT false,
    shadow_banned boolean NOT NULL DEFAULT false
);
-- Who logs in or registers is looked for whatever the case of the letters.
CREATE INDEX users_lower ON users (lower(user_id));
-- Read whole whenever a node does not know who was erased: few users are.
CREATE INDEX users_erased ON users (user_id) WHERE erased;

-- Localparts of digits only are given to guests and to who registers without choosing a name.
CREATE SEQUENCE user_numbers AS bigint;

CREATE TABLE devices (
    user_id      text COLLATE "C" NOT NULL,
    device_id    text COLLATE "C" NOT NULL,
    display_name text,
    created_ts   bigint NOT NULL,
    last_seen_ts bigint,
    last_seen_ip text,
    user_agent   text,
    PRIMARY KEY (user_id, device_id)
);

-- Tokens stand here as SHA-256 hashes only.
CREATE TABLE refresh_tokens (
    refresh_nid        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash         bytea  NOT NULL UNIQUE,
    user_id            text COLLATE "C" NOT NULL,
    device_id          text COLLATE "C" NOT NULL,
    next_nid           bigint, -- what it was exchanged for; it stays usable until that is used
    expires_ts         bigint,
    session_expires_ts bigint  -- neither it nor what it is exchanged for lives longer
);
CREATE INDEX refresh_tokens_device ON refresh_tokens (user_id, device_id);
-- The refresh tokens that were exchanged for one: they go when that is used.
CREATE INDEX refresh_tokens_next ON refresh_tokens (next_nid) WHERE next_nid IS NOT NULL;

CREATE TABLE access_tokens (
    token_hash  bytea  PRIMARY KEY,
    user_id     text COLLATE "C" NOT NULL,
    device_id   text COLLATE "C",         -- null: a token without a device
    created_ts  bigint NOT NULL,
    expires_ts  bigint,
    refresh_nid bigint,                   -- the refresh token that was issued with it
    used        boolean NOT NULL DEFAULT false,
    validated_ts bigint                   -- when its user last authenticated again through it
);
CREATE INDEX access_tokens_device ON access_tokens (user_id, device_id);
CREATE INDEX access_tokens_refresh ON access_tokens (refresh_nid) WHERE refresh_nid IS NOT NULL;

CREATE TABLE login_tokens (
    token_hash bytea  PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL,
    expires_ts bigint NOT NULL
);

CREATE TABLE openid_tokens (
    token_hash bytea  PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL,
    expires_ts bigint NOT NULL
);

-- Sessions of user-interactive authentication. They outlive the node that began them.
CREATE TABLE uia_sessions (
    session_id  text   PRIMARY KEY,
    created_ts  bigint NOT NULL,
    operation   text   NOT NULL, -- method, path and user it was begun for
    params      text   NOT NULL, -- the request's body, as JSON, without `auth`
    stages      text   NOT NULL  -- what is completed: {stage: result}
);
CREATE INDEX uia_sessions_created ON uia_sessions (created_ts);

CREATE TABLE registration_tokens (
    token        text COLLATE "C" PRIMARY KEY,
    uses_allowed bigint, -- null: without limit
    pending      bigint NOT NULL DEFAULT 0,
    completed    bigint NOT NULL DEFAULT 0,
    expires_ts   bigint
);

CREATE TABLE threepids (
    medium       text   NOT NULL,
    address      text   NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    validated_ts bigint NOT NULL,
    added_ts     bigint NOT NULL,
    PRIMARY KEY (medium, address)
);
CREATE INDEX threepids_user ON threepids (user_id);

-- Limits that an admin set for a user instead of those of the configuration. 0 and 0: none at all.
CREATE TABLE ratelimit_overrides (
    user_id             text COLLATE "C" PRIMARY KEY,
    messages_per_second integer NOT NULL,
    burst_count         integer NOT NULL
);

-- Nonces of registrations by shared secret that are used up, until they would have run out. Each use deletes old ones.
CREATE TABLE used_nonces (
    nonce      text COLLATE "C" PRIMARY KEY,
    expires_ts bigint NOT NULL -- milliseconds since the epoch
);

-- From where users called, one row a device and address: for whoever asks the admin API who somebody is. Written once a
-- minute by every node that was called; deleted after `user_ips_max_age`. Clients do not hear of it.
CREATE TABLE user_ips (
    user_id      text COLLATE "C" NOT NULL,
    device_id    text COLLATE "C" NOT NULL, -- the access token's; '' for tokens without a device
    ip           text COLLATE "C" NOT NULL,
    user_agent   text   NOT NULL,           -- of the last call
    last_seen_ts bigint NOT NULL,           -- milliseconds since the epoch
    PRIMARY KEY (user_id, device_id, ip)
) WITH (fillfactor = 80);
CREATE INDEX user_ips_last_seen ON user_ips (last_seen_ts);
