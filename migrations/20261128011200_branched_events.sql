-- events.flags, one more bit: see crates/model/src/event.rs.
CREATE FUNCTION flag_branched() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 32::smallint;
