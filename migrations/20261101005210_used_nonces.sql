-- Nonces of registrations by shared secret that are used up, until they would have run out. Each use deletes old ones.
CREATE TABLE used_nonces (
    nonce      text COLLATE "C" PRIMARY KEY,
    expires_ts bigint NOT NULL -- milliseconds since the epoch
);
