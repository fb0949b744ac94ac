-- Messages for devices (client-server API, "Send-to-Device messaging"), until their device has got them. Each stands at the position
-- of the log's entry that tells of it. It goes when the device comes back with a later token, or with the device; the oldest of too
-- many go in the upkeep.
CREATE TABLE to_device (
    user_id   text COLLATE "C" NOT NULL, -- the user whose device it is for
    device_id text COLLATE "C" NOT NULL,
    pos       bigint NOT NULL,
    message   text   NOT NULL,           -- the message as its client sees it, as JSON
    PRIMARY KEY (user_id, device_id, pos)
);

-- The requests by which messages were sent, so that one that is repeated sends nothing again. Nobody hears of them; deleted after
-- seven days.
CREATE TABLE to_device_transactions (
    user_id    text COLLATE "C" NOT NULL, -- the user who sent
    device_id  text COLLATE "C" NOT NULL, -- '' for tokens without a device
    event_type text COLLATE "C" NOT NULL,
    txn_id     text COLLATE "C" NOT NULL,
    created_ts bigint NOT NULL,           -- milliseconds since the epoch
    PRIMARY KEY (user_id, device_id, event_type, txn_id)
);
CREATE INDEX to_device_transactions_created ON to_device_transactions (created_ts);
