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
