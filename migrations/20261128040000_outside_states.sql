-- What another server told of a room's state with an invite to a user of this server, or with the answer to a knock, for a room that
-- this server is not in: a JSON array of stripped events, as it was sent. Written with the member event. There is one a member event at
-- most, so that rows are as bounded as events are. Clients hear of it by the member event.
CREATE TABLE outside_states (
    event_nid bigint PRIMARY KEY, -- the member event
    room_nid  bigint NOT NULL,
    stripped  text   NOT NULL
);
