-- Rejected events that are to be judged anew when another event stands otherwise. Written with the rejected event, a row for each event
-- that it cites or follows and that speaks against it; deleted when it is judged anew. Clients hear of it by what becomes of the event.
CREATE TABLE retrials (
    awaited_id text COLLATE "C" NOT NULL,
    event_nid  bigint  NOT NULL, -- the rejected event
    is_missing boolean NOT NULL, -- whether it waits for the awaited event to find its place; else for that not to be rejected any more
    PRIMARY KEY (awaited_id, event_nid)
);
CREATE INDEX retrials_event ON retrials (event_nid);
