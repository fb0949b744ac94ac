-- Users' presence as of a few seconds ago, for when all nodes start anew. Nodes tell each other of changes by NOTIFY.
CREATE TABLE presence (
    user_id        text   COLLATE "C" PRIMARY KEY,
    state          text   NOT NULL,
    status_msg     text,
    last_active_ts bigint NOT NULL -- milliseconds since the epoch; 0 for never
) WITH (fillfactor = 80);
