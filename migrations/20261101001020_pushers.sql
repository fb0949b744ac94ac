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
