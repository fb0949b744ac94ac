-- How many forward extremities a room has at most: an event names as many at most.
CREATE FUNCTION extremities_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 20;
