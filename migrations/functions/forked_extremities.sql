-- The forward extremities after events that follow all of `base` and end in `ends`.
CREATE FUNCTION forked_extremities(current bigint[], base bigint[], ends bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT c FROM unnest(current) AS c WHERE c <> ALL (base)) || ends
$$;
