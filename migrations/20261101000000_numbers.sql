-- The numbers that stand in columns and mean something, by name: statements say these names and never the numbers. The planner
-- puts the number in their place, so that they cost nothing and partial indexes are found. A number never gets another meaning.
-- A test holds them equal to crates/model and crates/storage/src/log/kind.rs.

-- memberships.membership, events.membership
CREATE FUNCTION membership_leave() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 0::smallint;
CREATE FUNCTION membership_invite() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 1::smallint;
CREATE FUNCTION membership_join() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 2::smallint;
CREATE FUNCTION membership_knock() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 3::smallint;
CREATE FUNCTION membership_ban() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 4::smallint;

-- events.flags, one bit each
CREATE FUNCTION flag_linear() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 8::smallint;

-- log.kind: those that statements ask for
CREATE FUNCTION kind_receipt() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 2::smallint;
CREATE FUNCTION kind_device_list() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 7::smallint;
