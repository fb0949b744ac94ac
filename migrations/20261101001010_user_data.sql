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
