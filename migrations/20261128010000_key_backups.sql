-- The backups of their message keys that users keep here, encrypted by their clients (client-server API, "Server-side key
-- backups"). A client that looks hears of a change by the etag; nothing wakes it. A deleted backup stays as a row without
-- content, so that its number is not given again, until the account is deactivated.
CREATE TABLE key_backups (
    user_id    text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,           -- 1, 2, .. of this user; the newest that is not deleted is the current one
    algorithm  text   NOT NULL,
    auth_data  text   NOT NULL,           -- JSON
    etag       bigint NOT NULL DEFAULT 0, -- the number of times that its keys changed
    keys_count bigint NOT NULL DEFAULT 0,
    deleted    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, version)
);

-- One row a key. Written and deleted under the lock of its backup's row, which counts them.
CREATE TABLE key_backup_keys (
    user_id             text COLLATE "C" NOT NULL,
    version             bigint NOT NULL,
    room_id             text COLLATE "C" NOT NULL,
    session_id          text COLLATE "C" NOT NULL,
    first_message_index bigint NOT NULL,
    forwarded_count     bigint NOT NULL,
    is_verified         boolean NOT NULL,
    session_data        text   NOT NULL,  -- JSON
    PRIMARY KEY (user_id, version, room_id, session_id)
);
