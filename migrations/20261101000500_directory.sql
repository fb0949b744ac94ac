-- Names of rooms on this server.
CREATE TABLE room_aliases (
    alias      text   COLLATE "C" PRIMARY KEY,
    room_nid   bigint NOT NULL,
    creator    text   COLLATE "C" NOT NULL, -- who may delete it, besides the room's moderators and admins
    created_ts bigint NOT NULL              -- milliseconds since the epoch
);
CREATE INDEX room_aliases_room ON room_aliases (room_nid);

-- The rooms that this server lists in public: in its own list ('' and ''), or in one of an application service's networks.
CREATE TABLE room_directory (
    room_nid      bigint NOT NULL,
    appservice_id text COLLATE "C" NOT NULL DEFAULT '',
    network_id    text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (room_nid, appservice_id, network_id)
);
CREATE INDEX room_directory_network ON room_directory (appservice_id, network_id);
