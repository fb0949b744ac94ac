# What scripts/bench measures in PostgreSQL itself. Sourced, not run; needs postgres.sh.

# measure_flush FOLDER SECONDS ROUND: commits of one row, one after the other, as a JSON line: the yardstick for
# `send-one`, since no server can answer faster than the database flushes.
measure_flush() {
  local folder=$1 seconds=$2 round=$3 log
  log=$(mktemp -d)
  pg_sql "$folder" -c 'set client_min_messages = warning' -c 'create table if not exists flush (n bigint, at timestamptz)'
  echo 'insert into flush values (1, now());' >"$log/insert.sql"
  "$(pg_bin)/pgbench" -n -h "$folder" -U postgres -M prepared -c 1 -T "$seconds" -f "$log/insert.sql" \
    -l --log-prefix="$log/transactions" postgres >/dev/null 2>&1 || die "pgbench failed"
  # The third field is the latency in microseconds.
  cat "$log"/transactions.* | awk '{print $3}' | sort -n | awk -v seconds="$seconds" -v round="$round" '
    {latency[NR] = $1 / 1000}
    function at(percent) {i = int((NR * percent + 99) / 100); return latency[i < 1 ? 1 : i]}
    END {printf "{\"kind\":\"round\",\"scenario\":\"flush\",\"target\":\"reference\",\"round\":%d,\"operations\":%d," \
      "\"errors\":0,\"seconds\":%s,\"per_second\":%.1f,\"p50_ms\":%.4f,\"p90_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}\n",
      round, NR, seconds, NR / seconds, at(50), at(90), at(99), latency[NR]}'
  rm -rf "$log"
}

# state_tables NAME: those that hold the state of rooms, and for which event which state holds. Myelin keeps the latter
# in two columns of `events`, which cannot be told apart by size; its aim allows for that.
state_tables() {
  case $1 in
    synapse*) echo state_groups state_groups_state state_group_edges event_to_state_groups state_events \
      current_state_events current_state_delta_stream ;;
    *) echo state_snapshots state_keys ;;
  esac
}

# measure_size FOLDER DATABASE SCENARIO TARGET: the size of a database and of its largest tables, as a JSON line.
measure_size() {
  local tables
  tables=$(state_tables "$4")
  pg_sql "$1" -d "$2" -c checkpoint
  pg_sql "$1" -d "$2" -At -v scenario="$3" -v target="$4" -v state="${tables// /,}" <<'END'
with sizes as (
  select relname, pg_total_relation_size(oid) / 1e6 as mb,
    relname = any (string_to_array(:'state', ',')) as is_state
  from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
)
select json_build_object(
  'kind', 'size', 'scenario', :'scenario', 'target', :'target',
  'database_mb', round(pg_database_size(current_database()) / 1e6, 2),
  'state_tables_mb', (select round(sum(mb), 2) from sizes where is_state),
  'state_tables', string_to_array(:'state', ','),
  'largest_mb', (select json_object_agg(relname, round(mb, 2) order by mb desc)
    from (select * from sizes order by mb desc limit 12) largest));
END
}
