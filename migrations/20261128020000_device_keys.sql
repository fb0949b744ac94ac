-- The keys by which devices encrypt to one another (client-server API, "End-to-End Encryption"). All rows go with their device. A
-- change of device keys is told as a change of the user's device list, one of the number of keys as `KeyCounts`.

-- The identity keys of a device, signed by it. Written by `POST /keys/upload`.
CREATE TABLE device_keys (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    keys      text NOT NULL,          -- canonical JSON, as it was uploaded
    PRIMARY KEY (user_id, device_id)
);

-- Keys that are given away once each. Written by `POST /keys/upload`. A claimed one stays for a while, so that a client that uploads it
-- again, since it did not hear that it had been stored, does not have it given away twice; the next uploads delete the oldest of them.
CREATE TABLE one_time_keys (
    key_nid   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which they came
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    key       text NOT NULL,          -- canonical JSON
    claimed   boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX one_time_keys_id ON one_time_keys (user_id, device_id, algorithm, key_id);
CREATE INDEX one_time_keys_unclaimed ON one_time_keys (user_id, device_id, algorithm, key_nid) WHERE NOT claimed;

-- Keys that are given away while a device has no one-time key left. Written by `POST /keys/upload`.
CREATE TABLE fallback_keys (
    key_nid   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    key       text NOT NULL,          -- canonical JSON
    used      boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX fallback_keys_algorithm ON fallback_keys (user_id, device_id, algorithm);

-- The keys by which users vouch for their devices and for one another. Written by `POST /keys/device_signing/upload`, deleted with the
-- account. A change is told as one of the user's device list; that of a user-signing key to the user alone.
CREATE TABLE cross_signing_keys (
    user_id text COLLATE "C" NOT NULL,
    usage   text COLLATE "C" NOT NULL, -- 'master', 'self_signing', 'user_signing'
    key     text NOT NULL,             -- canonical JSON, as it was uploaded
    PRIMARY KEY (user_id, usage)
);

-- Signatures of keys that came after the keys themselves. Written by `POST /keys/signatures/upload`; gone with the key that signed and
-- with the one that was signed.
CREATE TABLE key_signatures (
    target_user_id text COLLATE "C" NOT NULL,
    target_id      text COLLATE "C" NOT NULL, -- a device ID, or the public half of a cross-signing key
    signer_id      text COLLATE "C" NOT NULL,
    key_id         text COLLATE "C" NOT NULL, -- the signer's key, 'ed25519:..'
    signature      text NOT NULL,
    PRIMARY KEY (target_user_id, target_id, signer_id, key_id)
);
CREATE INDEX key_signatures_signer ON key_signatures (signer_id, key_id);
