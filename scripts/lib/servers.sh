# Starts homeservers for tests and measurements, on ports of this machine only. Sourced, not run; needs packages.sh
# and postgres.sh.

# A command that starts servers and load generator, such as (taskset -c 0); none by default.
pin=()

# Everything that a load test must not run into.
rate_limits_off() {
  cat <<'END'
rc_message: &off {per_second: 100000, burst_count: 100000}
rc_registration: *off
rc_login: {address: *off, account: *off, failed_attempts: *off}
rc_joins: {local: *off, remote: *off}
rc_joins_per_room: *off
rc_invites: {per_room: *off, per_user: *off, per_issuer: *off}
rc_room_creation: *off
rc_presence: {per_user: *off}
END
}

# write_config FILE SERVER_NAME PORT FOLDER SOCKET_FOLDER DATABASE: a homeserver.yaml that Synapse and Myelin read.
write_config() {
  cat >"$1" <<END
server_name: $2
public_baseurl: http://localhost:$3/
report_stats: false
pid_file: $4/homeserver.pid
signing_key_path: $4/signing.key
media_store_path: $4/media
trusted_key_servers: []
suppress_key_server_warning: true
listeners:
  - {port: $3, bind_addresses: ["127.0.0.1"], type: http, resources: [{names: [client]}]}
database:
  name: psycopg2
  args: {user: postgres, dbname: $6, host: $5, cp_min: 5, cp_max: 10}
enable_registration: true
enable_registration_without_verification: true
registration_shared_secret: for-tests
macaroon_secret_key: for-tests
form_secret: for-tests
END
  rate_limits_off >>"$1"
}

# make_database SOCKET_FOLDER NAME: an empty database, as Synapse wants it.
make_database() { pg_sql "$1" -c "create database $2 template template0 encoding utf8 lc_collate 'C' lc_ctype 'C'"; }

# wait_for_server PORT PID LOG: until it answers.
wait_for_server() {
  for _ in $(seq 300); do
    curl -sf "http://localhost:$1/_matrix/client/versions" >/dev/null 2>&1 && return
    kill -0 "$2" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 20 "$3" >&2
  die "the server at port $1 did not start: see above"
}

# find_myelin PROFILE: builds the server and sets `myelin` to its path; $MYELIN_BINARY names a ready one.
find_myelin() {
  myelin=${MYELIN_BINARY:-}
  [[ -z $myelin ]] || return 0
  say "Building Myelin ($1)"
  SQLX_OFFLINE=true cargo build --quiet --profile "$1" --package myelin
  myelin=$(binary_of "$1" myelin)
}

# find_synapse: installs Synapse and sets `synapse` to its Python.
find_synapse() {
  need_packages '/usr/lib/*/libjemalloc.so.2=libjemalloc2'
  need_venv "${CARGO_TARGET_DIR:-$root/target}/tools/synapse" "$root/benches/peers/synapse-requirements.txt"
  synapse=${CARGO_TARGET_DIR:-$root/target}/tools/synapse/bin/python
}

# need_port PORT: nothing may answer there yet, or the wrong server would be measured.
need_port() {
  ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || die "something listens on port $1 already: stop it first"
}

# start_myelin CONFIG PORT LOG: sets `server_pid`.
start_myelin() {
  local key
  need_port "$2"
  key=$(sed -n 's/^signing_key_path: //p' "$1")
  [[ -e $key ]] || "$myelin" generate-signing-key -o "$key"
  "${pin[@]}" "$myelin" serve -c "$1" >"$3" 2>&1 &
  server_pid=$!
  wait_for_server "$2" "$server_pid" "$3"
}

# start_synapse CONFIG PORT LOG: sets `server_pid`. With jemalloc, as Synapse's documentation advises.
start_synapse() {
  need_port "$2"
  "$synapse" -m synapse.app.homeserver -c "$1" --generate-keys >"$3" 2>&1
  LD_PRELOAD=$(compgen -G '/usr/lib/*/libjemalloc.so.2' | head -n 1) \
    "${pin[@]}" "$synapse" -m synapse.app.homeserver -c "$1" >>"$3" 2>&1 &
  server_pid=$!
  wait_for_server "$2" "$server_pid" "$3"
}

# stop_server PID
stop_server() {
  kill "$1" 2>/dev/null || return 0
  wait "$1" 2>/dev/null || true
}
