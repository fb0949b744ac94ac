-- Take the lock of the log, for a transaction that writes rows which an append writes, too: whoever takes both must take the log's
-- first. Call it before those rows, and publish and commit soon: a node that falls silent meanwhile, because it hangs or its
-- connection is half-open, is thrown out, so that the lock is free again. Nobody can write without it.
CREATE FUNCTION log_lock() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
    PERFORM FROM log_head FOR UPDATE;
END
$$;
