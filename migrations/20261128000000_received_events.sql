-- What other servers send, beyond what the log of a room has of its own.

-- When this server received the event, in milliseconds since the epoch. Null: this server made it, at origin_server_ts.
ALTER TABLE events ADD COLUMN received_ts bigint;
-- Why the checks on receipt rejected the event. Null unless its flags say that they did.
ALTER TABLE events ADD COLUMN rejection text;

-- Positions of events that stand in nobody's stream: history from before this server was in the room, and what failed the checks.
-- Each comes before all that were given out earlier.
CREATE SEQUENCE unstreamed_positions AS bigint INCREMENT BY -1;

-- Events that this server does not have, though an event of the room's history follows them: the backward extremities. Written with
-- the event that follows; deleted when the missing one is taken into the history.
CREATE TABLE missing_events (
    event_id     text COLLATE "C" NOT NULL,
    follower_nid bigint NOT NULL, -- the event whose prev_events name it
    room_nid     bigint NOT NULL,
    PRIMARY KEY (event_id, follower_nid)
);
CREATE INDEX missing_events_room ON missing_events (room_nid);

-- Redactions of events that this server does not have yet. Written with the redaction; deleted when its target comes. There are no
-- more of them than events.
CREATE TABLE late_redactions (
    target_id     text COLLATE "C" NOT NULL,
    redaction_nid bigint  NOT NULL,
    room_nid      bigint  NOT NULL,
    is_powerful   boolean NOT NULL, -- whether its sender had the power to redact whatever it is; else only what comes from the same server
    PRIMARY KEY (target_id, redaction_nid)
);
