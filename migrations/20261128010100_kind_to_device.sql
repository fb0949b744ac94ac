-- log.kind of the entries that tell of messages to devices
CREATE FUNCTION kind_to_device() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 11::smallint;
