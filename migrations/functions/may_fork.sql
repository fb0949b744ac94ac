-- Whether there may be one more forward extremity: only what ends in one event has followed all of its base.
CREATE FUNCTION may_fork(current bigint[], ends bigint[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(current) < extremities_max() AND cardinality(ends) = 1
$$;
