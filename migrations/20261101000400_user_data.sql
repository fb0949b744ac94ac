-- What users store about themselves.
CREATE TABLE profiles (
    user_id     text COLLATE "C" PRIMARY KEY,
    displayname text,
    avatar_url  text,
    fields      text NOT NULL DEFAULT '{}' -- further fields, a JSON object
);

CREATE TABLE account_data (
    user_id   text COLLATE "C" NOT NULL,
    room_nid  bigint NOT NULL, -- 0: global
    data_type text COLLATE "C" NOT NULL,
    content   text   NOT NULL, -- JSON
    PRIMARY KEY (user_id, room_nid, data_type)
);

CREATE TABLE filters (
    user_id   text COLLATE "C" NOT NULL,
    filter_id bigint NOT NULL, -- from 0 upwards for each user, as clients keep them
    hash      bytea  NOT NULL, -- SHA-256 of the content: the same filter gets the same number
    content   text   NOT NULL,
    PRIMARY KEY (user_id, filter_id),
    UNIQUE (user_id, hash)
);

-- Where users want to be notified besides their clients' syncs.
CREATE TABLE pushers (
    user_id   text COLLATE "C" NOT NULL,
    app_id    text COLLATE "C" NOT NULL,
    pushkey   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C", -- the device that set it: it goes with it
    content   text NOT NULL,    -- the pusher as its client sees it, as JSON
    PRIMARY KEY (user_id, app_id, pushkey)
);
CREATE INDEX pushers_key ON pushers (app_id, pushkey);

-- Users' presence as of a few seconds ago, for when all nodes start anew. Nodes tell each other of changes by NOTIFY.
CREATE TABLE presence (
    user_id        text   COLLATE "C" PRIMARY KEY,
    state          text   NOT NULL,
    status_msg     text,
    last_active_ts bigint NOT NULL -- milliseconds since the epoch; 0 for never
) WITH (fillfactor = 80);
