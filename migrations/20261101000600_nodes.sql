-- The nodes that run: each writes once a second until when it is alive for sure. Clients do not hear of it.
CREATE TABLE nodes (
    node_id     bigint      PRIMARY KEY, -- drawn by chance when the node starts
    functions   text        NOT NULL,    -- the set of SQL functions that it calls: see crates/storage/src/migrate/functions.rs
    alive_until timestamptz NOT NULL     -- by the database's clock
) WITH (fillfactor = 50);

-- What one node does for all, by name. A lease holds while its node is alive.
CREATE TABLE leases (
    name    text   COLLATE "C" PRIMARY KEY,
    node_id bigint NOT NULL
);

-- Which version of each trigger is in place: see crates/storage/src/migrate/triggers.rs.
CREATE TABLE triggers (
    name    text    PRIMARY KEY,
    version integer NOT NULL
);
