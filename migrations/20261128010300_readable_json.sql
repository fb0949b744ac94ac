-- The JSON of an event as PostgreSQL can read it: it takes no NUL character, wherever that stands, so another one is read in its place,
-- once no backslash is an escaped one.
CREATE FUNCTION readable_json(json text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE WHEN strpos(json, '\u0000') = 0 THEN json
    ELSE replace(replace(json, '\\', '\u005c'), '\u0000', '\ufffd') END)::json;
